//! Listeners whose clients see a part of the topic tree as the whole.

use std::sync::Arc;

use noctule_broker::metric::Metric;
use noctule_broker::{ListenerSettings, MountPoint};
use noctule_protocol::ProtocolVersion::{V5, V311};
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

/// Behind `a/`, behind `b/`, and everything.
const A: u16 = 1;
const B: u16 = 2;

fn desk() -> Desk {
    Desk::with(|settings| {
        let behind = |text: &str| ListenerSettings {
            mount_point: Some(Arc::new(MountPoint::new(text))),
            ..ListenerSettings::default()
        };
        settings.listeners = vec![ListenerSettings::default(), behind("a/"), behind("b/")];
    })
}

#[test]
fn clients_of_a_listener_see_their_part_as_the_whole() {
    for version in VERSIONS {
        for qos in [0, 1, 2] {
            let desk = desk();
            let client = |id: &str, listener| {
                let mut client = desk.hello(id).version(version).at(listener).connect();
                client.subscribe("#", qos);
                client
            };
            let (inside, beside, whole) = (client("i", A), client("j", B), client("w", 0));
            let publisher = desk.hello("p").version(version).at(A).connect();
            for wire in [publish("t", "x"), publish("t", "x").qos1(1), publish("t", "x").qos2(2)] {
                publisher.send(wire);
                publisher.acknowledge_all();
            }
            let topics = |client: &Client| {
                client.acknowledge_all().iter().map(|wire| wire.topic.clone()).collect::<Vec<_>>()
            };
            assert_eq!(
                (topics(&inside), topics(&whole)),
                (vec!["t".to_owned(); 3], vec!["a/t".to_owned(); 3])
            );
            beside.expect_nothing();
            desk.client("q").send_all([publish("b/u", "y"), publish("b/", "y"), publish("c", "y")]);
            assert_eq!(topics(&beside), ["u"]);
            inside.expect_nothing();
        }
    }
}

#[test]
fn copies_are_shared_among_those_who_see_the_same() {
    for version in VERSIONS {
        let desk = desk();
        let client = |number: u16| {
            let listener = number % 2;
            let mut client = desk.hello(&number.to_string()).version(version).at(listener).connect();
            client.subscribe("#", 1);
            client
        };
        let clients: Vec<_> = (0..12).map(client).collect();
        let publisher = desk.client_of(version, "p");
        // One by one, and as a burst.
        publisher.send(publish("a/t", "1").qos1(1));
        publisher.send_all((2..=9).map(|id| publish("a/t", id.to_string()).qos1(id)));
        for (number, client) in clients.iter().enumerate() {
            let topic = if number % 2 == 0 { "a/t" } else { "t" };
            let received = client.acknowledge_all();
            assert!(received.iter().all(|wire| wire.topic == topic), "{number}: {received:?}");
            let payloads: Vec<_> = received.iter().map(Wire::text).collect();
            assert_eq!(payloads, (1..=9).map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_burst_from_behind_a_mount_point_goes_where_single_messages_go() {
    for qos in [0, 1, 2] {
        let desk = desk();
        let mut whole = desk.client("w");
        whole.subscribe("a/t", qos);
        let publisher = desk.hello("p").at(A).connect();
        let level = noctule_protocol::QoS::from_level(qos).unwrap();
        publisher.send_all((1..=9).map(|id| publish("t", id.to_string()).at(level, id)));
        publisher.acknowledge_all();
        let received = whole.acknowledge_all();
        assert_eq!(received.len(), 9);
        assert!(received.iter().all(|wire| wire.topic == "a/t"));
    }
}

#[test]
fn wills_and_retained_messages_are_behind_it_too() {
    let desk = desk();
    let mut whole = desk.client("w");
    whole.subscribe("#", 0);
    let client = desk.hello("c").at(A).will(will("gone", "x").retained()).connect();
    client.send(publish("t", "y").retained());
    whole.expect([publish("a/t", "y")]);
    client.lose();
    whole.expect([publish("a/gone", "x")]);
    let mut late = desk.hello("d").at(A).connect();
    late.subscribe("#", 0);
    let mut retained = late.take();
    retained.sort_by_key(|wire| wire.topic.clone());
    assert_eq!(retained, [publish("gone", "x").retained(), publish("t", "y").retained()]);
    late.send(publish("t", "").retained());
    assert_eq!(desk.retained_count(), 1);
}

#[test]
fn shared_subscriptions_share_what_their_members_see() {
    let desk = desk();
    let mut members =
        [("1", A), ("2", B), ("3", 0)].map(|(id, listener)| desk.hello(id).at(listener).connect());
    members[0].subscribe("$share/g/t", 1);
    members[1].subscribe("$share/g/t", 1);
    members[2].subscribe("$share/g/b/t", 1);
    let publisher = desk.client("p");
    (1..=4).for_each(|id| publisher.send(publish("b/t", "x").qos1(id)));
    let received = members.each_ref().map(|member| member.acknowledge_all());
    assert_eq!(received.each_ref().map(Vec::len), [0, 2, 2]);
    assert!(received[1].iter().all(|wire| wire.topic == "t"));
    members[1].send(unsubscribe(9, ["$share/g/t"]));
    members[1].expect([unsuback(9, [0])]);
    publisher.send(publish("b/t", "x").qos1(5));
    assert_eq!(members[2].acknowledge_all().len(), 1);
}

#[test] // [MQTT-3.3.2-12] [MQTT-3.1.2-26]
fn topic_aliases_stand_for_what_the_client_sees() {
    let desk = desk();
    let mut client = desk.hello("c").at(A).with(Property::TopicAliasMaximum(5)).connect();
    client.subscribe("#", 0);
    let publisher = desk.hello("p").at(A).connect();
    publisher.send(publish("t", "1").with(Property::TopicAlias(1)));
    (0..2).for_each(|_| publisher.send(publish("", "2").with(Property::TopicAlias(1))));
    client.expect([
        publish("t", "1").with(Property::TopicAlias(1)),
        publish("", "2").with(Property::TopicAlias(1)),
        publish("", "2").with(Property::TopicAlias(1)),
    ]);
}

#[test]
fn what_a_session_cannot_see_from_another_listener_is_not_delivered() {
    for qos in [0, 1, 2] {
        let desk = desk();
        let mut client = desk.hello("c").lasting().at(A).connect();
        client.subscribe("#", qos);
        client.subscribe("b/t", qos);
        let publisher = desk.client("p");
        client.lose();
        publisher.send_all([publish("a/t", "away").qos1(1), publish("a/b/t", "away").qos1(2)]);
        let client = desk.hello("c").lasting().at(B).connect();
        publisher.send_all([publish("a/t", "here").qos1(3), publish("a/b/t", "here").qos1(4)]);
        assert_eq!(client.acknowledge_all(), []);
        let dropped = desk.metric(Metric::DroppedOutsideMountPoint);
        assert_eq!(dropped, if qos == 0 { 3 } else { 6 }, "QoS {qos}");
        // And it does not stand in the way of what can be seen.
        client.send(subscribe(1, "t", 1));
        client.take();
        publisher.send(publish("b/t", "x").qos1(5));
        assert_eq!(client.acknowledge_all().len(), 1);
    }
}

#[test] // [MQTT-3.9.3-2]
fn what_becomes_too_long_is_refused() {
    for version in VERSIONS {
        let desk = desk();
        let long = "x".repeat(65534);
        let client = desk.hello("c").version(version).at(A).connect();
        client.send(subscribe(1, &long, 1).and("t", 1));
        let refused = if version == V5 { Reason::TopicFilterInvalid.code() } else { 0x80 };
        client.expect([suback(1, [refused, 1])]);
        client.send(unsubscribe(2, [&long]));
        client.expect([unsuback(2, [Reason::NoSubscriptionExisted.code()])]);
        client.send(publish(&long, "x"));
        client.expect_end(Reason::TopicNameInvalid);
        let client = desk.hello("d").version(version).at(A).will(will(&long, "x")).send();
        assert!(client.is_closed());
        desk.hello("e").version(version).will(will(&long, "x")).connect();
    }
    let client = desk().hello("c").version(V311).at(A).connect();
    client.send(publish("x".repeat(65533).as_str(), "x"));
    assert!(!client.is_closed());
}

#[test]
fn the_brokers_own_topics_are_out_of_sight() {
    let desk = desk();
    let mut whole = desk.client("w");
    whole.subscribe("a/#", 0);
    let client = desk.hello("c").at(A).connect();
    client.send(publish("$SYS/broker/uptime", "x").qos1(1));
    client.expect([puback(1)]);
    whole.expect([publish("a/$SYS/broker/uptime", "x")]);
}

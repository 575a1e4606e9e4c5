//! Retained messages.

use noctule_broker::metric::Metric;
use noctule_broker::record::Table;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::QoS;
use noctule_protocol::property::Property;

use crate::desk::*;

#[test] // [MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT-3.3.1-9] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8] [MQTT311-3.3.1-12]
fn a_new_subscription_gets_the_last_retained_message_of_each_topic() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client_of(version, "p");
        publisher.send_all([
            publish("a", "old").retained(),
            publish("a", "new").retained(),
            publish("a", "live"),
            publish("b/c", "1").retained(),
            publish("$x/y", "2").retained(),
        ]);
        let mut client = desk.client_of(version, "s");
        client.subscribe("#", 0);
        client.expect([publish("a", "new").retained(), publish("b/c", "1").retained()]);
        client.subscribe("b/+", 0);
        client.expect([publish("b/c", "1").retained()]);
        client.subscribe("$x/#", 0); // [MQTT-4.7.2-1]
        client.expect([publish("$x/y", "2").retained()]);
        client.subscribe("nothing", 0);
        client.expect_nothing();
    }
}

#[test] // [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]
fn an_empty_payload_clears_and_is_passed_on_and_never_stored() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("t", "x").retained(), publish("u", "x").retained()]);
        let mut client = desk.client_of(version, "s");
        client.subscribe("t", 0);
        client.expect([publish("t", "x").retained()]);
        publisher.send_all([publish("t", "").retained(), publish("never/set", "").retained()]);
        client.expect([publish("t", "")]);
        assert_eq!(desk.retained_count(), 1);
        assert_eq!(desk.disk(|disk| disk.retained.len()), 1);
        client.subscribe("t", 0);
        client.expect_nothing();
    }
}

#[test] // [MQTT311-3.3.1-7]
fn qos_0_replaces_a_higher_one() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("t", "1").qos1(1).retained(), publish("t", "0").retained()]);
        let mut client = desk.client_of(version, "s");
        client.subscribe("t", 2);
        client.expect([publish("t", "0").retained()]);
    }
}

#[test] // [MQTT311-3.1.2-7]; section 3.1.2.4 of 5.0
fn they_outlive_the_session_that_published_them() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client_of(version, "p");
        publisher.send(publish("t", "x").retained());
        publisher.send(disconnect());
        let mut client = desk.client_of(version, "s");
        client.subscribe("t", 0);
        client.expect([publish("t", "x").retained()]);
    }
}

#[test] // [MQTT-3.8.4-8] [MQTT311-3.8.4-6]
fn delivered_at_the_lower_qos_and_acknowledged() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "x").qos2(1).retained(), pubrel(1)]);
        for granted in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut client = desk.client_of(version, "s");
            client.subscribe("t", granted.level());
            client.expect([publish("t", "x").at(granted, 1).retained()]);
        }
    }
}

#[test] // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT311-3.8.4-3]
fn retain_handling() {
    let desk = Desk::new();
    desk.client("p").send(publish("t", "x").retained());
    let mut client = desk.client("a");
    let expected = || publish("t", "x").retained();
    client.subscribe("t", qos(0).retain_handling(NEVER_AGAIN));
    client.expect_nothing();
    client.subscribe("t", qos(0).retain_handling(IF_NEW));
    client.expect_nothing();
    client.subscribe("t", 0);
    client.expect([expected()]);
    client.send(unsubscribe(1, ["t"]));
    client.expect([unsuback(1, [0])]);
    client.subscribe("t", qos(0).retain_handling(IF_NEW));
    client.expect([expected()]);
    // A resumed session has its subscription already.
    let hello = desk.hello("b").lasting();
    hello.connect().subscribe("t", 0);
    let mut client = hello.connect();
    client.subscribe("t", qos(0).retain_handling(IF_NEW));
    client.expect_nothing();
    // 3.x gets them with every SUBSCRIBE.
    for version in [V31, V311] {
        let mut client = desk.client_of(version, "c");
        for _ in 0..2 {
            client.subscribe("t", 0);
            client.expect([expected()]);
        }
    }
}

#[test] // Section 4.8.2
fn shared_subscriptions_get_none() {
    let desk = Desk::new();
    desk.client("p").send(publish("t", "x").retained());
    let mut client = desk.client("a");
    client.subscribe("$share/g/t", 0);
    client.expect_nothing();
}

#[test] // [MQTT-3.8.3-3]
fn no_local_covers_retained_messages() {
    let desk = Desk::new();
    let mut client = desk.client("a");
    client.send(publish("t", "mine").retained());
    client.subscribe("t", qos(0).no_local());
    client.expect_nothing();
    desk.client("b").send(publish("t", "other").retained());
    client.expect([publish("t", "other")]);
    client.subscribe("t", qos(0).no_local());
    client.expect([publish("t", "other").retained()]);
}

#[test] // [MQTT-3.3.4-3]
fn the_subscription_identifier_travels_with_them() {
    let desk = Desk::new();
    desk.client("p").send(publish("t", "x").retained());
    let client = desk.client("a");
    client.send(subscribe(1, "t", 0).with(Property::SubscriptionIdentifier(7)));
    let expected = publish("t", "x").retained().with(Property::SubscriptionIdentifier(7));
    client.expect([suback(1, [0]), expected]);
}

#[test]
fn many_filters_of_one_subscribe_are_answered_before_their_messages() {
    let desk = Desk::new();
    desk.client("p").send_all([publish("a", "1").retained(), publish("b", "2").retained()]);
    let client = desk.client("s");
    client.send(subscribe(1, "b", 0).and("+", 0));
    client.expect([
        suback(1, [0, 0]),
        publish("b", "2").retained(),
        publish("a", "1").retained(),
        publish("b", "2").retained(),
    ]);
}

#[test]
fn live_messages_do_not_overtake_the_replay() {
    for level in [0, 1, 2] {
        let desk = Desk::new();
        let publisher = desk.client("p");
        let qos = QoS::from_level(level).unwrap();
        for n in 1..=5 {
            publisher.send_all([publish(&format!("t/{n}"), "old").qos1(n).retained()]);
        }
        let mut client = desk.hello("s").receive_maximum(1).connect();
        client.subscribe("t/+", 2);
        publisher.send_all([publish("t/5", "live").at(qos, 9), pubrel(9)]);
        publisher.send_all([publish("t/5", "newer").retained().at(qos, 10), pubrel(10)]);
        let of_5: Vec<_> =
            client.acknowledge_all().iter().filter(|p| p.topic == "t/5").map(Wire::text).collect();
        assert_eq!(of_5, ["old", "live", "newer"], "QoS {level}");
        assert_eq!(desk.drops(), []);
    }
}

#[test]
fn live_qos_0_behind_a_replay_is_bounded() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 1000);
    let publisher = desk.client("p");
    publisher.send_all([publish("t/1", "old").qos1(1).retained(), publish("t/2", "old").qos1(2).retained()]);
    let mut client = desk.hello("s").receive_maximum(1).connect();
    client.subscribe("t/+", 1);
    for _ in 0..20 {
        publisher.send(publish("t/1", [b'x'; 100]));
    }
    // What a message costs beside its payload counts too.
    let received = client.acknowledge_all().len();
    assert!((2 + 1..2 + 10).contains(&received), "{received}");
    assert_eq!(desk.drops(), [(Metric::DroppedOutboxFull, 22 - received as u64)]);
    // Afterwards all is as before.
    publisher.send(publish("t/1", "live"));
    client.expect_payloads(["live"]);
}

#[test]
fn a_replay_goes_on_after_the_connection_was_lost() {
    for version in [V311, V5] {
        let desk = Desk::with(|settings| settings.max_inflight_messages = 2);
        let publisher = desk.client_of(V311, "p");
        publisher.send_all((1..=5).map(|n| publish(&format!("t/{n}"), "x").qos1(n).retained()));
        let hello = desk.hello("s").version(version).lasting();
        let mut client = hello.connect();
        client.subscribe("#", 1);
        client.lose();
        client.take();
        let client = hello.connect();
        let received = client.acknowledge_all();
        assert_eq!(received.iter().filter(|packet| packet.dup).count(), 2);
        assert_eq!(received.len(), 5);
        assert!(received.iter().all(|packet| packet.flag));
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn replays_do_not_count_as_queued() {
    let desk = Desk::with(|settings| {
        settings.max_queued_messages = 1;
        settings.max_inflight_messages = 1;
    });
    let publisher = desk.client("p");
    for n in 1..=5 {
        publisher.send(publish(&format!("t/{n}"), "x").qos1(n).retained());
    }
    let mut client = desk.client("s");
    client.subscribe("#", 1);
    publisher.send(publish("t/1", "live").qos1(9));
    assert_eq!(client.acknowledge_all().len(), 6);
    assert_eq!(desk.drops(), []);
}

#[test]
fn who_subscribes_again_and_again_leaves_no_rows_behind() {
    let desk = Desk::new();
    let mut away = desk.hello("away").lasting().connect();
    away.subscribe("t", 1);
    away.lose();
    desk.client("p").send(publish("t", "x").qos1(1).retained());
    let rows = |desk: &Desk| desk.disk_rows(&Table::ALL);
    let mut client = desk.hello("s").lasting().connect();
    client.subscribe("t", 1);
    client.acknowledge_all();
    let before = rows(&desk);
    for level in [1, 2, 1, 2] {
        client.subscribe("t", level);
        assert_eq!(client.acknowledge_all().len(), 1);
    }
    assert_eq!(rows(&desk), before);
    assert_eq!(desk.hello("away").lasting().connect().acknowledge_all().len(), 1);
    assert!(desk.disk(Stored::is_settled));
}

#[test] // [MQTT-3.3.1-5]
fn a_message_that_expires_before_pubrel_replaces_what_was_retained() {
    let desk = Desk::new();
    let publisher = desk.client("p");
    publisher.send(publish("t", "old").retained());
    let expiry = Property::MessageExpiryInterval(1);
    publisher.send(publish("t", "new").qos2(1).retained().with(expiry));
    desk.sleep(2.0);
    publisher.send(pubrel(1));
    publisher.expect([pubrec(1), pubcomp(1)]);
    assert_eq!(desk.retained_count(), 0);
}

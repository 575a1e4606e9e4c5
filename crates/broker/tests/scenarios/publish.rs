//! PUBLISH: who gets it, at which QoS, with what; and how it is acknowledged.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::{V5, V311};
use noctule_protocol::QoS::{self, AtLeastOnce, AtMostOnce, ExactlyOnce};
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

const LEVELS: [QoS; 3] = [AtMostOnce, AtLeastOnce, ExactlyOnce];

/// Publishes at any level and finishes the exchange.
fn publish_at(client: &Client, qos: QoS, payload: &str) {
    client.send(publish("t", payload).at(qos, 9));
    match qos {
        AtMostOnce => client.expect_nothing(),
        AtLeastOnce => client.expect([puback(9)]),
        ExactlyOnce => {
            client.expect([pubrec(9)]);
            client.send(pubrel(9));
            client.expect([pubcomp(9)]);
        }
    }
}

#[test] // [MQTT-3.8.4-8] [MQTT311-3.8.4-6] [MQTT-3.3.4-1] [MQTT311-3.3.4-1] [MQTT311-2.3.1-4] [MQTT311-2.3.1-5] [MQTT-2.2.1-2] [MQTT311-2.3.1-6] [MQTT311-4.3.1-1]
fn delivered_at_the_lower_of_published_and_granted() {
    for version in VERSIONS {
        for published in LEVELS {
            for granted in LEVELS {
                let desk = Desk::new();
                let mut subscriber = desk.client_of(version, "s");
                subscriber.subscribe("t", granted.level());
                publish_at(&desk.client_of(version, "p"), published, "x");
                // [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]: DUP 0, and [MQTT-2.2.1-4]: an identifier.
                subscriber.expect([publish("t", "x").at(published.min(granted), 1)]);
            }
        }
    }
}

#[test]
fn upgrade_outgoing_qos_delivers_at_the_granted_level() {
    let desk = Desk::with(|settings| settings.upgrade_outgoing_qos = true);
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 2);
    publish_at(&desk.client("p"), AtMostOnce, "x");
    subscriber.expect([publish("t", "x").qos2(1)]);
}

#[test] // [MQTT-4.3.2-4] [MQTT311-4.3.2-2] [MQTT-2.2.1-5]
fn puback_says_whether_anybody_matched() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.client_of(version, "p");
        publisher.send(publish("t", "x").qos1(7));
        // 3.x has no words for it.
        publisher.expect([puback(7).reason(Reason::NoMatchingSubscribers)]);
        // Retained, and nobody matches all the same.
        publisher.send(publish("t", "x").qos1(7).retained());
        publisher.expect([puback(7).reason(Reason::NoMatchingSubscribers)]);
        desk.client("s").subscribe("t", 0);
        publisher.send(publish("t", "x").qos1(7));
        publisher.expect([puback(7)]);
    }
}

#[test]
fn the_shortest_form_is_sent() {
    let desk = Desk::new();
    let client = desk.client("p");
    client.send(publish("t", "x").qos1(258));
    assert_eq!(client.take_bytes(), [0x40, 3, 1, 2, 0x10]);
    client.send(publish("t", "x").qos2(258));
    assert_eq!(client.take_bytes(), [0x50, 2, 1, 2]);
    client.send(pubrel(258));
    assert_eq!(client.take_bytes(), [0x70, 2, 1, 2]);
    client.send(pingreq());
    assert_eq!(client.take_bytes(), [0xD0, 0]); // [MQTT-3.12.4-1]
}

#[test] // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
fn properties_are_passed_on_unaltered_and_in_order() {
    let desk = Desk::new();
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 2);
    let mut old = desk.client_of(V311, "old");
    old.subscribe("t", 2);
    let message = publish("t", "x")
        .with(Property::UserProperty("b", "1"))
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::UserProperty("a", "2"))
        .with(Property::ContentType("text/plain"))
        .with(Property::ResponseTopic("back/here"))
        .with(Property::UserProperty("b", "1"))
        .with(Property::CorrelationData(b"\0\xFF"));
    let publisher = desk.client("p");
    publisher.send(message.clone());
    subscriber.expect([message.clone()]);
    old.expect([publish("t", "x")]);
    // The same through a queue, a retained message and QoS 2.
    publisher.send_all([message.clone().qos2(1).retained(), pubrel(1)]);
    subscriber.expect([message.clone().qos2(1)]);
    let mut late = desk.client("late");
    late.subscribe("t", 1);
    late.expect([message.qos1(1).retained()]);
}

#[test] // [MQTT-3.3.4-6]
fn a_client_tells_no_subscription_identifier() {
    let desk = Desk::new();
    let client = desk.client("p");
    client.send(publish("t", "x").with(Property::SubscriptionIdentifier(3)));
    client.expect_end(Reason::ProtocolError);
}

#[test] // [MQTT-3.3.1-3] [MQTT311-3.3.1-3]
fn dup_is_not_passed_on() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("t", 2);
        desk.client_of(version, "p").send(publish("t", "x").qos1(4).dup());
        subscriber.expect([publish("t", "x").qos1(1)]);
    }
}

#[test] // [MQTT-4.3.2-5] [MQTT311-4.3.2-2]
fn a_qos_1_identifier_means_a_new_message_each_time() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client("s");
        subscriber.subscribe("t", 0);
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("t", "1").qos1(5), publish("t", "1").qos1(5).dup()]);
        publisher.expect([puback(5), puback(5)]);
        subscriber.expect_payloads(["1", "1"]);
    }
}

#[test] // [MQTT-3.3.2-3] [MQTT-4.7.3-4] [MQTT311-4.7.3-4] [MQTT311-3.3.2-3]
fn topics_are_compared_byte_by_byte() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("a/É/+", 0);
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("a/É/", "1"), publish("a/É/x", "2"), publish("A/É/x", "3")]);
        publisher.send(publish("a/E\u{301}/x", "4"));
        subscriber.expect_payloads(["1", "2"]);
    }
}

#[test] // [MQTT-3.3.2-1] [MQTT311-3.3.2-1] [MQTT-3.3.2-2] [MQTT311-3.3.2-2] [MQTT-4.7.3-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.0-1] [MQTT-4.7.3-2] [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2]
fn bad_topic_names_end_the_connection() {
    for version in VERSIONS {
        for topic in [&b"a/+"[..], b"#", b"a\0", b"\xFF", b"\xED\xA0\x80", b""] {
            let desk = Desk::new();
            let client = desk.client_of(version, "p");
            let mut bytes = vec![0x30, topic.len() as u8 + 2 + u8::from(version == V5), 0, topic.len() as u8];
            bytes.extend(topic);
            if version == V5 {
                bytes.push(0);
            }
            client.send_bytes(&bytes);
            let reason = if topic.is_empty() { Reason::ProtocolError } else { Reason::MalformedPacket };
            client.expect_end(reason);
        }
    }
}

#[test] // [MQTT-4.7.3-3] [MQTT311-4.7.3-3]
fn topics_and_filters_have_up_to_65535_bytes() {
    let longest = "t".repeat(65_535);
    for version in VERSIONS {
        let mut client = Desk::new().client_of(version, "a");
        client.subscribe(&longest, 0);
        client.send(publish(&longest, "x"));
        client.expect([publish(&longest, "x")]);
    }
}

#[test] // [MQTT-3.3.1-4] [MQTT311-3.3.1-4] [MQTT-3.3.1-2] [MQTT-2.2.1-3] [MQTT311-2.3.1-1] [MQTT311-3.3.1-2]
fn impossible_headers_end_the_connection() {
    for version in VERSIONS {
        let tail: &[u8] = if version == V5 { &[0] } else { &[] };
        // QoS 3; DUP with QoS 0; identifier 0.
        for head in [&[0x36, 5, 0, 1, b't', 0, 1][..], &[0x38, 3, 0, 1, b't'], &[0x32, 5, 0, 1, b't', 0, 0]] {
            let desk = Desk::new();
            let client = desk.client_of(version, "p");
            let mut bytes = [head, tail].concat();
            bytes[1] += tail.len() as u8;
            client.send_bytes(&bytes);
            client.expect_end(Reason::MalformedPacket);
        }
    }
}

#[test] // [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.14.1-1] [MQTT311-2.2.2-2] [MQTT311-3.6.1-1] [MQTT311-3.14.1-1] [MQTT-3.15.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT311-3.8.1-1] [MQTT311-3.10.1-1]
fn wrong_flags_end_the_connection() {
    for version in VERSIONS {
        let broken: [&[u8]; 7] = [
            &[0x60, 2, 0, 1],
            &[0x41, 2, 0, 1],
            &[0xC1, 0],
            &[0xE1, 0],
            &[0xF1, 0],
            &[0x80, 6, 0, 1, 0, 1, b't', 0],
            &[0xA0, 5, 0, 1, 0, 1, b't'],
        ];
        for bytes in broken {
            let desk = Desk::new();
            let mut watcher = desk.client("watcher");
            watcher.subscribe("gone", 0);
            let client = desk.hello("a").version(version).will(will("gone", "a")).connect();
            client.send_bytes(bytes);
            client.expect_end(Reason::MalformedPacket);
            watcher.expect([publish("gone", "a")]);
        }
    }
}

#[test] // [MQTT311-3.3.5-2]
fn what_nobody_may_publish_is_refused_or_swallowed() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client("s");
        subscriber.subscribe("$SYS/#", 0);
        subscriber.subscribe("$CONTROL/#", 0);
        let client = desk.client_of(version, "p");
        client
            .send_all([publish("$SYS/broker/uptime", "0"), publish("$CONTROL/x/v1", "0").qos1(3).retained()]);
        client.expect([puback(3).reason(Reason::NotAuthorized)]);
        client.send(publish("$SYS/x", "0").qos2(4));
        client.expect([pubrec(4).reason(Reason::NotAuthorized)]);
        // 5.0: the exchange has ended. 3.x goes on and is answered.
        client.send(pubrel(4));
        client.expect([pubcomp(4)]);
        assert!(!client.is_closed());
        subscriber.expect_nothing();
        assert_eq!(desk.retained_count(), 0);
        assert_eq!(desk.drops(), [(Metric::DroppedDenied, 3)]);
    }
}

#[test] // [MQTT-3.2.2-11] [MQTT-3.2.2-10]
fn more_than_maximum_qos_ends_the_connection() {
    let desk = Desk::with(|settings| settings.listeners[0].maximum_qos = AtLeastOnce);
    for version in VERSIONS {
        let mut client = desk.client_of(version, "p");
        client.send(subscribe(1, "t", 2));
        client.expect([suback(1, [1])]);
        client.subscribe("u", 1);
        client.send(publish("t", "x").qos2(1));
        client.expect_end(Reason::QoSNotSupported);
    }
}

#[test] // [MQTT-3.2.2-14]
fn retain_where_it_is_not_available_ends_the_connection() {
    let desk = Desk::with(|settings| settings.retain_available = false);
    for version in VERSIONS {
        let client = desk.client_of(version, "p");
        client.send(publish("t", "x").retained());
        client.expect_end(Reason::RetainNotSupported);
    }
    assert_eq!(desk.retained_count(), 0);
}

#[test] // [MQTT-4.6.0-5] [MQTT311-4.6.0-2] [MQTT311-4.6.0-6] [MQTT-4.6.0-6] [MQTT311-4.6.0-5]
fn order_is_kept() {
    for version in VERSIONS {
        for granted in LEVELS {
            let desk = Desk::with(|settings| settings.max_inflight_messages = 3);
            let mut subscriber = desk.client_of(version, "s");
            subscriber.subscribe("#", granted.level());
            let publisher = desk.client_of(version, "p");
            let numbers = 0..50_u16;
            publisher.send_all(numbers.clone().map(|n| publish("t", n.to_string()).qos1(n + 1)));
            let answers: Vec<u16> = publisher.take().iter().map(|packet| packet.id).collect();
            assert_eq!(answers, (1..=50).collect::<Vec<_>>());
            let payloads: Vec<_> = subscriber.acknowledge_all().iter().map(Wire::text).collect();
            assert_eq!(payloads, numbers.map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}

#[test] // [MQTT-4.5.0-1] [MQTT-3.8.4-8]
fn one_publish_reaches_many() {
    let desk = Desk::new();
    let mut subscribers: Vec<_> = (0..100).map(|n| desk.client(&format!("s{n}"))).collect();
    for (n, subscriber) in subscribers.iter_mut().enumerate() {
        subscriber.subscribe("t", (n % 3) as u8);
    }
    desk.client("p").send_all([publish("t", "x").qos2(1), pubrel(1)]);
    for (n, subscriber) in subscribers.iter().enumerate() {
        subscriber.expect([publish("t", "x").at(LEVELS[n % 3], 1)]);
    }
    assert_eq!(desk.metric(Metric::PublishSent), 100);
    assert_eq!(desk.drops(), []);
}

#[test]
fn a_client_gets_its_own_message() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe("t", 1);
        client.send(publish("t", "x").qos1(3));
        client.expect([publish("t", "x").qos1(1), puback(3)]);
    }
}

#[test]
fn an_empty_payload_is_a_message() {
    let desk = Desk::new();
    let mut client = desk.client("a");
    client.subscribe("t", 1);
    client.send(publish("t", ""));
    client.expect([publish("t", "")]);
}

// ---- what waits for the disk -------------------------------------------------------------------------

#[test]
fn a_puback_waits_until_lasting_recipients_are_on_the_disk_and_deliveries_do_not() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.hello("s").version(version).lasting().connect();
        subscriber.subscribe("t", 1);
        let publisher = desk.client_of(version, "p");
        desk.hold_batches();
        publisher.send(publish("t", "x").qos1(1));
        publisher.expect_nothing();
        subscriber.expect([publish("t", "x").qos1(1)]);
        assert_eq!(desk.waiting_batches(), [true]);
        desk.durable();
        publisher.expect([puback(1)]);
        assert_eq!(desk.disk(|disk| disk.messages.len()), 1);
        // The acknowledgement is written some time.
        subscriber.send(puback(1));
        assert_eq!(desk.waiting_batches(), [false]);
        desk.durable();
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn what_only_lives_in_clean_sessions_never_touches_the_disk() {
    let desk = Desk::new();
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    desk.hold_batches();
    for qos in LEVELS {
        publish_at(&publisher, qos, "x");
    }
    assert_eq!(subscriber.acknowledge_all().len(), 3);
    desk.hello("l").expiry(0).connect().lose();
    assert_eq!(desk.waiting_batches(), []);
}

#[test]
fn qos_0_to_a_lasting_session_never_touches_the_disk() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 0);
    desk.hold_batches();
    let publisher = desk.client("p");
    for qos in LEVELS {
        publish_at(&publisher, qos, "x");
    }
    subscriber.expect_payloads(["x", "x", "x"]);
    assert_eq!(desk.waiting_batches(), []);
}

#[test] // [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]
fn answers_keep_their_order_around_one_that_waits() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.hello("s").lasting().connect();
        subscriber.subscribe("lasting", 1);
        let mut other = desk.client("o");
        other.subscribe("fast", 1);
        let publisher = desk.client_of(version, "p");
        desk.hold_batches();
        publisher.send(publish("fast", "1").qos1(1));
        publisher.expect([puback(1)]);
        publisher.send(publish("lasting", "2").qos1(2));
        publisher.send_all([publish("fast", "3").qos1(3), pingreq(), publish("fast", "4").qos2(4)]);
        publisher.send(subscribe(5, "x", 0));
        publisher.expect_nothing();
        desk.durable();
        publisher.expect([puback(2), puback(3), pingresp(), pubrec(4), suback(5, [0])]);
        // And two that wait for different batches.
        publisher.send(publish("lasting", "6").qos1(6));
        publisher.send(publish("lasting", "7").qos1(7));
        assert_eq!(desk.waiting_batches(), [true, true]);
        desk.durable();
        publisher.expect([puback(6), puback(7)]);
    }
}

#[test]
fn a_message_is_stored_once_for_all_recipients_and_deleted_with_the_last() {
    let desk = Desk::new();
    let mut subscribers = ["a", "b", "c"].map(|id| desk.hello(id).lasting().connect());
    for subscriber in &mut subscribers {
        subscriber.subscribe("t", 1);
    }
    subscribers[2].lose();
    desk.client("p").send(publish("t", "x").qos1(1));
    let open = || desk.disk(|disk| disk.messages.clone());
    assert_eq!(open(), [3]);
    subscribers[0].acknowledge_all();
    // Nobody waits for it, so it is stored a little later.
    assert_eq!(open(), [3]);
    desk.sleep(0.6);
    assert_eq!(open(), [2]);
    desk.hello("c").connect(); // Clean Start: its session ends.
    assert_eq!(open(), [1]);
    subscribers[1].acknowledge_all();
    assert_eq!(open(), [0; 0]);
}

#[test]
fn a_retained_qos_1_message_is_durable_before_its_puback_and_qos_0_waits_for_nobody() {
    let desk = Desk::new();
    let client = desk.client("p");
    desk.hold_batches();
    client.send(publish("t", "x").retained());
    assert_eq!(desk.waiting_batches(), [false]);
    client.send(publish("t", "y").qos1(1).retained());
    assert_eq!(desk.waiting_batches(), [false, true]);
    client.expect_nothing();
    desk.durable();
    client.expect([puback(1).reason(Reason::NoMatchingSubscribers)]);
    assert_eq!(
        desk.disk(|disk| disk.retained.clone()).into_iter().collect::<Vec<_>>(),
        [("t".into(), b"y".into())]
    );
}

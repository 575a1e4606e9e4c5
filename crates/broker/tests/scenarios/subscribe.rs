//! SUBSCRIBE and UNSUBSCRIBE.

use noctule_broker::{LogLevel, LogLevels};
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

#[test] // [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1] [MQTT-2.2.1-6] [MQTT311-2.3.1-7] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2]
fn one_suback_with_a_code_per_filter_in_order() {
    for version in VERSIONS {
        let desk = Desk::new();
        let client = desk.client_of(version, "a");
        client.send(subscribe(513, "a", 2).and("b/+", 0).and("#", 1).and("a", 0));
        client.expect([suback(513, [2, 0, 1, 0])]);
        assert_eq!(desk.subscription_count(), 3);
        // The last one for "a" stands.
        client.send(publish("a", "x").qos1(1));
        let mut levels: Vec<_> =
            client.take().iter().filter(|p| p.is_publish()).map(|p| p.qos.level()).collect();
        levels.sort_unstable();
        assert_eq!(levels, [0, 1]);
    }
}

#[test] // [MQTT-3.8.4-3] [MQTT311-3.8.4-3]
fn the_same_filter_replaces_and_loses_nothing() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe("t/+", 2);
        let publisher = desk.client("p");
        publisher.send(publish("t/1", "1").qos1(1));
        client.send(subscribe(3, "t/+", 0));
        publisher.send(publish("t/1", "2").qos1(2));
        client.expect([publish("t/1", "1").qos1(1), suback(3, [0]), publish("t/1", "2")]);
        assert_eq!(desk.subscription_count(), 1);
    }
}

#[test] // [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT311-4.7.2-1]
fn wildcards() {
    let table = [
        ("sport/#", "sport", true),
        ("sport/#", "sport/tennis/player1", true),
        ("sport/+", "sport/tennis", true),
        ("sport/+", "sport", false),
        ("sport/+", "sport/a/b", false),
        ("+/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "a/b", true),
        ("#", "$x/b", false),
        ("+/b", "$x/b", false),
        ("$x/#", "$x/b", true),
        ("$x/+", "$x/b", true),
        ("a/#", "$x/b", false),
        ("a/+/c/#", "a/b/c", true),
        ("/", "/", true),
    ];
    for (version, (filter, topic, expected)) in VERSIONS.into_iter().flat_map(|v| table.map(|row| (v, row))) {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe(filter, 0);
        // Twice, and once more: the route is remembered on the way.
        for _ in 0..3 {
            client.send(publish(topic, "x"));
            assert_eq!(client.take().len(), usize::from(expected), "{filter} {topic}");
        }
    }
}

#[test] // [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT311-3.10.4-4] [MQTT311-3.10.4-5] [MQTT311-3.10.4-6] [MQTT311-3.10.4-2]
fn one_unsuback_with_a_code_per_filter() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe("a/+", 1);
        client.subscribe("b", 1);
        let nothing = Reason::NoSubscriptionExisted.code();
        // [MQTT-3.10.4-1] [MQTT311-3.10.4-1]: compared literally, so "a/b" is another filter.
        client.send(unsubscribe(9, ["a/b", "a/+", "a/+", "b"]));
        client.expect([unsuback(9, [nothing, 0, nothing, 0])]);
        assert_eq!(desk.subscription_count(), 0);
        client.send_all([publish("a/b", "x"), publish("b", "x")]); // [MQTT-3.10.4-2]
        client.expect_nothing();
    }
}

#[test] // [MQTT-3.10.4-3] [MQTT311-3.10.4-3]
fn started_deliveries_are_finished_after_unsubscribe() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.max_inflight_messages = 1);
        let mut client = desk.client_of(version, "a");
        client.subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos1(2)]);
        client.send(unsubscribe(9, ["t"]));
        client.expect([publish("t", "1").qos1(1), unsuback(9, [0])]);
        client.send(puback(1));
        client.expect([publish("t", "2").qos1(2)]);
    }
}

#[test] // [MQTT-3.8.3-3]
fn no_local_keeps_a_clients_own_messages_away() {
    let desk = Desk::new();
    let mut client = desk.client("a");
    client.subscribe("t", qos(1).no_local());
    client.send(publish("t", "mine").qos1(1));
    client.expect([puback(1)]); // There is a subscriber, though it gets nothing.
    desk.client("b").send(publish("t", "other").qos1(1));
    client.expect([publish("t", "other").qos1(1)]);
}

#[test] // [MQTT-3.8.3-3]
fn no_local_holds_after_the_session_was_resumed() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut client = hello.connect();
    client.subscribe("t", qos(1).no_local());
    client.lose();
    let client = hello.connect();
    client.send(publish("t", "mine"));
    client.expect_nothing();
}

#[test] // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-9]
fn retain_as_published() {
    let desk = Desk::new();
    let mut plain = desk.client("a");
    plain.subscribe("t", 0);
    let mut keeping = desk.client("b");
    keeping.subscribe("t", qos(0).retain_as_published());
    let mut old = desk.client_of(V311, "c");
    old.subscribe("t", 0);
    desk.client("p").send_all([publish("t", "1").retained(), publish("t", "2")]);
    plain.expect([publish("t", "1"), publish("t", "2")]);
    keeping.expect([publish("t", "1").retained(), publish("t", "2")]);
    old.expect([publish("t", "1"), publish("t", "2")]);
}

#[test] // [MQTT-3.3.4-3]
fn identifiers_travel_with_their_subscription() {
    let desk = Desk::new();
    let client = desk.client("a");
    let id = Property::SubscriptionIdentifier;
    client.send(subscribe(1, "t", 1).with(id(268_435_455)));
    client.send(subscribe(2, "u", 1).with(id(1)).and("v", 1));
    client.expect([suback(1, [1]), suback(2, [1, 1])]);
    client.send_all([publish("t", "x"), publish("u", "x"), publish("v", "x")]);
    client.expect([
        publish("t", "x").with(id(268_435_455)),
        publish("u", "x").with(id(1)),
        publish("v", "x").with(id(1)),
    ]);
    // Replaced, also by none.
    client.send(subscribe(3, "t", 1).with(id(2)));
    client.send(subscribe(4, "u", 1));
    client.expect([suback(3, [1]), suback(4, [1])]);
    client.send_all([publish("t", "x"), publish("u", "x")]);
    client.expect([publish("t", "x").with(id(2)), publish("u", "x")]);
}

#[test]
fn properties_of_a_delivery_stand_in_mosquittos_order() {
    let desk = Desk::new();
    let client = desk.hello("a").with(Property::TopicAliasMaximum(1)).connect();
    client.send(subscribe(1, "t", 1).with(Property::SubscriptionIdentifier(3)));
    client.expect([suback(1, [1])]);
    let user = Property::UserProperty("k", "v");
    client.send(publish("t", "x").with(Property::MessageExpiryInterval(60)).with(user));
    let expected = publish("t", "x")
        .with(user)
        .with(Property::MessageExpiryInterval(60))
        .with(Property::TopicAlias(1))
        .with(Property::SubscriptionIdentifier(3));
    client.expect([expected]);
}

/// A SUBSCRIBE with this filter and option byte.
fn raw_subscribe(version: noctule_protocol::ProtocolVersion, filter: &[u8], options: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == V5 {
        body.push(0);
    }
    body.extend((filter.len() as u16).to_be_bytes());
    body.extend(filter);
    body.push(options);
    [&[0x82, body.len() as u8][..], &body].concat()
}

#[test] // [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT311-4.7.3-1] [MQTT311-4.7.3-2] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-3.8.3-1] [MQTT311-3.8.3-1]
fn bad_filters_end_the_connection() {
    let bad: [&[u8]; 13] = [
        b"",
        b"a#",
        b"a/#/b",
        b"+a",
        b"a\0",
        b"\xFF",
        b"$share/",
        b"$share/g",
        b"$share/g/",
        b"$share//a",
        b"$share/+/a",
        b"$share/g#/a",
        b"$share/g/a#",
    ];
    for version in VERSIONS {
        for filter in bad {
            let client = Desk::new().client_of(version, "a");
            client.send_bytes(&raw_subscribe(version, filter, 0));
            client.expect_end(Reason::MalformedPacket);
        }
    }
}

#[test] // [MQTT-3.8.3-4] [MQTT-3.8.3-5] [MQTT311-3.8.3-4]
fn bad_options_end_the_connection() {
    let table = [
        (V31, &b"t"[..], 0x04, Reason::MalformedPacket),
        (V311, b"t", 0x80, Reason::MalformedPacket),
        (V311, b"t", 0x03, Reason::ProtocolError),
        (V5, b"t", 0x03, Reason::ProtocolError),
        (V5, b"t", 0x30, Reason::ProtocolError),
        (V5, b"t", 0x40, Reason::MalformedPacket),
        (V5, b"t", 0x80, Reason::MalformedPacket),
        (V5, b"$share/g/t", 0x04, Reason::ProtocolError),
    ];
    for (version, filter, options, reason) in table {
        let desk = Desk::new();
        let client = desk.client_of(version, "a");
        client.send_bytes(&raw_subscribe(version, filter, options));
        client.expect_end(reason);
        assert_eq!(desk.subscription_count(), 0);
    }
}

#[test] // [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT-2.2.1-3] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2] [MQTT311-2.3.1-1]
fn packets_without_filters_or_identifiers_end_the_connection() {
    for version in VERSIONS {
        let properties: &[u8] = if version == V5 { &[0] } else { &[] };
        for (first, id, filter, reason) in [
            (0x82, 1, &b""[..], Reason::ProtocolError),
            (0xA2, 1, b"", Reason::ProtocolError),
            (0x82, 0, b"\0\x01t\0", Reason::MalformedPacket),
            (0xA2, 0, b"\0\x01t", Reason::MalformedPacket),
        ] {
            let client = Desk::new().client_of(version, "a");
            let body = [&[0, id][..], properties, filter].concat();
            client.send_bytes(&[&[first, body.len() as u8][..], &body].concat());
            client.expect_end(reason);
        }
    }
}

#[test]
fn answers_of_a_lasting_session_wait_for_the_disk() {
    for version in VERSIONS {
        let desk = Desk::new();
        let client = desk.hello("a").version(version).lasting().connect();
        desk.hold_batches();
        client.send(subscribe(1, "t", 1).and("u", 0));
        client.expect_nothing();
        desk.durable();
        client.expect([suback(1, [1, 0])]);
        assert_eq!(desk.disk(|disk| disk.subscriptions.len()), 2);
        client.send(unsubscribe(2, ["t", "x"]));
        client.expect_nothing();
        desk.durable();
        client.expect([unsuback(2, [0, Reason::NoSubscriptionExisted.code()])]);
        assert_eq!(desk.disk(|disk| disk.subscriptions.len()), 1);
        // Nothing changes, nothing waits.
        client.send(unsubscribe(3, ["x"]));
        client.expect([unsuback(3, [Reason::NoSubscriptionExisted.code()])]);
    }
}

#[test] // [MQTT-3.1.2-24]
fn an_answer_the_client_cannot_take_ends_the_connection() {
    let desk = Desk::new();
    let client = desk.hello("a").maximum_packet_size(20).connect();
    let many = (0..20).fold(subscribe(1, "t", 0), |packet, n| packet.and(&format!("t/{n}"), 0));
    client.send(many.clone());
    client.expect_end(Reason::PacketTooLarge);
    let client = desk.hello("b").lasting().maximum_packet_size(20).connect();
    client.send(many);
    client.expect_end(Reason::PacketTooLarge);
}

#[test]
fn subscriptions_end_with_their_session() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe("t", 0);
        client.subscribe("$share/g/t", 0);
        assert_eq!(desk.subscription_count(), 2);
        client.lose();
        assert_eq!((desk.subscription_count(), desk.session_count()), (0, 0));
    }
}

#[test]
fn subscriptions_are_logged_as_mosquitto_does() {
    let levels = LogLevels::NONE.with(LogLevel::Subscribe).with(LogLevel::Unsubscribe);
    let desk = Desk::with(|settings| settings.log_levels = levels);
    let mut client = desk.client("a");
    desk.log();
    client.subscribe("t/#", 1);
    client.send(unsubscribe(3, ["t/#", "nothing"]));
    assert_eq!(desk.log(), ["a 1 t/#", "a t/#", "a nothing"]);
}

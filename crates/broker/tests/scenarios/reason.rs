//! Reason codes and Reason Strings.

use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

/// What a 5.0 client is told when it breaks a rule.
fn told(hello: &Hello) -> Wire {
    let client = hello.connect();
    client.send(pingresp());
    let told = client.take();
    assert!(client.is_closed());
    assert_eq!(told.len(), 1);
    told[0].clone()
}

#[test]
fn a_disconnect_says_why() {
    let desk = Desk::new();
    for hello in [desk.hello("a"), desk.hello("a").with(Property::RequestProblemInformation(1))] {
        let told = told(&hello);
        assert_eq!(told.code, Reason::ProtocolError.code());
        assert!(told.properties.reason_string().is_some_and(|why| !why.is_empty()));
        assert_eq!(told.properties.iter().count(), 1); // No Session Expiry Interval [MQTT-3.14.2-2].
    }
}

#[test] // [MQTT-3.14.4-1] [MQTT-3.14.4-2]
fn nothing_follows_a_disconnect() {
    let desk = Desk::new();
    let mut client = desk.client("a");
    client.subscribe("t", 1);
    client.send_all([pingresp(), pingreq(), publish("t", "mine")]);
    desk.client("b").send(publish("t", "x").qos1(1));
    client.expect_end(Reason::ProtocolError);
    client.expect_nothing();
}

#[test] // [MQTT-3.2.2-19] [MQTT-3.2.2-20]
fn a_connack_carries_neither_reason_string_nor_user_property() {
    let accepting = Desk::new();
    let refusing = Desk::with(|settings| settings.listeners[0].allow_anonymous = false);
    for (desk, code) in [(&accepting, 0), (&refusing, Reason::NotAuthorized.code())] {
        let connack = desk.hello("a").with(Property::RequestProblemInformation(1)).send().next().unwrap();
        assert_eq!(connack.code, code);
        let told = |property| matches!(property, Property::ReasonString(_) | Property::UserProperty(..));
        assert!(!connack.properties.iter().any(told), "{connack:?}");
    }
}

#[test] // Section 3.1.2.11.7
fn who_wants_no_problem_information_gets_the_code_only() {
    let desk = Desk::new();
    let told = told(&desk.hello("a").with(Property::RequestProblemInformation(0)));
    assert_eq!((told.code, told.properties.is_empty()), (Reason::ProtocolError.code(), true));
}

#[test] // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
fn a_reason_string_that_does_not_fit_is_left_out() {
    let desk = Desk::new();
    let full = told(&desk.hello("a")).encode(V5).len() as u32;
    assert!(!told(&desk.hello("a").maximum_packet_size(full)).properties.is_empty());
    let short = told(&desk.hello("a").maximum_packet_size(full - 1));
    assert_eq!((short.code, short.properties.is_empty()), (Reason::ProtocolError.code(), true));
}

#[test] // [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]
fn acknowledgements_carry_no_properties() {
    let desk = Desk::new();
    for wanted in [0, 1] {
        let client = desk.hello("a").with(Property::RequestProblemInformation(wanted)).connect();
        client.send_all([
            publish("$SYS/x", "").qos1(1),
            publish("$SYS/x", "").qos2(2),
            pubrel(3),
            pubrec(4),
            subscribe(5, "t", 0),
            unsubscribe(6, ["x"]),
        ]);
        let answers = client.take();
        assert_eq!(answers.len(), 6);
        assert!(answers.iter().all(|answer| answer.properties.is_empty()), "{answers:?}");
    }
}

#[test] // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
fn codes_that_a_packet_cannot_have_end_the_connection() {
    let desk = Desk::new();
    for (first, code) in [(0x40, 0x92), (0x50, 0x01), (0x62, 0x10), (0x70, 0x87), (0x40, 0x03), (0x40, 0xFF)]
    {
        let client = desk.client("a");
        client.send_bytes(&[first, 3, 0, 1, code]);
        client.expect_end(Reason::ProtocolError);
    }
}

#[test]
fn properties_out_of_place_end_the_connection() {
    let desk = Desk::new();
    let twice = publish("t", "").with(Property::ContentType("a")).with(Property::ContentType("b"));
    let cases = [
        (twice, Reason::ProtocolError),
        (publish("t", "").with(Property::ReceiveMaximum(1)), Reason::MalformedPacket),
        (publish("t", "").with(Property::PayloadFormatIndicator(2)), Reason::ProtocolError),
        // [MQTT-3.3.2-14]
        (publish("t", "").with(Property::ResponseTopic("a/+")), Reason::ProtocolError),
        (subscribe(1, "t", 0).with(Property::SubscriptionIdentifier(0)), Reason::ProtocolError),
        (puback(1).with(Property::TopicAlias(1)), Reason::MalformedPacket),
    ];
    for (packet, reason) in cases {
        let client = desk.client("a");
        client.send(packet);
        client.expect_end(reason);
    }
}

#[test] // [MQTT-1.5.4-3] [MQTT311-1.5.3-3]
fn a_byte_order_mark_is_a_character() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "\u{FEFF}a");
        client.subscribe("\u{FEFF}t", 0);
        client.send_all([publish("\u{FEFF}t", "1"), publish("t", "2")]);
        client.expect([publish("\u{FEFF}t", "1")]);
        desk.client_of(version, "a");
        assert!(!client.is_closed());
    }
}

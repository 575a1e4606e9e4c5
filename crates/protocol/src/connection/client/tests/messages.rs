//! PUBLISH in both directions, and what a new connection makes of it.

use super::*;

#[test] // [MQTT-4.5.0-2] [MQTT311-4.5.0-2]
fn messages_arrive_at_each_qos() {
    for version in VERSIONS {
        let mut pair = Pair::connected(options(version));
        pair.deliver(PublishQoS::AtMostOnce, "a");
        pair.deliver(PublishQoS::AtLeastOnce(id(7)), "b");
        pair.deliver(PublishQoS::ExactlyOnce(id(7)), "c");
        assert_eq!(pair.messages(), ["a", "b"]);
        pair.deliver(PublishQoS::ExactlyOnce(id(7)), "c");
        assert_eq!(pair.sent(), ["puback7 0", "pubrec7 0", "pubrec7 0"]); // [MQTT-4.3.3-10]
        pair.serve(Packet::Pubrel(Pubrel::new(id(7))));
        assert_eq!(pair.messages(), ["c"]);
        pair.serve(Packet::Pubrel(Pubrel::new(id(7))));
        assert_eq!(pair.messages(), [""; 0]);
        let unknown = if version == ProtocolVersion::V5 { "pubcomp7 146" } else { "pubcomp7 0" };
        assert_eq!(pair.sent(), ["pubcomp7 0", unknown]); // [MQTT-4.3.3-11]
    }
}

#[test]
fn messages_wait_for_the_hand_that_acknowledges() {
    let mut pair = Pair::connected(ConnectOptions { manual_acks: true, ..options(ProtocolVersion::V5) });
    pair.deliver(PublishQoS::AtLeastOnce(id(1)), "a");
    pair.deliver(PublishQoS::ExactlyOnce(id(2)), "b");
    pair.serve(Packet::Pubrel(Pubrel::new(id(2))));
    assert_eq!(pair.messages(), ["a", "b"]);
    pair.serve(Packet::Pubrel(Pubrel::new(id(2))));
    assert_eq!(pair.messages(), [""; 0]);
    assert_eq!(pair.sent(), ["pubrec2 0"]);
    pair.client.acknowledge(id(1), ReasonCode::QuotaExceeded).unwrap();
    pair.client.acknowledge(id(2), ReasonCode::Success).unwrap();
    assert_eq!(pair.sent(), ["puback1 151", "pubcomp2 0"]);
    assert!(pair.client.acknowledge(id(1), ReasonCode::Success).is_err());
}

#[test]
fn publishes_are_acknowledged_within_the_window() {
    for version in VERSIONS {
        let mut pair = Pair::connected(ConnectOptions { window: 2, ..options(version) });
        let tokens: Vec<_> = [
            (QoS::AtLeastOnce, "a"),
            (QoS::ExactlyOnce, "b"),
            (QoS::AtLeastOnce, "c"),
            (QoS::AtMostOnce, "d"),
        ]
        .into_iter()
        .map(|(qos, payload)| pair.publish(qos, payload))
        .collect();
        assert_eq!(pair.sent(), ["p1 a", "p2 b"]);
        assert_eq!(pair.client.queued(), 2);
        pair.serve(Packet::Puback(Puback::new(id(1))));
        assert_eq!(pair.sent(), ["p3 c", "p0 d"]);
        pair.serve(Packet::Pubrec(Pubrec::new(id(2))));
        pair.serve(Packet::Pubcomp(Pubcomp::new(id(2))));
        assert_eq!(pair.sent(), ["pubrel2 0"]);
        pair.serve(Packet::Puback(Puback::new(id(3))));
        let done: Vec<_> = [0, 3, 1, 2].map(|index| (tokens[index], ReasonCode::Success)).into();
        assert_eq!(pair.done(), done);
        assert_eq!(pair.client.in_flight(), 0);
    }
}

#[test] // [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4]
fn answers_keep_the_order_of_what_they_answer() {
    let mut pair = Pair::connected(options(ProtocolVersion::V5));
    for number in [7, 5, 9] {
        pair.deliver(PublishQoS::AtLeastOnce(id(number)), "at least");
    }
    for number in [8, 4] {
        pair.deliver(PublishQoS::ExactlyOnce(id(number)), "exactly");
    }
    assert_eq!(pair.sent(), ["puback7 0", "puback5 0", "puback9 0", "pubrec8 0", "pubrec4 0"]);
    pair.publish(QoS::ExactlyOnce, "a");
    pair.publish(QoS::ExactlyOnce, "b");
    pair.sent();
    for number in [2, 1] {
        pair.serve(Packet::Pubrec(Pubrec::new(id(number))));
    }
    assert_eq!(pair.sent(), ["pubrel2 0", "pubrel1 0"]);
}

#[test] // [MQTT-3.3.4-8]
fn a_full_window_delays_messages_only() {
    let mut pair = Pair::new(ConnectOptions { keep_alive: 10, ..options(ProtocolVersion::V5) });
    pair.accept(false, Properties::new([Property::ReceiveMaximum(1)]));
    pair.publish(QoS::AtLeastOnce, "a");
    pair.publish(QoS::AtLeastOnce, "b");
    let filter = SubscriptionFilter::parse("t").unwrap();
    pair.client.subscribe([(filter, SubscriptionOptions::default())], Properties::EMPTY).unwrap();
    pair.deliver(PublishQoS::AtLeastOnce(id(7)), "in");
    assert_eq!(pair.sent(), ["CONNECT", "p1 a", "sub2", "puback7 0"]);
    pair.client.handle_timeout(Duration::from_secs(10));
    assert_eq!(pair.sent(), ["PINGREQ"]);
    pair.serve(Packet::Puback(Puback::new(id(1))));
    assert_eq!(pair.sent(), ["p3 b"]);
}

#[test]
fn a_refused_message_is_over() {
    let mut pair = Pair::connected(options(ProtocolVersion::V5));
    let first = pair.publish(QoS::ExactlyOnce, "a");
    let second = pair.publish(QoS::AtLeastOnce, "b");
    let reason = ReasonCode::NotAuthorized;
    pair.serve(Packet::Pubrec(Pubrec { reason, ..Pubrec::new(id(1)) }));
    pair.serve(Packet::Puback(Puback { reason, ..Puback::new(id(2)) }));
    assert_eq!(pair.done(), [(first, reason), (second, reason)]);
    // An unknown PUBREC is told so, an unknown error is not answered.
    pair.sent();
    pair.serve(Packet::Pubrec(Pubrec::new(id(9))));
    pair.serve(Packet::Pubrec(Pubrec { reason, ..Pubrec::new(id(9)) }));
    assert_eq!(pair.sent(), ["pubrel9 146"]);
}

#[test]
fn a_resumed_session_sends_again() {
    for version in VERSIONS {
        let mut pair = Pair::connected(ConnectOptions { clean_start: false, ..options(version) });
        for (qos, payload) in [(QoS::AtLeastOnce, "a"), (QoS::ExactlyOnce, "b"), (QoS::ExactlyOnce, "c")] {
            pair.publish(qos, payload);
        }
        pair.serve(Packet::Pubrec(Pubrec::new(id(2))));
        pair.deliver(PublishQoS::ExactlyOnce(id(5)), "in");
        pair.sent();
        pair.client.reconnect(pair.now).unwrap();
        pair.publish(QoS::AtLeastOnce, "d");
        assert_eq!(pair.sent(), ["CONNECT"]);
        pair.accept(true, Properties::EMPTY);
        assert_eq!(pair.sent(), ["p1! a", "pubrel2 0", "p3! c", "p4 d"]); // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT311-2.3.1-3]
        pair.serve(Packet::Pubrel(Pubrel::new(id(5))));
        assert_eq!(pair.messages(), ["in"]);
    }
}

#[test]
fn a_lost_session_is_told() {
    let mut pair = Pair::connected(ConnectOptions { clean_start: false, ..options(ProtocolVersion::V5) });
    let first = pair.publish(QoS::AtLeastOnce, "a");
    let second = pair.publish(QoS::ExactlyOnce, "b");
    pair.serve(Packet::Pubrec(Pubrec::new(id(2))));
    pair.deliver(PublishQoS::ExactlyOnce(id(5)), "in");
    pair.client.reconnect(pair.now).unwrap();
    pair.sent();
    pair.events();
    pair.accept(false, Properties::EMPTY);
    assert_eq!(pair.sent(), [""; 0]); // [MQTT-3.2.2-5]
    let lost: Vec<_> = pair
        .events()
        .into_iter()
        .filter_map(|event| match event {
            ClientEvent::PublishLost { token, message } => Some((token, message.map(|lost| lost.payload))),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [(first, Some(b"a".to_vec())), (second, None)]);
    pair.serve(Packet::Pubrel(Pubrel::new(id(5))));
    assert_eq!(pair.messages(), [""; 0]);
}

#[test]
fn a_new_connection_may_take_less() {
    let mut pair = Pair::new(ConnectOptions { clean_start: false, ..options(ProtocolVersion::V5) });
    pair.accept(true, Properties::EMPTY);
    let large = pair.client.publish("t", &[0; 100], QoS::AtLeastOnce, false, Properties::EMPTY).unwrap();
    pair.publish(QoS::AtLeastOnce, "b");
    let long = "a".repeat(100);
    let filter = SubscriptionFilter::parse(&long).unwrap();
    let request =
        pair.client.subscribe([(filter, SubscriptionOptions::default())], Properties::EMPTY).unwrap();
    pair.sent();
    pair.events();
    pair.client.reconnect(pair.now).unwrap();
    pair.accept(true, Properties::new([Property::MaximumPacketSize(50)]));
    assert_eq!(pair.sent(), ["CONNECT", "p2! b"]); // [MQTT-3.2.2-15]
    let events = pair.events();
    assert!(events.iter().any(|event| matches!(event,
        ClientEvent::PublishDone { token, reason: ReasonCode::PacketTooLarge, .. } if *token == large)));
    assert!(events.iter().any(|event| matches!(event,
        ClientEvent::Subscribed { token, codes, .. } if *token == request && codes == &[0x80])));
    assert_eq!(pair.client.in_flight(), 1);
}

#[test]
fn a_message_waits_while_all_identifiers_are_in_use() {
    let mut pair = Pair::connected(options(ProtocolVersion::V311));
    let filter = SubscriptionFilter::parse("a").unwrap();
    for _ in 0..u16::MAX {
        pair.client.subscribe([(filter, SubscriptionOptions::default())], Properties::EMPTY).unwrap();
    }
    assert_eq!(
        pair.client.subscribe([(filter, SubscriptionOptions::default())], Properties::EMPTY),
        Err(ClientError::TooManyRequests)
    );
    pair.publish(QoS::AtLeastOnce, "a");
    pair.client.take_output(&mut Vec::new());
    let suback = Suback { packet_id: id(7), properties: Properties::EMPTY, codes: vec![0].into() };
    pair.serve(Packet::Suback(suback));
    assert_eq!(pair.sent(), ["p7 a"]); // [MQTT311-2.3.1-2]
}

#[test]
fn before_5_there_is_no_receive_maximum() {
    for version in [ProtocolVersion::V31, ProtocolVersion::V311] {
        let properties = Properties::new([Property::ReceiveMaximum(1)]);
        let mut pair = Pair::connected(ConnectOptions { properties, ..options(version) });
        for number in 1..=3 {
            pair.deliver(PublishQoS::ExactlyOnce(id(number)), "a");
        }
        assert_eq!(pair.sent(), ["pubrec1 0", "pubrec2 0", "pubrec3 0"]);
    }
}

#[test]
fn the_server_stays_within_our_receive_maximum() {
    let properties = Properties::new([Property::ReceiveMaximum(2)]);
    let mut pair = Pair::connected(ConnectOptions { properties, ..options(ProtocolVersion::V5) });
    for number in 1..=2 {
        pair.deliver(PublishQoS::ExactlyOnce(id(number)), "a");
    }
    pair.deliver(PublishQoS::ExactlyOnce(id(1)), "a");
    pair.serve(Packet::Pubrel(Pubrel::new(id(1))));
    pair.deliver(PublishQoS::AtLeastOnce(id(3)), "a");
    pair.deliver(PublishQoS::ExactlyOnce(id(4)), "a");
    pair.sent();
    let (dup, retain, topic, properties) = (false, false, "t", Properties::EMPTY);
    let qos = PublishQoS::AtLeastOnce(id(5));
    let publish = Publish { dup, qos, retain, topic, properties, payload: b"" };
    assert!(pair.try_serve(Packet::Publish(publish)).is_err()); // [MQTT-3.3.4-9]
    assert_eq!(pair.sent(), ["disconnect 147"]);
}

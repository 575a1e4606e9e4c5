//! From CONNECT to the end: requests, limits, silence, and what breaks the rules.

use super::*;

#[test] // [MQTT-3.1.0-1] [MQTT311-3.1.0-1]
fn a_connection_from_start_to_end() {
    for version in VERSIONS {
        let mut pair = Pair::new(options(version));
        assert_eq!(pair.sent(), ["CONNECT"]);
        let early = pair.publish(QoS::AtMostOnce, "early");
        assert!(!pair.client.has_output());
        pair.accept(false, Properties::EMPTY);
        assert_eq!(pair.sent(), ["p0 early"]);
        assert!(pair.client.is_connected());
        assert!(matches!(pair.client.poll_event(), Some(ClientEvent::Connected { .. })));
        assert_eq!(pair.done(), [(early, ReasonCode::Success)]);
        pair.client.disconnect(ReasonCode::Success, Properties::EMPTY).unwrap();
        assert_eq!(pair.sent(), ["disconnect 0"]);
        assert!(pair.client.is_closed());
        // [MQTT-3.14.4-1] [MQTT311-3.14.4-2]
        pair.publish(QoS::AtMostOnce, "late");
        let again = pair.client.disconnect(ReasonCode::Success, Properties::EMPTY);
        assert_eq!(again, Err(ClientError::NotConnected));
        assert!(!pair.client.has_output());
    }
}

#[test]
fn a_refusal_ends_the_connection() {
    let mut pair = Pair::new(options(ProtocolVersion::V311));
    let code = ConnackCode::V3(ConnectReturnCode::NotAuthorised);
    pair.serve(Packet::Connack(Connack::new(false, code)));
    assert_eq!(pair.events(), [ClientEvent::Refused { code, properties: Properties::EMPTY }]);
    assert!(pair.client.is_closed());
}

#[test]
fn requests_are_answered_and_repeated_on_a_new_connection() {
    for version in VERSIONS {
        let mut pair = Pair::new(options(version));
        let filter = SubscriptionFilter::parse("a/#").unwrap();
        let subscribed = pair
            .client
            .subscribe([(filter, SubscriptionOptions::new(QoS::ExactlyOnce))], Properties::EMPTY)
            .unwrap();
        let ended = pair.client.unsubscribe([filter, filter], Properties::EMPTY).unwrap();
        assert_eq!(pair.sent(), ["CONNECT"]);
        pair.accept(false, Properties::EMPTY);
        assert_eq!(pair.sent(), ["sub1", "unsub2"]);
        // A message does not take their identifiers [MQTT-2.2.1-3].
        pair.publish(QoS::AtLeastOnce, "m");
        assert_eq!(pair.sent(), ["p3 m"]);
        pair.client.reconnect(pair.now).unwrap();
        pair.accept(false, Properties::EMPTY);
        assert_eq!(pair.sent(), ["CONNECT", "sub1", "unsub2"]);
        pair.events();
        let properties = Properties::EMPTY;
        let codes = vec![2];
        pair.serve(Packet::Suback(Suback {
            packet_id: id(1),
            properties: properties.clone(),
            codes: codes.clone().into(),
        }));
        let both = vec![0, 17];
        pair.serve(Packet::Unsuback(Unsuback {
            packet_id: id(2),
            properties: properties.clone(),
            codes: both.clone().into(),
        }));
        let both = if version == ProtocolVersion::V5 { both } else { Vec::new() };
        let answers = [
            ClientEvent::Subscribed { token: subscribed, codes, properties: properties.clone() },
            ClientEvent::Unsubscribed { token: ended, codes: both, properties },
        ];
        assert_eq!(pair.events(), answers);
    }
}

#[test]
fn an_answer_needs_its_request() {
    let mut pair = Pair::connected(options(ProtocolVersion::V5));
    let filter = SubscriptionFilter::parse("a").unwrap();
    pair.client.subscribe([(filter, SubscriptionOptions::default())], Properties::EMPTY).unwrap();
    pair.sent();
    let suback = Suback { packet_id: id(1), properties: Properties::EMPTY, codes: vec![0, 0].into() };
    assert!(matches!(pair.try_serve(Packet::Suback(suback)), Err(ClientError::Decode(_)))); // [MQTT-3.8.4-6]
    assert_eq!(pair.sent(), ["disconnect 130"]);
    assert!(pair.client.is_closed());
}

#[test]
fn the_server_sets_limits() {
    let mut pair = Pair::new(options(ProtocolVersion::V5));
    let early = pair.client.publish("t", &[0; 100], QoS::AtLeastOnce, false, Properties::EMPTY).unwrap();
    pair.accept(
        false,
        Properties::new([
            Property::ReceiveMaximum(1),
            Property::MaximumQoS(1),
            Property::RetainAvailable(0),
            Property::MaximumPacketSize(30),
            Property::ServerKeepAlive(5),
            Property::AssignedClientIdentifier("given"),
        ]),
    );
    pair.sent();
    assert_eq!(pair.done(), [(early, ReasonCode::PacketTooLarge)]);
    assert_eq!(pair.client.options().client_id, "given");
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(5))); // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
    let refused = |error| Err(ClientError::NotAccepted(error));
    let client = &mut pair.client;
    let none = Properties::EMPTY;
    // [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.2.2-18]
    assert_eq!(
        client.publish("t", b"", QoS::ExactlyOnce, false, none.clone()),
        refused(ReasonCode::QoSNotSupported)
    );
    assert_eq!(
        client.publish("t", b"", QoS::AtMostOnce, true, none.clone()),
        refused(ReasonCode::RetainNotSupported)
    );
    assert_eq!(
        client.publish("t", &[0; 25], QoS::AtLeastOnce, false, none.clone()),
        refused(ReasonCode::PacketTooLarge)
    );
    let alias = Properties::new([Property::TopicAlias(1)]);
    assert_eq!(
        client.publish("t", b"", QoS::AtMostOnce, false, alias),
        refused(ReasonCode::TopicAliasInvalid)
    );
    let identifier = Properties::new([Property::SubscriptionIdentifier(1)]);
    assert!(matches!(
        client.publish("t", b"", QoS::AtMostOnce, false, identifier),
        Err(ClientError::Property(_)) // [MQTT-3.3.4-6]
    ));
    pair.publish(QoS::AtLeastOnce, "a");
    pair.publish(QoS::AtLeastOnce, "b");
    assert_eq!(pair.sent(), ["p1 a"]); // [MQTT-3.3.4-7]
}

#[test] // [MQTT-3.1.2-20] [MQTT311-3.1.2-23]
fn keep_alive_asks_and_gives_up() {
    VERSIONS.into_iter().for_each(keep_alive_asks_and_gives_up_in);
}

fn keep_alive_asks_and_gives_up_in(version: ProtocolVersion) {
    let mut pair = Pair::connected(ConnectOptions { keep_alive: 10, ..options(version) });
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(10)));
    pair.client.handle_timeout(Duration::from_secs(9));
    assert_eq!(pair.sent(), [""; 0]);
    pair.publish(QoS::AtMostOnce, "a"); // at second 9
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(19)));
    pair.client.handle_timeout(Duration::from_secs(19));
    assert_eq!(pair.sent(), ["p0 a", "PINGREQ"]);
    pair.now = Duration::from_secs(20);
    pair.serve(Packet::Pingresp);
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(29)));
    pair.client.handle_timeout(Duration::from_secs(29));
    pair.client.handle_timeout(Duration::from_secs(38));
    assert!(pair.client.is_connected());
    pair.events();
    pair.client.handle_timeout(Duration::from_secs(39));
    let (reason, properties) = (ReasonCode::KeepAliveTimeout, Properties::EMPTY);
    assert_eq!(pair.events(), [ClientEvent::Disconnected { reason, properties }]);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn a_server_that_breaks_the_protocol_is_told() {
    let accepted = || Packet::Connack(Connack::new(false, ConnackCode::V5(ReasonCode::Success)));
    // Each as second packet of a connection, with the code in our DISCONNECT.
    let table: [(Packet<'_>, u8); 4] = [
        (accepted(), 0x82),      // [MQTT-3.2.0-2]
        (Packet::Pingreq, 0x82), // only clients send it
        (
            Packet::Auth(Auth {
                reason: ReasonCode::ContinueAuthentication,
                properties: Properties::new([Property::AuthenticationMethod("m")]),
            }),
            0x82,
        ), // [MQTT-4.12.0-6]
        (
            Packet::Disconnect(crate::packet::Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::new([Property::SessionExpiryInterval(1)]),
            }),
            0x82,
        ), // [MQTT-3.14.2-2]
    ];
    for (packet, code) in table {
        let mut pair = Pair::connected(options(ProtocolVersion::V5));
        assert!(pair.try_serve(packet.clone()).is_err(), "{packet:?}");
        assert_eq!(pair.sent(), [format!("disconnect {code}")], "{packet:?}");
        assert!(pair.client.is_closed());
        assert_eq!(pair.try_serve(Packet::Pingresp), Ok(()));
    }
    // [MQTT-3.2.0-1] [MQTT-3.2.2-4]
    let mut pair = Pair::new(options(ProtocolVersion::V5));
    assert!(pair.try_serve(Packet::Pingresp).is_err());
    let mut pair = Pair::new(options(ProtocolVersion::V5));
    let present = Connack::new(true, ConnackCode::V5(ReasonCode::Success));
    assert!(pair.try_serve(Packet::Connack(present)).is_err());
    assert_eq!(pair.sent(), ["CONNECT"]);
}

#[test]
fn the_server_says_goodbye() {
    let mut pair = Pair::connected(options(ProtocolVersion::V5));
    pair.serve(Packet::Disconnect(crate::packet::Disconnect::new(ReasonCode::SessionTakenOver)));
    let (reason, properties) = (ReasonCode::SessionTakenOver, Properties::EMPTY);
    assert_eq!(pair.events(), [ClientEvent::Disconnected { reason, properties }]);
    assert!(pair.client.is_closed());
}

#[test]
fn authentication_goes_back_and_forth() {
    let method = Properties::new([Property::AuthenticationMethod("m")]);
    let mut pair = Pair::new(ConnectOptions { properties: method.clone(), ..options(ProtocolVersion::V5) });
    pair.publish(QoS::AtMostOnce, "early"); // [MQTT-3.1.2-30]
    let reason = ReasonCode::ContinueAuthentication;
    pair.serve(Packet::Auth(Auth { reason, properties: method.clone() }));
    assert_eq!(pair.events(), [ClientEvent::Auth { reason, properties: method.clone() }]);
    pair.client.auth(reason, method).unwrap();
    assert_eq!(pair.sent(), ["CONNECT", "AUTH"]); // [MQTT-4.12.0-3]
    pair.accept(false, Properties::EMPTY);
    assert!(pair.client.is_connected());
    assert_eq!(pair.sent(), ["p0 early"]);
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    let long = "a".repeat(65_536);
    assert!(ClientConnection::new(ConnectOptions::new(ProtocolVersion::V311, long), Duration::ZERO).is_err());
    let mut pair = Pair::connected(options(ProtocolVersion::V5));
    let none = Properties::EMPTY;
    assert!(matches!(
        pair.client.publish("a/+", b"", QoS::AtMostOnce, false, none.clone()),
        Err(ClientError::Topic(_))
    ));
    assert!(matches!(
        pair.client.publish("", b"", QoS::AtMostOnce, false, none.clone()),
        Err(ClientError::Topic(_))
    ));
    let foreign = Properties::new([Property::ReceiveMaximum(1)]);
    assert!(matches!(
        pair.client.publish("a", b"", QoS::AtMostOnce, false, foreign),
        Err(ClientError::Property(_))
    ));
    assert_eq!(pair.client.subscribe([], none), Err(ClientError::NoFilter)); // [MQTT-3.8.3-2] [MQTT311-3.8.3-3]
    assert!(!pair.client.has_output());
}

#[test]
fn only_what_a_client_may_say() {
    let manual_acks = true;
    let mut pair = Pair::connected(ConnectOptions { manual_acks, ..options(ProtocolVersion::V5) });
    pair.deliver(PublishQoS::AtLeastOnce(id(1)), "a");
    let refused = pair.client.acknowledge(id(1), ReasonCode::SessionTakenOver);
    assert!(matches!(refused, Err(ClientError::Property(_)))); // [MQTT-3.4.2-1]
    pair.client.acknowledge(id(1), ReasonCode::QuotaExceeded).unwrap();
    assert_eq!(pair.sent(), ["puback1 151"]);
    let method = || Properties::new([Property::AuthenticationMethod("m")]);
    assert!(pair.client.auth(ReasonCode::ReAuthenticate, method()).is_err()); // [MQTT-4.12.0-7]
    let mut pair = Pair::connected(ConnectOptions { properties: method(), ..options(ProtocolVersion::V5) });
    assert!(pair.client.auth(ReasonCode::Success, method()).is_err()); // [MQTT-3.15.2-1]
    let other = Properties::new([Property::AuthenticationMethod("n")]);
    assert!(pair.client.auth(ReasonCode::ReAuthenticate, other).is_err()); // [MQTT-4.12.1-1]
    assert!(!pair.client.has_output());
    pair.client.auth(ReasonCode::ReAuthenticate, method()).unwrap();
    assert_eq!(pair.sent(), ["AUTH"]);
}

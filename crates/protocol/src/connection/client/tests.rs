use std::time::Duration;

use super::*;
use crate::frame::next_frame;
use crate::packet::{
    Connack, ConnackCode, Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec, Pubrel, Suback,
    SubscriptionOptions, Unsuback,
};
use crate::property::Property;
use crate::{ConnectReturnCode, ProtocolVersion, SubscriptionFilter};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// A client whose server is the test.
struct Pair {
    client: ClientConnection,
    version: ProtocolVersion,
    now: Duration,
}

impl Pair {
    fn new(options: ConnectOptions) -> Self {
        let version = options.version;
        let client = ClientConnection::new(options, Duration::ZERO).unwrap();
        Self { client, version, now: Duration::ZERO }
    }

    /// A connection that stands, with CONNECT and CONNACK behind it.
    fn connected(options: ConnectOptions) -> Self {
        let mut pair = Self::new(options);
        pair.accept(false, Properties::EMPTY);
        pair.sent();
        pair.events();
        pair
    }

    fn accept(&mut self, session_present: bool, properties: Properties<'_>) {
        let code = match self.version {
            ProtocolVersion::V5 => ConnackCode::V5(ReasonCode::Success),
            ProtocolVersion::V31 | ProtocolVersion::V311 => ConnackCode::V3(ConnectReturnCode::Accepted),
        };
        self.serve(Packet::Connack(Connack { session_present, code, properties }));
    }

    fn try_serve(&mut self, packet: Packet<'_>) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.client.receive(&bytes, self.now)
    }

    fn serve(&mut self, packet: Packet<'_>) {
        self.try_serve(packet).unwrap();
    }

    fn deliver(&mut self, qos: PublishQoS, payload: &str) {
        let payload = payload.as_bytes();
        let (dup, retain, topic, properties) = (false, false, "t", Properties::EMPTY);
        self.serve(Packet::Publish(Publish { dup, qos, retain, topic, properties, payload }));
    }

    fn publish(&mut self, qos: QoS, payload: &str) -> Token {
        self.client.publish("t", payload.as_bytes(), qos, false, Properties::EMPTY).unwrap()
    }

    /// What the client has written, a word or two for each packet: "p1 a" is PUBLISH 1 with payload a, "p1! a" with DUP.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        self.client.take_output(&mut bytes);
        let mut rest = &bytes[..];
        let mut sent = Vec::new();
        while let Some((frame, length)) = next_frame(rest, u32::MAX).unwrap() {
            let packet = Packet::decode(frame, self.version).unwrap();
            packet.check_sender(crate::Role::Client, self.version).unwrap();
            sent.push(word(&packet));
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        sent
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Payloads of the messages that have arrived.
    fn messages(&mut self) -> Vec<String> {
        let payloads = self.events().into_iter().filter_map(|event| match event {
            ClientEvent::Message { payload, .. } => Some(String::from_utf8(payload).unwrap()),
            _ => None,
        });
        payloads.collect()
    }

    /// Tokens of the publishes that have ended, with their reasons.
    fn done(&mut self) -> Vec<(Token, ReasonCode)> {
        let done = self.events().into_iter().filter_map(|event| match event {
            ClientEvent::PublishDone { token, reason, .. } => Some((token, reason)),
            _ => None,
        });
        done.collect()
    }
}

fn word(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            let id = publish.qos.packet_id().map_or(0, PacketId::get);
            let dup = if publish.dup { "!" } else { "" };
            format!("p{id}{dup} {}", String::from_utf8_lossy(publish.payload))
        }
        Packet::Puback(ack) => format!("puback{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubrec(ack) => format!("pubrec{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubrel(ack) => format!("pubrel{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubcomp(ack) => format!("pubcomp{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Subscribe(request) => format!("sub{}", request.packet_id.get()),
        Packet::Unsubscribe(request) => format!("unsub{}", request.packet_id.get()),
        Packet::Disconnect(disconnect) => format!("disconnect {}", disconnect.reason.code()),
        Packet::Connect(_)
        | Packet::Connack(_)
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Pingreq
        | Packet::Pingresp
        | Packet::Auth(_) => packet.packet_type().name().to_owned(),
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn options(version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions::new(version, "c")
}

#[test]
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
        // [MQTT-3.14.4-1]
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
        assert_eq!(pair.sent(), ["p1! a", "pubrel2 0", "p3! c", "p4 d"]); // [MQTT-4.4.0-1]
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
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(5))); // [MQTT-3.1.2-21]
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

#[test]
fn aliases_shorten_topics_on_both_sides() {
    let properties = Properties::new([Property::TopicAliasMaximum(1)]);
    let mut pair =
        Pair::new(ConnectOptions { properties, topic_alias_maximum: 5, ..options(ProtocolVersion::V5) });
    pair.accept(false, Properties::new([Property::TopicAliasMaximum(1)]));
    pair.sent();
    let mut topics = Vec::new();
    for topic in ["one", "two", "one"] {
        pair.client.publish(topic, b"", QoS::AtMostOnce, false, Properties::EMPTY).unwrap();
        let mut bytes = Vec::new();
        pair.client.take_output(&mut bytes);
        let (frame, _) = next_frame(&bytes, u32::MAX).unwrap().unwrap();
        let publish = Publish::decode(frame, ProtocolVersion::V5).unwrap();
        topics.push((publish.topic.to_owned(), publish.properties.topic_alias()));
    }
    assert_eq!(topics, [("one".into(), Some(1)), ("two".into(), None), (String::new(), Some(1))]);

    pair.events();
    let from_server = |topic, alias| {
        let properties = Properties::new([Property::TopicAlias(alias)]);
        let (dup, qos, retain, payload) = (false, PublishQoS::AtMostOnce, false, &b""[..]);
        Packet::Publish(Publish { dup, qos, retain, topic, properties, payload })
    };
    pair.serve(from_server("three", 1));
    pair.serve(from_server("", 1));
    let topics: Vec<_> = pair
        .events()
        .into_iter()
        .map(|event| match event {
            ClientEvent::Message { topic, .. } => topic,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(topics, ["three", "three"]);
    assert!(pair.try_serve(from_server("four", 2)).is_err()); // [MQTT-3.3.2-11]
    assert_eq!(pair.sent(), ["disconnect 148"]);
}

#[test]
fn an_alias_does_not_make_a_packet_too_large() {
    let mut pair = Pair::new(ConnectOptions { topic_alias_maximum: 5, ..options(ProtocolVersion::V5) });
    pair.accept(false, Properties::new([Property::TopicAliasMaximum(5), Property::MaximumPacketSize(20)]));
    pair.sent();
    // 20 bytes, which leaves no room for a new alias.
    pair.client.publish("topic", b"12345678901", QoS::AtMostOnce, false, Properties::EMPTY).unwrap_err();
    pair.client.publish("topic", b"1234567890", QoS::AtMostOnce, false, Properties::EMPTY).unwrap();
    let mut bytes = Vec::new();
    pair.client.take_output(&mut bytes);
    assert_eq!(bytes.len(), 20); // [MQTT-3.2.2-15]
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

#[test]
fn keep_alive_asks_and_gives_up() {
    let mut pair = Pair::connected(ConnectOptions { keep_alive: 10, ..options(ProtocolVersion::V311) });
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(10)));
    pair.client.handle_timeout(Duration::from_secs(9));
    assert_eq!(pair.sent(), [""; 0]);
    pair.publish(QoS::AtMostOnce, "a"); // at second 9
    assert_eq!(pair.client.poll_timeout(), Some(Duration::from_secs(19)));
    pair.client.handle_timeout(Duration::from_secs(19));
    assert_eq!(pair.sent(), ["p0 a", "PINGREQ"]); // [MQTT-3.1.2-20]
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
    let reason = ReasonCode::ContinueAuthentication;
    pair.serve(Packet::Auth(Auth { reason, properties: method.clone() }));
    assert_eq!(pair.events(), [ClientEvent::Auth { reason, properties: method.clone() }]);
    pair.client.auth(reason, method).unwrap();
    assert_eq!(pair.sent(), ["CONNECT", "AUTH"]); // [MQTT-4.12.0-3]
    pair.accept(false, Properties::EMPTY);
    assert!(pair.client.is_connected());
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
    assert_eq!(pair.client.subscribe([], none), Err(ClientError::NoFilter));
    assert!(!pair.client.has_output());
}

/// Topics and aliases of what the client has written.
fn topics(pair: &mut Pair) -> Vec<(String, Option<u16>)> {
    let mut bytes = Vec::new();
    pair.client.take_output(&mut bytes);
    let mut rest = &bytes[..];
    let mut topics = Vec::new();
    while let Some((frame, length)) = next_frame(rest, u32::MAX).unwrap() {
        if let Packet::Publish(publish) = Packet::decode(frame, pair.version).unwrap() {
            topics.push((publish.topic.to_owned(), publish.properties.topic_alias()));
        }
        rest = &rest[length..];
    }
    topics
}

#[test]
fn the_callers_aliases_do_not_mix_with_ours() {
    let mut pair = Pair::new(ConnectOptions { topic_alias_maximum: 5, ..options(ProtocolVersion::V5) });
    pair.accept(false, Properties::new([Property::TopicAliasMaximum(5)]));
    let alias = |alias| Properties::new([Property::TopicAlias(alias)]);
    let none = Properties::EMPTY;
    for (topic, properties) in [("ours", none.clone()), ("theirs", alias(1)), ("ours", none), ("", alias(1))]
    {
        pair.client.publish(topic, b"", QoS::AtMostOnce, false, properties).unwrap();
    }
    // Number 1 means "theirs" since the second message.
    let expected = [("ours", Some(1)), ("theirs", Some(1)), ("ours", None), ("", Some(1))];
    assert_eq!(topics(&mut pair), expected.map(|(topic, alias)| (topic.to_owned(), alias)));
}

#[test]
fn an_alias_is_not_sent_again_on_a_new_connection() {
    let mut pair = Pair::new(ConnectOptions { clean_start: false, ..options(ProtocolVersion::V5) });
    pair.accept(true, Properties::new([Property::TopicAliasMaximum(1)]));
    let alias = || Properties::new([Property::TopicAlias(1)]);
    for topic in ["a", ""] {
        pair.client.publish(topic, b"", QoS::AtLeastOnce, false, alias()).unwrap();
    }
    pair.sent();
    pair.client.reconnect(pair.now).unwrap();
    pair.accept(true, Properties::EMPTY);
    assert_eq!(topics(&mut pair), [("a".to_owned(), None), ("a".to_owned(), None)]); // [MQTT-3.3.2-7]
    // Nothing has introduced it there.
    assert_eq!(
        pair.client.publish("", b"", QoS::AtLeastOnce, false, alias()),
        Err(ClientError::NotAccepted(ReasonCode::TopicAliasInvalid))
    );
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
fn an_alias_never_exceeds_the_servers_maximum_packet_size() {
    // Both lengths grow by a byte with the alias: 122 to 127 bytes of properties, 16378 to 16383 in all.
    for name in 115..=128 {
        for payload in (0..=30).chain(16_225..=16_270) {
            let maximum = 3 + 3 + 5 + name + payload;
            let mut pair =
                Pair::new(ConnectOptions { topic_alias_maximum: 1, ..options(ProtocolVersion::V5) });
            let limits = [Property::TopicAliasMaximum(1), Property::MaximumPacketSize(maximum as u32 + 5)];
            pair.accept(false, Properties::new(limits));
            pair.sent();
            let properties = Properties::new([Property::UserProperty(&"n".repeat(name), "")]);
            let _ = pair.client.publish("t", &vec![0; payload], QoS::AtMostOnce, false, properties);
            let mut bytes = Vec::new();
            pair.client.take_output(&mut bytes);
            assert!(bytes.len() <= maximum + 5, "{} {maximum}", bytes.len()); // [MQTT-3.2.2-15]
        }
    }
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

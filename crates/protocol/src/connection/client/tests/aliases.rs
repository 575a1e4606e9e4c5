//! Topic Aliases.

use super::*;

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
    assert_eq!(topics, [("one".into(), Some(1)), ("two".into(), None), (String::new(), Some(1))]); // [MQTT-3.2.2-17]

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
    assert_eq!(topics, ["three", "three"]); // [MQTT-3.3.2-10]
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
    let refused = pair.client.publish("theirs", b"", QoS::AtMostOnce, false, alias(6));
    assert_eq!(refused, Err(ClientError::NotAccepted(ReasonCode::TopicAliasInvalid))); // [MQTT-3.3.2-9]
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

//! Packets that keep every rule of the standard, for property tests. What they borrow is leaked: a test run is short.

use noctule_protocol::frame::PacketType;
use noctule_protocol::packet::{
    Auth, Connack, ConnackCode, Connect, Disconnect, Filters, Packet, Puback, Pubcomp, Publish, PublishQoS,
    Pubrec, Pubrel, RetainHandling, Suback, Subscribe, SubscriptionOptions, Unsuback, Unsubscribe,
    UnsubscribeFilters, Will,
};
use noctule_protocol::property::{
    DataType, PROPERTIES, Properties, Property, PropertyPlace, PropertyRow, Values,
};
use noctule_protocol::{
    ConnectReturnCode, PacketId, ProtocolVersion, QoS, ReasonCode, SubscriptionFilter, TopicName,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(vec![ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5])
}

/// One of the packets that the version has.
pub(crate) fn packet(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let mut packets = vec![
        connect(version).prop_map(Packet::Connect).boxed(),
        connack(version).prop_map(Packet::Connack).boxed(),
        publish(version).prop_map(Packet::Publish).boxed(),
        ack(version, PacketType::Puback, PropertyPlace::Puback)
            .prop_map(|(packet_id, reason, properties)| {
                Packet::Puback(Puback { packet_id, reason, properties })
            })
            .boxed(),
        ack(version, PacketType::Pubrec, PropertyPlace::Pubrec)
            .prop_map(|(packet_id, reason, properties)| {
                Packet::Pubrec(Pubrec { packet_id, reason, properties })
            })
            .boxed(),
        ack(version, PacketType::Pubrel, PropertyPlace::Pubrel)
            .prop_map(|(packet_id, reason, properties)| {
                Packet::Pubrel(Pubrel { packet_id, reason, properties })
            })
            .boxed(),
        ack(version, PacketType::Pubcomp, PropertyPlace::Pubcomp)
            .prop_map(|(packet_id, reason, properties)| {
                Packet::Pubcomp(Pubcomp { packet_id, reason, properties })
            })
            .boxed(),
        subscribe(version).prop_map(Packet::Subscribe).boxed(),
        suback(version).prop_map(Packet::Suback).boxed(),
        unsubscribe(version).prop_map(Packet::Unsubscribe).boxed(),
        unsuback(version).prop_map(Packet::Unsuback).boxed(),
        Just(Packet::Pingreq).boxed(),
        Just(Packet::Pingresp).boxed(),
        (reason(version, PacketType::Disconnect), properties(version, PropertyPlace::Disconnect))
            .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }))
            .boxed(),
    ];
    if version == ProtocolVersion::V5 {
        packets.push(auth().prop_map(Packet::Auth).boxed());
    }
    proptest::strategy::Union::new(packets).boxed()
}

fn connect(version: ProtocolVersion) -> impl Strategy<Value = Connect<'static>> {
    let named = (option::of(text()), option::of(binary())).prop_filter(
        "a password needs a user name before 5.0",
        move |(user_name, password)| {
            version == ProtocolVersion::V5 || user_name.is_some() || password.is_none()
        },
    );
    let head = (any::<bool>(), any::<bool>(), any::<u16>(), properties(version, PropertyPlace::Connect));
    (head, text(), option::of(will(version)), named).prop_map(
        move |((bridge, clean_start, keep_alive, properties), client_id, will, (user_name, password))| {
            Connect {
                version,
                bridge: bridge && version != ProtocolVersion::V5,
                clean_start,
                keep_alive,
                properties,
                client_id,
                will,
                user_name,
                password,
            }
        },
    )
}

fn will(version: ProtocolVersion) -> impl Strategy<Value = Will<'static>> {
    (qos(), any::<bool>(), properties(version, PropertyPlace::Will), topic(), binary()).prop_map(
        |(qos, retain, properties, topic, payload)| Will {
            qos,
            retain,
            properties,
            topic: TopicName::parse(topic).expect("a topic name"),
            payload,
        },
    )
}

fn connack(version: ProtocolVersion) -> impl Strategy<Value = Connack<'static>> {
    let code = match version {
        ProtocolVersion::V5 => reason(version, PacketType::Connack).prop_map(ConnackCode::V5).boxed(),
        ProtocolVersion::V31 | ProtocolVersion::V311 => {
            select(ConnectReturnCode::ALL.to_vec()).prop_map(ConnackCode::V3).boxed()
        }
    };
    (any::<bool>(), code, properties(version, PropertyPlace::Connack)).prop_map(
        move |(session_present, code, properties)| Connack {
            session_present: session_present && code.is_accepted() && version != ProtocolVersion::V31,
            code,
            properties,
        },
    )
}

fn publish(version: ProtocolVersion) -> impl Strategy<Value = Publish<'static>> {
    (
        any::<bool>(),
        qos(),
        packet_id(),
        any::<bool>(),
        topic(),
        properties(version, PropertyPlace::Publish),
        binary(),
    )
        .prop_flat_map(|(dup, qos, packet_id, retain, topic, properties, payload)| {
            let may_be_empty = properties.topic_alias().is_some();
            any::<bool>().prop_map(move |empty| Publish {
                dup: dup && qos != QoS::AtMostOnce,
                qos: PublishQoS::with_id(qos, packet_id),
                retain,
                topic: if empty && may_be_empty { "" } else { topic },
                properties: properties.clone(),
                payload,
            })
        })
}

fn ack(
    version: ProtocolVersion,
    packet_type: PacketType,
    place: PropertyPlace,
) -> impl Strategy<Value = (PacketId, ReasonCode, Properties<'static>)> {
    (packet_id(), reason(version, packet_type), properties(version, place))
}

fn subscribe(version: ProtocolVersion) -> impl Strategy<Value = Subscribe<'static>> {
    let filters = vec((filter(), options(version)), 1..4).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(text, mut options)| {
            let filter = SubscriptionFilter::parse(text).expect("a filter");
            options.no_local &= filter.share.is_none();
            (filter, options)
        });
        Filters::from_pairs(pairs).expect("at least one filter")
    });
    (packet_id(), properties(version, PropertyPlace::Subscribe), filters)
        .prop_map(|(packet_id, properties, filters)| Subscribe { packet_id, properties, filters })
}

fn options(version: ProtocolVersion) -> impl Strategy<Value = SubscriptionOptions> {
    let retain_handling = select(vec![
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendAtNewSubscribe,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<bool>(), any::<bool>(), retain_handling).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => SubscriptionOptions::new(qos),
            ProtocolVersion::V5 => {
                SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
            }
        },
    )
}

fn unsubscribe(version: ProtocolVersion) -> impl Strategy<Value = Unsubscribe<'static>> {
    let filters = vec(filter(), 1..4).prop_map(|filters| {
        let filters = filters.into_iter().map(|text| SubscriptionFilter::parse(text).expect("a filter"));
        UnsubscribeFilters::from_filters(filters).expect("at least one filter")
    });
    (packet_id(), properties(version, PropertyPlace::Unsubscribe), filters)
        .prop_map(|(packet_id, properties, filters)| Unsubscribe { packet_id, properties, filters })
}

fn suback(version: ProtocolVersion) -> impl Strategy<Value = Suback<'static>> {
    let code = match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => select(vec![0, 1, 2, 0x80]).boxed(),
        ProtocolVersion::V5 => reason(version, PacketType::Suback).prop_map(ReasonCode::code).boxed(),
    };
    (packet_id(), properties(version, PropertyPlace::Suback), vec(code, 1..5))
        .prop_map(|(packet_id, properties, codes)| Suback { packet_id, properties, codes: codes.into() })
}

fn unsuback(version: ProtocolVersion) -> impl Strategy<Value = Unsuback<'static>> {
    let count = if version == ProtocolVersion::V5 { 1..5 } else { 0..1 };
    let code = reason(version, PacketType::Unsuback).prop_map(ReasonCode::code);
    (packet_id(), properties(version, PropertyPlace::Unsuback), vec(code, count))
        .prop_map(|(packet_id, properties, codes)| Unsuback { packet_id, properties, codes: codes.into() })
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    let rest = properties(ProtocolVersion::V5, PropertyPlace::Auth);
    (reason(ProtocolVersion::V5, PacketType::Auth), text(), rest).prop_map(|(reason, method, rest)| {
        let mut properties = Properties::new([Property::AuthenticationMethod(method)]);
        rest.iter().filter(|property| property.id() != 0x15).for_each(|property| properties.push(property));
        Auth { reason, properties }
    })
}

fn reason(version: ProtocolVersion, packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed = |reason: &ReasonCode| match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => *reason == ReasonCode::Success,
        ProtocolVersion::V5 => reason.allowed_in(packet_type),
    };
    select(ReasonCode::ALL.iter().copied().filter(allowed).collect::<Vec<_>>())
}

/// Any choice of the properties that may stand there, in any order, repeated where they may be.
fn properties(version: ProtocolVersion, place: PropertyPlace) -> BoxedStrategy<Properties<'static>> {
    if version != ProtocolVersion::V5 {
        return Just(Properties::EMPTY).boxed();
    }
    let rows = PROPERTIES.iter().filter(|row| row.allowed_in(place));
    let each: Vec<_> = rows
        .map(|row| {
            let times = if row.repeatable_in(place) { 0..3 } else { 0..2 };
            vec(property(row), times).boxed()
        })
        .collect();
    each.prop_map(|properties| properties.concat())
        .prop_shuffle()
        .prop_map(|mut properties| {
            if !properties.iter().any(|property| property.id() == 0x15) {
                properties.retain(|property| property.id() != 0x16);
            }
            Properties::new(properties)
        })
        .boxed()
}

/// One property with a value that the table allows, read back from its bytes.
fn property(row: &PropertyRow) -> BoxedStrategy<Property<'static>> {
    let id = row.id;
    let values = row.values;
    let field = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let number = any::<u32>().prop_map(move |number| match values {
        Values::ZeroOrOne => number & 1,
        Values::NotZero | Values::NotZeroAlias => number | 1,
        Values::Any | Values::Topic => number,
    });
    let value = match row.data_type {
        DataType::Byte => number.prop_map(|number| vec![number as u8]).boxed(),
        DataType::TwoByteInteger => number.prop_map(|number| (number as u16).to_be_bytes().to_vec()).boxed(),
        DataType::FourByteInteger => number.prop_map(|number| number.to_be_bytes().to_vec()).boxed(),
        DataType::VariableByteInteger => {
            return (1..=268_435_455_u32).prop_map(Property::SubscriptionIdentifier).boxed();
        }
        DataType::BinaryData => binary().prop_map(field).boxed(),
        DataType::Utf8String if values == Values::Topic => {
            topic().prop_map(move |text| field(text.as_bytes())).boxed()
        }
        DataType::Utf8String => text().prop_map(move |text| field(text.as_bytes())).boxed(),
        DataType::Utf8StringPair => (text(), text())
            .prop_map(move |(name, value)| [field(name.as_bytes()), field(value.as_bytes())].concat())
            .boxed(),
    };
    value
        .prop_map(move |value| {
            let bytes: &'static [u8] = [vec![id], value].concat().leak();
            let properties: &'static Properties<'static> =
                Box::leak(Box::new(Properties::from_checked_bytes(bytes)));
            properties.iter().next().expect("one property")
        })
        .boxed()
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|number| PacketId::new(number).expect("not zero"))
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn text() -> impl Strategy<Value = &'static str> {
    "[^\u{0}]{0,9}".prop_map(|text| &*text.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        9 => vec(any::<u8>(), 0..20),
        1 => vec(any::<u8>(), 100..300),
    ]
    .prop_map(|bytes| &*bytes.leak())
}

pub(crate) fn topic() -> impl Strategy<Value = &'static str> {
    "([^\u{0}+#]{1,9}|[$]?[ab]?(/[ab$]?){0,4})"
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
        .prop_map(|topic| &*topic.leak())
}

pub(crate) fn plain_filter() -> impl Strategy<Value = &'static str> {
    "(([$]?[ab]?|[+])(/([ab$]?|[+])){0,4}(/#)?|#)"
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
        .prop_map(|filter| &*filter.leak())
}

fn filter() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        plain_filter(),
        ("[^\u{0}/+#]{1,5}", plain_filter())
            .prop_map(|(share, filter)| &*format!("$share/{share}/{filter}").leak()),
    ]
}

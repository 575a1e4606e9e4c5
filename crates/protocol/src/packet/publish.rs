//! PUBLISH: a message (section 3.3). The hot path: nothing is allocated, and each byte is looked at once.

use super::ack::PACKET_ID_IS_0;
use crate::field::{Fields, field_len};
use crate::frame::{self, DUP, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, QoS, Role, TopicName};

/// A message on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publish<'a> {
    /// Whether it was perhaps sent before. Never with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// How it travels.
    pub qos: PublishQoS,
    /// Store it (to a server); it was stored (from a server).
    pub retain: bool,
    /// Where it was published: a topic name, or empty when a 5.0 Topic Alias stands for it.
    pub topic: &'a str,
    /// Empty on 3.x.
    pub properties: Properties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// How a PUBLISH travels. Only QoS 1 and 2 carry a Packet Identifier [MQTT-2.2.1-2].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PublishQoS {
    /// QoS 0
    AtMostOnce,
    /// QoS 1, answered by PUBACK
    AtLeastOnce(PacketId),
    /// QoS 2, answered by PUBREC
    ExactlyOnce(PacketId),
}

impl PublishQoS {
    /// `None` when QoS 1 or 2 lacks its identifier, or QoS 0 has one.
    pub const fn new(qos: QoS, packet_id: Option<PacketId>) -> Option<Self> {
        match (qos, packet_id) {
            (QoS::AtMostOnce, None) => Some(Self::AtMostOnce),
            (QoS::AtLeastOnce, Some(id)) => Some(Self::AtLeastOnce(id)),
            (QoS::ExactlyOnce, Some(id)) => Some(Self::ExactlyOnce(id)),
            (QoS::AtMostOnce, Some(_)) | (QoS::AtLeastOnce | QoS::ExactlyOnce, None) => None,
        }
    }

    /// This QoS with this identifier, which QoS 0 does not use.
    pub const fn with_id(qos: QoS, packet_id: PacketId) -> Self {
        match qos {
            QoS::AtMostOnce => Self::AtMostOnce,
            QoS::AtLeastOnce => Self::AtLeastOnce(packet_id),
            QoS::ExactlyOnce => Self::ExactlyOnce(packet_id),
        }
    }

    /// The level.
    #[inline]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The identifier, if it has one.
    #[inline]
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

const QOS: u8 = 0x06;
const RETAIN: u8 = 0x01;

impl<'a> Publish<'a> {
    /// Reads a frame. Whether an alias is known is not looked at.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        Self::decode_as(frame, version, None)
    }

    /// The same of a frame whose [`topic_bytes`](Self::topic_bytes) are those of `topic`, a good Topic Name: it need not
    /// be checked once more.
    #[inline]
    pub fn decode_about(
        frame: Frame<'a>,
        version: ProtocolVersion,
        topic: &'a str,
    ) -> Result<Self, DecodeError> {
        Self::decode_as(frame, version, Some(topic))
    }

    #[inline(always)]
    fn decode_as(
        frame: Frame<'a>,
        version: ProtocolVersion,
        known: Option<&'a str>,
    ) -> Result<Self, DecodeError> {
        if frame.first_byte >> 4 != PacketType::Publish as u8 {
            return Err(DecodeError::protocol("another packet was expected"));
        }
        frame.check_length(version)?;
        let flags = frame.flags();
        // [MQTT-3.3.1-4]
        let Some(qos) = QoS::from_level((flags & QOS) >> 1) else {
            return Err(DecodeError::malformed("QoS is 3"));
        };
        let dup = flags & DUP != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::malformed("DUP with QoS 0")); // [MQTT-3.3.1-2]
        }
        let mut fields = Fields::new(frame.body);
        let Some(topic) = fields.try_binary_data() else { return Err(DecodeError::ENDS_INSIDE_A_FIELD) };
        let Some(topic) = known.or_else(|| good_topic(topic)) else { return Err(topic_mistake(topic)) };
        let qos = if qos == QoS::AtMostOnce {
            PublishQoS::AtMostOnce
        } else {
            let Some(number) = fields.try_two_byte_integer() else {
                return Err(DecodeError::ENDS_INSIDE_A_FIELD);
            };
            // [MQTT-2.2.1-3]
            let Some(packet_id) = PacketId::new(number) else { return Err(PACKET_ID_IS_0) };
            PublishQoS::with_id(qos, packet_id)
        };
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
            ProtocolVersion::V5 => Properties::read(&mut fields, PropertyPlace::Publish)?,
        };
        if topic.is_empty() {
            check_empty_topic(&properties, version)?;
        }
        let retain = flags & RETAIN != 0;
        Ok(Self { dup, qos, retain, topic, properties, payload: fields.rest() })
    }

    /// The topic of a frame that is a PUBLISH, unchecked; `None` if it ends before.
    #[inline]
    pub fn topic_bytes(frame: Frame<'a>) -> Option<&'a [u8]> {
        Fields::new(frame.body).try_binary_data()
    }

    /// Appends the whole packet. 3.x leaves the properties out.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !version.has_properties() {
            let Self { dup, qos, retain, topic, payload, .. } = *self;
            return encode_plain(dup, qos, retain, topic, payload, out);
        }
        let topic_len = field_len(self.topic.as_bytes())?;
        let remaining_length = self.head_len(version)? + self.payload.len();
        frame::start(out, first_byte(self.dup, self.qos, self.retain), remaining_length)?;
        self.put_head(topic_len, version, out);
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// Appends the packet up to its payload, which must follow by another way.
    pub fn encode_head(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let topic_len = field_len(self.topic.as_bytes())?;
        let remaining_length = self.head_len(version)? + self.payload.len();
        frame::start_without_room(out, first_byte(self.dup, self.qos, self.retain), remaining_length)?;
        self.put_head(topic_len, version, out);
        Ok(())
    }

    #[inline]
    fn put_head(&self, topic_len: u16, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(&topic_len.to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if let Some(packet_id) = self.qos.packet_id() {
            out.extend_from_slice(&packet_id.get().to_be_bytes());
        }
        if version.has_properties() {
            self.properties.put(out);
        }
    }

    /// How many bytes [`encode`](Self::encode) appends: what a receiver's Maximum Packet Size counts.
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        frame::encoded_len(self.head_len(version)? + self.payload.len())
    }

    /// The variable header.
    #[inline]
    fn head_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        let packet_id = if self.qos.packet_id().is_some() { 2 } else { 0 };
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()?,
        };
        Ok(2 + self.topic.len() + packet_id + properties)
    }

    /// A client does not tell Subscription Identifiers [MQTT-3.3.4-6].
    #[inline]
    pub fn check_sender(&self, sender: Role) -> Result<(), DecodeError> {
        if sender == Role::Client
            && !self.properties.is_empty()
            && self.properties.subscription_identifier().is_some()
        {
            return Err(DecodeError::protocol("subscription identifier in a PUBLISH from a client"));
        }
        Ok(())
    }
}

#[inline]
fn first_byte(dup: bool, qos: PublishQoS, retain: bool) -> u8 {
    PacketType::Publish.first_byte()
        | (if dup { DUP } else { 0 })
        | qos.qos().level() << 1
        | (if retain { RETAIN } else { 0 })
}

/// Appends a whole PUBLISH as 3.x has it, without properties: [`Publish::encode`] of its parts.
#[inline]
pub fn encode_plain(
    dup: bool,
    qos: PublishQoS,
    retain: bool,
    topic: &str,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let (first_byte, packet_id) = (first_byte(dup, qos, retain), qos.packet_id());
    let topic_len = field_len(topic.as_bytes())?;
    let remaining_length = 2 + topic.len() + if packet_id.is_some() { 2 } else { 0 } + payload.len();
    let [high, low] = topic_len.to_be_bytes();
    // One byte of Remaining Length is the usual case, and then the head has a length that the compiler knows.
    match u8::try_from(remaining_length) {
        Ok(length) if length < 0x80 => {
            out.reserve(2 + remaining_length);
            out.extend_from_slice(&[first_byte, length, high, low]);
        }
        Ok(_) | Err(_) => {
            frame::start(out, first_byte, remaining_length)?;
            out.extend_from_slice(&[high, low]);
        }
    }
    out.extend_from_slice(topic.as_bytes());
    if let Some(packet_id) = packet_id {
        out.extend_from_slice(&packet_id.get().to_be_bytes());
    }
    out.extend_from_slice(payload);
    Ok(())
}

/// Empty or a topic name [MQTT-3.3.2-1] [MQTT-3.3.2-2].
#[inline]
fn good_topic(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    // Looks for U+0000 on the same pass as for wildcards.
    (text.is_empty() || TopicName::parse(text).is_ok()).then_some(text)
}

/// Why it is neither.
#[cold]
fn topic_mistake(bytes: &[u8]) -> DecodeError {
    match str::from_utf8(bytes).map(TopicName::parse) {
        Ok(Err(error)) => error.into(),
        Ok(Ok(_)) | Err(_) => DecodeError::malformed("string is not UTF-8"),
    }
}

#[cold]
fn check_empty_topic(properties: &Properties<'_>, version: ProtocolVersion) -> Result<(), DecodeError> {
    match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => Err(DecodeError::malformed("topic name is empty")),
        // Section 3.3.2.1.
        ProtocolVersion::V5 if properties.topic_alias().is_none() => {
            Err(DecodeError::protocol("neither a topic name nor a topic alias"))
        }
        ProtocolVersion::V5 => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;
    use crate::packet::Packet;
    use crate::packet::wire::{
        ALL, BEFORE_5, V5, V31, V311, accept, check, malformed, protocol_error, refuse,
    };
    use crate::property::Property;

    fn hello() -> Publish<'static> {
        Publish {
            dup: false,
            qos: PublishQoS::AtMostOnce,
            retain: false,
            topic: "a/b",
            properties: Properties::EMPTY,
            payload: b"hi",
        }
    }

    #[test]
    fn each_qos_and_flag() {
        let id = PacketId::new(0x0102).unwrap();
        let table = [
            ("0", "", false, PublishQoS::AtMostOnce, false),
            ("1", "", false, PublishQoS::AtMostOnce, true),
            ("2", "0102", false, PublishQoS::AtLeastOnce(id), false),
            ("3", "0102", false, PublishQoS::AtLeastOnce(id), true),
            ("A", "0102", true, PublishQoS::AtLeastOnce(id), false),
            ("4", "0102", false, PublishQoS::ExactlyOnce(id), false),
            ("C", "0102", true, PublishQoS::ExactlyOnce(id), false),
            ("D", "0102", true, PublishQoS::ExactlyOnce(id), true),
        ];
        for (flags, id, dup, qos, retain) in table {
            let publish = Publish { dup, qos, retain, ..hello() };
            for version in BEFORE_5 {
                let notation = format!(r#"3{flags} .. "a/b" {id} 'hi'"#);
                check(version, &notation, Packet::Publish(publish.clone()));
            }
            check(V5, &format!(r#"3{flags} .. "a/b" {id} 00 'hi'"#), Packet::Publish(publish));
        }
        check(V311, r#"30 03 "x""#, Packet::Publish(Publish { topic: "x", payload: b"", ..hello() }));
        let feff = Publish { topic: "\u{FEFF}x", ..hello() };
        check(V311, "30 08 0004 EFBBBF 'x' 'hi'", Packet::Publish(feff)); // [MQTT-1.5.4-3]
    }

    #[test]
    fn properties() {
        let properties = Properties::new([
            Property::PayloadFormatIndicator(1),
            Property::MessageExpiryInterval(3),
            Property::TopicAlias(5),
            Property::ResponseTopic("r"),
            Property::CorrelationData(b"d"),
            Property::UserProperty("a", "b"),
            Property::UserProperty("a", "c"),
            Property::SubscriptionIdentifier(1),
            Property::SubscriptionIdentifier(268_435_455),
            Property::ContentType("c"),
        ]);
        check(
            V5,
            r#"30 .. "a/b" [ 01 01 02 00000003 23 0005 08 "r" 09 "d" 26 "a" "b" 26 "a" "c" 0B 01 0B FFFFFF7F 03 "c" ] 'hi'"#,
            Packet::Publish(Publish { properties, ..hello() }),
        );
    }

    #[test]
    fn an_alias_stands_for_a_topic() {
        let properties = Properties::new([Property::TopicAlias(1)]);
        check(
            V5,
            r#"30 .. "" [ 23 0001 ] 'hi'"#,
            Packet::Publish(Publish { topic: "", properties, ..hello() }),
        );
        protocol_error(V5, &[r#"30 .. "" 00 'hi'"#]); // section 3.3.2.1
        malformed(V311, &[r#"30 .. "" 'hi'"#]); // [MQTT311-4.7.3-1]
        refuse(V5, r#"30 .. "" [ 23 0000 ]"#, ReasonCode::TopicAliasInvalid); // [MQTT-3.3.2-8]
    }

    #[test]
    fn malformed_publishes() {
        for version in ALL {
            malformed(
                version,
                &[
                    "30 00",
                    "30 01 00",
                    "30 02 0001",
                    r#"32 03 "x""#,
                    r#"32 04 "x" 00"#,
                    r#"32 06 "x" 0000 00"#, // [MQTT-2.2.1-3] [MQTT311-2.3.1-1]
                    r#"36 06 "x" 0001 00"#, // [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
                    r#"38 04 "x" 00"#,      // [MQTT-3.3.1-2] [MQTT311-3.3.1-2]
                    r#"30 .. "a/+" 00"#,    // [MQTT-3.3.2-2] [MQTT311-3.3.2-2]
                    r##"30 .. "#" 00"##,    // [MQTT-3.3.2-2]
                    "30 .. 0002 6100 00",   // [MQTT-1.5.4-2] [MQTT311-1.5.3-2]
                    "30 .. 0001 FF 00",     // [MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT311-1.5.3-1]
                    "30 .. 0003 EDA080 00", // [MQTT-1.5.4-1]
                ],
            );
        }
        malformed(
            V5,
            &[
                r#"30 03 "x""#,
                r#"30 04 "x" 01"#,
                r#"30 .. "x" 80808001"#,
                r#"30 .. "x" FFFFFFFF"#,
                r#"30 .. "x" 8000"#, // [MQTT-1.5.5-1]
                r#"30 8400 "x" 00"#, // [MQTT-1.5.5-1]
                r#"30 .. "x" [ 01 ]"#,
                r#"30 .. "x" [ 04 00 ]"#, // section 2.2.2.2
                r#"30 .. "x" [ 8101 ]"#,
                r#"30 .. "x" [ 11 00000000 ]"#,    // section 2.2.2.2
                r#"30 .. "x" [ 08 0001 FF ]"#,     // [MQTT-3.3.2-13]
                r#"30 .. "x" [ 03 0001 FF ]"#,     // [MQTT-3.3.2-19]
                r#"30 .. "x" [ 26 "a" 0001 FF ]"#, // [MQTT-1.5.7-1]
                r#"30 .. "x" [ 26 0001 00 "b" ]"#, // [MQTT-1.5.7-1]
                r#"30 .. "x" [ 0B 8100 ]"#,        // [MQTT-1.5.5-1]
            ],
        );
        protocol_error(
            V5,
            &[
                r#"30 .. "x" [ 08 "a/+" ]"#, // [MQTT-3.3.2-14]
                r#"30 .. "x" [ 08 "" ]"#,    // [MQTT-4.7.3-1]
                r#"30 .. "x" [ 0B 00 ]"#,    // section 3.3.2.3.8
                r#"30 .. "x" [ 01 02 ]"#,
                r#"30 .. "x" [ 01 00 01 00 ]"#, // section 3.3.2.3.2
            ],
        );
        let deep = "/".repeat(201);
        malformed(V311, &[&format!(r#"30 .. "{deep}""#)]);
        accept(V31, r#"30 8500 "x" 'hi'"#, Packet::Publish(Publish { topic: "x", ..hello() }));
    }

    #[test]
    fn a_client_tells_no_subscription_identifier() {
        let properties = Properties::new([Property::SubscriptionIdentifier(1)]);
        let publish = Publish { properties, ..hello() };
        assert!(publish.check_sender(Role::Client).is_err()); // [MQTT-3.3.4-6]
        assert_eq!(publish.check_sender(Role::Server), Ok(()));
    }

    #[test]
    fn lengths() {
        for version in ALL {
            for payload in [0, 100, 121, 122, 123, 16_376, 16_377, 16_378, 16_379] {
                let payload = vec![0; payload];
                let publish = Publish { payload: &payload, ..hello() };
                let mut whole = Vec::new();
                publish.encode(version, &mut whole).unwrap();
                assert_eq!(publish.encoded_len(version), Ok(whole.len()));
                let mut head = Vec::new();
                publish.encode_head(version, &mut head).unwrap();
                head.extend_from_slice(&payload);
                assert_eq!(head, whole);
            }
        }
        let long = "a".repeat(65_536);
        let mut out = vec![7];
        let publish = Publish { topic: &long, ..hello() };
        assert_eq!(publish.encode(V311, &mut out), Err(EncodeError::FieldTooLong { bytes: 65_536 }));
        let large = vec![0; 268_435_455];
        let publish = Publish { payload: &large, ..hello() };
        assert_eq!(publish.encode(V311, &mut out), Err(EncodeError::PacketTooLong { bytes: 268_435_460 }));
        assert_eq!(out, [7]);
    }
}

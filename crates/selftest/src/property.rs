//! Properties of MQTT 5.0: THE table of what there is, how it is written, and where it may stand.

use crate::bytes::{Reader, string, two, variable_byte_integer};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Byte,
    Two,
    Four,
    Variable,
    Binary,
    Text,
    Pair,
}

use Kind::{Binary, Byte, Four, Pair, Text, Two, Variable};

/// The packets that a server sends with properties, as bits of a row below.
const CONNACK: u16 = 1 << 2;
const PUBLISH: u16 = 1 << 3;
const ACKNOWLEDGEMENTS: u16 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;
const SUBACK: u16 = 1 << 9;
const UNSUBACK: u16 = 1 << 11;
const DISCONNECT: u16 = 1 << 14;
const AUTH: u16 = 1 << 15;
const REASON: u16 = CONNACK | ACKNOWLEDGEMENTS | SUBACK | UNSUBACK | DISCONNECT | AUTH;
const NOWHERE: u16 = 0;

/// Identifier, name, how the value is written, and the packets of a server that may have it.
const TABLE: &[(u8, &str, Kind, u16)] = &[
    (0x01, "Payload Format Indicator", Byte, PUBLISH),
    (0x02, "Message Expiry Interval", Four, PUBLISH),
    (0x03, "Content Type", Text, PUBLISH),
    (0x08, "Response Topic", Text, PUBLISH),
    (0x09, "Correlation Data", Binary, PUBLISH),
    (0x0b, "Subscription Identifier", Variable, PUBLISH),
    // A server's DISCONNECT has none [MQTT-3.14.2-2].
    (0x11, "Session Expiry Interval", Four, CONNACK),
    (0x12, "Assigned Client Identifier", Text, CONNACK),
    (0x13, "Server Keep Alive", Two, CONNACK),
    (0x15, "Authentication Method", Text, CONNACK | AUTH),
    (0x16, "Authentication Data", Binary, CONNACK | AUTH),
    (0x17, "Request Problem Information", Byte, NOWHERE),
    (0x18, "Will Delay Interval", Four, NOWHERE),
    (0x19, "Request Response Information", Byte, NOWHERE),
    (0x1a, "Response Information", Text, CONNACK),
    (0x1c, "Server Reference", Text, CONNACK | DISCONNECT),
    (0x1f, "Reason String", Text, REASON),
    (0x21, "Receive Maximum", Two, CONNACK),
    (0x22, "Topic Alias Maximum", Two, CONNACK),
    (0x23, "Topic Alias", Two, PUBLISH),
    (0x24, "Maximum QoS", Byte, CONNACK),
    (0x25, "Retain Available", Byte, CONNACK),
    (0x26, "User Property", Pair, REASON | PUBLISH),
    (0x27, "Maximum Packet Size", Four, CONNACK),
    (0x28, "Wildcard Subscription Available", Byte, CONNACK),
    (0x29, "Subscription Identifier Available", Byte, CONNACK),
    (0x2a, "Shared Subscription Available", Byte, CONNACK),
];

pub(crate) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
pub(crate) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION_DATA: u8 = 0x09;
pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
pub(crate) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(crate) const WILL_DELAY_INTERVAL: u8 = 0x18;
pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(crate) const RESPONSE_INFORMATION: u8 = 0x1a;
pub(crate) const REASON_STRING: u8 = 0x1f;
pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const MAXIMUM_QOS: u8 = 0x24;
pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
pub(crate) const USER_PROPERTY: u8 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
pub(crate) const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2a;

/// A property of one byte.
pub(crate) fn byte(identifier: u8, value: u8) -> Vec<u8> {
    vec![identifier, value]
}

/// A property of two bytes.
pub(crate) fn short(identifier: u8, value: u16) -> Vec<u8> {
    [&[identifier][..], &two(value)].concat()
}

/// A property of four bytes.
pub(crate) fn long(identifier: u8, value: u32) -> Vec<u8> {
    [&[identifier][..], &value.to_be_bytes()].concat()
}

/// A string, or Binary Data.
pub(crate) fn text(identifier: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![identifier], string(value)].concat()
}

/// A User Property.
pub(crate) fn user(name: &str, value: &str) -> Vec<u8> {
    [vec![USER_PROPERTY], string(name), string(value)].concat()
}

/// A Subscription Identifier.
pub(crate) fn subscription_identifier(value: usize) -> Vec<u8> {
    [vec![SUBSCRIPTION_IDENTIFIER], variable_byte_integer(value)].concat()
}

/// The properties of one packet, in their order; each with the bytes of its value as they came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Properties(Vec<(u8, Vec<u8>)>);

impl Properties {
    /// Reads the properties of a packet of this type; `Err` says what is wrong with them.
    pub(crate) fn read(reader: &mut Reader<'_>, packet_type: u8) -> Result<Self, String> {
        let length = reader.variable_byte_integer()?;
        let mut rest = Reader::new(reader.take(length)?);
        let mut properties = Self::default();
        while !rest.is_empty() {
            let identifier = rest.byte()?;
            let (_, name, kind, places) = TABLE
                .iter()
                .find(|row| row.0 == identifier)
                .ok_or_else(|| format!("there is no property {identifier:#04x}"))?;
            if places & 1 << packet_type == 0 {
                return Err(format!("{name} does not belong into this packet"));
            }
            let before = rest.rest();
            skip(&mut rest, *kind).map_err(|error| format!("{name}: {error}"))?;
            let may_repeat = identifier == USER_PROPERTY || identifier == SUBSCRIPTION_IDENTIFIER;
            if !may_repeat && properties.raw(identifier).is_some() {
                return Err(format!("{name} stands twice"));
            }
            let value = &before[..before.len() - rest.rest().len()];
            properties.0.push((identifier, value.to_vec()));
        }
        Ok(properties)
    }

    fn raw(&self, identifier: u8) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| *found == identifier).map(|(_, value)| value.as_slice())
    }

    /// An integer of one, two or four bytes.
    pub(crate) fn number(&self, identifier: u8) -> Option<u32> {
        let value = self.raw(identifier)?;
        Some(value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// A string, or Binary Data, without its length.
    pub(crate) fn bytes(&self, identifier: u8) -> Option<&[u8]> {
        self.raw(identifier).and_then(|value| value.get(2..))
    }

    /// Whether it is there.
    pub(crate) fn has(&self, identifier: u8) -> bool {
        self.raw(identifier).is_some()
    }

    /// All Subscription Identifiers, in ascending order.
    pub(crate) fn subscription_identifiers(&self) -> Vec<usize> {
        let values = self.0.iter().filter(|(identifier, _)| *identifier == SUBSCRIPTION_IDENTIFIER);
        let mut found: Vec<usize> =
            values.filter_map(|(_, value)| Reader::new(value).variable_byte_integer().ok()).collect();
        found.sort_unstable();
        found
    }

    /// All User Properties, as they were written.
    pub(crate) fn user_properties(&self) -> Vec<Vec<u8>> {
        let values = self.0.iter().filter(|(identifier, _)| *identifier == USER_PROPERTY);
        values.map(|(_, value)| [&[USER_PROPERTY][..], value].concat()).collect()
    }

    /// The first that is none of these, by name.
    pub(crate) fn other_than(&self, allowed: &[u8]) -> Option<&'static str> {
        let (identifier, _) = self.0.iter().find(|(identifier, _)| !allowed.contains(identifier))?;
        Some(name(*identifier))
    }
}

/// The name of a property.
pub(crate) fn name(identifier: u8) -> &'static str {
    TABLE.iter().find(|row| row.0 == identifier).map_or("an unknown property", |row| row.1)
}

fn skip(reader: &mut Reader<'_>, kind: Kind) -> Result<(), String> {
    match kind {
        Byte => reader.take(1).map(drop),
        Two => reader.take(2).map(drop),
        Four => reader.take(4).map(drop),
        Variable => reader.variable_byte_integer().map(drop),
        Binary => reader.binary().map(drop),
        Text => reader.text().map(drop),
        Pair => reader.text().and_then(|_| reader.text()).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[Vec<u8>], packet_type: u8) -> Result<Properties, String> {
        let body = properties.concat();
        let written = [variable_byte_integer(body.len()), body].concat();
        Properties::read(&mut Reader::new(&written), packet_type)
    }

    #[test]
    fn what_is_written_is_read() {
        let written = [short(TOPIC_ALIAS, 7), user("a", "b"), user("a", "b"), subscription_identifier(300)];
        let found = read(&written, 3).unwrap();
        assert_eq!(found.number(TOPIC_ALIAS), Some(7));
        assert_eq!(found.subscription_identifiers(), [300]);
        assert_eq!(found.user_properties(), [user("a", "b"), user("a", "b")]);
        assert_eq!(found.other_than(&[TOPIC_ALIAS, USER_PROPERTY]), Some("Subscription Identifier"));
    }

    #[test]
    fn mistakes() {
        for (properties, packet_type) in [
            (vec![short(TOPIC_ALIAS, 7), short(TOPIC_ALIAS, 7)], 3),
            (vec![short(TOPIC_ALIAS, 7)], 4),
            (vec![long(SESSION_EXPIRY_INTERVAL, 7)], 14),
            (vec![byte(0x7f, 0)], 3),
            (vec![vec![REASON_STRING, 0, 9, b'a']], 4),
            (vec![text(REASON_STRING, [0xff])], 4),
        ] {
            assert!(read(&properties, packet_type).is_err(), "{properties:x?}");
        }
    }
}

//! SUBSCRIBE: what a client wants to receive (section 3.8).

use std::borrow::Cow;

use super::ack::packet_id;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, QoS, SubscriptionFilter};

/// A client asks for subscriptions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscribe<'a> {
    /// SUBACK repeats it [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// Subscription Identifier and User Properties.
    pub properties: Properties<'a>,
    /// What it asks for.
    pub filters: Filters<'a>,
}

/// How a subscription wants its messages. 3.x knows only the QoS.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SubscriptionOptions {
    /// Messages arrive at this QoS or lower [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The client's own messages do not come back [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Messages keep the RETAIN flag they were published with [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// Which retained messages are sent at once.
    pub retain_handling: RetainHandling,
}

/// Whether subscribing sends retained messages.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum RetainHandling {
    /// Always [MQTT-3.3.1-9].
    #[default]
    SendAtSubscribe = 0,
    /// If the session has no such subscription yet [MQTT-3.3.1-10].
    SendAtNewSubscribe = 1,
    /// Never [MQTT-3.3.1-11].
    DoNotSend = 2,
}

/// At least one topic filter with its options.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filters<'a>(Cow<'a, [u8]>);

const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;
const RESERVED: u8 = 0xC0;

impl SubscriptionOptions {
    /// A plain subscription, as 3.x has them.
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The byte on the wire, as 5.0 writes it.
    pub const fn to_byte(self) -> u8 {
        self.qos.level()
            | if self.no_local { NO_LOCAL } else { 0 }
            | if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 }
            | (self.retain_handling as u8) << 4
    }

    /// Reads the byte of 5.0 (a 3.x byte is one without options): reserved bits are malformed [MQTT-3.8.3-5], QoS 3 and
    /// Retain Handling 3 are Protocol Errors (section 3.8.3.1).
    pub const fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        if byte & RESERVED != 0 {
            return Err(DecodeError::malformed("reserved subscription options are set"));
        }
        let Some(qos) = QoS::from_level(byte & 0x03) else {
            return Err(DecodeError::protocol("maximum QoS of a subscription is 3"));
        };
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendAtNewSubscribe,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::protocol("retain handling is 3")),
        };
        Ok(Self {
            qos,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }
}

impl<'a> Subscribe<'a> {
    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Subscribe, version)?;
        let mut fields = Fields::new(frame.body);
        let packet_id = packet_id(&mut fields)?;
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
            ProtocolVersion::V5 => Properties::read(&mut fields, PropertyPlace::Subscribe)?,
        };
        Ok(Self { packet_id, properties, filters: Filters::decode(fields.rest(), version)? })
    }

    /// Appends the whole packet. 3.x leaves the properties and all options but the QoS out.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()?,
        };
        let remaining_length = 2 + properties + self.filters.0.len();
        frame::start(out, PacketType::Subscribe.first_byte(), remaining_length)?;
        out.extend_from_slice(&self.packet_id.get().to_be_bytes());
        if properties > 0 {
            self.properties.put(out);
        }
        let filters = out.len();
        out.extend_from_slice(&self.filters.0);
        if !version.has_properties() {
            leave_options_out(&mut out[filters..]);
        }
        Ok(())
    }
}

impl<'a> Filters<'a> {
    /// `None` when there is no pair: a SUBSCRIBE needs one [MQTT-3.8.3-2].
    pub fn from_pairs<'f>(
        pairs: impl IntoIterator<Item = (SubscriptionFilter<'f>, SubscriptionOptions)>,
    ) -> Option<Filters<'static>> {
        let mut bytes = Vec::new();
        for (filter, options) in pairs {
            put_filter(&mut bytes, filter);
            bytes.push(options.to_byte());
        }
        if bytes.is_empty() { None } else { Some(Filters(Cow::Owned(bytes))) }
    }

    /// In their order, which is the order of the codes in SUBACK.
    pub fn iter(&self) -> FilterIter<'_> {
        FilterIter(Fields::new(&self.0))
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Filters<'static> {
        Filters(Cow::Owned(self.0.into_owned()))
    }

    fn decode(bytes: &'a [u8], version: ProtocolVersion) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::protocol("SUBSCRIBE without a topic filter")); // [MQTT-3.8.3-2]
        }
        let mut fields = Fields::new(bytes);
        while !fields.is_empty() {
            let filter = SubscriptionFilter::parse(fields.utf8_string()?)?;
            let byte = fields.byte()?;
            if !version.has_properties() && byte & !0x03 != 0 {
                return Err(DecodeError::malformed("reserved bits of a requested QoS are set")); // [MQTT311-3.8.3-4]
            }
            let options = SubscriptionOptions::from_byte(byte)?;
            if options.no_local && filter.share.is_some() {
                return Err(DecodeError::protocol("No Local on a shared subscription")); // [MQTT-3.8.3-4]
            }
        }
        Ok(Self(Cow::Borrowed(bytes)))
    }
}

impl<'s> IntoIterator for &'s Filters<'_> {
    type Item = (SubscriptionFilter<'s>, SubscriptionOptions);
    type IntoIter = FilterIter<'s>;

    fn into_iter(self) -> FilterIter<'s> {
        self.iter()
    }
}

/// The topic filters of a SUBSCRIBE, one after the other.
#[derive(Clone, Debug)]
pub struct FilterIter<'a>(Fields<'a>);

impl<'a> Iterator for FilterIter<'a> {
    type Item = (SubscriptionFilter<'a>, SubscriptionOptions);

    fn next(&mut self) -> Option<Self::Item> {
        let filter = SubscriptionFilter::parse(self.0.utf8_string().ok()?).ok()?;
        Some((filter, SubscriptionOptions::from_byte(self.0.byte().ok()?).ok()?))
    }
}

/// A filter is never longer than a field may be.
pub(super) fn put_filter(out: &mut Vec<u8>, filter: SubscriptionFilter<'_>) {
    let text = filter.as_str().as_bytes();
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// Keeps the QoS of each filter.
fn leave_options_out(mut filters: &mut [u8]) {
    while let Some((length, rest)) = filters.split_first_chunk_mut::<2>() {
        let Some((_, rest)) = rest.split_at_mut_checked(usize::from(u16::from_be_bytes(*length))) else {
            return;
        };
        let Some((options, rest)) = rest.split_first_mut() else { return };
        *options &= 0x03;
        filters = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet::wire::{ALL, BEFORE_5, V5, V31, V311, accept, check, malformed, protocol_error};
    use crate::property::Property;

    fn subscribe(
        filters: &[(&str, SubscriptionOptions)],
        properties: Properties<'static>,
    ) -> Packet<'static> {
        let pairs =
            filters.iter().map(|&(filter, options)| (SubscriptionFilter::parse(filter).unwrap(), options));
        let packet_id = PacketId::new(10).unwrap();
        Packet::Subscribe(Subscribe { packet_id, properties, filters: Filters::from_pairs(pairs).unwrap() })
    }

    const AT: fn(QoS) -> SubscriptionOptions = SubscriptionOptions::new;

    #[test]
    fn filters() {
        let three =
            [("a/b", AT(QoS::AtLeastOnce)), ("#", AT(QoS::ExactlyOnce)), ("$share/g/+", AT(QoS::AtMostOnce))];
        for version in BEFORE_5 {
            let notation = r##"82 .. 000A "a/b" 01 "#" 02 "$share/g/+" 00"##;
            check(version, notation, subscribe(&three, Properties::EMPTY));
        }
        // 3.1 repeats with DUP (section 2.1 there).
        let once = subscribe(&[("a", AT(QoS::AtMostOnce))], Properties::EMPTY);
        accept(V31, r#"8A .. 000A "a" 00"#, once);
        malformed(V311, &[r#"8A .. 000A "a" 00"#]); // [MQTT311-3.8.1-1]
        let notation = r##"82 .. 000A 00 "a/b" 01 "#" 02 "$share/g/+" 00"##;
        check(V5, notation, subscribe(&three, Properties::EMPTY));
        let Packet::Subscribe(subscribe) = subscribe(&three, Properties::EMPTY) else { unreachable!() };
        let pairs: Vec<_> =
            subscribe.filters.iter().map(|(filter, options)| (filter.as_str(), options)).collect();
        assert_eq!(pairs, three);
    }

    #[test]
    fn options() {
        for byte in 0..=255_u8 {
            let notation = format!(r#"82 .. 000A 00 "a" {byte:02X}"#);
            match SubscriptionOptions::from_byte(byte) {
                Ok(options) => {
                    assert_eq!(options.to_byte(), byte);
                    check(V5, &notation, subscribe(&[("a", options)], Properties::EMPTY));
                }
                Err(_) if byte & 0xC0 != 0 => malformed(V5, &[&notation]), // [MQTT-3.8.3-5]
                Err(_) => protocol_error(V5, &[&notation]),                // section 3.8.3.1
            }
        }
        let all = SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        assert_eq!(all.to_byte(), 0x2E);
        assert_eq!(
            SubscriptionOptions::from_byte(0x10).unwrap().retain_handling,
            RetainHandling::SendAtNewSubscribe
        );
        // 3.x has the QoS alone.
        let mut out = Vec::new();
        subscribe(&[("a", all), ("b", all)], Properties::EMPTY).encode(V311, &mut out).unwrap();
        assert_eq!(out, crate::packet::wire::bytes(r#"82 .. 000A "a" 02 "b" 02"#));
    }

    #[test]
    fn properties() {
        let properties =
            Properties::new([Property::SubscriptionIdentifier(200), Property::UserProperty("a", "b")]);
        let notation = r#"82 .. 000A [ 0B C801 26 "a" "b" ] "a" 00"#;
        check(V5, notation, subscribe(&[("a", AT(QoS::AtMostOnce))], properties));
        protocol_error(
            V5,
            &[
                r#"82 .. 000A [ 0B 00 ] "a" 00"#,       // section 3.8.2.1.2
                r#"82 .. 000A [ 0B 01 0B 02 ] "a" 00"#, // section 3.8.2.1.2
            ],
        );
        malformed(V5, &[r#"82 .. 000A [ 1F "r" ] "a" 00"#]);
    }

    #[test]
    fn mistakes() {
        for version in BEFORE_5 {
            protocol_error(version, &["82 02 000A"]); // [MQTT311-3.8.3-3]
            malformed(
                version,
                &[
                    r#"82 .. 000A "a" 04"#, // [MQTT311-3.8.3-4]
                    r#"82 .. 000A "a" 80"#,
                    r#"82 .. 000A "a""#,
                    r#"82 .. 000A "a" 00 00"#,
                ],
            );
        }
        protocol_error(V31, &[r#"82 .. 000A "a" 03"#]);
        protocol_error(
            V5,
            &[
                "82 03 000A 00",                    // [MQTT-3.8.3-2]
                r#"82 .. 000A 00 "$share/g/a" 04"#, // [MQTT-3.8.3-4]
            ],
        );
        for version in ALL {
            let empty = if version == V5 { "00" } else { "" };
            malformed(
                version,
                &[
                    "82 00",
                    "82 01 00",
                    &format!(r#"82 .. 0000 {empty} "a" 00"#), // [MQTT-2.2.1-3]
                    &format!(r#"80 .. 000A {empty} "a" 00"#), // [MQTT-3.8.1-1]
                    &format!(r#"83 .. 000A {empty} "a" 00"#),
                    &format!(r#"82 .. 000A {empty} "" 00"#), // [MQTT-4.7.3-1]
                    &format!(r#"82 .. 000A {empty} 0001 FF 00"#), // [MQTT-3.8.3-1]
                    &format!(r#"82 .. 000A {empty} 0001 00 00"#), // [MQTT-4.7.3-2]
                    &format!(r#"82 .. 000A {empty} 0005 'a' 00"#),
                    &format!(r#"82 .. 000A {empty} "a#" 00"#), // [MQTT-4.7.1-1]
                    &format!(r#"82 .. 000A {empty} "a+" 00"#), // [MQTT-4.7.1-2]
                    &format!(r#"82 .. 000A {empty} "a" 00 "+b" 00"#),
                    &format!(r#"82 .. 000A {empty} "$share//a" 00"#), // [MQTT-4.8.2-1]
                    &format!(r#"82 .. 000A {empty} "$share/+/a" 00"#), // [MQTT-4.8.2-2]
                    &format!(r#"82 .. 000A {empty} "$share/g" 00"#),  // [MQTT-4.8.2-2]
                ],
            );
        }
        assert_eq!(Filters::from_pairs([]), None);
    }
}

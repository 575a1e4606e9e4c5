//! UNSUBSCRIBE: what a client no longer wants (section 3.10).

use std::borrow::Cow;

use super::ack::packet_id;
use super::subscribe::put_filter;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, SubscriptionFilter};

/// A client ends subscriptions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsubscribe<'a> {
    /// UNSUBACK repeats it [MQTT-3.10.4-5].
    pub packet_id: PacketId,
    /// User Properties.
    pub properties: Properties<'a>,
    /// Compared literally with those subscribed to [MQTT-3.10.4-1].
    pub filters: UnsubscribeFilters<'a>,
}

/// At least one topic filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnsubscribeFilters<'a>(Cow<'a, [u8]>);

impl<'a> Unsubscribe<'a> {
    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Unsubscribe, version)?;
        let mut fields = Fields::new(frame.body);
        let packet_id = packet_id(&mut fields)?;
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
            ProtocolVersion::V5 => Properties::read(&mut fields, PropertyPlace::Unsubscribe)?,
        };
        Ok(Self { packet_id, properties, filters: UnsubscribeFilters::decode(fields.rest())? })
    }

    /// Appends the whole packet. 3.x leaves the properties out.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()?,
        };
        let remaining_length = 2 + properties + self.filters.0.len();
        frame::start(out, PacketType::Unsubscribe.first_byte(), remaining_length)?;
        out.extend_from_slice(&self.packet_id.get().to_be_bytes());
        if properties > 0 {
            self.properties.put(out);
        }
        out.extend_from_slice(&self.filters.0);
        Ok(())
    }
}

impl<'a> UnsubscribeFilters<'a> {
    /// `None` when there is no filter: an UNSUBSCRIBE needs one [MQTT-3.10.3-2].
    pub fn from_filters<'f>(
        filters: impl IntoIterator<Item = SubscriptionFilter<'f>>,
    ) -> Option<UnsubscribeFilters<'static>> {
        let mut bytes = Vec::new();
        for filter in filters {
            put_filter(&mut bytes, filter);
        }
        if bytes.is_empty() { None } else { Some(UnsubscribeFilters(Cow::Owned(bytes))) }
    }

    /// In their order, which is the order of the codes in UNSUBACK.
    pub fn iter(&self) -> UnsubscribeFilterIter<'_> {
        UnsubscribeFilterIter(Fields::new(&self.0))
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> UnsubscribeFilters<'static> {
        UnsubscribeFilters(Cow::Owned(self.0.into_owned()))
    }

    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::protocol("UNSUBSCRIBE without a topic filter")); // [MQTT-3.10.3-2]
        }
        let mut fields = Fields::new(bytes);
        while !fields.is_empty() {
            SubscriptionFilter::parse(fields.utf8_string()?)?;
        }
        Ok(Self(Cow::Borrowed(bytes)))
    }
}

impl<'s> IntoIterator for &'s UnsubscribeFilters<'_> {
    type Item = SubscriptionFilter<'s>;
    type IntoIter = UnsubscribeFilterIter<'s>;

    fn into_iter(self) -> UnsubscribeFilterIter<'s> {
        self.iter()
    }
}

/// The topic filters of an UNSUBSCRIBE, one after the other.
#[derive(Clone, Debug)]
pub struct UnsubscribeFilterIter<'a>(Fields<'a>);

impl<'a> Iterator for UnsubscribeFilterIter<'a> {
    type Item = SubscriptionFilter<'a>;

    fn next(&mut self) -> Option<SubscriptionFilter<'a>> {
        SubscriptionFilter::parse(self.0.utf8_string().ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet::wire::{ALL, BEFORE_5, V5, V31, V311, accept, check, malformed, protocol_error};
    use crate::property::Property;

    fn unsubscribe(filters: &[&str], properties: Properties<'static>) -> Packet<'static> {
        let filters = filters.iter().map(|filter| SubscriptionFilter::parse(filter).unwrap());
        let filters = UnsubscribeFilters::from_filters(filters).unwrap();
        Packet::Unsubscribe(Unsubscribe { packet_id: PacketId::new(10).unwrap(), properties, filters })
    }

    #[test]
    fn filters() {
        let two = ["a/b", "$share/g/#"];
        for version in BEFORE_5 {
            check(version, r#"A2 .. 000A "a/b" "$share/g/#""#, unsubscribe(&two, Properties::EMPTY));
        }
        // 3.1 repeats with DUP (section 2.1 there).
        accept(V31, r#"AA .. 000A "a""#, unsubscribe(&["a"], Properties::EMPTY));
        malformed(V311, &[r#"AA .. 000A "a""#]); // [MQTT311-3.10.1-1]
        check(V5, r#"A2 .. 000A 00 "a/b" "$share/g/#""#, unsubscribe(&two, Properties::EMPTY));
        let properties = Properties::new([Property::UserProperty("a", "b")]);
        check(V5, r#"A2 .. 000A [ 26 "a" "b" ] "c""#, unsubscribe(&["c"], properties));
        let Packet::Unsubscribe(packet) = unsubscribe(&two, Properties::EMPTY) else { unreachable!() };
        assert_eq!(packet.filters.iter().map(SubscriptionFilter::as_str).collect::<Vec<_>>(), two);
    }

    #[test]
    fn mistakes() {
        for version in ALL {
            let empty = if version == V5 { "00" } else { "" };
            protocol_error(version, &[&format!("A2 .. 000A {empty}")]); // [MQTT-3.10.3-2] [MQTT311-3.10.3-2]
            malformed(
                version,
                &[
                    "A2 00",
                    "A2 01 00",
                    &format!(r#"A2 .. 0000 {empty} "a""#), // [MQTT-2.2.1-3]
                    &format!(r#"A0 .. 000A {empty} "a""#), // [MQTT-3.10.1-1]
                    &format!(r#"A2 .. 000A {empty} """#),  // [MQTT-4.7.3-1]
                    &format!(r#"A2 .. 000A {empty} 0001 FF"#), // [MQTT-3.10.3-1] [MQTT311-3.10.3-1]
                    &format!(r#"A2 .. 000A {empty} "a" 00"#),
                    &format!(r#"A2 .. 000A {empty} "a/#/b""#), // [MQTT-4.7.1-1]
                    &format!(r#"A2 .. 000A {empty} "$share//a""#), // [MQTT-4.8.2-1]
                ],
            );
        }
        malformed(V5, &[r#"A2 .. 000A "a""#, r#"A2 .. 000A [ 0B 01 ] "a""#]);
        assert_eq!(UnsubscribeFilters::from_filters([]), None);
    }
}

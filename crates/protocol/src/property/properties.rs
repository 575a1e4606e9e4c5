//! The properties of one packet as they travel: checked once, kept as bytes.

use std::borrow::Cow;

use super::{Property, PropertyPlace, PropertyRow, UNKNOWN};
use crate::field::{Fields, VARIABLE_BYTE_INTEGER_MAX, put_variable_byte_integer, variable_byte_integer_len};
use crate::{DecodeError, EncodeError};

/// The properties of one packet: checked, in their order on the wire, kept as encoded bytes (without the
/// Property Length in front). Empty for 3.x packets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Properties<'a> {
    bytes: Cow<'a, [u8]>,
    /// The first pushed property that cannot be written; encoding reports it.
    mistake: Option<EncodeError>,
}

impl<'a> Properties<'a> {
    /// No properties, written as Property Length 0 [MQTT-2.2.2-1].
    pub const EMPTY: Self = Self { bytes: Cow::Borrowed(&[]), mistake: None };

    /// Checks the bytes that stand behind a Property Length in one place of a packet.
    pub fn decode(bytes: &'a [u8], place: PropertyPlace) -> Result<Self, DecodeError> {
        check(bytes, place)?;
        Ok(Self { bytes: Cow::Borrowed(bytes), mistake: None })
    }

    /// Encodes properties in the order given. Whether they may stand in a packet is not looked at: see
    /// [`check`](Self::check).
    pub fn new<'p>(items: impl IntoIterator<Item = Property<'p>>) -> Properties<'static> {
        let mut properties = Properties::EMPTY;
        for property in items {
            properties.push(property);
        }
        properties
    }

    /// Appends one. A property that cannot be written (a string beyond 65535 bytes, a Subscription Identifier beyond
    /// 268435455) makes every packet with these properties fail to encode.
    pub fn push(&mut self, property: Property<'_>) {
        let bytes = self.bytes.to_mut();
        let length = bytes.len();
        bytes.push(property.id());
        if let Err(mistake) = property.put_value(bytes) {
            bytes.truncate(length);
            self.mistake.get_or_insert(mistake);
        }
    }

    /// Adds all of `other` behind these, in their order.
    pub fn append(&mut self, other: &Properties<'_>) {
        self.bytes.to_mut().extend_from_slice(&other.bytes);
        self.mistake = self.mistake.or(other.mistake);
    }

    /// Whether they may stand in that place: what [`decode`](Self::decode) would say to them.
    pub fn check(&self, place: PropertyPlace) -> Result<(), DecodeError> {
        check(&self.bytes, place)
    }

    /// In their order on the wire.
    pub fn iter(&self) -> PropertyIter<'_> {
        PropertyIter(Fields::new(&self.bytes))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is none, and none that could not be written.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.bytes.is_empty() && self.mistake.is_none()
    }

    /// Bytes on the wire without the Property Length in front.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// The encoded properties without the Property Length in front.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Properties<'static> {
        Properties { bytes: Cow::Owned(self.bytes.into_owned()), mistake: self.mistake }
    }

    /// The same properties, borrowed from these.
    pub fn borrowed(&self) -> Properties<'_> {
        Properties { bytes: Cow::Borrowed(&self.bytes), mistake: self.mistake }
    }

    /// Takes bytes that came from [`as_bytes`](Self::as_bytes) without checking them again. Wrong bytes cannot do more
    /// than end the iteration early and make a packet that the peer refuses.
    pub fn from_checked_bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { bytes: bytes.into(), mistake: None }
    }

    /// The properties of a PUBLISH or Will that a server passes on unaltered and in order: Payload Format Indicator,
    /// Content Type, Response Topic, Correlation Data and User Properties [MQTT-3.3.2-4] [MQTT-3.3.2-15]
    /// [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]. Borrowed when they stand together.
    #[inline]
    pub fn forwardable(&self) -> Properties<'_> {
        if self.bytes.is_empty() { Properties::EMPTY } else { self.forwardable_of_some() }
    }

    fn forwardable_of_some(&self) -> Properties<'_> {
        // From where to where the bytes kept so far stand together; a second piece makes a copy.
        let mut together = 0..0;
        let mut copy = Vec::new();
        let mut fields = Fields::new(&self.bytes);
        while let Some((id, start, end)) = next_bounds(&self.bytes, &mut fields) {
            if !matches!(id, 0x01 | 0x03 | 0x08 | 0x09 | 0x26) {
                continue;
            }
            if !copy.is_empty() {
                copy.extend_from_slice(&self.bytes[start..end]);
            } else if together.is_empty() {
                together = start..end;
            } else if together.end == start {
                together.end = end;
            } else {
                copy.reserve(self.bytes.len());
                copy.extend_from_slice(&self.bytes[together.clone()]);
                copy.extend_from_slice(&self.bytes[start..end]);
            }
        }
        let bytes = if copy.is_empty() { Cow::Borrowed(&self.bytes[together]) } else { Cow::Owned(copy) };
        Properties { bytes, mistake: self.mistake }
    }

    /// The first property with this identifier.
    #[inline]
    fn find(&self, wanted: u8) -> Option<Property<'_>> {
        if self.bytes.is_empty() { None } else { self.find_among_some(wanted) }
    }

    fn find_among_some(&self, wanted: u8) -> Option<Property<'_>> {
        let mut fields = Fields::new(&self.bytes);
        while !fields.is_empty() {
            let id = fields.byte().ok()?;
            if id == wanted {
                return Property::read_value(id, &mut fields).ok();
            }
            PropertyRow::of(id)?.skip(&mut fields).ok()?;
        }
        None
    }

    /// Reads the Property Length and that many bytes; a 3.x packet has neither.
    #[inline]
    pub(crate) fn read(fields: &mut Fields<'a>, place: PropertyPlace) -> Result<Self, DecodeError> {
        let length = fields.variable_byte_integer()?;
        if length == 0 {
            return Ok(Self::EMPTY);
        }
        Self::decode(fields.take(length as usize)?, place)
    }

    /// Bytes on the wire with the Property Length, if they can be written.
    #[inline]
    pub(crate) fn field_len(&self) -> Result<usize, EncodeError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let length = self.bytes.len();
        match u32::try_from(length) {
            Ok(prefix) if prefix <= VARIABLE_BYTE_INTEGER_MAX => {
                Ok(variable_byte_integer_len(prefix) + length)
            }
            _ => Err(EncodeError::PacketTooLong { bytes: length }),
        }
    }

    /// Writes them after [`field_len`](Self::field_len) has allowed it.
    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_variable_byte_integer(out, self.bytes.len() as u32);
        out.extend_from_slice(&self.bytes);
    }
}

impl<'s> IntoIterator for &'s Properties<'_> {
    type Item = Property<'s>;
    type IntoIter = PropertyIter<'s>;

    fn into_iter(self) -> PropertyIter<'s> {
        self.iter()
    }
}

/// The properties of one packet, one after the other.
#[derive(Clone, Debug)]
pub struct PropertyIter<'a>(Fields<'a>);

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let id = self.0.byte().ok()?;
        Property::read_value(id, &mut self.0).ok()
    }
}

/// The identifier of the next property, and from where to where it stands.
fn next_bounds(bytes: &[u8], fields: &mut Fields<'_>) -> Option<(u8, usize, usize)> {
    let start = bytes.len() - fields.rest().len();
    let id = fields.byte().ok()?;
    PropertyRow::of(id)?.skip(fields).ok()?;
    Some((id, start, bytes.len() - fields.rest().len()))
}

fn check(bytes: &[u8], place: PropertyPlace) -> Result<(), DecodeError> {
    let mut fields = Fields::new(bytes);
    let mut seen = 0_u64;
    while !fields.is_empty() {
        let id = fields.byte()?;
        let row = PropertyRow::of(id).ok_or(UNKNOWN)?;
        if !row.allowed_in(place) {
            return Err(DecodeError::malformed("property does not belong into this packet"));
        }
        if seen & 1 << id != 0 && !row.repeatable_in(place) {
            return Err(DecodeError::protocol("property occurs more than once"));
        }
        seen |= 1 << id;
        row.check(&mut fields)?;
    }
    // Sections 3.1.2.11.10, 3.2.2.3.18 and 3.15.2.2.3.
    if seen & 1 << 0x16 != 0 && seen & 1 << 0x15 == 0 {
        return Err(DecodeError::protocol("authentication data without an authentication method"));
    }
    Ok(())
}

/// One getter per property that occurs at most once: its value, if it is there.
macro_rules! getters {
    ($($(#[$doc:meta])+ $getter:ident $id:literal $name:ident $type:ty;)+) => {
        impl Properties<'_> {
            $($(#[$doc])+ pub fn $getter(&self) -> Option<$type> {
                match self.find($id) {
                    Some(Property::$name(value)) => Some(value),
                    _ => None,
                }
            })+
        }
    };
}

getters! {
    /// 0x01: 1 when the payload is UTF-8 text
    payload_format_indicator 0x01 PayloadFormatIndicator u8;
    /// 0x02, seconds
    message_expiry_interval 0x02 MessageExpiryInterval u32;
    /// 0x03
    content_type 0x03 ContentType &str;
    /// 0x08
    response_topic 0x08 ResponseTopic &str;
    /// 0x09
    correlation_data 0x09 CorrelationData &[u8];
    /// 0x0B, the first
    subscription_identifier 0x0B SubscriptionIdentifier u32;
    /// 0x11, seconds; absent means 0, and `u32::MAX` means never
    session_expiry_interval 0x11 SessionExpiryInterval u32;
    /// 0x12
    assigned_client_identifier 0x12 AssignedClientIdentifier &str;
    /// 0x13, seconds
    server_keep_alive 0x13 ServerKeepAlive u16;
    /// 0x15
    authentication_method 0x15 AuthenticationMethod &str;
    /// 0x16
    authentication_data 0x16 AuthenticationData &[u8];
    /// 0x18, seconds
    will_delay_interval 0x18 WillDelayInterval u32;
    /// 0x1A
    response_information 0x1A ResponseInformation &str;
    /// 0x1C
    server_reference 0x1C ServerReference &str;
    /// 0x1F
    reason_string 0x1F ReasonString &str;
    /// 0x21, absent means 65535
    receive_maximum 0x21 ReceiveMaximum u16;
    /// 0x22, absent means 0
    topic_alias_maximum 0x22 TopicAliasMaximum u16;
    /// 0x23
    topic_alias 0x23 TopicAlias u16;
    /// 0x24: 0 or 1; absent means 2
    maximum_qos 0x24 MaximumQoS u8;
    /// 0x27, bytes; absent means no limit
    maximum_packet_size 0x27 MaximumPacketSize u32;
}

impl Properties<'_> {
    /// 0x17, absent means true
    pub fn request_problem_information(&self) -> Option<bool> {
        self.flag(0x17)
    }

    /// 0x19, absent means false
    pub fn request_response_information(&self) -> Option<bool> {
        self.flag(0x19)
    }

    /// 0x25, absent means true
    pub fn retain_available(&self) -> Option<bool> {
        self.flag(0x25)
    }

    /// 0x28, absent means true
    pub fn wildcard_subscription_available(&self) -> Option<bool> {
        self.flag(0x28)
    }

    /// 0x29, absent means true
    pub fn subscription_identifier_available(&self) -> Option<bool> {
        self.flag(0x29)
    }

    /// 0x2A, absent means true
    pub fn shared_subscription_available(&self) -> Option<bool> {
        self.flag(0x2A)
    }

    /// 0x26, in their order
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// 0x0B, in their order: a PUBLISH has one for each subscription that it matched
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }

    fn flag(&self, id: u8) -> Option<bool> {
        match self.find(id)? {
            Property::RequestProblemInformation(value)
            | Property::RequestResponseInformation(value)
            | Property::RetainAvailable(value)
            | Property::WildcardSubscriptionAvailable(value)
            | Property::SubscriptionIdentifierAvailable(value)
            | Property::SharedSubscriptionAvailable(value) => Some(value != 0),
            _ => None,
        }
    }
}

//! THE property table of MQTT 5.0 (section 2.2.2): identifier, type, packets, once or many.

mod properties;
#[cfg(test)]
mod tests;

pub use properties::{Properties, PropertyIter};

use crate::field::{
    Fields, VARIABLE_BYTE_INTEGER_MAX, field_len, put_binary_data, put_variable_byte_integer,
};
use crate::{DecodeError, EncodeError, ReasonCode, TopicName};

/// One property with its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Property<'a> {
    /// 0x01
    PayloadFormatIndicator(u8),
    /// 0x02, seconds
    MessageExpiryInterval(u32),
    /// 0x03
    ContentType(&'a str),
    /// 0x08
    ResponseTopic(&'a str),
    /// 0x09
    CorrelationData(&'a [u8]),
    /// 0x0B, 1 to 268435455
    SubscriptionIdentifier(u32),
    /// 0x11, seconds
    SessionExpiryInterval(u32),
    /// 0x12
    AssignedClientIdentifier(&'a str),
    /// 0x13, seconds
    ServerKeepAlive(u16),
    /// 0x15
    AuthenticationMethod(&'a str),
    /// 0x16
    AuthenticationData(&'a [u8]),
    /// 0x17, 0 or 1
    RequestProblemInformation(u8),
    /// 0x18, seconds
    WillDelayInterval(u32),
    /// 0x19, 0 or 1
    RequestResponseInformation(u8),
    /// 0x1A
    ResponseInformation(&'a str),
    /// 0x1C
    ServerReference(&'a str),
    /// 0x1F
    ReasonString(&'a str),
    /// 0x21, never 0
    ReceiveMaximum(u16),
    /// 0x22
    TopicAliasMaximum(u16),
    /// 0x23, never 0
    TopicAlias(u16),
    /// 0x24, 0 or 1
    MaximumQoS(u8),
    /// 0x25, 0 or 1
    RetainAvailable(u8),
    /// 0x26, may occur many times; order is kept
    UserProperty(&'a str, &'a str),
    /// 0x27, bytes, never 0
    MaximumPacketSize(u32),
    /// 0x28, 0 or 1
    WildcardSubscriptionAvailable(u8),
    /// 0x29, 0 or 1
    SubscriptionIdentifierAvailable(u8),
    /// 0x2A, 0 or 1
    SharedSubscriptionAvailable(u8),
}

/// Where properties stand: the fourteen 5.0 packets that carry them, and the Will.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the packet of that name")]
pub enum PropertyPlace {
    Connect = 0,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Disconnect,
    Auth,
    Will,
}

/// How the value of a property is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "the standard's names (section 1.5)")]
pub enum DataType {
    Byte,
    TwoByteInteger,
    FourByteInteger,
    VariableByteInteger,
    BinaryData,
    Utf8String,
    Utf8StringPair,
}

/// Which values of its data type a property may have. Any other is a Protocol Error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Values {
    /// All.
    Any,
    /// 0 or 1.
    ZeroOrOne,
    /// Not 0.
    NotZero,
    /// Not 0, which is told as Topic Alias invalid [MQTT-3.3.2-8].
    NotZeroAlias,
    /// A topic name without wildcards [MQTT-3.3.2-14].
    Topic,
}

/// How often a property may stand in one packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Occurs {
    /// At most once.
    Once,
    /// In PUBLISH any number of times, elsewhere at most once.
    ManyInPublish,
    /// Any number of times; the order is kept.
    Many,
}

/// One row of [`PROPERTIES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PropertyRow {
    /// Property Identifier.
    pub id: u8,
    /// The standard's name.
    pub name: &'static str,
    /// How its value is written.
    pub data_type: DataType,
    /// How often it may occur.
    pub occurs: Occurs,
    /// What its value may be.
    pub values: Values,
    /// Where it may stand.
    pub places: &'static [PropertyPlace],
    place_bits: u16,
}

const fn row(
    id: u8,
    name: &'static str,
    data_type: DataType,
    occurs: Occurs,
    values: Values,
    places: &'static [PropertyPlace],
) -> PropertyRow {
    let mut place_bits = 0;
    let mut index = 0;
    while index < places.len() {
        place_bits |= places[index].bit();
        index += 1;
    }
    PropertyRow { id, name, data_type, occurs, values, places, place_bits }
}

/// THE table: table 2-4 of the standard, with the rules of each packet's section.
#[rustfmt::skip]
pub const PROPERTIES: [PropertyRow; 27] = {
    use DataType::*;
    use Occurs::*;
    use PropertyPlace::*;
    use Values::*;
    [
        row(0x01, "Payload Format Indicator", Byte, Once, ZeroOrOne, &[Publish, Will]),
        row(0x02, "Message Expiry Interval", FourByteInteger, Once, Any, &[Publish, Will]),
        row(0x03, "Content Type", Utf8String, Once, Any, &[Publish, Will]),
        row(0x08, "Response Topic", Utf8String, Once, Topic, &[Publish, Will]),
        row(0x09, "Correlation Data", BinaryData, Once, Any, &[Publish, Will]),
        row(0x0B, "Subscription Identifier", VariableByteInteger, ManyInPublish, NotZero, &[Publish, Subscribe]),
        row(0x11, "Session Expiry Interval", FourByteInteger, Once, Any, &[Connect, Connack, Disconnect]),
        row(0x12, "Assigned Client Identifier", Utf8String, Once, Any, &[Connack]),
        row(0x13, "Server Keep Alive", TwoByteInteger, Once, Any, &[Connack]),
        row(0x15, "Authentication Method", Utf8String, Once, Any, &[Connect, Connack, Auth]),
        row(0x16, "Authentication Data", BinaryData, Once, Any, &[Connect, Connack, Auth]),
        row(0x17, "Request Problem Information", Byte, Once, ZeroOrOne, &[Connect]),
        row(0x18, "Will Delay Interval", FourByteInteger, Once, Any, &[Will]),
        row(0x19, "Request Response Information", Byte, Once, ZeroOrOne, &[Connect]),
        row(0x1A, "Response Information", Utf8String, Once, Any, &[Connack]),
        row(0x1C, "Server Reference", Utf8String, Once, Any, &[Connack, Disconnect]),
        row(0x1F, "Reason String", Utf8String, Once, Any,
            &[Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth]),
        row(0x21, "Receive Maximum", TwoByteInteger, Once, NotZero, &[Connect, Connack]),
        row(0x22, "Topic Alias Maximum", TwoByteInteger, Once, Any, &[Connect, Connack]),
        row(0x23, "Topic Alias", TwoByteInteger, Once, NotZeroAlias, &[Publish]),
        row(0x24, "Maximum QoS", Byte, Once, ZeroOrOne, &[Connack]),
        row(0x25, "Retain Available", Byte, Once, ZeroOrOne, &[Connack]),
        row(0x26, "User Property", Utf8StringPair, Many, Any, &PropertyPlace::ALL),
        row(0x27, "Maximum Packet Size", FourByteInteger, Once, NotZero, &[Connect, Connack]),
        row(0x28, "Wildcard Subscription Available", Byte, Once, ZeroOrOne, &[Connack]),
        row(0x29, "Subscription Identifier Available", Byte, Once, ZeroOrOne, &[Connack]),
        row(0x2A, "Shared Subscription Available", Byte, Once, ZeroOrOne, &[Connack]),
    ]
};

/// Row numbers by identifier, so that decoding does not search.
const ROW_OF: [Option<u8>; 64] = {
    let mut rows = [None; 64];
    let mut index = 0;
    while index < PROPERTIES.len() {
        rows[PROPERTIES[index].id as usize] = Some(index as u8);
        index += 1;
    }
    rows
};

impl PropertyRow {
    /// The row of an identifier; `None` if the standard defines none.
    pub fn of(id: u8) -> Option<&'static Self> {
        const ROWS: &[PropertyRow] = &PROPERTIES;
        let row = (*ROW_OF.get(usize::from(id))?)?;
        ROWS.get(usize::from(row))
    }

    /// Whether the property may stand there.
    pub const fn allowed_in(&self, place: PropertyPlace) -> bool {
        self.place_bits & place.bit() != 0
    }

    /// Whether it may stand there more than once.
    pub const fn repeatable_in(&self, place: PropertyPlace) -> bool {
        match self.occurs {
            Occurs::Once => false,
            Occurs::ManyInPublish => matches!(place, PropertyPlace::Publish),
            Occurs::Many => true,
        }
    }

    /// Steps over a value without looking at it.
    fn skip(&self, fields: &mut Fields<'_>) -> Result<(), DecodeError> {
        match self.data_type {
            DataType::Byte => fields.byte().map(drop),
            DataType::TwoByteInteger => fields.two_byte_integer().map(drop),
            DataType::FourByteInteger => fields.four_byte_integer().map(drop),
            DataType::VariableByteInteger => fields.variable_byte_integer().map(drop),
            DataType::BinaryData | DataType::Utf8String => fields.binary_data().map(drop),
            DataType::Utf8StringPair => {
                fields.binary_data()?;
                fields.binary_data().map(drop)
            }
        }
    }

    /// Steps over a value and checks it: a wrong data type is malformed (section 2.2.2.2), a wrong value a Protocol
    /// Error.
    fn check(&self, fields: &mut Fields<'_>) -> Result<(), DecodeError> {
        let number = match self.data_type {
            DataType::Byte => u32::from(fields.byte()?),
            DataType::TwoByteInteger => u32::from(fields.two_byte_integer()?),
            DataType::FourByteInteger => fields.four_byte_integer()?,
            DataType::VariableByteInteger => fields.variable_byte_integer()?,
            DataType::BinaryData => {
                fields.binary_data()?;
                return Ok(());
            }
            DataType::Utf8String => {
                let text = fields.utf8_string()?;
                if matches!(self.values, Values::Topic) && TopicName::parse(text).is_err() {
                    return Err(DecodeError::protocol("response topic is no topic name"));
                }
                return Ok(());
            }
            // [MQTT-1.5.7-1]
            DataType::Utf8StringPair => {
                fields.utf8_string()?;
                fields.utf8_string()?;
                return Ok(());
            }
        };
        match self.values {
            Values::ZeroOrOne if number > 1 => Err(DecodeError::protocol("property must be 0 or 1")),
            Values::NotZero if number == 0 => Err(DecodeError::protocol("property must not be 0")),
            Values::NotZeroAlias if number == 0 => {
                Err(DecodeError { reason: ReasonCode::TopicAliasInvalid, what: "topic alias is 0" })
            }
            Values::Any | Values::ZeroOrOne | Values::NotZero | Values::NotZeroAlias | Values::Topic => {
                Ok(())
            }
        }
    }
}

impl PropertyPlace {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Disconnect,
        Self::Auth,
        Self::Will,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Pairs each [`Property`] with its identifier and the two functions of its data type.
macro_rules! property_values {
    ($($id:literal $name:ident $read:ident $put:ident;)+) => {
        impl<'a> Property<'a> {
            /// Property Identifier.
            pub const fn id(&self) -> u8 {
                match self {
                    $(Self::$name(..) => $id,)+
                    Self::UserProperty(..) => 0x26,
                }
            }

            fn read_value(id: u8, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
                Ok(match id {
                    $($id => Self::$name(fields.$read()?),)+
                    0x26 => Self::UserProperty(fields.utf8_string()?, fields.utf8_string()?),
                    _ => return Err(UNKNOWN),
                })
            }

            fn put_value(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match *self {
                    $(Self::$name(value) => $put(out, value),)+
                    Self::UserProperty(name, value) => {
                        field_len(value.as_bytes())?;
                        put_string(out, name)?;
                        put_string(out, value)
                    }
                }
            }
        }
    };
}

property_values! {
    0x01 PayloadFormatIndicator byte put_byte;
    0x02 MessageExpiryInterval four_byte_integer put_four;
    0x03 ContentType utf8_string put_string;
    0x08 ResponseTopic utf8_string put_string;
    0x09 CorrelationData binary_data put_binary_data;
    0x0B SubscriptionIdentifier variable_byte_integer put_variable;
    0x11 SessionExpiryInterval four_byte_integer put_four;
    0x12 AssignedClientIdentifier utf8_string put_string;
    0x13 ServerKeepAlive two_byte_integer put_two;
    0x15 AuthenticationMethod utf8_string put_string;
    0x16 AuthenticationData binary_data put_binary_data;
    0x17 RequestProblemInformation byte put_byte;
    0x18 WillDelayInterval four_byte_integer put_four;
    0x19 RequestResponseInformation byte put_byte;
    0x1A ResponseInformation utf8_string put_string;
    0x1C ServerReference utf8_string put_string;
    0x1F ReasonString utf8_string put_string;
    0x21 ReceiveMaximum two_byte_integer put_two;
    0x22 TopicAliasMaximum two_byte_integer put_two;
    0x23 TopicAlias two_byte_integer put_two;
    0x24 MaximumQoS byte put_byte;
    0x25 RetainAvailable byte put_byte;
    0x27 MaximumPacketSize four_byte_integer put_four;
    0x28 WildcardSubscriptionAvailable byte put_byte;
    0x29 SubscriptionIdentifierAvailable byte put_byte;
    0x2A SharedSubscriptionAvailable byte put_byte;
}

/// Section 2.2.2.2. Identifiers are Variable Byte Integers, but all defined ones fit into one byte.
const UNKNOWN: DecodeError = DecodeError::malformed("property identifier is not defined");

fn put_byte(out: &mut Vec<u8>, value: u8) -> Result<(), EncodeError> {
    out.push(value);
    Ok(())
}

fn put_two(out: &mut Vec<u8>, value: u16) -> Result<(), EncodeError> {
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}

fn put_four(out: &mut Vec<u8>, value: u32) -> Result<(), EncodeError> {
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}

fn put_variable(out: &mut Vec<u8>, value: u32) -> Result<(), EncodeError> {
    if value > VARIABLE_BYTE_INTEGER_MAX {
        return Err(EncodeError::IntegerTooLarge { value });
    }
    put_variable_byte_integer(out, value);
    Ok(())
}

fn put_string(out: &mut Vec<u8>, value: &str) -> Result<(), EncodeError> {
    put_binary_data(out, value.as_bytes())
}

//! CONNECT: the first packet of a client (section 3.1).

use crate::field::{Fields, field_len, put_binary_data};
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, ProtocolVersion, QoS, ReasonCode, TopicName};

/// A client asks for a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connect<'a> {
    /// Which version the connection speaks.
    pub version: ProtocolVersion,
    /// Whether the client is a bridge of Mosquitto's kind: 0x80 is set in the level. 3.1 and 3.1.1 only.
    pub bridge: bool,
    /// Clean Start (5.0) or Clean Session (3.x).
    pub clean_start: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Empty on 3.x.
    pub properties: Properties<'a>,
    /// Empty when the server shall find a name.
    pub client_id: &'a str,
    /// What to publish when the connection is lost.
    pub will: Option<Will<'a>>,
    /// Who connects.
    pub user_name: Option<&'a str>,
    /// Proof of it.
    pub password: Option<&'a [u8]>,
}

/// A message that the server publishes in the name of a client that is gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Will<'a> {
    /// Of the message.
    pub qos: QoS,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Will Delay Interval and the properties of the message. Empty on 3.x.
    pub properties: Properties<'a>,
    /// Where it is published.
    pub topic: TopicName<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// Mosquitto sets this in the level of a bridge's CONNECT.
const BRIDGE: u8 = 0x80;

/// Connect Flags.
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USER_NAME: u8 = 0x80;
}

impl<'a> Connect<'a> {
    /// The Protocol Name is none of MQTT's [MQTT-3.1.2-1]: 3.x servers close.
    pub const UNKNOWN_NAME: DecodeError =
        DecodeError { reason: ReasonCode::UnsupportedProtocolVersion, what: "protocol name is unknown" };

    /// The Protocol Level is not ours [MQTT-3.1.2-2]: 3.x servers answer CONNACK 0x01 [MQTT311-3.1.2-2].
    pub const UNKNOWN_LEVEL: DecodeError = DecodeError {
        reason: ReasonCode::UnsupportedProtocolVersion,
        what: "protocol level is not supported",
    };

    /// The version that a CONNECT asks for, which decides how a malformed one is answered.
    pub fn version_of(frame: Frame<'_>) -> Result<ProtocolVersion, DecodeError> {
        read_version(&mut Fields::new(frame.body)).map(|(version, _)| version)
    }

    /// Reads a frame. An unknown name or level is told apart from a malformed packet: see
    /// [`UNKNOWN_NAME`](Self::UNKNOWN_NAME) and [`UNKNOWN_LEVEL`](Self::UNKNOWN_LEVEL).
    pub fn decode(frame: Frame<'a>) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(frame.body);
        let (version, bridge) = read_version(&mut fields)?;
        frame.expect(PacketType::Connect, version)?;
        let flags = fields.byte()?;
        check_flags(flags, version)?;
        let keep_alive = fields.two_byte_integer()?;
        let properties = read_properties(&mut fields, PropertyPlace::Connect, version)?;
        let client_id = fields.utf8_string()?; // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
        let will = match flags & flag::WILL {
            0 => None,
            _ => Some(Will::read(&mut fields, flags, version)?),
        };
        // A 3.1 client may set a flag and leave the field out.
        let absent = |fields: &Fields<'_>, flag| {
            flags & flag == 0 || version == ProtocolVersion::V31 && fields.is_empty()
        };
        let user_name = if absent(&fields, flag::USER_NAME) { None } else { Some(fields.utf8_string()?) };
        let password = if absent(&fields, flag::PASSWORD) { None } else { Some(fields.binary_data()?) };
        fields.finish()?;
        Ok(Self {
            version,
            bridge,
            clean_start: flags & flag::CLEAN_START != 0,
            keep_alive,
            properties,
            client_id,
            will,
            user_name,
            password,
        })
    }

    /// Appends the whole packet in the version it asks for. 3.x leaves the properties out, and cannot say a password
    /// without a user name.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.write(out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.check()?;
        frame::start(out, PacketType::Connect.first_byte(), self.remaining_length()?)?;
        put_binary_data(out, self.version.name().as_bytes())?;
        let bridge = self.bridge && self.version != ProtocolVersion::V5;
        out.push(self.version.level() | if bridge { BRIDGE } else { 0 });
        out.push(self.flags());
        out.extend_from_slice(&self.keep_alive.to_be_bytes());
        if self.version.has_properties() {
            self.properties.put(out);
        }
        put_binary_data(out, self.client_id.as_bytes())?;
        if let Some(will) = &self.will {
            if self.version.has_properties() {
                will.properties.put(out);
            }
            put_binary_data(out, will.topic.as_str().as_bytes())?;
            put_binary_data(out, will.payload)?;
        }
        if let Some(user_name) = self.user_name {
            put_binary_data(out, user_name.as_bytes())?;
        }
        if let Some(password) = self.password {
            put_binary_data(out, password)?;
        }
        Ok(())
    }

    /// What the types let through and no server would take.
    fn check(&self) -> Result<(), EncodeError> {
        // [MQTT311-3.1.2-22]
        if self.password.is_some() && self.user_name.is_none() && self.version != ProtocolVersion::V5 {
            return Err(EncodeError::NotInVersion {
                packet: PacketType::Connect.name(),
                version: self.version,
            });
        }
        // [MQTT-1.5.4-2] [MQTT311-1.5.3-2]
        if self.client_id.contains('\0') || self.user_name.is_some_and(|name| name.contains('\0')) {
            return Err(EncodeError::Nul);
        }
        Ok(())
    }

    fn remaining_length(&self) -> Result<usize, EncodeError> {
        let field = |bytes: &[u8]| field_len(bytes).map(|length| 2 + usize::from(length));
        let properties = |properties: &Properties<'_>| match self.version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Ok(0),
            ProtocolVersion::V5 => properties.field_len(),
        };
        let mut length = field(self.version.name().as_bytes())? + 4;
        length += properties(&self.properties)? + field(self.client_id.as_bytes())?;
        if let Some(will) = &self.will {
            length += properties(&will.properties)?;
            length += field(will.topic.as_str().as_bytes())? + field(will.payload)?;
        }
        if let Some(user_name) = self.user_name {
            length += field(user_name.as_bytes())?;
        }
        if let Some(password) = self.password {
            length += field(password)?;
        }
        Ok(length)
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= flag::CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= flag::WILL | will.qos.level() << 3;
            if will.retain {
                flags |= flag::WILL_RETAIN;
            }
        }
        if self.user_name.is_some() {
            flags |= flag::USER_NAME;
        }
        if self.password.is_some() {
            flags |= flag::PASSWORD;
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn read(fields: &mut Fields<'a>, flags: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        Ok(Self {
            qos: QoS::from_level((flags & flag::WILL_QOS) >> 3)
                .ok_or(DecodeError::malformed("will QoS is 3"))?, // [MQTT-3.1.2-12]
            retain: flags & flag::WILL_RETAIN != 0,
            properties: read_properties(fields, PropertyPlace::Will, version)?,
            topic: TopicName::parse(fields.utf8_string()?)?,
            payload: fields.binary_data()?,
        })
    }
}

fn read_version(fields: &mut Fields<'_>) -> Result<(ProtocolVersion, bool), DecodeError> {
    let name = fields.utf8_string()?;
    let level = fields.byte()?;
    let bridge = level & BRIDGE != 0;
    match (name, level & !BRIDGE) {
        ("MQIsdp", 3) => Ok((ProtocolVersion::V31, bridge)),
        ("MQTT", 4) => Ok((ProtocolVersion::V311, bridge)),
        ("MQTT", 5) if !bridge => Ok((ProtocolVersion::V5, false)),
        ("MQIsdp" | "MQTT", _) => Err(Connect::UNKNOWN_LEVEL),
        _ => Err(Connect::UNKNOWN_NAME),
    }
}

fn check_flags(flags: u8, version: ProtocolVersion) -> Result<(), DecodeError> {
    let set = |flag| flags & flag != 0;
    // [MQTT-3.1.2-3] [MQTT311-3.1.2-3]. 3.1 does not use the bit and does not check it.
    if set(flag::RESERVED) && version != ProtocolVersion::V31 {
        return Err(DecodeError::malformed("reserved connect flag is set"));
    }
    // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15]. 3.1 disregards them without a will.
    if !set(flag::WILL) && set(flag::WILL_QOS | flag::WILL_RETAIN) && version != ProtocolVersion::V31 {
        return Err(DecodeError::malformed("will QoS or will retain without a will"));
    }
    // [MQTT311-3.1.2-22]
    if set(flag::PASSWORD) && !set(flag::USER_NAME) && version != ProtocolVersion::V5 {
        return Err(DecodeError::malformed("password without a user name"));
    }
    Ok(())
}

fn read_properties<'a>(
    fields: &mut Fields<'a>,
    place: PropertyPlace,
    version: ProtocolVersion,
) -> Result<Properties<'a>, DecodeError> {
    match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => Ok(Properties::EMPTY),
        ProtocolVersion::V5 => Properties::read(fields, place),
    }
}

#[cfg(test)]
mod tests;

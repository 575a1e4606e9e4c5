//! CONNACK: the answer to CONNECT (section 3.2).

use super::reason_code;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{ConnectReturnCode, DecodeError, EncodeError, ProtocolVersion, ReasonCode};

/// Whether the connection stands, and what it may be used for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Connack<'a> {
    /// Whether the server goes on with a stored session. Never with an error [MQTT-3.2.2-6]; 3.1 cannot say it.
    pub session_present: bool,
    /// The answer.
    pub code: ConnackCode,
    /// What the server offers, and what it demands.
    pub properties: Properties<'a>,
}

/// The answer in the words of the version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnackCode {
    /// 3.1 and 3.1.1
    V3(ConnectReturnCode),
    /// 5.0
    V5(ReasonCode),
}

impl ConnackCode {
    /// Whether the connection stands.
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::V3(ConnectReturnCode::Accepted) | Self::V5(ReasonCode::Success))
    }

    /// The 5.0 code that says the same.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::V3(code) => code.reason_code(),
            Self::V5(code) => code,
        }
    }

    /// The standard's words in lower case.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::V3(code) => code.describe(),
            Self::V5(code) => code.describe(),
        }
    }

    fn decode(byte: u8, version: ProtocolVersion) -> Result<Self, DecodeError> {
        match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => ConnectReturnCode::from_u8(byte)
                .map(Self::V3)
                .ok_or(DecodeError::protocol("connect return code is reserved")),
            // [MQTT-3.2.2-8]
            ProtocolVersion::V5 => reason_code(byte, PacketType::Connack).map(Self::V5),
        }
    }

    /// The byte on the wire; 3.x has no words for some 5.0 codes and closes instead [MQTT311-3.2.2-6].
    fn encode(self, version: ProtocolVersion) -> Result<u8, EncodeError> {
        let not_in_version = EncodeError::NotInVersion { packet: PacketType::Connack.name(), version };
        match (version, self) {
            (ProtocolVersion::V5, code) => Ok(code.reason_code().code()),
            (ProtocolVersion::V31 | ProtocolVersion::V311, Self::V3(code)) => Ok(code.code()),
            (ProtocolVersion::V31 | ProtocolVersion::V311, Self::V5(code)) => {
                code.connect_return_code().map(ConnectReturnCode::code).ok_or(not_in_version)
            }
        }
    }
}

impl<'a> Connack<'a> {
    /// The answer without properties.
    pub const fn new(session_present: bool, code: ConnackCode) -> Self {
        Self { session_present, code, properties: Properties::EMPTY }
    }

    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Connack, version)?;
        let mut fields = Fields::new(frame.body);
        let flags = fields.byte()?;
        let code = ConnackCode::decode(fields.byte()?, version)?;
        let session_present = match version {
            // The whole byte is "reserved, not used".
            ProtocolVersion::V31 => false,
            ProtocolVersion::V311 | ProtocolVersion::V5 => match flags {
                0 | 1 => flags == 1,
                _ => return Err(DecodeError::malformed("reserved connect acknowledge flags are set")), // [MQTT-3.2.2-1]
            },
        };
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
            ProtocolVersion::V5 => Properties::read(&mut fields, PropertyPlace::Connack)?,
        };
        fields.finish()?;
        if session_present && !code.is_accepted() {
            return Err(DecodeError::protocol("session present in a refusal")); // [MQTT-3.2.2-6]
        }
        Ok(Self { session_present, code, properties })
    }

    /// Appends the whole packet. Fails on 3.x with a code that 3.x has no words for.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let code = self.code.encode(version)?;
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()?,
        };
        frame::start(out, PacketType::Connack.first_byte(), 2 + properties)?;
        out.push(u8::from(self.session_present && version != ProtocolVersion::V31));
        out.push(code);
        if properties > 0 {
            self.properties.put(out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet::wire::{BEFORE_5, V5, V31, V311, accept, check, malformed, protocol_error};
    use crate::property::Property;

    fn connack(session_present: bool, code: ConnackCode) -> Packet<'static> {
        Packet::Connack(Connack::new(session_present, code))
    }

    #[test]
    fn every_code() {
        for code in ConnectReturnCode::ALL {
            for version in BEFORE_5 {
                let notation = format!("20 02 00 {:02X}", code.code());
                check(version, &notation, connack(false, ConnackCode::V3(code)));
            }
        }
        for &code in ReasonCode::ALL {
            let notation = format!("20 03 00 {:02X} 00", code.code());
            if code.allowed_in(PacketType::Connack) {
                check(V5, &notation, connack(false, ConnackCode::V5(code)));
            } else {
                protocol_error(V5, &[&notation]); // [MQTT-3.2.2-8]
            }
        }
        protocol_error(V311, &["20 02 00 06", "20 02 00 80"]);
        protocol_error(V5, &["20 03 00 05 00", "20 03 00 FF 00"]);
    }

    #[test]
    fn session_present() {
        check(V311, "20 02 01 00", connack(true, ConnackCode::V3(ConnectReturnCode::Accepted)));
        check(V5, "20 03 01 00 00", connack(true, ConnackCode::V5(ReasonCode::Success)));
        // 3.1 does not use the byte.
        accept(V31, "20 02 01 00", connack(false, ConnackCode::V3(ConnectReturnCode::Accepted)));
        let mut out = Vec::new();
        connack(true, ConnackCode::V3(ConnectReturnCode::Accepted)).encode(V31, &mut out).unwrap();
        assert_eq!(out, [0x20, 2, 0, 0]);
        protocol_error(V311, &["20 02 01 05"]); // [MQTT311-3.2.2-4]
        protocol_error(V5, &["20 03 01 87 00"]); // [MQTT-3.2.2-6]
    }

    #[test]
    fn properties() {
        let properties = Properties::new([
            Property::TopicAliasMaximum(10),
            Property::SessionExpiryInterval(1),
            Property::MaximumQoS(1),
            Property::RetainAvailable(0),
            Property::AssignedClientIdentifier("id"),
            Property::ReasonString("r"),
            Property::UserProperty("a", "b"),
            Property::WildcardSubscriptionAvailable(0),
            Property::SubscriptionIdentifierAvailable(0),
            Property::SharedSubscriptionAvailable(0),
            Property::ServerKeepAlive(5),
            Property::ResponseInformation("i"),
            Property::ServerReference("s"),
            Property::AuthenticationMethod("m"),
            Property::AuthenticationData(b""),
            Property::MaximumPacketSize(2_000_000),
            Property::ReceiveMaximum(20),
        ]);
        check(
            V5,
            r#"20 .. 00 00 [ 22 000A 11 00000001 24 01 25 00 12 "id" 1F "r" 26 "a" "b" 28 00 29 00 2A 00
               13 0005 1A "i" 1C "s" 15 "m" 16 "" 27 001E8480 21 0014 ]"#,
            Packet::Connack(Connack {
                properties,
                ..Connack::new(false, ConnackCode::V5(ReasonCode::Success))
            }),
        );
        protocol_error(V5, &["20 .. 00 00 [ 16 0000 ]"]);
    }

    #[test]
    fn malformed_connacks() {
        malformed(V311, &["20 00", "20 01 00", "20 03 00 00 00", "21 02 00 00", "20 02 02 00"]);
        malformed(
            V5,
            &[
                "20 02 00 00",
                "20 04 00 00 00 00",
                "20 03 00 00 01",
                "20 03 02 00 00", // [MQTT-3.2.2-1]
                "20 03 80 00 00",
                "28 03 00 00 00",
                "20 8300 00 00 00", // [MQTT-1.5.5-1]
            ],
        );
    }

    #[test]
    fn each_version_says_it_in_its_words() {
        let encode = |code, version| {
            let mut out = Vec::new();
            Connack::new(false, code).encode(version, &mut out).map(|()| out)
        };
        assert_eq!(encode(ConnackCode::V5(ReasonCode::NotAuthorized), V311), Ok(vec![0x20, 2, 0, 5]));
        assert_eq!(
            encode(ConnackCode::V3(ConnectReturnCode::IdentifierRejected), V5),
            Ok(vec![0x20, 3, 0, 0x85, 0])
        );
        // [MQTT311-3.2.2-6]
        assert!(encode(ConnackCode::V5(ReasonCode::MalformedPacket), V311).is_err());
    }
}

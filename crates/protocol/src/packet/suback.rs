//! SUBACK: the answer to SUBSCRIBE (section 3.9).

use std::borrow::Cow;

use super::ack::packet_id;
use super::reason_code;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion};

/// What a client gets of what it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suback<'a> {
    /// Of the SUBSCRIBE [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
    /// One per filter, in order [MQTT-3.9.3-1]: 0, 1, 2 for the granted QoS, 0x80 and above for a refusal.
    pub codes: Cow<'a, [u8]>,
}

/// The only refusal that 3.x knows.
const FAILURE: u8 = 0x80;

impl<'a> Suback<'a> {
    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Suback, version)?;
        let mut fields = Fields::new(frame.body);
        let packet_id = packet_id(&mut fields)?;
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
            ProtocolVersion::V5 => Properties::read(&mut fields, PropertyPlace::Suback)?,
        };
        let codes = fields.rest();
        if codes.is_empty() {
            return Err(DecodeError::malformed("SUBACK without a code"));
        }
        for &code in codes {
            match version {
                ProtocolVersion::V31 | ProtocolVersion::V311 => match code {
                    0..=2 | FAILURE => {}
                    _ => return Err(DecodeError::protocol("return code is not one of this packet")), // [MQTT311-3.9.3-2]
                },
                ProtocolVersion::V5 => drop(reason_code(code, PacketType::Suback)?), // [MQTT-3.9.3-2]
            }
        }
        Ok(Self { packet_id, properties, codes: Cow::Borrowed(codes) })
    }

    /// Appends the whole packet. 3.x leaves the properties out, and every refusal is 0x80 [MQTT311-3.9.3-2].
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let properties = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()?,
        };
        let remaining_length = 2 + properties + self.codes.len();
        frame::start(out, PacketType::Suback.first_byte(), remaining_length)?;
        out.extend_from_slice(&self.packet_id.get().to_be_bytes());
        match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => {
                out.extend(self.codes.iter().map(|&code| code.min(FAILURE)));
            }
            ProtocolVersion::V5 => {
                self.properties.put(out);
                out.extend_from_slice(&self.codes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReasonCode;
    use crate::packet::Packet;
    use crate::packet::wire::{ALL, BEFORE_5, V5, V311, check, malformed, protocol_error};
    use crate::property::Property;

    fn suback(codes: &[u8], properties: Properties<'static>) -> Packet<'static> {
        let codes = Cow::Owned(codes.to_vec());
        Packet::Suback(Suback { packet_id: PacketId::new(10).unwrap(), properties, codes })
    }

    #[test]
    fn every_code() {
        for code in 0..=255 {
            let before_5 = format!("90 .. 000A 00 {code:02X}");
            for version in BEFORE_5 {
                match code {
                    0..=2 | 0x80 => check(version, &before_5, suback(&[0, code], Properties::EMPTY)),
                    _ => protocol_error(version, &[&before_5]), // [MQTT311-3.9.3-2]
                }
            }
            let notation = format!("90 .. 000A 00 00 {code:02X}");
            match ReasonCode::from_u8(code) {
                Some(reason) if reason.allowed_in(PacketType::Suback) => {
                    check(V5, &notation, suback(&[0, code], Properties::EMPTY));
                }
                Some(_) | None => protocol_error(V5, &[&notation]), // [MQTT-3.9.3-2]
            }
        }
        let mut out = Vec::new();
        suback(&[1, 0x87, 0xA1], Properties::EMPTY).encode(V311, &mut out).unwrap();
        assert_eq!(out, [0x90, 5, 0, 10, 1, 0x80, 0x80]);
    }

    #[test]
    fn properties() {
        let properties = Properties::new([Property::ReasonString("r"), Property::UserProperty("a", "b")]);
        check(V5, r#"90 .. 000A [ 1F "r" 26 "a" "b" ] 02"#, suback(&[2], properties));
    }

    #[test]
    fn malformed_subacks() {
        for version in ALL {
            let empty = if version == V5 { "00" } else { "" };
            malformed(
                version,
                &[
                    "90 00",
                    "90 01 00",
                    &format!("90 .. 000A {empty}"),
                    &format!("90 .. 0000 {empty} 00"),
                    &format!("92 .. 000A {empty} 00"), // [MQTT-2.1.3-1]
                ],
            );
        }
        malformed(V5, &["90 .. 000A [ 0B 01 ] 00"]);
    }
}

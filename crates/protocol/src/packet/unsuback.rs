//! UNSUBACK: the answer to UNSUBSCRIBE (section 3.11).

use std::borrow::Cow;

use super::ack::packet_id;
use super::reason_code;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion};

/// What has become of an UNSUBSCRIBE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsuback<'a> {
    /// Of the UNSUBSCRIBE [MQTT-3.10.4-5].
    pub packet_id: PacketId,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
    /// One per filter, in order [MQTT-3.11.3-1]. Empty on 3.x.
    pub codes: Cow<'a, [u8]>,
}

impl<'a> Unsuback<'a> {
    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Unsuback, version)?;
        let mut fields = Fields::new(frame.body);
        let packet_id = packet_id(&mut fields)?;
        if !version.has_properties() {
            fields.finish()?;
            return Ok(Self { packet_id, properties: Properties::EMPTY, codes: Cow::Borrowed(&[]) });
        }
        let properties = Properties::read(&mut fields, PropertyPlace::Unsuback)?;
        let codes = fields.rest();
        if codes.is_empty() {
            return Err(DecodeError::malformed("UNSUBACK without a code"));
        }
        for &code in codes {
            reason_code(code, PacketType::Unsuback)?; // [MQTT-3.11.3-2]
        }
        Ok(Self { packet_id, properties, codes: Cow::Borrowed(codes) })
    }

    /// Appends the whole packet. 3.x leaves the properties and the codes out.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let tail = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => self.properties.field_len()? + self.codes.len(),
        };
        frame::start(out, PacketType::Unsuback.first_byte(), 2 + tail)?;
        out.extend_from_slice(&self.packet_id.get().to_be_bytes());
        if tail > 0 {
            self.properties.put(out);
            out.extend_from_slice(&self.codes);
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

    fn unsuback(codes: &[u8], properties: Properties<'static>) -> Packet<'static> {
        let codes = Cow::Owned(codes.to_vec());
        Packet::Unsuback(Unsuback { packet_id: PacketId::new(10).unwrap(), properties, codes })
    }

    #[test]
    fn every_code() {
        for version in BEFORE_5 {
            check(version, "B0 02 000A", unsuback(&[], Properties::EMPTY));
            malformed(version, &["B0 03 000A 00"]);
        }
        for code in 0..=255 {
            let notation = format!("B0 .. 000A 00 00 {code:02X}");
            match ReasonCode::from_u8(code) {
                Some(reason) if reason.allowed_in(PacketType::Unsuback) => {
                    check(V5, &notation, unsuback(&[0, code], Properties::EMPTY));
                }
                Some(_) | None => protocol_error(V5, &[&notation]), // [MQTT-3.11.3-2]
            }
        }
        let mut out = Vec::new();
        unsuback(&[0, 17], Properties::EMPTY).encode(V311, &mut out).unwrap();
        assert_eq!(out, [0xB0, 2, 0, 10]);
    }

    #[test]
    fn properties() {
        let properties = Properties::new([Property::ReasonString("r"), Property::UserProperty("a", "b")]);
        check(V5, r#"B0 .. 000A [ 1F "r" 26 "a" "b" ] 11"#, unsuback(&[17], properties));
    }

    #[test]
    fn malformed_unsubacks() {
        for version in ALL {
            malformed(version, &["B0 00", "B0 01 00", "B0 04 0000 00 00", "B2 04 000A 00 00"]);
        }
        malformed(V5, &["B0 02 000A", "B0 03 000A 00", "B0 .. 000A [ 0B 01 ] 00"]);
    }
}

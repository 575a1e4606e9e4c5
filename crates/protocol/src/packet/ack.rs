//! What PUBACK, PUBREC, PUBREL and PUBCOMP share: a Packet Identifier, and with 5.0 a reason and properties.

use super::reason_code;
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, ReasonCode};

/// An acknowledgement that says nothing but its identifier: four bytes, the same in all versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlainAck {
    /// Which of the four.
    pub kind: AckKind,
    /// The exchange.
    pub packet_id: PacketId,
}

/// The packets that acknowledge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the packet of that name")]
pub enum AckKind {
    Puback = 0x40,
    Pubrec = 0x50,
    Pubrel = 0x62,
    Pubcomp = 0x70,
}

impl PlainAck {
    /// How long it is.
    pub const LENGTH: usize = 4;

    /// `None` if these bytes are, or begin, anything else.
    #[inline]
    pub const fn decode([first_byte, length, high, low]: [u8; 4]) -> Option<Self> {
        let kind = match first_byte {
            0x40 => AckKind::Puback,
            0x50 => AckKind::Pubrec,
            0x62 => AckKind::Pubrel,
            0x70 => AckKind::Pubcomp,
            _ => return None,
        };
        match PacketId::new(u16::from_be_bytes([high, low])) {
            Some(packet_id) if length == 2 => Some(Self { kind, packet_id }),
            Some(_) | None => None,
        }
    }

    /// The whole packet.
    #[inline]
    pub const fn encode(self) -> [u8; 4] {
        let [high, low] = self.packet_id.get().to_be_bytes();
        [self.kind as u8, 2, high, low]
    }
}

/// The identifier and reason of a PUBACK, PUBREC, PUBREL or PUBCOMP: all that a broker looks at. The usual form, of an
/// identifier alone, is the same in all versions and decoded where this is called.
#[inline]
pub fn acknowledgement(
    frame: Frame<'_>,
    version: ProtocolVersion,
) -> Result<(PacketId, ReasonCode), DecodeError> {
    if let [high, low] = *frame.body
        && frame.shortest_length
        && let Some(packet_id) = PacketId::new(u16::from_be_bytes([high, low]))
        && matches!(frame.first_byte, 0x40 | 0x50 | 0x62 | 0x70)
    {
        return Ok((packet_id, ReasonCode::Success));
    }
    any_acknowledgement(frame, version)
}

#[cold]
fn any_acknowledgement(
    frame: Frame<'_>,
    version: ProtocolVersion,
) -> Result<(PacketId, ReasonCode), DecodeError> {
    let place = match frame.packet_type()? {
        PacketType::Puback => PropertyPlace::Puback,
        PacketType::Pubrec => PropertyPlace::Pubrec,
        PacketType::Pubrel => PropertyPlace::Pubrel,
        PacketType::Pubcomp => PropertyPlace::Pubcomp,
        _ => return Err(DecodeError::protocol("an acknowledgement was expected")),
    };
    let (packet_id, reason, _) = decode(frame, frame.packet_type()?, place, version)?;
    Ok((packet_id, reason))
}

#[inline]
pub(super) fn decode(
    frame: Frame<'_>,
    packet_type: PacketType,
    place: PropertyPlace,
    version: ProtocolVersion,
) -> Result<(PacketId, ReasonCode, Properties<'_>), DecodeError> {
    frame.expect(packet_type, version)?;
    let mut fields = Fields::new(frame.body);
    let packet_id = packet_id(&mut fields)?;
    let (reason, properties) = match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => (ReasonCode::Success, Properties::EMPTY),
        ProtocolVersion::V5 => reason_and_properties(&mut fields, packet_type, place)?,
    };
    fields.finish()?;
    Ok((packet_id, reason, properties))
}

/// Both may be left out: no reason is Success, no Property Length is no properties.
pub(super) fn reason_and_properties<'a>(
    fields: &mut Fields<'a>,
    packet_type: PacketType,
    place: PropertyPlace,
) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
    if fields.is_empty() {
        return Ok((ReasonCode::Success, Properties::EMPTY));
    }
    let reason = reason_code(fields.byte()?, packet_type)?;
    if fields.is_empty() {
        return Ok((reason, Properties::EMPTY));
    }
    Ok((reason, Properties::read(fields, place)?))
}

pub(super) const PACKET_ID_IS_0: DecodeError = DecodeError::malformed("packet identifier is 0");

/// [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT311-2.3.1-1]
#[inline]
pub(super) fn packet_id(fields: &mut Fields<'_>) -> Result<PacketId, DecodeError> {
    PacketId::new(fields.two_byte_integer()?).ok_or(PACKET_ID_IS_0)
}

/// Writes the shortest form. 3.x has no room for the reason and the properties: they are left out.
#[inline]
pub(super) fn encode(
    packet_type: PacketType,
    packet_id: PacketId,
    reason: ReasonCode,
    properties: &Properties<'_>,
    version: ProtocolVersion,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if reason == ReasonCode::Success && properties.is_plain() {
        let [high, low] = packet_id.get().to_be_bytes();
        out.extend_from_slice(&[packet_type.first_byte(), 2, high, low]);
        return Ok(());
    }
    let tail = tail_len(reason, properties, version)?;
    frame::start(out, packet_type.first_byte(), 2 + tail)?;
    out.extend_from_slice(&packet_id.get().to_be_bytes());
    put_tail(reason, properties, tail, out);
    Ok(())
}

/// Bytes that [`put_tail`] writes for a reason and properties.
pub(super) fn tail_len(
    reason: ReasonCode,
    properties: &Properties<'_>,
    version: ProtocolVersion,
) -> Result<usize, EncodeError> {
    if !version.has_properties() {
        return Ok(0);
    }
    match properties.field_len()? {
        1 if reason == ReasonCode::Success => Ok(0),
        1 => Ok(1),
        length => Ok(1 + length),
    }
}

pub(super) fn put_tail(reason: ReasonCode, properties: &Properties<'_>, tail: usize, out: &mut Vec<u8>) {
    if tail > 0 {
        out.push(reason.code());
    }
    if tail > 1 {
        properties.put(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::wire::{
        ALL, BEFORE_5, V5, V31, V311, accept, check, malformed, protocol_error, refuse,
    };
    use crate::packet::{Packet, Puback, Pubcomp, Pubrec, Pubrel};
    use crate::property::Property;

    /// The four packets and their first bytes.
    const ACKS: [(PacketType, &str); 4] = [
        (PacketType::Puback, "40"),
        (PacketType::Pubrec, "50"),
        (PacketType::Pubrel, "62"),
        (PacketType::Pubcomp, "70"),
    ];

    #[test]
    fn an_acknowledgement_says_what_the_packet_says() {
        let bodies: [&[u8]; 7] =
            [&[1, 2], &[0, 0], &[1], &[1, 2, 0x92], &[1, 2, 0, 0], &[1, 2, 0x80, 0], &[1, 2, 0, 9]];
        for first_byte in 0..=255 {
            for (version, body) in ALL.into_iter().flat_map(|version| bodies.map(|body| (version, body))) {
                for shortest_length in [true, false] {
                    let frame = Frame { shortest_length, ..Frame::new(first_byte, body) };
                    let expected = match Packet::decode(frame, version) {
                        Ok(Packet::Puback(Puback { packet_id, reason, .. }))
                        | Ok(Packet::Pubrec(Pubrec { packet_id, reason, .. }))
                        | Ok(Packet::Pubrel(Pubrel { packet_id, reason, .. }))
                        | Ok(Packet::Pubcomp(Pubcomp { packet_id, reason, .. })) => Ok((packet_id, reason)),
                        Ok(_) => continue,
                        Err(error) if (4..8).contains(&(first_byte >> 4)) => Err(error),
                        Err(_) => continue,
                    };
                    assert_eq!(acknowledgement(frame, version), expected, "{first_byte:02X} {body:?}");
                }
            }
        }
    }

    fn ack(packet_type: PacketType, reason: ReasonCode, properties: Properties<'static>) -> Packet<'static> {
        let packet_id = PacketId::new(0x0102).unwrap();
        match packet_type {
            PacketType::Puback => Packet::Puback(Puback { packet_id, reason, properties }),
            PacketType::Pubrec => Packet::Pubrec(Pubrec { packet_id, reason, properties }),
            PacketType::Pubrel => Packet::Pubrel(Pubrel { packet_id, reason, properties }),
            PacketType::Pubcomp => Packet::Pubcomp(Pubcomp { packet_id, reason, properties }),
            other => panic!("{other:?} is none of the four"),
        }
    }

    #[test]
    fn the_plain_form_is_the_same_in_all_versions() {
        for (packet_type, first) in ACKS {
            for version in ALL {
                let plain = ack(packet_type, ReasonCode::Success, Properties::EMPTY);
                check(version, &format!("{first} 02 0102"), plain);
            }
            let bytes = [packet_type.first_byte(), 2, 1, 2];
            let plain = PlainAck::decode(bytes).unwrap();
            assert_eq!((plain.packet_id.get(), plain.kind as u8), (0x0102, packet_type.first_byte()));
            assert_eq!(plain.encode(), bytes);
            assert_eq!(PlainAck::decode([packet_type.first_byte(), 3, 1, 2]), None);
            assert_eq!(PlainAck::decode([packet_type.first_byte(), 2, 0, 0]), None);
        }
        let kinds = (0..=255).filter(|&first| PlainAck::decode([first, 2, 1, 2]).is_some());
        assert_eq!(kinds.collect::<Vec<_>>(), ACKS.map(|(packet_type, _)| packet_type.first_byte()));
    }

    #[test]
    fn every_reason() {
        for (packet_type, first) in ACKS {
            for code in 0..=255 {
                let short = format!("{first} 03 0102 {code:02X}");
                let long = format!("{first} 04 0102 {code:02X} 00");
                match ReasonCode::from_u8(code) {
                    Some(reason) if reason.allowed_in(packet_type) => {
                        let packet = ack(packet_type, reason, Properties::EMPTY);
                        accept(V5, &long, packet.clone());
                        match reason {
                            ReasonCode::Success => accept(V5, &short, packet),
                            _ => check(V5, &short, packet),
                        }
                    }
                    // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
                    Some(_) | None => {
                        protocol_error(V5, &[&short, &long]);
                    }
                }
            }
        }
    }

    #[test]
    fn properties() {
        for (packet_type, first) in ACKS {
            let properties = Properties::new([Property::ReasonString("r"), Property::UserProperty("a", "b")]);
            let notation = format!(r#"{first} .. 0102 00 [ 1F "r" 26 "a" "b" ]"#);
            check(V5, &notation, ack(packet_type, ReasonCode::Success, properties));
            protocol_error(V5, &[&format!(r#"{first} .. 0102 00 [ 1F "r" 1F "r" ]"#)]);
            malformed(V5, &[&format!("{first} .. 0102 00 [ 11 00000000 ]")]);
        }
    }

    #[test]
    fn malformed_acks() {
        for (_, first) in ACKS {
            for version in ALL {
                let table = ["00", "01 01", "02 0000"].map(|rest| format!("{first} {rest}")); // section 2.2.1
                malformed(version, &table.each_ref().map(String::as_str));
            }
            for version in BEFORE_5 {
                malformed(version, &[&format!("{first} 03 0102 00"), &format!("{first} 04 0102 00 00")]);
            }
            malformed(
                V5,
                &[
                    &format!("{first} 04 0102 00 01"),
                    &format!("{first} 05 0102 00 00 00"),
                    &format!("{first} 05 0102 00 8000"), // [MQTT-1.5.5-1]
                    &format!("{first} 8200 0102"),       // [MQTT-1.5.5-1]
                ],
            );
        }
    }

    #[test]
    fn flags() {
        for (packet_type, _) in ACKS {
            for flags in 0..16 {
                let first = (packet_type as u8) << 4 | flags;
                // [MQTT-3.6.1-1] [MQTT-2.1.3-1] [MQTT311-3.6.1-1] [MQTT311-2.2.2-2]
                if first != packet_type.first_byte() {
                    let repeated = packet_type == PacketType::Pubrel && flags == 0b1010;
                    for version in ALL.into_iter().filter(|&version| !(repeated && version == V31)) {
                        refuse(version, &format!("{first:02X} 02 0102"), ReasonCode::MalformedPacket);
                    }
                }
            }
        }
    }

    /// Section 2.1 of 3.1: DUP is for PUBLISH, PUBREL, SUBSCRIBE and UNSUBSCRIBE.
    #[test]
    fn mqtt_3_1_repeats_pubrel_with_dup() {
        accept(V31, "6A 02 0102", ack(PacketType::Pubrel, ReasonCode::Success, Properties::EMPTY));
    }

    #[test]
    fn before_5_there_are_no_reasons() {
        let refused = ack(PacketType::Puback, ReasonCode::NotAuthorized, Properties::EMPTY);
        let mut out = Vec::new();
        refused.encode(V311, &mut out).unwrap();
        assert_eq!(out, [0x40, 2, 1, 2]);
    }
}

//! The language of the wire tables: packets written as bytes.
//!
//! `10` is a byte, or several when longer. `"MQTT"` is a string field with its two bytes of length, `'x'` the bare
//! characters. `[ … ]` is a property section with its length. `..` in second place stands for the Remaining Length.

use super::Packet;
use crate::field::put_variable_byte_integer;
use crate::frame::next_frame;
use crate::{DecodeError, ProtocolVersion, ReasonCode};

pub(super) const V31: ProtocolVersion = ProtocolVersion::V31;
pub(super) const V311: ProtocolVersion = ProtocolVersion::V311;
pub(super) const V5: ProtocolVersion = ProtocolVersion::V5;
pub(super) const BEFORE_5: [ProtocolVersion; 2] = [V31, V311];
pub(super) const ALL: [ProtocolVersion; 3] = [V31, V311, V5];

pub(crate) fn bytes(notation: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sections = Vec::new();
    let mut remaining_length = false;
    for token in notation.split_whitespace() {
        if let Some(text) = token.strip_prefix('"') {
            let text = text.strip_suffix('"').expect("a closing quote");
            out.extend_from_slice(&(text.len() as u16).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        } else if let Some(text) = token.strip_prefix('\'') {
            out.extend_from_slice(text.strip_suffix('\'').expect("a closing quote").as_bytes());
        } else if token == ".." {
            assert_eq!(out.len(), 1, "the Remaining Length comes second");
            remaining_length = true;
        } else if token == "[" {
            sections.push(out.len());
        } else if token == "]" {
            let section = out.split_off(sections.pop().expect("an opening bracket"));
            put_variable_byte_integer(&mut out, section.len() as u32);
            out.extend(section);
        } else {
            assert!(token.len().is_multiple_of(2), "{token:?} is half a byte");
            for index in (0..token.len()).step_by(2) {
                out.push(u8::from_str_radix(&token[index..index + 2], 16).expect("hexadecimal digits"));
            }
        }
    }
    if remaining_length {
        let body = out.split_off(1);
        put_variable_byte_integer(&mut out, body.len() as u32);
        out.extend(body);
    }
    out
}

fn decode(bytes: &[u8], version: ProtocolVersion) -> Result<Packet<'_>, DecodeError> {
    let (frame, length) = next_frame(bytes, u32::MAX)?.expect("a whole frame");
    assert_eq!(length, bytes.len(), "the table has one packet a row");
    Packet::decode(frame, version)
}

/// The bytes mean the packet, and the packet is written with these bytes.
#[track_caller]
pub(super) fn check(version: ProtocolVersion, notation: &str, packet: Packet<'_>) {
    accept(version, notation, packet.clone());
    let mut out = b"before".to_vec();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(out, [b"before", &bytes(notation)[..]].concat(), "{notation}");
}

/// The bytes mean the packet, which we would write in another way.
#[track_caller]
pub(super) fn accept(version: ProtocolVersion, notation: &str, packet: Packet<'_>) {
    assert_eq!(decode(&bytes(notation), version), Ok(packet), "MQTT {version} {notation}");
}

/// The bytes end the connection with this reason.
#[track_caller]
pub(super) fn refuse(version: ProtocolVersion, notation: &str, reason: ReasonCode) {
    let bytes = bytes(notation);
    let decoded = decode(&bytes, version);
    assert_eq!(decoded.map_err(|error| error.reason), Err(reason), "MQTT {version} {notation}");
}

/// 0x81 for each row.
#[track_caller]
pub(super) fn malformed(version: ProtocolVersion, table: &[&str]) {
    for notation in table {
        refuse(version, notation, ReasonCode::MalformedPacket);
    }
}

/// 0x82 for each row.
#[track_caller]
pub(super) fn protocol_error(version: ProtocolVersion, table: &[&str]) {
    for notation in table {
        refuse(version, notation, ReasonCode::ProtocolError);
    }
}

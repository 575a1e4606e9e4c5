//! One who hears: takes a message apart, and answers it.

use noctule_client::protocol::ProtocolVersion;
use noctule_client::protocol::frame::Frame;

use super::fault::Fault;
use super::opening::unasked;

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBCOMP: u8 = 0x70;

/// What a subscriber was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Heard<'f> {
    pub(super) topic: &'f [u8],
    pub(super) payload: &'f [u8],
}

/// Answers what the broker sent. Tells the message if it was one.
#[inline]
pub(super) fn on_frame<'f>(
    version: ProtocolVersion,
    client: impl Fn() -> String,
    out: &mut Vec<u8>,
    frame: Frame<'f>,
) -> Result<Option<Heard<'f>>, Fault> {
    let unexpected = |what: &str| Fault::Unexpected { client: client(), what: what.to_owned() };
    match frame.first_byte >> 4 {
        3 => {
            let Some((packet_id, heard)) = split_publish(version, frame) else {
                return Err(unexpected("a malformed message"));
            };
            match (frame.first_byte >> 1 & 3, packet_id) {
                (1, [high, low]) => out.extend_from_slice(&[PUBACK, 2, high, low]),
                (2, [high, low]) => out.extend_from_slice(&[PUBREC, 2, high, low]),
                _ => {}
            }
            Ok(Some(heard))
        }
        // PUBREL
        6 => match frame.body {
            [high, low, ..] => {
                out.extend_from_slice(&[PUBCOMP, 2, *high, *low]);
                Ok(None)
            }
            _ => Err(unexpected("a short packet")),
        },
        _ => unasked(client, frame).map(|()| None),
    }
}

/// Packet Identifier (zeros at QoS 0) and message of a PUBLISH; `None` if it is cut short.
#[inline]
fn split_publish(version: ProtocolVersion, frame: Frame<'_>) -> Option<([u8; 2], Heard<'_>)> {
    let (length, rest) = frame.body.split_first_chunk::<2>()?;
    let (topic, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let mut packet_id = [0, 0];
    if frame.first_byte & 0b0110 != 0 {
        (packet_id, rest) = rest.split_first_chunk::<2>().map(|(id, rest)| (*id, rest))?;
    }
    if version == ProtocolVersion::V5 {
        let mut length = 0;
        let mut at = 0;
        loop {
            let byte = *rest.get(at)?;
            length |= usize::from(byte & 0x7F) << (7 * at);
            at += 1;
            if byte < 0x80 {
                break;
            }
            if at == 4 {
                return None;
            }
        }
        rest = rest.get(at + length..)?;
    }
    Some((packet_id, Heard { topic, payload: rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: ProtocolVersion, first_byte: u8, body: &[u8], answer: &[u8], payload: Option<&[u8]>) {
        let mut out = Vec::new();
        let got = on_frame(version, || "me".to_owned(), &mut out, Frame::new(first_byte, body)).unwrap();
        let heard = payload.map(|payload| Heard { topic: b"a", payload });
        assert_eq!((got, &out[..]), (heard, answer), "{body:02x?}");
    }

    #[test]
    fn messages_are_answered_by_their_qos() {
        let (v3, v5) = (ProtocolVersion::V311, ProtocolVersion::V5);
        check(v3, 0x30, b"\x00\x01ahello", b"", Some(b"hello"));
        check(v3, 0x32, b"\x00\x01a\x01\x02hello", b"\x40\x02\x01\x02", Some(b"hello"));
        check(v3, 0x3D, b"\x00\x01a\x01\x02hello", b"\x50\x02\x01\x02", Some(b"hello"));
        check(v5, 0x30, b"\x00\x01a\x00hello", b"", Some(b"hello"));
        check(v5, 0x32, b"\x00\x01a\x01\x02\x02\x01\x01hello", b"\x40\x02\x01\x02", Some(b"hello"));
        check(v3, 0x62, b"\x01\x02", b"\x70\x02\x01\x02", None);
        check(v3, 0xD0, b"", b"", None);
    }

    #[test]
    fn what_is_cut_short_is_told() {
        let answer = |version, first_byte, body| {
            on_frame(version, || "me".to_owned(), &mut Vec::new(), Frame::new(first_byte, body)).is_err()
        };
        assert!(answer(ProtocolVersion::V311, 0x30, b"\x00"));
        assert!(answer(ProtocolVersion::V311, 0x30, b"\x00\x02a"));
        assert!(answer(ProtocolVersion::V311, 0x32, b"\x00\x01a\x01"));
        assert!(answer(ProtocolVersion::V5, 0x30, b"\x00\x01a"));
        assert!(answer(ProtocolVersion::V5, 0x30, b"\x00\x01a\x05x"));
        assert!(answer(ProtocolVersion::V5, 0x30, b"\x00\x01a\xFF\xFF\xFF\xFF\x01"));
        assert!(answer(ProtocolVersion::V311, 0x62, b"\x01"));
        assert!(answer(ProtocolVersion::V5, 0xE0, b"\x8B"));
        // Nobody asked for these.
        assert!(answer(ProtocolVersion::V311, 0x40, b"\x00\x01"));
        assert!(answer(ProtocolVersion::V311, 0x90, b"\x00\x01\x00"));
        assert!(answer(ProtocolVersion::V311, 0xF0, b""));
    }
}

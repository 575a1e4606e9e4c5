//! What a broker sends.

use anyhow::{Context, Result, bail};

use super::Version;
use super::reader::Reader;

/// The four packets that end or carry on an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Ends QoS 1.
    Puback,
    /// The receiver has the message of QoS 2.
    Pubrec,
    /// The sender knows that.
    Pubrel,
    /// Ends QoS 2.
    Pubcomp,
}

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connack {
    /// Whether the broker has state from before.
    pub session_present: bool,
    /// 0 is accepted.
    pub code: u8,
    /// How many exchanges the client may have open.
    pub receive_maximum: u16,
}

/// A message that is delivered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Publish<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// 0 at QoS 0.
    pub id: u16,
    /// Whether it may have been sent before.
    pub dup: bool,
    /// Whether it was retained when the subscription was made.
    pub retain: bool,
}

/// A packet from a broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received<'a> {
    /// The answer to CONNECT.
    Connack(Connack),
    /// A message.
    Publish(Publish<'a>),
    /// A packet of an exchange, and its reason.
    Acknowledgement(Kind, u16, u8),
    /// The answer to SUBSCRIBE: whether all was granted.
    Suback(u16, bool),
    /// The answer to PINGREQ.
    Pingresp,
    /// The broker ends the connection; its reason.
    Disconnect(u8),
}

/// The first whole packet in `bytes` and its length, if there is one.
///
/// # Errors
/// If it is none that a broker may send.
pub fn next_frame(version: Version, bytes: &[u8]) -> Result<Option<(Received<'_>, usize)>> {
    let mut reader = Reader(bytes);
    let Some(first) = reader.u8() else { return Ok(None) };
    let Some(length) = reader.variable() else {
        // Four bytes must have been enough.
        return if bytes.len() > 4 { bail!("the length of a packet is malformed") } else { Ok(None) };
    };
    let Some(body) = reader.take(length) else { return Ok(None) };
    let used = bytes.len() - reader.0.len();
    let received = packet(version, first, Reader(body)).with_context(|| {
        format!("a packet with the first byte {first:#04x} of {length} bytes is malformed")
    })?;
    Ok(Some((received, used)))
}

fn packet(version: Version, first: u8, mut body: Reader<'_>) -> Option<Received<'_>> {
    let is_five = version == Version::V5;
    Some(match first >> 4 {
        2 => {
            let (flags, code) = (body.u8()?, body.u8()?);
            let mut receive_maximum = u16::MAX;
            if is_five {
                let mut properties = body.properties()?;
                while !properties.0.is_empty() {
                    if let (0x21, value) = properties.property()? {
                        receive_maximum = value.try_into().ok()?;
                    }
                }
            }
            Received::Connack(Connack { session_present: flags & 1 == 1, code, receive_maximum })
        }
        3 => {
            let qos = first >> 1 & 3;
            let topic = body.text()?;
            let id = if qos > 0 { body.u16()? } else { 0 };
            if is_five {
                body.properties()?;
            }
            let (dup, retain) = (first & 8 != 0, first & 1 == 1);
            Received::Publish(Publish { topic, payload: body.0, qos, id, dup, retain })
        }
        kind @ 4..=7 => {
            let kind = match kind {
                4 => Kind::Puback,
                5 => Kind::Pubrec,
                6 => Kind::Pubrel,
                _ => Kind::Pubcomp,
            };
            let id = body.u16()?;
            // 5.0 leaves a reason of 0 out.
            Received::Acknowledgement(kind, id, body.u8().unwrap_or(0))
        }
        9 => {
            let id = body.u16()?;
            if is_five {
                body.properties()?;
            }
            Received::Suback(id, body.0.iter().all(|code| *code < 0x80))
        }
        13 => Received::Pingresp,
        14 if is_five => Received::Disconnect(body.u8().unwrap_or(0)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, bytes: &[u8], expected: Received<'_>) {
        let more = [bytes, &[0xD0]].concat();
        assert_eq!(next_frame(version, &more).unwrap(), Some((expected, bytes.len())));
        for cut in 0..bytes.len() {
            assert_eq!(next_frame(version, &bytes[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn packets_of_both_versions() {
        let connack = |session_present, receive_maximum| {
            Received::Connack(Connack { session_present, code: 0, receive_maximum })
        };
        check(Version::V311, &[0x20, 2, 1, 0], connack(true, u16::MAX));
        check(Version::V5, &[0x20, 8, 0, 0, 5, 0x24, 1, 0x21, 0, 20], connack(false, 20));
        let publish = Publish { topic: "a", payload: b"x", qos: 2, id: 7, dup: true, retain: false };
        check(Version::V311, &[0x3C, 6, 0, 1, b'a', 0, 7, b'x'], Received::Publish(publish.clone()));
        check(Version::V5, &[0x3C, 7, 0, 1, b'a', 0, 7, 0, b'x'], Received::Publish(publish));
        check(Version::V311, &[0x62, 2, 0, 9], Received::Acknowledgement(Kind::Pubrel, 9, 0));
        check(Version::V5, &[0x70, 4, 0, 9, 0x92, 0], Received::Acknowledgement(Kind::Pubcomp, 9, 0x92));
        check(Version::V311, &[0x90, 4, 0, 1, 2, 0x80], Received::Suback(1, false));
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        assert!(next_frame(Version::V311, &[0xE0, 0]).is_err());
        assert!(next_frame(Version::V5, &[0x20, 3, 0, 0, 9]).is_err());
        assert!(next_frame(Version::V5, &[0x20, 0xFF, 0xFF, 0xFF, 0xFF, 1]).is_err());
    }
}

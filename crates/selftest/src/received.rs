//! Packets that a server sent, taken apart. Every one is held against its format before a case sees it, so that each
//! case also proves what the standard says about the shape of packets.

use crate::bytes::Reader;
use crate::exchange::name_of;
use crate::property::Properties;
use crate::reason;
use crate::version::Version;

/// One packet of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    /// All of it, as it came.
    pub(crate) bytes: Vec<u8>,
    pub(crate) packet: Packet,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Packet {
    Connack {
        session_present: bool,
        code: u8,
        properties: Properties,
    },
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP: the first byte says which.
    Acknowledgement {
        first_byte: u8,
        id: u16,
        code: u8,
        properties: Properties,
    },
    /// SUBACK or UNSUBACK, with a code for each filter; UNSUBACK of 3.1.1 has none.
    Granted {
        first_byte: u8,
        id: u16,
        codes: Vec<u8>,
        properties: Properties,
    },
    Pingresp,
    Disconnect {
        code: u8,
        properties: Properties,
    },
    Auth {
        code: u8,
        properties: Properties,
    },
}

/// A message of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    /// 0 at QoS 0.
    pub(crate) id: u16,
    pub(crate) properties: Properties,
    pub(crate) payload: Vec<u8>,
}

/// Takes the first packet off the front of `buffer`; `None` if it is not all there. `Err` if no packet can begin so.
pub(crate) fn take(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    if buffer.len() < 2 {
        return Ok(None);
    }
    let mut reader = Reader::new(&buffer[1..]);
    let length_is_whole = buffer[1..].iter().take(4).any(|byte| byte & 0x80 == 0);
    if !length_is_whole && buffer.len() < 5 {
        return Ok(None);
    }
    let length = reader.variable_byte_integer()?;
    let header = buffer.len() - reader.rest().len();
    if buffer.len() < header + length {
        return Ok(None);
    }
    let rest = buffer.split_off(header + length);
    Ok(Some(std::mem::replace(buffer, rest)))
}

/// Reads a whole packet; `Err` says in which way no server may send it.
pub(crate) fn read(bytes: Vec<u8>, version: Version) -> Result<Received, String> {
    let first_byte = bytes[0];
    let mut reader = Reader::new(&bytes[1..]);
    reader.variable_byte_integer()?;
    let kind = first_byte >> 4;
    // [MQTT-2.1.3-1], [MQTT311-2.2.2-1]
    let flags = if kind == 6 { 2 } else { 0 };
    if kind != 3 && first_byte & 0xf != flags {
        return Err(format!(
            "{} with flags {:04b} instead of {flags:04b}",
            name_of(first_byte),
            first_byte & 0xf
        ));
    }
    let packet = match kind {
        2 => connack(&mut reader, version)?,
        3 => Packet::Publish(publish(first_byte, &mut reader, version)?),
        4..=7 => acknowledgement(first_byte, &mut reader, version)?,
        9 | 11 => granted(first_byte, &mut reader, version)?,
        13 => Packet::Pingresp,
        14 if version == Version::V5 => {
            let (code, properties) = code_and_properties(&mut reader, kind)?;
            Packet::Disconnect { code, properties }
        }
        15 if version == Version::V5 => {
            let (code, properties) = code_and_properties(&mut reader, kind)?;
            Packet::Auth { code, properties }
        }
        _ => return Err(format!("no server of MQTT {version} sends {}", name_of(first_byte))),
    };
    if !reader.is_empty() {
        return Err(format!("{} with {} bytes too many", name_of(first_byte), reader.rest().len()));
    }
    Ok(Received { bytes, packet })
}

fn check_code(code: u8, kind: u8) -> Result<(), String> {
    if reason::defined(kind).contains(&code) {
        return Ok(());
    }
    Err(format!("{} with {code:#04x}, which is no Reason Code of it", name_of(kind << 4)))
}

fn connack(reader: &mut Reader<'_>, version: Version) -> Result<Packet, String> {
    let (flags, code) = (reader.byte()?, reader.byte()?);
    if flags > 1 {
        return Err(format!("CONNACK with reserved flags: {flags:#04x}")); // [MQTT-3.2.2-1]
    }
    let properties = match version {
        // A server that does not speak 5.0 answers in the form of 3.1.1.
        Version::V5 if reader.is_empty() && code > 0 && code < 6 => Properties::default(),
        Version::V5 => {
            check_code(code, 2)?;
            Properties::read(reader, 2)?
        }
        Version::V311 if code > 5 => {
            return Err(format!("CONNACK with {code:#04x}, which is no return code"));
        }
        Version::V311 => Properties::default(),
    };
    // [MQTT-3.2.2-6], [MQTT311-3.2.2-4]
    if code != 0 && flags != 0 {
        return Err("CONNACK that refuses, with Session Present".to_owned());
    }
    Ok(Packet::Connack { session_present: flags == 1, code, properties })
}

fn publish(first_byte: u8, reader: &mut Reader<'_>, version: Version) -> Result<Publish, String> {
    let qos = first_byte >> 1 & 3;
    let dup = first_byte & 8 != 0;
    if qos == 3 {
        return Err("PUBLISH with QoS 3".to_owned()); // [MQTT-3.3.1-4], [MQTT311-3.3.1-4]
    }
    if qos == 0 && dup {
        return Err("PUBLISH of QoS 0 with DUP".to_owned()); // [MQTT-3.3.1-2], [MQTT311-3.3.1-2]
    }
    let topic = reader.text()?.to_owned();
    if topic.contains(['+', '#']) {
        return Err(format!("PUBLISH with a wildcard in its Topic Name: {topic:?}")); // [MQTT-3.3.2-2], [MQTT311-3.3.2-2]
    }
    let id = if qos > 0 { reader.two()? } else { 0 };
    if qos > 0 && id == 0 {
        return Err("PUBLISH with Packet Identifier 0".to_owned()); // [MQTT-2.2.1-4], [MQTT311-2.3.1-4]
    }
    let properties = match version {
        Version::V5 => Properties::read(reader, 3)?,
        Version::V311 => Properties::default(),
    };
    if topic.is_empty() && !properties.has(crate::property::TOPIC_ALIAS) {
        return Err("PUBLISH without a Topic Name".to_owned()); // [MQTT-4.7.3-1], [MQTT311-4.7.3-1]
    }
    if properties.number(crate::property::TOPIC_ALIAS) == Some(0) {
        return Err("PUBLISH with Topic Alias 0".to_owned()); // [MQTT-3.3.2-8]
    }
    let payload = reader.rest();
    reader.take(payload.len())?;
    Ok(Publish { dup, qos, retain: first_byte & 1 != 0, topic, id, properties, payload: payload.to_vec() })
}

fn acknowledgement(first_byte: u8, reader: &mut Reader<'_>, version: Version) -> Result<Packet, String> {
    let id = reader.two()?;
    let (code, properties) = match version {
        Version::V5 => code_and_properties(reader, first_byte >> 4)?,
        Version::V311 => (0, Properties::default()),
    };
    Ok(Packet::Acknowledgement { first_byte, id, code, properties })
}

/// Both may be missing, or the properties.
fn code_and_properties(reader: &mut Reader<'_>, kind: u8) -> Result<(u8, Properties), String> {
    if reader.is_empty() {
        return Ok((0, Properties::default()));
    }
    let code = reader.byte()?;
    check_code(code, kind)?;
    let properties = if reader.is_empty() { Properties::default() } else { Properties::read(reader, kind)? };
    Ok((code, properties))
}

fn granted(first_byte: u8, reader: &mut Reader<'_>, version: Version) -> Result<Packet, String> {
    let kind = first_byte >> 4;
    let id = reader.two()?;
    let properties = match version {
        Version::V5 => Properties::read(reader, kind)?,
        Version::V311 => Properties::default(),
    };
    let codes = match (version, kind) {
        (Version::V311, 11) => &[],
        _ => reader.rest(),
    };
    reader.take(codes.len())?;
    for code in codes {
        match version {
            Version::V5 => check_code(*code, kind)?,
            // [MQTT311-3.9.3-2]
            Version::V311 if !matches!(code, 0..=2 | 0x80) => {
                return Err(format!("SUBACK with {code:#04x}, which is no return code"));
            }
            Version::V311 => {}
        }
    }
    Ok(Packet::Granted { first_byte, id, codes: codes.to_vec(), properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    #[test]
    fn packets_are_cut_from_the_stream() {
        let mut buffer = hex("d0 00 40 02 00 07 20");
        assert_eq!(take(&mut buffer), Ok(Some(hex("d0 00"))));
        assert_eq!(take(&mut buffer), Ok(Some(hex("40 02 00 07"))));
        assert_eq!(take(&mut buffer), Ok(None));
        assert_eq!(buffer, [0x20]);
        assert!(take(&mut hex("30 ff ff ff ff 01")).is_err());
        assert_eq!(take(&mut hex("30 ff ff")), Ok(None));
    }

    #[test]
    fn what_no_server_may_send() {
        for (text, version) in [
            ("20 02 02 00", Version::V311),
            ("20 02 01 05", Version::V311),
            ("20 02 00 06", Version::V311),
            ("20 03 00 01 00", Version::V5),
            ("20 02 00 00", Version::V5),
            ("21 02 00 00", Version::V311),
            ("36 05 00 01 61 00 01", Version::V311),
            ("38 03 00 01 61", Version::V311),
            ("32 05 00 01 61 00 00", Version::V311),
            ("30 03 00 01 23", Version::V311),
            ("30 02 00 00", Version::V311),
            ("60 02 00 01", Version::V311),
            ("40 03 00 01 00", Version::V311),
            ("40 03 00 01 92", Version::V5),
            ("90 03 00 01 03", Version::V311),
            ("b0 03 00 01 00", Version::V311),
            ("d0 01 00", Version::V311),
            ("e0 00", Version::V311),
            ("e0 01 04", Version::V5),
            ("10 00", Version::V5),
        ] {
            assert!(read(hex(text), version).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_server_may_send() {
        for (text, version) in [
            ("20 02 00 05", Version::V311),
            ("20 03 01 00 00", Version::V5),
            ("20 02 00 01", Version::V5),
            ("3b 06 00 01 61 00 07 78", Version::V311),
            ("30 07 00 00 03 23 00 01 78", Version::V5),
            ("40 02 00 01", Version::V5),
            ("62 04 00 01 92 00", Version::V5),
            ("90 05 00 01 00 02 87", Version::V5),
            ("b0 02 00 01", Version::V311),
            ("e0 00", Version::V5),
        ] {
            assert!(read(hex(text), version).is_ok(), "{text}");
        }
    }
}

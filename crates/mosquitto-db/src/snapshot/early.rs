//! Formats 2, 3 and 4: field by field, each text behind its length. Lengths of chunks are not to be relied on for messages:
//! what format 4 added was not always counted in.

use std::io::Read;

use super::source::{Fields, Source};
use super::{
    CHUNK_BYTES_MAX, CLIENT, CONFIGURATION, COPY, MESSAGE, MESSAGE_NUMBER_BYTES, NO_CLIENT, NOT_UTF8,
    PAYLOAD_BYTES_MAX, RETAINED, SUBSCRIPTION, UNKNOWN_CHUNK, UNKNOWN_STATE, time,
};
use crate::Damage;
use crate::contents::{Client, Contents, Copy, CopyState, Direction, StoredMessage, Subscription};

pub(super) fn read(
    source: &mut Source<impl Read>,
    version: u32,
    contents: &mut Contents,
) -> Result<(), Damage> {
    loop {
        let at = source.at();
        let damaged = |what| Damage::At { at, what };
        let head = source.up_to(6)?;
        if head.is_empty() {
            return Ok(());
        }
        let (kind, length) = match head[..] {
            [a, b, c, d, e, f] => (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
            _ => return Err(damaged("it ends in the middle of an entry: it was cut off")),
        };
        match u32::from(kind) {
            CONFIGURATION => {
                // Whether it was written at the end, how many bytes number a message, and the last such number.
                if source.bytes(10)?[1] != MESSAGE_NUMBER_BYTES {
                    return Err(damaged("it says that messages are not numbered with 8 bytes"));
                }
            }
            MESSAGE => message(source, version, contents)?,
            COPY => copy(source, contents)?,
            RETAINED => contents.retained.push(native_u64(source)?),
            SUBSCRIPTION => subscription(source, contents)?,
            CLIENT => client(source, length, version, contents)?,
            _ if u64::from(length) > CHUNK_BYTES_MAX => {
                return Err(damaged("an entry is longer than any can be"));
            }
            _ => {
                source.bytes(length.into())?;
                contents.left_out.count(UNKNOWN_CHUNK);
            }
        }
    }
}

fn u8(source: &mut Source<impl Read>) -> Result<u8, Damage> {
    Ok(source.bytes(1)?[0])
}

fn u16(source: &mut Source<impl Read>) -> Result<u16, Damage> {
    let bytes = source.bytes(2)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn native_u64(source: &mut Source<impl Read>) -> Result<u64, Damage> {
    let at = source.at();
    let bytes = source.bytes(8)?;
    Fields(&bytes).native_u64().map_err(|_| Damage::At { at, what: "a number is cut off" })
}

/// `None` if it is not UTF-8.
fn text(source: &mut Source<impl Read>) -> Result<Option<String>, Damage> {
    let length = u16(source)?;
    Ok(String::from_utf8(source.bytes(length.into())?).ok())
}

fn message(source: &mut Source<impl Read>, version: u32, contents: &mut Contents) -> Result<(), Damage> {
    let id = native_u64(source)?;
    let publisher = text(source)?;
    let mut publisher_user_name = None;
    if version >= 4 {
        publisher_user_name = text(source)?;
        let _port = u16(source)?;
    }
    let _packet_ids = source.bytes(4)?;
    let topic = text(source)?;
    let (qos, retain) = (u8(source)?, u8(source)? != 0);
    let at = source.at();
    let length = source.bytes(4)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    if length > PAYLOAD_BYTES_MAX {
        return Err(Damage::At { at, what: "a payload is longer than MQTT allows" });
    }
    let payload = source.bytes(length.into())?;
    let Some(topic) = topic else {
        contents.left_out.count(NOT_UTF8);
        return Ok(());
    };
    contents.messages.push(StoredMessage {
        id,
        topic,
        payload,
        properties: Vec::new(),
        qos,
        retain,
        expiry_time: None,
        publisher: publisher.unwrap_or_default(),
        publisher_user_name: publisher_user_name.filter(|name| !name.is_empty()),
    });
    Ok(())
}

fn copy(source: &mut Source<impl Read>, contents: &mut Contents) -> Result<(), Damage> {
    let client = client_id(source, contents)?;
    let message = native_u64(source)?;
    let packet_id = u16(source)?;
    let (qos, retain) = (u8(source)?, u8(source)? != 0);
    let (direction, state, _dup) = (u8(source)?, u8(source)?, u8(source)?);
    let Some(client) = client else { return Ok(()) };
    let direction = match direction {
        0 => Some(Direction::Incoming),
        1 => Some(Direction::Outgoing),
        _ => None,
    };
    let (Some(direction), Some(state)) = (direction, CopyState::from_number(state)) else {
        contents.left_out.count(UNKNOWN_STATE);
        return Ok(());
    };
    contents.copies.push(Copy { client, message, direction, state, packet_id, qos, retain, identifier: 0 });
    Ok(())
}

fn subscription(source: &mut Source<impl Read>, contents: &mut Contents) -> Result<(), Damage> {
    let client = client_id(source, contents)?;
    let (filter, qos) = (text(source)?, u8(source)?);
    match (client, filter) {
        (Some(client), Some(filter)) => contents.subscriptions.push(Subscription {
            client,
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            identifier: 0,
        }),
        (Some(_), None) => contents.left_out.count(NOT_UTF8),
        // Counted already.
        (None, _) => {}
    }
    Ok(())
}

fn client(
    source: &mut Source<impl Read>,
    length: u32,
    version: u32,
    contents: &mut Contents,
) -> Result<(), Damage> {
    let at = source.at();
    let id = client_id(source, contents)?;
    let _last_packet_id = u16(source)?;
    let disconnected = if version == 2 {
        None
    } else {
        // A time has as many bytes as it had on the machine that wrote it.
        match u64::from(length).checked_sub(source.at() - at) {
            Some(8) => i64::try_from(native_u64(source)?).ok().and_then(time),
            Some(4) => {
                let bytes = source.bytes(4)?;
                time(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into())
            }
            _ => return Err(Damage::At { at, what: "a client does not have the length it says" }),
        }
    };
    if let Some(id) = id {
        contents.clients.push(Client { id, disconnected, ..Client::default() });
    }
    Ok(())
}

/// Counts what has none.
fn client_id(source: &mut Source<impl Read>, contents: &mut Contents) -> Result<Option<String>, Damage> {
    match text(source)? {
        Some(id) if id.is_empty() => contents.left_out.count(NO_CLIENT),
        Some(id) => return Ok(Some(id)),
        None => contents.left_out.count(NOT_UTF8),
    }
    Ok(None)
}

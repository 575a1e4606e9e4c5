//! Formats 5 and 6: fixed fields first, as the compiler laid them out, then texts and the rest.

use std::io::Read;

use super::source::{Fields, Source, TooShort, variable_byte_integer};
use super::{
    CHUNK_BYTES_MAX, CLIENT, CONFIGURATION, COPY, MESSAGE, MESSAGE_NUMBER_BYTES, NO_CLIENT, NOT_UTF8,
    PAYLOAD_BYTES_MAX, RETAINED, SUBSCRIPTION, UNKNOWN_CHUNK, UNKNOWN_STATE, time,
};
use crate::Damage;
use crate::contents::{Client, Contents, Copy, CopyState, Direction, LeftOut, StoredMessage, Subscription};

/// The fixed fields of a client, and what the compiler appends so that the length is a multiple of the alignment of its
/// 64-bit number: that is 8 bytes, or 4 on 32-bit Intel.
const CLIENT_BYTES: usize = 20;
const CLIENT_TAIL_BYTES: usize = 4;

/// The identifier of the property Subscription Identifier.
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;

/// Why a chunk is not taken.
enum Refusal {
    /// It contradicts itself: nothing behind it can be trusted.
    Damaged(&'static str),
    /// It is whole, but cannot be used.
    LeftOut(&'static str),
}

impl From<TooShort> for Refusal {
    fn from(TooShort: TooShort) -> Self {
        Self::Damaged("an entry is too short for what it says it holds")
    }
}

pub(super) fn read(
    source: &mut Source<impl Read>,
    version: u32,
    contents: &mut Contents,
) -> Result<(), Damage> {
    loop {
        let at = source.at();
        let damaged = |what| Damage::At { at, what };
        let head = source.up_to(8)?;
        if head.is_empty() {
            return Ok(());
        }
        let [kind, length] = match head[..] {
            [a, b, c, d, e, f, g, h] => [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes),
            _ => return Err(damaged("it ends in the middle of an entry: it was cut off")),
        };
        if u64::from(length) > CHUNK_BYTES_MAX {
            return Err(damaged("an entry is longer than any can be"));
        }
        let chunk = source.bytes(length.into())?;
        match entry(kind, &chunk, version, contents) {
            Ok(()) => {}
            Err(Refusal::Damaged(what)) => return Err(damaged(what)),
            Err(Refusal::LeftOut(reason)) => contents.left_out.count(reason),
        }
    }
}

fn entry(kind: u32, chunk: &[u8], version: u32, contents: &mut Contents) -> Result<(), Refusal> {
    let fields = &mut Fields(chunk);
    match kind {
        CONFIGURATION => configuration(fields)?,
        MESSAGE => contents.messages.push(message(fields, &mut contents.left_out)?),
        COPY => contents.copies.push(copy(fields)?),
        RETAINED => contents.retained.push(fields.native_u64()?),
        SUBSCRIPTION => contents.subscriptions.push(subscription(fields)?),
        CLIENT => contents.clients.push(client(fields, version)?),
        _ => return Err(Refusal::LeftOut(UNKNOWN_CHUNK)),
    }
    Ok(())
}

fn configuration(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    let _last_number = fields.native_u64()?;
    let _at_shutdown = fields.u8()?;
    match fields.u8()? {
        MESSAGE_NUMBER_BYTES => Ok(()),
        _ => Err(Refusal::Damaged("it says that messages are not numbered with 8 bytes")),
    }
}

fn message(fields: &mut Fields<'_>, left_out: &mut LeftOut) -> Result<StoredMessage, Refusal> {
    let (id, expires) = (fields.native_u64()?, fields.native_i64()?);
    let payload_bytes = fields.u32()?;
    let _packet_id = fields.u16()?;
    let [publisher_bytes, user_name_bytes, topic_bytes] = [fields.u16()?, fields.u16()?, fields.u16()?];
    let _port = fields.u16()?;
    let (qos, retain) = (fields.u8()?, fields.u8()? != 0);
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(Refusal::Damaged("a payload is longer than MQTT allows"));
    }
    let publisher = fields.take(publisher_bytes.into())?;
    let user_name = fields.take(user_name_bytes.into())?;
    let topic = fields.take(topic_bytes.into())?;
    let payload = fields.take(payload_bytes as usize)?.to_vec();
    let properties = match fields.rest() {
        [] => &[],
        rest => properties(rest)?,
    };
    // Who published it matters less than the message.
    let mut name = |bytes| {
        text(bytes).unwrap_or_else(|_| {
            left_out.count("names of publishers that are not UTF-8");
            String::new()
        })
    };
    Ok(StoredMessage {
        id,
        publisher: name(publisher),
        publisher_user_name: Some(name(user_name)).filter(|name| !name.is_empty()),
        topic: text(topic)?,
        payload,
        properties: properties.to_vec(),
        qos,
        retain,
        expiry_time: time(expires),
    })
}

/// Takes off the length that properties begin with.
fn properties(bytes: &[u8]) -> Result<&[u8], Refusal> {
    match variable_byte_integer(bytes) {
        Some((length, properties)) if length as usize == properties.len() => Ok(properties),
        _ => Err(Refusal::Damaged("properties do not have the length they say")),
    }
}

fn copy(fields: &mut Fields<'_>) -> Result<Copy, Refusal> {
    let message = fields.native_u64()?;
    let (packet_id, client_bytes) = (fields.u16()?, fields.u16()?);
    let (qos, state) = (fields.u8()?, fields.u8()?);
    let (retain_dup, direction) = (fields.u8()?, fields.u8()?);
    let client = client_id(fields.take(client_bytes.into())?)?;
    let identifier = match fields.rest() {
        [] => 0,
        rest => match properties(rest)? {
            [SUBSCRIPTION_IDENTIFIER, value @ ..] => match variable_byte_integer(value) {
                Some((identifier, [])) => identifier,
                _ => return Err(Refusal::Damaged("a Subscription Identifier is none")),
            },
            // Nothing else belongs there, and nothing is lost with it.
            _ => 0,
        },
    };
    let (state, direction) = progress(state, direction)?;
    Ok(Copy { client, message, direction, state, packet_id, qos, retain: retain_dup & 0xF0 != 0, identifier })
}

fn progress(state: u8, direction: u8) -> Result<(CopyState, Direction), Refusal> {
    let state = CopyState::from_number(state).ok_or(Refusal::LeftOut(UNKNOWN_STATE))?;
    match direction {
        0 => Ok((state, Direction::Incoming)),
        1 => Ok((state, Direction::Outgoing)),
        _ => Err(Refusal::LeftOut(UNKNOWN_STATE)),
    }
}

fn subscription(fields: &mut Fields<'_>) -> Result<Subscription, Refusal> {
    let identifier = fields.u32()?;
    let (client_bytes, filter_bytes) = (fields.u16()?, fields.u16()?);
    let (qos, options) = (fields.u8()?, fields.u8()?);
    let _to_a_multiple_of_4 = fields.take(2)?;
    Ok(Subscription {
        client: client_id(fields.take(client_bytes.into())?)?,
        filter: text(fields.take(filter_bytes.into())?)?,
        qos,
        no_local: options & 0x04 != 0,
        retain_as_published: options & 0x08 != 0,
        identifier,
    })
}

fn client(fields: &mut Fields<'_>, version: u32) -> Result<Client, Refusal> {
    let chunk_bytes = fields.0.len();
    let (ends, expiry_interval) = (fields.native_i64()?, fields.u32()?);
    let (_last_packet_id, id_bytes) = (fields.u16()?, fields.u16()?);
    let mut user_name_bytes = 0;
    if version >= 6 {
        let _port = fields.u16()?;
        user_name_bytes = fields.u16()?;
        let without_tail = CLIENT_BYTES + usize::from(id_bytes) + usize::from(user_name_bytes);
        if chunk_bytes == without_tail + CLIENT_TAIL_BYTES {
            fields.take(CLIENT_TAIL_BYTES)?;
        } else if chunk_bytes != without_tail {
            return Err(Refusal::Damaged("a client does not have the length it says"));
        }
    }
    let id = client_id(fields.take(id_bytes.into())?)?;
    let user_name = text(fields.take(user_name_bytes.into())?)?;
    Ok(Client {
        id,
        user_name: Some(user_name).filter(|name| !name.is_empty()),
        expiry_interval: Some(expiry_interval),
        expiry_time: time(ends),
        ..Client::default()
    })
}

fn client_id(bytes: &[u8]) -> Result<String, Refusal> {
    match text(bytes)? {
        id if id.is_empty() => Err(Refusal::LeftOut(NO_CLIENT)),
        id => Ok(id),
    }
}

fn text(bytes: &[u8]) -> Result<String, Refusal> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Refusal::LeftOut(NOT_UTF8))
}

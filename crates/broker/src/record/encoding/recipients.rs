//! Whom a message is for, in few bytes: lists may be long, and their recipients are much alike.

use noctule_protocol::QoS;

use super::value::{Read, Reader, Writer};
use crate::message::SessionNumber;
use crate::record::{List, Recipient};

/// What of a recipient fits into a byte.
const IS_QOS_2: u8 = 1;
const RETAIN: u8 = 2;
const HAS_IDENTIFIERS: u8 = 4;
const HAS_GROUP: u8 = 8;
/// In a list: its copy is not the one after the last.
const SKIPS: u8 = 16;
/// By itself: the message was made for nobody else, and how long its payload is follows.
const IS_ALONE: u8 = 32;

fn flags(recipient: &Recipient) -> u8 {
    u8::from(recipient.qos == QoS::ExactlyOnce)
        | u8::from(recipient.retain) << 1
        | u8::from(!recipient.identifiers.is_empty()) << 2
        | u8::from(recipient.group.is_some()) << 3
}

/// What does not.
fn rest(mut out: Writer, recipient: &Recipient) -> Writer {
    if !recipient.identifiers.is_empty() {
        out = out.number(recipient.identifiers.iter().count() as u64);
        for identifier in recipient.identifiers.iter() {
            out = out.number(identifier);
        }
    }
    match &recipient.group {
        Some(group) => out.bytes(group.as_bytes()),
        None => out,
    }
}

/// One by itself. Its copy is part of the key. If the message is for nobody else, so many bytes of payload it has.
pub(super) fn single(recipient: &Recipient, alone: Option<u32>) -> Vec<u8> {
    let is_alone = u8::from(alone.is_some()) * IS_ALONE;
    let mut out = Writer::new().u8(flags(recipient) | is_alone).number(recipient.session.0);
    if let Some(payload_bytes) = alone {
        out = out.number(payload_bytes);
    }
    rest(out, recipient).0
}

pub(super) fn read_single(value: &mut Reader<'_>, copy: u32) -> Read<(Recipient, Option<u32>)> {
    let flags = value.u8()?;
    let session = SessionNumber(value.number()?);
    let alone = if flags & IS_ALONE != 0 { Some(value.number()?) } else { None };
    Ok((read_rest(value, flags & !IS_ALONE, copy, session)?, alone))
}

fn read_rest(value: &mut Reader<'_>, flags: u8, copy: u32, session: SessionNumber) -> Read<Recipient> {
    if flags > (IS_QOS_2 | RETAIN | HAS_IDENTIFIERS | HAS_GROUP) {
        return Err("unknown flags of a recipient");
    }
    let mut identifiers = Vec::new();
    if flags & HAS_IDENTIFIERS != 0 {
        for _ in 0..value.number::<u32>()? {
            identifiers.push(value.number()?);
        }
    }
    Ok(Recipient {
        copy,
        session,
        qos: if flags & IS_QOS_2 != 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
        retain: flags & RETAIN != 0,
        identifiers: identifiers.into(),
        group: if flags & HAS_GROUP != 0 { Some(value.text()?.into()) } else { None },
    })
}

/// Several: those in a row that have the same flags say so once, and of each number there is how far it is from the last.
pub(super) fn list<'a>(
    list: List,
    payload_bytes: u32,
    recipients: impl Iterator<Item = &'a Recipient>,
) -> Vec<u8> {
    let mut next_copy = 0;
    let flagged = |recipient: &'a Recipient| {
        let skips = u8::from(recipient.copy != next_copy) * SKIPS;
        next_copy = recipient.copy.wrapping_add(1);
        (flags(recipient) | skips, recipient)
    };
    let recipients: Vec<(u8, &Recipient)> = recipients.map(flagged).collect();
    let kind = match list {
        List::Prompt => 0,
        List::Late => 1,
    };
    let mut out = Writer::new().u8(kind).number(payload_bytes);
    let mut session = 0;
    for alike in recipients.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((flags, _)) = alike.first() else { continue };
        out = out.u8(*flags).number(alike.len() as u64);
        for (_, recipient) in alike {
            if flags & SKIPS != 0 {
                out = out.number(recipient.copy);
            }
            out = rest(out.step(session, recipient.session.0), recipient);
            session = recipient.session.0;
        }
    }
    out.0
}

/// Which kind of list, how long the payload is, and who stands in it.
pub(super) fn read_list(value: &mut Reader<'_>) -> Read<(List, u32, Vec<Recipient>)> {
    let list = match value.u8()? {
        0 => List::Prompt,
        1 => List::Late,
        _ => return Err("unknown kind of list"),
    };
    let payload_bytes = value.number()?;
    let mut recipients = Vec::new();
    let (mut session, mut next_copy) = (0, 0_u32);
    while !value.0.is_empty() {
        let flags = value.u8()?;
        for _ in 0..value.number::<u32>()? {
            let copy = if flags & SKIPS != 0 { value.number()? } else { next_copy };
            session = value.step(session)?;
            recipients.push(read_rest(value, flags & !SKIPS, copy, SessionNumber(session))?);
            next_copy = copy.wrapping_add(1);
        }
    }
    Ok((list, payload_bytes, recipients))
}

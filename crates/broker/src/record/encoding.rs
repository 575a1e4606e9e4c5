//! Rows to bytes and back. Every value begins with its format number, so that it can change.

use noctule_protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_protocol::{PacketId, QoS};
use siphasher::sip::SipHasher13;

use super::{Change, Operation, Recipient, SessionRecord, Table};
use crate::input::ListenerIndex;
use crate::message::{Message, MessageView, Publisher, RetainedMessage, Sequence, SessionNumber};
use crate::session::Identifiers;
use crate::will::Will;

mod value;

use value::{FORMAT, Read, Reader, Writer, text};

/// A row that cannot be read: the store was damaged, or written by a later version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a record of table {table:?} cannot be read: {what}; it was damaged or written by a later version")]
pub struct RecordError {
    /// Where it stands.
    pub table: Table,
    /// What is wrong with it.
    pub what: &'static str,
}

/// A row as read back.
#[derive(Debug)]
#[allow(missing_docs, reason = "each variant is a row of the table in this module's head")]
pub enum Record {
    Session(SessionRecord),
    Subscription {
        session: SessionNumber,
        filter: Box<str>,
        options: SubscriptionOptions,
        identifier: u32,
    },
    Message(Message),
    Delivery {
        sequence: Sequence,
        recipients: Vec<Recipient>,
    },
    Recipient {
        sequence: Sequence,
        recipient: Recipient,
    },
    /// `None` is acknowledged.
    State {
        sequence: Sequence,
        copy: u32,
        sent: Option<PacketId>,
    },
    Released {
        session: SessionNumber,
        packet_id: PacketId,
    },
    Incoming {
        session: SessionNumber,
        packet_id: PacketId,
        message: Message,
    },
    Retained {
        message: Message,
        publisher: Publisher,
    },
}

impl Operation {
    /// The rows this operation changes, in any order.
    pub fn changes(&self, mut change: impl FnMut(Change)) {
        let mut put = |table, key, value| change(Change { table, key, value });
        match self {
            Self::PutSession(record) => put(Table::Session, number(record.number), Some(session(record))),
            Self::DeleteSession(session) => put(Table::Session, number(*session), None),
            Self::PutSubscription { session, filter, options, identifier } => {
                let mut value = granted(*options, *identifier);
                value.extend_from_slice(in_key(filter).1);
                put(Table::Subscription, subscription(*session, filter), Some(value));
            }
            Self::DeleteSubscription { session, filter } => {
                put(Table::Subscription, subscription(*session, filter), None);
            }
            Self::PutMessage { message, recipients } => {
                put(Table::Message, sequence(message.sequence()), Some(encode_message(message)));
                put(Table::Delivery, sequence(message.sequence()), Some(recipient_list(recipients)));
            }
            Self::AddRecipient { sequence, recipient } => {
                let value = recipient_list(std::slice::from_ref(recipient));
                put(Table::Recipient, copy_key(*sequence, recipient.copy), Some(value));
            }
            Self::DeleteRecipient { sequence, copy } => {
                put(Table::Recipient, copy_key(*sequence, *copy), None);
                put(Table::State, copy_key(*sequence, *copy), None);
            }
            Self::DeleteMessage { sequence: of, copies } => {
                put(Table::Message, sequence(*of), None);
                put(Table::Delivery, sequence(*of), None);
                for copy in 0..*copies {
                    put(Table::State, copy_key(*of, copy), None);
                }
            }
            Self::PutSent { sequence, copy, packet_id } => {
                let value = Writer::new().u16(packet_id.get()).0;
                put(Table::State, copy_key(*sequence, *copy), Some(value));
            }
            Self::PutAcknowledged { sequence, copy } => {
                put(Table::State, copy_key(*sequence, *copy), Some(Writer::new().u16(0).0));
            }
            Self::PutReleased { session, packet_id } => {
                put(Table::Released, exchange(*session, *packet_id), Some(Writer::new().0));
            }
            Self::DeleteReleased { session, packet_id } => {
                put(Table::Released, exchange(*session, *packet_id), None)
            }
            Self::PutIncoming { session, packet_id, message } => {
                put(Table::Incoming, exchange(*session, *packet_id), Some(encode_message(message)));
            }
            Self::DeleteIncoming { session, packet_id } => {
                put(Table::Incoming, exchange(*session, *packet_id), None)
            }
            Self::PutRetained(kept) => change(retained_change(kept.message.topic(), Some(kept))),
            Self::DeleteRetained(topic) => change(retained_change(topic, None)),
        }
    }
}

impl Record {
    /// Reads a row. Never panics, whatever the bytes.
    pub fn decode(table: Table, key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        read(table, key, value).map_err(|what| RecordError { table, what })
    }

    /// The highest number of a session that it names.
    pub(crate) fn last_session(&self) -> Option<SessionNumber> {
        match self {
            Self::Session(record) => Some(record.number),
            Self::Subscription { session, .. } | Self::Released { session, .. } => Some(*session),
            Self::Incoming { session, message, .. } => Some(message.view().publisher.max(*session)),
            Self::Message(message) | Self::Retained { message, .. } => Some(message.view().publisher),
            Self::Delivery { recipients, .. } => recipients.iter().map(|recipient| recipient.session).max(),
            Self::Recipient { recipient, .. } => Some(recipient.session),
            Self::State { .. } => None,
        }
    }
}

fn read(table: Table, key: &[u8], value: &[u8]) -> Read<Record> {
    let mut key = Reader(key);
    let mut value = Reader(value);
    if value.u8()? != FORMAT {
        return Err("unknown format number");
    }
    let record = match table {
        Table::Session => Record::Session(read_session(&mut key, &mut value)?),
        Table::Subscription => {
            let session = SessionNumber(key.u64()?);
            let in_key = key.rest();
            let (options, identifier) = read_granted(&mut value)?;
            let filter = match in_key.get(..FILTER_BYTES_IN_KEY) {
                Some(first) if in_key.len() > FILTER_BYTES_IN_KEY => {
                    let filter = text(&[first, value.rest()].concat())?;
                    if in_key != filter_key(&filter) {
                        return Err("filter under another's key");
                    }
                    filter
                }
                Some(_) | None => text(in_key)?,
            };
            Record::Subscription { session, filter, options, identifier }
        }
        Table::Message => {
            let message = read_message(&mut value)?;
            if key.sequence()? != message.sequence() {
                return Err("message under another's key");
            }
            Record::Message(message)
        }
        Table::Delivery => {
            Record::Delivery { sequence: key.sequence()?, recipients: read_recipients(&mut value)? }
        }
        Table::Recipient => {
            let (sequence, _) = (key.sequence()?, key.u32()?);
            let recipient = read_recipients(&mut value)?.pop().ok_or("no recipient")?;
            Record::Recipient { sequence, recipient }
        }
        Table::State => {
            let (sequence, copy) = (key.sequence()?, key.u32()?);
            Record::State { sequence, copy, sent: PacketId::new(value.u16()?) }
        }
        Table::Released => {
            let (session, packet_id) = key.exchange()?;
            Record::Released { session, packet_id }
        }
        Table::Incoming => {
            let (session, packet_id) = key.exchange()?;
            Record::Incoming { session, packet_id, message: read_message(&mut value)? }
        }
        Table::Retained => {
            let message = read_message(&mut value)?;
            if key.rest() != message.topic().as_bytes() {
                return Err("message under another's key");
            }
            let client_id = value.text()?.into();
            let user_name = value.option(|value| Ok(value.text()?.into()))?;
            Record::Retained {
                message,
                publisher: Publisher { client_id, user_name, listener: ListenerIndex::UNKNOWN },
            }
        }
    };
    if key.0.is_empty() && value.0.is_empty() { Ok(record) } else { Err("bytes left over") }
}

fn number(session: SessionNumber) -> Vec<u8> {
    session.0.to_be_bytes().to_vec()
}

fn sequence(sequence: Sequence) -> Vec<u8> {
    [&sequence.source.to_be_bytes()[..], &sequence.counter.to_be_bytes()].concat()
}

fn copy_key(of: Sequence, copy: u32) -> Vec<u8> {
    [&sequence(of)[..], &copy.to_be_bytes()].concat()
}

fn exchange(session: SessionNumber, packet_id: PacketId) -> Vec<u8> {
    [&session.0.to_be_bytes()[..], &packet_id.get().to_be_bytes()].concat()
}

/// Of a filter that is longer, so much stands in its row's key and the rest in the value: a store's keys end at 65 535 bytes, as
/// filters do, and this one has more in it.
const FILTER_BYTES_IN_KEY: usize = 65_000;

fn subscription(session: SessionNumber, filter: &str) -> Vec<u8> {
    [&session.0.to_be_bytes()[..], &filter_key(filter)].concat()
}

/// A filter that does not fit in is told from others that begin alike by a hash, which is part of the format.
fn filter_key(filter: &str) -> Vec<u8> {
    match in_key(filter) {
        (all, []) => all.to_vec(),
        (first, rest) => [first, &SipHasher13::new().hash(rest).to_be_bytes()].concat(),
    }
}

/// What stands in the key, and what does not.
fn in_key(filter: &str) -> (&[u8], &[u8]) {
    filter.as_bytes().split_at(filter.len().min(FILTER_BYTES_IN_KEY))
}

fn granted(options: SubscriptionOptions, identifier: u32) -> Vec<u8> {
    let retain_handling = match options.retain_handling {
        RetainHandling::SendAtSubscribe => 0,
        RetainHandling::SendAtNewSubscribe => 1,
        RetainHandling::DoNotSend => 2,
    };
    let flags = u8::from(options.no_local) | u8::from(options.retain_as_published) << 1;
    Writer::new().u8(options.qos.level()).u8(flags).u8(retain_handling).u32(identifier).0
}

fn read_granted(value: &mut Reader<'_>) -> Read<(SubscriptionOptions, u32)> {
    let qos = value.qos()?;
    let flags = value.u8()?;
    let retain_handling = match value.u8()? {
        0 => RetainHandling::SendAtSubscribe,
        1 => RetainHandling::SendAtNewSubscribe,
        2 => RetainHandling::DoNotSend,
        _ => return Err("unknown retain handling"),
    };
    let options = SubscriptionOptions {
        qos,
        no_local: flags & 1 != 0,
        retain_as_published: flags & 2 != 0,
        retain_handling,
    };
    Ok((options, value.u32()?))
}

fn session(record: &SessionRecord) -> Vec<u8> {
    let mut out = Writer::new()
        .bytes(record.client_id.as_bytes())
        .option(record.user_name.as_deref(), |out, name| out.bytes(name.as_bytes()))
        .u32(record.expiry)
        .option(record.disconnected_at, Writer::duration);
    out = out.option(record.will.as_ref(), |out, will| {
        out.bytes(will.topic.as_bytes())
            .bytes(&will.payload)
            .bytes(&will.properties)
            .u8(will.qos.level())
            .u8(will.retain.into())
            .duration(will.delay)
            .option(will.expiry, Writer::duration)
    });
    out.0
}

fn read_session(key: &mut Reader<'_>, value: &mut Reader<'_>) -> Read<SessionRecord> {
    Ok(SessionRecord {
        number: SessionNumber(key.u64()?),
        client_id: value.text()?.into(),
        user_name: value.option(|value| Ok(value.text()?.into()))?,
        expiry: value.u32()?,
        disconnected_at: value.option(Reader::duration)?,
        will: value.option(|value| {
            Ok(Will {
                topic: value.text()?,
                payload: value.bytes()?.into(),
                properties: value.bytes()?.into(),
                qos: value.qos()?,
                retain: value.u8()? != 0,
                delay: value.duration()?,
                expiry: value.option(Reader::duration)?,
            })
        })?,
    })
}

fn encode_message(message: &Message) -> Vec<u8> {
    Writer::new()
        .u32(message.sequence().source)
        .u64(message.sequence().counter)
        .bytes(message.topic().as_bytes())
        .bytes(message.payload())
        .bytes(message.properties())
        .u8(message.qos().level())
        .u8(message.retain().into())
        .option(message.expires(), Writer::duration)
        .u64(message.publisher().0)
        .0
}

/// The row of what is retained for a topic.
pub(super) fn retained_change(topic: &str, kept: Option<&RetainedMessage>) -> Change {
    Change { table: Table::Retained, key: topic.as_bytes().to_vec(), value: kept.map(retained) }
}

fn retained(retained: &RetainedMessage) -> Vec<u8> {
    let RetainedMessage { message, publisher } = retained;
    Writer(encode_message(message))
        .bytes(publisher.client_id.as_bytes())
        .option(publisher.user_name.as_deref(), |out, name| out.bytes(name.as_bytes()))
        .0
}

fn read_message(value: &mut Reader<'_>) -> Read<Message> {
    let sequence = value.sequence()?;
    let (topic, payload, properties) = (value.text()?, value.bytes()?, value.bytes()?);
    let (qos, retain, expires) = (value.qos()?, value.u8()? != 0, value.option(Reader::duration)?);
    let publisher = SessionNumber(value.u64()?);
    if topic.len() > usize::from(u16::MAX) {
        return Err("topic name of more than 65535 bytes");
    }
    let view = MessageView { topic: &topic, payload, properties, qos, retain, expires, publisher };
    Ok(view.to_message(sequence))
}

fn recipient_list(recipients: &[Recipient]) -> Vec<u8> {
    let mut out = Writer::new().u32(recipients.len() as u32);
    for recipient in recipients {
        let identifiers: Vec<u32> = recipient.identifiers.iter().collect();
        out = out
            .u32(recipient.copy)
            .u64(recipient.session.0)
            .u8(recipient.qos.level()
                | u8::from(recipient.retain) << 2
                | u8::from(recipient.group.is_some()) << 3)
            .u32(identifiers.len() as u32);
        for identifier in identifiers {
            out = out.u32(identifier);
        }
        if let Some(group) = &recipient.group {
            out = out.bytes(group.as_bytes());
        }
    }
    out.0
}

fn read_recipients(value: &mut Reader<'_>) -> Read<Vec<Recipient>> {
    let mut recipients = Vec::new();
    for _ in 0..value.u32()? {
        let (copy, session, flags) = (value.u32()?, SessionNumber(value.u64()?), value.u8()?);
        let mut identifiers = Vec::new();
        for _ in 0..value.u32()? {
            identifiers.push(value.u32()?);
        }
        let identifiers = Identifiers::from(identifiers);
        let qos = QoS::from_level(flags & 3).ok_or("QoS 3")?;
        let group = if flags & 8 != 0 { Some(value.text()?.into()) } else { None };
        recipients.push(Recipient { copy, session, qos, retain: flags & 4 != 0, identifiers, group });
    }
    Ok(recipients)
}

#[cfg(test)]
mod tests;

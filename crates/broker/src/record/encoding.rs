//! Rows to bytes and back. Every value begins with its format number, so that it can change.

use noctule_protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_protocol::{PacketId, QoS};
use siphasher::sip::SipHasher13;

use super::{Change, Cursor, Exchange, List, Operation, Recipient, SessionRecord, Table};
use crate::input::ListenerIndex;
use crate::message::{Message, MessageView, Publisher, RetainedMessage, Sequence, SessionNumber};
use crate::will::Will;

mod cursor;
mod recipients;
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
    List {
        sequence: Sequence,
        list: List,
        payload_bytes: u32,
        recipients: Vec<Recipient>,
    },
    /// `alone`: how long the payload is, if the message was made for nobody else.
    Recipient {
        sequence: Sequence,
        recipient: Recipient,
        alone: Option<u32>,
    },
    Cursor {
        session: SessionNumber,
        cursor: Cursor,
    },
    Outgoing {
        session: SessionNumber,
        packet_id: PacketId,
        exchange: Exchange,
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
            Self::PutMessage { message, recipients, list } => {
                let of = message.sequence();
                let payload_bytes = u32::try_from(message.payload_bytes()).unwrap_or(u32::MAX);
                put(Table::Message, sequence(of), Some(encode_message(Writer::new(), message).0));
                let is_listed = |recipient: &&Recipient| list.is_some() && recipient.group.is_none();
                if let Some(list) = list {
                    let listed = recipients.iter().filter(is_listed);
                    put(Table::Delivery, sequence(of), Some(recipients::list(*list, payload_bytes, listed)));
                }
                for recipient in recipients.iter().filter(|recipient| !is_listed(recipient)) {
                    let is_alone = recipients.len() == 1 && recipient.group.is_none();
                    let value = recipients::single(recipient, is_alone.then_some(payload_bytes));
                    put(Table::Delivery, copy_key(of, recipient.copy), Some(value));
                }
            }
            Self::DeleteMessage { sequence: of, has_list } => {
                put(Table::Message, sequence(*of), None);
                if *has_list {
                    put(Table::Delivery, sequence(*of), None);
                }
            }
            Self::AddRecipient { sequence, recipient } => {
                let value = recipients::single(recipient, None);
                put(Table::Delivery, copy_key(*sequence, recipient.copy), Some(value));
            }
            Self::DeleteRecipient { sequence, copy } => {
                put(Table::Delivery, copy_key(*sequence, *copy), None);
            }
            Self::PutCursor { session, cursor } => {
                put(Table::Cursor, number(*session), Some(cursor::cursor(cursor)));
            }
            Self::DeleteCursor(session) => put(Table::Cursor, number(*session), None),
            Self::PutOutgoing { session, packet_id, exchange } => {
                let value = match exchange {
                    Exchange::Sent { sequence, copy } => {
                        Writer::new().u8(0).sequence(*sequence).number(*copy)
                    }
                    Exchange::Released => Writer::new().u8(1),
                };
                put(Table::Outgoing, exchange_key(*session, *packet_id), Some(value.0));
            }
            Self::DeleteOutgoing { session, packet_id } => {
                put(Table::Outgoing, exchange_key(*session, *packet_id), None);
            }
            Self::PutIncoming { session, packet_id, message } => {
                let value = encode_message(Writer::new().sequence(message.sequence()), message).0;
                put(Table::Incoming, exchange_key(*session, *packet_id), Some(value));
            }
            Self::DeleteIncoming { session, packet_id } => {
                put(Table::Incoming, exchange_key(*session, *packet_id), None)
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
            Self::Subscription { session, .. }
            | Self::Outgoing { session, .. }
            | Self::Cursor { session, .. } => Some(*session),
            Self::Incoming { session, message, .. } => Some(message.view().publisher.max(*session)),
            Self::Message(message) | Self::Retained { message, .. } => Some(message.view().publisher),
            Self::List { recipients, .. } => recipients.iter().map(|recipient| recipient.session).max(),
            Self::Recipient { recipient, .. } => Some(recipient.session),
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
            let session = key.key_session()?;
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
            let sequence = key.key_sequence()?;
            Record::Message(read_message(&mut value, sequence)?)
        }
        Table::Delivery => {
            let sequence = key.key_sequence()?;
            if key.0.is_empty() {
                let (list, payload_bytes, recipients) = recipients::read_list(&mut value)?;
                Record::List { sequence, list, payload_bytes, recipients }
            } else {
                let copy = u32::from_be_bytes(key.array()?);
                let (recipient, alone) = recipients::read_single(&mut value, copy)?;
                Record::Recipient { sequence, recipient, alone }
            }
        }
        Table::Cursor => {
            Record::Cursor { session: key.key_session()?, cursor: cursor::read_cursor(&mut value)? }
        }
        Table::Outgoing => {
            let (session, packet_id) = key.key_exchange()?;
            let exchange = match value.u8()? {
                0 => Exchange::Sent { sequence: value.sequence()?, copy: value.number()? },
                1 => Exchange::Released,
                _ => return Err("unknown state of an exchange"),
            };
            Record::Outgoing { session, packet_id, exchange }
        }
        Table::Incoming => {
            let (session, packet_id) = key.key_exchange()?;
            let sequence = value.sequence()?;
            Record::Incoming { session, packet_id, message: read_message(&mut value, sequence)? }
        }
        Table::Retained => {
            let sequence = value.sequence()?;
            let message = read_message(&mut value, sequence)?;
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

pub(super) fn sequence(sequence: Sequence) -> Vec<u8> {
    [&sequence.source.to_be_bytes()[..], &sequence.counter.to_be_bytes()].concat()
}

pub(super) fn copy_key(of: Sequence, copy: u32) -> Vec<u8> {
    [&sequence(of)[..], &copy.to_be_bytes()].concat()
}

fn exchange_key(session: SessionNumber, packet_id: PacketId) -> Vec<u8> {
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
    Writer::new().u8(options.qos.level()).u8(flags).u8(retain_handling).number(identifier).0
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
    Ok((options, value.number()?))
}

fn session(record: &SessionRecord) -> Vec<u8> {
    let mut out = Writer::new()
        .bytes(record.client_id.as_bytes())
        .option(record.user_name.as_deref(), |out, name| out.bytes(name.as_bytes()))
        .number(record.expiry)
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
        number: key.key_session()?,
        client_id: value.text()?.into(),
        user_name: value.option(|value| Ok(value.text()?.into()))?,
        expiry: value.number()?,
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

/// Flags of a message, above its QoS.
const RETAIN: u8 = 4;
const EXPIRES: u8 = 8;
const HAS_PROPERTIES: u8 = 16;

/// All but its sequence.
fn encode_message(out: Writer, message: &Message) -> Writer {
    let properties = message.properties();
    let flags = message.qos().level()
        | u8::from(message.retain()) << 2
        | u8::from(message.expires().is_some()) << 3
        | u8::from(!properties.is_empty()) << 4;
    let mut out = out.u8(flags).number(message.publisher().0).bytes(message.topic().as_bytes());
    if !properties.is_empty() {
        out = out.bytes(properties);
    }
    if let Some(expires) = message.expires() {
        out = out.duration(expires);
    }
    out.bytes(message.payload())
}

/// The row of what is retained for a topic.
pub(super) fn retained_change(topic: &str, kept: Option<&RetainedMessage>) -> Change {
    Change { table: Table::Retained, key: topic.as_bytes().to_vec(), value: kept.map(retained) }
}

fn retained(retained: &RetainedMessage) -> Vec<u8> {
    let RetainedMessage { message, publisher } = retained;
    encode_message(Writer::new().sequence(message.sequence()), message)
        .bytes(publisher.client_id.as_bytes())
        .option(publisher.user_name.as_deref(), |out, name| out.bytes(name.as_bytes()))
        .0
}

fn read_message(value: &mut Reader<'_>, sequence: Sequence) -> Read<Message> {
    let flags = value.u8()?;
    if flags > (3 | RETAIN | EXPIRES | HAS_PROPERTIES) {
        return Err("unknown flags of a message");
    }
    let qos = QoS::from_level(flags & 3).ok_or("QoS 3")?;
    let publisher = SessionNumber(value.number()?);
    let topic = value.text()?;
    if topic.len() > usize::from(u16::MAX) {
        return Err("topic name of more than 65535 bytes");
    }
    let properties = if flags & HAS_PROPERTIES != 0 { value.bytes()? } else { &[] };
    let expires = if flags & EXPIRES != 0 { Some(value.duration()?) } else { None };
    let payload = value.bytes()?;
    let retain = flags & RETAIN != 0;
    let view = MessageView { topic: &topic, payload, properties, qos, retain, expires, publisher };
    Ok(view.to_message(sequence))
}

#[cfg(test)]
mod tests;

//! Rows as they are read back, a few at a time or one by its key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::encoding::{copy_key, sequence as sequence_key};
use super::{List, Recipient, Record, RecordError, Table};
use crate::message::{Message, Sequence};
use crate::session::Identifiers;

/// What was stored, as the store tells it.
pub trait Rows {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError>;

    /// Visits keys and values from `from` on, in byte order, until `visit` breaks.
    fn scan(&self, table: Table, from: &[u8], visit: &mut VisitRow<'_>) -> Result<(), RowsError>;
}

/// What a scan does with each key and value.
pub type VisitRow<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Why rows cannot be read, in the store's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct RowsError(pub String);

/// Why what waits for a session cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A row cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A row is not there.
    #[error(
        "the store has no {table:?} row for a message that waits (source {}, counter {}); it was damaged",
        sequence.source, sequence.counter
    )]
    Missing {
        /// Where it should be.
        table: Table,
        /// Of which message.
        sequence: Sequence,
    },
}

/// A delivery that waits on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Its message.
    pub sequence: Sequence,
    /// Which of that message's copies it is.
    pub copy: u32,
    /// Whether its Subscription Identifiers must be read too.
    pub has_identifiers: bool,
}

/// What was read of one.
#[derive(Clone, Debug)]
pub struct Found {
    pub(crate) message: Message,
    pub(crate) identifiers: Identifiers,
}

impl Found {
    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        self.message.bytes()
    }
}

impl Wanted {
    /// Reads the first of many, up to about `bytes_max`, and what kept the next from being read.
    pub fn read_some(wanted: &[Self], rows: &dyn Rows, bytes_max: usize) -> (Vec<Found>, Option<ReadError>) {
        let (mut found, mut bytes) = (Vec::with_capacity(wanted.len()), 0);
        for wanted in wanted {
            match wanted.read(rows) {
                Ok(next) => {
                    bytes += next.bytes();
                    found.push(next);
                }
                Err(error) => return (found, Some(error)),
            }
            if bytes >= bytes_max {
                break;
            }
        }
        (found, None)
    }

    /// Reads it.
    pub fn read(&self, rows: &dyn Rows) -> Result<Found, ReadError> {
        let &Self { sequence, copy, has_identifiers } = self;
        let message = read_message(rows, sequence)?;
        let mut identifiers = Identifiers::default();
        if has_identifiers {
            identifiers = read_recipient(rows, sequence, copy)?.identifiers;
        }
        Ok(Found { message, identifiers })
    }
}

/// One stored message.
pub(crate) fn read_message(rows: &dyn Rows, sequence: Sequence) -> Result<Message, ReadError> {
    let table = Table::Message;
    let key = sequence_key(sequence);
    let missing = ReadError::Missing { table, sequence };
    let value = rows.get(table, &key)?.ok_or(missing.clone())?;
    match Record::decode(table, &key, &value)? {
        Record::Message(message) => Ok(message),
        _ => Err(missing),
    }
}

/// Who gets one copy of a stored message.
fn read_recipient(rows: &dyn Rows, sequence: Sequence, copy: u32) -> Result<Recipient, ReadError> {
    let table = Table::Delivery;
    for key in [copy_key(sequence, copy), sequence_key(sequence)] {
        let Some(value) = rows.get(table, &key)? else { continue };
        let recipients = match Record::decode(table, &key, &value)? {
            Record::Recipient { recipient, .. } => vec![recipient],
            Record::List { recipients, .. } => recipients,
            _ => Vec::new(),
        };
        if let Some(recipient) = recipients.into_iter().find(|recipient| recipient.copy == copy) {
            return Ok(recipient);
        }
    }
    Err(ReadError::Missing { table, sequence })
}

/// How many rows are read before they are looked at.
const PAGE: usize = 1024;

/// Calls `each` for every row of a table, in the order of keys, until it gives an error.
pub(crate) fn for_each<E: From<ReadError>>(
    rows: &dyn Rows,
    table: Table,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut result = Ok(());
    let scanned = rows.scan(table, b"", &mut |key, value| {
        result = Record::decode(table, key, value)
            .map_err(|error| ReadError::from(error).into())
            .and_then(&mut each);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    scanned.map_err(ReadError::from)?;
    result
}

/// Whom a stored message is for, of one message.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) sequence: Sequence,
    /// How the copies of its list come to their sessions, if it has one.
    pub(crate) list: Option<List>,
    /// How long its payload is; known if it has a list, or was made for nobody but one.
    pub(crate) payload_bytes: Option<u32>,
    pub(crate) recipients: Vec<Recipient>,
}

impl Waiting {
    fn of(sequence: Sequence) -> Self {
        Self { sequence, list: None, payload_bytes: None, recipients: Vec::new() }
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::List { list, payload_bytes, recipients, .. } => {
                (self.list, self.payload_bytes) = (Some(list), Some(payload_bytes));
                self.recipients.extend(recipients);
            }
            Record::Recipient { recipient, alone, .. } => {
                self.payload_bytes = self.payload_bytes.or(alone);
                self.recipients.push(recipient);
            }
            _ => {}
        }
    }
}

/// The messages of one source that were read and not looked at.
struct Source {
    page: std::vec::IntoIter<Waiting>,
    /// Where to go on; `None` at the end of the source.
    next: Option<Vec<u8>>,
}

impl Source {
    /// Reads the next page from a key on, of the source of the first row that is there, or of `source` if that is given.
    fn read(rows: &dyn Rows, from: &[u8], source: Option<u32>) -> Result<Option<Self>, ReadError> {
        let mut page: Vec<Waiting> = Vec::new();
        let mut next = None;
        let mut error = None;
        rows.scan(Table::Delivery, from, &mut |key, value| {
            let record = match Record::decode(Table::Delivery, key, value) {
                Ok(record) => record,
                Err(found) => {
                    error = Some(found);
                    return ControlFlow::Break(());
                }
            };
            let (Record::List { sequence, .. } | Record::Recipient { sequence, .. }) = record else {
                return ControlFlow::Continue(());
            };
            let source = source.or(page.first().map(|first| first.sequence.source));
            if source.is_some_and(|source| source != sequence.source) {
                return ControlFlow::Break(());
            }
            if page.last().is_none_or(|last| last.sequence != sequence) {
                if page.len() >= PAGE {
                    next = Some(key.to_vec());
                    return ControlFlow::Break(());
                }
                page.push(Waiting::of(sequence));
            }
            if let Some(last) = page.last_mut() {
                last.add(record);
            }
            ControlFlow::Continue(())
        })?;
        match error {
            Some(error) => Err(error.into()),
            None if page.is_empty() => Ok(None),
            None => Ok(Some(Self { page: page.into_iter(), next })),
        }
    }
}

/// Calls `each` for all messages that wait, in their order: by counter, whichever their source. Of each source a page is in
/// memory.
pub(crate) fn for_each_waiting<E: From<ReadError>>(
    rows: &dyn Rows,
    mut each: impl FnMut(Waiting) -> Result<(), E>,
) -> Result<(), E> {
    let mut sources = Vec::new();
    // By counter, then source: what stands first in each.
    let mut heads = BinaryHeap::new();
    let mut from = vec![0; 4];
    while let Some(mut source) = Source::read(rows, &from, None)? {
        let Some(first) = source.page.next() else { break };
        let sequence = first.sequence;
        heads.push(Reverse((sequence.counter, sequence.source, sources.len())));
        sources.push((source, Some(first)));
        match sequence.source.checked_add(1) {
            Some(next) => from = next.to_be_bytes().to_vec(),
            None => break,
        }
    }
    while let Some(Reverse((_, number, at))) = heads.pop() {
        let (source, first) = &mut sources[at];
        let mut next = source.page.next();
        if next.is_none()
            && let Some(from) = source.next.take()
            && let Some(more) = Source::read(rows, &from, Some(number))?
        {
            *source = more;
            next = source.page.next();
        }
        heads.extend(next.as_ref().map(|Waiting { sequence, .. }| Reverse((sequence.counter, number, at))));
        if let Some(waiting) = std::mem::replace(first, next) {
            each(waiting)?;
        }
    }
    Ok(())
}

/// Rows in memory.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored(std::collections::BTreeMap<(Table, Vec<u8>), Vec<u8>>);

#[cfg(test)]
impl Stored {
    pub(crate) fn change(&mut self, super::Change { table, key, value }: super::Change) {
        match value {
            Some(value) => drop(self.0.insert((table, key), value)),
            None => drop(self.0.remove(&(table, key))),
        }
    }
}

#[cfg(test)]
impl Rows for Stored {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut VisitRow<'_>) -> Result<(), RowsError> {
        for ((of, key), value) in self.0.range((table, from.to_vec())..) {
            if *of != table || visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

//! A store in its plainest form: the rows of all durable batches.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use noctule_broker::SessionNumber;
use noctule_broker::record::{
    Change, Cursor, Exchange, Lane, Operation, Place, Record, Rows, RowsError, SessionRecord, Table, VisitRow,
};

/// Rows by table and key, and what was done to have them.
#[derive(Default)]
pub(crate) struct Disk(BTreeMap<(Table, Vec<u8>), Vec<u8>>, Written);

/// What was written, since somebody last looked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Written {
    pub(crate) puts: usize,
    pub(crate) deletes: usize,
    /// Of keys and values.
    pub(crate) bytes: usize,
}

/// What the rows say.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) sessions: Vec<SessionRecord>,
    pub(crate) subscriptions: Vec<String>,
    /// Of each message, how many recipients have not acknowledged.
    pub(crate) messages: Vec<usize>,
    /// QoS 2 messages that have their identifier.
    pub(crate) sent: usize,
    pub(crate) released: usize,
    pub(crate) incoming: usize,
    pub(crate) retained: BTreeMap<String, Vec<u8>>,
}

impl Disk {
    pub(crate) fn apply(&mut self, operation: &Operation) {
        operation.changes(|Change { table, key, value }| {
            let Written { puts, deletes, bytes } = &mut self.1;
            *(if value.is_some() { puts } else { deletes }) += 1;
            *bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            match value {
                Some(value) => self.0.insert((table, key), value),
                None => self.0.remove(&(table, key)),
            };
        });
    }

    pub(crate) fn take_written(&mut self) -> Written {
        std::mem::take(&mut self.1)
    }

    /// In the order in which a shard is restored.
    pub(crate) fn rows(&self) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let of = |wanted: Table| self.0.iter().filter(move |((table, _), _)| *table == wanted);
        let rows = Table::ALL.into_iter().flat_map(of);
        rows.map(|((table, key), value)| (*table, key.clone(), value.clone())).collect()
    }

    pub(crate) fn stored(&self) -> Stored {
        let mut stored = Stored::default();
        let mut open: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        let mut messages = Vec::new();
        let mut sessions = BTreeSet::new();
        let mut cursors: BTreeMap<SessionNumber, Cursor> = BTreeMap::new();
        for (table, key, value) in self.rows() {
            match Record::decode(table, &key, &value).expect("a row") {
                Record::Session(session) => {
                    sessions.insert(session.number);
                    stored.sessions.push(session);
                }
                Record::Subscription { filter, .. } => stored.subscriptions.push(filter.into()),
                Record::Message(message) => messages.push(message.sequence()),
                Record::List { sequence, list, recipients, .. } => {
                    let lane = Lane { source: sequence.source, list };
                    let waits = recipients.iter().filter(|recipient| {
                        let place = Place { counter: sequence.counter, copy: recipient.copy };
                        sessions.contains(&recipient.session)
                            && !cursors.get(&recipient.session).is_some_and(|cursor| cursor.has(lane, place))
                    });
                    open.entry(sequence).or_default().extend(waits.map(|recipient| recipient.copy));
                }
                Record::Recipient { sequence, recipient, .. } => {
                    assert!(open.entry(sequence).or_default().insert(recipient.copy));
                }
                Record::Cursor { session, cursor } => {
                    cursors.insert(session, cursor);
                }
                Record::Outgoing { exchange: Exchange::Sent { .. }, .. } => stored.sent += 1,
                Record::Outgoing { exchange: Exchange::Released, .. } => stored.released += 1,
                Record::Incoming { .. } => stored.incoming += 1,
                Record::Retained { message, .. } => {
                    assert!(!message.payload().is_empty());
                    stored.retained.insert(message.topic().into(), message.payload().into());
                }
            }
        }
        stored.messages =
            messages.iter().map(|sequence| open.get(sequence).map_or(0, BTreeSet::len)).collect();
        assert!(open.keys().all(|sequence| messages.contains(sequence)), "rows of a message that is gone");
        assert!(stored.messages.iter().all(|open| *open > 0), "a message nobody waits for");
        stored
    }
}

impl Rows for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut VisitRow<'_>) -> Result<(), RowsError> {
        for ((of, key), value) in self.0.range((table, from.to_vec())..) {
            if *of != table || visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Stored {
    /// Whether nothing is left but sessions, subscriptions and retained messages.
    pub(crate) fn is_settled(&self) -> bool {
        self.messages.is_empty() && self.sent + self.released + self.incoming == 0
    }
}

//! A store in its plainest form: the rows of all durable batches.

use std::collections::{BTreeMap, BTreeSet};

use noctule_broker::record::{Change, Operation, Record, SessionRecord, Table};

/// Rows by table and key.
#[derive(Default)]
pub(crate) struct Disk(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

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
            match value {
                Some(value) => self.0.insert((table, key), value),
                None => self.0.remove(&(table, key)),
            };
        });
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
        for (table, key, value) in self.rows() {
            match Record::decode(table, &key, &value).expect("a row") {
                Record::Session(session) => stored.sessions.push(session),
                Record::Subscription { filter, .. } => stored.subscriptions.push(filter.into()),
                Record::Message(message) => messages.push(message.sequence()),
                Record::Delivery { sequence, recipients } => {
                    open.entry(sequence).or_default().extend(recipients.iter().map(|r| r.copy));
                }
                Record::Recipient { sequence, recipient } => {
                    assert!(open.entry(sequence).or_default().insert(recipient.copy));
                }
                Record::State { sent: Some(_), .. } => stored.sent += 1,
                Record::State { sequence, copy, sent: None } => {
                    open.entry(sequence).or_default().remove(&copy);
                }
                Record::Released { .. } => stored.released += 1,
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

impl Stored {
    /// Whether nothing is left but sessions, subscriptions and retained messages.
    pub(crate) fn is_settled(&self) -> bool {
        self.messages.is_empty() && self.sent + self.released + self.incoming == 0
    }
}

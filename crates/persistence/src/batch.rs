//! A turn's changes on their way into the store.

use noctule_broker::Shared;
use noctule_broker::record::{Change, Operation, RetainedRow};
use noctule_storage::Batch;

use crate::keyspace;

/// The rows of `operations`, but for those of retained messages: what they hold is not known before the batch has its place.
pub fn batch(operations: &[Operation], shared: &Shared) -> (Batch, RetainedRows) {
    let mut batch = Batch::new();
    let mut retained = Vec::new();
    for operation in operations {
        match operation.retained_topic() {
            Some(topic) => retained.push(RetainedRow::read(shared, topic)),
            // A new message has a new sequence, and all its rows have keys that begin with it, and a copy that goes elsewhere
            // has a new number: deleted before it was written, it never comes to the disk.
            None if matches!(operation, Operation::PutMessage { .. } | Operation::AddRecipient { .. }) => {
                operation.changes(|Change { table, key, value }| match value {
                    Some(value) => batch.put_new(keyspace(table), key, value),
                    None => batch.delete(keyspace(table), key),
                });
            }
            None => operation.changes(|change| add(&mut batch, change)),
        }
    }
    (batch, RetainedRows(retained))
}

/// What a batch tells about retained messages; see [`RetainedRow`].
#[derive(Debug, Default)]
pub struct RetainedRows(Vec<RetainedRow>);

impl RetainedRows {
    /// Adds what is retained now, to be called under the lock that gives the batch its place.
    pub fn complete(self, batch: &mut Batch, shared: &Shared) {
        self.0.into_iter().for_each(|row| add(batch, row.latest(shared)));
    }
}

fn add(batch: &mut Batch, Change { table, key, value }: Change) {
    match value {
        Some(value) => batch.put(keyspace(table), key, value),
        None => batch.delete(keyspace(table), key),
    }
}

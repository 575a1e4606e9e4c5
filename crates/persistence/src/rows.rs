//! Which table is kept where, and what is kept.

use std::sync::Arc;

use noctule_broker::record::{Rows, RowsError, Table, VisitRow};
use noctule_storage::{Keyspace, Reader, StoreError};

/// Where the rows of a table are.
pub const fn keyspace(table: Table) -> Keyspace {
    match table {
        Table::Session => Keyspace::Session,
        Table::Subscription => Keyspace::Subscription,
        Table::Message => Keyspace::Message,
        Table::Delivery => Keyspace::Delivery,
        Table::Cursor => Keyspace::Cursor,
        Table::Outgoing => Keyspace::Outgoing,
        Table::Incoming => Keyspace::Incoming,
        Table::Retained => Keyspace::Retained,
    }
}

/// What a store holds, as the core reads it: [`Shard::restore`](noctule_broker::Shard::restore), and what waits on disk.
pub struct StoredRows(Arc<dyn Reader>);

impl StoredRows {
    /// What this reader sees.
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self(reader)
    }
}

impl Rows for StoredRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.0.get(keyspace(table), key).map_err(error)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut VisitRow<'_>) -> Result<(), RowsError> {
        self.0.scan(keyspace(table), from, visit).map_err(error)
    }
}

fn error(error: StoreError) -> RowsError {
    RowsError(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use noctule_storage::{Batch, MemoryStore, Store};

    use super::*;

    #[test]
    fn rows_are_read_by_table_and_key() {
        let mut batch = Batch::new();
        for (number, table) in Table::ALL.into_iter().enumerate().rev() {
            batch.put(keyspace(table), "b", number.to_string());
            batch.put(keyspace(table), "a", "1");
        }
        let mut store = MemoryStore::new();
        store.commit(&[batch], true).expect("memory");
        let rows = StoredRows::new(store.reader());
        for (number, table) in Table::ALL.into_iter().enumerate() {
            let number = number.to_string().into_bytes();
            assert_eq!(rows.get(table, b"b"), Ok(Some(number.clone())));
            assert_eq!(rows.get(table, b"c"), Ok(None));
            let mut seen = Vec::new();
            let scanned = rows.scan(table, b"aa", &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            });
            assert_eq!((scanned, seen), (Ok(()), vec![(b"b".to_vec(), number)]));
        }
    }
}

//! Which table is kept where, and what is kept.

use std::ops::ControlFlow;

use noctule_broker::record::Table;
use noctule_storage::{Keyspace, Store, StoreError};

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

/// A row: where it is, its key and its value.
pub type Row = (Table, Vec<u8>, Vec<u8>);

/// All rows in the order in which [`Shard::restore`](noctule_broker::Shard::restore) takes them.
pub fn rows(store: &dyn Store) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        store.scan(keyspace(table), b"", &mut |key, value| {
            rows.push((table, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use noctule_storage::{Batch, MemoryStore};

    use super::*;

    #[test]
    fn rows_come_by_table_and_key() {
        let mut batch = Batch::new();
        for table in Table::ALL.into_iter().rev() {
            batch.put(keyspace(table), "b", "2");
            batch.put(keyspace(table), "a", "1");
        }
        batch.put(Keyspace::Meta, "format", "not a row");
        let mut store = MemoryStore::new();
        store.commit(&[batch], true).expect("memory");
        let expected = Table::ALL
            .into_iter()
            .flat_map(|table| [("a", "1"), ("b", "2")].map(|(key, value)| (table, key.into(), value.into())));
        assert_eq!(rows(&store).expect("memory"), expected.collect::<Vec<_>>());
    }
}

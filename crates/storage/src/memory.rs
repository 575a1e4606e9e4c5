//! A store that lives as long as its process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Batch, BatchOp, Keyspace, Reader, Store, StoreError, Visit};

/// Keeps everything in memory. In a simulation it is the disk that outlives a crashed broker.
///
/// A clone is a copy that goes its own way; a [`Reader`] is not.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Rows,
}

/// What a store and its readers share.
#[derive(Clone, Debug, Default)]
struct Rows(Arc<RwLock<Keyspaces>>);

type Keyspaces = [BTreeMap<Vec<u8>, Vec<u8>>; Keyspace::ALL.len()];

impl MemoryStore {
    /// Nothing stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys a keyspace has.
    pub fn len(&self, keyspace: Keyspace) -> usize {
        self.rows.read()[keyspace as usize].len()
    }

    /// Whether nothing at all is stored.
    pub fn is_empty(&self) -> bool {
        self.rows.read().iter().all(BTreeMap::is_empty)
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        let mut rows = self.rows.write();
        for op in batch.ops() {
            match op {
                BatchOp::Put { keyspace, key, value } => {
                    rows[keyspace as usize].insert(key.to_vec(), value.to_vec());
                }
                BatchOp::Delete { keyspace, key } => {
                    rows[keyspace as usize].remove(key);
                }
            }
        }
    }
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self { rows: self.rows.copy() }
    }
}

impl PartialEq for MemoryStore {
    fn eq(&self, other: &Self) -> bool {
        // One after the other: both may share one lock.
        let rows = self.rows.read().clone();
        rows == *other.rows.read()
    }
}

impl Eq for MemoryStore {}

impl Store for MemoryStore {
    fn commit(&mut self, batches: &[Batch], _sync: bool) -> Result<(), StoreError> {
        batches.iter().for_each(|batch| self.apply(batch));
        Ok(())
    }

    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.get(keyspace, key)
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.rows.scan(keyspace, from, visit)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.rows.clone())
    }
}

impl Rows {
    fn read(&self) -> RwLockReadGuard<'_, Keyspaces> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keyspaces> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn copy(&self) -> Self {
        Self(Arc::new(RwLock::new(self.read().clone())))
    }
}

impl Reader for Rows {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read()[keyspace as usize].get(key).cloned())
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let rows = self.read();
        for (key, value) in
            rows[keyspace as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
        {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(self.copy())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn filled() -> MemoryStore {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        for key in ["c", "a", "b"] {
            batch.put(Keyspace::Message, key, key.to_uppercase());
        }
        batch.put(Keyspace::Delivery, "b", "another keyspace");
        store.commit(&[batch], false).unwrap();
        store
    }

    fn scan(store: &MemoryStore, from: &str, max: usize) -> Vec<String> {
        let mut seen = Vec::new();
        store
            .scan(Keyspace::Message, from.as_bytes(), &mut |key, value| {
                seen.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
                if seen.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .unwrap();
        seen
    }

    #[test]
    fn keyspaces_are_apart_and_scanned_in_order() {
        let store = filled();
        assert_eq!(scan(&store, "", 9), ["a=A", "b=B", "c=C"]);
        assert_eq!(scan(&store, "aa", 9), ["b=B", "c=C"]);
        assert_eq!(scan(&store, "", 2), ["a=A", "b=B"]);
        assert_eq!(store.get(Keyspace::Delivery, b"b").unwrap().as_deref(), Some(&b"another keyspace"[..]));
        assert_eq!(store.get(Keyspace::Delivery, b"a").unwrap(), None);
        assert_eq!((store.len(Keyspace::Message), store.len(Keyspace::Delivery)), (3, 1));
    }

    #[test]
    fn a_reader_follows_and_a_snapshot_does_not() {
        let mut store = filled();
        let (reader, snapshot, copy) = (store.reader(), store.reader().snapshot(), store.clone());
        assert_eq!(store, copy);
        let mut batch = Batch::new();
        batch.put(Keyspace::Message, "a", "later");
        store.commit(&[batch], false).unwrap();
        let value = |reader: &dyn Reader| reader.get(Keyspace::Message, b"a").unwrap().unwrap();
        assert_eq!(value(&*reader), b"later");
        assert_eq!(value(&*snapshot), b"A");
        assert_eq!(copy.get(Keyspace::Message, b"a").unwrap().as_deref(), Some(&b"A"[..]));
        assert_ne!(store, copy);
    }

    #[test]
    fn within_a_batch_the_later_change_wins() {
        let mut store = filled();
        let mut batch = Batch::new();
        batch.delete(Keyspace::Message, "a");
        batch.put(Keyspace::Message, "a", "again");
        batch.put(Keyspace::Message, "b", "gone");
        batch.delete(Keyspace::Message, "b");
        batch.delete(Keyspace::Message, "was never there");
        store.commit(&[batch], true).unwrap();
        assert_eq!(scan(&store, "", 9), ["a=again", "c=C"]);
        assert!(!store.is_empty());
    }
}

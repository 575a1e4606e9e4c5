//! A store that lives as long as its process.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Batch, BatchOp, Keyspace, Store, StoreError, Visit};

/// Keeps everything in memory. In a simulation it is the disk that outlives a crashed broker.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemoryStore {
    keyspaces: [BTreeMap<Vec<u8>, Vec<u8>>; Keyspace::ALL.len()],
}

impl MemoryStore {
    /// Nothing stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys a keyspace has.
    pub fn len(&self, keyspace: Keyspace) -> usize {
        self.keyspaces[keyspace as usize].len()
    }

    /// Whether nothing at all is stored.
    pub fn is_empty(&self) -> bool {
        self.keyspaces.iter().all(BTreeMap::is_empty)
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match op {
                BatchOp::Put { keyspace, key, value } => {
                    self.keyspaces[*keyspace as usize].insert(key.clone(), value.clone());
                }
                BatchOp::Delete { keyspace, key } => {
                    self.keyspaces[*keyspace as usize].remove(key);
                }
            }
        }
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batches: &[Batch], _sync: bool) -> Result<(), StoreError> {
        batches.iter().for_each(|batch| self.apply(batch));
        Ok(())
    }

    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.keyspaces[keyspace as usize].get(key).cloned())
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in
            self.keyspaces[keyspace as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
        {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
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

//! The store of `persistence false`.

use std::sync::Arc;

use crate::{Batch, Keyspace, Reader, Store, StoreError, Visit};

/// Accepts everything and keeps nothing: what `persistence false` promises. The pipeline that goes with it is
/// [`Pipeline::immediate`](crate::Pipeline::immediate), which needs no thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolatileStore;

impl Store for VolatileStore {
    fn commit(&mut self, _batches: &[Batch], _sync: bool) -> Result<(), StoreError> {
        Ok(())
    }

    fn get(&self, _keyspace: Keyspace, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(&self, _keyspace: Keyspace, _from: &[u8], _visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(Nothing)
    }
}

/// What there is to read.
struct Nothing;

impl Reader for Nothing {
    fn get(&self, _keyspace: Keyspace, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(&self, _keyspace: Keyspace, _from: &[u8], _visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_forgotten() {
        let mut store = VolatileStore;
        let mut batch = Batch::new();
        batch.put(Keyspace::Meta, "key", "value");
        store.commit(&[batch], true).unwrap();
        assert_eq!(store.get(Keyspace::Meta, b"key").unwrap(), None);
        store.scan(Keyspace::Meta, b"", &mut |key, _| panic!("{key:?} was kept")).unwrap();
        assert_eq!(store.reader().snapshot().get(Keyspace::Meta, b"key").unwrap(), None);
    }
}

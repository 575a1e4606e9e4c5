//! The store on disk.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::store::KEY_BYTES_MAX;
use crate::{Batch, BatchOp, Keyspace, Reader, Store, StoreError, Visit};

/// Bound of what a start must read again: all journals together. Each has 64 MB.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// A keyspace that has gathered so much is written out as a table of its own.
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;
/// Blocks of tables kept in memory.
const CACHE_BYTES: u64 = 8 << 20;

/// Ten keyspaces with one journal, by fjall. What one commit brings is one entry of the journal, whole or not
/// there.
///
/// One thread commits; [readers](Store::reader) share the files. The first error is the last thing it does:
/// it never writes or syncs again, since a sync that is repeated may succeed without having written anything.
pub struct FjallStore {
    tables: Tables,
    failed: bool,
}

/// What the store and its readers share.
#[derive(Clone)]
struct Tables {
    database: Database,
    keyspaces: Arc<[fjall::Keyspace]>,
}

impl FjallStore {
    /// Opens the store in a directory, or makes one where there is none. Only one process may have it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(path)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .open()
            .map_err(|error| failure("open", error))?;
        let keyspaces = Keyspace::ALL
            .iter()
            .map(|keyspace| database.keyspace(keyspace.name(), options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failure("open", error))?;
        Ok(Self { tables: Tables { database, keyspaces: keyspaces.into() }, failed: false })
    }

    fn write(&self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        let changes = batches.iter().map(Batch::len).sum();
        let database = &self.tables.database;
        if changes == 0 {
            return if sync {
                database.persist(PersistMode::SyncData).map_err(|error| failure("sync", error))
            } else {
                Ok(())
            };
        }
        // A key that fjall would panic at must not be in it.
        for op in batches.iter().flat_map(Batch::ops) {
            let (BatchOp::Put { key, .. } | BatchOp::Delete { key, .. }) = op;
            if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
                return Err(StoreError::Key { length: key.len() });
            }
        }
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut all = fjall::OwnedWriteBatch::with_capacity(database.clone(), changes).durability(Some(mode));
        for op in batches.iter().flat_map(Batch::ops) {
            match op {
                BatchOp::Put { keyspace, key, value } => {
                    all.insert(self.tables.of(keyspace), key, value);
                }
                BatchOp::Delete { keyspace, key } => all.remove(self.tables.of(keyspace), key),
            }
        }
        all.commit().map_err(|error| failure("write to", error))
    }
}

impl Store for FjallStore {
    fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::FailedBefore);
        }
        self.write(batches, sync).inspect_err(|_| self.failed = true)
    }

    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tables.get(keyspace, key)
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.tables.scan(keyspace, from, visit)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(self.tables.clone())
    }
}

impl Tables {
    fn of(&self, keyspace: Keyspace) -> &fjall::Keyspace {
        &self.keyspaces[keyspace as usize]
    }

    fn now(&self) -> Moment {
        Moment { snapshot: self.database.snapshot(), tables: self.clone() }
    }
}

impl Reader for Tables {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.of(keyspace).get(key).map_err(|error| failure("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.now().scan(keyspace, from, visit)
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(self.now())
    }
}

/// The store at one moment.
#[derive(Clone)]
struct Moment {
    snapshot: Snapshot,
    tables: Tables,
}

impl Reader for Moment {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value =
            self.snapshot.get(self.tables.of(keyspace), key).map_err(|error| failure("read", error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(from), Bound::Unbounded);
        for row in self.snapshot.range::<&[u8], _>(self.tables.of(keyspace), range) {
            let (key, value) = row.into_inner().map_err(|error| failure("read", error))?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        Arc::new(self.clone())
    }
}

/// How each keyspace is kept. Kept with it when it is made; later starts go by what was kept.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES_MAX)
        .data_block_compression_policy(CompressionPolicy::disabled())
}

fn failure(action: &'static str, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(source) => StoreError::Io { action, source },
        fjall::Error::Storage(fjall::LsmError::Io(source)) => StoreError::Io { action, source },
        fjall::Error::Locked => {
            StoreError::Io { action, source: io::Error::other("another process has it open") }
        }
        // What writes tables in the background met an error, and said so in the log.
        fjall::Error::Poisoned => {
            StoreError::Io { action, source: io::Error::other("writing tables in the background failed") }
        }
        other => StoreError::Damaged { what: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn batch(entries: &[(Keyspace, &str, &str)]) -> Batch {
        let mut batch = Batch::new();
        for &(keyspace, key, value) in entries {
            batch.put(keyspace, key, value);
        }
        batch
    }

    fn rows(reader: &dyn Reader, keyspace: Keyspace, from: &str) -> Vec<String> {
        let mut rows = Vec::new();
        reader
            .scan(keyspace, from.as_bytes(), &mut |key, value| {
                rows.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open(directory.path()).unwrap();
        let mut second = batch(&[(Keyspace::Message, "c", "C")]);
        second.delete(Keyspace::Message, "a");
        second.delete(Keyspace::Message, "was never there");
        let first =
            batch(&[(Keyspace::Message, "a", "A"), (Keyspace::Message, "b", "B"), (Keyspace::Meta, "a", "")]);
        store.commit(&[first, second], true).unwrap();
        store.commit(&[batch(&[(Keyspace::Retained, "t", "not synced")])], false).unwrap();
        drop(store);
        let store = FjallStore::open(directory.path()).unwrap();
        assert_eq!(rows(&*store.reader(), Keyspace::Message, ""), ["b=B", "c=C"]);
        assert_eq!(rows(&*store.reader(), Keyspace::Message, "bb"), ["c=C"]);
        assert_eq!(rows(&*store.reader(), Keyspace::Meta, ""), ["a="]);
        assert_eq!(store.get(Keyspace::Retained, b"t").unwrap().as_deref(), Some(&b"not synced"[..]));
        assert_eq!(store.get(Keyspace::Delivery, b"a").unwrap(), None, "keyspaces are apart");
    }

    #[test]
    fn within_a_commit_the_later_change_wins() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open(directory.path()).unwrap();
        let mut first = batch(&[(Keyspace::State, "a", "1"), (Keyspace::State, "b", "1")]);
        first.delete(Keyspace::State, "a");
        first.put(Keyspace::State, "a", "2");
        let mut second = batch(&[(Keyspace::State, "a", "3"), (Keyspace::State, "c", "1")]);
        second.delete(Keyspace::State, "b");
        second.delete(Keyspace::State, "c");
        for _ in 0..2 {
            store.commit(&[first.clone(), second.clone()], false).unwrap();
            assert_eq!(rows(&*store.reader(), Keyspace::State, ""), ["a=3"]);
        }
        drop(store);
        let store = FjallStore::open(directory.path()).unwrap();
        assert_eq!(rows(&*store.reader(), Keyspace::State, ""), ["a=3"], "and when it is read again");
    }

    #[test]
    fn a_reader_follows_and_a_snapshot_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open(directory.path()).unwrap();
        store.commit(&[batch(&[(Keyspace::Session, "1", "old")])], false).unwrap();
        let (reader, snapshot) = (store.reader(), store.reader().snapshot());
        store
            .commit(&[batch(&[(Keyspace::Session, "1", "new"), (Keyspace::Session, "2", "new")])], false)
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(rows(&*reader, Keyspace::Session, ""), ["1=new", "2=new"]));
            scope.spawn(|| assert_eq!(rows(&*snapshot, Keyspace::Session, ""), ["1=old"]));
        });
        assert_eq!(snapshot.get(Keyspace::Session, b"2").unwrap(), None);
    }

    #[test]
    fn a_sync_may_bring_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = FjallStore::open(directory.path()).unwrap();
        store.commit(&[], true).unwrap();
        store.commit(&[Batch::new()], true).unwrap();
        store.commit(&[Batch::new()], false).unwrap();
    }

    #[test]
    fn an_impossible_key_is_an_error_and_the_last_one() {
        let directory = tempfile::tempdir().unwrap();
        let longest = "k".repeat(KEY_BYTES_MAX);
        let mut store = FjallStore::open(directory.path()).unwrap();
        store.commit(&[batch(&[(Keyspace::Retained, &longest, "1")])], true).unwrap();
        for key in ["", &format!("{longest}k")] {
            let mut store = FjallStore { tables: store.tables.clone(), failed: false };
            let error = store.commit(&[batch(&[(Keyspace::Retained, key, "1")])], true).unwrap_err();
            assert!(matches!(error, StoreError::Key { length } if length == key.len()), "{error}");
            assert!(matches!(store.commit(&[], true), Err(StoreError::FailedBefore)));
        }
        assert!(store.get(Keyspace::Retained, longest.as_bytes()).unwrap().is_some());
    }
}

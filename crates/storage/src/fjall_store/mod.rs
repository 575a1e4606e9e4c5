//! The store on disk.

mod journal;
mod layout;
mod mark;
mod opening;
mod salvage;
mod tables;

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use self::mark::{Known, MARK_KEY, Mark, MarkFile};
pub use self::opening::{Cut, Opening};
pub(crate) use self::salvage::salvage;
pub use self::salvage::{Keep, Salvaged};
use crate::store::KEY_BYTES_MAX;
use crate::{Batch, BatchOp, Health, Keyspace, Reader, Store, StoreError, Visit};

/// From where on sealed journals are made superfluous. Each has 64 MB, so a start reads about two of them again.
const JOURNALS_BYTES_MAX: u64 = 64 << 20;
/// A keyspace that has gathered so much is written out as a table of its own.
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;
/// Blocks of tables kept in memory.
const CACHE_BYTES: u64 = 8 << 20;

/// The keyspace of the store's own [`Mark`].
const MARK_KEYSPACE: &str = "mark";

/// Ten keyspaces with one journal, by fjall. What one commit brings is one entry of the journal, whole or not
/// there.
///
/// One thread commits; [readers](Store::reader) share the files. The first error is the last thing it does:
/// it never writes or syncs again, since a sync that is repeated may succeed without having written anything.
pub struct FjallStore {
    tables: Tables,
    marks: fjall::Keyspace,
    mark_file: MarkFile,
    last: Mark,
    opening: Opening,
    failed: bool,
}

/// What the store and its readers share.
#[derive(Clone)]
struct Tables {
    path: Arc<Path>,
    database: Database,
    keyspaces: Arc<[fjall::Keyspace]>,
}

/// A file that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// Which one.
    pub file: PathBuf,
    /// What was found.
    pub what: String,
}

impl Damage {
    fn new(file: &Path, what: &str) -> Self {
        Self { file: file.to_owned(), what: what.to_owned() }
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Damaged { file: damage.file, what: damage.what }
    }
}

impl FjallStore {
    /// Opens the store in a directory, or makes one where there is none. Only one process may have it open.
    ///
    /// What a crash left of a commit that was never whole is cut off, kept in a file beside, and told by
    /// [`opening`](Self::opening). Anything else that is not as it was written is an error that names the file,
    /// and nothing is changed.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opening = Opening::prepare(path)?;
        let failed = |error| failure("open", path, error);
        let database = Database::builder(path)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            // What lies in a journal is what was committed, so that it can be checked without fjall.
            .journal_compression(CompressionType::None)
            .cache_size(CACHE_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let marks = database.keyspace(MARK_KEYSPACE, options).map_err(failed)?;
        let keyspaces = Keyspace::ALL
            .iter()
            .map(|keyspace| database.keyspace(keyspace.name(), options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let last = match marks.get(MARK_KEY).map_err(failed)? {
            None => 0,
            Some(mark) => {
                Mark::decode(&mark)
                    .ok_or_else(|| Damage::new(path, "the number of its last commit is not one"))?
                    .number
            }
        };
        if last < opening.synced {
            drop((keyspaces, marks, database));
            return Err(opening.lost(path, last));
        }
        // fjall has synced what it found.
        let last = Mark { number: last, synced: last };
        let begin = || {
            let mark_file = MarkFile::open(path)?;
            mark_file.write(Known { synced: last.synced, is_clean: false })?;
            mark_file.sync()?;
            std::fs::File::open(path)?.sync_all()?;
            Ok(mark_file)
        };
        let mark_file = begin().map_err(|source| StoreError::Io { action: "write to", source })?;
        let tables = Tables { path: path.into(), database, keyspaces: keyspaces.into() };
        Ok(Self { tables, marks, mark_file, last, opening, failed: false })
    }

    /// Every file of the store in a directory that is not as it was written. Nothing is changed.
    pub fn damages(path: &Path) -> io::Result<Vec<Damage>> {
        opening::damages(path)
    }

    /// How it was found.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Tells from any thread whether it can still be written to: what writes tables may have failed, and a commit that
    /// waits for it never returns.
    pub fn health(&self) -> Health {
        let tables = self.tables.clone();
        Box::new(move || {
            let persisted = tables.database.persist(PersistMode::Buffer);
            persisted.map_err(|error| failure("write to", &tables.path, error))
        })
    }

    fn write(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        let changes = batches.iter().map(Batch::len).sum::<usize>();
        let database = &self.tables.database;
        let failed = |error| failure(if sync { "sync" } else { "write to" }, &self.tables.path, error);
        if changes > 0 {
            let mark = Mark { number: self.last.number + 1, synced: self.last.synced };
            let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
            let mut all =
                fjall::OwnedWriteBatch::with_capacity(database.clone(), changes + 1).durability(Some(mode));
            self.fill(&mut all, batches)?;
            all.insert(&self.marks, MARK_KEY, mark.encode().as_slice());
            all.commit().map_err(failed)?;
            self.last.number = mark.number;
        } else if sync {
            database.persist(PersistMode::SyncData).map_err(failed)?;
        }
        if sync && self.last.synced < self.last.number {
            self.last.synced = self.last.number;
            self.tell(false)?;
        }
        Ok(())
    }

    fn fill(&self, all: &mut fjall::OwnedWriteBatch, batches: &[Batch]) -> Result<(), StoreError> {
        for op in batches.iter().flat_map(Batch::ops) {
            let (BatchOp::Put { key, .. } | BatchOp::Delete { key, .. }) = op;
            // fjall would panic.
            if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
                return Err(StoreError::Key { length: key.len() });
            }
            match op {
                BatchOp::Put { keyspace, key, value } => {
                    all.insert(self.tables.of(keyspace), key, value);
                }
                BatchOp::Delete { keyspace, key } => all.remove(self.tables.of(keyspace), key),
            }
        }
        Ok(())
    }

    fn tell(&self, is_clean: bool) -> Result<(), StoreError> {
        self.mark_file
            .write(Known { synced: self.last.synced, is_clean })
            .and_then(|()| if is_clean { self.mark_file.sync() } else { Ok(()) })
            .map_err(|source| StoreError::Io { action: "write to", source })
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

    fn close(&mut self) -> Result<(), StoreError> {
        self.commit(&[], true)?;
        // Nothing may follow a mark that says so.
        self.failed = true;
        self.tell(true)
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
        let value = self.of(keyspace).get(key).map_err(|error| failure("read", &self.path, error))?;
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
        let value = self
            .snapshot
            .get(self.tables.of(keyspace), key)
            .map_err(|error| failure("read", &self.tables.path, error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let range = (Bound::Included(from), Bound::Unbounded);
        for row in self.snapshot.range::<&[u8], _>(self.tables.of(keyspace), range) {
            let (key, value) = row.into_inner().map_err(|error| failure("read", &self.tables.path, error))?;
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

fn failure(action: &'static str, store: &Path, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
            StoreError::Io { action, source }
        }
        fjall::Error::Locked => {
            StoreError::Io { action, source: io::Error::other("another process has it open") }
        }
        // What writes tables in the background met an error, and said so in the log.
        fjall::Error::Poisoned => {
            StoreError::Io { action, source: io::Error::other("writing tables in the background failed") }
        }
        other => damage(store, &other).into(),
    }
}

/// Which file it is: fjall does not tell.
fn damage(store: &Path, error: &fjall::Error) -> Damage {
    let found = tables::verify(store, true).ok().and_then(|damages| damages.into_iter().next());
    found.unwrap_or_else(|| Damage::new(store, &error.to_string()))
}

#[cfg(test)]
mod tests;

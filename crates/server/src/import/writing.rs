//! An import on its way into the store.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use noctule_broker::record::Operation;
use noctule_mosquitto_db::{Contents, ReadError};
use noctule_persistence::keyspace;
use noctule_storage::{Batch, Keyspace, Store, StoreError};

use super::{Conversion, Summary};

/// The row that remembers, in the keyspace of facts.
const ROW: &[u8] = b"import";
/// An import began that did not end.
const BEGUN: &str = "begun";
/// How many bytes of changes are written at a time.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or is damaged.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The row that tells what was imported is not one.
    #[error("the store does not tell any more what was imported into it: a row is damaged")]
    Row,
    /// There is something in the store.
    #[error("the store is not empty: what is imported would mix with what is there")]
    NotEmpty,
    /// A file was imported before.
    #[error("{} was imported before; a store takes one import in its life", path.display())]
    Again {
        /// Which file it was.
        path: PathBuf,
    },
}

/// What a file was like when it was imported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Where it was.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since the Unix epoch.
    pub modified: u128,
}

impl Source {
    /// What the file is like now.
    fn look(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // A name that is good wherever the broker is started next.
        let path = fs::canonicalize(path)?;
        Ok(Self { path, bytes: metadata.len(), modified })
    }

    fn to_row(&self) -> String {
        format!("done\n{}\n{}\n{}", self.bytes, self.modified, self.path.display())
    }

    fn from_row(row: &str) -> Option<Self> {
        let mut lines = row.splitn(4, '\n').skip(1);
        let bytes = lines.next()?.parse().ok()?;
        let modified = lines.next()?.parse().ok()?;
        Some(Self { path: lines.next()?.into(), bytes, modified })
    }
}

/// What the store knows of imports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Known {
    /// Nothing was ever imported.
    Nothing,
    /// An import was cut off; what it left must go.
    Unfinished,
    /// This file was.
    Done(Source),
}

impl Known {
    /// What stands in the store.
    pub fn of(store: &dyn Store) -> Result<Self, ImportError> {
        let Some(row) = store.get(Keyspace::Meta, ROW)? else { return Ok(Self::Nothing) };
        let row = String::from_utf8_lossy(&row);
        if row == BEGUN {
            return Ok(Self::Unfinished);
        }
        Source::from_row(&row).map(Self::Done).ok_or(ImportError::Row)
    }
}

/// What a broker's start did about the files of Mosquitto.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Import {
    /// There is nothing to do.
    Nothing,
    /// This file was imported now.
    Done {
        /// Which.
        path: PathBuf,
        /// What was taken, and what was not.
        summary: Summary,
    },
    /// This file was changed after it was imported: Mosquitto has run on it since. It is not imported again.
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// There is a file that was never imported, and the store has other things in it.
    Late {
        /// Which.
        path: PathBuf,
    },
}

impl Import {
    /// What a start does: imports the first of `candidates` that there is, if the store is empty and took no import before.
    /// `wall` is the time since the Unix epoch; `scratch` is a directory for copies.
    pub fn at_start(
        store: &mut dyn Store,
        candidates: &[PathBuf],
        scratch: &Path,
        wall: Duration,
    ) -> Result<Self, ImportError> {
        match Known::of(store)? {
            Known::Done(source) => {
                let changed = Source::look(&source.path).is_ok_and(|now| now != source);
                return Ok(if changed { Self::Changed { path: source.path } } else { Self::Nothing });
            }
            Known::Unfinished => clear(store)?,
            Known::Nothing => {}
        }
        let Some(path) = candidates.iter().find(|path| path.exists()) else { return Ok(Self::Nothing) };
        if !is_empty(store)? {
            return Ok(Self::Late { path: path.clone() });
        }
        let summary = write(store, path, scratch, wall)?;
        Ok(Self::Done { path: path.clone(), summary })
    }

    /// Imports a file because somebody asked for it.
    pub fn asked_for(
        store: &mut dyn Store,
        path: &Path,
        scratch: &Path,
        wall: Duration,
    ) -> Result<Summary, ImportError> {
        match Known::of(store)? {
            Known::Done(source) => return Err(ImportError::Again { path: source.path }),
            Known::Unfinished => clear(store)?,
            Known::Nothing if is_empty(store)? => {}
            Known::Nothing => return Err(ImportError::NotEmpty),
        }
        write(store, path, scratch, wall)
    }
}

fn write(store: &mut dyn Store, path: &Path, scratch: &Path, wall: Duration) -> Result<Summary, ImportError> {
    let source = Source::look(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    // All of it is read before anything is written: a damaged file leaves no trace.
    let contents = noctule_mosquitto_db::read(path, scratch)?;
    fill(store, &contents, &source, wall)
}

/// Fills an empty store.
pub(super) fn fill(
    store: &mut dyn Store,
    contents: &Contents,
    source: &Source,
    wall: Duration,
) -> Result<Summary, ImportError> {
    let mut batch = Batch::new();
    batch.put(Keyspace::Meta, ROW, BEGUN);
    store.commit(&[batch], true)?;
    let mut batch = Batch::new();
    let summary = Conversion::new(contents, wall).run(|operation| {
        add(&mut batch, operation);
        if batch.bytes() < BATCH_BYTES_MAX {
            return Ok(());
        }
        store.commit(&[std::mem::take(&mut batch)], false)
    })?;
    batch.put(Keyspace::Meta, ROW, source.to_row());
    store.commit(&[batch], true)?;
    Ok(summary)
}

fn add(batch: &mut Batch, operation: &Operation) {
    operation.changes(|change| match change.value {
        Some(value) => batch.put(keyspace(change.table), change.key, value),
        None => batch.delete(keyspace(change.table), change.key),
    });
}

/// Whether no row of a broker is there.
fn is_empty(store: &dyn Store) -> Result<bool, StoreError> {
    let mut is_empty = true;
    for keyspace in Keyspace::ALL.into_iter().filter(|keyspace| *keyspace != Keyspace::Meta) {
        store.scan(keyspace, b"", &mut |_, _| {
            is_empty = false;
            ControlFlow::Break(())
        })?;
    }
    Ok(is_empty)
}

/// Deletes every row of a broker, and that an import began.
fn clear(store: &mut dyn Store) -> Result<(), StoreError> {
    for keyspace in Keyspace::ALL.into_iter().filter(|keyspace| *keyspace != Keyspace::Meta) {
        loop {
            let mut batch = Batch::new();
            store.scan(keyspace, b"", &mut |key, _| {
                batch.delete(keyspace, key);
                if batch.bytes() < BATCH_BYTES_MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            if batch.is_empty() {
                break;
            }
            store.commit(&[batch], false)?;
        }
    }
    let mut batch = Batch::new();
    batch.delete(Keyspace::Meta, ROW);
    store.commit(&[batch], true)
}

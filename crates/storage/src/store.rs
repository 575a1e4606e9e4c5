//! What lies below the pipeline.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Batch, Keyspace};

/// Ordered keys and values that survive, as far as the implementation promises.
pub trait Store: Send {
    /// Stores batches in order, as one unit: after a crash all of a commit is there or nothing of it, none is there
    /// without those before it, and all up to the last `sync` are there. Without `sync` the operating system has the
    /// batches when this returns, so that they outlive the process, but perhaps not a loss of power. With `sync` and no
    /// batches, only that is made sure.
    ///
    /// An error leaves open which of the batches since the last sync are kept. The store must not be
    /// committed to again: a failed sync that is repeated may succeed without having written anything.
    fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError>;

    /// The value of a key, as committed.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits keys and values from `from` on, in byte order, until `visit` breaks.
    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// A handle for other threads. It sees every commit that has returned, and it keeps the store open.
    fn reader(&self) -> Arc<dyn Reader>;

    /// Syncs everything and marks the store as closed well. It takes no more commits.
    fn close(&mut self) -> Result<(), StoreError> {
        self.commit(&[], true)
    }
}

/// Reads a store from any thread, while another one commits to it.
///
/// A batch is seen whole or not at all by each single `get` and `scan`. Where several of them must agree, read
/// a [`snapshot`](Self::snapshot).
pub trait Reader: Send + Sync {
    /// The value of a key, as committed.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits keys and values from `from` on, in byte order, until `visit` breaks. All are of the moment at
    /// which the scan began.
    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The store as it is now, whatever is committed later. Keeping one for long keeps what was overwritten and
    /// deleted since on the disk.
    fn snapshot(&self) -> Arc<dyn Reader>;
}

/// What a scan does with each key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 65_535;

/// Why the store can no longer be trusted with anything new.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused to read or write.
    #[error("cannot {action} the store: {source}")]
    Io {
        /// What was attempted: `read`, `write to`, `sync`.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// What is stored is not what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// In which file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file lies among those of the store that is none of them.
    #[error("{file} does not belong there: move it elsewhere; nothing was changed")]
    Stray {
        /// Which one.
        file: PathBuf,
    },
    /// A change whose key no store can hold.
    #[error("a key of {length} bytes cannot be stored; it needs 1 to {KEY_BYTES_MAX}")]
    Key {
        /// How long it is.
        length: usize,
    },
    /// Committed to after an error.
    #[error("the store failed before; nothing is written to it any more")]
    FailedBefore,
}

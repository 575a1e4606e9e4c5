//! What lies below the pipeline.

use std::io;
use std::ops::ControlFlow;

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
}

/// What a scan does with each key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

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
    /// Committed to after an error.
    #[error("the store failed before; nothing is written to it any more")]
    FailedBefore,
}

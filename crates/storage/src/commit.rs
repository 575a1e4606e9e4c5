//! What is written at a time.

use std::time::Duration;

use crate::elision::elide;
use crate::{Batch, Ticket};

/// What must be written now, as one unit. At most one is under way.
#[derive(Debug)]
pub struct Commit {
    /// In order.
    pub batches: Vec<Batch>,
    /// Whether it must reach the disk, with all that was written before.
    pub sync: bool,
    /// The last ticket among `batches` or before.
    pub up_to: Ticket,
    /// Whether something was written before that is not synced.
    pub(crate) is_behind_unsynced: bool,
    /// When the oldest of `batches` came.
    pub(crate) since: Option<Duration>,
}

impl Commit {
    /// Takes out what leaves no trace after all of it.
    pub fn elide(&mut self) {
        elide(&mut self.batches);
    }

    /// Whether the store has anything to do: without a change and without anything to sync, it is as durable as it gets.
    pub fn needs_store(&self) -> bool {
        self.writes() || (self.sync && self.is_behind_unsynced)
    }

    /// Whether anything changes.
    pub(crate) fn writes(&self) -> bool {
        !self.batches.iter().all(Batch::is_empty)
    }
}

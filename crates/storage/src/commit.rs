//! What is written at a time.

use std::time::Duration;

use crate::elision::elide;
use crate::{Batch, Done, Ticket};

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

    /// Counts it: it is done with, and the store took so long.
    pub(crate) fn count(&self, took: Duration, done: &mut Done) {
        done.batches += self.batches.len() as u64;
        done.elided += self.batches.iter().map(Batch::dropped).sum::<usize>() as u64;
        if !self.needs_store() {
            return;
        }
        done.commits += 1;
        done.changes += self.batches.iter().map(Batch::len).sum::<usize>() as u64;
        done.bytes += self.batches.iter().map(Batch::content_bytes).sum::<usize>() as u64;
        if self.sync {
            done.syncs += 1;
            done.sync_time += took;
            done.sync_time_max = done.sync_time_max.max(took);
        }
    }

    /// Whether anything changes.
    pub(crate) fn writes(&self) -> bool {
        !self.batches.iter().all(Batch::is_empty)
    }
}

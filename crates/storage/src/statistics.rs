//! What the pipeline did, in numbers.

use std::time::Duration;

/// Numbers of one moment. Counts begin with the pipeline.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Batches that wait.
    pub waiting_batches: usize,
    /// Bytes of batches that wait or are being written.
    pub waiting_bytes: usize,
    /// For how long the oldest batch is there that is not durable.
    pub lag: Duration,
    /// Counts what is done with.
    pub done: Done,
}

/// What was done since the pipeline began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// Batches that were written, and those of which nothing was left to write.
    pub batches: u64,
    /// Times that the store was told something.
    pub commits: u64,
    /// Those of them that synced.
    pub syncs: u64,
    /// Changes that were written.
    pub changes: u64,
    /// Changes that needed no writing, since their commit took them back.
    pub elided: u64,
    /// Bytes of keys and values that were written.
    pub bytes: u64,
    /// How long the commits took that synced, all together.
    pub sync_time: Duration,
    /// How long the longest of them took.
    pub sync_time_max: Duration,
}

impl Done {
    /// This, and then `more`.
    pub(crate) fn and(&self, more: &Self) -> Self {
        Self {
            batches: self.batches + more.batches,
            commits: self.commits + more.commits,
            syncs: self.syncs + more.syncs,
            changes: self.changes + more.changes,
            elided: self.elided + more.elided,
            bytes: self.bytes + more.bytes,
            sync_time: self.sync_time + more.sync_time,
            sync_time_max: self.sync_time_max.max(more.sync_time_max),
        }
    }

    /// What was done since `before`, an earlier state of the same; the longest sync is that of all.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            batches: self.batches - before.batches,
            commits: self.commits - before.commits,
            syncs: self.syncs - before.syncs,
            changes: self.changes - before.changes,
            elided: self.elided - before.elided,
            bytes: self.bytes - before.bytes,
            sync_time: self.sync_time - before.sync_time,
            sync_time_max: self.sync_time_max,
        }
    }
}

//! What is written next, and when.

use std::time::Duration;

use crate::{Batch, Commit};

/// The place of a batch in the one order of all batches of a process, from 1. Zero is durable from the start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

impl Ticket {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How soon a batch must be in the store.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Urgency {
    /// Nobody waits for it.
    #[default]
    Lazy,
    /// Somebody waits until it is written.
    Flush,
    /// Somebody waits until it is durable.
    Sync,
}

/// Longest time that a batch which nobody waits for stays in memory only.
pub const RIDE_ALONG_MAX: Duration = Duration::from_secs(1);

/// The one ordered queue between the shards and the store.
///
/// All that waits is written at once. A batch that is not [`Lazy`](Urgency::Lazy) makes a commit due at once, and the
/// commit syncs if one of them asks for that; while it is under way the next batches gather, so the last sync is the
/// window in which commits are grouped. Lazy batches wait for others, for [`RIDE_ALONG_MAX`] at the latest. If they fill
/// half of the queue before that, they are written without a sync. What was written without one is synced with the next
/// commit that syncs, [`RIDE_ALONG_MAX`] after it was pushed at the latest.
///
/// It takes whatever is pushed, and tells when that is [too much](Self::is_full): those who push are many, and each must
/// be able to end what it has begun.
///
/// Decides only: the clock is an argument, and writing is the caller's.
///
/// ```text
/// push … push ─▶ take ─▶ Commit, elide ─ Store::commit, if needed ─▶ finish ─▶ durable_up_to
/// ```
#[derive(Debug)]
pub struct CommitQueue {
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    /// Bytes of the commit under way; they count until it is written.
    taken_bytes: usize,
    bound_bytes: usize,
    /// The last ticket given.
    pushed: Ticket,
    written: Ticket,
    durable: Ticket,
    /// Of what waits.
    urgency: Urgency,
    /// When the oldest batch came that waits.
    waiting_since: Option<Duration>,
    /// When the oldest batch came that was written, and no sync has covered it or is about to.
    written_since: Option<Duration>,
    /// When the oldest batch came that the commit under way is to make durable, or written at least.
    taken_since: Option<Duration>,
    is_full: bool,
}

impl CommitQueue {
    /// An empty queue, full with more than `bound_bytes` of batches, those of a commit under way included.
    pub const fn new(bound_bytes: usize) -> Self {
        Self {
            waiting: Vec::new(),
            waiting_bytes: 0,
            taken_bytes: 0,
            bound_bytes,
            pushed: Ticket(0),
            written: Ticket(0),
            durable: Ticket(0),
            urgency: Urgency::Lazy,
            waiting_since: None,
            written_since: None,
            taken_since: None,
            is_full: false,
        }
    }

    /// Adds a batch behind all others.
    pub fn push(&mut self, batch: Batch, urgency: Urgency, now: Duration) -> Ticket {
        self.waiting_bytes += batch.bytes();
        self.waiting.push(batch);
        self.urgency = self.urgency.max(urgency);
        self.waiting_since.get_or_insert(now);
        self.is_full |= self.bytes() > self.bound_bytes;
        self.pushed.0 += 1;
        self.pushed
    }

    /// When something is to be written if nothing else is pushed; in the past if it is so already. `None`
    /// while nothing waits.
    pub fn due(&self) -> Option<Duration> {
        if self.urgency > Urgency::Lazy || self.is_half_full() {
            return Some(Duration::ZERO);
        }
        self.unsynced_since().map(|since| since + RIDE_ALONG_MAX)
    }

    /// All that waits, if it is due.
    pub fn take(&mut self, now: Duration) -> Option<Commit> {
        let overdue = self.unsynced_since().is_some_and(|since| since + RIDE_ALONG_MAX <= now);
        if self.urgency == Urgency::Sync || overdue {
            Some(self.cut(true))
        } else if self.urgency == Urgency::Flush || self.is_half_full() {
            Some(self.cut(false))
        } else {
            None
        }
    }

    /// All that waits or is not synced, due or not.
    pub fn take_all(&mut self) -> Option<Commit> {
        self.unsynced_since().map(|_| self.cut(true))
    }

    /// From now on somebody waits as much for all that was pushed, though nothing is pushed: for a checkpoint, say. Returns
    /// the last ticket.
    pub fn hurry(&mut self, urgency: Urgency) -> Ticket {
        let is_served = match urgency {
            Urgency::Lazy => true,
            Urgency::Flush => self.waiting.is_empty(),
            Urgency::Sync => self.oldest().is_none(),
        };
        if !is_served {
            self.urgency = self.urgency.max(urgency);
        }
        self.pushed
    }

    /// The store has what it [needed](Commit::needs_store) of a commit.
    pub fn finish(&mut self, commit: &Commit) {
        self.taken_bytes = 0;
        self.taken_since = None;
        self.is_full &= self.bytes() > self.bound_bytes / 2;
        self.written = commit.up_to;
        if commit.sync || (!commit.writes() && self.written_since.is_none()) {
            self.durable = commit.up_to;
        } else if commit.writes() && self.written_since.is_none() {
            self.written_since = commit.since;
        }
    }

    /// The last ticket that is written with all before it: the operating system has it, and the death of the process
    /// does not lose it.
    pub const fn written_up_to(&self) -> Ticket {
        self.written
    }

    /// The last ticket that is durable with all before it.
    pub const fn durable_up_to(&self) -> Ticket {
        self.durable
    }

    /// Whether so much waits that those who push should see to it that they push no more. Once it is, it stays so until a
    /// commit is finished and half of the bound is free.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The last ticket that was given.
    pub const fn pushed(&self) -> Ticket {
        self.pushed
    }

    /// When the oldest batch came that is not durable.
    pub fn oldest(&self) -> Option<Duration> {
        // In the order in which they came.
        self.written_since.or(self.taken_since).or(self.waiting_since)
    }

    /// The same, the commit under way apart.
    fn unsynced_since(&self) -> Option<Duration> {
        self.written_since.or(self.waiting_since)
    }

    /// How many batches wait.
    pub const fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no batch waits.
    pub const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of batches that wait or are being written.
    pub const fn bytes(&self) -> usize {
        self.waiting_bytes + self.taken_bytes
    }

    fn is_half_full(&self) -> bool {
        !self.waiting.is_empty() && self.waiting_bytes >= self.bound_bytes / 2
    }

    fn cut(&mut self, sync: bool) -> Commit {
        self.urgency = Urgency::Lazy;
        let is_behind_unsynced = self.written_since.is_some();
        self.taken_since = self.waiting_since;
        if sync {
            self.taken_since = self.unsynced_since();
            self.written_since = None;
        }
        self.taken_bytes = std::mem::take(&mut self.waiting_bytes);
        Commit {
            batches: std::mem::take(&mut self.waiting),
            sync,
            up_to: self.pushed,
            is_behind_unsynced,
            since: self.waiting_since.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyspace;

    const BOUND: usize = 10_000;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A batch that counts as `bytes`.
    fn batch(bytes: usize) -> Batch {
        let mut batch = Batch::new();
        batch.delete(Keyspace::Meta, "");
        let overhead = batch.bytes();
        batch = Batch::new();
        batch.delete(Keyspace::Meta, vec![0; bytes - overhead]);
        assert_eq!(batch.bytes(), bytes);
        batch
    }

    /// (batches, sync, up to) of what is due.
    fn take(queue: &mut CommitQueue, now: Duration) -> Option<(usize, bool, u64)> {
        let commit = queue.take(now)?;
        queue.finish(&commit);
        Some((commit.batches.len(), commit.sync, commit.up_to.number()))
    }

    #[test]
    fn an_urgent_batch_takes_all_others_along_at_once() {
        let mut queue = CommitQueue::new(BOUND);
        assert_eq!(queue.due(), None);
        queue.push(batch(100), Urgency::Lazy, at(0));
        queue.push(batch(100), Urgency::Sync, at(1));
        queue.push(batch(100), Urgency::Lazy, at(2));
        assert_eq!(queue.due(), Some(Duration::ZERO));
        assert_eq!(take(&mut queue, at(2)), Some((3, true, 3)));
        assert_eq!((queue.due(), queue.durable_up_to().number(), queue.bytes()), (None, 3, 0));
        assert_eq!(take(&mut queue, at(5000)), None);
    }

    #[test]
    fn who_waits_for_a_write_only_gets_it_at_once_and_the_sync_follows_in_time() {
        let mut queue = CommitQueue::new(BOUND);
        queue.push(batch(100), Urgency::Lazy, at(0));
        queue.push(batch(100), Urgency::Flush, at(1));
        assert_eq!(queue.due(), Some(Duration::ZERO));
        assert_eq!(take(&mut queue, at(1)), Some((2, false, 2)));
        assert_eq!((queue.written_up_to().number(), queue.durable_up_to().number()), (2, 0));
        queue.push(batch(100), Urgency::Flush, at(500));
        assert_eq!(take(&mut queue, at(500)), Some((1, false, 3)));
        assert_eq!(queue.due(), Some(at(1000)));
        assert_eq!(take(&mut queue, at(1000)), Some((0, true, 3)));
        assert_eq!((queue.written_up_to().number(), queue.durable_up_to().number()), (3, 3));
        queue.push(batch(100), Urgency::Flush, at(1100));
        queue.push(batch(100), Urgency::Sync, at(1100));
        assert_eq!(take(&mut queue, at(1100)), Some((2, true, 5)), "the strictest of them counts");
    }

    #[test]
    fn others_ride_along_after_a_second_at_the_latest() {
        let mut queue = CommitQueue::new(BOUND);
        queue.push(batch(100), Urgency::Lazy, at(500));
        queue.push(batch(100), Urgency::Lazy, at(900));
        assert_eq!(queue.due(), Some(at(1500)));
        assert_eq!(take(&mut queue, at(1499)), None);
        assert_eq!(take(&mut queue, at(1500)), Some((2, true, 2)));
        queue.push(batch(100), Urgency::Lazy, at(1600));
        assert_eq!(queue.due(), Some(at(2600)), "a second of its own");
    }

    #[test]
    fn what_nobody_waits_for_is_written_early_when_it_is_much_and_synced_in_time() {
        let mut queue = CommitQueue::new(BOUND);
        queue.push(batch(BOUND / 2 - 100), Urgency::Lazy, at(0));
        assert_eq!(take(&mut queue, at(1)), None);
        queue.push(batch(100), Urgency::Lazy, at(2));
        assert_eq!(take(&mut queue, at(2)), Some((2, false, 2)));
        assert_eq!((queue.durable_up_to().number(), queue.bytes()), (0, 0), "written, not durable");
        assert_eq!(queue.due(), Some(at(1000)));
        assert_eq!(take(&mut queue, at(1000)), Some((0, true, 2)));
        assert_eq!(queue.durable_up_to().number(), 2);
    }

    #[test]
    fn full_is_with_what_is_being_written_and_until_half_of_it_is_gone() {
        let mut queue = CommitQueue::new(BOUND);
        queue.push(batch(BOUND - 100), Urgency::Sync, at(0));
        let commit = queue.take(at(0)).unwrap();
        queue.push(batch(100), Urgency::Sync, at(0));
        assert!(!queue.is_full());
        queue.push(batch(BOUND / 2), Urgency::Sync, at(0));
        assert!(queue.is_full());
        queue.finish(&commit);
        assert_eq!((queue.bytes(), queue.is_full()), (BOUND / 2 + 100, true), "more than a half is left");
        let commit = queue.take(at(0)).unwrap();
        queue.push(batch(100), Urgency::Lazy, at(0));
        queue.finish(&commit);
        assert_eq!((queue.bytes(), queue.is_full()), (100, false));
    }

    #[test]
    fn what_is_taken_back_within_a_commit_costs_no_sync() {
        let mut queue = CommitQueue::new(BOUND);
        let mut put = Batch::new();
        put.put_new(Keyspace::Message, "1", "message");
        let mut delete = Batch::new();
        delete.delete(Keyspace::Message, "1");
        queue.push(put.clone(), Urgency::Sync, at(0));
        queue.push(delete.clone(), Urgency::Lazy, at(0));
        let mut commit = queue.take(at(0)).unwrap();
        assert!(commit.needs_store());
        commit.elide();
        assert!(!commit.needs_store(), "nothing is left of it");
        queue.finish(&commit);
        assert_eq!((queue.durable_up_to().number(), queue.due()), (2, None));
        // The same behind something that is written, but not synced.
        queue.push(batch(100), Urgency::Flush, at(10));
        assert_eq!(take(&mut queue, at(10)), Some((1, false, 3)));
        queue.push(put.clone(), Urgency::Flush, at(20));
        queue.push(delete.clone(), Urgency::Lazy, at(20));
        let mut commit = queue.take(at(20)).unwrap();
        commit.elide();
        assert!(!commit.needs_store());
        queue.finish(&commit);
        assert_eq!((queue.written_up_to().number(), queue.durable_up_to().number()), (5, 2));
        queue.push(put, Urgency::Sync, at(30));
        queue.push(delete, Urgency::Lazy, at(30));
        let mut commit = queue.take(at(30)).unwrap();
        commit.elide();
        assert!(commit.needs_store(), "the third batch is not durable");
        queue.finish(&commit);
        assert_eq!((queue.durable_up_to().number(), queue.due()), (7, None));
    }

    #[test]
    fn what_was_pushed_can_be_hurried() {
        let mut queue = CommitQueue::new(BOUND);
        assert_eq!((queue.hurry(Urgency::Sync).number(), queue.due()), (0, None));
        queue.push(batch(100), Urgency::Lazy, at(0));
        queue.hurry(Urgency::Flush);
        assert_eq!(take(&mut queue, at(0)), Some((1, false, 1)));
        assert_eq!((queue.hurry(Urgency::Flush).number(), queue.due()), (1, Some(at(1000))), "it is written");
        queue.hurry(Urgency::Sync);
        assert_eq!(take(&mut queue, at(1)), Some((0, true, 1)));
        assert_eq!((queue.hurry(Urgency::Sync).number(), queue.due()), (1, None));
    }

    #[test]
    fn draining_takes_and_syncs_everything() {
        let mut queue = CommitQueue::new(BOUND);
        assert!(queue.take_all().is_none());
        queue.push(batch(BOUND / 2), Urgency::Lazy, at(0));
        assert_eq!(take(&mut queue, at(0)), Some((1, false, 1)));
        let commit = queue.take_all().unwrap();
        assert_eq!((commit.batches.len(), commit.sync), (0, true));
        queue.finish(&commit);
        assert_eq!(queue.durable_up_to().number(), 1);
        assert!(queue.take_all().is_none());
    }
}

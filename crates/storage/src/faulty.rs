//! A disk that fails and loses power, for tests.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Batch, Keyspace, MemoryStore, Reader, Store, StoreError, Visit};

/// A [`MemoryStore`] that fails on demand, and that forgets in a crash what the contract of [`Store`] allows
/// it to forget. Equal seeds forget equally.
///
/// Clones are handles to the same disk: a broker that only dies is started again with another handle, and
/// finds everything written; after [`crash`](Self::crash) it finds what a loss of power leaves.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    /// What is there after the worst crash.
    synced: MemoryStore,
    /// What is there now: `synced` and then `unsynced`.
    current: MemoryStore,
    /// Commit by commit.
    unsynced: Vec<Vec<Batch>>,
    random: u64,
    /// How many commits succeed before one fails.
    succeed: Option<u32>,
    failed: bool,
}

impl FaultyStore {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                synced: MemoryStore::new(),
                current: MemoryStore::new(),
                unsynced: Vec::new(),
                random: seed,
                succeed: None,
                failed: false,
            })),
        }
    }

    /// Lets `commits` commits succeed and the next one fail: it is written or not, syncs nothing and returns an error.
    /// Then all fail until the next crash.
    pub fn fail_after(&self, commits: u32) {
        self.lock().succeed = Some(commits);
    }

    /// Loses power: of the commits since the last sync the first few survive, perhaps none, perhaps all. The disk works
    /// again afterwards. Returns how many commits were lost.
    pub fn crash(&self) -> usize {
        let disk = &mut *self.lock();
        let kept = disk.up_to(disk.unsynced.len());
        let lost = disk.unsynced.len() - kept;
        for batch in disk.unsynced.drain(..).take(kept).flatten() {
            disk.synced.apply(&batch);
        }
        disk.current = disk.synced.clone();
        disk.succeed = None;
        disk.failed = false;
        lost
    }

    /// Another process opens the disk: nothing is lost, and it works again.
    pub fn restart(&self) {
        let disk = &mut *self.lock();
        disk.succeed = None;
        disk.failed = false;
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// A number from 0 to `max`, by splitmix64.
    fn up_to(&mut self, max: usize) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed % (max as u64 + 1)) as usize
    }

    fn write(&mut self, batches: &[Batch]) {
        batches.iter().for_each(|batch| self.current.apply(batch));
        self.unsynced.push(batches.to_vec());
    }
}

impl Store for FaultyStore {
    fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        let disk = &mut *self.lock();
        if disk.failed {
            return Err(StoreError::FailedBefore);
        }
        if disk.succeed == Some(0) {
            disk.failed = true;
            if disk.up_to(1) == 1 {
                disk.write(batches);
            }
            return Err(StoreError::Io { action: "write to", source: io::Error::other("injected fault") });
        }
        disk.succeed = disk.succeed.map(|commits| commits - 1);
        disk.write(batches);
        if sync {
            for batch in std::mem::take(&mut disk.unsynced).into_iter().flatten() {
                disk.synced.apply(&batch);
            }
        }
        Ok(())
    }

    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().current.get(keyspace, key)
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        // Visits a copy, so that `visit` may use another handle.
        let current = self.lock().current.clone();
        current.scan(keyspace, from, visit)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(FaultyReader(self.clone()))
    }
}

/// Reading a broken disk goes on: the fault is in writing.
struct FaultyReader(FaultyStore);

impl Reader for FaultyReader {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(keyspace, key)
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(keyspace, from, visit)
    }

    fn snapshot(&self) -> Arc<dyn Reader> {
        self.0.lock().current.reader().snapshot()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{CommitQueue, Ticket, Urgency};

    /// The `n`-th batch of a history: a row of its own, and one row that every batch overwrites.
    fn numbered(n: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(Keyspace::Message, n.to_be_bytes(), "payload");
        batch.put(Keyspace::Meta, "last", n.to_be_bytes());
        batch
    }

    /// How many batches of the history 1, 2, 3 … the store holds; panics unless it is a beginning of it.
    fn beginning(store: &FaultyStore) -> u64 {
        let mut count: u64 = 0;
        store
            .scan(Keyspace::Message, b"", &mut |key, _| {
                count += 1;
                assert_eq!(key, count.to_be_bytes(), "no gap");
                ControlFlow::Continue(())
            })
            .unwrap();
        let last = store.get(Keyspace::Meta, b"last").unwrap();
        assert_eq!(last.unwrap_or(0u64.to_be_bytes().to_vec()), count.to_be_bytes(), "batches are whole");
        count
    }

    #[test]
    fn a_failed_commit_is_whole_or_absent_and_the_last() {
        let left: Vec<u64> = (0..20)
            .map(|seed| {
                let mut store = FaultyStore::new(seed);
                store.fail_after(1);
                store.commit(&[numbered(1)], true).unwrap();
                let error = store.commit(&[numbered(2), numbered(3)], true).unwrap_err();
                assert_eq!(error.to_string(), "cannot write to the store: injected fault");
                assert!(matches!(store.commit(&[], true), Err(StoreError::FailedBefore)));
                let left = beginning(&store);
                store.crash();
                store.commit(&[], true).unwrap();
                assert!((1..=left).contains(&beginning(&store)));
                left
            })
            .collect();
        assert!(left.iter().all(|left| [1, 3].contains(left)), "{left:?}");
        assert!(left.contains(&1) && left.contains(&3), "{left:?}");
    }

    #[test]
    fn a_crash_may_lose_all_some_or_none_of_what_was_not_synced() {
        let kept: Vec<u64> = (0..20)
            .map(|seed| {
                let mut store = FaultyStore::new(seed);
                store.commit(&[numbered(1)], true).unwrap();
                store.commit(&[numbered(2)], false).unwrap();
                store.commit(&[numbered(3)], false).unwrap();
                assert_eq!(beginning(&store), 3);
                let lost = store.crash();
                assert_eq!(beginning(&store) + lost as u64, 3);
                beginning(&store)
            })
            .collect();
        assert!((1..=3).all(|count| kept.contains(&count)), "{kept:?}");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push { urgency: Urgency },
        Wait(u64),
        Commit,
        FailAfter(u32),
        Crash,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => prop::sample::select(vec![Urgency::Lazy, Urgency::Lazy, Urgency::Lazy, Urgency::Flush, Urgency::Sync])
                .prop_map(|urgency| Step::Push { urgency }),
            2 => (0..600u64).prop_map(Step::Wait),
            5 => Just(Step::Commit),
            1 => (0..4u32).prop_map(Step::FailAfter),
            1 => Just(Step::Crash),
        ]
    }

    proptest! {
        /// Whatever happens: what was said to be durable is there after the crash, nothing is there without
        /// what came before it, and nothing waits for its sync longer than promised.
        #[test]
        fn a_crash_loses_only_what_was_not_durable(seed: u64, steps in prop::collection::vec(step(), 1..100)) {
            let disk = FaultyStore::new(seed);
            let mut store = disk.clone();
            // Small enough that the queue is half full now and then.
            let mut queue = CommitQueue::new(numbered(1).bytes() * 10);
            let mut now = Duration::ZERO;
            let mut pushed_at: Vec<Duration> = Vec::new();
            let mut failed = false;
            let mut before = 0; // batches that earlier lives of the broker left
            for step in steps {
                match step {
                    Step::Push { urgency } => {
                        let number = before + pushed_at.len() as u64 + 1;
                        let ticket = queue.push(numbered(number), urgency, now);
                        pushed_at.push(now);
                        prop_assert_eq!(ticket, Ticket::new(pushed_at.len() as u64));
                    }
                    Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                    Step::Commit => {
                        while let Some(commit) = queue.take(now) {
                            failed = store.commit(&commit.batches, commit.sync).is_err();
                            if failed {
                                break;
                            }
                            queue.finish(&commit);
                        }
                        if !failed {
                            let oldest = pushed_at.get(queue.durable_up_to().number() as usize);
                            prop_assert!(oldest.is_none_or(|&at| now - at < crate::RIDE_ALONG_MAX));
                        }
                    }
                    Step::FailAfter(commits) => disk.fail_after(commits),
                    Step::Crash => {
                        disk.crash();
                        failed = false;
                        let durable = before + queue.durable_up_to().number();
                        let pushed = before + pushed_at.len() as u64;
                        before = beginning(&disk);
                        prop_assert!((durable..=pushed).contains(&before), "{durable} {before} {pushed}");
                        queue = CommitQueue::new(numbered(1).bytes() * 10);
                        pushed_at.clear();
                    }
                }
            }
        }
    }
}

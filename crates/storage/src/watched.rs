//! A store whose room and health are watched.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Batch, Keyspace, Reader, Space, SpaceChange, Store, StoreError, Visit};

/// How long nobody looks while something is going on.
const PAUSE: Duration = Duration::from_secs(1);

/// What the watch tells.
#[derive(Debug)]
pub enum Watched {
    /// There is less room, or more.
    Space(SpaceChange),
    /// The store failed in the background. A commit that is under way may never return.
    Failed(StoreError),
}

/// Tells whether a store can still be written to, from another thread.
pub type Health = Box<dyn Fn() -> Result<(), StoreError> + Send>;

/// A store that looks after each commit how much room is left, and once a second while commits come or room is
/// low. Idle, it wakes nobody.
pub struct WatchedStore {
    store: Box<dyn Store>,
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

struct Watch {
    state: Mutex<State>,
    wake: Condvar,
    report: Box<dyn Fn(Watched) + Send + Sync>,
}

struct State {
    space: Space,
    /// Something was committed since the thread looked.
    is_busy: bool,
    ends: bool,
}

impl WatchedStore {
    /// Watches a store in a data directory. `report` is called on the thread that commits, and on another one; what it
    /// is told first may be told before this returns.
    pub fn start(
        store: Box<dyn Store>,
        health: Health,
        directory: &Path,
        report: Box<dyn Fn(Watched) + Send + Sync>,
    ) -> io::Result<Self> {
        let state = State { space: Space::new(directory)?, is_busy: true, ends: false };
        let watch = Arc::new(Watch { state: Mutex::new(state), wake: Condvar::new(), report });
        watch.look(&mut watch.lock())?;
        let thread = thread::Builder::new().name("noctule-space".to_owned()).spawn({
            let watch = Arc::clone(&watch);
            move || watch.run(&health)
        })?;
        Ok(Self { store, watch, thread: Some(thread) })
    }
}

impl Store for WatchedStore {
    fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
        self.watch.begin();
        self.store.commit(batches, sync)?;
        self.watch
            .look(&mut self.watch.lock())
            .map_err(|source| StoreError::Io { action: "look for room for", source })
    }

    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(keyspace, key)
    }

    fn scan(&self, keyspace: Keyspace, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(keyspace, from, visit)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.store.reader()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.store.close()
    }
}

impl Drop for WatchedStore {
    fn drop(&mut self) {
        self.watch.lock().ends = true;
        self.watch.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; if it has panicked, that was said.
            let _ = thread.join();
        }
    }
}

impl Watch {
    /// A commit begins.
    fn begin(&self) {
        if !std::mem::replace(&mut self.lock().is_busy, true) {
            self.wake.notify_one();
        }
    }

    fn look(&self, state: &mut State) -> io::Result<()> {
        for change in state.space.look()? {
            (self.report)(Watched::Space(change));
        }
        Ok(())
    }

    /// The thread.
    fn run(&self, health: &Health) {
        let mut state = self.lock();
        while !state.ends {
            if !state.is_busy && !state.space.is_low() {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_busy = false;
            state = self.wake.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
            if state.ends {
                return;
            }
            drop(state);
            let health = health();
            state = self.lock();
            let looked = self.look(&mut state);
            let looked = looked.map_err(|source| StoreError::Io { action: "look for room for", source });
            if let Err(error) = health.and(looked) {
                (self.report)(Watched::Failed(error));
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::MemoryStore;
    use crate::small_disk::SmallDisk;

    const LONG: Duration = Duration::from_secs(30);

    fn start(directory: &Path, health: Health) -> (WatchedStore, Receiver<Watched>) {
        let (sender, reports) = channel();
        let report = Box::new(move |change| drop(sender.send(change)));
        (WatchedStore::start(Box::new(MemoryStore::new()), health, directory, report).unwrap(), reports)
    }

    #[test]
    fn room_that_becomes_low_is_told_with_the_next_commit_and_room_again_by_itself() {
        let Some(disk) = SmallDisk::of(8 << 20) else { return };
        let (mut store, reports) = start(disk.path(), Box::new(|| Ok(())));
        store.commit(&[], true).unwrap();
        assert!(reports.try_recv().is_err(), "there is room");
        disk.fill(500 << 10);
        store.commit(&[], true).unwrap();
        assert!(matches!(reports.try_recv(), Ok(Watched::Space(SpaceChange::Low { .. }))));
        disk.empty();
        assert!(matches!(reports.recv_timeout(LONG), Ok(Watched::Space(SpaceChange::Enough { .. }))));
    }

    #[test]
    fn a_store_that_fails_in_the_background_is_told_though_its_commit_never_returns() {
        let directory = tempfile::tempdir().unwrap();
        let (_store, reports) = start(directory.path(), Box::new(|| Err(StoreError::FailedBefore)));
        assert!(matches!(reports.recv_timeout(LONG), Ok(Watched::Failed(StoreError::FailedBefore))));
    }
}

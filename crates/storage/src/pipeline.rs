//! The thread that makes batches durable.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Batch, Commit, CommitQueue, Done, Statistics, Store, StoreError, Ticket, Urgency};

/// The way of all batches of a process into the store. Shards share it and push; one thread writes.
///
/// The order of tickets is the order of pushes and of writing. [`CommitQueue`] says when is written.
#[derive(Debug)]
pub struct Pipeline {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The last ticket, durable as soon as it is given.
    Immediate(AtomicU64),
    Threaded {
        shared: Arc<Shared>,
        /// Gone once the pipeline is closed.
        thread: Mutex<Option<JoinHandle<Box<dyn Store>>>>,
    },
}

/// What the storage thread tells.
#[derive(Debug)]
pub enum Report {
    /// This ticket and all before it are written: they outlive this process, but perhaps not a loss of power.
    WrittenUpTo(Ticket),
    /// This ticket and all before it are durable, and written all the more. Tickets only grow from report to report of
    /// one kind.
    DurableUpTo(Ticket),
    /// The store failed. This is told once, and it is the last report: nothing becomes durable any more, and
    /// every push is refused. What was pushed and not reported durable may be kept or lost.
    Failed(StoreError),
}

/// The pipeline was closed, or the store failed: nothing pushed can become durable any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the store has failed or was closed; it takes nothing more")]
pub struct Closed;

impl Pipeline {
    /// Starts the storage thread. With more than `bound_bytes` of batches that wait or are being written it is
    /// [full](Self::is_full).
    ///
    /// `report` is called on that thread: it should only hand on what it is told, and must not close the
    /// pipeline.
    pub fn start(
        store: Box<dyn Store>,
        bound_bytes: usize,
        report: Box<dyn Fn(Report) + Send>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: CommitQueue::new(bound_bytes),
                phase: Phase::Open,
                done: Done::default(),
            }),
            wake: Condvar::new(),
            progress: Condvar::new(),
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            started: Instant::now(),
        });
        let thread = thread::Builder::new().name("noctule-store".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(store, &*report)
        })?;
        Ok(Self { kind: Kind::Threaded { shared, thread: Mutex::new(Some(thread)) } })
    }

    /// A pipeline without thread and store, as `persistence false` promises: what is pushed is forgotten, and
    /// its ticket is durable when `push` returns. It never reports and is never full.
    pub const fn immediate() -> Self {
        Self { kind: Kind::Immediate(AtomicU64::new(0)) }
    }

    /// Whether what is pushed is forgotten, so that its content need not be made.
    pub const fn forgets(&self) -> bool {
        matches!(self.kind, Kind::Immediate(_))
    }

    /// Puts a batch behind all others. `urgency` says what somebody waits for.
    pub fn push(&self, batch: Batch, urgency: Urgency) -> Result<Ticket, Closed> {
        self.push_with(batch, urgency, |_| {})
    }

    /// The same for a batch whose content depends on its place: `complete` is called when all batches before it are
    /// complete and none behind it is. All other pushes wait for it, so it should be quick. It is not called where what
    /// is pushed is [forgotten](Self::forgets) or refused.
    pub fn push_with(
        &self,
        batch: Batch,
        urgency: Urgency,
        complete: impl FnOnce(&mut Batch),
    ) -> Result<Ticket, Closed> {
        match &self.kind {
            Kind::Immediate(last) => Ok(Ticket::new(last.fetch_add(1, Ordering::Relaxed) + 1)),
            Kind::Threaded { shared, .. } => shared.push(batch, urgency, complete),
        }
    }

    /// The last ticket that is durable with all before it.
    pub fn durable_up_to(&self) -> Ticket {
        match &self.kind {
            Kind::Immediate(last) => Ticket::new(last.load(Ordering::Relaxed)),
            Kind::Threaded { shared, .. } => Ticket::new(shared.durable.load(Ordering::Acquire)),
        }
    }

    /// The last ticket that is written with all before it.
    pub fn flushed_up_to(&self) -> Ticket {
        match &self.kind {
            Kind::Immediate(last) => Ticket::new(last.load(Ordering::Relaxed)),
            Kind::Threaded { shared, .. } => Ticket::new(shared.written.load(Ordering::Acquire)),
        }
    }

    /// Whether so much waits that whoever makes shards push should wait. It is taken all the same: what a shard has begun
    /// it must be able to end. It changes back only before a report.
    pub fn is_full(&self) -> bool {
        match &self.kind {
            Kind::Immediate(_) => false,
            Kind::Threaded { shared, .. } => shared.is_full.load(Ordering::Acquire),
        }
    }

    /// Has all that was pushed written, or made durable, without waiting for more. Returns the last ticket: once it is
    /// [written](Self::flushed_up_to), or [durable](Self::durable_up_to), that is done.
    pub fn hurry(&self, urgency: Urgency) -> Ticket {
        match &self.kind {
            Kind::Immediate(last) => Ticket::new(last.load(Ordering::Relaxed)),
            Kind::Threaded { shared, .. } => shared.change(|queue, _| queue.hurry(urgency)),
        }
    }

    /// Waits until a ticket is [written](Self::flushed_up_to); false if that will never be.
    pub fn wait_until_flushed(&self, ticket: Ticket) -> bool {
        let Kind::Threaded { shared, .. } = &self.kind else { return true };
        let mut state = shared.lock();
        while state.queue.written_up_to() < ticket {
            if state.phase == Phase::Failed {
                return false;
            }
            state = shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.phase != Phase::Failed
    }

    /// Bytes of batches that wait or are being written.
    pub fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Immediate(_) => 0,
            Kind::Threaded { shared, .. } => shared.lock().queue.bytes(),
        }
    }

    /// What was done so far, and what waits. Without a store, nothing.
    pub fn statistics(&self) -> Statistics {
        let Kind::Threaded { shared, .. } = &self.kind else { return Statistics::default() };
        let now = shared.started.elapsed();
        let State { queue, done, .. } = &*shared.lock();
        Statistics {
            waiting_batches: queue.len(),
            waiting_bytes: queue.bytes(),
            lag: queue.oldest().map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            done: *done,
        }
    }

    /// Makes durable what was pushed, unless the store failed, and ends the thread. Pushes are refused from
    /// now on. Gives the store back; `None` if there is none, or if it was given back already.
    pub fn close(&self) -> Option<Box<dyn Store>> {
        let Kind::Threaded { shared, thread } = &self.kind else {
            return None;
        };
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        shared.close();
        match thread.join() {
            Ok(store) => Some(store),
            // The store or `report` panicked: the process must not go on as if it had been written.
            Err(panic) if !thread::panicking() => resume_unwind(panic),
            Err(_) => None,
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something is due earlier than the thread knows.
    wake: Condvar,
    /// Something was written, or nothing will be any more.
    progress: Condvar,
    written: AtomicU64,
    durable: AtomicU64,
    is_full: AtomicBool,
    started: Instant,
}

#[derive(Debug)]
struct State {
    queue: CommitQueue,
    phase: Phase,
    done: Done,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Open,
    /// What waits is written, nothing is taken.
    Closing,
    /// Nothing is written, nothing is taken.
    Failed,
}

impl Shared {
    fn push(
        &self,
        mut batch: Batch,
        urgency: Urgency,
        complete: impl FnOnce(&mut Batch),
    ) -> Result<Ticket, Closed> {
        self.change(|queue, phase| {
            if phase != Phase::Open {
                return Err(Closed);
            }
            complete(&mut batch);
            let ticket = queue.push(batch, urgency, self.started.elapsed());
            self.is_full.store(queue.is_full(), Ordering::Release);
            Ok(ticket)
        })
    }

    /// Changes the queue, and wakes the thread if something is due earlier then.
    fn change<T>(&self, change: impl FnOnce(&mut CommitQueue, Phase) -> T) -> T {
        let mut state = self.lock();
        let due = state.queue.due();
        let phase = state.phase;
        let changed = change(&mut state.queue, phase);
        let sooner = state.queue.due() != due;
        drop(state);
        if sooner {
            self.wake.notify_one();
        }
        changed
    }

    fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The storage thread.
    fn run(&self, mut store: Box<dyn Store>, report: &dyn Fn(Report)) -> Box<dyn Store> {
        while let Some(mut commit) = self.next_commit() {
            commit.elide();
            let began = self.started.elapsed();
            if commit.needs_store()
                && let Err(error) = store.commit(&commit.batches, commit.sync)
            {
                let mut state = self.lock();
                state.phase = Phase::Failed;
                // Nobody writes what waits; free its memory.
                state.queue = CommitQueue::new(0);
                drop(state);
                self.progress.notify_all();
                report(Report::Failed(error));
                break;
            }
            let mut done = Done::default();
            commit.count(self.started.elapsed() - began, &mut done);
            let (written, durable) = {
                let State { queue, done: all, .. } = &mut *self.lock();
                queue.finish(&commit);
                *all = all.and(&done);
                self.is_full.store(queue.is_full(), Ordering::Release);
                (queue.written_up_to(), queue.durable_up_to())
            };
            self.progress.notify_all();
            let has_more_written = self.written.swap(written.number(), Ordering::Release) != written.number();
            if self.durable.swap(durable.number(), Ordering::Release) != durable.number() {
                report(Report::DurableUpTo(durable));
            } else if has_more_written {
                report(Report::WrittenUpTo(written));
            }
        }
        store
    }

    /// Waits for what must be written. `None`: the end.
    fn next_commit(&self) -> Option<Commit> {
        let mut state = self.lock();
        loop {
            match state.phase {
                Phase::Open => {}
                Phase::Closing => return state.queue.take_all(),
                Phase::Failed => return None,
            }
            let now = self.started.elapsed();
            if let Some(commit) = state.queue.take(now) {
                return Some(commit);
            }
            state = match state.queue.due() {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let pause = due.saturating_sub(now);
                    self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

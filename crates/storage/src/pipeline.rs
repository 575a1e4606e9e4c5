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
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::{FaultyStore, Keyspace, MemoryStore, Reader, Visit, VolatileStore};

    const BOUND: usize = 1 << 20;
    /// Far longer than anything here takes; only a failing test waits so long.
    const LONG: Duration = Duration::from_secs(30);

    /// The batches of a commit, and whether it synced.
    type Committed = (Vec<Batch>, bool);

    /// Tells each commit, and goes on when it is told to.
    struct Gate {
        began: Sender<Committed>,
        go_on: Receiver<()>,
    }

    impl Store for Gate {
        fn commit(&mut self, batches: &[Batch], sync: bool) -> Result<(), StoreError> {
            self.began.send((batches.to_vec(), sync)).unwrap();
            self.go_on.recv_timeout(LONG).unwrap();
            Ok(())
        }

        fn get(&self, _: Keyspace, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn scan(&self, _: Keyspace, _: &[u8], _: &mut Visit<'_>) -> Result<(), StoreError> {
            Ok(())
        }

        fn reader(&self) -> Arc<dyn Reader> {
            VolatileStore.reader()
        }
    }

    fn start(store: impl Store + 'static, bound: usize) -> (Pipeline, Receiver<Report>) {
        let (sender, reports) = channel();
        let report = move |report| sender.send(report).unwrap();
        (Pipeline::start(Box::new(store), bound, Box::new(report)).unwrap(), reports)
    }

    fn gated(bound: usize) -> (Pipeline, Receiver<Report>, Receiver<Committed>, Sender<()>) {
        let ((began, commits), (go_on, gate)) = (channel(), channel());
        let (pipeline, reports) = start(Gate { began, go_on: gate }, bound);
        (pipeline, reports, commits, go_on)
    }

    fn batch(key: &str) -> Batch {
        let mut batch = Batch::new();
        batch.put(Keyspace::Message, key, "value");
        batch
    }

    #[track_caller]
    fn durable(reports: &Receiver<Report>) -> u64 {
        match reports.recv_timeout(LONG).unwrap() {
            Report::DurableUpTo(ticket) => ticket.number(),
            Report::WrittenUpTo(_) => durable(reports),
            Report::Failed(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_gathers_during_a_sync_is_written_by_the_next_one() {
        let (pipeline, reports, commits, go_on) = gated(BOUND);
        assert_eq!(pipeline.push(batch("1"), Urgency::Sync).unwrap().number(), 1);
        assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("1")], true));
        for key in ["2", "3", "4"] {
            pipeline.push(batch(key), if key == "3" { Urgency::Sync } else { Urgency::Lazy }).unwrap();
        }
        assert_eq!(pipeline.durable_up_to().number(), 0, "not before the sync has returned");
        go_on.send(()).unwrap();
        assert_eq!(durable(&reports), 1);
        assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("2"), batch("3"), batch("4")], true));
        assert_eq!(pipeline.durable_up_to().number(), 1);
        go_on.send(()).unwrap();
        assert_eq!(durable(&reports), 4);
        assert_eq!((pipeline.durable_up_to().number(), pipeline.bytes()), (4, 0));
    }

    #[test]
    fn a_full_queue_says_so_takes_what_comes_and_goes_on_by_itself() {
        let (pipeline, reports, commits, go_on) = gated(batch("1").bytes() * 3);
        pipeline.push(batch("1"), Urgency::Sync).unwrap();
        commits.recv_timeout(LONG).unwrap();
        for key in ["2", "3"] {
            assert!(!pipeline.is_full());
            pipeline.push(batch(key), Urgency::Sync).unwrap();
        }
        pipeline.push(batch("4"), Urgency::Sync).unwrap();
        assert!(pipeline.is_full());
        go_on.send(()).unwrap();
        assert_eq!((durable(&reports), pipeline.is_full()), (1, true), "more than a half is left");
        go_on.send(()).unwrap();
        assert_eq!((durable(&reports), pipeline.is_full()), (4, false));
    }

    #[test]
    fn what_was_pushed_can_be_hurried() {
        let (pipeline, reports, commits, go_on) = gated(BOUND);
        pipeline.push(batch("1"), Urgency::Lazy).unwrap();
        assert_eq!(pipeline.hurry(Urgency::Flush).number(), 1);
        assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![batch("1")], false));
        go_on.send(()).unwrap();
        assert!(
            matches!(reports.recv_timeout(LONG).unwrap(), Report::WrittenUpTo(ticket) if ticket.number() == 1)
        );
        assert_eq!(pipeline.hurry(Urgency::Sync).number(), 1);
        assert_eq!(commits.recv_timeout(LONG).unwrap(), (vec![], true));
        go_on.send(()).unwrap();
        assert_eq!(durable(&reports), 1);
    }

    #[test]
    fn what_was_done_is_counted_and_what_waits_told() {
        let (pipeline, reports, commits, go_on) = gated(BOUND);
        pipeline.push(batch("1"), Urgency::Sync).unwrap();
        commits.recv_timeout(LONG).unwrap();
        for key in ["2", "2", "2"] {
            pipeline.push(batch(key), Urgency::Flush).unwrap();
        }
        let Statistics { waiting_batches, waiting_bytes, lag, done } = pipeline.statistics();
        assert_eq!((waiting_batches, waiting_bytes, done), (3, batch("1").bytes() * 4, Done::default()));
        assert!(lag > Duration::ZERO);
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(durable(&reports), 1);
        assert!(matches!(reports.recv_timeout(LONG).unwrap(), Report::WrittenUpTo(_)));
        let Statistics { waiting_batches, waiting_bytes, lag, done } = pipeline.statistics();
        assert_eq!((waiting_batches, waiting_bytes), (0, 0));
        assert!(lag > Duration::ZERO, "the second commit is not synced");
        let Done { batches, commits, syncs, changes, elided, bytes, sync_time, sync_time_max } = done;
        assert_eq!((batches, commits, syncs, changes, elided, bytes), (4, 2, 1, 2, 2, 12));
        assert!(sync_time == sync_time_max && sync_time > Duration::ZERO);
        pipeline.hurry(Urgency::Sync);
        go_on.send(()).unwrap();
        assert_eq!((durable(&reports), pipeline.statistics().lag), (4, Duration::ZERO));
    }

    #[test]
    fn what_is_taken_back_in_time_never_comes_to_the_store() {
        let (pipeline, reports, commits, go_on) = gated(BOUND);
        pipeline.push(batch("1"), Urgency::Sync).unwrap();
        commits.recv_timeout(LONG).unwrap();
        let (mut put, mut delete) = (Batch::new(), Batch::new());
        put.put_new(Keyspace::Message, "2", "value");
        delete.delete(Keyspace::Message, "2");
        pipeline.push(put, Urgency::Sync).unwrap();
        pipeline.push(delete, Urgency::Lazy).unwrap();
        go_on.send(()).unwrap();
        assert_eq!((durable(&reports), durable(&reports)), (1, 3));
        assert!(commits.try_recv().is_err(), "neither written nor synced");
    }

    #[test]
    fn what_nobody_waits_for_becomes_durable_by_itself() {
        let (pipeline, reports) = start(MemoryStore::new(), BOUND);
        pipeline.push(batch("1"), Urgency::Lazy).unwrap();
        assert_eq!(durable(&reports), 1);
    }

    #[test]
    fn closing_writes_what_waits_and_gives_the_store_back() {
        let (pipeline, reports) = start(FaultyStore::new(1), BOUND);
        pipeline.push(batch("1"), Urgency::Lazy).unwrap();
        pipeline.push(batch("2"), Urgency::Lazy).unwrap();
        let store = pipeline.close().unwrap();
        assert_eq!(durable(&reports), 2);
        assert!(store.get(Keyspace::Message, b"2").unwrap().is_some());
        assert!(matches!(pipeline.push(batch("3"), Urgency::Sync), Err(Closed)));
        assert!(pipeline.close().is_none());
    }

    #[test]
    fn each_shard_is_written_in_its_order_and_all_in_the_order_of_tickets() {
        let disk = FaultyStore::new(1);
        let (pipeline, reports) = start(disk.clone(), BOUND);
        // Every batch sets the same key of its shard; the last one must win.
        let tickets: Vec<(Ticket, String)> = thread::scope(|scope| {
            let shards: Vec<_> = (0..4)
                .map(|shard| {
                    let pipeline = &pipeline;
                    scope.spawn(move || {
                        let mut last = Ticket::default();
                        for n in 1..=500 {
                            let mut batch = Batch::new();
                            batch.put(Keyspace::State, format!("{shard}"), format!("{n}"));
                            batch.put(Keyspace::Meta, "last", format!("{shard}/{n}"));
                            let ticket = pipeline
                                .push(batch, if n % 7 == 0 { Urgency::Sync } else { Urgency::Lazy })
                                .unwrap();
                            assert!(ticket > last);
                            last = ticket;
                        }
                        (last, format!("{shard}/500"))
                    })
                })
                .collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).collect()
        });
        pipeline.close();
        let mut up_to = 0;
        for report in reports.try_iter() {
            let ticket = match report {
                Report::DurableUpTo(ticket) => ticket,
                Report::WrittenUpTo(_) => continue,
                Report::Failed(error) => panic!("{error}"),
            };
            assert!(ticket.number() > up_to);
            up_to = ticket.number();
        }
        assert_eq!(up_to, 2000);
        disk.crash();
        for shard in 0..4 {
            let value = disk.get(Keyspace::State, format!("{shard}").as_bytes()).unwrap();
            assert_eq!(value.as_deref(), Some(&b"500"[..]));
        }
        let (_, last) = tickets.into_iter().max().unwrap();
        assert_eq!(disk.get(Keyspace::Meta, b"last").unwrap(), Some(last.into_bytes()));
    }

    #[test]
    fn a_failing_store_is_told_once_and_nothing_is_durable_after_it() {
        let disk = FaultyStore::new(1);
        disk.fail_after(1);
        let (pipeline, reports) = start(disk.clone(), BOUND);
        pipeline.push(batch("1"), Urgency::Sync).unwrap();
        assert_eq!(durable(&reports), 1);
        pipeline.push(batch("2"), Urgency::Sync).unwrap();
        assert!(matches!(reports.recv_timeout(LONG).unwrap(), Report::Failed(StoreError::Io { .. })));
        assert!(matches!(pipeline.push(batch("3"), Urgency::Sync), Err(Closed)));
        assert_eq!((pipeline.durable_up_to().number(), pipeline.bytes()), (1, 0));
        assert!(pipeline.close().is_some());
        assert!(reports.recv().is_err(), "the failure was the last report");
        disk.crash();
        assert!(disk.get(Keyspace::Message, b"1").unwrap().is_some(), "durable is durable");
    }

    #[test]
    fn the_death_of_the_storage_thread_is_not_passed_over() {
        let (pipeline, reports, commits, go_on) = gated(BOUND);
        pipeline.push(batch("1"), Urgency::Sync).unwrap();
        drop(commits.recv_timeout(LONG).unwrap());
        drop(go_on); // the store panics
        assert!(reports.recv_timeout(LONG).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| pipeline.close())).is_err());
    }

    #[test]
    fn without_persistence_a_ticket_is_durable_when_it_is_given() {
        let pipeline = Pipeline::immediate();
        for number in 1..=3 {
            assert_eq!(
                pipeline
                    .push(batch("1"), if number == 2 { Urgency::Sync } else { Urgency::Lazy })
                    .unwrap()
                    .number(),
                number
            );
            assert_eq!(pipeline.durable_up_to().number(), number);
        }
        assert_eq!(pipeline.bytes(), 0);
        assert!(pipeline.close().is_none());
    }
}

//! The way of the shards' changes to the disk, as it is where the broker serves: their conversion, the queue that decides
//! what is written when, and the store's promises are the real ones; the storage thread's clock and the disk are not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use noctule_broker::record::{Operation, Rows, Table};
use noctule_broker::{Shared, Ticket, Urgency};
use noctule_persistence::{Stored, StoredRows, Tickets, batch, keyspace, urgency};
use noctule_storage::{Commit, CommitQueue, FaultyStore, Store};

use crate::context::Context;
use crate::sabotage::Sabotage;
use crate::schedule::Event;

mod damage;
mod describe;

/// Longest time until the storage thread notices that there is something to do.
const WAKE_UP_MAX: Duration = Duration::from_micros(200);

/// How a process ended that did not end well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Death {
    /// The process was killed: what was written is there, synced or not.
    Killed,
    /// The machine lost power: what was not synced is lost, but for the first part of it perhaps.
    PowerLost,
    /// The store failed, and the process ended itself. What was not synced may be lost.
    StoreFailed,
}

/// The store has failed: the process must end.
#[derive(Debug)]
pub(crate) struct Failed;

/// A simulated disk and what is on its way there.
pub(crate) struct Disk {
    store: FaultyStore,
    queue: CommitQueue,
    /// By shard.
    tickets: BTreeMap<usize, Tickets>,
    /// The last batch of each shard.
    last: BTreeMap<usize, Ticket>,
    /// What is being written.
    under_way: Option<Commit>,
    /// When the storage thread looks next.
    wakes_at: Option<Duration>,
    /// Counts processes: what was planned for one before is void.
    generation: u64,
}

impl Disk {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            store: FaultyStore::new(context.plan.seed),
            queue: CommitQueue::new(context.plan.queue_bytes_max),
            tickets: BTreeMap::new(),
            last: BTreeMap::new(),
            under_way: None,
            wakes_at: None,
            generation: 0,
        }
    }

    /// Takes a batch of a shard, with what is retained in `shared` at this moment.
    pub(crate) fn persist(
        &mut self,
        (shard, ticket): (usize, Ticket),
        operations: &[Operation],
        waits: Urgency,
        shared: &Shared,
        context: &mut Context,
    ) {
        let (mut batch, retained) = batch(operations, shared);
        retained.complete(&mut batch, shared);
        context.trace(|| format!("disk: batch {shard}.{}, {waits:?}{}", ticket.0, describe::batch(&batch)));
        if let Some(last) = self.last.insert(shard, ticket).filter(|last| *last >= ticket) {
            context.violation("protocol", format!("batch {} handed out after {}", ticket.0, last.0));
        }
        let batch = damage::batch(batch, context);
        let pushed = self.queue.push(batch, urgency(waits), context.now);
        self.tickets.entry(shard).or_default().pushed(pushed, ticket);
        self.plan_wake_up(context);
    }

    /// Whether shards should see to it that less comes.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// The storage thread is woken if something is due, or sleeps until it is.
    fn plan_wake_up(&mut self, context: &mut Context) {
        if self.under_way.is_some() {
            return; // It looks when it has done that.
        }
        let Some(due) = self.queue.due() else { return };
        let most = if due > context.now { Duration::ZERO } else { WAKE_UP_MAX };
        let at = due.max(context.now) + context.random.time(Duration::ZERO..=most);
        if self.wakes_at.is_none_or(|planned| planned > at) {
            self.wakes_at = Some(at);
            context.schedule.plan(at, Event::StoreWakes(self.generation));
        }
    }

    /// The storage thread begins with what is due.
    pub(crate) fn wake(&mut self, generation: u64, context: &mut Context) {
        let is_planned = self.wakes_at.is_some_and(|at| at <= context.now);
        if generation != self.generation || !is_planned || self.under_way.is_some() {
            return;
        }
        self.wakes_at = None;
        if let Some(mut commit) = self.queue.take(context.now) {
            commit.elide();
            let [least, most] = context.plan.sync_time;
            let range = if commit.sync { least..=most } else { Duration::ZERO..=least };
            let mut takes = context.random.time(range);
            if context.random.below(1000) < context.plan.stalls_of_1000 {
                takes += context.random.millis(100..=3000);
            }
            if !commit.needs_store() {
                takes = Duration::ZERO;
            }
            context.trace(|| format!("disk: writes {} batches, sync {}", commit.batches.len(), commit.sync));
            context.schedule.plan(context.now + takes, Event::Committed(self.generation));
            self.under_way = Some(commit);
        } else {
            self.plan_wake_up(context);
        }
    }

    /// The store has returned. An error: it failed, and the process must end.
    pub(crate) fn committed(
        &mut self,
        generation: u64,
        context: &mut Context,
    ) -> Result<BTreeMap<usize, Stored>, Failed> {
        if generation != self.generation {
            return Ok(BTreeMap::new());
        }
        self.commit(context)?;
        let (written, durable) = (self.queue.written_up_to(), self.queue.durable_up_to());
        let stored = self.tickets.iter_mut().map(|(shard, tickets)| (*shard, tickets.take(written, durable)));
        let stored = stored.filter(|(_, stored)| *stored != Stored::default()).collect();
        self.plan_wake_up(context);
        Ok(stored)
    }

    /// Writes what is under way.
    fn commit(&mut self, context: &mut Context) -> Result<(), Failed> {
        let Some(commit) = self.under_way.take() else { return Ok(()) };
        if !commit.needs_store() {
            self.queue.finish(&commit);
            return Ok(());
        }
        for batches in damage::pieces(&commit.batches, context) {
            self.store.commit(&batches, false).map_err(|error| {
                context.trace(|| format!("disk: {error}"));
                Failed
            })?;
        }
        if commit.sync && context.plan.sabotage != Some(Sabotage::SkipSync) {
            self.store.commit(&[], true).map_err(|error| {
                context.trace(|| format!("disk: {error}"));
                Failed
            })?;
        }
        self.queue.finish(&commit);
        Ok(())
    }

    /// From now on the store works for so many commits, and fails with the next one.
    pub(crate) fn fail_after(&self, commits: usize) {
        self.store.fail_after(commits as u32);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&self) {
        self.store.restart();
    }

    /// The process is gone, and what was not written with it.
    pub(crate) fn die(&mut self, death: Death, context: &mut Context) {
        if let Some(commit) = self.under_way.take() {
            // It was begun; how far it came nobody knows.
            let mut written = 0;
            let pieces = damage::pieces(&commit.batches, context);
            let last = context.random.between(0..=pieces.len());
            for batches in pieces.into_iter().take(last) {
                written += usize::from(self.store.commit(&batches, false).is_ok());
            }
            context.trace(|| format!("disk: was writing, {written} commits are there"));
        }
        let loses = match death {
            Death::Killed => false,
            Death::PowerLost => true,
            Death::StoreFailed => context.random.percent(50) && context.plan.loses_power,
        };
        if loses {
            let lost = self.store.crash();
            context.trace(|| format!("disk: {lost} commits are lost"));
        }
        self.forget_process(context);
    }

    /// The process ended well: everything is written.
    pub(crate) fn close(&mut self, context: &mut Context) -> Result<(), Failed> {
        self.commit(context)?;
        self.under_way = self.queue.take_all();
        self.commit(context)?;
        self.forget_process(context);
        Ok(())
    }

    fn forget_process(&mut self, context: &Context) {
        self.store.restart();
        self.queue = CommitQueue::new(context.plan.queue_bytes_max);
        self.tickets.clear();
        self.last.clear();
        self.under_way = None;
        self.wakes_at = None;
        self.generation += 1;
    }

    /// A process opens the store. Of what it finds not all need be durable: the one before it may have been killed between a
    /// write and its sync. The first sync of this one makes that durable too.
    pub(crate) fn open(&mut self, context: &mut Context) -> Result<StoredRows, Failed> {
        self.store.restart();
        let rows = StoredRows::new(self.store.reader());
        rows.scan(Table::Session, b"", &mut |_, _| ControlFlow::Break(())).map_err(|error| {
            context.trace(|| format!("disk: {error}"));
            Failed
        })?;
        Ok(rows)
    }

    /// What it holds now.
    pub(crate) fn rows(&self) -> StoredRows {
        StoredRows::new(self.store.reader())
    }

    /// Has all that was pushed so far written, and gives the last of it.
    pub(crate) fn hurry(&mut self, context: &mut Context) -> noctule_storage::Ticket {
        let last = self.queue.hurry(noctule_storage::Urgency::Flush);
        self.plan_wake_up(context);
        last
    }

    /// What is written, if that reaches up to `ticket`.
    pub(crate) fn rows_behind(&self, ticket: noctule_storage::Ticket) -> Option<StoredRows> {
        (self.queue.written_up_to() >= ticket).then(|| StoredRows::new(self.store.reader()))
    }

    /// The keys of a table, as the trace names them.
    pub(crate) fn keys(&self, table: Table) -> Vec<String> {
        let mut keys = Vec::new();
        let scanned = self.store.scan(keyspace(table), b"", &mut |key, _| {
            keys.push(describe::key(key));
            ControlFlow::Continue(())
        });
        debug_assert!(scanned.is_ok(), "a disk in memory can be read");
        keys
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.queue.due().is_none()
    }
}

//! The store: batches become durable in order, some time after they were handed over; a crash loses the others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use noctule_broker::record::{Change, Operation, RetainedRow, Table};
use noctule_broker::{Shared, Ticket};

use crate::context::Context;
use crate::sabotage::Sabotage;
use crate::schedule::Event;

/// Batches nobody waits for wait at most so long.
const LAZY_MAX: Duration = Duration::from_secs(1);

/// Rows on a simulated disk, and batches on their way there.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    rows: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    /// Not durable, in the order in which shards pushed them.
    pending: VecDeque<Pushed>,
    /// How many of the pending ones the sync that runs has taken.
    syncing: usize,
    /// Whether a batch waits that somebody waits for.
    urgent: bool,
    /// Whether a sync of lazy batches is planned.
    lazy_planned: bool,
    /// Counts crashes: what was planned before one is void.
    generation: u64,
}

/// A batch.
#[derive(Debug)]
struct Pushed {
    shard: usize,
    ticket: Ticket,
    changes: Vec<Change>,
}

impl Disk {
    /// Takes a batch of a shard, with what is retained in `shared` at this moment.
    pub(crate) fn persist(
        &mut self,
        (shard, ticket): (usize, Ticket),
        operations: &[Operation],
        urgent: bool,
        shared: &Shared,
        context: &mut Context,
    ) {
        let mut changes = Vec::new();
        for operation in operations {
            match operation.retained_topic() {
                Some(topic) => changes.push(RetainedRow::read(shared, topic).latest(shared)),
                None => operation.changes(|change| changes.push(change)),
            }
        }
        context.trace(|| {
            let lines = changes.iter().map(|Change { table, key, value }| {
                let what = if value.is_some() { "put" } else { "delete" };
                format!("\n             {what} {table:?} {}", name(key))
            });
            format!("disk: batch {shard}.{}, urgent {urgent}{}", ticket.0, lines.collect::<String>())
        });
        if let Some(last) = self.pending.iter().rfind(|pushed| pushed.shard == shard)
            && last.ticket >= ticket
        {
            context.violation("protocol", format!("batch {} handed out after {}", ticket.0, last.ticket.0));
        }
        self.pending.push_back(Pushed { shard, ticket, changes });
        self.urgent |= urgent;
        self.start(context);
    }

    fn start(&mut self, context: &mut Context) {
        if self.syncing > 0 || self.pending.is_empty() {
            return;
        }
        if self.urgent {
            self.urgent = false;
            self.syncing = self.pending.len();
            let [least, most] = context.plan.sync_time;
            let at = context.now + context.random.time(least..=most);
            context.schedule.plan(at, Event::Synced(self.generation));
        } else if !self.lazy_planned {
            self.lazy_planned = true;
            context.schedule.plan(context.now + LAZY_MAX, Event::SyncDue(self.generation));
        }
    }

    /// Lazy batches have waited long enough.
    pub(crate) fn sync_due(&mut self, generation: u64, context: &mut Context) {
        if generation == self.generation {
            self.lazy_planned = false;
            self.urgent = !self.pending.is_empty();
            self.start(context);
        }
    }

    /// The sync has finished: gives the last durable ticket of each shard that has a new one.
    pub(crate) fn synced(&mut self, generation: u64, context: &mut Context) -> BTreeMap<usize, Ticket> {
        if generation != self.generation {
            return BTreeMap::new();
        }
        let taken = std::mem::take(&mut self.syncing);
        let tickets = self.apply(taken, context);
        self.start(context);
        tickets
    }

    /// The process or the machine died: of what was not durable a part from the front may have arrived.
    pub(crate) fn crash(&mut self, context: &mut Context) {
        let kept =
            if context.random.percent(50) { 0 } else { context.random.between(0..=self.pending.len()) };
        self.apply(kept, context);
        context.trace(|| format!("disk: {} batches lost, {kept} kept", self.pending.len()));
        self.forget_pending();
    }

    /// The process ended well: everything is written.
    pub(crate) fn close(&mut self, context: &mut Context) {
        self.apply(self.pending.len(), context);
        self.forget_pending();
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.syncing = 0;
        self.urgent = false;
        self.lazy_planned = false;
        self.generation += 1;
    }

    fn apply(&mut self, batches: usize, context: &mut Context) -> BTreeMap<usize, Ticket> {
        let mut last = BTreeMap::new();
        for Pushed { shard, ticket, changes } in self.pending.drain(..batches) {
            last.insert(shard, ticket);
            for Change { table, key, value } in changes {
                let place = Table::ALL.iter().position(|other| *other == table).unwrap_or_default();
                match (value, context.plan.sabotage) {
                    (Some(_), Some(Sabotage::ForgetRetained)) if table == Table::Retained => {}
                    (None, Some(Sabotage::KeepRows)) => {}
                    (Some(value), _) => drop(self.rows.insert((place, key), value)),
                    (None, _) => drop(self.rows.remove(&(place, key))),
                }
            }
        }
        last
    }

    /// All rows in the order in which they are restored.
    pub(crate) fn rows(&self) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        self.rows
            .iter()
            .map(|((place, key), value)| (Table::ALL[*place], key.clone(), value.clone()))
            .collect()
    }

    /// Loses the first session (a defect on purpose).
    pub(crate) fn forget_session(&mut self) {
        self.rows.pop_first();
    }

    /// The keys of a table, as the trace names them.
    pub(crate) fn keys(&self, table: Table) -> Vec<String> {
        let of_table = self.rows.keys().filter(|(place, _)| Table::ALL[*place] == table);
        of_table.map(|(_, key)| name(key)).collect()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

/// A key for people.
fn name(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The broker's process around its shards: it starts, ends, and crashes at any step.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::record::{Rows, RowsError, Table, VisitRow};
use noctule_broker::{LoadedPart, Shard, ShardIndex, Shared};
use noctule_persistence::{Stored, StoredRows};

use crate::context::Context;
use crate::disk::{Death, Disk};
use crate::network::LinkNumber;
use crate::sabotage::Sabotage;
use crate::schedule::Event;

mod commons;
mod connection;
mod host;
mod mailbox;
mod process;

use commons::{Around, Commons};
use host::Host;
use mailbox::Letter;
use process::Process;

/// Shards of a process at most.
const SHARDS_MAX: u32 = 16;

/// A broker process, or the lack of one.
#[derive(Default)]
pub(crate) struct Broker {
    process: Option<Process>,
    /// Processes so far; each is a source of messages.
    started: u32,
    /// Steps until it crashes.
    crashes_in: Option<usize>,
    /// What processes before this one counted.
    counted: BTreeMap<&'static str, u64>,
}

/// The process died within a turn.
struct Crashed;

type Step = Result<(), Crashed>;

impl Broker {
    /// Whether clients can reach it.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Dies after so many more steps: inputs, effects, writes.
    pub(crate) fn crash_in(&mut self, steps: usize) {
        self.crashes_in.get_or_insert(steps);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&mut self) {
        self.crashes_in = None;
    }

    /// What all processes counted together.
    pub(crate) fn counted(&self, metric: Metric) -> u64 {
        let now = self.process.as_ref().map_or(0, |process| process.commons.shared.metrics.get(metric));
        self.counted.get(metric.name()).copied().unwrap_or_default() + now
    }

    /// What is not at rest, when all should be.
    pub(crate) fn restless(&self, context: &Context) -> Vec<String> {
        self.process.as_ref().map_or_else(Vec::new, |process| process.restless(context))
    }

    /// What is left, when all sessions have ended.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.process.as_ref().map_or_else(Vec::new, Process::leftovers)
    }

    /// Begins a process with what the disk holds.
    pub(crate) fn start(&mut self, disk: &mut Disk, context: &mut Context) {
        self.started += 1;
        let mut settings = context.plan.settings.clone();
        if context.plan.sabotage == Some(Sabotage::ForgetRules) {
            settings.listeners.iter_mut().for_each(|listener| listener.access = None);
        }
        let settings = Arc::new(settings);
        let count = match context.plan.shards_vary {
            true => context.random.between(1..=4) as u16,
            false => context.plan.shards,
        };
        let dies = !context.calm && context.random.percent(context.plan.dies_starting_percent);
        if dies && context.random.percent(30) {
            return self.die_starting(Self::death(context), disk, context);
        }
        let Ok(rows) = disk.open(context) else {
            return self.die_starting(Death::StoreFailed, disk, context);
        };
        if dies && context.random.percent(40) {
            return self.die_starting(Self::death(context), disk, context);
        }
        if dies {
            self.crash_in(context.random.below(12));
        }
        let forgotten = match context.plan.sabotage {
            Some(Sabotage::ForgetSession) if self.started == 2 => Some(Forget::First(Table::Session)),
            Some(Sabotage::SkipQueued) => Some(Forget::First(Table::Delivery)),
            Some(Sabotage::ForgetCursors) => Some(Forget::All(Table::Cursor)),
            _ => None,
        };
        let started = self.started;
        context.trace(|| format!("broker: start {started} with {count} shards"));
        let source = self.started * SHARDS_MAX;
        let shard =
            |index| Shard::new(Arc::clone(&settings), ShardIndex(index), count, source + u32::from(index));
        let mut shards: Vec<Shard> = (0..count).map(shard).collect();
        let mut commons = Commons::new(Shared::new(&settings), count.into(), context.now);
        let mut effects = Vec::new();
        let now = commons.now(context);
        let forgetful = forgotten.map(|forget| Forgetful(&rows, forget));
        let rows: &dyn Rows = forgetful.as_ref().map_or(&rows, |forgetful| forgetful);
        match Shard::restore(&mut shards, &commons.shared, rows, now, &mut effects) {
            Ok((_, load)) => commons.load = Some(load),
            Err(error) => context.violation("restore", error.to_string()),
        }
        let mut hosts: Vec<Host> = shards.into_iter().enumerate().map(Host::new).collect();
        hosts[0].owe(effects);
        for index in 0..hosts.len() {
            commons.plan_turn(index, Duration::ZERO, context);
        }
        self.process = Some(Process { hosts, commons });
        context.schedule.plan(context.now, Event::Load(started));
    }

    /// Reads some more of what is retained, if it is this start's turn.
    pub(crate) fn load(&mut self, start: u32, disk: &Disk, context: &mut Context) {
        let Some(Process { commons, .. }) = &mut self.process else { return };
        let Some(load) = commons.load.as_mut().filter(|_| start == self.started) else { return };
        let slowly = context.random.percent(80);
        let messages_max = if slowly { context.random.between(1..=4) } else { usize::MAX };
        let rows = disk.rows();
        let forgetful = Forgetful(&rows, Forget::First(Table::Retained));
        let forgets = context.plan.sabotage == Some(Sabotage::SkipRetained) && context.random.percent(20);
        let rows: &dyn Rows = if forgets { &forgetful } else { &rows };
        match load.load_some(messages_max, rows, &commons.shared) {
            Ok(LoadedPart { some_expire, is_last, .. }) => {
                for shard in 0..commons.mailboxes.len() {
                    commons.send(shard, shard, Letter::Loaded(some_expire), context);
                }
                if !is_last {
                    let after = context.random.millis(0..=300);
                    context.schedule.plan(context.now + after, Event::Load(start));
                }
            }
            Err(error) => context.violation("restore", error.to_string()),
        }
    }

    /// Something waits at the broker's end of a link.
    pub(crate) fn look(&mut self, link: LinkNumber, context: &mut Context) {
        if let Some(process) = &mut self.process {
            process.look(link, context);
        }
    }

    /// The process dies before it has done anything that others could notice.
    fn die_starting(&mut self, death: Death, disk: &mut Disk, context: &mut Context) {
        context.trace(|| format!("broker: start {}, {death:?} meanwhile", self.started));
        disk.die(death, context);
        context.facts.restarts += 1;
        let after = context.random.millis(1..=2000);
        context.schedule.plan(context.now + after, Event::Start);
    }

    fn death(context: &mut Context) -> Death {
        match context.plan.loses_power && context.random.percent(50) {
            true => Death::PowerLost,
            false => Death::Killed,
        }
    }

    /// The disk reports to the shards: to those whose batches are stored, and to all that there may be room again.
    pub(crate) fn stored(&mut self, mut reports: BTreeMap<usize, Stored>, context: &mut Context) {
        let Some(process) = &mut self.process else { return };
        for (shard, host) in process.hosts.iter_mut().enumerate() {
            let report = reports.remove(&shard);
            if report.is_none() && !host.knows_full() {
                continue;
            }
            host.stored(report.unwrap_or_default());
            let after = context.random.time(Duration::ZERO..=Duration::from_micros(200));
            process.commons.plan_turn(shard, after, context);
        }
    }

    /// A shard goes on with its turn, or begins one, if that is due.
    pub(crate) fn turn(&mut self, shard: usize, disk: &mut Disk, context: &mut Context) {
        let Some(process) = &mut self.process else { return };
        if !process.commons.is_due(shard, context) {
            return; // an event of a process before this one, or one that was brought forward
        }
        let Process { hosts, commons } = process;
        let around = &mut Around { commons, countdown: &mut self.crashes_in, disk, context };
        if hosts[shard].turn(around).is_err() {
            self.die(Self::death(context), disk, context);
        }
    }

    /// The process is gone at once, with all that it held.
    pub(crate) fn die(&mut self, death: Death, disk: &mut Disk, context: &mut Context) {
        self.crashes_in = None;
        let Some(process) = self.process.take() else { return };
        context.trace(|| format!("broker: {death:?}"));
        disk.die(death, context);
        self.bury(&process, context);
    }

    /// The process is asked to end, and ends well.
    pub(crate) fn stop(&mut self, disk: &mut Disk, context: &mut Context) {
        let Some(mut process) = self.process.take() else { return };
        context.trace(|| "broker: stop".to_owned());
        // Without steps to count there is no crash.
        let ended = process.end(disk, context);
        debug_assert!(ended.is_ok(), "nothing crashes without a countdown");
        if disk.close(context).is_err() {
            disk.die(Death::StoreFailed, context);
        }
        self.bury(&process, context);
    }

    fn bury(&mut self, process: &Process, context: &mut Context) {
        for metric in Metric::ALL {
            *self.counted.entry(metric.name()).or_default() += process.commons.shared.metrics.get(*metric);
        }
        context.orphan_links();
        let after = context.random.millis(1..=2000);
        context.schedule.plan(context.now + after, Event::Start);
    }
}

/// Rows without some that are asked for (a defect on purpose).
struct Forgetful<'a>(&'a StoredRows, Forget);

#[derive(Clone, Copy, Debug)]
enum Forget {
    First(Table),
    All(Table),
}

impl Rows for Forgetful<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut VisitRow<'_>) -> Result<(), RowsError> {
        let mut left = match self.1 {
            Forget::First(of) if of == table => 1,
            Forget::All(of) if of == table => usize::MAX,
            Forget::First(_) | Forget::All(_) => 0,
        };
        self.0.scan(table, from, &mut |key, value| {
            if left > 0 {
                left -= 1;
                return ControlFlow::Continue(());
            }
            visit(key, value)
        })
    }
}

fn step(countdown: &mut Option<usize>) -> Step {
    match countdown {
        Some(0) => Err(Crashed),
        Some(steps) => {
            *steps -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

//! What the shards of a process have in common: the core's shared state, mailboxes, and when each takes its turn.

use std::collections::BTreeMap;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::{Now, RetainedLoad, Shared};

use super::mailbox::{Letter, Mailbox};
use crate::context::Context;
use crate::disk::Disk;
use crate::network::LinkNumber;
use crate::schedule::Event;

/// What the wall clock showed when the run began.
const WALL_START: Duration = Duration::from_secs(1_700_000_000);

pub(super) struct Commons {
    pub(super) shared: Shared,
    started_at: Duration,
    /// By shard.
    pub(super) mailboxes: Vec<Mailbox>,
    /// By shard: when its next turn, or the rest of this one, is due.
    turns: Vec<Option<Duration>>,
    /// Which shard has a link, or will have it.
    pub(super) links: BTreeMap<LinkNumber, usize>,
    /// What is retained and was not read yet.
    pub(super) load: Option<RetainedLoad>,
    /// What the history says was dropped.
    dropped: BTreeMap<&'static str, u64>,
}

/// All that is around a shard.
pub(super) struct Around<'a> {
    pub(super) commons: &'a mut Commons,
    /// Steps until the process crashes.
    pub(super) countdown: &'a mut Option<usize>,
    pub(super) disk: &'a mut Disk,
    pub(super) context: &'a mut Context,
}

impl Commons {
    pub(super) fn new(shared: Shared, shards: usize, started_at: Duration) -> Self {
        Self {
            shared,
            started_at,
            mailboxes: (0..shards).map(|_| Mailbox::new(shards)).collect(),
            turns: vec![None; shards],
            links: BTreeMap::new(),
            load: None,
            dropped: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self, context: &Context) -> Now {
        Now { monotonic: context.now - self.started_at, wall: WALL_START + context.now }
    }

    /// A turn is due at this time of the process at the latest.
    pub(super) fn plan_turn_at(&mut self, shard: usize, monotonic: Duration, context: &mut Context) {
        let at = (self.started_at + monotonic).max(context.now + Duration::from_millis(1));
        self.plan_turn(shard, at - context.now, context);
    }

    pub(super) fn plan_turn(&mut self, shard: usize, after: Duration, context: &mut Context) {
        let at = context.now + after;
        if self.turns[shard].is_none_or(|planned| planned > at) {
            self.turns[shard] = Some(at);
            context.schedule.plan(at, Event::Turn(shard));
        }
    }

    /// Whether a turn is due; then it is no longer planned.
    pub(super) fn is_due(&mut self, shard: usize, context: &Context) -> bool {
        self.turns.get_mut(shard).is_some_and(|turn| turn.take_if(|at| *at <= context.now).is_some())
    }

    /// Puts a letter into a mailbox and wakes its shard, which may be busy for a while.
    pub(super) fn send(&mut self, from: usize, to: usize, letter: Letter, context: &mut Context) {
        self.mailboxes[to].push(from, letter, context);
        let most = if context.random.percent(90) { 300 } else { 2000 };
        let after = context.random.time(Duration::ZERO..=Duration::from_micros(most));
        self.plan_turn(to, after, context);
    }

    pub(super) fn trace_drops(&mut self, context: &mut Context) {
        for metric in Metric::ALL.iter().filter(|metric| metric.name().starts_with("dropped")) {
            let now = self.shared.metrics.get(*metric);
            let before = self.dropped.insert(metric.name(), now).unwrap_or_default();
            if now > before {
                context.trace(|| format!("broker: {} {}", metric.name(), now - before));
            }
        }
    }
}

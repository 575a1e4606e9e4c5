//! Deadlines of one shard, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{ConnectionKey, SessionNumber};

/// What a deadline is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// CONNECT is awaited, or a client has been silent too long.
    Connection(ConnectionKey),
    /// A session without connection ends.
    SessionExpiry(u32, SessionNumber),
    /// A will is due.
    WillDelay(u32, SessionNumber),
    /// A replay of retained messages goes on.
    Replay(u32, SessionNumber),
    /// Expired retained messages are swept out.
    RetainedSweep,
    /// Publishers were paused for want of memory.
    Memory,
}

/// Armed timers. Each owner remembers when its timer is armed for, so that it can be taken out: nothing
/// stale is kept.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Duration, Timer)>);

impl Timers {
    pub(crate) fn arm(&mut self, at: Duration, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(crate) fn disarm(&mut self, at: Duration, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes out the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        let &(at, timer) = self.0.first()?;
        (at <= now).then(|| {
            self.0.pop_first();
            timer
        })
    }
}

//! Deadlines of one shard, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::moment::Moment;
use crate::{ConnectionKey, SessionNumber};

mod schedule;

use schedule::Schedule;

/// What a deadline is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// CONNECT is awaited, or a client has been silent too long.
    Connection(ConnectionKey),
    /// A session without connection ends.
    SessionExpiry(u32, SessionNumber),
    /// A will is due.
    WillDelay(u32, SessionNumber),
    /// Replays of retained messages go on.
    Replay,
    /// Expired retained messages are swept out.
    RetainedSweep,
    /// Publishers were paused for want of memory.
    Memory,
    /// What the broker tells about itself is published.
    SysTopics,
    /// Cursors that have changed are stored.
    Cursors,
}

/// Armed timers. Each owner remembers when its timer is armed for, so that it can be taken out: nothing
/// stale is kept.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// Every connection has one, so they stand apart, in two words each.
    connections: Schedule<(Moment, ConnectionKey)>,
    others: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: impl Into<Moment>, timer: Timer) {
        match timer {
            Timer::Connection(key) => self.connections.insert((at.into(), key)),
            other => {
                self.others.insert((at.into(), other));
            }
        }
    }

    pub(crate) fn disarm(&mut self, at: impl Into<Moment>, timer: Timer) {
        match timer {
            Timer::Connection(key) => self.connections.remove(&(at.into(), key)),
            other => {
                self.others.remove(&(at.into(), other));
            }
        }
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        let connection = self.connections.first().map(|&(at, _)| at);
        let other = self.others.first().map(|&(at, _)| at);
        connection.into_iter().chain(other).min().map(Moment::get)
    }

    /// Takes out the first timer that is due.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        let connection = self.connections.first().map(|&(at, key)| (at, Timer::Connection(key)));
        let other = self.others.first().copied();
        let (at, timer) = connection.into_iter().chain(other).min()?;
        (at <= now.into()).then(|| {
            self.disarm(at, timer);
            timer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_their_order_and_not_before() {
        let key = |index| Timer::Connection(ConnectionKey { index, generation: 1 });
        let session = Timer::SessionExpiry(1, SessionNumber(1));
        let second = Duration::from_secs;
        let mut timers = Timers::default();
        for (at, timer) in [(4, Timer::RetainedSweep), (2, session), (3, key(2)), (2, key(1)), (1, key(3))] {
            timers.arm(second(at), timer);
        }
        timers.disarm(second(1), key(3));
        assert_eq!((timers.next(), timers.pop_due(second(1))), (Some(second(2)), None));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(second(3))).collect();
        assert_eq!(due, [key(1), session, key(2)]);
        assert_eq!(timers.next(), Some(second(4)));
        timers.disarm(second(4), Timer::RetainedSweep);
        assert_eq!(timers.next(), None);
    }
}

//! The open loop: when each message is due, whatever became of those before, and an alarm that rings then.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Events that are due at an even pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: u64,
    start: Instant,
}

impl Pace {
    pub(super) const fn new(per_second: u64, start: Instant) -> Self {
        Self { per_second, start }
    }

    /// How many are due at that moment, since the start.
    pub(super) fn due(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let due = elapsed * u128::from(self.per_second) / 1_000_000_000;
        u64::try_from(due).map_or(u64::MAX, |due| due.saturating_add(1))
    }

    /// When the event of this number (from 0) is due, after the start.
    #[inline]
    pub(super) fn offset(&self, number: u64) -> Duration {
        let ns = u128::from(number) * 1_000_000_000;
        Duration::from_nanos(u64::try_from(ns.div_ceil(u128::from(self.per_second))).unwrap_or(u64::MAX))
    }

    pub(super) fn moment(&self, number: u64) -> Instant {
        self.start + self.offset(number)
    }
}

/// Ends a wait at a moment, to the microsecond; the poll itself knows milliseconds only.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: TimerFd,
    set_to: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self { timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?, set_to: None })
    }

    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.timer.as_fd().as_raw_fd()), token, Interest::READABLE)
    }

    /// It rings then, and no more at the moment it was set to before.
    pub(super) fn set(&mut self, moment: Option<Instant>) -> io::Result<()> {
        if moment == self.set_to {
            return Ok(());
        }
        self.set_to = moment;
        let Some(moment) = moment else { return Ok(self.timer.unset()?) };
        // Zero would switch it off.
        let left = moment.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let once = Expiration::OneShot(TimeSpec::from_duration(left));
        Ok(self.timer.set(once, TimerSetTimeFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_due_evenly_from_the_start() {
        let start = Instant::now();
        let pace = Pace::new(5000, start);
        let at = |micros| pace.due(start + Duration::from_micros(micros));
        assert_eq!([at(0), at(199), at(200), at(999), at(1000), at(1_000_000)], [1, 1, 2, 5, 6, 5001]);
        assert_eq!(pace.offset(0), Duration::ZERO);
        assert_eq!(pace.moment(5000), start + Duration::from_secs(1));
    }

    #[test]
    fn an_event_is_due_at_its_own_moment() {
        let start = Instant::now();
        for per_second in [1, 3, 7, 999, 1_000_003] {
            let pace = Pace::new(per_second, start);
            for number in [0, 1, 2, 10, 1_000_001] {
                assert_eq!(pace.due(pace.moment(number)), number + 1, "{number} at {per_second}/s");
            }
        }
    }
}

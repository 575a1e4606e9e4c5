//! Notices when nothing comes any more.

use std::time::{Duration, Instant};

/// How often it is looked whether the time is over or nothing comes any more.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Looks now and then whether it still goes on.
pub(super) struct Watch {
    checked_at: Instant,
    progress: u64,
    pub(super) progress_at: Instant,
    /// It was given up.
    pub(super) is_stalled: bool,
}

impl Watch {
    pub(super) const fn new(now: Instant) -> Self {
        Self { checked_at: now, progress: 0, progress_at: now, is_stalled: false }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.duration_since(self.checked_at) >= CHECK_EVERY;
        if is_due {
            self.checked_at = now;
        }
        is_due
    }

    /// Whether there was progress lately. `progress` counts what came.
    pub(super) fn goes_on(&mut self, now: Instant, progress: u64, patience: Duration) -> bool {
        if progress != self.progress {
            (self.progress, self.progress_at) = (progress, now);
        }
        self.is_stalled = now.duration_since(self.progress_at) > patience;
        !self.is_stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_progress_patience_ends() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let patience = Duration::from_secs(10);
        let mut watch = Watch::new(start);
        assert!(watch.goes_on(at(10), 0, patience));
        assert!(watch.goes_on(at(11), 1, patience));
        assert!(watch.goes_on(at(21), 1, patience) && !watch.is_stalled);
        assert!(!watch.goes_on(at(22), 1, patience) && watch.is_stalled);
    }

    #[test]
    fn it_is_looked_now_and_then() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        assert!(!watch.is_due(start + CHECK_EVERY / 2));
        assert!(watch.is_due(start + CHECK_EVERY));
        assert!(!watch.is_due(start + CHECK_EVERY));
    }
}

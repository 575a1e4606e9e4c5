//! The two clocks of the process, read once a turn.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use noctule_broker::Now;

/// Tells the time to all shards alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: self.start.elapsed(),
            // A clock before 1970 is a device that does not know the time.
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }
}

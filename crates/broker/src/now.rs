//! The two clocks, as arguments.

use std::time::Duration;

/// The time of one turn. The core never reads a clock; the shell tells it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Since an arbitrary start, the same for all shards; never goes back. For time-outs, and for the order of messages.
    pub monotonic: Duration,
    /// Since the Unix epoch; may jump. For what is stored and told to others.
    pub wall: Duration,
}

impl Now {
    /// Whole seconds since the Unix epoch.
    pub const fn wall_seconds(self) -> u64 {
        self.wall.as_secs()
    }
}

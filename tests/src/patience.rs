//! Waiting for something to become true. No test sleeps in the hope that something has happened meanwhile.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen at once may take before a test fails. Long, because the machine may
/// be building something else; a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until `ready` gives a value; fails the test after [`PATIENCE`], saying what was awaited.
#[track_caller]
pub fn eventually<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, ready)
}

/// [`eventually`] with a limit of its own.
#[track_caller]
pub fn eventually_within<T>(limit: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

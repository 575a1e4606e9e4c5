//! Lines on their way to `$SYS/broker/log`: from the writer to the shard that publishes them.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use noctule_config::LogType;

/// Bytes of lines that may wait for the shard.
const BYTES_MAX: usize = 256 * 1024;
/// What a line costs beside its text.
const LINE_BYTES: usize = mem::size_of::<(LogType, String)>();

/// A queue that is bounded, and wakes whoever empties it. What does not fit is counted, and that is told when there is
/// room again.
#[derive(Debug, Default)]
pub struct Outlet(Mutex<State>);

#[derive(Default)]
struct State {
    lines: VecDeque<(LogType, String)>,
    bytes: usize,
    lost: u64,
    wake: Option<Box<dyn Fn() + Send>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("bytes", &self.bytes).field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl Outlet {
    /// From now on `wake` is called when there are lines; it must see to it that somebody takes them.
    pub(crate) fn attach(&self, wake: impl Fn() + Send + 'static) {
        let mut state = self.lock();
        if !state.lines.is_empty() {
            wake();
        }
        state.wake = Some(Box::new(wake));
    }

    /// Takes a line. Of packets and of the inner life of the broker none is published: publishing them would make more
    /// of them.
    pub(super) fn push(&self, kind: LogType, line: &str) {
        if matches!(kind, LogType::Debug | LogType::Internal) {
            return;
        }
        let mut state = self.lock();
        let bytes = state.bytes + line.len() + LINE_BYTES;
        if bytes > BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes = bytes;
        let was_empty = state.lines.is_empty();
        state.lines.push_back((kind, line.to_owned()));
        if was_empty && let Some(wake) = &state.wake {
            wake();
        }
    }

    /// All that waits, in its order.
    pub(crate) fn take(&self) -> VecDeque<(LogType, String)> {
        let mut state = self.lock();
        state.bytes = 0;
        let mut lines = mem::take(&mut state.lines);
        if let lost @ 1.. = mem::take(&mut state.lost) {
            let line = format!("Warning: {lost} log lines were not published because there were too many.");
            lines.push_back((LogType::Warning, line));
        }
        lines
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn it_wakes_once_for_all_that_waits_and_is_bounded() {
        let outlet = Outlet::default();
        let woken = Arc::new(AtomicUsize::new(0));
        outlet.push(LogType::Notice, "early");
        let count = Arc::clone(&woken);
        outlet.attach(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        outlet.push(LogType::Debug, "a packet");
        outlet.push(LogType::Subscribe, "a 0 b");
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let line = |kind, text: &str| (kind, text.to_owned());
        assert_eq!(outlet.take(), [line(LogType::Notice, "early"), line(LogType::Subscribe, "a 0 b")]);
        outlet.push(LogType::Error, &"x".repeat(BYTES_MAX - LINE_BYTES));
        outlet.push(LogType::Error, "");
        outlet.push(LogType::Error, "");
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        let taken = outlet.take();
        assert_eq!((taken.len(), taken[0].1.len()), (2, BYTES_MAX - LINE_BYTES));
        assert!(taken[1].1.starts_with("Warning: 2 log lines"), "{}", taken[1].1);
        assert!(outlet.take().is_empty());
    }
}

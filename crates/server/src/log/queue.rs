//! Lines on their way to the writer: bounded in bytes, with a count of those that did not fit.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use noctule_broker::LogSubject;
use noctule_config::LogType;

use super::Prepared;

/// What a queued line costs beside its text.
const ENTRY_BYTES: usize = mem::size_of::<Entry>() + mem::size_of::<LogSubject>();

/// A line and when it was logged.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// Seconds since 1970.
    pub(super) seconds: i64,
    pub(super) kind: LogType,
    pub(super) line: String,
    /// Whom it is about, where that is known.
    pub(super) subject: Option<Box<LogSubject>>,
}

/// What the writer takes at a time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: VecDeque<Entry>,
    /// Lines that did not fit after these entries.
    pub(super) lost: u64,
    /// Open the log file anew before the entry at this place.
    pub(super) reopen_at: Option<usize>,
    /// Go on with other destinations from the entry at this place on.
    pub(super) switch_at: Option<(usize, Prepared)>,
    /// Nothing will follow.
    pub(super) last: bool,
}

/// The queue. Pushing never waits for the writer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Told when the writer waits and there is work.
    work: Condvar,
    /// Told when a batch has been written.
    written: Condvar,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    bytes: usize,
    /// A batch was taken and not yet reported as written.
    writing: bool,
    writer_waits: bool,
}

impl State {
    fn has_work(&self) -> bool {
        !self.batch.entries.is_empty()
            || self.batch.lost > 0
            || self.batch.reopen_at.is_some()
            || self.batch.switch_at.is_some()
            || self.batch.last
    }
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), written: Condvar::new(), bytes_max }
    }

    /// Takes a line, or counts it as lost if there is no room.
    pub(super) fn push(&self, entry: Entry) {
        self.add(entry, self.bytes_max);
    }

    /// Takes a line even if there is no room.
    pub(super) fn push_always(&self, entry: Entry) {
        self.add(entry, usize::MAX);
    }

    fn add(&self, entry: Entry, bytes_max: usize) {
        let mut state = self.lock();
        let bytes = state.bytes + entry.line.len() + ENTRY_BYTES;
        if bytes > bytes_max || state.batch.last {
            state.batch.lost += 1;
        } else {
            state.bytes = bytes;
            state.batch.entries.push_back(entry);
        }
        self.wake_writer(&mut state);
    }

    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        state.batch.reopen_at = Some(state.batch.entries.len());
        self.wake_writer(&mut state);
    }

    pub(super) fn switch(&self, to: Prepared) {
        let mut state = self.lock();
        // They are open already.
        state.batch.reopen_at = None;
        state.batch.switch_at = Some((state.batch.entries.len(), to));
        self.wake_writer(&mut state);
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.batch.last = true;
        self.wake_writer(&mut state);
    }

    /// What is there, at once. Report it with [`Self::report_written`].
    pub(super) fn take(&self) -> Batch {
        Self::take_from(&mut self.lock())
    }

    /// Waits until there is something. Report it with [`Self::report_written`].
    pub(super) fn wait(&self) -> Batch {
        let mut state = self.lock();
        while !state.has_work() {
            state.writer_waits = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer_waits = false;
        Self::take_from(&mut state)
    }

    fn take_from(state: &mut State) -> Batch {
        state.writing = true;
        state.bytes = 0;
        let last = state.batch.last;
        mem::replace(&mut state.batch, Batch { last, ..Batch::default() })
    }

    /// The batch taken last is written.
    pub(super) fn report_written(&self) {
        self.lock().writing = false;
        self.written.notify_all();
    }

    /// Waits until every line so far is written; tells whether it was in time.
    pub(super) fn wait_written(&self, timeout: Duration) -> bool {
        let unwritten = |state: &mut State| state.writing || !state.batch.entries.is_empty();
        let waited = self.written.wait_timeout_while(self.lock(), timeout, unwritten);
        let (_state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    fn wake_writer(&self, state: &mut State) {
        if mem::take(&mut state.writer_waits) {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process; the state is consistent between any two statements that could.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str) -> Entry {
        Entry { seconds: 0, kind: LogType::Error, line: line.to_owned(), subject: None }
    }

    fn lines(batch: &Batch) -> Vec<&str> {
        batch.entries.iter().map(|entry| entry.line.as_str()).collect()
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = Queue::new(2 * (ENTRY_BYTES + 1));
        for line in ["a", "b", "c", "d"] {
            queue.push(entry(line));
        }
        let batch = queue.take();
        assert_eq!(lines(&batch), ["a", "b"]);
        assert_eq!(batch.lost, 2);

        queue.push(entry("e"));
        let batch = queue.take();
        assert_eq!(lines(&batch), ["e"]);
        assert_eq!(batch.lost, 0);
    }

    #[test]
    fn a_fatal_line_finds_room() {
        let queue = Queue::new(ENTRY_BYTES);
        queue.push(entry(""));
        queue.push_always(entry("the disk is gone"));
        assert_eq!(lines(&queue.take()), ["", "the disk is gone"]);
    }

    #[test]
    fn written_means_reported() {
        let queue = Queue::new(1000);
        assert!(queue.wait_written(Duration::ZERO));
        queue.push(entry("a"));
        assert!(!queue.wait_written(Duration::ZERO), "still queued");
        let _batch = queue.take();
        assert!(!queue.wait_written(Duration::ZERO), "taken only");
        queue.report_written();
        assert!(queue.wait_written(Duration::ZERO));
    }

    #[test]
    fn a_closed_queue_ends_the_writer_after_what_was_there() {
        let queue = Queue::new(1000);
        queue.push(entry("a"));
        queue.close();
        queue.push(entry("late"));
        let batch = queue.wait();
        assert!(batch.last);
        assert_eq!(lines(&batch), ["a"]);
    }
}

//! What SIGUSR1 asks for: to be told when all up to now is on the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use noctule_storage::Ticket;

use crate::Notice;

/// Nobody asks. No ticket is that high.
const NONE: u64 = u64::MAX;

/// A ticket that the main thread waits for.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    asked: AtomicU64,
    notify: Sender<Notice>,
}

impl Checkpoint {
    /// [`Notice::Saved`] goes to `notify`.
    pub(crate) const fn new(notify: Sender<Notice>) -> Self {
        Self { asked: AtomicU64::new(NONE), notify }
    }

    /// Asks to be told once that ticket is durable. Whoever asked before, and was not told, is told with this.
    /// To be followed by [`durable`](Self::durable) with what is so already.
    pub(crate) fn ask(&self, ticket: Ticket) {
        self.asked.store(ticket.number(), Ordering::SeqCst);
    }

    /// All up to that ticket is durable.
    pub(crate) fn durable(&self, up_to: Ticket) {
        let reached = |asked: u64| (asked <= up_to.number()).then_some(NONE);
        if self.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, reached).is_ok() {
            // Nobody listens any more when the broker was dropped.
            let _ = self.notify.send(Notice::Saved);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use noctule_storage::{Batch, Pipeline, Urgency};

    use super::*;

    #[test]
    fn who_asked_is_told_once_and_not_early() {
        let pipeline = Pipeline::immediate();
        let ticket = || pipeline.push(Batch::new(), Urgency::Sync).unwrap();
        let (first, second, third) = (ticket(), ticket(), ticket());
        let (notify, notices) = channel();
        let checkpoint = Checkpoint::new(notify);
        checkpoint.durable(first);
        checkpoint.ask(second);
        checkpoint.durable(first);
        assert!(notices.try_recv().is_err());
        checkpoint.durable(third);
        checkpoint.durable(third);
        assert!(matches!(notices.try_iter().collect::<Vec<_>>()[..], [Notice::Saved]));
    }
}

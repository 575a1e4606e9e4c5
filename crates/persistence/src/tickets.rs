//! Two numberings of the same batches.

use std::collections::VecDeque;

use noctule_broker::{Ticket, Urgency};

/// One shard's batches that wait for the store: the store numbers the batches of all shards, a shard its own.
#[derive(Debug, Default)]
pub struct Tickets {
    /// Pushed and not known to be durable.
    waiting: VecDeque<(noctule_storage::Ticket, Ticket)>,
    /// The last of them that is known to be written.
    flushed: Option<Ticket>,
}

/// What became of a shard's batches since it was last asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// The last that the operating system has and that is not durable.
    pub flushed: Option<Ticket>,
    /// The last that is durable.
    pub durable: Option<Ticket>,
}

impl Tickets {
    /// The store took the shard's batch `ticket` as its `pushed`. Both are higher than all before.
    pub fn pushed(&mut self, pushed: noctule_storage::Ticket, ticket: Ticket) {
        self.waiting.push_back((pushed, ticket));
    }

    /// What is new since the last call, when the store has written all up to `flushed` and synced all up to `durable`.
    pub fn take(&mut self, flushed: noctule_storage::Ticket, durable: noctule_storage::Ticket) -> Stored {
        let mut stored = Stored::default();
        while let Some((_, ticket)) = self.waiting.pop_front_if(|(pushed, _)| *pushed <= durable) {
            stored.durable = Some(ticket);
        }
        if flushed > durable {
            let count = self.waiting.partition_point(|(pushed, _)| *pushed <= flushed);
            let last = count.checked_sub(1).map(|at| self.waiting[at].1);
            stored.flushed = last.filter(|last| self.flushed.replace(*last) != Some(*last));
        }
        stored
    }

    /// Whether no batch waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What the core waits for, in the store's words.
pub const fn urgency(urgency: Urgency) -> noctule_storage::Urgency {
    match urgency {
        Urgency::Lazy => noctule_storage::Urgency::Lazy,
        Urgency::Flush => noctule_storage::Urgency::Flush,
        Urgency::Sync => noctule_storage::Urgency::Sync,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use noctule_storage::{Batch, CommitQueue};

    use super::*;

    #[test]
    fn two_shards_get_their_own_tickets_back() {
        let mut queue = CommitQueue::new(1 << 20);
        let none = queue.durable_up_to();
        let (mut one, mut two) = (Tickets::default(), Tickets::default());
        let mut push = || queue.push(Batch::new(), noctule_storage::Urgency::Sync, Duration::ZERO);
        let [first, second, third] = [push(), push(), push()];
        one.pushed(first, Ticket(7));
        two.pushed(second, Ticket(1));
        one.pushed(third, Ticket(8));
        let stored = |flushed: Option<u64>, durable: Option<u64>| Stored {
            flushed: flushed.map(Ticket),
            durable: durable.map(Ticket),
        };
        assert_eq!(one.take(second, none), stored(Some(7), None));
        assert_eq!(one.take(second, none), stored(None, None), "told once");
        assert_eq!(one.take(third, second), stored(Some(8), Some(7)));
        assert_eq!((two.take(third, second), two.is_empty()), (stored(None, Some(1)), true));
        assert_eq!((one.take(third, third), one.is_empty()), (stored(None, Some(8)), true));
    }
}

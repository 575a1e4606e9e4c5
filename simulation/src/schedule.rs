//! What happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::network::{End, LinkNumber};

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// An end of a link has something to look at: bytes, their end, room, or that the link is lost.
    Look(LinkNumber, End),
    /// A shard of the broker takes its turn.
    Turn(usize),
    /// A client does what is due.
    Client(usize),
    /// The storage thread of this process looks what is due.
    StoreWakes(u64),
    /// What it was writing is written.
    Committed(u64),
    /// This start of the broker reads more of what is retained.
    Load(u32),
    /// Something goes wrong.
    Fault,
    /// The broker process begins.
    Start,
    /// Nothing goes wrong from now on.
    Calm,
}

/// Events in the order of their times, and those of one time in the order in which they were planned.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

impl Schedule {
    /// Plans an event.
    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// Takes the next event.
    pub(crate) fn next(&mut self) -> Option<(Duration, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_then_by_plan() {
        let mut schedule = Schedule::default();
        let at = Duration::from_secs;
        schedule.plan(at(2), Event::Fault);
        schedule.plan(at(1), Event::Turn(0));
        schedule.plan(at(2), Event::Calm);
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, [(at(1), Event::Turn(0)), (at(2), Event::Fault), (at(2), Event::Calm)]);
    }
}

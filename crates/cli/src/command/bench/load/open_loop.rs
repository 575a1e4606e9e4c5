//! The open loop: messages fall due whatever became of those before, and none of them is forgotten.

use super::super::messages::Timed;
use super::super::pace::Pace;
use super::{Load, nanoseconds};

impl Load {
    /// Shares the messages that are due by now among the publishers, one each in turn.
    pub(super) fn schedule(&mut self, due: u64) {
        let due = due.min(self.scheduled.saturating_add(self.left));
        while self.scheduled < due {
            let place = (self.scheduled % self.publishers.len() as u64) as usize;
            let publisher = &mut self.publishers[place];
            publisher.due += 1;
            if !publisher.is_pending {
                publisher.is_pending = true;
                self.pending.push(place);
            }
            self.scheduled += 1;
        }
    }

    /// Counts what was due and was never published, and records how late it was in the end: at least that late it would
    /// have come. Left out, a broker that does not keep up would look the quicker the more it leaves undone.
    pub(super) fn record_unpublished(&mut self, pace: &Pace, begin_ns: u64, end_ns: u64) {
        let publishers = self.publishers.len() as u64;
        for (place, publisher) in (0..).zip(&self.publishers) {
            self.unpublished += publisher.due.saturating_sub(publisher.window.sent);
            if self.timed == Timed::Delivery {
                for sequence in publisher.window.sent..publisher.due {
                    let due_ns = begin_ns + nanoseconds(pace.offset(sequence * publishers + place));
                    self.latency.record_for(end_ns.saturating_sub(due_ns), self.audience.fan_out().into());
                }
            }
        }
    }
}

//! The cursors of this shard's sessions: changed with each acknowledgement of what others still wait for, stored now and
//! then.

use std::time::Duration;

use super::{Shard, Turn};
use crate::message::{Message, SessionNumber};
use crate::moment::Moment;
use crate::record::{Cursor, Lane, List, Operation, Place};
use crate::session::{Delivery, Session};
use crate::timer::Timer;

/// So long a cursor is not stored after it has changed: till then it may change often. What is lost of it in a crash is
/// sent once more with DUP 1.
const LAG: Duration = Duration::from_millis(500);

/// A session's cursor, and what must be done about it.
#[derive(Default)]
pub(crate) struct KeptCursor {
    pub(crate) cursor: Cursor,
    /// Whether it is not stored as it is.
    is_changed: bool,
}

/// Sessions whose cursor is to be stored.
#[derive(Default)]
pub(super) struct Cursors {
    /// With the changes of this turn.
    due: Vec<u32>,
    /// When the timer is due.
    changed: Vec<(u32, SessionNumber)>,
    /// When that is.
    at: Option<Moment>,
}

/// How a session is done with a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    /// It took it off its queue, or could send it at once.
    Taken(u32),
    /// It did not take it when it came.
    NotTaken(u32),
    /// It is over, or the copy has a row of its own.
    Elsewhere,
}

impl Delivery {
    /// Where its copy stands, if that is in a list.
    fn listed(&self) -> Option<(Lane, Place)> {
        let copy = self.copy()?;
        let list = self.message.list_of(copy)?;
        Some(place(&self.message, list, copy))
    }
}

/// Where a copy of a list stands.
pub(super) fn place(message: &Message, list: List, copy: u32) -> (Lane, Place) {
    let sequence = message.sequence();
    (Lane { source: sequence.source, list }, Place { counter: sequence.counter, copy })
}

impl Session {
    /// What to store of its cursor.
    fn cursor_record(&mut self) -> Option<Cursor> {
        let Self { seldom, outgoing, .. } = self;
        let kept = seldom.get().cursor.as_ref()?;
        let in_flight = outgoing.messages_mut().filter_map(|flight| flight.delivery.as_ref()?.listed());
        Some(kept.cursor.record(in_flight))
    }
}

impl Shard {
    /// A session is done with a copy of a list, and others are not.
    pub(super) fn move_cursor(&mut self, message: &Message, list: List, copy: u32, done: Done) {
        let (slot, is_taken) = match done {
            Done::Taken(slot) => (slot, true),
            Done::NotTaken(slot) => (slot, false),
            Done::Elsewhere => return,
        };
        let Self { sessions, cursors, .. } = self;
        // Of a session that is not stored nothing comes back.
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return };
        if !session.stored {
            return;
        }
        let (lane, place) = place(message, list, copy);
        let behind = || {
            let (sequence, copy) = session.queue.last()?;
            Some((sequence, copy.unwrap_or(u32::MAX)))
        };
        let behind = if is_taken { None } else { behind() };
        let number = session.address.number;
        session.seldom.change(|things| {
            let kept = things.cursor.get_or_insert_default();
            match is_taken {
                true => kept.cursor.settle(lane, place),
                false => kept.cursor.drop_arriving(lane, place, behind),
            }
            if !std::mem::replace(&mut kept.is_changed, true) {
                cursors.changed.push((slot, number));
            }
        });
    }

    /// As it was stored.
    pub(super) fn restore_cursor(&mut self, slot: u32, cursor: Cursor) {
        if let Some(session) = self.session_mut(slot) {
            let kept = Box::new(KeptCursor { cursor, is_changed: false });
            session.seldom.change(|things| things.cursor = Some(kept));
        }
    }

    /// A session's cursor is stored with this turn's changes.
    pub(super) fn store_cursor_now(&mut self, slot: u32) {
        self.cursors.due.push(slot);
    }

    /// Stores the cursors of this turn, and sees to it that the others are.
    pub(super) fn store_due_cursors(&mut self) {
        for slot in std::mem::take(&mut self.cursors.due) {
            self.store_cursor(slot);
        }
    }

    /// Sees to it that cursors that have changed are stored some time.
    pub(super) fn arm_cursors(&mut self, turn: &Turn<'_>) {
        let Self { cursors, timers, .. } = self;
        if !cursors.changed.is_empty() && cursors.at.is_none() {
            let at = Moment::from(turn.now.monotonic + LAG);
            timers.arm(at, Timer::Cursors);
            cursors.at = Some(at);
        }
    }

    /// Stores all cursors that have changed.
    pub(super) fn store_cursors(&mut self) {
        if let Some(at) = self.cursors.at.take() {
            self.timers.disarm(at, Timer::Cursors);
        }
        for (slot, number) in std::mem::take(&mut self.cursors.changed) {
            if self.session(slot).is_some_and(|session| session.address.number == number) {
                self.store_cursor(slot);
            }
        }
    }

    fn store_cursor(&mut self, slot: u32) {
        let Some(session) = self.session_mut(slot) else { return };
        let is_changed = session.seldom.take(|things| {
            let kept = things.cursor.as_mut()?;
            std::mem::take(&mut kept.is_changed).then_some(())
        });
        if is_changed.is_none() || !session.stored {
            return;
        }
        let session_number = session.address.number;
        if let Some(cursor) = session.cursor_record() {
            self.persist_lazily(Operation::PutCursor { session: session_number, cursor });
        }
    }
}

//! Queues that are longer than memory should hold: what stands behind is on disk only, and is read when its turn comes.

use std::collections::VecDeque;

use super::cursors::Done;
use super::{Shard, Turn};
use crate::effect::Effect;
use crate::memory::Pressure;
use crate::message::{Copies, Message, SessionNumber, Settled};
use crate::record::{Found, Operation, ReadError, Wanted};
use crate::session::{Delivery, First, Place, QueueHead, Queued, Stub, Stubs};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::unloaded::{Outcome, Unloaded};

/// Copies of ended sessions that are taken off the books in one turn.
const LEAVING_STEPS: usize = 1_000;
/// How often a copy is looked for where it may have just gone to and from.
const SETTLE_TRIES: usize = 10_000;
/// Messages asked for at a time, at most.
const PAGE_MAX: usize = 512;
/// What each queue may keep in memory when that is short.
const HEAD_UNDER_PRESSURE: QueueHead = QueueHead { messages: 20, bytes: 16 * 1024 };

/// What is left to do at the end of a turn.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Sessions whose queues have grown too long.
    pub(super) long: Vec<u32>,
    /// Copies that are done with, of messages that others have on disk only.
    watched: Vec<(Message, u32)>,
    /// What sessions that ended had on disk only.
    leaving: VecDeque<Stubs>,
}

impl Spill {
    pub(super) fn has_work(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// A session ended, with this.
    pub(super) fn leave(&mut self, stubs: Stubs) {
        if !stubs.is_empty() {
            self.leaving.push_back(stubs);
        }
    }
}

impl Shard {
    /// The copy's end must be counted where others are known to be on disk: soon, in this turn.
    pub(super) fn settle_later(&mut self, message: &Message, copy: u32, done: Done) {
        // The cursor at once: it says what stood last in the queue, and more may come to that until then. If this turns out
        // to be the last copy, its place is not looked at any more.
        if let Some(list) = message.list_of(copy) {
            self.move_cursor(message, list, copy, done);
        }
        self.spill.watched.push((message.clone(), copy));
    }

    /// Counts the copies that are done with where others are known to be on disk.
    pub(super) fn settle_watched(&mut self, shared: &Shared) {
        for (message, copy) in std::mem::take(&mut self.spill.watched) {
            let others = || Settled { listed: message.list_of(copy), is_last: false, has_list: true };
            // One of the two has it, but it can go from one to the other between them. If neither had it, it would be kept
            // rather than deleted too early.
            let settled = (0..SETTLE_TRIES)
                .find_map(|_| message.settle(copy).or_else(|| shared.unloaded.settle(&message).then(others)));
            self.settled(&message, copy, settled.unwrap_or_else(others), Done::Elsewhere);
        }
    }

    /// At the end of a turn, when all records of this turn are made: no message gets a new copy without somebody who has
    /// one in memory.
    pub(super) fn spill(&mut self, shared: &Shared) {
        self.settle_watched(shared);
        self.go_on_leaving(shared);
        let head = self.queue_head();
        for slot in std::mem::take(&mut self.spill.long) {
            self.cut_queue(slot, head, shared);
        }
    }

    /// How much of a queue may be in memory now.
    fn queue_head(&self) -> QueueHead {
        head(&self.settings, self.thrift.pressure)
    }

    fn cut_queue(&mut self, slot: u32, head: QueueHead, shared: &Shared) {
        let Some(session) = self.session_mut(slot) else { return };
        session.queue.cut(head, |delivery| place(delivery, &shared.unloaded));
    }

    /// Memory is short: queues keep less of what is on disk as well.
    pub(super) fn cut_all_queues(&mut self, shared: &Shared) {
        if self.settings.queue_head == QueueHead::ALL {
            return;
        }
        let head = self.queue_head();
        for slot in 0..self.sessions.len() as u32 {
            if self.session_mut(slot).is_some_and(|session| session.queue.outgrew(head)) {
                self.cut_queue(slot, head, shared);
            }
        }
    }

    /// Asks for what a session has on disk only, if its turn comes near.
    pub(super) fn read_on(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let head = self.queue_head();
        let Some(session) = self.session_mut(slot).filter(|session| session.connection.is_some()) else {
            return;
        };
        let number = session.address.number;
        let (low, most) = (head.messages / 2, (head.messages / 2).clamp(1, PAGE_MAX));
        let wanted = session.queue.next_to_read(low, most).iter().map(|stub| Wanted {
            sequence: stub.sequence,
            copy: stub.copy,
            has_identifiers: stub.has_identifiers,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        if !wanted.is_empty() {
            turn.effects.push(Effect::ReadQueue { slot, session: number, wanted });
        }
    }

    /// What was asked for is there, or the first of it.
    pub(super) fn queue_read(
        &mut self,
        (slot, number): (u32, SessionNumber),
        found: Vec<Found>,
        error: Option<ReadError>,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session_mut(slot).filter(|session| session.address.number == number) else {
            return;
        };
        if let Some(error) = error {
            return turn.effects.push(Effect::StoreIsDamaged(error));
        }
        let lasts = session.lasts();
        // What its client was not to find again is not stored any more, or it would be overtaken by what never was.
        let mut over = Vec::new();
        let stubs = session.queue.take_read(found.len());
        let deliveries = stubs.into_iter().zip(found).map(|(stub, found)| {
            let Found { message, identifiers } = found;
            debug_assert_eq!(stub.sequence, message.sequence());
            let message = if stub.is_only {
                message.restore_copies(Copies { open: 1, made: 1, list: None });
                message
            } else {
                turn.shared.unloaded.take(message)
            };
            let mut delivery = Delivery::new(message, stub.qos, stub.retain, Queued::Limited);
            delivery = delivery.through(&identifiers, None);
            if lasts {
                delivery.set_copy(Some(stub.copy));
            } else {
                over.push((delivery.message.clone(), stub.copy));
            }
            delivery
        });
        session.queue.load(deliveries);
        for (message, copy) in over {
            self.settle_copy(&message, Some(copy), Done::Elsewhere);
        }
        self.pump(slot, turn);
    }

    /// Takes off the books what ended sessions had on disk only, a part a turn.
    fn go_on_leaving(&mut self, shared: &Shared) {
        for _ in 0..LEAVING_STEPS {
            let Some(first) = self.spill.leaving.front_mut() else { return };
            match first.pop() {
                Some(First::Stub(stub)) => self.settle_stub(stub, &shared.unloaded),
                Some(First::Held(_)) => {}
                None => drop(self.spill.leaving.pop_front()),
            }
        }
    }

    fn settle_stub(&mut self, stub: Stub, unloaded: &Unloaded) {
        let Stub { sequence, copy, is_only, .. } = stub;
        if is_only {
            self.persist_lazily(Operation::DeleteRecipient { sequence, copy });
            self.persist_lazily(Operation::DeleteMessage { sequence, has_list: false });
        } else if unloaded.settle_unread(sequence) == Outcome::Last {
            self.persist_lazily(Operation::DeleteMessage { sequence, has_list: true });
        }
        // Where others wait: its session is gone, so its copy in the list is not open.
    }
}

fn head(settings: &Settings, pressure: Pressure) -> QueueHead {
    let QueueHead { messages, bytes } = settings.queue_head;
    if pressure < Pressure::ShrinkCaches || settings.queue_head == QueueHead::ALL {
        return settings.queue_head;
    }
    QueueHead {
        messages: messages.min(HEAD_UNDER_PRESSURE.messages),
        bytes: bytes.min(HEAD_UNDER_PRESSURE.bytes),
    }
}

/// Where a delivery goes that there is no room for. Only what is stored can be read again; and what others may take away
/// stays at hand, with every copy of its message that is in no list.
fn place(delivery: &Delivery, unloaded: &Unloaded) -> Place {
    let Some(copy) = delivery.copy() else { return Place::Memory };
    let copies = delivery.message.copies();
    let is_only = copies.made == 1;
    let is_listed = delivery.message.list_of(copy).is_some();
    if delivery.kind != Queued::Limited || delivery.group().is_some() || !(is_only || is_listed) {
        return Place::Memory;
    }
    if !is_only {
        unloaded.put_away(&delivery.message);
    }
    Place::Disk(Stub {
        sequence: delivery.message.sequence(),
        copy,
        qos: delivery.qos,
        retain: delivery.retain,
        has_identifiers: !delivery.identifiers().is_empty(),
        is_only,
    })
}

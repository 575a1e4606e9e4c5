//! Messages of which some copies are on disk only.

use std::collections::HashMap;

use ahash::RandomState;

use crate::message::{Copies, Message, Sequence};
use crate::record::List;
use crate::sync::{Mutex, lock};

/// How many copies are open of each message that several sessions wait for, some of them without having it in memory.
///
/// A stored message goes with its last acknowledgement. As long as all who wait for it have it in memory, it counts its
/// copies itself. Where some of them know only where it stands, it is one of these:
///
/// ```text
///            first copy to disk                last copy in memory goes
///  counted ────────────────────▶ present ───────────────────────────────▶ away
///  by itself ◀──────────────────          ◀──────────────────────────────
///            last copy from disk               first copy from disk
/// ```
///
/// *Present*: the message is in memory with some session, and counts all copies, those on disk too; whoever reads it
/// finds it here, so that it is in memory once. *Away*: how many copies are open is kept here without it, some 40 bytes for a
/// message. All steps are taken under one lock, and so is the end of a copy of a message that is
/// present; the message itself knows that it is so, and others take no lock.
///
/// A message that only one session ever waited for is none of these: nobody else can have it.
#[derive(Debug)]
pub(crate) struct Unloaded(Mutex<Table>);

#[derive(Debug)]
struct Table {
    present: HashMap<Sequence, Present, RandomState>,
    away: HashMap<Sequence, Away, RandomState>,
}

#[derive(Debug)]
struct Present {
    message: Message,
    /// Copies that are on disk only.
    on_disk: u32,
}

/// A message of which nothing is in memory. All its copies that are open stand in its list: to others nobody can add any
/// more, so how many were made need not be known.
#[derive(Clone, Copy, Debug)]
struct Away {
    open: u32,
    list: Option<List>,
}

/// A message that was away was made for several: as many as it takes not to be taken for one that only one session knows.
const MADE_BEFORE: u32 = 2;

/// What became of a copy that was settled here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Others are open.
    Others,
    /// It was the last: the record can go, with its list.
    Last,
}

impl Unloaded {
    pub(crate) fn new(hasher: RandomState) -> Self {
        let present = HashMap::with_hasher(hasher.clone());
        Self(Mutex::new(Table { present, away: HashMap::with_hasher(hasher) }))
    }

    /// A copy of this message, which is open, is on disk only from now on. Not to be called for a message that has no other.
    pub(crate) fn put_away(&self, message: &Message) {
        let mut table = lock(&self.0);
        let sequence = message.sequence();
        let on_disk = match table.present.get_mut(&sequence) {
            Some(present) => {
                present.on_disk += 1;
                present.on_disk
            }
            None => {
                message.set_watched(true);
                table.present.insert(sequence, Present { message: message.clone(), on_disk: 1 });
                1
            }
        };
        table.let_go(message, on_disk);
    }

    /// The message of a copy that was on disk only, and is in memory from now on. `read` is what was read.
    pub(crate) fn take(&self, read: Message) -> Message {
        let mut table = lock(&self.0);
        let sequence = read.sequence();
        if let Some(present) = table.present.get_mut(&sequence) {
            present.on_disk -= 1;
            let message = present.message.clone();
            if present.on_disk == 0 {
                table.present.remove(&sequence);
                message.set_watched(false);
            }
            return message;
        }
        let Away { open, list } = table.remove_away(sequence);
        read.restore_copies(Copies { open, made: MADE_BEFORE, list });
        if open > 1 {
            read.set_watched(true);
            table.present.insert(sequence, Present { message: read.clone(), on_disk: open - 1 });
        }
        read
    }

    /// A copy that is on disk only is done with.
    pub(crate) fn settle_unread(&self, sequence: Sequence) -> Outcome {
        let mut table = lock(&self.0);
        if let Some(present) = table.present.get_mut(&sequence) {
            // Its session has another in memory, so this is not the last.
            present.message.settle_watched();
            present.on_disk -= 1;
            if present.on_disk == 0 {
                present.message.set_watched(false);
                table.present.remove(&sequence);
            }
            return Outcome::Others;
        }
        let Away { open, list } = table.remove_away(sequence);
        if open <= 1 {
            return Outcome::Last;
        }
        table.away.insert(sequence, Away { open: open - 1, list });
        Outcome::Others
    }

    /// A copy in memory of a message that was watched is done with. False, and nothing done, if it is watched no more.
    pub(crate) fn settle(&self, message: &Message) -> bool {
        let mut table = lock(&self.0);
        let Some(present) = table.present.get(&message.sequence()) else { return false };
        let on_disk = present.on_disk;
        message.settle_watched();
        table.let_go(message, on_disk);
        true
    }

    /// A message as found at the start: so many copies of its list are open, and all of them on disk only.
    pub(crate) fn found(&self, sequence: Sequence, open: u32, list: Option<List>) {
        lock(&self.0).away.insert(sequence, Away { open, list });
    }

    /// The same where some of the open copies are in memory.
    pub(crate) fn found_present(&self, message: &Message, on_disk: u32) {
        message.set_watched(true);
        lock(&self.0).present.insert(message.sequence(), Present { message: message.clone(), on_disk });
    }

    /// (messages present, messages away).
    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize) {
        let table = lock(&self.0);
        (table.present.len(), table.away.len())
    }
}

impl Table {
    /// Forgets the message itself if no copy that is open is in memory.
    fn let_go(&mut self, message: &Message, on_disk: u32) {
        let Copies { open, list, .. } = message.copies();
        if open == on_disk {
            self.present.remove(&message.sequence());
            self.away.insert(message.sequence(), Away { open, list });
        }
    }

    fn remove_away(&mut self, sequence: Sequence) -> Away {
        let away = self.away.remove(&sequence);
        debug_assert!(away.is_some(), "{sequence:?} is not away");
        // It is; if it were not, it would be kept rather than deleted too early.
        away.unwrap_or(Away { open: 2, list: None })
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::collections::BTreeMap;

    use noctule_protocol::QoS;
    use proptest::prelude::*;

    use super::*;
    use crate::message::{MessageView, SessionNumber};
    use crate::settings::Settings;
    use crate::shared::hasher;

    fn message(counter: u64) -> Message {
        let view = MessageView {
            topic: "t",
            payload: b"x",
            properties: &[],
            qos: QoS::AtLeastOnce,
            retain: false,
            expires: None,
            publisher: SessionNumber(1),
        };
        view.to_message(Sequence { source: 1 + (counter % 2) as u32, counter })
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        PutAway,
        Read,
        Settle,
    }

    /// What a session has of a message.
    #[derive(Debug)]
    enum Copy {
        InMemory(Message),
        OnDisk,
        Done,
    }

    /// True if that was the last copy.
    fn settle(unloaded: &Unloaded, message: &Message, copy: u32) -> bool {
        loop {
            if let Some(settled) = message.settle(copy) {
                return settled.is_last;
            }
            if unloaded.settle(message) {
                return false;
            }
        }
    }

    proptest! {
        /// Whatever each of its sessions does: a message ends with its last copy.
        #[test]
        fn a_message_ends_with_its_last_copy(
            copies in 2..5_u32,
            steps in prop::collection::vec(
                (0..6_u64, 0..5_u32, prop_oneof![Just(Step::PutAway), Just(Step::Read), Just(Step::Settle)]),
                0..200,
            ),
        ) {
            let unloaded = Unloaded::new(hasher(&Settings::default()));
            let mut held = BTreeMap::new();
            for counter in 0..6 {
                let message = message(counter);
                for copy in 0..copies {
                    prop_assert_eq!(message.add_copy(false), copy);
                    held.insert((counter, copy), Copy::InMemory(message.clone()));
                }
                message.list_copies(List::Prompt);
            }
            let rest = (0..6).flat_map(|counter| (0..copies).map(move |copy| (counter, copy, Step::Settle)));
            for (counter, copy, step) in steps.into_iter().chain(rest) {
                let key = (counter, copy % copies);
                let now = held.remove(&key).expect("all are there");
                let (then, ended) = match (step, now) {
                    (Step::PutAway, Copy::InMemory(message)) => {
                        unloaded.put_away(&message);
                        (Copy::OnDisk, false)
                    }
                    (Step::Read, Copy::OnDisk) => (Copy::InMemory(unloaded.take(self::message(counter))), false),
                    (Step::Settle, Copy::InMemory(message)) => {
                        (Copy::Done, settle(&unloaded, &message, key.1))
                    }
                    (Step::Settle, Copy::OnDisk) => {
                        let sequence = self::message(counter).sequence();
                        (Copy::Done, unloaded.settle_unread(sequence) == Outcome::Last)
                    }
                    (_, now) => (now, false),
                };
                let was_open = matches!(step, Step::Settle) && !matches!(held.get(&key), Some(Copy::Done));
                held.insert(key, then);
                let all_done = (0..copies).all(|copy| matches!(held[&(counter, copy)], Copy::Done));
                if ended {
                    prop_assert!(all_done);
                    // Once.
                    (0..copies).for_each(|copy| drop(held.insert((counter, copy), Copy::Done)));
                    held.insert((counter, u32::MAX), Copy::Done);
                } else if all_done && was_open {
                    prop_assert!(held.contains_key(&(counter, u32::MAX)), "nobody ended it");
                }
                // Whoever has it in memory has the same.
                let mut in_memory = (0..copies).filter_map(|copy| match &held[&(counter, copy)] {
                    Copy::InMemory(message) => Some(message.payload().as_ptr()),
                    _ => None,
                });
                if let Some(first) = in_memory.next() {
                    prop_assert!(in_memory.all(|other| other == first));
                }
            }
            prop_assert_eq!(unloaded.len(), (0, 0));
        }
    }
}

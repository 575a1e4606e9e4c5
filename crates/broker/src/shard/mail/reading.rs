//! Parcels from other shards: read in their order, as much as a turn allows.

use crate::message::{Publication, SHARED_COPY};
use crate::parcel::{DELIVERY_OVERHEAD, Letter, Parcel, Publishing, RunPublishing, Sender};
use crate::router::Destination;
use crate::shard::connection::Pauses;
use crate::shard::deliver::Recording;
use crate::shard::{Shard, Turn, publish_run};

/// A parcel, and how far it is dealt with.
pub(super) struct Unread {
    parcel: Parcel,
    letter: usize,
    /// Targets of that letter that were served.
    target: usize,
    /// Copies of that letter that were used.
    copies: u32,
}

impl Unread {
    pub(super) fn new(parcel: Parcel) -> Self {
        Self { parcel, letter: 0, target: 0, copies: 0 }
    }
}

impl Shard {
    /// Takes a parcel, and reads as much of it as this turn allows.
    pub(in crate::shard) fn receive(&mut self, parcel: Parcel, turn: &mut Turn<'_>) {
        self.mail.unread.push_back(Unread::new(parcel));
        self.read_mail(turn);
        self.meet_members();
    }

    /// Who joined a group, or came, or went, is known at once, though the mail before that has to wait: the client has
    /// its answer, and what somebody publishes next must find it.
    fn meet_members(&mut self) {
        let Some(Unread { parcel, letter, .. }) = self.mail.unread.back_mut() else { return };
        // The one at hand may have been read in part.
        let is_begun = parcel.letters.get(*letter).is_some_and(|letter| !letter.is_about_members());
        let rest = parcel.letters.split_off(*letter + usize::from(is_begun));
        let (members, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(Letter::is_about_members);
        parcel.letters.extend(rest);
        for letter in members {
            self.meet(&letter);
        }
    }

    /// Takes notice of how a member of a group here is.
    fn meet(&mut self, letter: &Letter) {
        match letter {
            Letter::Joined(member) => self.member_joined(member),
            Letter::Present { membership, client, lasts, window } => {
                self.member_present(membership, client, *lasts, *window);
                if window.is_none() {
                    self.recall(membership);
                }
            }
            Letter::Left { membership } => self.member_left(membership),
            Letter::Full { membership, is_full } => self.member_full(membership, *is_full),
            Letter::Publication(_)
            | Letter::Run(_)
            | Letter::Grouped { .. }
            | Letter::Finished { .. }
            | Letter::Returned(_)
            | Letter::Refused(_)
            | Letter::Placed(_)
            | Letter::Recalled { .. }
            | Letter::IsThereRoom(_)
            | Letter::ThereIsRoom(_) => {}
        }
    }

    /// Reads mail in its order, as much as this turn allows.
    pub(in crate::shard) fn read_mail(&mut self, turn: &mut Turn<'_>) {
        while self.mail.turn_bytes > 0
            && let Some(mut unread) = self.mail.unread.pop_front()
        {
            if !self.read_parcel(&mut unread, turn) {
                self.mail.unread.push_front(unread);
            }
        }
    }

    /// False if something is left.
    fn read_parcel(&mut self, unread: &mut Unread, turn: &mut Turn<'_>) -> bool {
        let from = unread.parcel.from;
        while let Some(letter) = unread.parcel.letters.get(unread.letter) {
            if self.mail.turn_bytes == 0 {
                return false;
            }
            self.mail.turn_bytes = self.mail.turn_bytes.saturating_sub(letter.cost());
            match letter {
                Letter::Publication(_) => {
                    if !self.read_publication(unread, turn) {
                        return false;
                    }
                }
                Letter::Run(publishing) => self.read_run_letter(&unread.parcel, publishing, turn),
                Letter::Grouped { .. } => self.read_grouped(&unread.parcel, unread.letter, turn),
                Letter::Finished { membership, messages } => self.member_finished(membership, *messages),
                Letter::Returned(delivery) => self.take_back(delivery, turn),
                Letter::Refused(delivery) => self.find_room(delivery, turn),
                Letter::Placed(delivery) => self.place(delivery, turn),
                Letter::Recalled { membership, room } => self.give_up(membership, *room),
                Letter::Joined(_) | Letter::Present { .. } | Letter::Left { .. } | Letter::Full { .. } => {
                    self.meet(letter);
                }
                Letter::IsThereRoom(way) => {
                    let way = *way;
                    self.answer_question(from, way);
                }
                Letter::ThereIsRoom(way) => {
                    let way = *way;
                    self.there_is_room(from, way, turn);
                }
            }
            (unread.letter, unread.target, unread.copies) = (unread.letter + 1, 0, 0);
        }
        true
    }

    /// Delivers one message to its targets. False if some are left for another turn.
    fn read_publication(&mut self, unread: &mut Unread, turn: &mut Turn<'_>) -> bool {
        let Unread { parcel, letter, target, copies } = unread;
        let Some(Letter::Publication(publishing)) = parcel.letters.get(*letter) else { return true };
        let Publishing { message, targets, first_copy, sender } = publishing;
        let mut publication = parcel.publication(message);
        let bytes = publication.view.topic.len() + publication.view.payload.len() + DELIVERY_OVERHEAD;
        while let Some(next) = targets.get(*target) {
            if self.mail.turn_bytes == 0 {
                return false;
            }
            self.mail.turn_bytes = self.mail.turn_bytes.saturating_sub(bytes);
            *target += 1;
            if !publication.reaches(next) {
                continue;
            }
            let copy = match first_copy {
                Some(first) if Self::is_recorded(next, &publication) => {
                    *copies += 1;
                    let copy = *first + *copies - 1;
                    Some(match next.to {
                        Destination::Session(_) => copy,
                        Destination::Group(_) => copy | SHARED_COPY,
                    })
                }
                Some(_) | None => None,
            };
            self.serve(next, &mut publication, Recording::Made(copy), turn);
        }
        if let Some(Sender { client_id, connection }) = sender {
            self.mail.end_own(client_id);
            if let Some(connection) = *connection {
                self.resume_reading(connection, Pauses::OWN_FAN_OUT, turn);
            }
        }
        true
    }

    /// Delivers messages that came together, as many as one turn may: their sender has seen to that.
    fn read_run_letter(&mut self, parcel: &Parcel, publishing: &RunPublishing, turn: &mut Turn<'_>) {
        let (run, publisher, sequence) = parcel.run(publishing);
        let Some(first) = run.packets().next() else { return };
        let first = Publication::borrowed(publish_run::view(&first, publisher), sequence);
        let bytes = run.bytes().len() + run.len() * DELIVERY_OVERHEAD;
        let cost = bytes.saturating_mul(publishing.targets.len());
        self.mail.turn_bytes = self.mail.turn_bytes.saturating_sub(cost);
        self.deliver_run(&run, &publishing.targets, &first, turn);
    }
}

//! Between shards: what was gathered for the others in this turn, and what came from them.
//!
//! Nobody ever waits for another shard. A shard that has sent much to another asks whether there is room
//! ([`Letter::IsThereRoom`]); until the answer comes, it does not read those of its clients that feed it. Who owns a group
//! answers when what it passed on to members elsewhere has arrived there; about that it asks apart, and such a question
//! is answered at once, so that the answers never wait for each other.
//! A message for very many sessions is a letter to oneself: it is delivered a part at a time, and what its publisher
//! sends next waits behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::RandomState;
use noctule_protocol::packet::PublishRun;

use super::connection::Pauses;
use super::deliver::Recording;
use super::{Map, Shard, Turn, publish_run};
use crate::effect::Effect;
use crate::input::ConnectionKey;
use crate::message::Publication;
use crate::parcel::{
    Carried, DELIVERY_OVERHEAD, Letter, Parcel, Publishing, RunPublishing, Sender, ShardIndex, Way,
};
use crate::router::{Destination, Target};
use crate::session::Membership;
use crate::settings::Settings;

/// A shard's mail.
pub(super) struct Mail {
    index: ShardIndex,
    /// By shard.
    outgoing: Vec<Outgoing>,
    unread: VecDeque<Unread>,
    /// Bytes under way to another shard above which the clients that feed it are not read; above a quarter of them it
    /// is asked whether there is room.
    bytes_max: usize,
    /// Bytes of deliveries that mail may cause in one turn; the rest goes on in the next one.
    turn_bytes_max: usize,
    /// What may still be delivered in this turn.
    turn_bytes: usize,
    /// Who asked and is not answered yet: messages of groups are under way to members on a shard that is behind.
    owed: Vec<ShardIndex>,
    /// The shard that has more of those under way than it should, if it got one lately.
    fed_by_group: Option<ShardIndex>,
    /// Letters to oneself that are not dealt with, by the Client Identifier of their publisher.
    own: Map<Arc<str>, usize>,
}

/// What is on its way to one other shard.
struct Outgoing {
    parcel: Parcel,
    /// Bytes of the parcel that are counted under their way.
    counted: usize,
    direct: UnderWay,
    grouped: UnderWay,
}

/// What is on one way there.
#[derive(Default)]
struct UnderWay {
    /// Bytes of this turn's parcel.
    gathered: usize,
    /// Bytes sent, without an answer that they were dealt with.
    sent: usize,
    /// How many of them the answer that is awaited will be about.
    asked_about: Option<usize>,
    /// Whose bytes wait for it.
    waiting: Vec<ConnectionKey>,
}

impl Outgoing {
    fn new(from: ShardIndex) -> Self {
        Self {
            parcel: Parcel::new(from),
            counted: 0,
            direct: UnderWay::default(),
            grouped: UnderWay::default(),
        }
    }

    fn push(&mut self, letter: Letter) {
        let way = letter.way();
        self.parcel.push(letter);
        let bytes = self.parcel.bytes();
        let added = bytes - std::mem::replace(&mut self.counted, bytes);
        self.way_mut(way).gathered += added;
    }

    fn way_mut(&mut self, way: Way) -> &mut UnderWay {
        match way {
            Way::Direct => &mut self.direct,
            Way::Grouped => &mut self.grouped,
        }
    }

    /// Gives this turn's parcel, with a question if much is under way.
    fn hand_out(&mut self, ask_from: usize) -> Option<Parcel> {
        for way in [Way::Direct, Way::Grouped] {
            let under_way = self.way_mut(way);
            under_way.sent += std::mem::take(&mut under_way.gathered);
            if under_way.sent > ask_from && under_way.asked_about.is_none() {
                under_way.asked_about = Some(under_way.sent);
                self.parcel.push(Letter::IsThereRoom(way));
            }
        }
        self.counted = 0;
        if self.parcel.is_empty() {
            return None;
        }
        let next = Parcel::after(&self.parcel);
        Some(std::mem::replace(&mut self.parcel, next))
    }
}

impl UnderWay {
    fn bytes(&self) -> usize {
        self.sent + self.gathered
    }
}

/// A parcel, and how far it is dealt with.
struct Unread {
    parcel: Parcel,
    letter: usize,
    /// Targets of that letter that were served.
    target: usize,
    /// Copies of that letter that were used.
    copies: u32,
}

impl Mail {
    pub(super) fn new(index: ShardIndex, shards: u16, settings: &Settings, hasher: RandomState) -> Self {
        // One delivery is made in any case.
        let turn_bytes_max = settings.fan_out_bytes_max.max(1);
        Self {
            index,
            outgoing: (0..shards.max(1)).map(|_| Outgoing::new(index)).collect(),
            unread: VecDeque::new(),
            bytes_max: settings.mail_bytes_max,
            turn_bytes_max,
            turn_bytes: turn_bytes_max,
            owed: Vec::new(),
            fed_by_group: None,
            own: Map::with_hasher(hasher),
        }
    }

    /// Puts a letter into this turn's parcel for a shard.
    pub(super) fn post(&mut self, to: ShardIndex, letter: Letter) {
        let Some(outgoing) = self.outgoing.get_mut(to.get()) else { return };
        outgoing.push(letter);
        if outgoing.grouped.bytes() > self.bytes_max {
            self.fed_by_group = Some(to);
        }
    }

    /// Counts messages that a member has done with; several in a row are one letter.
    pub(super) fn post_finished(&mut self, to: ShardIndex, membership: &Arc<Membership>) {
        let Some(outgoing) = self.outgoing.get_mut(to.get()) else { return };
        match outgoing.parcel.letters.last_mut() {
            Some(Letter::Finished { membership: last, messages }) if Arc::ptr_eq(last, membership) => {
                *messages += 1;
            }
            _ => {
                let membership = Arc::clone(membership);
                outgoing.push(Letter::Finished { membership, messages: 1 });
            }
        }
    }

    /// A message as a letter carries it: shared if it is kept anyway, or long and for several shards.
    pub(super) fn carry(
        &mut self,
        to: ShardIndex,
        publication: &mut Publication<'_>,
        share: bool,
    ) -> Carried {
        match self.outgoing.get_mut(to.get()) {
            Some(outgoing) if !share && !publication.is_kept() => outgoing.parcel.pack(publication),
            Some(_) | None => {
                let retained_version = publication.retained_version;
                Carried::Kept { message: publication.keep(), retained_version }
            }
        }
    }

    /// Hands out this turn's parcels.
    pub(super) fn hand_out(&mut self, effects: &mut Vec<Effect>) {
        self.turn_bytes = self.turn_bytes_max;
        for (to, outgoing) in self.outgoing.iter_mut().enumerate() {
            let to = ShardIndex(to as u16);
            // Nobody asks himself.
            let ask_from = if to == self.index { usize::MAX } else { self.bytes_max / 4 };
            let Some(parcel) = outgoing.hand_out(ask_from) else { continue };
            if to == self.index {
                (outgoing.direct, outgoing.grouped) = Default::default();
                self.unread.push_back(Unread::new(parcel));
            } else {
                effects.push(Effect::Send { to, parcel });
            }
        }
    }

    /// Whether more messages of groups are under way to some shard than should be.
    fn has_busy_members(&self) -> bool {
        self.outgoing.iter().any(|outgoing| outgoing.grouped.bytes() > self.bytes_max)
    }

    /// Whether there are other shards.
    pub(super) fn has_others(&self) -> bool {
        self.outgoing.len() > 1
    }

    /// Whether mail was left for another turn.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Whether a message is still being passed on a part at a time.
    pub(super) fn has_any_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether one of this client is.
    pub(super) fn has_own(&self, client_id: &str) -> bool {
        self.own.contains_key(client_id)
    }

    /// Posts a message to oneself.
    pub(super) fn post_own(&mut self, client_id: &Arc<str>, publishing: Publishing) {
        *self.own.entry(Arc::clone(client_id)).or_default() += 1;
        self.post(self.index, Letter::Publication(publishing));
    }

    /// One of them is dealt with.
    fn end_own(&mut self, client_id: &str) {
        if let Some(count) = self.own.get_mut(client_id) {
            *count -= 1;
            if *count == 0 {
                self.own.remove(client_id);
            }
        }
    }
}

impl Unread {
    fn new(parcel: Parcel) -> Self {
        Self { parcel, letter: 0, target: 0, copies: 0 }
    }
}

impl Shard {
    /// Takes a parcel, and reads as much of it as this turn allows.
    pub(super) fn receive(&mut self, parcel: Parcel, turn: &mut Turn<'_>) {
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
            Letter::Present { membership, lasts, window } => {
                self.member_present(membership, *lasts, *window);
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
    pub(super) fn read_mail(&mut self, turn: &mut Turn<'_>) {
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
                Some(first) if self.is_recorded(next, &publication) => {
                    *copies += 1;
                    Some(*first + *copies - 1)
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

    /// Gives a message to whom a target names.
    pub(super) fn serve(
        &mut self,
        target: &Target,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) {
        match target.to {
            Destination::Session(address) => {
                self.deliver(address, target, None, publication, recording, turn);
            }
            Destination::Group(group) => self.deliver_to_group(group, publication, recording, turn),
        }
    }

    /// Posts a message to a shard. Gives whether that shard has more under way than it should: then its publisher
    /// is not read for a while.
    pub(super) fn forward(&mut self, to: ShardIndex, publishing: Publishing) -> bool {
        self.mail.post(to, Letter::Publication(publishing));
        let outgoing = self.mail.outgoing.get(to.get());
        outgoing.is_some_and(|outgoing| outgoing.direct.bytes() > self.mail.bytes_max)
    }

    /// The same for messages that came together, of which `first` is the first one.
    pub(super) fn forward_run(
        &mut self,
        to: ShardIndex,
        run: &PublishRun<'_>,
        targets: &Arc<[Target]>,
        first: &Publication<'_>,
    ) -> bool {
        let Some(outgoing) = self.mail.outgoing.get_mut(to.get()) else { return false };
        let letter = outgoing.parcel.pack_run(run, targets, first);
        outgoing.push(letter);
        outgoing.direct.bytes() > self.mail.bytes_max
    }

    /// The shard that got something of a group since this was asked last, and has more of them under way than it should.
    pub(super) fn fed_by_group(&mut self) -> Option<ShardIndex> {
        self.mail.fed_by_group.take()
    }

    /// Does not read a connection until `to` has caught up.
    pub(super) fn wait_for_room(
        &mut self,
        key: ConnectionKey,
        to: ShardIndex,
        way: Way,
        turn: &mut Turn<'_>,
    ) {
        let waits = self.connection(key).is_none_or(|other| other.pauses.contains(Pauses::BUSY_SHARD));
        if let Some(outgoing) = self.mail.outgoing.get_mut(to.get()).filter(|_| !waits) {
            outgoing.way_mut(way).waiting.push(key);
            self.pause(key, Pauses::BUSY_SHARD, turn);
        }
    }

    /// Everything before the question is dealt with; what went on to members of groups may have to arrive first.
    fn answer_question(&mut self, from: ShardIndex, way: Way) {
        if way == Way::Direct && self.mail.has_busy_members() {
            self.mail.owed.push(from);
        } else {
            self.mail.post(from, Letter::ThereIsRoom(way));
        }
    }

    fn there_is_room(&mut self, from: ShardIndex, way: Way, turn: &mut Turn<'_>) {
        let Some(outgoing) = self.mail.outgoing.get_mut(from.get()) else { return };
        let under_way = outgoing.way_mut(way);
        let dealt_with = under_way.asked_about.take().unwrap_or(0);
        under_way.sent = under_way.sent.saturating_sub(dealt_with);
        let waiting = std::mem::take(&mut under_way.waiting);
        for key in waiting {
            self.resume_reading(key, Pauses::BUSY_SHARD, turn);
        }
        if !self.mail.has_busy_members() {
            for asker in std::mem::take(&mut self.mail.owed) {
                self.mail.post(asker, Letter::ThereIsRoom(Way::Direct));
            }
        }
    }
}

//! Between shards: what was gathered for the others in this turn, and what came from them.
//!
//! Nobody ever waits for another shard. A shard that has sent much to another asks whether there is room
//! ([`Letter::IsThereRoom`]); until the answer comes, it does not read those of its clients that feed it. Who owns a group
//! answers when what it passed on to members elsewhere has arrived there; about that it asks apart, and such a question
//! is answered at once, so that the answers never wait for each other.
//! A message for very many sessions is a letter to oneself: it is delivered a part at a time, and what its publisher
//! sends next waits behind it.

mod reading;

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::RandomState;
use noctule_protocol::packet::PublishRun;

use reading::Unread;

use super::connection::Pauses;
use super::deliver::Recording;
use super::{Map, Shard, Turn};
use crate::effect::Effect;
use crate::input::ConnectionKey;
use crate::message::Publication;
use crate::parcel::{Carried, Letter, Parcel, Publishing, ShardIndex, Way};
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

impl Mail {
    pub(super) fn new(index: ShardIndex, shards: u16, settings: &Settings, hasher: RandomState) -> Self {
        let turn_bytes_max = turn_bytes_max(settings);
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

    /// Obeys new settings, from the next turn on.
    pub(super) fn change_settings(&mut self, settings: &Settings) {
        self.bytes_max = settings.mail_bytes_max;
        self.turn_bytes_max = turn_bytes_max(settings);
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

/// What mail may cause in one turn: one delivery in any case.
fn turn_bytes_max(settings: &Settings) -> usize {
    settings.fan_out_bytes_max.max(1)
}

impl Shard {
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

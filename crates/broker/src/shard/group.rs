//! Shared subscriptions, at the shard that owns a group: each message goes to one member [MQTT-4.8.2-3], wherever the
//! member's session lives.

use std::sync::Arc;

use noctule_protocol::QoS;

use super::deliver::{Recording, granted, may_send};
use super::{Map, Shard, Turn};
use crate::message::{Publication, SessionNumber};
use crate::metric::Metric;
use crate::parcel::{Letter, Member, Parcel};
use crate::record::{Operation, Recipient};
use crate::retained::Version;
use crate::router::{Audience, Destination, GroupAddress, Target};
use crate::session::{Delivery, Identifiers, Membership, Queued};

/// Members that are looked at for one message.
const LOOKS_MAX: usize = 64;

/// The groups a shard owns, by their numbers.
pub(super) struct Groups {
    groups: Map<u64, Group>,
    hasher: ahash::RandomState,
}

struct Group {
    /// Those with a connection, then those without.
    seats: Vec<Seat>,
    /// How many have a connection.
    connected: usize,
    places: Map<SessionNumber, usize>,
    /// Whose turn it is, among those with a connection and among those without.
    next: [usize; 2],
    /// Whether a member's session outlives its connection, or one's did.
    lasts: bool,
}

struct Seat {
    member: Member,
    /// QoS 1 and 2 messages that a member on another shard has and is not done with.
    outstanding: u32,
}

/// How well a member can take a message; the best comes first.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Readiness {
    /// Can be sent now.
    Free,
    /// Connected, with this much waiting.
    Busy(usize),
    /// Without connection, with this much waiting; its session lasts.
    Absent(usize),
}

impl Groups {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self { groups: Map::with_hasher(hasher.clone()), hasher }
    }

    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }

    fn seat_mut(&mut self, membership: &Membership) -> Option<&mut Seat> {
        let group = self.groups.get_mut(&membership.group.number)?;
        let place = *group.places.get(&membership.member.number)?;
        group.seats.get_mut(place)
    }
}

impl Group {
    fn new(hasher: ahash::RandomState) -> Self {
        Self { seats: Vec::new(), connected: 0, places: Map::with_hasher(hasher), next: [0, 0], lasts: false }
    }

    fn join(&mut self, member: Member) {
        self.lasts |= member.lasts;
        let number = member.membership.member.number;
        match self.places.get(&number) {
            Some(&place) => self.seats[place].member = member.clone(),
            None => {
                self.places.insert(number, self.seats.len());
                self.seats.push(Seat { member: Member { window: None, ..member.clone() }, outstanding: 0 });
            }
        }
        self.seat(number, member.window);
    }

    /// Seats a member among those with a connection, or among the others.
    fn seat(&mut self, number: SessionNumber, window: Option<u16>) {
        let Some(&place) = self.places.get(&number) else { return };
        let was_connected = place < self.connected;
        self.seats[place].member.window = window;
        match (was_connected, window.is_some()) {
            (false, true) => {
                self.swap(place, self.connected);
                self.connected += 1;
            }
            (true, false) => {
                self.connected -= 1;
                self.swap(place, self.connected);
            }
            (false, false) | (true, true) => {}
        }
    }

    fn leave(&mut self, number: SessionNumber) {
        self.seat(number, None);
        if let Some(place) = self.places.remove(&number) {
            self.seats.swap_remove(place);
            if let Some(moved) = self.seats.get(place) {
                self.places.insert(moved.member.membership.member.number, place);
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.seats.swap(a, b);
        for place in [a, b] {
            self.places.insert(self.seats[place].member.membership.member.number, place);
        }
    }
}

impl Member {
    fn target(&self, group_lasts: bool) -> Target {
        Target {
            to: Destination::Session(self.membership.member),
            qos: self.options.qos,
            audience: Audience::Everybodys,
            retain_as_published: self.options.retain_as_published,
            lasts: group_lasts,
            since: Version::ZERO,
            identifiers: Identifiers::from_wire(self.identifier),
        }
    }
}

impl Shard {
    /// Adds a session to a group, or changes its options.
    pub(super) fn member_joined(&mut self, member: &Member) {
        let Groups { groups, hasher } = &mut self.groups;
        let group = groups.entry(member.membership.group.number);
        group.or_insert_with(|| Group::new(hasher.clone())).join(member.clone());
    }

    /// A member got a connection, or lost it.
    pub(super) fn member_present(&mut self, membership: &Membership, lasts: bool, window: Option<u16>) {
        if let Some(group) = self.groups.groups.get_mut(&membership.group.number) {
            group.seat(membership.member.number, window);
        }
        if let Some(seat) = self.groups.seat_mut(membership) {
            seat.member.lasts = lasts;
        }
    }

    /// Takes a session out of a group; the last one out ends it.
    pub(super) fn member_left(&mut self, membership: &Membership) {
        let number = membership.group.number;
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        group.leave(membership.member.number);
        if group.seats.is_empty() {
            self.groups.groups.remove(&number);
        }
    }

    /// A member on another shard is done with so many messages.
    pub(super) fn member_finished(&mut self, membership: &Membership, messages: u32) {
        if let Some(seat) = self.groups.seat_mut(membership) {
            seat.outstanding = seat.outstanding.saturating_sub(messages);
        }
    }

    /// Whether another member has a connection.
    pub(super) fn has_other_connected(&self, membership: &Membership) -> bool {
        self.groups.groups.get(&membership.group.number).is_some_and(|group| {
            let own = group.places.get(&membership.member.number);
            group.connected > usize::from(own.is_some_and(|&place| place < group.connected))
        })
    }

    /// Gives a message to one member.
    pub(super) fn deliver_to_group(
        &mut self,
        group: GroupAddress,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) {
        let view = publication.view;
        match self.choose(group, view.qos, view.payload.len(), None) {
            // What is recorded for the group as a whole may stay so.
            Some((_, member)) if !member.lasts => {
                self.give_new(&member, publication, recording, false, turn);
            }
            Some((_, member)) => self.give(&member, publication, recording, false, turn),
            None => {
                self.count(Metric::DroppedNoMember);
                if let Recording::Made(copy @ Some(_)) = recording {
                    self.settle_copy(&publication.keep(), copy);
                }
            }
        }
    }

    /// Gives a message to a member, wherever it is. What was recorded for the group as a whole, or for another member,
    /// is recorded for this one instead. `let_in` says that another member had it.
    fn give(
        &mut self,
        member: &Member,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        let_in: bool,
        turn: &mut Turn<'_>,
    ) {
        match recording {
            Recording::Make(recipients) => {
                self.give_new(member, publication, Recording::Make(recipients), let_in, turn);
            }
            Recording::Made(None) => {
                self.give_new(member, publication, Recording::Made(None), let_in, turn);
            }
            Recording::Made(old) => {
                let mut recipients = Vec::new();
                self.give_new(member, publication, Recording::Make(&mut recipients), let_in, turn);
                let message = publication.keep();
                for recipient in recipients {
                    let sequence = message.sequence();
                    self.persist_lazily(Operation::AddRecipient { sequence, recipient });
                }
                // The new recipient before the old one is let go: the record must not be deleted between.
                self.settle_copy(&message, old);
            }
        }
    }

    fn give_new(
        &mut self,
        member: &Member,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        let_in: bool,
        turn: &mut Turn<'_>,
    ) {
        let Member { membership, .. } = member;
        let group = self.groups.groups.get(&membership.group.number);
        let lasts = group.is_some_and(|group| group.lasts);
        let target = member.target(lasts);
        if membership.member.shard == self.index {
            let address = membership.member;
            return self.deliver(address, &target, Some(membership), publication, recording, turn);
        }
        let qos = granted(&self.settings, publication.view.qos, target.qos);
        let copy = match recording {
            Recording::Made(copy) => copy,
            Recording::Make(recipients) if qos != QoS::AtMostOnce && (member.lasts || lasts) => {
                let copy = publication.keep().add_copy();
                let number = membership.member.number;
                recipients.push(Recipient {
                    copy,
                    session: if member.lasts { number } else { SessionNumber::GROUP },
                    qos,
                    retain: target.retain_as_published && publication.view.retain,
                    identifiers: target.identifiers.clone(),
                    group: Some(Arc::clone(&membership.filter)),
                });
                Some(copy)
            }
            Recording::Make(_) => None,
        };
        if qos != QoS::AtMostOnce
            && let Some(seat) = self.groups.seat_mut(membership)
        {
            seat.outstanding += 1;
        }
        let shard = membership.member.shard;
        let letter = if let_in && qos != QoS::AtMostOnce {
            let retain = target.retain_as_published && publication.view.retain;
            let mut delivery = Delivery::new(publication.keep(), qos, retain, Queued::Limited)
                .through(&target.identifiers, Some(membership));
            delivery.set_copy(copy);
            Letter::Placed(Box::new(delivery))
        } else {
            let message = self.mail.carry(shard, publication, false);
            Letter::Grouped { member: Box::new(member.clone()), message, copy }
        };
        self.mail.post(shard, letter);
    }

    /// A message for a session here, by way of a group of another shard.
    pub(super) fn read_grouped(&mut self, parcel: &Parcel, letter: usize, turn: &mut Turn<'_>) {
        let Some(Letter::Grouped { member, message, copy }) = parcel.letters.get(letter) else { return };
        let mut publication = parcel.publication(message);
        let membership = &member.membership;
        let (address, target) = (membership.member, member.target(true));
        let qos = granted(&self.settings, publication.view.qos, target.qos);
        let is_here = self.session(address.slot).is_some_and(|session| session.address == address);
        if is_here || qos == QoS::AtMostOnce {
            let recording = Recording::Made(*copy);
            self.deliver(address, &target, Some(membership), &mut publication, recording, turn);
        } else {
            // It left meanwhile; another member may take it.
            let delivery = Delivery::returned(publication.keep(), membership, qos, *copy);
            self.give_back(delivery);
        }
    }

    /// The member to take the next message: in turn among those that can send it now, else the one with the
    /// least waiting, else a lasting one without connection.
    fn choose(
        &mut self,
        group: GroupAddress,
        qos: QoS,
        payload_bytes: usize,
        except: Option<SessionNumber>,
    ) -> Option<(Readiness, Member)> {
        let group = self.groups.groups.get(&group.number)?;
        let parts = [0..group.connected, group.connected..group.seats.len()];
        let mut best: Option<(Readiness, usize, usize)> = None;
        for (which, part) in parts.into_iter().enumerate() {
            for step in 0..part.len().min(LOOKS_MAX) {
                let place = part.start + (group.next[which] + step) % part.len();
                let seat = &group.seats[place];
                if except == Some(seat.member.membership.member.number) {
                    continue;
                }
                let Some(readiness) = self.readiness(seat, qos, payload_bytes) else { continue };
                if best.is_none_or(|(other, ..)| readiness < other) {
                    best = Some((readiness, which, place));
                }
                if readiness == Readiness::Free {
                    break;
                }
            }
            if best.is_some() {
                break;
            }
        }
        let (readiness, which, place) = best?;
        let member = group.seats[place].member.clone();
        let group = self.groups.groups.get_mut(&member.membership.group.number)?;
        let start = if which == 0 { 0 } else { group.connected };
        group.next[which] = place - start + 1;
        Some((readiness, member))
    }

    /// `None` if it cannot take the message at all.
    fn readiness(&self, seat: &Seat, qos: QoS, payload_bytes: usize) -> Option<Readiness> {
        let Seat { member, outstanding } = seat;
        let address = member.membership.member;
        let qos = granted(&self.settings, qos, member.options.qos);
        if address.shard != self.index {
            let waiting = *outstanding as usize;
            return match member.window {
                Some(window) if qos == QoS::AtMostOnce || *outstanding < u32::from(window) => {
                    Some(Readiness::Free)
                }
                Some(_) => Some(Readiness::Busy(waiting)),
                None if qos == QoS::AtMostOnce && !self.settings.queue_qos0_messages => None,
                None => Some(Readiness::Absent(waiting)),
            };
        }
        let session = self.session(address.slot)?;
        let waiting = session.queue.limited();
        let connection = session.connection.and_then(|key| self.connection(key));
        Some(match connection {
            Some(connection) => {
                let room = connection.backlog_bytes() < self.settings.outbox_bytes_max;
                let free = match qos {
                    QoS::AtMostOnce => connection.is_ready() && room,
                    QoS::AtLeastOnce | QoS::ExactlyOnce => {
                        session.queue.is_empty()
                            && may_send(session, connection, &self.settings, payload_bytes)
                    }
                };
                if free { Readiness::Free } else { Readiness::Busy(waiting) }
            }
            None if qos == QoS::AtMostOnce && !self.settings.queue_qos0_messages => return None,
            None => Readiness::Absent(waiting),
        })
    }

    /// A member on another shard gives a message back.
    pub(super) fn take_back(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let Some(membership) = delivery.group() else { return };
        if delivery.qos != QoS::AtMostOnce {
            self.member_finished(membership, 1);
        }
        if self.let_go_if_expired(delivery, turn) || self.give_to_other(delivery, membership, turn) {
            return;
        }
        match self.groups.seat_mut(membership) {
            // Nobody else has room for it.
            Some(seat) => {
                seat.outstanding += u32::from(delivery.qos != QoS::AtMostOnce);
                let to = membership.member.shard;
                self.mail.post(to, Letter::Placed(Box::new(delivery.clone())));
            }
            None => self.rehome_one(delivery, membership, turn),
        }
    }

    /// Gives a message to whichever other member there is; its session ended.
    pub(super) fn rehome_one(&mut self, delivery: &Delivery, from: &Membership, turn: &mut Turn<'_>) {
        if self.let_go_if_expired(delivery, turn) {
            return;
        }
        match self.choose_other(delivery, from) {
            Some((_, member)) => self.regive(delivery, &member, turn),
            None => {
                self.count(Metric::DroppedNoMember);
                self.settle_copy(&delivery.message, delivery.copy());
            }
        }
    }

    /// Gives a message to another member than `from`. False if none has room for it.
    pub(super) fn give_to_other(
        &mut self,
        delivery: &Delivery,
        from: &Membership,
        turn: &mut Turn<'_>,
    ) -> bool {
        match self.choose_other(delivery, from) {
            Some((readiness, member)) if self.has_room(readiness, &member, delivery) => {
                self.regive(delivery, &member, turn);
                true
            }
            Some(_) | None => false,
        }
    }

    /// With another member it would be a new delivery [MQTT-3.3.2-5].
    pub(super) fn let_go_if_expired(&mut self, delivery: &Delivery, turn: &Turn<'_>) -> bool {
        let is_expired = delivery.message.is_expired(turn.now.wall);
        if is_expired {
            self.count(Metric::DroppedExpired);
            self.settle_copy(&delivery.message, delivery.copy());
        }
        is_expired
    }

    fn choose_other(&mut self, delivery: &Delivery, from: &Membership) -> Option<(Readiness, Member)> {
        let message = &delivery.message;
        self.choose(from.group, message.qos(), message.payload_bytes(), Some(from.member.number))
    }

    fn has_room(&self, readiness: Readiness, member: &Member, delivery: &Delivery) -> bool {
        let (is_connected, waiting) = match readiness {
            Readiness::Free => return true,
            Readiness::Busy(waiting) => (true, waiting),
            Readiness::Absent(waiting) => (false, waiting),
        };
        let address = member.membership.member;
        let qos = granted(&self.settings, delivery.message.qos(), member.options.qos);
        if address.shard != self.index {
            // What it has by other ways only its own shard knows.
            let queue = self.settings.max_queued_messages;
            let window = member.window.map_or(0, usize::from);
            return qos != QoS::AtMostOnce && (queue == 0 || waiting < window + queue);
        }
        let Some(session) = self.session(address.slot) else { return false };
        let in_flight = (session.outgoing.in_flight(), session.flight_bytes);
        qos != QoS::AtMostOnce && session.queue.admits(&self.settings, is_connected, in_flight)
    }

    /// Gives a message that somebody had to a member. One that was not recorded so far, and must be now, begins
    /// anew: the end of its first record may be on its way.
    fn regive(&mut self, delivery: &Delivery, member: &Member, turn: &mut Turn<'_>) {
        if delivery.copy().is_some() {
            let mut publication = Publication::kept(&delivery.message);
            return self.give(member, &mut publication, Recording::Made(delivery.copy()), true, turn);
        }
        let message = delivery.message.view().to_message(self.next_sequence());
        let mut publication = Publication::kept(&message);
        let mut recipients = Vec::new();
        self.give(member, &mut publication, Recording::Make(&mut recipients), true, turn);
        if !recipients.is_empty() {
            message.list_copies();
            self.persist_lazily(Operation::PutMessage { message, recipients });
        }
    }
}

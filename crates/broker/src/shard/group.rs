//! Shared subscriptions, at the shard that owns a group: who is in it. Each message goes to one member [MQTT-4.8.2-3],
//! wherever the member's session lives: `choice` says which, `giving` gives it, and `taking_back` finds another for what
//! a member left.

use std::cell::Cell;
use std::sync::Arc;

use super::{Map, Shard};
use crate::message::{Publisher, SessionNumber};
use crate::parcel::Member;
use crate::rights::ClientRights;
use crate::session::Membership;

mod choice;
mod giving;
mod taking_back;

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
    /// Whether the outbox of a member on another shard was full when that was heard of last.
    is_full: bool,
    /// What its client may receive, where that is restricted and was asked.
    rights: Cell<Option<Box<ClientRights>>>,
    /// Whether nobody had room for what a member on another shard gave back: it is not asked for more until it comes
    /// and goes again.
    keeps: bool,
}

impl Seat {
    fn new(member: Member) -> Self {
        Self { member, outstanding: 0, is_full: false, rights: Cell::default(), keeps: false }
    }
}

impl Groups {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self { groups: Map::with_hasher(hasher.clone()), hasher }
    }

    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }

    fn seat(&self, membership: &Membership) -> Option<&Seat> {
        let group = self.groups.get(&membership.group.number)?;
        group.seats.get(*group.places.get(&membership.member.number)?)
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
            Some(&place) => {
                self.seats[place].member = member.clone();
                self.seats[place].rights.take();
            }
            None => {
                self.places.insert(number, self.seats.len());
                self.seats.push(Seat::new(Member { window: None, ..member.clone() }));
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

impl Shard {
    /// Adds a session to a group, or changes its options.
    pub(super) fn member_joined(&mut self, member: &Member) {
        let Groups { groups, hasher } = &mut self.groups;
        let group = groups.entry(member.membership.group.number);
        group.or_insert_with(|| Group::new(hasher.clone())).join(member.clone());
    }

    /// A member got a connection, or lost it.
    pub(super) fn member_present(
        &mut self,
        membership: &Membership,
        client: &Arc<Publisher>,
        lasts: bool,
        window: Option<u16>,
    ) {
        if let Some(group) = self.groups.groups.get_mut(&membership.group.number) {
            group.seat(membership.member.number, window);
        }
        if let Some(seat) = self.groups.seat_mut(membership) {
            seat.member.lasts = lasts;
            seat.member.client = Arc::clone(client);
            seat.rights.take();
            seat.is_full = false;
            seat.keeps &= window.is_none();
        }
    }

    /// A member on another shard has a full outbox, or has room again.
    pub(super) fn member_full(&mut self, membership: &Membership, is_full: bool) {
        if let Some(seat) = self.groups.seat_mut(membership) {
            seat.is_full = is_full;
        }
    }

    /// A member on another shard has one more message.
    pub(super) fn member_has(&mut self, membership: &Membership) {
        if let Some(seat) = self.groups.seat_mut(membership) {
            seat.outstanding += 1;
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
}

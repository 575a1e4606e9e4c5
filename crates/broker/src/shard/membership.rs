//! Shared subscriptions, at the shard of a member: joining, leaving, and what a member gives back.

use std::sync::Arc;

use noctule_protocol::packet::SubscriptionOptions;
use noctule_protocol::{QoS, SubscriptionFilter};

use super::{Shard, Turn};
use crate::parcel::{Letter, Member, Room};
use crate::router::{Destination, GroupAddress, SessionAddress};
use crate::session::{Delivery, Membership, Queued};

impl Shard {
    /// Adds a session to a group, or changes its options.
    pub(super) fn join_group(
        &mut self,
        filter: SubscriptionFilter<'_>,
        address: SessionAddress,
        options: SubscriptionOptions,
        identifier: u32,
        turn: &mut Turn<'_>,
    ) -> Option<Destination> {
        let window = self.window(address.slot);
        let session = self.session_mut(address.slot)?;
        let (client, lasts) = (session.retainer(), session.lasts());
        let known = session.membership(filter.as_str()).cloned();
        let joined = turn.shared.join(filter, known.is_some(), lasts, self.index);
        let group = joined.address;
        let membership =
            known.unwrap_or_else(|| Arc::new(Membership { group, member: address, filter: joined.filter }));
        if let Some(session) = self.session_mut(address.slot) {
            session.memberships.insert(Arc::clone(&membership));
        }
        let member = Member { membership, client, options, identifier, lasts, window };
        if group.shard == self.index {
            self.member_joined(&member);
        } else {
            self.mail.post(group.shard, Letter::Joined(Box::new(member)));
        }
        Some(Destination::Group(group))
    }

    /// Takes a session out of a group.
    pub(super) fn leave_group(&mut self, membership: Arc<Membership>, turn: &mut Turn<'_>) {
        let group = membership.group;
        turn.shared.leave(&membership.filter, group);
        if group.shard == self.index {
            self.member_left(&membership);
        } else {
            self.mail.post(group.shard, Letter::Left { membership });
        }
    }

    /// Tells the owners of a session's groups whether it has a connection.
    pub(super) fn tell_groups(&mut self, slot: u32) {
        let window = self.window(slot);
        let Some(session) = self.session_mut(slot) else { return };
        if session.memberships.is_empty() {
            return;
        }
        let (client, lasts) = (session.retainer(), session.lasts());
        for membership in session.memberships.iter().cloned().collect::<Vec<_>>() {
            if membership.group.shard == self.index {
                self.member_present(&membership, &client, lasts, window);
            } else {
                let to = membership.group.shard;
                let client = Arc::clone(&client);
                self.mail.post(to, Letter::Present { membership, client, lasts, window });
            }
        }
    }

    /// How many messages the session's connection takes at a time.
    fn window(&self, slot: u32) -> Option<u16> {
        let session = self.session(slot)?;
        session.connection.map(|_| session.outgoing.window())
    }

    /// A member is done with a message of its group: if another shard owns that, it wants to know.
    pub(super) fn done_with(&mut self, membership: &Arc<Membership>) {
        let owner = membership.group.shard;
        if owner != self.index {
            self.mail.post_finished(owner, membership);
        }
    }

    /// A session lost its connection: what came to it through shared subscriptions goes to members that have
    /// one. A QoS 2 message that was sent stays [MQTT-4.8.2-4].
    pub(super) fn redistribute(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(session) = self.session(slot) else { return };
        let in_groups: Vec<GroupAddress> = session
            .memberships
            .iter()
            // Whether others of a group elsewhere have a connection its owner says, see `give_up`.
            .filter(|membership| membership.group.shard == self.index && self.has_other_connected(membership))
            .map(|membership| membership.group)
            .collect();
        if in_groups.is_empty() {
            return;
        }
        let mine = |delivery: &Delivery| {
            let group = delivery.group().map(|membership| membership.group);
            group.is_some_and(|group| in_groups.binary_search(&group).is_ok())
        };
        // Only what another has room for is taken away: the rest keeps its place and its Packet Identifier.
        let in_flight = session.outgoing.iter().filter_map(|(packet_id, qos, flight)| {
            let delivery = flight?.delivery.as_ref()?;
            (qos == QoS::AtLeastOnce && mine(delivery)).then(|| (packet_id, Delivery::clone(delivery)))
        });
        let in_flight: Vec<_> = in_flight.collect();
        let queued: Vec<Delivery> = session.queue.iter().filter(|delivery| mine(delivery)).cloned().collect();
        for (packet_id, delivery) in in_flight {
            if self.part_with(delivery, turn)
                && let Some(session) = self.session_mut(slot)
                && let Some(flight) = session.outgoing.forget(packet_id)
            {
                session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes());
            }
        }
        let parted: Vec<bool> = queued.into_iter().map(|delivery| self.part_with(delivery, turn)).collect();
        if parted.contains(&true)
            && let Some(session) = self.session_mut(slot)
        {
            let mut parted = parted.into_iter();
            session.queue.extract(|delivery| mine(delivery) && parted.next() == Some(true));
        }
    }

    /// Gives one message to another member, if one has room for it.
    fn part_with(&mut self, delivery: Delivery, turn: &mut Turn<'_>) -> bool {
        let Some(membership) = delivery.group().cloned() else { return false };
        self.let_go_if_expired(&delivery, turn) || self.give_to_other(&delivery, &membership, turn)
    }

    /// Other members of a group of another shard have room for what a session has from it. If that is without connection
    /// it gives up so much, the oldest first; a QoS 2 message that was sent stays [MQTT-4.8.2-4]. The rest keeps its
    /// place and its Packet Identifier.
    pub(super) fn give_up(&mut self, membership: &Arc<Membership>, mut room: Room) {
        let (group, address) = (membership.group, membership.member);
        let session = self.session_mut(address.slot).filter(|session| session.address == address);
        let Some(session) = session.filter(|session| session.connection.is_none()) else { return };
        let mine = |delivery: &Delivery| delivery.group().is_some_and(|membership| membership.group == group);
        let in_flight = session.outgoing.iter().filter_map(|(packet_id, qos, flight)| {
            let delivery = flight?.delivery.as_ref()?;
            let goes =
                qos == QoS::AtLeastOnce && mine(delivery) && room.take(delivery.message.payload_bytes());
            goes.then_some(packet_id)
        });
        let mut given = Vec::new();
        for packet_id in in_flight.collect::<Vec<_>>() {
            if let Some(flight) = session.outgoing.forget(packet_id) {
                session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes());
                given.extend(flight.delivery.map(|delivery| *delivery));
            }
        }
        given.extend(
            session.queue.extract(|delivery| mine(delivery) && room.take(delivery.message.payload_bytes())),
        );
        let (client, lasts) = (session.retainer(), session.lasts());
        for delivery in given {
            self.give_back(delivery);
        }
        if room.messages > 0 && room.bytes == 0 {
            // There may be more, and more room.
            let membership = Arc::clone(membership);
            self.mail.post(group.shard, Letter::Present { membership, client, lasts, window: None });
        }
    }

    /// Whether a session's outbox is full: from then on the owners of its groups are told so, until it has room again.
    pub(super) fn is_full(&mut self, address: SessionAddress) -> bool {
        let key = self.session(address.slot).filter(|session| session.address == address);
        let Some(key) = key.and_then(|session| session.connection) else { return false };
        let limit = self.settings.outbox_bytes_max;
        self.connection_mut(key).is_some_and(|connection| {
            let is_full = connection.backlog_bytes() >= limit;
            connection.told_full |= is_full;
            is_full
        })
    }

    /// A session's outbox has room again, and owners of its groups think that it is full.
    pub(super) fn tell_room(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize).and_then(Option::as_deref) else { return };
        for membership in session.memberships.iter() {
            if membership.group.shard != self.index {
                self.mail.post(membership.group.shard, full(membership, false));
            }
        }
    }

    /// A message that was let in already, here or with another member.
    pub(super) fn place(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let Some(membership) = delivery.group() else { return };
        let address = membership.member;
        match self.session_mut(address.slot).filter(|session| session.address == address) {
            Some(session) => {
                let mut delivery = delivery.clone();
                delivery.kind = Queued::Limited;
                session.queue.push(delivery);
                self.pump(address.slot, turn);
            }
            None => self.give_back(delivery.clone()),
        }
    }

    /// Gives messages of shared subscriptions to other members: the session that had them ended.
    pub(super) fn rehome(&mut self, homeless: Vec<Delivery>, turn: &mut Turn<'_>) {
        for delivery in homeless {
            let Some(membership) = delivery.group().cloned() else { continue };
            if membership.group.shard == self.index {
                self.rehome_one(&delivery, &membership, turn);
            } else {
                self.give_back(delivery);
            }
        }
    }

    /// Gives a message back to the shard that owns its group.
    pub(super) fn give_back(&mut self, delivery: Delivery) {
        if let Some(owner) = delivery.group().map(|membership| membership.group.shard) {
            self.mail.post(owner, Letter::Returned(Box::new(delivery)));
        }
    }
}

/// Tells the owner of a member's group that its outbox is full, or has room again.
pub(super) fn full(membership: &Arc<Membership>, is_full: bool) -> Letter {
    Letter::Full { membership: Arc::clone(membership), is_full }
}

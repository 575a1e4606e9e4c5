//! Shared subscriptions, at the shard of a member: joining, leaving, and what a member gives back.

use std::sync::Arc;

use noctule_protocol::packet::SubscriptionOptions;
use noctule_protocol::{QoS, SubscriptionFilter};

use super::{Shard, Turn};
use crate::parcel::{Letter, Member};
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
        let session = self.session(address.slot)?;
        let (lasts, window) = (session.lasts(), self.window(address.slot));
        let known = session.membership(filter.as_str()).cloned();
        let joined = turn.shared.join(filter, known.is_some(), lasts, self.index);
        let group = joined.address;
        let membership =
            known.unwrap_or_else(|| Arc::new(Membership { group, member: address, filter: joined.filter }));
        if let Some(session) = self.session_mut(address.slot) {
            session.memberships.insert(Arc::clone(&membership));
        }
        let member = Member { membership, options, identifier, lasts, window };
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
        let Some(session) = self.session(slot) else { return };
        if session.memberships.is_empty() {
            return;
        }
        let lasts = session.lasts();
        for membership in session.memberships.iter().cloned().collect::<Vec<_>>() {
            if membership.group.shard == self.index {
                self.member_present(&membership, lasts, window);
            } else {
                let to = membership.group.shard;
                self.mail.post(to, Letter::Present { membership, lasts, window });
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
            // Whether others of a group elsewhere have a connection is for its owner to say.
            .filter(|membership| membership.group.shard != self.index || self.has_other_connected(membership))
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
        if membership.group.shard != self.index {
            self.give_back(delivery);
            return true;
        }
        self.let_go_if_expired(&delivery, turn) || self.give_to_other(&delivery, &membership, turn)
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

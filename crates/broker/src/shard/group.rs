//! Shared subscriptions: each message goes to one member [MQTT-4.8.2-3].

use std::sync::Arc;

use noctule_protocol::packet::SubscriptionOptions;
use noctule_protocol::{QoS, SubscriptionFilter};

use super::deliver::{connection_of, granted, may_send};
use super::{Map, Shard, Turn};
use crate::message::{Publication, SessionNumber};
use crate::metric::Metric;
use crate::record::{Operation, Recipient};
use crate::router::{Audience, Destination, SessionAddress, Subscriber, Target};
use crate::session::{Delivery, Identifiers};

/// The groups a shard owns, by their whole filter, `$share/` and all.
pub(super) struct Groups {
    by_filter: Map<Arc<str>, u32>,
    groups: Map<u32, Group>,
    /// The number of the next group. It is not used again when its group ends: messages that came through the
    /// old group and are still in flight must not reach another one.
    next: u32,
}

struct Group {
    filter: Arc<str>,
    members: Vec<Member>,
    /// Whose turn it is.
    next: usize,
}

#[derive(Clone, Copy)]
struct Member {
    address: SessionAddress,
    options: SubscriptionOptions,
    identifier: u32,
}

impl Member {
    fn target(&self) -> Target {
        Target {
            to: Destination::Session(self.address),
            qos: self.options.qos,
            audience: Audience::Everybodys,
            retain_as_published: self.options.retain_as_published,
            identifiers: Identifiers::from_wire(self.identifier),
        }
    }
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
        Self { by_filter: Map::with_hasher(hasher.clone()), groups: Map::with_hasher(hasher), next: 0 }
    }

    /// The whole filter of a group.
    pub(super) fn filter(&self, group: u32) -> Option<Arc<str>> {
        self.groups.get(&group).map(|group| Arc::clone(&group.filter))
    }

    /// The group with this whole filter.
    pub(super) fn find(&self, filter: &str) -> Option<u32> {
        self.by_filter.get(filter).copied()
    }
}

impl Shard {
    /// Adds a session to a group, or changes its options; gives the group.
    pub(super) fn join_group(
        &mut self,
        filter: SubscriptionFilter<'_>,
        address: SessionAddress,
        options: SubscriptionOptions,
        identifier: u32,
        turn: &mut Turn<'_>,
    ) -> u32 {
        let Groups { by_filter, groups, next } = &mut self.groups;
        let number = match by_filter.get(filter.as_str()) {
            Some(&number) => number,
            None => {
                while groups.contains_key(next) {
                    *next = next.wrapping_add(1);
                }
                let number = *next;
                *next = next.wrapping_add(1);
                let key: Arc<str> = filter.as_str().into();
                groups.insert(number, Group { filter: Arc::clone(&key), members: Vec::new(), next: 0 });
                by_filter.insert(key, number);
                let to = Destination::Group(number);
                turn.shared.subscribe(filter.filter.as_str(), |_| Subscriber {
                    to,
                    qos: QoS::ExactlyOnce,
                    no_local: false,
                    retain_as_published: false,
                    identifier: 0,
                });
                number
            }
        };
        if let Some(group) = self.groups.groups.get_mut(&number) {
            let member = Member { address, options, identifier };
            match group.members.iter_mut().find(|member| member.address == address) {
                Some(old) => *old = member,
                None => group.members.push(member),
            }
        }
        number
    }

    /// Takes a session out of a group; the last one out ends it.
    pub(super) fn leave_group(
        &mut self,
        number: u32,
        filter: &str,
        session: SessionNumber,
        turn: &mut Turn<'_>,
    ) {
        let Some(group) = self.groups.groups.get_mut(&number) else { return };
        group.members.retain(|member| member.address.number != session);
        if group.members.is_empty() {
            self.groups.groups.remove(&number);
            self.groups.by_filter.remove(filter);
            if let Ok(filter) = SubscriptionFilter::parse(filter) {
                turn.shared.unsubscribe(filter.filter.as_str(), Destination::Group(number));
            }
        }
    }

    pub(super) fn deliver_to_group(
        &mut self,
        group: u32,
        publication: &mut Publication<'_>,
        recipients: &mut Vec<Recipient>,
        turn: &mut Turn<'_>,
    ) {
        let view = publication.view;
        let Some((_, member)) = self.choose(group, view.qos, view.payload.len(), None) else {
            return self.count(Metric::DroppedNoMember);
        };
        self.deliver(member.address, &member.target(), Some(group), publication, recipients, turn);
    }

    /// The member to take the next message: in turn among those that can send it now, else the one with the
    /// least waiting, else a lasting one without connection.
    fn choose(
        &mut self,
        group: u32,
        qos: QoS,
        payload_bytes: usize,
        except: Option<SessionNumber>,
    ) -> Option<(Readiness, Member)> {
        let Self { settings, connections, sessions, groups, .. } = self;
        let group = groups.groups.get_mut(&group)?;
        let count = group.members.len();
        let mut best: Option<(Readiness, usize)> = None;
        for step in 0..count {
            let index = (group.next + step) % count;
            let member = &group.members[index];
            if except == Some(member.address.number) {
                continue;
            }
            let Some(Some(session)) = sessions.get(member.address.slot as usize) else { continue };
            let qos = granted(settings, qos, member.options.qos);
            let waiting = session.queue.limited();
            let readiness = match connection_of(connections, session) {
                Some(connection) => {
                    let room = connection.backlog_bytes() < settings.outbox_bytes_max;
                    let free = match qos {
                        QoS::AtMostOnce => connection.is_ready() && room,
                        QoS::AtLeastOnce | QoS::ExactlyOnce => {
                            session.queue.is_empty() && may_send(session, connection, settings, payload_bytes)
                        }
                    };
                    if free { Readiness::Free } else { Readiness::Busy(waiting) }
                }
                None if qos == QoS::AtMostOnce && !settings.queue_qos0_messages => continue,
                None => Readiness::Absent(waiting),
            };
            if best.is_none_or(|(other, _)| readiness < other) {
                best = Some((readiness, index));
            }
            if readiness == Readiness::Free {
                break;
            }
        }
        let (readiness, index) = best?;
        group.next = (index + 1) % count;
        Some((readiness, group.members[index]))
    }

    /// A session lost its connection: what came to it through shared subscriptions goes to members that have
    /// one. A QoS 2 message that was sent stays [MQTT-4.8.2-4].
    pub(super) fn redistribute(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(session) = self.session(slot) else { return };
        let number = session.address.number;
        let mut in_groups: Vec<u32> = session
            .subscriptions
            .iter()
            .filter_map(|(_, to)| match to {
                Destination::Group(group) => Some(group),
                Destination::Session(_) => None,
            })
            .filter(|&group| self.has_other_connected(group, number))
            .collect();
        if in_groups.is_empty() {
            return;
        }
        in_groups.sort_unstable();
        let Some(session) = self.session(slot) else { return };
        let mine =
            |delivery: &Delivery| delivery.group.is_some_and(|group| in_groups.binary_search(&group).is_ok());
        // Only what another has room for is taken away: the rest keeps its place and its Packet Identifier.
        let in_flight = session.outgoing.iter().filter_map(|(packet_id, qos, flight)| {
            let delivery = flight?.delivery.as_ref()?;
            (qos == QoS::AtLeastOnce && mine(delivery)).then(|| (packet_id, delivery.clone()))
        });
        let in_flight: Vec<_> = in_flight.collect();
        let queued: Vec<Delivery> = session.queue.iter().filter(|delivery| mine(delivery)).cloned().collect();
        for (packet_id, delivery) in in_flight {
            if self.hand_over(&delivery, number, turn)
                && let Some(session) = self.session_mut(slot)
                && let Some(flight) = session.outgoing.forget(packet_id)
            {
                session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes as usize);
            }
        }
        let handed_over: Vec<bool> =
            queued.iter().map(|delivery| self.hand_over(delivery, number, turn)).collect();
        if handed_over.contains(&true)
            && let Some(session) = self.session_mut(slot)
        {
            let mut handed_over = handed_over.into_iter();
            session.queue.extract(|delivery| mine(delivery) && handed_over.next() == Some(true));
        }
    }

    fn has_other_connected(&self, group: u32, number: SessionNumber) -> bool {
        let Some(group) = self.groups.groups.get(&group) else { return false };
        group.members.iter().any(|member| {
            member.address.number != number
                && self.session(member.address.slot).is_some_and(|session| session.connection.is_some())
        })
    }

    /// Gives messages of shared subscriptions to other members than `from`, whose session ended.
    pub(super) fn rehome(&mut self, homeless: Vec<Delivery>, from: SessionNumber, turn: &mut Turn<'_>) {
        for delivery in homeless {
            if self.let_go_if_expired(&delivery, turn) {
                continue;
            }
            match self.choose_other(&delivery, from) {
                Some((_, member)) => self.give(&delivery, &member, turn),
                None => {
                    self.count(Metric::DroppedNoMember);
                    self.settle(&delivery);
                }
            }
        }
    }

    /// Gives a message to another member than `from`. False if none has room for it.
    fn hand_over(&mut self, delivery: &Delivery, from: SessionNumber, turn: &mut Turn<'_>) -> bool {
        if self.let_go_if_expired(delivery, turn) {
            return true;
        }
        match self.choose_other(delivery, from) {
            Some((readiness, member)) if self.has_room(readiness, &member, delivery) => {
                self.give(delivery, &member, turn);
                true
            }
            Some(_) | None => false,
        }
    }

    /// With another member it would be a new delivery [MQTT-3.3.2-5].
    fn let_go_if_expired(&mut self, delivery: &Delivery, turn: &Turn<'_>) -> bool {
        let is_expired = delivery.message.view().is_expired(turn.now.wall);
        if is_expired {
            self.count(Metric::DroppedExpired);
            self.settle(delivery);
        }
        is_expired
    }

    fn choose_other(&mut self, delivery: &Delivery, from: SessionNumber) -> Option<(Readiness, Member)> {
        let message = &delivery.message;
        self.choose(delivery.group?, message.qos, message.payload.len(), Some(from))
    }

    fn has_room(&self, readiness: Readiness, member: &Member, delivery: &Delivery) -> bool {
        let is_connected = match readiness {
            Readiness::Free => return true,
            Readiness::Busy(_) => true,
            Readiness::Absent(_) => false,
        };
        let qos = granted(&self.settings, delivery.message.qos, member.options.qos);
        let Some(session) = self.session(member.address.slot) else { return false };
        let in_flight = (session.outgoing.in_flight(), session.flight_bytes);
        qos != QoS::AtMostOnce && session.queue.admits(&self.settings, is_connected, in_flight)
    }

    fn give(&mut self, delivery: &Delivery, member: &Member, turn: &mut Turn<'_>) {
        let message = &delivery.message;
        let mut recipients = Vec::new();
        let mut publication = Publication::kept(message);
        let (address, target) = (member.address, member.target());
        self.deliver(address, &target, delivery.group, &mut publication, &mut recipients, turn);
        // The new recipient before the old one is let go: the record must not be deleted between.
        if message.open_copies() as usize > recipients.len() {
            let sequence = message.sequence;
            for recipient in recipients {
                self.persist_lazily(Operation::AddRecipient { sequence, recipient });
            }
        } else if !recipients.is_empty() {
            message.list_copies();
            self.persist_lazily(Operation::PutMessage { message: Arc::clone(message), recipients });
        }
        self.settle(delivery);
    }
}

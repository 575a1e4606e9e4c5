//! Which member of a group takes a message.

use noctule_protocol::QoS;

use super::Seat;
use crate::message::SessionNumber;
use crate::parcel::{Member, Room};
use crate::rights::{ClientRights, Wanted};
use crate::router::GroupAddress;
use crate::router::granted;
use crate::session::{Delivery, Membership};
use crate::settings::Rules;
use crate::shard::Shard;
use crate::shard::deliver::may_send;

/// Members that are looked at for one message, beside those that may not receive it.
const LOOKS_MAX: usize = 64;
/// Members that may not receive a message and are passed over for it. Whoever may connect may join a group, so these must
/// neither keep messages from the others nor take up a shard's time without end.
const PASSED_OVER_MAX: usize = 1024;

/// How well a member can take a message; the best comes first.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Readiness {
    /// Can be sent now.
    Free,
    /// Connected, with this much waiting.
    Busy(usize),
    /// Without connection, with this much waiting; its session lasts.
    Absent(usize),
}

impl Shard {
    /// The member to take the next message: in turn among those that can send it now, else the one with the
    /// least waiting, else a lasting one without connection. One that may not receive the topic is passed over.
    pub(super) fn choose(
        &mut self,
        group: GroupAddress,
        topic: &str,
        qos: QoS,
        payload_bytes: usize,
        except: Option<SessionNumber>,
    ) -> Option<(Readiness, Member)> {
        let number = group.number;
        let group = self.groups.groups.get(&number)?;
        let parts = [0..group.connected, group.connected..group.seats.len()];
        let mut best: Option<(Readiness, usize, usize)> = None;
        let mut passed_over = [0; 2];
        for (which, part) in parts.into_iter().enumerate() {
            let mut looks = 0;
            for step in 0..part.len() {
                let place = part.start + (group.next[which] + step) % part.len();
                let seat = &group.seats[place];
                if self.restricts && !self.member_may_receive(seat, topic) {
                    passed_over[which] += 1;
                    if passed_over[which] == PASSED_OVER_MAX {
                        break;
                    }
                    continue;
                }
                looks += 1;
                if looks > LOOKS_MAX {
                    break;
                }
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
        let Some((readiness, which, place)) = best else {
            // The next message is to look further on.
            let group = self.groups.groups.get_mut(&number)?;
            for (next, passed_over) in group.next.iter_mut().zip(passed_over) {
                *next = next.wrapping_add(passed_over);
            }
            return None;
        };
        let member = group.seats[place].member.clone();
        let group = self.groups.groups.get_mut(&number)?;
        let start = if which == 0 { 0 } else { group.connected };
        group.next[which] = place - start + 1;
        Some((readiness, member))
    }

    /// Whether the member of a group may receive messages to a topic.
    fn member_may_receive(&self, seat: &Seat, topic: &str) -> bool {
        let client = &seat.member.client;
        let rules = match self.settings.rules(client.listener) {
            Rules::None | Rules::Unknown => return true,
            Rules::Some(rules) => rules,
        };
        let names = client.names();
        let made = || Box::new(ClientRights::new(rules, names.user_name, self.generation));
        let known = seat.rights.take().filter(|rights| rights.are_of(self.generation));
        let mut rights = known.unwrap_or_else(made);
        let allowed = rights.allow(rules, names, Wanted::Read, topic);
        seat.rights.set(Some(rights));
        allowed
    }

    /// `None` if it cannot take the message at all.
    fn readiness(&self, seat: &Seat, qos: QoS, payload_bytes: usize) -> Option<Readiness> {
        let Seat { member, outstanding, is_full, .. } = seat;
        let address = member.membership.member;
        let qos = granted(self.settings.upgrade_outgoing_qos, qos, member.options.qos);
        if address.shard != self.index {
            let waiting = *outstanding as usize;
            return match member.window {
                Some(window) if !is_full && (qos == QoS::AtMostOnce || *outstanding < u32::from(window)) => {
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

    pub(super) fn choose_other(
        &mut self,
        delivery: &Delivery,
        from: &Membership,
    ) -> Option<(Readiness, Member)> {
        let message = &delivery.message;
        let except = Some(from.member.number);
        self.choose(from.group, message.topic(), message.qos(), message.payload_bytes(), except)
    }

    /// Whether a member has a connection, and room for a message that another one had.
    pub(super) fn has_room(&self, readiness: Readiness, member: &Member, delivery: &Delivery) -> bool {
        let waiting = match readiness {
            Readiness::Free => return true,
            Readiness::Busy(waiting) => waiting,
            Readiness::Absent(_) => return false,
        };
        let address = member.membership.member;
        let qos = granted(self.settings.upgrade_outgoing_qos, delivery.message.qos(), member.options.qos);
        if address.shard != self.index {
            // What it has by other ways only its own shard knows, and how many bytes wait.
            let queue = self.settings.max_queued_messages;
            let window = member.window.map_or(0, usize::from);
            return qos != QoS::AtMostOnce
                && self.settings.max_queued_bytes == 0
                && (queue == 0 || waiting < window + queue);
        }
        let Some(session) = self.session(address.slot) else { return false };
        let in_flight = (session.outgoing.in_flight(), session.flight_bytes);
        qos != QoS::AtMostOnce && session.queue.admits(&self.settings, true, in_flight)
    }

    /// Whether it is known of a member on another shard that it would have to drop the message.
    pub(super) fn would_drop(&self, readiness: Readiness, member: &Member, qos: QoS) -> bool {
        let is_elsewhere = member.membership.member.shard != self.index;
        let qos = granted(self.settings.upgrade_outgoing_qos, qos, member.options.qos);
        is_elsewhere && qos == QoS::AtMostOnce && matches!(readiness, Readiness::Busy(_))
    }

    /// About what members with a connection, other than this one, have room for.
    pub(super) fn room_beside(&self, membership: &Membership) -> Room {
        let mut room = Room::default();
        let Some(group) = self.groups.groups.get(&membership.group.number) else { return room };
        let connected = &group.seats[..group.connected];
        let first = group.next[0].min(connected.len());
        for seat in connected[first..].iter().chain(&connected[..first]).take(LOOKS_MAX) {
            if seat.member.membership.member.number != membership.member.number {
                room.add(self.room_of(seat));
            }
        }
        room
    }

    fn room_of(&self, seat: &Seat) -> Room {
        let (messages_max, bytes_max) = (self.settings.max_queued_messages, self.settings.max_queued_bytes);
        let below =
            |limit: usize, value: usize| if limit == 0 { usize::MAX } else { limit.saturating_sub(value) };
        let address = seat.member.membership.member;
        if address.shard != self.index {
            // What it has by other ways only its own shard knows, and how many bytes wait.
            let queued = if bytes_max == 0 { below(messages_max, 0) } else { 0 };
            let queued = queued.saturating_add(seat.member.window.map_or(0, usize::from));
            return Room { messages: queued.saturating_sub(seat.outstanding as usize), bytes: usize::MAX };
        }
        let Some(session) = self.session(address.slot) else { return Room::default() };
        let window = usize::from(session.outgoing.window()).saturating_sub(session.outgoing.in_flight());
        let window = if session.queue.is_empty() { window } else { 0 };
        Room {
            messages: below(messages_max, session.queue.limited()).saturating_add(window),
            bytes: below(bytes_max, session.queue.limited_bytes()),
        }
    }
}

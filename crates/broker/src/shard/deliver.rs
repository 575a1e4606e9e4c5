//! From a route to an outbox: what is sent now, what waits, what is dropped.

use std::sync::Arc;

use noctule_protocol::QoS;
use noctule_protocol::packet::PublishQoS;

use super::connection::Connection;
use super::cursors::Done;
use super::envelope::{Envelope, numbered};
use super::packet_log::PublishLine;
use super::{Shard, Turn};
use crate::effect::{LogLevel, LogSubject};
use crate::memory::Pressure;
use crate::message::{Publication, SessionNumber};
use crate::metric::Metric;
use crate::record::Recipient;
use crate::router::{SessionAddress, Target};
use crate::session::{Delivery, Flight, Membership, Queued, Session};
use crate::settings::Settings;

/// What became of one copy.
enum Fate {
    /// It waits, or is in flight, and has a place in its session.
    Taken,
    /// It went out so, and nothing of it is remembered but its Packet Identifier.
    Sent(PublishQoS),
    Dropped(Metric),
}

/// How it is recorded that somebody must have a message.
pub(super) enum Recording<'a> {
    /// Its record is being made: a copy that must be kept is added to these.
    Make(&'a mut Vec<Recipient>),
    /// Its record was made, with this copy for the recipient, if any.
    Made(Option<u32>),
}

impl Shard {
    /// Gives one copy to one session, or counts why not.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        address: SessionAddress,
        target: &Target,
        membership: Option<&Arc<Membership>>,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) {
        if self.restricts && !self.may_receive(address, publication.view.topic) {
            let qos = target.granted(publication.view.qos);
            return self.withhold(address.slot, membership, qos, publication, recording);
        }
        let is_passing =
            membership.is_none() && matches!(recording, Recording::Make(_) | Recording::Made(None));
        if !is_passing || !self.send_at_once(address, target, publication, turn) {
            self.deliver_with_care(address, target, membership, publication, recording, turn);
        }
    }

    /// Sends a copy that nobody must remember to a session that can take it now: what most deliveries are. False, and
    /// nothing done, if anything is in the way.
    #[inline]
    fn send_at_once(
        &mut self,
        address: SessionAddress,
        target: &Target,
        publication: &mut Publication<'_>,
        turn: &Turn<'_>,
    ) -> bool {
        let Self { settings, connections, sessions, pool, dirty, counts, thrift, .. } = self;
        let ready = ready_at_once(settings, thrift.pressure, sessions, connections, address);
        let Some((session, connection)) = ready else { return false };
        let view = &publication.view;
        let qos = target.granted(view.qos);
        let (sent, packet_id) = match qos {
            QoS::AtMostOnce => (PublishQoS::AtMostOnce, None),
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                if session.lasts() {
                    return false;
                }
                // It ends with its connection: nothing will ever be sent again, so nothing is kept.
                let Some(packet_id) = session.outgoing.begin_bare(qos) else { return false };
                (numbered(qos, packet_id), Some(packet_id))
            }
        };
        let retain = target.retain_as_published && view.retain;
        let envelope = Envelope { qos: sent, dup: false, retain, identifiers: &target.identifiers };
        if connection.push(&publication.view, envelope, turn.now.wall, pool, &mut publication.encoded) {
            connection.mark_dirty(dirty);
            counts.publish_sent(view.payload.len());
            return true;
        }
        if let Some(packet_id) = packet_id {
            session.outgoing.forget(packet_id);
        }
        counts.count(connection.drop_metric(view.topic));
        true
    }

    fn deliver_with_care(
        &mut self,
        address: SessionAddress,
        target: &Target,
        membership: Option<&Arc<Membership>>,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) {
        let recording = match recording {
            Recording::Made(copy @ Some(_)) if membership.is_none() && self.has_passing(address) => {
                // It lasted when it subscribed. What is recorded waits for the disk, and would be overtaken by what
                // is not.
                self.settle_copy(&publication.keep(), copy, Done::NotTaken(address.slot));
                Recording::Made(None)
            }
            recording => recording,
        };
        let copy = match recording {
            Recording::Made(copy) => copy,
            Recording::Make(_) => None,
        };
        let qos = target.granted(publication.view.qos);
        let fate = self.try_to_deliver(address, target, membership, publication, recording, turn);
        match fate {
            Fate::Taken => return self.recount(address.slot),
            Fate::Sent(sent) => {
                let view = &publication.view;
                self.counts.publish_sent(view.payload.len());
                if self.logs_packets() {
                    let (topic, payload_bytes) = (view.topic, view.payload.len());
                    let retain = target.retain_as_published && view.retain;
                    let line = PublishLine { dup: false, qos: sent, retain, topic, payload_bytes };
                    self.log_publish("Sending PUBLISH to", address.slot, line, turn);
                }
            }
            Fate::Dropped(Metric::DroppedQueueFull) => self.dropped_queue_full(address.slot, turn),
            Fate::Dropped(metric) => self.count(metric),
        }
        // Nothing is left to do for it. Unless it came from another shard, nobody knows of it.
        if copy.is_some() {
            let done = match self.session(address.slot).is_some_and(|session| session.address == address) {
                true => Done::NotTaken(address.slot),
                false => Done::Elsewhere,
            };
            self.settle_copy(&publication.keep(), copy, done);
        }
        if let (Some(membership), true) = (membership, qos != QoS::AtMostOnce) {
            self.done_with(membership);
        }
    }

    /// Whether the session at `address` ends with its connection.
    fn has_passing(&self, address: SessionAddress) -> bool {
        self.session(address.slot).is_some_and(|session| session.address == address && !session.lasts())
    }

    fn try_to_deliver(
        &mut self,
        address: SessionAddress,
        target: &Target,
        membership: Option<&Arc<Membership>>,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) -> Fate {
        let Self { settings, connections, sessions, pool, dirty, thrift, spill, .. } = self;
        let pressure = &thrift.pressure;
        let session = sessions.get_mut(address.slot as usize).and_then(Option::as_deref_mut);
        let Some(session) = session.filter(|session| session.address == address) else {
            // It ended while this was on its way.
            return Fate::Dropped(Metric::DroppedSessionEnded);
        };
        let view = publication.view;
        let qos = target.granted(view.qos);
        let retain = target.retain_as_published && view.retain;
        let mut connection = connection_of(connections, session);
        if qos == QoS::AtMostOnce
            && let Some(connection) = connection.as_deref_mut()
            && connection.is_ready()
            && !session.queue.holds_back_qos0()
        {
            let envelope = Envelope {
                qos: PublishQoS::AtMostOnce,
                dup: false,
                retain,
                identifiers: &target.identifiers,
            };
            return if Self::is_spared(*pressure, Some(connection)) {
                Fate::Dropped(Metric::DroppedMemory)
            } else if connection.backlog_bytes() >= settings.outbox_bytes_max {
                Fate::Dropped(Metric::DroppedOutboxFull)
            } else if connection.push(&view, envelope, turn.now.wall, pool, &mut publication.encoded) {
                connection.mark_dirty(dirty);
                Fate::Sent(PublishQoS::AtMostOnce)
            } else {
                Fate::Dropped(connection.drop_metric(view.topic))
            };
        }
        let kind = match (qos, &connection) {
            (QoS::AtMostOnce, Some(_)) => Queued::Behind,
            _ => Queued::Limited,
        };
        let connected = connection.is_some();
        // What a member of a group may take again is kept for the group, whichever member has it.
        let recorded_for = match &recording {
            Recording::Make(_) if qos == QoS::AtMostOnce => None,
            Recording::Make(_) if session.lasts() => Some(address.number),
            Recording::Make(_) => membership.filter(|_| target.lasts).map(|_| SessionNumber::GROUP),
            Recording::Made(_) => None,
        };
        let (mut recipients, copy) = match recording {
            Recording::Make(recipients) => (Some(recipients), None),
            Recording::Made(copy) => (None, copy),
        };
        let delivery = |publication: &mut Publication<'_>| {
            let mut delivery =
                Delivery::new(publication.keep(), qos, retain, kind).through(&target.identifiers, membership);
            delivery.set_copy(copy);
            delivery
        };
        if qos != QoS::AtMostOnce
            && session.queue.is_empty()
            && let Some(connection) = connection
            && may_send(session, connection, settings, view.payload.len())
        {
            if recorded_for.is_some() || copy.is_some() || membership.is_some() {
                let mut delivery = delivery(publication);
                let recipient = recorded_for.map(|session| add_copy(session, &mut delivery));
                if self.begin(address.slot, delivery, turn)
                    && let Some(recipients) = &mut recipients
                {
                    recipients.extend(recipient);
                }
                return Fate::Taken;
            }
            // The session ends with its connection: nothing will ever be resent, so nothing is kept.
            let begun = if settings.max_inflight_bytes == 0 {
                session.outgoing.begin_bare(qos)
            } else {
                let flight = Flight::passing(view.payload.len());
                session.flight_bytes += flight.payload_bytes();
                session.outgoing.begin(qos, flight)
            };
            let Some(packet_id) = begun else { return Fate::Taken };
            let envelope = Envelope {
                qos: numbered(qos, packet_id),
                dup: false,
                retain,
                identifiers: &target.identifiers,
            };
            if connection.push(&view, envelope, turn.now.wall, pool, &mut publication.encoded) {
                connection.mark_dirty(dirty);
                return Fate::Sent(numbered(qos, packet_id));
            }
            let flight = session.outgoing.forget(packet_id);
            session.flight_bytes -= flight.map_or(0, |flight| flight.payload_bytes());
            return Fate::Dropped(connection.drop_metric(view.topic));
        }
        if qos == QoS::AtMostOnce && !connected && !settings.queue_qos0_messages {
            return Fate::Dropped(Metric::DroppedOffline);
        }
        if qos == QoS::AtMostOnce && Self::is_spared(*pressure, None) {
            return Fate::Dropped(Metric::DroppedMemory);
        }
        let in_flight = (session.outgoing.in_flight(), session.flight_bytes);
        let admitted = match kind {
            Queued::Behind => session.queue.admits_behind(settings),
            Queued::Limited | Queued::Retained => session.queue.admits(settings, connected, in_flight),
        };
        if admitted {
            let mut delivery = delivery(publication);
            if let (Some(session), Some(recipients)) = (recorded_for, &mut recipients) {
                recipients.push(add_copy(session, &mut delivery));
            }
            session.queue.push(delivery);
            if session.queue.outgrew(settings.queue_head) {
                spill.long.push(address.slot);
            }
            Fate::Taken
        } else if kind == Queued::Behind {
            Fate::Dropped(Metric::DroppedOutboxFull)
        } else {
            Fate::Dropped(Metric::DroppedQueueFull)
        }
    }

    /// Whether a session can be sent a QoS 1 or 2 message, or can queue it.
    pub(super) fn has_place(&self, slot: u32, payload_bytes: usize) -> bool {
        let Some(session) = self.session(slot) else { return false };
        let connection = session.connection.and_then(|key| self.connection(key));
        let in_flight = (session.outgoing.in_flight(), session.flight_bytes);
        let may_be_sent = |connection| may_send(session, connection, &self.settings, payload_bytes);
        session.queue.is_empty() && connection.is_some_and(may_be_sent)
            || session.queue.admits(&self.settings, connection.is_some(), in_flight)
    }

    fn dropped_queue_full(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.count(Metric::DroppedQueueFull);
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return };
        if !std::mem::replace(&mut session.dropping, true) {
            let id = Arc::clone(&session.publisher.client_id);
            self.log_about(LogLevel::Notice, turn, || {
                let line = format!("Outgoing messages are being dropped for client {}.", id.escape_debug());
                (LogSubject { client: Some(id), ..LogSubject::default() }, line)
            });
        }
    }
}

/// Whether a QoS 1 or 2 message may go out: window, bytes in flight, and room in the outbox.
pub(super) fn may_send(
    session: &Session,
    connection: &Connection,
    settings: &Settings,
    payload_bytes: usize,
) -> bool {
    let in_flight = session.outgoing.in_flight();
    let bytes = settings.max_inflight_bytes;
    let bytes_left = bytes == 0 || in_flight == 0 || session.flight_bytes + payload_bytes <= bytes;
    connection.is_ready()
        && session.outgoing.has_room()
        && bytes_left
        && connection.backlog_bytes() < settings.outbox_bytes_max
}

/// Makes the delivery one that is stored until it is acknowledged; gives what to store of it.
pub(super) fn add_copy(session: SessionNumber, delivery: &mut Delivery) -> Recipient {
    let copy = delivery.message.add_copy(delivery.group().is_some());
    delivery.set_copy(Some(copy));
    Recipient {
        copy,
        session,
        qos: delivery.qos,
        retain: delivery.retain,
        identifiers: delivery.identifiers().clone(),
        group: delivery.group().map(|membership| Arc::clone(&membership.filter)),
    }
}

/// The session at `address` with its connection, if there is nothing that keeps a copy from being sent to it now.
#[inline]
pub(super) fn ready_at_once<'a>(
    settings: &Settings,
    pressure: Pressure,
    sessions: &'a mut [Option<Box<Session>>],
    connections: &'a mut [Option<Box<Connection>>],
    address: SessionAddress,
) -> Option<(&'a mut Session, &'a mut Connection)> {
    let session = sessions.get_mut(address.slot as usize)?.as_deref_mut()?;
    let connection = connection_of(connections, session)?;
    let is_ready = session.address.number == address.number
        && connection.held.is_empty()
        && session.queue.is_empty()
        && connection.outbox.len() < settings.outbox_bytes_max
        && settings.max_inflight_bytes == 0
        && !settings.log_levels.contains(LogLevel::Debug)
        && pressure < Pressure::DropQos0;
    is_ready.then_some((session, connection))
}

pub(super) fn connection_of<'a>(
    connections: &'a mut [Option<Box<Connection>>],
    session: &Session,
) -> Option<&'a mut Connection> {
    let key = session.connection?;
    connections.get_mut(key.index as usize)?.as_deref_mut().filter(|connection| connection.key == key)
}

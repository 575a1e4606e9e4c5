//! What waits in a session, sent as its window and its outbox have room.

use noctule_protocol::delivery::Resend;
use noctule_protocol::packet::{PublishQoS, Pubrel};
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, QoS, ReasonCode};

use super::answer::HeldPacket;
use super::connection::Connection;
use super::cursors::Done;
use super::deliver::{connection_of, may_send};
use super::envelope::numbered;
use super::packet_log::PublishLine;
use super::{Shard, Turn};
use crate::effect::LogLevel;
use crate::input::ConnectionKey;
use crate::metric::Metric;
use crate::record::{Exchange, Operation};
use crate::session::{Delivery, Flight, Queued};

impl Shard {
    /// Sends what may be sent: first what the last connection left unacknowledged, in its order
    /// [MQTT-4.4.0-1], then what waits.
    pub(super) fn pump(&mut self, slot: u32, turn: &mut Turn<'_>) {
        while self.pump_one(slot, turn) {}
        self.read_on(slot, turn);
        self.recount(slot);
    }

    /// Sends one packet, or takes one message off the queue. False if nothing more can be done now.
    fn pump_one(&mut self, slot: u32, turn: &mut Turn<'_>) -> bool {
        let Self { settings, connections, sessions, restricts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return false };
        let Some(connection) = connection_of(connections, session) else { return false };
        if !connection.is_ready() || connection.backlog_bytes() >= settings.outbox_bytes_max {
            return false;
        }
        if session.outgoing.has_resends() {
            return self.resend_one(slot, turn);
        }
        if let Some(replay) = session.queue.pop_replay() {
            return self.go_on_replaying(slot, replay, turn);
        }
        let Some(next) = session.queue.front() else {
            session.dropping &= !session.queue.is_empty();
            return false;
        };
        if next.kind == Queued::Retained && connection.held.subacks() > 0 {
            // What answers a SUBSCRIBE comes behind its SUBACK, as in Mosquitto.
            return false;
        }
        let (qos, payload_bytes) = (next.qos, next.message.payload_bytes());
        if next.message.is_expired(turn.now.wall) {
            // [MQTT-3.3.2-5]
            if let Some(delivery) = session.queue.pop() {
                self.count(Metric::DroppedExpired);
                self.settle(&delivery, Done::Taken(slot));
            }
            return true;
        }
        if *restricts {
            let message = next.message.clone();
            if !self.may_still_receive(slot, &message) {
                if let Some(delivery) = self.session_mut(slot).and_then(|session| session.queue.pop()) {
                    self.take_away(slot, delivery, true, turn);
                }
                return true;
            }
        }
        let Self { settings, connections, sessions, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return false };
        let Some(connection) = connection_of(connections, session) else { return false };
        if qos != QoS::AtMostOnce && !may_send(session, connection, settings, payload_bytes) {
            return false;
        }
        let Some(delivery) = session.queue.pop() else { return false };
        if delivery.qos == QoS::AtMostOnce {
            self.push_delivery(slot, PublishQoS::AtMostOnce, false, &delivery, turn);
            // Through a group it may have been recorded all the same: for whichever member takes it.
            self.settle_copy(&delivery.message, delivery.copy(), Done::Taken(slot));
        } else {
            self.begin(slot, delivery, turn);
        }
        true
    }

    fn resend_one(&mut self, slot: u32, turn: &mut Turn<'_>) -> bool {
        let Some(session) = self.session_mut(slot) else { return false };
        let Some(key) = session.connection else { return false };
        let resend = match session.outgoing.next_resend() {
            // The rest waits for the window.
            None => return false,
            Some(Resend::Pubrel { packet_id }) => Err(packet_id),
            Some(Resend::Publish { packet_id, message, .. }) => {
                Ok((packet_id, message.delivery.as_deref().cloned()))
            }
        };
        match resend {
            Err(packet_id) => {
                let pubrel = Pubrel { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
                self.answer(key, false, turn, |out, version| pubrel.encode(version, out));
            }
            Ok((packet_id, Some(delivery))) if !self.may_still_receive(slot, &delivery.message) => {
                self.forget_unreadable(slot, packet_id, turn);
            }
            Ok((packet_id, Some(delivery))) => {
                let qos = numbered(delivery.qos, packet_id);
                if !self.push_delivery(slot, qos, true, &delivery, turn) {
                    self.forget_undeliverable(slot, packet_id);
                }
            }
            // Not kept: its session was to end with its connection, so this cannot be reached by a resume.
            Ok((packet_id, None)) => self.forget_undeliverable(slot, packet_id),
        }
        true
    }

    /// Starts a QoS 1 or 2 exchange that is remembered. False, and counted as dropped, if the client cannot take the message.
    pub(super) fn begin(&mut self, slot: u32, delivery: Delivery, turn: &mut Turn<'_>) -> bool {
        let Self { settings, connections, sessions, pool, dirty, counts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return false };
        let Some(connection) = connection_of(connections, session) else { return false };
        let (sequence, qos, copy) = (delivery.message.sequence(), delivery.qos, delivery.copy());
        session.flight_bytes += delivery.message.payload_bytes();
        let Some(packet_id) = session.outgoing.begin(qos, Flight::kept(delivery)) else { return false };
        let flight = session.outgoing.message(packet_id);
        let Some(delivery) = flight.and_then(|flight| flight.delivery.as_deref()) else { return false };
        if let (Some(copy), QoS::ExactlyOnce) = (copy, qos) {
            // Its identifier must survive us, or it would be delivered again under another one.
            let (key, delivery, session) = (connection.key, delivery.clone(), session.address.number);
            let exchange = Exchange::Sent { sequence, copy };
            self.persist(Operation::PutOutgoing { session, packet_id, exchange });
            let Some(connection) = self.connection(key) else { return false };
            if !connection.held.is_empty() || self.waits(key) {
                self.hold(key, true, HeldPacket::Publish { packet_id, delivery });
                return true;
            }
            return self.send_held_publish(key, packet_id, &delivery, turn);
        }
        if connection.push_delivery(delivery, numbered(qos, packet_id), false, turn.now.wall, pool) {
            connection.mark_dirty(dirty);
            counts.publish_sent(delivery.message.payload_bytes());
            if settings.log_levels.contains(LogLevel::Debug) {
                let delivery = delivery.clone();
                self.log_delivery(slot, numbered(qos, packet_id), false, &delivery, turn);
            }
            return true;
        }
        counts.count(connection.drop_metric(delivery.message.view().topic));
        self.forget_undeliverable(slot, packet_id);
        false
    }

    /// Appends a delivery to its session's outbox. False, and counted as dropped, if the client cannot take it.
    fn push_delivery(
        &mut self,
        slot: u32,
        qos: PublishQoS,
        dup: bool,
        delivery: &Delivery,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Self { connections, sessions, pool, dirty, counts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return true };
        let Some(connection) = connection_of(connections, session) else { return true };
        let pushed = connection.push_delivery(delivery, qos, dup, turn.now.wall, pool);
        if pushed {
            connection.mark_dirty(dirty);
            counts.publish_sent(delivery.message.payload_bytes());
            if self.logs_packets() {
                self.log_delivery(slot, qos, dup, delivery, turn);
            }
        } else {
            counts.count(connection.drop_metric(delivery.message.view().topic));
        }
        pushed
    }

    #[cold]
    fn log_delivery(&self, slot: u32, qos: PublishQoS, dup: bool, delivery: &Delivery, turn: &mut Turn<'_>) {
        let (retain, topic) = (delivery.retain, delivery.message.topic());
        let payload_bytes = delivery.message.payload_bytes();
        let line = PublishLine { dup, qos, retain, topic, payload_bytes };
        self.log_publish("Sending PUBLISH to", slot, line, turn);
    }

    /// A message no packet the client accepts can hold, or whose topic it cannot see: it counts as delivered
    /// [MQTT-3.1.2-25].
    fn forget_undeliverable(&mut self, slot: u32, packet_id: PacketId) {
        let Some(session) = self.session_mut(slot) else { return };
        if let Some(flight) = session.outgoing.forget(packet_id) {
            self.finish_flight(slot, flight, Some(packet_id));
        }
    }

    /// A message in flight that its receiver may not have any more. With QoS 2 it may have it already: nobody else gets it.
    fn forget_unreadable(&mut self, slot: u32, packet_id: PacketId, turn: &mut Turn<'_>) {
        let Some(session) = self.session_mut(slot) else { return };
        let Some(flight) = session.outgoing.forget(packet_id) else { return };
        session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes());
        if let Some(delivery) = flight.delivery {
            self.end_exchange(slot, &delivery, Some(packet_id));
            let may_go_on = delivery.qos == QoS::AtLeastOnce;
            self.take_away(slot, *delivery, may_go_on, turn);
        }
    }

    /// A QoS 2 PUBLISH whose identifier has become durable. False, and counted as dropped, if the client cannot take it.
    pub(super) fn send_held_publish(
        &mut self,
        key: ConnectionKey,
        packet_id: PacketId,
        delivery: &Delivery,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(slot) = self.connection(key).and_then(Connection::slot) else { return true };
        let qos = numbered(delivery.qos, packet_id);
        let is_sent = self.push_delivery(slot, qos, false, delivery, turn);
        if !is_sent {
            self.forget_undeliverable(slot, packet_id);
        }
        is_sent
    }

    /// Takes a message whose receiver has it off the books. With QoS 2 `over` names its exchange, if that is over too.
    pub(super) fn finish_flight(&mut self, slot: u32, flight: Flight, over: Option<PacketId>) {
        let Some(session) = self.session_mut(slot) else { return };
        session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes());
        if let Some(delivery) = flight.delivery {
            self.end_exchange(slot, &delivery, over);
            self.settle(&delivery, Done::Taken(slot));
            self.recount(slot);
        }
    }

    /// A QoS 2 message will not be sent again: it must be stored together with this that its receiver is done with it.
    fn end_exchange(&mut self, slot: u32, delivery: &Delivery, over: Option<PacketId>) {
        if delivery.qos != QoS::ExactlyOnce || delivery.copy().is_none() {
            return;
        }
        let Some(session) = self.session(slot).map(|session| session.address.number) else { return };
        if let Some(packet_id) = over {
            self.persist_lazily(Operation::DeleteOutgoing { session, packet_id });
        }
        self.store_cursor_now(slot);
    }

    /// Takes notice of how much a session holds, after that has changed.
    #[inline]
    pub(super) fn recount(&mut self, slot: u32) {
        let Self { sessions, counts, .. } = self;
        if let Some(Some(session)) = sessions.get_mut(slot as usize) {
            session.recount(counts);
        }
    }
}

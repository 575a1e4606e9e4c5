//! From a route to an outbox: what is sent now, what waits, what is dropped.

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::connection::AliasUse;
use noctule_protocol::delivery::Resend;
use noctule_protocol::packet::{Publish, PublishQoS, Pubrel};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

use super::answer::HeldPacket;
use super::connection::Connection;
use super::{Shard, Turn};
use crate::effect::LogLevel;
use crate::encoded::{Encoded, Form};
use crate::input::ConnectionKey;
use crate::message::{MessageView, Publication, SessionNumber};
use crate::metric::Metric;
use crate::record::{Operation, Recipient};
use crate::router::{SessionAddress, Target};
use crate::session::{Delivery, Flight, Identifiers, Membership, Pool, Queued, Session};
use crate::settings::Settings;

/// How one copy of a message travels.
#[derive(Clone, Copy)]
struct Envelope<'a> {
    qos: PublishQoS,
    dup: bool,
    retain: bool,
    identifiers: &'a Identifiers,
}

/// What became of one copy.
enum Fate {
    /// It waits, or is in flight, and has a place in its session.
    Taken,
    /// It went out and nothing of it is remembered, but for its Packet Identifier.
    Sent,
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
    pub(super) fn deliver(
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
                self.settle_copy(&publication.keep(), copy);
                Recording::Made(None)
            }
            recording => recording,
        };
        let copy = match recording {
            Recording::Made(copy) => copy,
            Recording::Make(_) => None,
        };
        let qos = granted(&self.settings, publication.view.qos, target.qos);
        let fate = self.try_to_deliver(address, target, membership, publication, recording, turn);
        match fate {
            Fate::Taken => return,
            Fate::Sent => self.count(Metric::PublishSent),
            Fate::Dropped(Metric::DroppedQueueFull) => self.dropped_queue_full(address.slot, turn),
            Fate::Dropped(metric) => self.count(metric),
        }
        // Nothing is left to do for it. Unless it came from another shard, nobody knows of it.
        if copy.is_some() {
            self.settle_copy(&publication.keep(), copy);
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
        let Self { settings, connections, sessions, pool, dirty, thrift, .. } = self;
        let pressure = &thrift.pressure;
        let session = sessions.get_mut(address.slot as usize).and_then(Option::as_deref_mut);
        let Some(session) = session.filter(|session| session.address == address) else {
            // It ended while this was on its way.
            return Fate::Dropped(Metric::DroppedSessionEnded);
        };
        let view = publication.view;
        let qos = granted(settings, view.qos, target.qos);
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
                Fate::Sent
            } else {
                Fate::Dropped(Metric::DroppedTooLarge)
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
            let flight = Flight::passing(view.payload.len());
            let Some(packet_id) = session.outgoing.begin(qos, flight) else { return Fate::Taken };
            let envelope = Envelope {
                qos: numbered(qos, packet_id),
                dup: false,
                retain,
                identifiers: &target.identifiers,
            };
            if connection.push(&view, envelope, turn.now.wall, pool, &mut publication.encoded) {
                session.flight_bytes += view.payload.len();
                connection.mark_dirty(dirty);
                return Fate::Sent;
            }
            session.outgoing.forget(packet_id);
            return Fate::Dropped(Metric::DroppedTooLarge);
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
            Fate::Taken
        } else if kind == Queued::Behind {
            Fate::Dropped(Metric::DroppedOutboxFull)
        } else {
            Fate::Dropped(Metric::DroppedQueueFull)
        }
    }

    fn dropped_queue_full(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.count(Metric::DroppedQueueFull);
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return };
        if !std::mem::replace(&mut session.dropping, true) {
            let id = Arc::clone(&session.publisher.client_id);
            self.log(LogLevel::Notice, turn, || {
                format!("Outgoing messages are being dropped for client {}.", id.escape_debug())
            });
        }
    }

    /// Starts a QoS 1 or 2 exchange that is remembered. False if the message is too large for the client.
    fn begin(&mut self, slot: u32, delivery: Delivery, turn: &mut Turn<'_>) -> bool {
        let Self { connections, sessions, pool, dirty, counts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return false };
        let Some(connection) = connection_of(connections, session) else { return false };
        let (sequence, qos, copy) = (delivery.message.sequence(), delivery.qos, delivery.copy());
        session.flight_bytes += delivery.message.payload_bytes();
        let Some(packet_id) = session.outgoing.begin(qos, Flight::kept(delivery)) else { return false };
        let flight = session.outgoing.message(packet_id);
        let Some(delivery) = flight.and_then(|flight| flight.delivery.as_deref()) else { return false };
        if let (Some(copy), QoS::ExactlyOnce) = (copy, qos) {
            // Its identifier must survive us, or it would be delivered again under another one.
            let (key, delivery) = (connection.key, delivery.clone());
            self.persist(Operation::PutSent { sequence, copy, packet_id });
            self.hold(key, true, HeldPacket::Publish { packet_id, delivery });
            return true;
        }
        if connection.push_delivery(delivery, numbered(qos, packet_id), false, turn.now.wall, pool) {
            connection.mark_dirty(dirty);
            counts.count(Metric::PublishSent);
            return true;
        }
        self.forget_too_large(slot, packet_id);
        false
    }

    /// Appends a delivery to its session's outbox. False if it is too large for the client.
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
            counts.count(Metric::PublishSent);
        }
        pushed
    }

    /// A message no packet the client accepts can hold: it counts as delivered [MQTT-3.1.2-25].
    fn forget_too_large(&mut self, slot: u32, packet_id: PacketId) {
        self.count(Metric::DroppedTooLarge);
        let Some(session) = self.session_mut(slot) else { return };
        if let Some(flight) = session.outgoing.forget(packet_id) {
            self.finish_flight(slot, flight);
        }
    }

    /// A QoS 2 PUBLISH whose identifier has become durable.
    pub(super) fn send_held_publish(
        &mut self,
        key: ConnectionKey,
        packet_id: PacketId,
        delivery: &Delivery,
        turn: &mut Turn<'_>,
    ) {
        let Some(slot) = self.connection(key).and_then(Connection::slot) else { return };
        let qos = numbered(delivery.qos, packet_id);
        if !self.push_delivery(slot, qos, false, delivery, turn) {
            self.forget_too_large(slot, packet_id);
        }
    }

    /// Sends what may be sent: first what the last connection left unacknowledged, in its order
    /// [MQTT-4.4.0-1], then what waits.
    pub(super) fn pump(&mut self, slot: u32, turn: &mut Turn<'_>) {
        while self.pump_one(slot, turn) {}
    }

    /// Sends one packet, or takes one message off the queue. False if nothing more can be done now.
    fn pump_one(&mut self, slot: u32, turn: &mut Turn<'_>) -> bool {
        let Self { settings, connections, sessions, .. } = self;
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
            session.dropping = false;
            return false;
        };
        if next.kind == Queued::Retained && connection.held.subacks() > 0 {
            // What answers a SUBSCRIBE comes behind its SUBACK, as in Mosquitto.
            return false;
        }
        let payload_bytes = next.message.payload_bytes();
        if next.message.is_expired(turn.now.wall) {
            // [MQTT-3.3.2-5]
            if let Some(delivery) = session.queue.pop() {
                self.count(Metric::DroppedExpired);
                self.settle(&delivery);
            }
            return true;
        }
        if next.qos != QoS::AtMostOnce && !may_send(session, connection, settings, payload_bytes) {
            return false;
        }
        let Some(delivery) = session.queue.pop() else { return false };
        if delivery.qos == QoS::AtMostOnce {
            if !self.push_delivery(slot, PublishQoS::AtMostOnce, false, &delivery, turn) {
                self.count(Metric::DroppedTooLarge);
            }
            // Through a group it may have been recorded all the same: for whichever member takes it.
            self.settle_copy(&delivery.message, delivery.copy());
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
            Ok((packet_id, Some(delivery))) => {
                let qos = numbered(delivery.qos, packet_id);
                if !self.push_delivery(slot, qos, true, &delivery, turn) {
                    self.forget_too_large(slot, packet_id);
                }
            }
            // Not kept: its session was to end with its connection, so this cannot be reached by a resume.
            Ok((packet_id, None)) => self.forget_too_large(slot, packet_id),
        }
        true
    }

    /// Takes a finished exchange off the books.
    pub(super) fn finish_flight(&mut self, slot: u32, flight: Flight) {
        let Some(session) = self.session_mut(slot) else { return };
        session.flight_bytes = session.flight_bytes.saturating_sub(flight.payload_bytes());
        if let Some(delivery) = flight.delivery {
            self.settle(&delivery);
        }
    }
}

impl Connection {
    /// The same for what was kept.
    fn push_delivery(
        &mut self,
        delivery: &Delivery,
        qos: PublishQoS,
        dup: bool,
        wall: Duration,
        pool: &mut Pool,
    ) -> bool {
        let envelope = Envelope { qos, dup, retain: delivery.retain, identifiers: delivery.identifiers() };
        self.push(&delivery.message.view(), envelope, wall, pool, &mut Encoded::default())
    }

    /// Appends one PUBLISH. False, and nothing appended, if the client accepts no packet of that size
    /// [MQTT-3.1.2-24].
    fn push(
        &mut self,
        view: &MessageView<'_>,
        envelope: Envelope<'_>,
        wall: Duration,
        pool: &mut Pool,
        encoded: &mut Encoded,
    ) -> bool {
        let Envelope { qos, dup, retain, identifiers } = envelope;
        let is_plain = !dup
            && identifiers.is_empty()
            && self.aliases.as_ref().is_none_or(|aliases| aliases.outgoing.is_none());
        let form = is_plain.then(|| Form::new(self.version, qos.qos(), retain));
        if let Some(packet) = form.and_then(|form| encoded.packet(form)) {
            let fits = packet.len() <= self.maximum_packet_size as usize;
            if fits {
                pool.appended += packet.len();
                encoded.copy_to(self.outbox.end(pool), qos.packet_id());
            }
            return fits;
        }
        let mut topic = view.topic;
        let mut used_alias = AliasUse::None;
        let properties = if self.version == ProtocolVersion::V5 {
            if let Some(aliases) = self.aliases.as_mut().and_then(|aliases| aliases.outgoing.as_mut()) {
                used_alias = aliases.assign(topic);
            }
            publish_properties(view, identifiers, used_alias, wall)
        } else {
            Properties::EMPTY
        };
        if let AliasUse::Known(_) = used_alias {
            topic = "";
        }
        let out = self.outbox.end(pool);
        let before = out.len();
        let publish = Publish { dup, qos, retain, topic, properties, payload: view.payload };
        let fits = publish.encode(self.version, out).is_ok()
            && out.len() - before <= self.maximum_packet_size as usize;
        if fits {
            pool.appended += out.len() - before;
            if let Some(form) = form {
                encoded.note(form, &out[before..], view.topic);
            }
        } else {
            out.truncate(before);
            if let AliasUse::New(_) = used_alias {
                // The client never hears of this alias; topics in full are always right, and may be shorter.
                if let Some(aliases) = &mut self.aliases {
                    aliases.outgoing = None;
                }
                return self.push(view, envelope, wall, pool, encoded);
            }
        }
        fits
    }
}

/// What is passed on unaltered, then what this hop decides, in Mosquitto's order.
fn publish_properties<'a>(
    view: &MessageView<'a>,
    identifiers: &Identifiers,
    alias: AliasUse,
    wall: Duration,
) -> Properties<'a> {
    let expiry = view.expiry_left(wall);
    if identifiers.is_empty() && expiry.is_none() && matches!(alias, AliasUse::None) {
        return Properties::from_checked_bytes(view.properties);
    }
    let mut properties = Properties::from_checked_bytes(view.properties);
    if let Some(seconds) = expiry {
        properties.push(Property::MessageExpiryInterval(seconds));
    }
    if let AliasUse::New(alias) | AliasUse::Known(alias) = alias {
        properties.push(Property::TopicAlias(alias));
    }
    for identifier in identifiers.iter() {
        properties.push(Property::SubscriptionIdentifier(identifier));
    }
    properties
}

/// The QoS of a delivery: the lower of published and granted [MQTT-3.8.4-8], unless configured otherwise.
pub(super) fn granted(settings: &Settings, published: QoS, subscribed: QoS) -> QoS {
    if settings.upgrade_outgoing_qos { subscribed } else { published.min(subscribed) }
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

fn numbered(qos: QoS, packet_id: PacketId) -> PublishQoS {
    match qos {
        QoS::AtMostOnce => PublishQoS::AtMostOnce,
        QoS::AtLeastOnce => PublishQoS::AtLeastOnce(packet_id),
        QoS::ExactlyOnce => PublishQoS::ExactlyOnce(packet_id),
    }
}

/// Makes the delivery one that is stored until it is acknowledged; gives what to store of it.
pub(super) fn add_copy(session: SessionNumber, delivery: &mut Delivery) -> Recipient {
    let copy = delivery.message.add_copy();
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

pub(super) fn connection_of<'a>(
    connections: &'a mut [Option<Box<Connection>>],
    session: &Session,
) -> Option<&'a mut Connection> {
    let key = session.connection?;
    connections.get_mut(key.index as usize)?.as_deref_mut().filter(|connection| connection.key == key)
}

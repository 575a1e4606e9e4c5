//! Answers to a client's packets: sent at once, or held until the disk has what they promise. A client that does not
//! read them is not read from.

use std::collections::VecDeque;

use noctule_protocol::packet::{AckKind, PlainAck};
use noctule_protocol::{DecodeError, EncodeError, PacketId, ProtocolVersion, ReasonCode};

use super::connection::Pauses;
use super::ending::Ending;
use super::{Shard, Turn};
use crate::effect::{LogLevel, Ticket, Urgency};
use crate::input::ConnectionKey;
use crate::metric::Metric;
use crate::session::{Delivery, Session};
use crate::settings::Durability;

/// What waits for the disk, in sending order, and what it amounts to. Most connections never have any, and those
/// that had keep nothing.
#[derive(Default)]
pub(crate) struct HeldPackets(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Held>,
    /// What it keeps in memory as far as the client's own packets caused it.
    answer_bytes: usize,
    /// Bytes of deliveries: as good as in the outbox.
    delivery_bytes: usize,
    /// QoS 1 messages whose PUBACK is held: they count against the Receive Maximum.
    pubacks: usize,
    /// SUBACKs: retained messages stand behind them.
    subacks: usize,
    /// Whether the shard has the connection on its list of those that hold packets back.
    is_listed: bool,
}

impl HeldPackets {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.queue.is_empty())
    }

    /// What it amounts to.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.answer_bytes + waiting.delivery_bytes)
    }

    fn answer_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.answer_bytes)
    }

    /// QoS 1 messages whose PUBACK is held: they count against the Receive Maximum.
    pub(crate) fn pubacks(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.pubacks)
    }

    /// SUBACKs that are held: retained messages stand behind them.
    pub(crate) fn subacks(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.subacks)
    }

    #[inline]
    pub(crate) fn begins_with_connack(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| {
            matches!(waiting.queue.front(), Some(Held { packet: HeldPacket::Connack(_), .. }))
        })
    }

    /// Puts a packet behind the others. True if the shard must put the connection on its list.
    fn push(&mut self, held: Held) -> bool {
        let waiting = self.0.get_or_insert_default();
        waiting.account(&held.packet, usize::wrapping_add);
        waiting.queue.push_back(held);
        !std::mem::replace(&mut waiting.is_listed, true)
    }

    /// Takes the first packet if it waits for nothing more.
    fn pop(&mut self, flushed: Ticket, durable: Ticket) -> Option<HeldPacket> {
        let waiting = self.0.as_mut()?;
        let is_free = match waiting.queue.front()?.until {
            Until::InTurn => true,
            Until::Flushed(ticket) => ticket <= flushed,
            Until::Durable(ticket) => ticket <= durable,
        };
        if !is_free {
            return None;
        }
        let Held { packet, .. } = waiting.queue.pop_front()?;
        waiting.account(&packet, usize::wrapping_sub);
        Some(packet)
    }

    /// The shard has taken the connection off its list.
    fn unlist(&mut self) {
        if let Some(waiting) = &mut self.0 {
            waiting.is_listed = false;
        }
    }

    /// True if the shard must put the connection on its list again.
    fn relist(&mut self) -> bool {
        if self.is_empty() {
            self.0 = None;
        }
        self.0.as_mut().is_some_and(|waiting| !std::mem::replace(&mut waiting.is_listed, true))
    }
}

impl Waiting {
    /// Deliveries are bounded by window and outbox; what answers a client's packets by not reading from it.
    fn account(&mut self, packet: &HeldPacket, change: impl Fn(usize, usize) -> usize) {
        match packet {
            HeldPacket::Publish { delivery, .. } => {
                self.delivery_bytes = change(self.delivery_bytes, delivery.packet_bytes());
            }
            HeldPacket::Connack(bytes)
            | HeldPacket::Puback(bytes)
            | HeldPacket::Suback(bytes)
            | HeldPacket::Answer(bytes) => {
                self.answer_bytes = change(self.answer_bytes, bytes.len() + HELD_OVERHEAD);
            }
        }
        match packet {
            HeldPacket::Puback(_) => self.pubacks = change(self.pubacks, 1),
            HeldPacket::Suback(_) => self.subacks = change(self.subacks, 1),
            HeldPacket::Connack(_) | HeldPacket::Answer(_) | HeldPacket::Publish { .. } => {}
        }
    }
}

/// What one held answer costs beside its bytes, roughly.
const HELD_OVERHEAD: usize = 64;

/// A packet that waits for the disk.
struct Held {
    until: Until,
    packet: HeldPacket,
}

/// What a held packet waits for.
#[derive(Clone, Copy)]
enum Until {
    /// Those in front of it.
    InTurn,
    /// A batch is with the operating system.
    Flushed(Ticket),
    /// A batch is durable.
    Durable(Ticket),
}

pub(crate) enum HeldPacket {
    /// CONNACK: deliveries begin behind it.
    Connack(Vec<u8>),
    Puback(Vec<u8>),
    Suback(Vec<u8>),
    Answer(Vec<u8>),
    /// A QoS 2 PUBLISH to a session that lasts: its identifier must be durable first.
    Publish {
        packet_id: PacketId,
        delivery: Delivery,
    },
}

/// An answer is larger than the client's Maximum Packet Size: it can neither be sent [MQTT-3.1.2-24] nor left
/// out.
const ANSWER_TOO_LARGE: DecodeError = DecodeError {
    reason: ReasonCode::PacketTooLarge,
    what: "the answer is larger than the client's maximum packet size",
};

impl Shard {
    /// Sends an answer: at once, or behind what is held; `wait` holds it until this turn's batch is as safe as its listener
    /// promises.
    pub(super) fn answer(
        &mut self,
        key: ConnectionKey,
        wait: bool,
        turn: &mut Turn<'_>,
        encode: impl FnOnce(&mut Vec<u8>, ProtocolVersion) -> Result<(), EncodeError>,
    ) {
        self.answer_as(HeldPacket::Answer, key, wait, turn, encode);
    }

    /// Sends an acknowledgement that says nothing but its identifier, in the same way.
    #[inline]
    pub(super) fn acknowledge(
        &mut self,
        key: ConnectionKey,
        wait: bool,
        kind: AckKind,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        let packet = PlainAck { kind, packet_id }.encode();
        let is_logged = self.logs_packets();
        let wait = wait && self.waits(key);
        let Self { settings, connections, pool, dirty, counts, .. } = self;
        if !wait
            && !is_logged
            && let Some(Some(connection)) = connections.get_mut(key.index as usize)
            && connection.key == key
            && connection.held.is_empty()
            && connection.maximum_packet_size as usize >= PlainAck::LENGTH
        {
            connection.outbox.end(pool).extend_from_slice(&packet);
            connection.answered(PlainAck::LENGTH as u32);
            counts.count(Metric::AnswersSent);
            connection.mark_dirty(dirty);
            if connection.answer_bytes as usize > settings.outbox_bytes_max {
                self.pause(key, Pauses::UNREAD_ANSWERS, turn);
            }
            return;
        }
        let held = match kind {
            AckKind::Puback => HeldPacket::Puback,
            AckKind::Pubrec | AckKind::Pubrel | AckKind::Pubcomp => HeldPacket::Answer,
        };
        self.answer_as(held, key, wait, turn, |out, _| {
            out.extend_from_slice(&packet);
            Ok(())
        });
    }

    /// Sends acknowledgements of one kind in a row, none of which waits.
    pub(super) fn acknowledge_all(
        &mut self,
        key: ConnectionKey,
        kind: AckKind,
        packet_ids: impl Iterator<Item = PacketId>,
        turn: &mut Turn<'_>,
    ) {
        let is_logged = self.logs_packets();
        let Self { settings, connections, pool, dirty, counts, .. } = self;
        if !is_logged
            && let Some(Some(connection)) = connections.get_mut(key.index as usize)
            && connection.key == key
            && connection.held.is_empty()
            && connection.maximum_packet_size as usize >= PlainAck::LENGTH
        {
            let out = connection.outbox.end(pool);
            let before = out.len();
            for packet_id in packet_ids {
                out.extend_from_slice(&PlainAck { kind, packet_id }.encode());
            }
            let bytes = out.len() - before;
            if bytes > 0 {
                connection.answered(bytes as u32);
                counts.add(Metric::AnswersSent, (bytes / PlainAck::LENGTH) as u64);
                connection.mark_dirty(dirty);
            }
            if connection.answer_bytes as usize > settings.outbox_bytes_max {
                self.pause(key, Pauses::UNREAD_ANSWERS, turn);
            }
            return;
        }
        for packet_id in packet_ids {
            self.acknowledge(key, false, kind, packet_id, turn);
        }
    }

    /// The same, and what to call it while it is held.
    pub(super) fn answer_as(
        &mut self,
        held: fn(Vec<u8>) -> HeldPacket,
        key: ConnectionKey,
        wait: bool,
        turn: &mut Turn<'_>,
        encode: impl FnOnce(&mut Vec<u8>, ProtocolVersion) -> Result<(), EncodeError>,
    ) {
        let wait = wait && self.waits(key);
        let Some(connection) = self.connection(key) else { return };
        let fits = if wait || !connection.held.is_empty() {
            let mut bytes = Vec::new();
            let encoded = encode(&mut bytes, connection.version);
            let fits = bytes.len() <= connection.maximum_packet_size as usize;
            match encoded {
                Ok(()) if fits => self.hold(key, wait, held(bytes)),
                Ok(()) => {}
                Err(error) => self.log_unencoded(error, turn),
            }
            fits
        } else {
            self.send(key, turn, encode)
        };
        if fits {
            self.pause_if_full(key, turn);
        } else {
            self.close(key, Ending::Refused(ANSWER_TOO_LARGE), turn);
        }
    }

    /// What a listener's clients are told waits for.
    fn durability(&self, key: ConnectionKey) -> Durability {
        let listener = self.connection(key).map(|connection| usize::from(connection.listener.0));
        let listener = listener.and_then(|listener| self.settings.listeners.get(listener));
        listener.map_or(Durability::default(), |listener| listener.durability)
    }

    /// Whether what is sent to this client waits for the store at all.
    pub(super) fn waits(&self, key: ConnectionKey) -> bool {
        self.durability(key) != Durability::Memory
    }

    /// Puts a packet behind what is held; `wait` holds it until this turn's batch is as safe as its listener promises.
    pub(super) fn hold(&mut self, key: ConnectionKey, wait: bool, packet: HeldPacket) {
        let (until, urgency) = match self.durability(key) {
            Durability::Flush if wait => (Until::Flushed(self.turn), Urgency::Flush),
            Durability::Sync if wait => (Until::Durable(self.turn), Urgency::Sync),
            Durability::Sync | Durability::Flush | Durability::Memory => (Until::InTurn, Urgency::Lazy),
        };
        let Some(connection) = self.connection_mut(key) else { return };
        if connection.held.push(Held { until, packet }) {
            self.holding.push_back(key);
        }
        self.urgency = self.urgency.max(urgency);
    }

    /// Appends a packet to the outbox and counts it as an answer. False, and nothing appended, if the client
    /// accepts no packet of that size [MQTT-3.1.2-24].
    fn send(
        &mut self,
        key: ConnectionKey,
        turn: &mut Turn<'_>,
        encode: impl FnOnce(&mut Vec<u8>, ProtocolVersion) -> Result<(), EncodeError>,
    ) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else { return true };
        let out = connection.outbox.end(&mut self.pool);
        let before = out.len();
        if let Err(error) = encode(out, connection.version) {
            self.log_unencoded(error, turn);
            return true;
        }
        let length = out.len() - before;
        if length > connection.maximum_packet_size as usize {
            out.truncate(before);
            return false;
        }
        let logged = self.settings.log_levels.contains(LogLevel::Debug).then(|| out[before..].to_vec());
        connection.answered(length as u32);
        connection.mark_dirty(&mut self.dirty);
        self.counts.count(Metric::AnswersSent);
        if let Some(packet) = logged {
            self.log_sending(key, &packet, turn);
        }
        true
    }

    fn log_unencoded(&self, error: EncodeError, turn: &mut Turn<'_>) {
        self.log(LogLevel::Error, turn, || format!("Error: a packet could not be encoded: {error}."));
    }

    /// A client that sends without reading makes answers pile up: it is not read from until it reads.
    fn pause_if_full(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let limit = self.settings.outbox_bytes_max;
        let Some(connection) = self.connection(key) else { return };
        if connection.answer_bytes as usize + connection.held.answer_bytes() > limit {
            self.pause(key, Pauses::UNREAD_ANSWERS, turn);
        }
    }

    pub(super) fn written(&mut self, key: ConnectionKey, bytes: usize, turn: &mut Turn<'_>) {
        self.counts.add(Metric::BytesSent, bytes as u64);
        let limit = self.settings.outbox_bytes_max;
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else { return };
        if connection.key != key {
            return;
        }
        connection.outbox.written(bytes, &mut self.pool);
        let left = connection.outbox.len();
        connection.note_unsent(left, &mut self.counts);
        if left > 0 {
            connection.mark_dirty(&mut self.dirty);
        }
        let slot = connection.slot();
        let has_room = connection.has_room_again(limit);
        if connection.pauses.contains(Pauses::UNREAD_ANSWERS) {
            // However much stands behind them.
            let written = u32::try_from(bytes).unwrap_or(u32::MAX);
            connection.answer_bytes = connection.answer_bytes.saturating_sub(written);
            if connection.answer_bytes as usize + connection.held.answer_bytes() <= limit / 2 {
                self.resume_reading(key, Pauses::UNREAD_ANSWERS, turn);
            }
        } else {
            connection.answer_bytes = connection.answer_bytes.min(u32::try_from(left).unwrap_or(u32::MAX));
        }
        let Some(slot) = slot else { return };
        if has_room {
            self.tell_room(slot);
        }
        if self.session(slot).is_some_and(Session::has_more) {
            self.pump(slot, turn);
        }
    }

    pub(super) fn became_durable(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        self.durable = self.durable.max(ticket);
        self.was_flushed(ticket, turn);
    }

    pub(super) fn was_flushed(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        self.flushed = self.flushed.max(ticket);
        for _ in 0..self.holding.len() {
            let Some(key) = self.holding.pop_front() else { return };
            if let Some(connection) = self.connection_mut(key) {
                connection.held.unlist();
            }
            self.release(key, turn);
            // What was released may have made room for deliveries that are held in turn, and listed it again.
            if let Some(connection) = self.connection_mut(key)
                && connection.held.relist()
            {
                self.holding.push_back(key);
            }
        }
    }

    /// Sends what is held and waits for nothing more, in order.
    fn release(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let mut released = false;
        let (flushed, durable) = (self.flushed, self.durable);
        while let Some(packet) =
            self.connection_mut(key).and_then(|connection| connection.held.pop(flushed, durable))
        {
            released = true;
            match packet {
                HeldPacket::Connack(bytes)
                | HeldPacket::Puback(bytes)
                | HeldPacket::Suback(bytes)
                | HeldPacket::Answer(bytes) => self.send_bytes(key, &bytes, turn),
                HeldPacket::Publish { packet_id, delivery } => {
                    self.send_held_publish(key, packet_id, &delivery, turn);
                }
            }
        }
        if released {
            self.pause_if_full(key, turn);
            let limit = self.settings.outbox_bytes_max;
            if let Some(connection) = self.connection_mut(key)
                && let Some(slot) = connection.slot()
            {
                // Of what was too large for the client nothing will be written.
                if connection.has_room_again(limit) {
                    self.tell_room(slot);
                }
                self.pump(slot, turn);
            }
        }
    }

    /// A packet whose size was checked when it was encoded.
    pub(super) fn send_bytes(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) {
        self.send(key, turn, |out, _| {
            out.extend_from_slice(bytes);
            Ok(())
        });
    }
}

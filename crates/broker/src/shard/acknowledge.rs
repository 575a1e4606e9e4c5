//! What clients acknowledge: PUBACK, PUBREC, PUBCOMP.

use noctule_protocol::delivery::PubrecOutcome;
use noctule_protocol::packet::{AckKind, PlainAck, Pubrel};
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, QoS, ReasonCode};

use super::connection::Pauses;
use super::cursors::Done;
use super::deliver::{add_copy, connection_of};
use super::{Shard, Turn};
use crate::effect::LogLevel;
use crate::input::ConnectionKey;
use crate::message::{Message, SessionNumber, Settled};
use crate::metric::Metric;
use crate::record::{Exchange, Operation};
use crate::session::Delivery;

impl Shard {
    /// Takes the acknowledgements that `bytes` begin with, as long as they say nothing but their identifier, are
    /// expected, and concern nobody but their session: they come many in a row, and what they touch is looked up once.
    /// Gives how many bytes they were; any other packet is taken by itself.
    pub(super) fn take_acknowledgements(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> usize {
        let Self { settings, connections, sessions, pool, dirty, counts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return 0 };
        let Some(connection) = connection_of(connections, session) else { return 0 };
        let can_answer = connection.held.is_empty()
            && connection.maximum_packet_size as usize >= PlainAck::LENGTH
            && connection.key == key;
        if session.lasts() || !can_answer {
            return 0;
        }
        let (mut taken, mut answers, mut made_room) = (0, 0, false);
        let mut finished = None;
        for &packet in bytes.as_chunks().0 {
            let Some(PlainAck { kind, packet_id }) = PlainAck::decode(packet) else { break };
            let flight = match kind {
                AckKind::Puback => {
                    let Ok(flight) = session.outgoing.puback(packet_id) else { break };
                    made_room = true;
                    flight
                }
                AckKind::Pubrec => {
                    let flight = match session.outgoing.pubrec(packet_id, false) {
                        Ok(PubrecOutcome::Release(flight) | PubrecOutcome::Refused(flight)) => flight,
                        Ok(PubrecOutcome::Repeated) => None,
                        Err(_) => break,
                    };
                    // [MQTT-4.3.3-4]
                    let out = connection.outbox.end(pool);
                    out.extend_from_slice(&PlainAck { kind: AckKind::Pubrel, packet_id }.encode());
                    answers += 1;
                    flight
                }
                AckKind::Pubcomp => {
                    let Ok(()) = session.outgoing.pubcomp(packet_id) else { break };
                    made_room = true;
                    None
                }
                AckKind::Pubrel => break,
            };
            taken += 1;
            if let Some(flight) = flight {
                finished = Some((packet_id, flight));
                break;
            }
        }
        counts.add(Metric::PacketsReceived, taken as u64);
        let mut is_full = false;
        if answers > 0 {
            counts.add(Metric::AnswersSent, answers.into());
            connection.answered(answers * PlainAck::LENGTH as u32);
            connection.mark_dirty(dirty);
            is_full = connection.answer_bytes as usize > settings.outbox_bytes_max;
        }
        let has_more = session.has_more();
        session.dropping &= has_more;
        if is_full {
            self.pause(key, Pauses::UNREAD_ANSWERS, turn);
        }
        if let Some((packet_id, flight)) = finished {
            self.finish_flight(slot, flight, Some(packet_id));
        }
        if made_room && has_more {
            self.pump(slot, turn);
        }
        taken * PlainAck::LENGTH
    }

    pub(super) fn on_puback(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        packet_id: PacketId,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session_mut(slot) else { return };
        match session.outgoing.puback(packet_id) {
            Ok(flight) => {
                if reason.is_error() {
                    self.count(Metric::DroppedRefused);
                }
                if let Some(flight) = flight {
                    self.finish_flight(slot, flight, Some(packet_id));
                }
                self.pump(slot, turn);
            }
            Err(_) => self.unknown(key, slot, "PUBACK", packet_id, turn),
        }
    }

    pub(super) fn on_pubrec(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        packet_id: PacketId,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session_mut(slot) else { return };
        let (number, lasts) = (session.address.number, session.lasts());
        let (wait, answer) = match session.outgoing.pubrec(packet_id, reason.is_error()) {
            Ok(PubrecOutcome::Release(flight)) => {
                if let Some(flight) = flight {
                    self.finish_flight(slot, flight, (!lasts).then_some(packet_id));
                }
                if lasts {
                    // In place of what says that it was sent.
                    let exchange = Exchange::Released;
                    self.persist(Operation::PutOutgoing { session: number, packet_id, exchange });
                }
                (lasts, ReasonCode::Success)
            }
            Ok(PubrecOutcome::Repeated) => {
                (lasts && self.urgent != self.urgent_handed_out, ReasonCode::Success)
            }
            Ok(PubrecOutcome::Refused(flight)) => {
                // Counts as acknowledged, and gives the quota back [MQTT-4.4.0-2].
                self.count(Metric::DroppedRefused);
                if let Some(flight) = flight {
                    self.finish_flight(slot, flight, Some(packet_id));
                }
                return self.pump(slot, turn);
            }
            Err(_) => {
                self.unknown(key, slot, "PUBREC", packet_id, turn);
                if reason.is_error() {
                    return;
                }
                (false, ReasonCode::PacketIdentifierNotFound)
            }
        };
        if answer == ReasonCode::Success {
            return self.acknowledge(key, wait, AckKind::Pubrel, packet_id, turn);
        }
        let pubrel = Pubrel { packet_id, reason: answer, properties: Properties::EMPTY };
        self.answer(key, wait, turn, |out, version| pubrel.encode(version, out));
    }

    pub(super) fn on_pubcomp(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session_mut(slot) else { return };
        let (number, lasts) = (session.address.number, session.lasts());
        if session.outgoing.pubcomp(packet_id).is_err() {
            return self.unknown(key, slot, "PUBCOMP", packet_id, turn);
        }
        if lasts {
            self.persist_lazily(Operation::DeleteOutgoing { session: number, packet_id });
        }
        self.pump(slot, turn);
    }

    fn unknown(
        &mut self,
        _key: ConnectionKey,
        slot: u32,
        packet: &str,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session(slot) else { return };
        let id = &session.publisher.client_id;
        self.log(LogLevel::Debug, turn, || {
            format!(
                "Received {packet} from {} for an unknown packet identifier ({}).",
                id.escape_debug(),
                packet_id.get()
            )
        });
    }

    /// One recipient is done with a message: acknowledged, or dropped for a stated reason.
    pub(super) fn settle(&mut self, delivery: &Delivery, done: Done) {
        if let Some(membership) = delivery.group().filter(|_| delivery.qos != QoS::AtMostOnce) {
            self.done_with(membership);
        }
        self.settle_copy(&delivery.message, delivery.copy(), done);
    }

    /// One copy need not be stored any more.
    pub(super) fn settle_copy(&mut self, message: &Message, copy: Option<u32>, done: Done) {
        let Some(copy) = copy else { return };
        match message.settle(copy) {
            Some(settled) => self.settled(message, copy, settled, done),
            None => self.settle_later(message, copy, done),
        }
    }

    /// What to tell the store of a copy that was settled.
    pub(super) fn settled(&mut self, message: &Message, copy: u32, settled: Settled, done: Done) {
        let Settled { listed, is_last, has_list } = settled;
        let sequence = message.sequence();
        match listed {
            None => self.persist_lazily(Operation::DeleteRecipient { sequence, copy }),
            Some(_) if is_last => {}
            Some(list) => self.move_cursor(message, list, copy, done),
        }
        if is_last {
            self.persist_lazily(Operation::DeleteMessage { sequence, has_list });
        }
    }

    /// The session will not outlive its connection any more: its stored messages need not either. What came through a
    /// group is kept for that, until some member has it; but a QoS 2 message that was sent goes to nobody else
    /// [MQTT-4.8.2-5].
    pub(super) fn forget_stored(&mut self, slot: u32) {
        let Some(mut session) = self.sessions.get_mut(slot as usize).and_then(Option::take) else { return };
        self.delete_record(&session);
        let mut settled = Vec::new();
        let in_flight = session.outgoing.messages_mut().filter_map(|flight| flight.delivery.as_deref_mut());
        let in_flight = in_flight.map(|delivery| (true, delivery));
        let queued = session.queue.iter_mut().map(|delivery| (false, delivery));
        for (was_sent, delivery) in in_flight.chain(queued) {
            let Some(copy) = delivery.copy() else { continue };
            settled.push((delivery.message.clone(), Some(copy)));
            if delivery.group().is_some() && !(was_sent && delivery.qos == QoS::ExactlyOnce) {
                let recipient = add_copy(SessionNumber::GROUP, delivery);
                let sequence = delivery.message.sequence();
                self.operations.push(Operation::AddRecipient { sequence, recipient });
            } else {
                delivery.set_copy(None);
            }
        }
        self.sessions[slot as usize] = Some(session);
        // Behind the new recipients: the record must not be deleted between.
        for (message, copy) in settled {
            self.settle_copy(&message, copy, Done::Elsewhere);
        }
    }
}

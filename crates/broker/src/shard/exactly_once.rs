//! QoS 2 from clients: held from PUBLISH to PUBREL, then passed on.

use noctule_protocol::packet::AckKind;
use noctule_protocol::{DecodeError, PacketId, ProtocolVersion, ReasonCode};

use super::{Shard, Turn};
use crate::authorize::{Authorized, authorize};
use crate::input::ConnectionKey;
use crate::message::{Message, Publication};
use crate::metric::Metric;
use crate::record::Operation;

impl Shard {
    pub(super) fn publish_exactly_once(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        packet_id: PacketId,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        let publication = publication.into_inner();
        let Some(session) = self.session(slot) else { return Ok(()) };
        let wait;
        // A duplicate costs no quota and no memory [MQTT-4.3.3-10].
        if !session.incoming.contains(packet_id) {
            self.check_receive_maximum(key, slot, version)?;
            self.check_held_bytes(key, slot, publication.view.payload.len())?;
            let Some(session) = self.session_mut(slot) else { return Ok(()) };
            session.incoming_bytes += publication.view.payload.len();
            wait = session.lasts();
            let stored = wait.then(|| (session.address.number, publication.keep()));
            session.incoming.publish(packet_id, publication.keep_last());
            self.recount(slot);
            if let Some((session, message)) = stored {
                self.persist(Operation::PutIncoming { session, packet_id, message });
            }
        } else {
            // Its first PUBREC may still be held; the repetition may not overtake it.
            wait = session.lasts() && self.urgent != self.urgent_handed_out;
        }
        self.acknowledge(key, wait, AckKind::Pubrec, packet_id, turn);
        Ok(())
    }

    pub(super) fn on_pubrel(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        packet_id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session_mut(slot) else { return };
        let message = session.incoming.pubrel(packet_id);
        session.incoming_bytes -= message.as_ref().map_or(0, Message::payload_bytes);
        self.recount(slot);
        self.pass_on_held(key, slot, packet_id, message, turn);
    }

    /// Passes on what was held and is held no more, if anything was, and acknowledges that.
    #[inline]
    pub(super) fn pass_on_held(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        packet_id: PacketId,
        message: Option<Message>,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.session(slot) else { return };
        let (number, lasts) = (session.address.number, session.lasts());
        let before = self.urgent;
        if let Some(message) = message {
            // It takes its place in the order now that it is passed on: who subscribes meanwhile gets it live, or
            // as the retained message, and not both.
            let message = message.renumbered(self.next_sequence());
            if lasts {
                // One batch with the recipients: the exchange cannot be lost between the two.
                self.persist(Operation::DeleteIncoming { session: number, packet_id });
            }
            let mut known = std::mem::take(&mut self.known_topic);
            message.learn_topic(&mut known);
            let mut publication = Publication::kept_knowing(&message, &known);
            let Some(client) = self.client(slot) else { return };
            match authorize(&mut publication, client) {
                // [MQTT-3.3.2-5]
                Ok(_) if message.is_expired(turn.now.wall) => {
                    if message.retain() {
                        // It comes too late for anybody, but what it replaces is no longer true [MQTT-3.3.1-5].
                        self.clear_retained(message.topic(), message.qos(), turn);
                    }
                    self.count(Metric::DroppedExpired);
                }
                Ok(publication) => {
                    self.pass_on_from(key, slot, publication, turn);
                }
                Err(_) => self.count(Metric::DroppedDenied),
            }
            self.known_topic = known;
        }
        // An unknown identifier is answered too: the first PUBCOMP may have been lost [MQTT-4.3.3-11].
        self.acknowledge(key, self.urgent != before, AckKind::Pubcomp, packet_id, turn);
    }

    /// 3.x has no Receive Maximum; what a session may make us hold for PUBREL is bounded in bytes instead, by
    /// as much as a 5.0 client could.
    fn check_held_bytes(
        &self,
        key: ConnectionKey,
        slot: u32,
        payload_bytes: usize,
    ) -> Result<(), DecodeError> {
        let Some(connection) = self.connection(key) else { return Ok(()) };
        let messages = usize::from(connection.receive_maximum);
        let limit = messages.saturating_mul(self.settings.maximum_packet_size as usize);
        let held = self.session(slot).map_or(0, |session| session.incoming_bytes);
        if held + payload_bytes > limit {
            return Err(DecodeError {
                reason: ReasonCode::QuotaExceeded,
                what: "too many bytes wait for PUBREL",
            });
        }
        Ok(())
    }
}

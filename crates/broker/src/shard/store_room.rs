//! What a shard refuses while the store has little room left, so that what it keeps already is never in danger: whatever
//! would have to be kept anew. What was kept goes on, and so does what gives room back: acknowledging, clearing what is
//! retained, unsubscribing, ending sessions.

use noctule_protocol::packet::{Connect, PublishQoS};
use noctule_protocol::{DecodeError, ProtocolVersion, QoS, ReasonCode};

use super::admission::Refusal;
use super::{Shard, Turn};
use crate::authorize::Authorized;
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::metric::Metric;

/// 3.x knows no refusal of a message but the end. It is never acknowledged as if it were kept.
const NO_ROOM: DecodeError =
    DecodeError { reason: ReasonCode::QuotaExceeded, what: "the disk of the store is nearly full" };

impl Shard {
    /// From which level of memory on it is asked whether a message can be kept: one comparison answers for both.
    pub(super) fn choose_refusals(&mut self) {
        self.thrift.refuses_from = if self.store_is_low { Pressure::None } else { Pressure::RefusePublish };
    }

    /// Whether a message would be kept in the store: for a session that lasts, as what is retained, or until PUBREL. What
    /// is kept already, and comes again, is not kept anew.
    pub(super) fn would_be_stored(
        &mut self,
        slot: u32,
        qos: PublishQoS,
        publication: &Authorized<'_, '_>,
        turn: &Turn<'_>,
    ) -> bool {
        let view = publication.view();
        let is_retained = view.retain && !view.payload.is_empty(); // [MQTT-3.3.1-6]
        match qos {
            PublishQoS::AtMostOnce if !self.settings.upgrade_outgoing_qos => is_retained,
            PublishQoS::ExactlyOnce(packet_id) if self.has_incoming(slot, packet_id) => false,
            PublishQoS::ExactlyOnce(_) if self.session(slot).is_some_and(|session| session.lasts()) => true,
            PublishQoS::AtMostOnce | PublishQoS::AtLeastOnce(_) | PublishQoS::ExactlyOnce(_) => {
                let route = self.router.route(turn.shared, view.topic);
                let is_kept =
                    route.all().any(|target| target.lasts && target.granted(view.qos) != QoS::AtMostOnce);
                self.router.take_back(route);
                is_retained || is_kept
            }
        }
    }

    pub(super) fn refuse_to_store(
        &mut self,
        key: ConnectionKey,
        version: ProtocolVersion,
        qos: PublishQoS,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        if let PublishQoS::AtMostOnce = qos {
            self.count(Metric::DroppedStoreFull);
            return Ok(());
        }
        self.count(Metric::RefusedStoreFull);
        if version != ProtocolVersion::V5 {
            return Err(NO_ROOM);
        }
        self.answer_refused(key, qos, ReasonCode::QuotaExceeded, turn);
        Ok(())
    }

    /// Whether a subscription of this session is refused: it would be kept.
    pub(super) fn refuses_subscription(&mut self, slot: u32) -> bool {
        let refuses = self.store_is_low && self.session(slot).is_some_and(|session| session.lasts());
        if refuses {
            self.count(Metric::SubscriptionsRefusedStoreFull);
        }
        refuses
    }

    /// Refuses a client whose session would be kept anew. Who has one is let in: it takes its messages away.
    pub(super) fn refuse_new_session(
        &mut self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        turn: &Turn<'_>,
    ) -> Result<(), Refusal> {
        if !self.store_is_low || !asks_to_last(connect) || self.is_known(key, connect, turn) {
            return Ok(());
        }
        self.count(Metric::ConnectsRefusedStoreFull);
        Err(Refusal::new(ReasonCode::QuotaExceeded, NO_ROOM.what))
    }
}

/// Whether the session is to outlive the connection [MQTT-3.1.2-23] [MQTT311-3.1.2-4].
fn asks_to_last(connect: &Connect<'_>) -> bool {
    match connect.version {
        ProtocolVersion::V5 => connect.properties.session_expiry_interval().unwrap_or(0) > 0,
        ProtocolVersion::V31 | ProtocolVersion::V311 => !connect.clean_start,
    }
}

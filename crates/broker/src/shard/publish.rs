//! PUBLISH and PUBREL from clients: received once, passed on to all who subscribed.

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::packet::{AckKind, Puback, Publish, PublishQoS, Pubrec};
use noctule_protocol::property::Properties;
use noctule_protocol::{DecodeError, PacketId, ProtocolVersion, QoS, ReasonCode};

use super::answer::HeldPacket;
use super::connection::Pauses;
use super::deliver::Recording;
use super::packet_log::PublishLine;
use super::{Shard, Turn};
use crate::MountPoint;
use crate::authorize::{Authorized, Client, authorize};
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::message::{MessageView, Publication, Publisher, SHARED_COPY, SessionNumber};
use crate::metric::Metric;
use crate::parcel::{Publishing, Sender, ShardIndex, Way};
use crate::record::{List, Operation, Recipient};
use crate::router::{Destination, Recipients, Target};
use crate::sys_topics::SYS_TOPICS;

/// What one target costs beside the bytes of the message, in the measure of `fan_out_bytes_max`.
pub(super) const TARGET_COST: usize = 64;
/// A payload of so many bytes that goes to several shards is copied once for all.
pub(super) const SHARED_BYTES_MIN: usize = 1024;

impl Shard {
    pub(super) fn on_publish(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        self.count(Metric::PublishReceived);
        self.counts.add(Metric::PublishBytesReceived, publish.payload.len() as u64);
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else { return Ok(()) };
        let version = connection.version;
        let limits = self.settings.listeners.get(usize::from(connection.listener.0));
        if limits.is_some_and(|listener| publish.qos.qos() > listener.maximum_qos) {
            return Err(DecodeError { reason: ReasonCode::QoSNotSupported, what: "QoS above Maximum QoS" });
        }
        if publish.retain && !self.settings.retain_available {
            return Err(DecodeError {
                reason: ReasonCode::RetainNotSupported,
                what: "retained messages are not available",
            });
        }
        let mount_point = limits.and_then(|listener| listener.mount_point.clone());
        let mut aliases = connection.aliases.as_mut().and_then(|aliases| aliases.incoming.take());
        let topic = match (&mut aliases, version) {
            (_, ProtocolVersion::V31 | ProtocolVersion::V311) => Ok(publish.topic),
            (Some(aliases), ProtocolVersion::V5) => {
                aliases.resolve(publish.topic, publish.properties.topic_alias())
            }
            (None, ProtocolVersion::V5) => match publish.properties.topic_alias() {
                None => Ok(publish.topic),
                Some(_) => Err(DecodeError {
                    reason: ReasonCode::TopicAliasInvalid,
                    what: "topic aliases are not available",
                }),
            },
        };
        let result = match (topic, mount_point) {
            (Ok(topic), None) => self.publish_on(key, slot, version, topic, publish, turn),
            (Ok(topic), Some(mount_point)) => {
                self.publish_mounted(key, slot, version, (&mount_point, topic), publish, turn)
            }
            (Err(error), _) => Err(error),
        };
        if aliases.is_some()
            && let Some(connection) = self.connection_mut(key)
        {
            connection.aliases.get_or_insert_default().incoming = aliases;
        }
        result
    }

    /// The same of a client that calls its topic otherwise than the broker does.
    #[inline(never)]
    fn publish_mounted(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        (mount_point, topic): (&MountPoint, &str),
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        let mut mounted = std::mem::take(&mut self.mounted_topic);
        let result = match mount_point.topic(topic, &mut mounted) {
            Some(topic) => self.publish_on(key, slot, version, topic, publish, turn),
            None => Err(DecodeError {
                reason: ReasonCode::TopicNameInvalid,
                what: "the topic is too long behind the listener's mount point",
            }),
        };
        self.mounted_topic = mounted;
        result
    }

    fn publish_on(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        topic: &str,
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        let limit = self.settings.message_size_limit;
        if limit > 0 && publish.payload.len() > limit {
            self.drop_too_large(key, slot, topic, publish, turn);
            return Ok(());
        }
        let sequence = self.next_sequence();
        let Self { sessions, settings, generation, restricts, .. } = self;
        let Some(session) = sessions.get_mut(slot as usize).and_then(Option::as_deref_mut) else {
            return Ok(());
        };
        let number = session.address.number;
        let forwarded = publish.properties.forwardable();
        let expiry = publish.properties.message_expiry_interval();
        let view = MessageView {
            topic,
            payload: publish.payload,
            properties: forwarded.as_bytes(),
            qos: publish.qos.qos(),
            retain: publish.retain,
            expires: expiry.map(|seconds| turn.now.wall + Duration::from_secs(seconds.into())),
            publisher: number,
        };
        let mut publication = Publication::borrowed(view, sequence);
        let client = Client { session, settings, generation: *generation, restricts: *restricts };
        let authorized = authorize(&mut publication, client);
        if self.logs_packets() {
            let what = if authorized.is_ok() { "Received PUBLISH from" } else { "Denied PUBLISH from" };
            self.log_publish(what, slot, PublishLine::of(publish, topic), turn);
        }
        match (publish.qos, authorized) {
            (qos, Ok(publication))
                if self.thrift.pressure >= self.thrift.refuses_from && !frees(&publication, turn) =>
            {
                self.publish_in_need(key, slot, version, qos, publication, turn)
            }
            (qos, Ok(publication)) => self.publish_admitted(key, slot, version, qos, publication, turn),
            (qos, Err(_)) => {
                self.count(Metric::DroppedDenied);
                self.answer_refused(key, qos, ReasonCode::NotAuthorized, turn);
                Ok(())
            }
        }
    }

    #[inline]
    fn publish_admitted(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        qos: PublishQoS,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        match qos {
            PublishQoS::AtMostOnce => {
                self.pass_on_from(key, slot, publication, turn);
                Ok(())
            }
            PublishQoS::AtLeastOnce(packet_id) => {
                self.publish_at_least_once(key, slot, version, packet_id, publication, turn)
            }
            PublishQoS::ExactlyOnce(packet_id) => {
                self.publish_exactly_once(key, slot, version, packet_id, publication, turn)
            }
        }
    }

    /// Memory is short, or room in the store, or both.
    #[cold]
    #[inline(never)]
    fn publish_in_need(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        qos: PublishQoS,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        if self.thrift.pressure >= Pressure::RefusePublish {
            self.publish_without_memory(key, slot, version, qos, publication, turn)
        } else if self.would_be_stored(slot, qos, &publication, turn) {
            self.refuse_to_store(key, version, qos, turn)
        } else {
            self.publish_admitted(key, slot, version, qos, publication, turn)
        }
    }

    /// Acknowledges a message and forgets it: its payload is above `message_size_limit`.
    #[cold]
    fn drop_too_large(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        topic: &str,
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) {
        self.count(Metric::DroppedPayloadTooLarge);
        if self.logs_packets() {
            let line = PublishLine::of(publish, topic);
            self.log_publish("Dropped too large PUBLISH from", slot, line, turn);
        }
        self.answer_refused(key, publish.qos, ReasonCode::ImplementationSpecificError, turn);
    }

    /// Passes on what need not be kept, and refuses the rest.
    fn publish_without_memory(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        qos: PublishQoS,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        match qos {
            PublishQoS::AtMostOnce => {
                // An empty one is not retained.
                let view = publication.view();
                if view.retain && !view.payload.is_empty() {
                    self.count(Metric::DroppedMemory);
                } else {
                    self.pass_on_from(key, slot, publication, turn);
                }
                Ok(())
            }
            PublishQoS::ExactlyOnce(packet_id) if self.has_incoming(slot, packet_id) => {
                self.publish_exactly_once(key, slot, version, packet_id, publication, turn)
            }
            PublishQoS::AtLeastOnce(_) | PublishQoS::ExactlyOnce(_) => {
                self.refuse_publish(key, version, qos, turn)
            }
        }
    }

    fn publish_at_least_once(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        packet_id: PacketId,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        self.check_receive_maximum(key, slot, version)?;
        let before = self.urgent;
        let matched = self.pass_on_from(key, slot, publication, turn);
        let reason = if matched { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        self.answer_puback(key, self.urgent != before, packet_id, reason, turn);
        Ok(())
    }

    fn answer_puback(
        &mut self,
        key: ConnectionKey,
        wait: bool,
        packet_id: PacketId,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) {
        if reason == ReasonCode::Success {
            return self.acknowledge(key, wait, AckKind::Puback, packet_id, turn);
        }
        let puback = Puback { packet_id, reason, properties: Properties::EMPTY };
        self.answer_as(HeldPacket::Puback, key, wait, turn, |out, version| puback.encode(version, out));
    }

    /// 5.0: a denied publish is acknowledged with a reason code, 0x87 where there is no right; 3.x knows no refusal and gets
    /// the normal acknowledgement [MQTT311-3.3.5-2].
    pub(super) fn answer_refused(
        &mut self,
        key: ConnectionKey,
        qos: PublishQoS,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) {
        match qos {
            PublishQoS::AtMostOnce => {}
            PublishQoS::AtLeastOnce(packet_id) => self.answer_puback(key, false, packet_id, reason, turn),
            PublishQoS::ExactlyOnce(packet_id) => {
                let pubrec = Pubrec { packet_id, reason, properties: Properties::EMPTY };
                self.answer(key, false, turn, |out, version| pubrec.encode(version, out));
            }
        }
    }

    /// The client may not have more unacknowledged messages than it was told [MQTT-3.3.4-7].
    pub(super) fn check_receive_maximum(
        &self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
    ) -> Result<(), DecodeError> {
        if version != ProtocolVersion::V5 {
            return Ok(());
        }
        let (Some(connection), Some(session)) = (self.connection(key), self.session(slot)) else {
            return Ok(());
        };
        let limit = usize::from(connection.receive_maximum);
        if session.incoming.len() + connection.held.pubacks() >= limit {
            return Err(DecodeError {
                reason: ReasonCode::ReceiveMaximumExceeded,
                what: "more unacknowledged messages than Receive Maximum",
            });
        }
        Ok(())
    }

    /// Passes on what the session in this slot published over this connection.
    pub(super) fn pass_on_from(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        publication: Authorized<'_, '_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        // Only what is retained is asked for its publisher later.
        let publisher = match publication.view().retain {
            true => self.session_mut(slot).map(|session| session.retainer()),
            false => None,
        };
        self.pass_on(publication, slot, publisher.as_ref(), Some(key), turn)
    }

    /// Retains a message of the session in `slot`, if it says so and has a publisher to remember, and routes it. Gives
    /// whether anybody subscribed to it. Whoever publishes over `key` waits if it is more than can be passed on now.
    pub(super) fn pass_on(
        &mut self,
        publication: Authorized<'_, '_>,
        slot: u32,
        publisher: Option<&Arc<Publisher>>,
        key: Option<ConnectionKey>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let publication = publication.into_inner();
        if let (true, Some(publisher)) = (publication.view.retain, publisher) {
            self.retain(publication, publisher, turn);
        }
        let route = self.router.route(turn.shared, publication.view.topic);
        let mut recipients = Vec::new();
        let mut list = List::Prompt;
        if let Some(client_id) = self.waiting_client(slot, &route.here, publication) {
            list = List::Late;
            let publishing = self.address(self.index, &route.here, publication, true, &mut recipients, turn);
            let sender = Some(Sender { client_id: Arc::clone(&client_id), connection: key });
            self.mail.post_own(&client_id, Publishing { sender, ..publishing });
            if let Some(key) = key {
                self.pause(key, Pauses::OWN_FAN_OUT, turn);
            }
        } else {
            self.fed_by_group(); // What others did is not its doing.
            for target in &*route.here {
                if publication.reaches(target) {
                    self.serve(target, publication, Recording::Make(&mut recipients), turn);
                }
            }
            if let (Some(key), Some(shard)) = (key, self.fed_by_group()) {
                self.wait_for_room(key, shard, Way::Grouped, turn);
            }
        }
        if !route.elsewhere.is_empty() {
            self.pass_on_elsewhere(&route, publication, &mut recipients, key, turn);
        }
        if !recipients.is_empty() {
            let message = publication.keep();
            // One copy by itself is in the list of nobody, so it may go with its row.
            let is_listed = |recipient: &&Recipient| recipient.group.is_none();
            let list = (recipients.iter().filter(is_listed).nth(1).is_some()).then_some(list);
            list.inspect(|list| message.list_copies(*list));
            self.persist(Operation::PutMessage { message, recipients, list });
        }
        // A subscriber that wants none of its own is one all the same: no PUBACK 0x10, as in Mosquitto.
        let matched = !route.here.is_empty() || !route.elsewhere.is_empty();
        self.router.take_back(route);
        matched
    }

    pub(super) fn pass_on_elsewhere(
        &mut self,
        route: &Recipients,
        publication: &mut Publication<'_>,
        recipients: &mut Vec<Recipient>,
        key: Option<ConnectionKey>,
        turn: &mut Turn<'_>,
    ) {
        let share = route.elsewhere.len() > 1 && publication.view.payload.len() > SHARED_BYTES_MIN;
        for (shard, targets) in &route.elsewhere {
            let publishing = self.address(*shard, targets, publication, share, recipients, turn);
            let is_busy = self.forward(*shard, publishing);
            if let (true, Some(key)) = (is_busy, key) {
                self.wait_for_room(key, *shard, Way::Direct, turn);
            }
        }
    }

    /// Whoever published a message, if passing it on to these targets takes longer than a turn may, or if a message
    /// that does is still before it: one its client sent by another connection, or its Will stands behind it.
    fn waiting_client(
        &self,
        slot: u32,
        targets: &[Target],
        publication: &Publication<'_>,
    ) -> Option<Arc<str>> {
        let view = &publication.view;
        let bytes = view.topic.len() + view.payload.len() + view.properties.len();
        let session = self.session(slot);
        let most = match session {
            Some(_) => self.settings.fan_out_bytes_max,
            // The broker says much at a time.
            None => self.settings.fan_out_bytes_max / SYS_TOPICS.len(),
        };
        let is_long = targets.len().saturating_mul(bytes + TARGET_COST) > most;
        if targets.is_empty() || !is_long && !self.mail.has_any_own() {
            return None;
        }
        let client_id = session.map_or(&self.broker.client_id, |session| &session.publisher.client_id);
        (is_long || self.mail.has_own(client_id)).then(|| Arc::clone(client_id))
    }

    /// A message for targets that are served later, or by another shard: the copies that must be kept are made now.
    fn address(
        &mut self,
        to: ShardIndex,
        targets: &Arc<[Target]>,
        publication: &mut Publication<'_>,
        share: bool,
        recipients: &mut Vec<Recipient>,
        turn: &Turn<'_>,
    ) -> Publishing {
        let mut first_copy = None;
        if publication.view.qos != QoS::AtMostOnce || self.settings.upgrade_outgoing_qos {
            for target in targets.iter() {
                if publication.reaches(target) && Self::is_recorded(target, publication) {
                    let recipient = self.recipient(target, publication, turn);
                    first_copy.get_or_insert(recipient.copy & !SHARED_COPY);
                    recipients.push(recipient);
                }
            }
        }
        let message = self.mail.carry(to, publication, share);
        Publishing { message, targets: Arc::clone(targets), first_copy, sender: None }
    }

    fn recipient(&self, target: &Target, publication: &mut Publication<'_>, turn: &Turn<'_>) -> Recipient {
        let (session, group) = match target.to {
            Destination::Session(address) => (address.number, None),
            Destination::Group(group) => (SessionNumber::GROUP, Some(turn.shared.group_filter(group))),
        };
        Recipient {
            copy: publication.keep().add_copy(group.is_some()),
            session,
            qos: target.granted(publication.view.qos),
            retain: target.retain_as_published && publication.view.retain,
            identifiers: target.identifiers.clone(),
            group,
        }
    }

    /// Whether a target's copy is recorded when it is addressed.
    pub(super) fn is_recorded(target: &Target, publication: &Publication<'_>) -> bool {
        target.lasts && target.granted(publication.view.qos) != QoS::AtMostOnce
    }
}

/// Whether a message gives memory back: it deletes what is retained.
fn frees(publication: &Authorized<'_, '_>, turn: &Turn<'_>) -> bool {
    let view = publication.view();
    view.retain && view.payload.is_empty() && turn.shared.retained.may_have(view.topic)
}

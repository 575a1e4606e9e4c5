//! A burst of PUBLISH packets, passed on as one: what they have in common is asked once, and a recipient gets their bytes
//! in one piece.

use noctule_protocol::packet::{AckKind, PlainAck, Publish, PublishRun};
use noctule_protocol::{ProtocolVersion, QoS};

use super::deliver::{Recording, granted, ready_at_once};
use super::publish::TARGET_COST;
use super::{Shard, Turn};
use crate::authorize::authorize;
use crate::effect::LogLevel;
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::message::{MessageView, Publication, Sequence, SessionNumber};
use crate::metric::Metric;
use crate::router::{Destination, Recipients, SessionAddress, Target};

impl Shard {
    /// Takes the packets at the front of `input` if they are a run, to the topic of the PUBLISH before them, that can be passed
    /// on as one; gives how many bytes they were. 0, and nothing done, if the first one must be looked at by itself.
    #[inline]
    pub(super) fn take_run(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        input: &[u8],
        limit: u32,
        turn: &mut Turn<'_>,
    ) -> usize {
        let known = std::mem::take(&mut self.known_topic);
        let mut places = std::mem::take(&mut self.run_places);
        let taken = match PublishRun::read(input, limit, version, &known, &mut places) {
            Some(run) if self.publish_run(key, slot, &run, turn) => run.bytes().len(),
            Some(_) | None => 0,
        };
        (self.known_topic, self.run_places) = (known, places);
        taken
    }

    /// Does with all packets of a run what would be done with each. False, and nothing done, if that differs.
    fn publish_run(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        run: &PublishRun<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let (Some(publisher), Some(first)) = (self.publisher_of(key, slot, run), run.packets().next()) else {
            return false;
        };
        let sequence = self.sequence;
        let mut first = Publication::borrowed(view(&first, publisher), sequence);
        let Ok(first) = authorize(&mut first) else { return false };
        let route = self.router.route(turn.shared, first.view().topic);
        let can_take = self.can_pass_on(run, &route);
        if can_take {
            let packets = run.len() as u64;
            self.counts.add(Metric::PacketsReceived, packets);
            self.counts.add(Metric::PublishReceived, packets);
            self.sequence.counter += packets;
            let first = first.into_inner();
            for target in route.here.iter().filter(|target| first.reaches(target)) {
                self.deliver_run(target, run, publisher, sequence, turn);
            }
            for packet_id in run.packet_ids() {
                self.acknowledge(key, false, AckKind::Puback, packet_id, turn);
            }
        }
        self.router.take_back(route);
        can_take
    }

    /// Who publishes a run, if no packet of it could be refused or held up.
    fn publisher_of(&self, key: ConnectionKey, slot: u32, run: &PublishRun<'_>) -> Option<SessionNumber> {
        let (connection, session) = (self.connection(key)?, self.session(slot)?);
        let listener = self.settings.listeners.get(usize::from(connection.listener.0));
        let answers = run.qos() == QoS::AtMostOnce
            || connection.held.is_empty()
                && connection.maximum_packet_size as usize >= PlainAck::LENGTH
                && self.check_receive_maximum(key, slot, connection.version).is_ok();
        let is_free = answers
            && listener.is_none_or(|listener| run.qos() <= listener.maximum_qos)
            && self.thrift.pressure < Pressure::DropQos0
            && !self.mail.has_any_own()
            && !self.settings.log_levels.contains(LogLevel::Debug);
        is_free.then_some(session.address.number)
    }

    /// Whether a run goes to sessions of this shard alone, at once, and nothing of it is recorded.
    fn can_pass_on(&self, run: &PublishRun<'_>, route: &Recipients) -> bool {
        let bytes = run.packet_bytes_max() + TARGET_COST;
        let is_answered_plainly = run.qos() == QoS::AtMostOnce || !route.here.is_empty();
        let is_passing = |target: &Target| match target.to {
            Destination::Group(_) => false,
            Destination::Session(address) => {
                let session = self.session(address.slot);
                granted(&self.settings, run.qos(), target.qos) == QoS::AtMostOnce
                    || !target.lasts && session.is_none_or(|session| !session.lasts())
            }
        };
        route.elsewhere.is_empty()
            && is_answered_plainly // Else they hear that nobody subscribed.
            && route.here.len().saturating_mul(bytes) <= self.settings.fan_out_bytes_max
            && route.here.iter().all(is_passing)
    }

    /// Gives a copy of each packet to one session, as many as possible in one piece. `sequence` is that before the first.
    fn deliver_run(
        &mut self,
        target: &Target,
        run: &PublishRun<'_>,
        publisher: SessionNumber,
        sequence: Sequence,
        turn: &mut Turn<'_>,
    ) {
        let Destination::Session(address) = target.to else { return };
        let sent = self.send_run_at_once(address, target, run);
        for (counter, publish) in (sequence.counter + 1..).zip(run.packets()).skip(sent) {
            let mut publication =
                Publication::borrowed(view(&publish, publisher), Sequence { counter, ..sequence });
            let mut recipients = Vec::new();
            let recording = Recording::Make(&mut recipients);
            self.deliver(address, target, None, &mut publication, recording, turn);
            debug_assert!(recipients.is_empty(), "it was asked whether any session lasts");
        }
    }

    /// Sends the first packets of a run; gives how many. What stops it, if they are not all, is the next one's matter.
    #[inline]
    fn send_run_at_once(&mut self, address: SessionAddress, target: &Target, run: &PublishRun<'_>) -> usize {
        let Self { settings, connections, sessions, pool, dirty, counts, thrift, .. } = self;
        let ready = ready_at_once(settings, thrift.pressure, sessions, connections, address);
        let Some((session, connection)) = ready else { return 0 };
        let gets_these_bytes = connection.version.has_properties() == run.version().has_properties()
            && granted(settings, run.qos(), target.qos) == run.qos()
            && target.identifiers.is_empty()
            && connection.aliases.as_ref().is_none_or(|aliases| aliases.outgoing.is_none())
            && run.packet_bytes_max() <= connection.maximum_packet_size as usize;
        let has_room = connection.outbox.len() + run.bytes().len() <= settings.outbox_bytes_max
            && (run.qos() == QoS::AtMostOnce || session.outgoing.has_room());
        if !gets_these_bytes || !has_room {
            return 0;
        }
        let out = connection.outbox.end(pool);
        let before = out.len();
        let sent = run.encode(out, || session.outgoing.begin_bare(run.qos()));
        let appended = out.len() - before;
        pool.appended += appended;
        connection.mark_dirty(dirty);
        counts.add(Metric::PublishSent, sent as u64);
        sent
    }
}

fn view<'a>(publish: &Publish<'a>, publisher: SessionNumber) -> MessageView<'a> {
    MessageView {
        topic: publish.topic,
        payload: publish.payload,
        properties: &[],
        qos: publish.qos.qos(),
        retain: false,
        expires: None,
        publisher,
    }
}

//! A burst of PUBLISH packets, passed on as one: what they have in common is asked once, and a recipient gets their bytes
//! in one piece.

use noctule_protocol::packet::{AckKind, PlainAck, Publish, PublishRun};
use noctule_protocol::{ProtocolVersion, QoS};

use super::deliver::{Recording, ready_at_once};
use super::publish::{SHARED_BYTES_MIN, TARGET_COST};
use super::{Shard, Turn};
use crate::authorize::authorize;
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::message::{MessageView, Publication, Sequence, SessionNumber};
use crate::metric::Metric;
use crate::parcel::{DELIVERY_OVERHEAD, Way};
use crate::router::{Destination, Recipients, SessionAddress, Target};
use crate::session::Session;

/// What became of the packets at the front of some bytes.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Run {
    /// All was done with packets of so many bytes.
    Taken(usize),
    /// The packets within so many bytes, 0 for the first one alone, must be looked at one by one.
    OneByOne(usize),
}

impl Shard {
    /// Takes the packets at the front of `input` if they are a run, to the topic of the PUBLISH before them, that can be passed
    /// on as one.
    // Out of the way of those who send one packet at a time.
    #[inline(never)]
    pub(super) fn take_run(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        input: &[u8],
        limit: u32,
        turn: &mut Turn<'_>,
    ) -> Run {
        let is_free =
            self.thrift.pressure < Pressure::DropQos0 && !self.mail.has_any_own() && !self.logs_packets();
        if !is_free {
            return Run::OneByOne(0);
        }
        let known = std::mem::take(&mut self.known_topic);
        let mut places = std::mem::take(&mut self.run_places);
        let taken = match PublishRun::read(input, limit, version, &known, &mut places) {
            Some(run) if self.take_whole(key, slot, &run, turn) => Run::Taken(run.bytes().len()),
            Some(run) => Run::OneByOne(run.bytes().len()),
            None => Run::OneByOne(0),
        };
        (self.known_topic, self.run_places) = (known, places);
        taken
    }

    fn take_whole(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        run: &PublishRun<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        match run.qos() {
            QoS::AtMostOnce | QoS::AtLeastOnce => self.publish_run(key, slot, run, turn),
            QoS::ExactlyOnce => self.hold_run(key, slot, run, turn),
        }
    }

    /// Does with all packets of a run what would be done with each, only that their publisher's acknowledgements come behind
    /// what it gets of them itself. False, and nothing done, if that would not be the same.
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
        let sequence = Sequence { counter: self.sequence.counter + 1, ..self.sequence };
        let mut first = Publication::borrowed(view(&first, publisher), sequence);
        let Some(client) = self.client(slot) else { return false };
        let Ok(first) = authorize(&mut first, client) else { return false };
        let route = self.router.route(turn.shared, first.view().topic);
        let can_take = self.can_pass_on(run, &route);
        if can_take {
            let packets = run.len() as u64;
            self.counts.add(Metric::PacketsReceived, packets);
            self.counts.add(Metric::PublishReceived, packets);
            self.counts.add(Metric::PublishBytesReceived, run.payload_bytes(run.len()) as u64);
            self.sequence.counter += packets;
            let first = first.into_inner();
            self.fed_by_group(); // What others did is not its doing.
            self.deliver_run(run, &route.here, first, turn);
            if let Some(shard) = self.fed_by_group() {
                self.wait_for_room(key, shard, Way::Grouped, turn);
            }
            for (shard, targets) in &route.elsewhere {
                if self.forward_run(*shard, run, targets, first) {
                    self.wait_for_room(key, *shard, Way::Direct, turn);
                }
            }
            if run.qos() == QoS::AtLeastOnce {
                self.acknowledge_all(key, AckKind::Puback, run.packet_ids(), turn);
            }
        }
        self.router.take_back(route);
        can_take
    }

    /// Who publishes a run, if no packet of it could be refused and no answer held up.
    fn publisher_of(&self, key: ConnectionKey, slot: u32, run: &PublishRun<'_>) -> Option<SessionNumber> {
        let (connection, session) = (self.connection(key)?, self.session(slot)?);
        let listener = self.settings.listeners.get(usize::from(connection.listener.0));
        // One of them may be dropped.
        let is_limited = self.settings.message_size_limit > 0;
        let answers = run.qos() == QoS::AtMostOnce
            || connection.held.is_empty()
                && connection.maximum_packet_size as usize >= PlainAck::LENGTH
                && self.check_receive_maximum(key, slot, connection.version).is_ok();
        let is_allowed = listener
            .is_none_or(|listener| run.qos() <= listener.maximum_qos && listener.mount_point.is_none());
        (answers && is_allowed && !is_limited).then_some(session.address.number)
    }

    /// Whether a run goes out at once, here and in one turn of each other shard, and nothing of it is recorded or shared.
    /// Whoever gets two copies of each message gets them beside each other.
    fn can_pass_on(&self, run: &PublishRun<'_>, route: &Recipients) -> bool {
        let most = self.settings.fan_out_bytes_max;
        let bytes = run.bytes().len() + run.len() * DELIVERY_OVERHEAD;
        let is_one_turn = |targets: &[Target]| targets.len().saturating_mul(bytes) <= most;
        let packet_bytes = run.packet_bytes_max() + TARGET_COST;
        let is_matched = !route.here.is_empty() || !route.elsewhere.is_empty();
        let is_shared = route.elsewhere.len() > 1 && run.packet_bytes_max() > SHARED_BYTES_MIN;
        let may_be_recorded = run.qos() != QoS::AtMostOnce || self.settings.upgrade_outgoing_qos;
        route.here.len().saturating_mul(packet_bytes) <= most
            && route.elsewhere.iter().all(|(_, targets)| is_one_turn(targets))
            && !is_shared
            && (run.qos() == QoS::AtMostOnce || is_matched) // Else they hear that nobody subscribed.
            && route.comes_once()
            && !(may_be_recorded && route.all().any(|target| self.may_record(target, run.qos())))
    }

    /// Whether a target's copy of a message that was published with this QoS is recorded, or may be.
    pub(super) fn may_record(&self, target: &Target, published: QoS) -> bool {
        target.granted(published) != QoS::AtMostOnce
            && match target.to {
                Destination::Group(_) => true,
                Destination::Session(address) => {
                    let lasts = || self.session(address.slot).is_some_and(Session::lasts);
                    target.lasts || address.shard == self.index && lasts()
                }
            }
    }

    /// Gives copies to those of the targets that `first`, the first packet, reaches: as many as possible in one piece, and
    /// then the rest packet by packet, so that all who must keep one share it.
    pub(super) fn deliver_run(
        &mut self,
        run: &PublishRun<'_>,
        targets: &[Target],
        first: &Publication<'_>,
        turn: &mut Turn<'_>,
    ) {
        let mut left = Vec::new();
        for target in targets.iter().filter(|target| first.reaches(target)) {
            let sent = match target.to {
                Destination::Session(address) => self.send_run_at_once(address, target, run),
                Destination::Group(_) => 0,
            };
            if sent < run.len() {
                left.push((target, sent));
            }
        }
        let Some(begin) = left.iter().map(|(_, sent)| *sent).min() else { return };
        let Sequence { source, counter } = first.sequence;
        for ((at, counter), publish) in (0..).zip(counter..).zip(run.packets()).skip(begin) {
            let view = view(&publish, first.view.publisher);
            let mut publication = Publication::borrowed(view, Sequence { source, counter });
            for (target, _) in left.iter().filter(|(_, sent)| *sent <= at) {
                // There is nothing to record: that was asked before.
                self.serve(target, &mut publication, Recording::Made(None), turn);
            }
        }
    }

    /// Sends the first packets of a run; gives how many. What stops it, if they are not all, is the next one's matter. All
    /// are dealt with if the session may receive none.
    #[inline]
    fn send_run_at_once(&mut self, address: SessionAddress, target: &Target, run: &PublishRun<'_>) -> usize {
        if self.restricts && !self.may_receive(address, run.topic()) {
            self.counts.add(Metric::DroppedNotReadable, run.len() as u64);
            return run.len();
        }
        let Self { settings, connections, sessions, pool, dirty, counts, thrift, .. } = self;
        let ready = ready_at_once(settings, thrift.pressure, sessions, connections, address);
        let Some((session, connection)) = ready else { return 0 };
        let gets_these_bytes = connection.version.has_properties() == run.shape().version.has_properties()
            && target.granted(run.qos()) == run.qos()
            && target.identifiers.is_empty()
            && connection.has_plain_topics()
            && run.packet_bytes_max() <= connection.maximum_packet_size as usize;
        let most = if run.qos() == QoS::AtMostOnce { run.len() } else { session.outgoing.room() };
        let has_room = connection.outbox.len() + run.bytes().len() <= settings.outbox_bytes_max;
        // What lasts is recorded, or at least kept.
        let is_passing = run.qos() == QoS::AtMostOnce || !session.lasts();
        if !gets_these_bytes || !has_room || most == 0 || !is_passing {
            return 0;
        }
        let out = connection.outbox.end(pool);
        let before = out.len();
        let sent = run.encode(most, out, || session.outgoing.begin_bare(run.qos()));
        let appended = out.len() - before;
        pool.appended += appended;
        connection.mark_dirty(dirty);
        counts.add(Metric::PublishSent, sent as u64);
        counts.add(Metric::PublishBytesSent, run.payload_bytes(sent) as u64);
        sent
    }
}

pub(super) fn view<'a>(publish: &Publish<'a>, publisher: SessionNumber) -> MessageView<'a> {
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

#[cfg(all(test, not(feature = "shuttle")))]
pub(super) mod tests {
    use std::sync::Arc;

    use noctule_protocol::packet::{Connect, Filters, Packet, PublishQoS, Subscribe, SubscriptionOptions};
    use noctule_protocol::property::{Properties, Property};
    use noctule_protocol::{PacketId, SubscriptionFilter};

    use super::*;
    use crate::input::{Input, ListenerIndex};
    use crate::now::Now;
    use crate::parcel::ShardIndex;
    use crate::settings::Settings;
    use crate::shared::Shared;

    pub(in super::super) const PUBLISHER: ConnectionKey = ConnectionKey { index: 0, generation: 0 };
    const SUBSCRIBER: ConnectionKey = ConnectionKey { index: 1, generation: 0 };

    fn encoded(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).expect("a good packet");
        bytes
    }

    pub(in super::super) fn burst(packets: u16, qos: QoS, version: ProtocolVersion) -> Vec<u8> {
        let publish = |number| Publish {
            dup: false,
            qos: PublishQoS::with_id(qos, PacketId::new(number).expect("from 1")),
            retain: false,
            topic: "t/u",
            properties: Properties::EMPTY,
            payload: b"hello",
        };
        (1..=packets).flat_map(|number| encoded(&Packet::Publish(publish(number)), version)).collect()
    }

    /// A publisher that just published, and one who subscribed to these.
    pub(in super::super) fn shard(
        version: ProtocolVersion,
        filters: &[&str],
        qos: QoS,
        lasts: bool,
    ) -> (Shard, Shared) {
        let settings = Arc::new(Settings::default());
        let shared = Shared::new(&settings);
        let mut shard = Shard::new(Arc::clone(&settings), ShardIndex(0), 1, 1);
        let mut handle = |input: Input<'_>| shard.handle(&shared, input, Now::default(), &mut Vec::new());
        for (connection, client_id, lasts) in
            [(PUBLISHER, "publisher", false), (SUBSCRIBER, "subscriber", lasts)]
        {
            let expiry = Properties::new([Property::SessionExpiryInterval(u32::from(lasts) * 9)]);
            let connect = Connect {
                version,
                bridge: false,
                clean_start: !lasts,
                keep_alive: 0,
                properties: if version.has_properties() { expiry } else { Properties::EMPTY },
                client_id,
                will: None,
                user_name: None,
                password: None,
            };
            let bytes = encoded(&Packet::Connect(connect), version);
            handle(Input::Connected { connection, listener: ListenerIndex(0), peer: None });
            handle(Input::Received { connection, bytes: &bytes });
        }
        let options = SubscriptionOptions::new(qos);
        let pairs =
            filters.iter().map(|filter| (SubscriptionFilter::parse(filter).expect("a filter"), options));
        let subscribe = Subscribe {
            packet_id: PacketId::FIRST,
            properties: Properties::EMPTY,
            filters: Filters::from_pairs(pairs).expect("some"),
        };
        let bytes = encoded(&Packet::Subscribe(subscribe), version);
        handle(Input::Received { connection: SUBSCRIBER, bytes: &bytes });
        handle(Input::Received { connection: PUBLISHER, bytes: &burst(1, QoS::AtMostOnce, version) });
        (shard, shared)
    }

    #[test]
    fn bursts_are_taken_in_one_piece_where_nothing_is_in_the_way() {
        use QoS::{AtLeastOnce, AtMostOnce};
        let one = &["t/u"][..];
        let table = [
            (AtMostOnce, one, AtMostOnce, false, true),
            (AtMostOnce, one, AtLeastOnce, true, true),
            (AtLeastOnce, one, AtLeastOnce, false, true),
            (AtLeastOnce, one, AtMostOnce, true, true),
            (AtLeastOnce, one, AtLeastOnce, true, false),
            (AtMostOnce, &["t/u", "v/#"], AtMostOnce, false, true),
            (AtMostOnce, &["t/u", "t/+"], AtMostOnce, false, false),
            (AtMostOnce, &["$share/g/t/u"], AtMostOnce, false, true),
            (AtLeastOnce, &["$share/g/t/u"], AtLeastOnce, false, false),
            (AtMostOnce, &["$share/g/t/u", "t/u"], AtMostOnce, false, false),
            (AtMostOnce, &["v"], AtMostOnce, false, true),
            (AtLeastOnce, &["v"], AtMostOnce, false, false),
        ];
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            for (qos, filters, subscribed, lasts, is_taken) in table {
                let (mut shard, shared) = shard(version, filters, subscribed, lasts);
                let turn = &mut Turn { shared: &shared, now: Now::default(), effects: &mut Vec::new() };
                let slot = shard
                    .connection(PUBLISHER)
                    .and_then(|connection| connection.slot())
                    .expect("it is connected");
                let (single, bytes) = (burst(1, qos, version), burst(9, qos, version));
                let mut take = |bytes: &[u8]| shard.take_run(PUBLISHER, slot, version, bytes, u32::MAX, turn);
                assert_eq!(take(&single), Run::OneByOne(0));
                let expected = if is_taken { Run::Taken(bytes.len()) } else { Run::OneByOne(bytes.len()) };
                assert_eq!(take(&bytes), expected, "{version:?} {qos:?} {filters:?} {subscribed:?} {lasts}");
            }
        }
    }
}

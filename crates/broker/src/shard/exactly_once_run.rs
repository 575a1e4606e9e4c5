//! A burst of QoS 2 packets, taken as one: PUBLISH packets of one topic are held, and with their PUBRELs passed on,
//! where what they have in common is asked once.

use noctule_protocol::delivery::Received;
use noctule_protocol::packet::{AckKind, PlainAck, PublishQoS, PublishRun};
use noctule_protocol::{PacketId, ProtocolVersion, QoS};

use super::deliver::{Recording, connection_of, ready_at_once};
use super::envelope::{Envelope, numbered};
use super::publish::TARGET_COST;
use super::publish_run::{Run, view};
use super::{Shard, Turn};
use crate::authorize::{Client, authorize};
use crate::encoded::Encoded;
use crate::input::ConnectionKey;
use crate::message::{Message, Publication, Sequence};
use crate::metric::Metric;
use crate::router::{Destination, Recipients, SessionAddress, Target};

/// So many PUBRELs are taken as one, at most: what is done for each needs room.
const RELEASES_MAX: usize = 256;
/// Where two differ, so many PUBRELs are taken one by one before it is looked again whether the next two do.
const MIXED: usize = 8;

impl Shard {
    /// Holds what each packet of a run brings, and answers all. False, and nothing done, if a packet may have to be
    /// refused, or recorded, or its answer held up.
    pub(super) fn hold_run(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        run: &PublishRun<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Self { settings, connections, sessions, counts, sequence, generation, restricts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return false };
        let Some(connection) = connection_of(connections, session) else { return false };
        let listener = settings.listeners.get(usize::from(connection.listener.0));
        let messages = usize::from(connection.receive_maximum);
        // A duplicate would take no place, but where there is enough for all that makes no difference.
        let has_place =
            connection.version != ProtocolVersion::V5 || session.incoming.len() + run.len() <= messages;
        let bytes_max = messages.saturating_mul(settings.maximum_packet_size as usize);
        let is_plain = connection.key == key
            && connection.held.is_empty()
            && connection.maximum_packet_size as usize >= PlainAck::LENGTH
            && listener
                .is_none_or(|listener| run.qos() <= listener.maximum_qos && listener.mount_point.is_none())
            && settings.message_size_limit == 0
            && !session.lasts()
            && has_place
            && session.incoming_bytes + run.bytes().len() <= bytes_max;
        let publisher = session.address.number;
        let may_publish = |first| {
            let client = Client { session, settings, generation: *generation, restricts: *restricts };
            authorize(&mut Publication::borrowed(view(&first, publisher), *sequence), client).is_ok()
        };
        if !is_plain || !run.packets().next().is_some_and(may_publish) {
            return false;
        }
        let packets = run.len() as u64;
        counts.add(Metric::PacketsReceived, packets);
        counts.add(Metric::PublishReceived, packets);
        counts.add(Metric::PublishBytesReceived, run.payload_bytes(run.len()) as u64);
        for publish in run.packets() {
            sequence.counter += 1;
            let Some(packet_id) = publish.qos.packet_id() else { continue };
            let message = || view(&publish, publisher).to_message(*sequence);
            // A duplicate costs no quota and no memory [MQTT-4.3.3-10].
            if session.incoming.publish_with(packet_id, message) == Received::New {
                session.incoming_bytes += publish.payload.len();
            }
        }
        session.recount(counts);
        self.acknowledge_all(key, AckKind::Pubrec, run.packet_ids(), turn);
        true
    }

    /// Takes the PUBRELs that `bytes` begin with, if they are several and what they release can be passed on as one.
    #[inline]
    pub(super) fn take_releases(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        bytes: &[u8],
        turn: &mut Turn<'_>,
    ) -> Run {
        if releases(bytes).nth(1).is_none() || self.logs_packets() {
            return Run::OneByOne(0);
        }
        self.release_run(key, slot, bytes, turn)
    }

    #[inline(never)]
    fn release_run(&mut self, key: ConnectionKey, slot: u32, bytes: &[u8], turn: &mut Turn<'_>) -> Run {
        let one_by_one = || Run::OneByOne(releases(bytes).count() * PlainAck::LENGTH);
        let Self { connections, sessions, known_topic, settings, generation, restricts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return Run::OneByOne(0) };
        let Some(connection) = connection_of(connections, session) else { return Run::OneByOne(0) };
        let is_plain = connection.key == key
            && connection.held.is_empty()
            && connection.maximum_packet_size as usize >= PlainAck::LENGTH
            && !session.lasts()
            && !self.mail.has_any_own();
        if !is_plain {
            return one_by_one();
        }
        let mut messages = releases(bytes).map(|packet_id| session.incoming.message(packet_id));
        let (Some(Some(first)), Some(Some(second))) = (messages.next(), messages.next()) else {
            return Run::OneByOne(0);
        };
        if !first.is_plain() || !second.is_like(first) {
            return Run::OneByOne(releases(bytes).take(MIXED).count() * PlainAck::LENGTH);
        }
        first.learn_topic(known_topic);
        let first = first.clone();
        let view = first.view_with(known_topic);
        let client = Client { session, settings, generation: *generation, restricts: *restricts };
        if authorize(&mut Publication::borrowed(view, self.sequence), client).is_err() {
            return one_by_one();
        }
        let topic = std::mem::take(known_topic);
        let route = self.router.route(turn.shared, &topic);
        let content_bytes_max = self.content_bytes_max(&route);
        let taken = match content_bytes_max {
            Some(content_bytes_max) => {
                let mut messages = std::mem::take(&mut self.released);
                let (taken, apart) =
                    self.end_exchanges(slot, bytes, &topic, content_bytes_max, &mut messages);
                self.pass_on_released(key, &topic, &route, &mut messages, turn);
                self.released = messages;
                self.acknowledge_all(key, AckKind::Pubcomp, releases(bytes).take(taken), turn);
                Some((taken, apart))
            }
            None => None,
        };
        self.router.take_back(route);
        self.known_topic = topic;
        match taken {
            None => one_by_one(),
            Some((taken, None)) => Run::Taken(taken * PlainAck::LENGTH),
            Some((taken, Some((packet_id, message)))) => {
                self.count(Metric::PacketsReceived);
                self.pass_on_held(key, slot, packet_id, Some(message), turn);
                Run::Taken((taken + 1) * PlainAck::LENGTH)
            }
        }
    }

    /// If messages can go to these recipients in a row, no group among them, at once, and nothing recorded: the most bytes
    /// that such a message may have.
    fn content_bytes_max(&self, route: &Recipients) -> Option<usize> {
        let needs_care = |target: &Target| {
            matches!(target.to, Destination::Group(_)) || self.may_record(target, QoS::ExactlyOnce)
        };
        if route.all().any(needs_care) {
            return None;
        }
        match self.settings.fan_out_bytes_max.checked_div(route.here.len()) {
            None => Some(usize::MAX),
            Some(bytes) => bytes.checked_sub(TARGET_COST),
        }
    }

    /// Ends exchanges, those of the PUBRELs at the front of `bytes`, while what they held is about `topic` and of the
    /// usual kind, and puts that into `messages`. Gives how many they were, and what one more held, which is not.
    fn end_exchanges(
        &mut self,
        slot: u32,
        bytes: &[u8],
        topic: &str,
        content_bytes_max: usize,
        messages: &mut Vec<Message>,
    ) -> (usize, Option<(PacketId, Message)>) {
        let Self { sessions, counts, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return (0, None) };
        let (mut taken, mut apart) = (0, None);
        for packet_id in releases(bytes).take(RELEASES_MAX) {
            // An unknown identifier is answered too: the first PUBCOMP may have been lost [MQTT-4.3.3-11].
            if let Some(message) = session.incoming.pubrel(packet_id) {
                session.incoming_bytes -= message.payload_bytes();
                let is_usual = message.is_plain()
                    && message.is_about(topic)
                    && message.content_bytes() <= content_bytes_max;
                if !is_usual {
                    apart = Some((packet_id, message));
                    break;
                }
                messages.push(message);
            }
            taken += 1;
        }
        counts.add(Metric::PacketsReceived, taken as u64);
        session.recount(counts);
        (taken, apart)
    }

    /// Passes on messages about one topic; none is left.
    fn pass_on_released(
        &mut self,
        key: ConnectionKey,
        topic: &str,
        route: &Recipients,
        messages: &mut Vec<Message>,
        turn: &mut Turn<'_>,
    ) {
        let Some(first) = messages.first() else { return };
        // They take their places in the order now that they are passed on.
        let sequence = self.sequence;
        self.sequence.counter += messages.len() as u64;
        let mut sent = 0;
        if let [target] = &*route.here
            && let Destination::Session(address) = target.to
            && route.elsewhere.is_empty()
            && Publication::kept_knowing(first, topic).reaches(target)
        {
            sent = self.send_released_at_once(address, target, topic, messages, turn);
        }
        for (counter, message) in (sequence.counter + 1..).zip(messages.drain(..)).skip(sent) {
            let message = message.renumbered(Sequence { counter, ..sequence });
            let mut publication = Publication::kept_knowing(&message, topic);
            let mut recipients = Vec::new();
            for target in route.here.iter() {
                if publication.reaches(target) {
                    self.serve(target, &mut publication, Recording::Make(&mut recipients), turn);
                }
            }
            if !route.elsewhere.is_empty() {
                self.pass_on_elsewhere(route, &mut publication, &mut recipients, Some(key), turn);
            }
            debug_assert!(recipients.is_empty(), "it was asked whether any session lasts");
        }
    }

    /// Sends the first of the messages; gives how many. What stops it, if they are not all, is the next one's matter.
    fn send_released_at_once(
        &mut self,
        address: SessionAddress,
        target: &Target,
        topic: &str,
        messages: &[Message],
        turn: &Turn<'_>,
    ) -> usize {
        if self.restricts && !self.may_receive(address, topic) {
            self.counts.add(Metric::DroppedNotReadable, messages.len() as u64);
            return messages.len();
        }
        let Self { settings, connections, sessions, pool, dirty, counts, thrift, .. } = self;
        let ready = ready_at_once(settings, thrift.pressure, sessions, connections, address);
        let Some((session, connection)) = ready else { return 0 };
        let qos = target.granted(QoS::ExactlyOnce);
        if qos != QoS::AtMostOnce && session.lasts() {
            return 0;
        }
        let (mut done, mut too_large, mut payload_bytes) = (0, 0, 0);
        for message in messages {
            if connection.outbox.len() >= settings.outbox_bytes_max {
                break;
            }
            let sent = match qos {
                QoS::AtMostOnce => PublishQoS::AtMostOnce,
                QoS::AtLeastOnce | QoS::ExactlyOnce => {
                    let Some(packet_id) = session.outgoing.begin_bare(qos) else { break };
                    numbered(qos, packet_id)
                }
            };
            let envelope =
                Envelope { qos: sent, dup: false, retain: false, identifiers: &target.identifiers };
            let view = message.view_with(topic);
            if !connection.push(&view, envelope, turn.now.wall, pool, &mut Encoded::default()) {
                too_large += 1;
                if let Some(packet_id) = sent.packet_id() {
                    session.outgoing.forget(packet_id);
                }
            } else {
                payload_bytes += view.payload.len();
            }
            done += 1;
        }
        if done > too_large {
            connection.mark_dirty(dirty);
        }
        counts.add(Metric::PublishSent, (done - too_large) as u64);
        counts.add(Metric::PublishBytesSent, payload_bytes as u64);
        if too_large > 0 {
            counts.add(connection.drop_metric(topic), too_large as u64);
        }
        done
    }
}

/// Of the plain PUBRELs at the front of these bytes.
#[inline]
fn releases(bytes: &[u8]) -> impl Iterator<Item = PacketId> {
    bytes.as_chunks().0.iter().map_while(|&packet| {
        PlainAck::decode(packet).filter(|ack| ack.kind == AckKind::Pubrel).map(|ack| ack.packet_id)
    })
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use noctule_protocol::packet::Packet;

    use super::super::publish_run::tests::{PUBLISHER, burst, shard};
    use super::*;
    use crate::now::Now;

    #[test]
    fn bursts_are_taken_in_one_piece_where_nothing_is_in_the_way() {
        use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
        let table = [
            (&["t/u"][..], ExactlyOnce, false, true),
            (&["t/u"], AtLeastOnce, false, true),
            (&["t/u"], AtMostOnce, true, true),
            (&["t/u"], ExactlyOnce, true, false),
            (&["t/u", "t/+"], ExactlyOnce, false, true),
            (&["$share/g/t/u"], AtMostOnce, false, false),
            (&["v"], ExactlyOnce, false, true),
        ];
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            for (filters, subscribed, lasts, is_passed_on) in table {
                let (mut shard, shared) = shard(version, filters, subscribed, lasts);
                let turn = &mut Turn { shared: &shared, now: Now::default(), effects: &mut Vec::new() };
                let slot =
                    shard.connection(PUBLISHER).and_then(|publisher| publisher.slot()).expect("connected");
                let bytes = burst(9, ExactlyOnce, version);
                let held = shard.take_run(PUBLISHER, slot, version, &bytes, u32::MAX, turn);
                assert_eq!(held, Run::Taken(bytes.len()), "{version:?}");
                let pubrel = |number| PlainAck {
                    kind: AckKind::Pubrel,
                    packet_id: PacketId::new(number).expect("from 1"),
                };
                let mut bytes: Vec<u8> = (1..=9).flat_map(|number| pubrel(number).encode()).collect();
                assert_eq!(shard.take_releases(PUBLISHER, slot, &bytes[..7], turn), Run::OneByOne(0));
                Packet::Pingreq.encode(version, &mut bytes).expect("a good packet");
                let expected = if is_passed_on { Run::Taken(36) } else { Run::OneByOne(36) };
                let released = shard.take_releases(PUBLISHER, slot, &bytes, turn);
                assert_eq!(released, expected, "{version:?} {filters:?} {subscribed:?} {lasts}");
                let left =
                    shard.session(slot).map(|session| (session.incoming.len(), session.incoming_bytes));
                assert_eq!(left, Some(if is_passed_on { (0, 0) } else { (9, 45) }));
            }
        }
    }
}

//! A burst that is read in one piece does what its packets do one by one.

use std::collections::HashSet;

use noctule_broker::metric::Metric;
use noctule_broker::{LogLevels, QueueHead, Settings};
use noctule_protocol::frame::PacketType;
use noctule_protocol::property::Property;
use noctule_protocol::{ProtocolVersion, QoS};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::desk::*;

const PUBLISHER: &str = "publisher";

#[derive(Clone, Debug)]
struct Subscriber {
    version: ProtocolVersion,
    filter: &'static str,
    /// One that may overlap.
    also: Option<&'static str>,
    qos: u8,
    no_local: bool,
    identifier: Option<u32>,
    expiry: u32,
    receive_maximum: u16,
    packet_max: Option<u32>,
    aliases: u16,
    is_reading: bool,
    is_gone: bool,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    No,
    Outbox,
    FanOut,
    InflightBytes,
    HeldBytes,
    Queue,
    Memory(usize),
    PacketSize,
    MaximumQoS,
    Upgrade,
    DebugLog,
    NoDuplicates,
}

#[derive(Clone, Debug)]
struct Scene {
    shards: u16,
    limit: Limit,
    subscribers: Vec<Subscriber>,
    publisher: ProtocolVersion,
    publisher_lasts: bool,
    publisher_subscribes: Option<(u8, bool)>,
    /// Whether the disk is slow.
    holds: bool,
    /// Bytes of the last packet that come later.
    late: usize,
    packets: Vec<Wire>,
    /// Behind how many packets turns end, beside the last one.
    cuts: Vec<Index>,
}

/// What becomes of the QoS 2 messages among packets that belong together.
#[derive(Clone, Copy, Debug)]
enum Release {
    Never,
    OneByOne,
    Together,
    Backwards,
    /// Of all such packets.
    Late,
    /// Each packet comes again, and each PUBREL.
    Twice,
}

fn a_subscriber() -> impl Strategy<Value = Subscriber> {
    let filter = select(vec!["t/u", "t/u", "t/u", "t/+", "#", "v", "$share/g/t/u"]);
    let subscription = (filter, 0..3_u8, prop::bool::weighted(0.2), prop::option::weighted(0.2, 1..9_u32));
    let also = prop::option::weighted(0.3, select(vec!["t/#", "t/u", "v"]));
    let session = (select(vec![0, 0, 0, 100]), select(vec![2, 5, 1000]), also);
    let limits = (prop::option::weighted(0.3, 20..80_u32), select(vec![0, 0, 3]));
    let ways = (prop::bool::weighted(0.8), prop::bool::weighted(0.1));
    (select(VERSIONS.to_vec()), subscription, session, limits, ways).prop_map(
        |(version, subscription, session, limits, ways)| Subscriber {
            version,
            filter: subscription.0,
            also: session.2,
            qos: subscription.1,
            no_local: subscription.2 && !subscription.0.starts_with("$share"),
            identifier: subscription.3,
            expiry: session.0,
            receive_maximum: session.1,
            packet_max: limits.0,
            aliases: limits.1,
            is_reading: ways.0,
            is_gone: ways.1,
        },
    )
}

/// Mostly packets like the one before, so that there are bursts.
fn packets() -> impl Strategy<Value = Vec<Wire>> {
    let payloads = prop::collection::vec(0..60_usize, 1..12);
    let topic = select(vec!["t/u", "t/u", "t/u", "v", "nobody", "$SYS"]);
    let kind = (topic, select(vec![0, 0, 1, 1, 2, 2, 2]));
    let release = select(vec![
        Release::Never,
        Release::OneByOne,
        Release::Together,
        Release::Backwards,
        Release::Late,
        Release::Late,
        Release::Twice,
    ]);
    let oddity = prop::bool::weighted(0.15);
    let group = (kind, payloads, release, (oddity, oddity, oddity, oddity, oddity)).prop_map(
        |((topic, level), payloads, release, (retain, dup, expires, has_alias, has_user))| {
            let packets = payloads.into_iter().map(move |bytes| {
                let mut packet = publish(topic, vec![b'x'; bytes]);
                packet.qos = QoS::from_level(level).expect("a level");
                // Some of them.
                packet.flag = retain && bytes % 2 == 0;
                packet.dup = dup && level > 0;
                packet = if has_alias { packet.with(Property::TopicAlias(1)) } else { packet };
                packet = if has_user { packet.with(Property::UserProperty("k", "v")) } else { packet };
                if expires && bytes % 3 == 0 {
                    packet.with(Property::MessageExpiryInterval(9))
                } else {
                    packet
                }
            });
            (packets.chain(dup.then(pingreq)).collect::<Vec<_>>(), release)
        },
    );
    prop::collection::vec(group, 1..5).prop_map(|groups| {
        let (mut packets, mut late, mut number) = (Vec::new(), Vec::new(), 0_u16);
        for (group, release) in groups {
            let (begin, mut held) = (packets.len(), Vec::new());
            for packet in group {
                number += 1;
                if !packet.is_publish() {
                    packets.push(packet);
                    continue;
                }
                let qos = packet.qos;
                let mut packet = packet.at(qos, number);
                // What tells them apart.
                packet.payload.extend_from_slice(&number.to_be_bytes());
                packets.push(packet);
                match release {
                    _ if qos != QoS::ExactlyOnce => {}
                    Release::OneByOne => packets.push(pubrel(number)),
                    Release::Late => late.push(pubrel(number)),
                    Release::Never | Release::Together | Release::Backwards | Release::Twice => {
                        held.push(pubrel(number));
                    }
                }
            }
            match release {
                Release::Never | Release::OneByOne | Release::Late => {}
                Release::Together => packets.extend(held),
                Release::Backwards => packets.extend(held.into_iter().rev()),
                Release::Twice => {
                    let again = packets[begin..].iter().cloned();
                    let again = again
                        .map(|packet| Wire { payload: [&packet.payload[..], b"again"].concat(), ..packet });
                    packets.extend(again.collect::<Vec<_>>());
                    packets.extend(held.iter().chain(&held).cloned());
                }
            }
        }
        packets.extend(late);
        packets
    })
}

fn scene() -> impl Strategy<Value = Scene> {
    use Limit::*;
    let limits = vec![
        No,
        No,
        No,
        Outbox,
        FanOut,
        InflightBytes,
        HeldBytes,
        Queue,
        Memory(80_000),
        Memory(85_000),
        PacketSize,
        MaximumQoS,
        Upgrade,
        DebugLog,
        NoDuplicates,
    ];
    let subscribers = prop::collection::vec(a_subscriber(), 0..6);
    let own = prop::option::weighted(0.2, (0..3_u8, any::<bool>()));
    (
        (1..=3_u16, select(limits)),
        subscribers,
        select(VERSIONS.to_vec()),
        own,
        (any::<bool>(), prop::bool::weighted(0.15), select(vec![0, 0, 1, 9])),
        (packets(), prop::collection::vec(any::<Index>(), 0..3)),
    )
        .prop_map(
            |(
                (shards, limit),
                mut subscribers,
                publisher,
                mut publisher_subscribes,
                ways,
                (mut packets, cuts),
            )| {
                let (holds, mut publisher_lasts, late) = ways;
                if let Outbox = limit {
                    publisher_lasts = false;
                    // Held acknowledgements weigh more than it has room for, and then the publisher is not read.
                    subscribers.iter_mut().for_each(|subscriber| subscriber.expiry = 0);
                    packets.iter_mut().for_each(|packet| packet.flag = false);
                    let mut seen = HashSet::new();
                    packets.retain(|packet| seen.insert((packet.kind as u8, packet.id)));
                    // And its own messages may have room before its acknowledgements do, or behind them.
                    publisher_subscribes = None;
                }
                Scene {
                    shards,
                    limit,
                    subscribers,
                    publisher,
                    publisher_lasts,
                    publisher_subscribes,
                    holds,
                    late,
                    packets,
                    cuts,
                }
            },
        )
}

fn limit(limit: Limit, settings: &mut Settings) {
    settings.max_inflight_messages = 10;
    match limit {
        Limit::No => {}
        // More than all acknowledgements take.
        Limit::Outbox => settings.outbox_bytes_max = 400,
        Limit::FanOut => settings.fan_out_bytes_max = 300,
        Limit::InflightBytes => settings.max_inflight_bytes = 100,
        Limit::HeldBytes => (settings.max_inflight_messages, settings.maximum_packet_size) = (3, 80),
        Limit::Queue => settings.max_queued_messages = 3,
        Limit::PacketSize => settings.maximum_packet_size = 60,
        Limit::Memory(_) => settings.memory_limit = 100_000,
        Limit::MaximumQoS => settings.listeners[0].maximum_qos = QoS::AtMostOnce,
        Limit::Upgrade => settings.upgrade_outgoing_qos = true,
        Limit::NoDuplicates => settings.allow_duplicate_messages = false,
        Limit::DebugLog => settings.log_levels = LogLevels::ALL,
    }
}

fn come(desk: &Desk, n: usize, who: &Subscriber) -> Client {
    let id = format!("s{n}");
    let mut hello = desk.hello(&id).version(who.version).receive_maximum(who.receive_maximum);
    hello = if who.expiry > 0 { hello.resume().expiry(who.expiry) } else { hello };
    if let Some(bytes) = who.packet_max {
        hello = hello.maximum_packet_size(bytes);
    }
    let client = hello.with(Property::TopicAliasMaximum(who.aliases)).connect();
    let options = if who.no_local { qos(who.qos).no_local() } else { qos(who.qos) };
    let packet = subscribe(7, who.filter, options);
    client.send(match who.identifier {
        Some(identifier) => packet.with(Property::SubscriptionIdentifier(identifier)),
        None => packet,
    });
    client.send_all(who.also.map(|filter| subscribe(8, filter, qos(1))));
    assert!(client.take().iter().all(|packet| packet.kind == PacketType::Suback));
    if !who.is_reading {
        client.stop_reading();
    }
    if who.is_gone && who.expiry > 0 {
        client.lose();
    }
    client
}

/// What everybody got, in the end, what was counted, stored and logged; `split` tells how the publisher's packets were read.
fn play(scene: &Scene, split: bool) -> (Vec<Vec<Wire>>, Vec<u64>, Vec<usize>, Vec<String>) {
    let desk = Desk::sharded(scene.shards, |settings| limit(scene.limit, settings));
    let subscribers: Vec<Client> =
        scene.subscribers.iter().enumerate().map(|(n, who)| come(&desk, n, who)).collect();
    let hello = desk.hello(PUBLISHER).version(scene.publisher);
    let publisher = if scene.publisher_lasts { hello.lasting() } else { hello }.connect();
    if let Some((level, no_local)) = scene.publisher_subscribes {
        publisher.send(subscribe(7, "t/#", if no_local { qos(level).no_local() } else { qos(level) }));
        assert_eq!(publisher.next().map(|packet| packet.kind), Some(PacketType::Suback));
    }
    if let Limit::Memory(bytes) = scene.limit {
        desk.use_memory(bytes);
    }
    if scene.holds {
        desk.hold_batches();
    }
    desk.log();
    let mut cuts: Vec<usize> = scene.cuts.iter().map(|cut| cut.index(scene.packets.len() + 1)).collect();
    cuts.extend([0, scene.packets.len()]);
    cuts.sort_unstable();
    for turn in cuts.windows(2) {
        // Nothing is written in a turn.
        desk.hold_turns();
        let packets = scene.packets[turn[0]..turn[1]].iter();
        let packets = packets.map(|packet| packet.clone().encode(scene.publisher));
        let mut pieces: Vec<Vec<u8>> =
            if split { packets.collect() } else { vec![packets.flatten().collect()] };
        let late = pieces.last_mut().map(|last| last.split_off(last.len().saturating_sub(scene.late)));
        pieces.iter().chain(&late).for_each(|piece| publisher.send_bytes(piece));
        desk.end_turns();
    }
    desk.durable();
    let stored = desk.disk(|disk| {
        let rows = [disk.sent, disk.released, disk.incoming, disk.retained.len()];
        [&rows, &disk.messages[..]].concat()
    });
    subscribers.iter().filter(|client| !client.is_closed()).for_each(Client::read_on);
    let everybody = || subscribers.iter().chain([&publisher]);
    let mut got: Vec<Vec<Wire>> = everybody().map(Client::take).collect();
    if queue_head() != QueueHead::ALL {
        // QoS 0, which is never on the disk, does not wait for what is: each of the two has its order [MQTT-4.6.0-5].
        let is_qos_0 = |packet: &Wire| packet.is_publish() && packet.qos == QoS::AtMostOnce;
        got.iter_mut().for_each(|packets| packets.sort_by_key(is_qos_0));
    }
    // Its own messages and its acknowledgements stand in one line, of which only the parts have an order.
    if let (Some(last), Some(_)) = (got.last_mut(), scene.publisher_subscribes) {
        last.sort_by_key(Wire::is_publish);
    }
    let later = everybody().filter(|client| !client.is_closed()).map(|client| {
        for packet in
            got.iter().flatten().filter(|packet| packet.is_publish() && packet.qos != QoS::AtMostOnce)
        {
            client.send(if packet.qos == QoS::AtLeastOnce { puback(packet.id) } else { pubrec(packet.id) });
        }
        client.acknowledge_all()
    });
    let later: Vec<_> = later.collect();
    // Whoever is refused may have sent more.
    let counted = Metric::ALL.iter().filter(|&&metric| metric != Metric::BytesReceived);
    let counts = counted.map(|&metric| desk.metric(metric)).chain([desk.pauses() as u64]).collect();
    // Recipients come one after the other instead of packets.
    let mut log = desk.log();
    log.sort();
    (got.into_iter().chain(later).collect(), counts, stored, log)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn in_one_piece_as_one_by_one(scene in scene()) {
        let (whole, split) = (play(&scene, false), play(&scene, true));
        prop_assert_eq!(whole.0, split.0, "what everybody got");
        prop_assert_eq!(whole.1, split.1, "what was counted");
        prop_assert_eq!(whole.2, split.2, "what was stored");
        prop_assert_eq!(whole.3, split.3, "what was logged");
    }
}

#[test]
fn a_burst_waits_for_memory_as_its_packets_do() {
    let desk = Desk::with(|settings| settings.memory_limit = 100_000);
    let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
    subscriber.subscribe("t", 0);
    let burst = |texts: [&str; 3]| publisher.send_all(texts.map(|text| publish("t", text)));
    burst(["1", "2", "3"]);
    desk.use_memory(90_000);
    burst(["4", "5", "6"]);
    subscriber.expect_payloads(["1", "2", "3", "4", "5", "6"]);
    assert!(!publisher.is_paused(), "what comes in one read goes on");
    burst(["7", "8", "9"]);
    subscriber.expect_nothing();
    assert!(publisher.is_paused());
    desk.use_memory(0);
    desk.sleep(1.0);
    subscriber.expect_payloads(["7", "8", "9"]);
}

#[test] // [MQTT-4.6.0-5]
fn a_burst_stands_behind_what_its_client_sent_before() {
    let desk = Desk::sharded(1, |settings| settings.fan_out_bytes_max = 300);
    let mut crowd: Vec<Client> = (0..20).map(|n| desk.client(&format!("s{n}"))).collect();
    crowd.iter_mut().for_each(|subscriber| subscriber.subscribe("t", 0));
    let (mut one, other, first) = (desk.client("one"), desk.client("other"), desk.client(PUBLISHER));
    one.subscribe("t", 0);
    one.subscribe("u", 0);
    desk.hold_turns();
    first.send(publish("t", "long"));
    other.send(publish("u", "other"));
    let again = desk.hello(PUBLISHER).send();
    again.send_all(["1", "2", "3"].map(|text| publish("u", text)));
    desk.end_turns();
    one.expect_payloads(["other", "long", "1", "2", "3"]);
}

#[test]
fn a_burst_is_one_letter_to_another_shard() {
    let mail = |in_one_piece: bool| {
        let desk = Desk::sharded(2, |_| {});
        let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
        subscriber.subscribe("t", 0);
        publisher.send(publish("t", "first"));
        desk.hold_mail();
        let burst = || (0..9_u8).map(|n| publish("t", [n]));
        match in_one_piece {
            true => publisher.send_all(burst()),
            false => burst().for_each(|packet| publisher.send(packet)),
        }
        let bytes = desk.mail_bytes();
        desk.deliver_mail();
        assert_eq!(subscriber.payloads().len(), 10);
        bytes
    };
    let (whole, split) = (mail(true), mail(false));
    assert!(whole * 2 < split, "{whole} {split}");
}

#[test]
fn who_sends_bursts_to_a_busy_shard_is_not_read_until_it_has_caught_up() {
    let desk = Desk::sharded(2, |settings| settings.mail_bytes_max = 1000);
    let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
    subscriber.subscribe("t", 0);
    publisher.send(publish("t", "0"));
    desk.hold_mail();
    for burst in 0..10 {
        publisher.send_all((1..=9).map(|n| publish("t", (9 * burst + n).to_string())));
    }
    assert!(publisher.is_paused());
    assert!(desk.mail_bytes() < 2000, "{}", desk.mail_bytes());
    desk.deliver_mail();
    assert!(!publisher.is_paused());
    assert!(subscriber.payloads().into_iter().eq((0..=90).map(|n| n.to_string())));
}

#[test]
fn a_burst_finds_that_its_recipient_has_gone() {
    let desk = Desk::sharded(2, |_| {});
    let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
    subscriber.subscribe("t", 1);
    publisher.send(publish("t", "first"));
    desk.hold_mail();
    publisher.send_all((1..=9).map(|id| publish("t", "x").at(QoS::AtLeastOnce, id)));
    subscriber.lose();
    desk.deliver_mail();
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 9)]);
    assert_eq!(publisher.take().len(), 9);
}

#[test] // [MQTT-3.3.2-5]
fn what_expires_while_it_is_held_is_dropped_out_of_a_burst() {
    let desk = Desk::new();
    let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
    subscriber.subscribe("t", 0);
    let held = |id: u16| publish("t", id.to_string()).at(QoS::ExactlyOnce, id);
    publisher.send_all((1..=6).map(|id| match id {
        4 => held(id).with(Property::MessageExpiryInterval(5)),
        _ => held(id),
    }));
    desk.sleep(6.0);
    publisher.send_all((1..=6).map(pubrel));
    subscriber.expect_payloads(["1", "2", "3", "5", "6"]);
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
    let answers: Vec<_> = publisher.take().iter().map(|packet| (packet.kind, packet.id)).collect();
    let expected = [PacketType::Pubrec, PacketType::Pubcomp].map(|kind| (1..=6).map(move |id| (kind, id)));
    assert!(answers.into_iter().eq(expected.into_iter().flatten()));
}

#[test]
fn a_burst_of_releases_may_be_long() {
    let desk = Desk::with(|settings| settings.max_inflight_messages = 1000);
    let (mut subscriber, publisher) = (desk.client("subscriber"), desk.client(PUBLISHER));
    subscriber.subscribe("t", 0);
    publisher.send_all((1..=600).map(|id| publish("t", id.to_string()).at(QoS::ExactlyOnce, id)));
    publisher.send_all((1..=600).map(pubrel));
    assert!(subscriber.payloads().into_iter().eq((1..=600).map(|id| id.to_string())));
    assert_eq!(publisher.take().len(), 1200);
}

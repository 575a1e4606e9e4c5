//! A burst that is read in one piece does what its packets do one by one.

use noctule_broker::metric::Metric;
use noctule_broker::{LogLevels, Settings};
use noctule_protocol::frame::PacketType;
use noctule_protocol::property::Property;
use noctule_protocol::{ProtocolVersion, QoS};
use proptest::prelude::*;
use proptest::sample::select;

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
    limit: Limit,
    subscribers: Vec<Subscriber>,
    publisher: ProtocolVersion,
    publisher_subscribes: Option<(u8, bool)>,
    /// Whether the disk is slow.
    holds: bool,
    /// Bytes of the last packet that come later.
    late: usize,
    packets: Vec<Wire>,
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
    let kind = (select(vec!["t/u", "t/u", "t/u", "v", "nobody", "$SYS"]), select(vec![0, 0, 1, 1, 2]));
    let oddity = prop::bool::weighted(0.15);
    let group = (kind, payloads, (oddity, oddity, oddity, oddity)).prop_map(
        |((topic, level), payloads, (retain, dup, expires, has_alias))| {
            let packets = payloads.into_iter().map(move |bytes| {
                let mut packet = publish(topic, vec![b'x'; bytes]);
                packet.qos = QoS::from_level(level).expect("a level");
                packet.flag = retain;
                packet.dup = dup && level > 0;
                packet = if has_alias { packet.with(Property::TopicAlias(1)) } else { packet };
                if expires { packet.with(Property::MessageExpiryInterval(9)) } else { packet }
            });
            packets.chain(dup.then(pingreq)).collect::<Vec<_>>()
        },
    );
    prop::collection::vec(group, 1..5).prop_map(|groups| {
        let numbered = groups.into_iter().flatten().enumerate().map(|(n, packet)| {
            if !packet.is_publish() {
                return packet;
            }
            let qos = packet.qos;
            let mut packet = packet.at(qos, 1 + n as u16);
            // What tells them apart.
            packet.payload.extend_from_slice(&(n as u16).to_be_bytes());
            packet
        });
        numbered.collect()
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
        select(limits),
        subscribers,
        select(VERSIONS.to_vec()),
        own,
        (any::<bool>(), select(vec![0, 0, 1, 9])),
        packets(),
    )
        .prop_map(
            |(limit, mut subscribers, publisher, mut publisher_subscribes, (holds, late), mut packets)| {
                if let Outbox = limit {
                    // Held acknowledgements weigh more than it has room for, and then the publisher is not read.
                    subscribers.iter_mut().for_each(|subscriber| subscriber.expiry = 0);
                    packets.iter_mut().for_each(|packet| packet.flag = false);
                    // And its own messages may have room before its acknowledgements do, or behind them.
                    publisher_subscribes = None;
                }
                Scene { limit, subscribers, publisher, publisher_subscribes, holds, late, packets }
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

/// What everybody got, in the end, and what was counted; `split` tells how the publisher's packets were read.
fn play(scene: &Scene, split: bool) -> (Vec<Vec<Wire>>, Vec<u64>, Vec<String>) {
    let desk = Desk::with(|settings| limit(scene.limit, settings));
    let subscribers: Vec<Client> =
        scene.subscribers.iter().enumerate().map(|(n, who)| come(&desk, n, who)).collect();
    let publisher = desk.client_of(scene.publisher, PUBLISHER);
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
    // In one turn: nothing is written in between.
    desk.hold_turns();
    let packets = scene.packets.iter().map(|packet| packet.clone().encode(scene.publisher));
    let mut pieces: Vec<Vec<u8>> = if split { packets.collect() } else { vec![packets.flatten().collect()] };
    let late = pieces.last_mut().map(|last| last.split_off(last.len().saturating_sub(scene.late)));
    pieces.iter().chain(&late).for_each(|piece| publisher.send_bytes(piece));
    desk.end_turns();
    desk.durable();
    subscribers.iter().filter(|client| !client.is_closed()).for_each(Client::read_on);
    let everybody = || subscribers.iter().chain([&publisher]);
    let mut got: Vec<Vec<Wire>> = everybody().map(Client::take).collect();
    // Its own messages and its acknowledgements stand in one line, of which only the parts have an order.
    if let Some(last) = got.last_mut() {
        last.sort_by_key(|packet| packet.kind as u8);
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
    let counts = counted.map(|&metric| desk.metric(metric)).collect();
    // Recipients come one after the other instead of packets.
    let mut log = desk.log();
    log.sort();
    (got.into_iter().chain(later).collect(), counts, log)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn in_one_piece_as_one_by_one(scene in scene()) {
        let ((whole, counts, log), (split, split_counts, split_log)) = (play(&scene, false), play(&scene, true));
        prop_assert_eq!(whole, split);
        prop_assert_eq!(counts, split_counts);
        prop_assert_eq!(log, split_log);
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

//! Whatever happens between clients, connections, the disk and the broker's process: nothing acknowledged is lost,
//! QoS 2 comes exactly once, order is kept, and nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};

use noctule_broker::metric::Metric;
use noctule_protocol::frame::PacketType;
use noctule_protocol::{ProtocolVersion, QoS};
use proptest::prelude::*;

use crate::desk::*;

const PUBLISHERS: usize = 2;
const TOPICS: usize = 2;

/// Who subscribes to what at which QoS. The last two share.
const SUBSCRIBERS: [(&str, u8); 6] =
    [("t/#", 2), ("t/+", 1), ("t/0", 2), ("t/#", 0), ("$share/g/t/+", 2), ("$share/g/t/+", 2)];
const PLAIN: usize = 4;

/// One thing that happens. Who it happens to is counted modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Publish(usize, usize, QoS),
    /// A publisher looks at so many answers.
    Answers(usize, usize),
    /// A subscriber takes so many packets and acknowledges them.
    Receive(usize, usize),
    /// The same, but its acknowledgements never leave: the connection is lost.
    Miss(usize, usize),
    /// A subscriber takes so many bytes and leaves the rest where it is.
    Read(usize, usize),
    /// The connection is lost with all that was not looked at.
    Lose(usize),
    Leave(usize),
    Connect(usize),
    Hold,
    Durable,
    Crash,
}

fn steps(crashes: bool) -> impl Strategy<Value = Vec<Step>> {
    let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    let who = || 0..PUBLISHERS + SUBSCRIBERS.len();
    let step = prop_oneof![
        12 => (0..PUBLISHERS, 0..TOPICS, qos).prop_map(|(who, topic, qos)| Step::Publish(who, topic, qos)),
        8 => (0..PUBLISHERS, 1..8_usize).prop_map(|(who, n)| Step::Answers(who, n)),
        10 => (0..SUBSCRIBERS.len(), 1..8_usize).prop_map(|(who, n)| Step::Receive(who, n)),
        2 => (0..SUBSCRIBERS.len(), 1..8_usize).prop_map(|(who, n)| Step::Miss(who, n)),
        2 => (0..SUBSCRIBERS.len(), 0..200_usize).prop_map(|(who, n)| Step::Read(who, n)),
        3 => who().prop_map(Step::Lose),
        1 => who().prop_map(Step::Leave),
        5 => who().prop_map(Step::Connect),
        2 => Just(Step::Hold),
        4 => Just(Step::Durable),
        1 => Just(if crashes { Step::Crash } else { Step::Durable }),
    ];
    prop::collection::vec(step, 1..150)
}

/// A client with a lasting session, which keeps its own side of it.
struct Peer {
    hello: Hello,
    line: Option<Client>,
    /// Whether its CONNACK has come.
    is_ready: bool,
    /// Whether what it says is lost.
    is_mute: bool,
    /// What it sent and has no answer to: identifier, packet, whether PUBREC has come.
    unanswered: Vec<(u16, Wire, bool)>,
    next_id: u16,
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    held: BTreeSet<u16>,
    /// Payloads in the order of arrival, with the QoS they came at.
    arrived: Vec<(String, QoS)>,
}

impl Peer {
    fn new(hello: Hello) -> Self {
        Self {
            hello,
            line: None,
            is_ready: false,
            is_mute: false,
            unanswered: Vec::new(),
            next_id: 0,
            held: BTreeSet::new(),
            arrived: Vec::new(),
        }
    }

    fn connect(&mut self) {
        if self.line.as_ref().is_none_or(Client::is_closed) {
            self.line = Some(self.hello.send());
            self.is_ready = false;
        }
    }

    fn publish(&mut self, packet: Wire, qos: QoS) {
        let Some(line) = self.line.as_ref().filter(|line| self.is_ready && !line.is_closed()) else { return };
        if self.unanswered.len() >= 10 {
            return;
        }
        // Identifiers are used again as soon as they are free.
        let in_use = |id: u16| self.unanswered.iter().any(|(other, ..)| *other == id);
        loop {
            self.next_id = self.next_id % 12 + 1;
            if !in_use(self.next_id) {
                break;
            }
        }
        let packet = packet.at(qos, self.next_id);
        line.send(packet.clone());
        if qos != QoS::AtMostOnce {
            self.unanswered.push((self.next_id, packet, false));
        }
    }

    /// Looks at so many packets.
    fn take(&mut self, most: usize) -> bool {
        let mut took = false;
        for _ in 0..most {
            let Some(packet) = self.line.as_ref().and_then(Client::next) else { break };
            took = true;
            self.look_at(packet);
        }
        took
    }

    fn look_at(&mut self, packet: Wire) {
        let line = self.line.as_ref().expect("it came by a line");
        let say = |answer| {
            if !self.is_mute {
                line.send(answer);
            }
        };
        assert!(self.is_ready || packet.kind == PacketType::Connack, "{packet:?} before CONNACK");
        match packet.kind {
            PacketType::Connack => {
                assert_eq!(packet.code, 0);
                assert!(packet.flag, "its session is gone");
                self.is_ready = true;
                // [MQTT-4.4.0-1] [MQTT-4.6.0-1]
                for (id, publish, is_released) in &self.unanswered {
                    say(if *is_released { pubrel(*id) } else { publish.clone().dup() });
                }
            }
            PacketType::Publish => {
                let is_new = packet.qos != QoS::ExactlyOnce || self.held.insert(packet.id);
                if is_new {
                    self.arrived.push((packet.text(), packet.qos));
                }
                match packet.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => say(puback(packet.id)),
                    QoS::ExactlyOnce => say(pubrec(packet.id)),
                }
            }
            PacketType::Pubrel => {
                self.held.remove(&packet.id);
                say(pubcomp(packet.id));
            }
            PacketType::Pubrec => {
                if let Some(sent) = self.unanswered.iter_mut().find(|(id, ..)| *id == packet.id) {
                    assert_eq!((sent.1.qos, packet.code), (QoS::ExactlyOnce, 0));
                    sent.2 = true;
                }
                say(pubrel(packet.id));
            }
            PacketType::Puback | PacketType::Pubcomp => {
                self.unanswered.retain(|(id, ..)| *id != packet.id);
            }
            PacketType::Disconnect => panic!("{packet:?}"),
            _ => {}
        }
    }
}

/// A broker without limits, and its clients: publishers first.
struct World {
    desk: Desk,
    peers: Vec<Peer>,
    /// How many messages there were.
    count: usize,
    /// Those with QoS 1 and 2: number, publisher, topic, QoS.
    published: Vec<(usize, usize, usize, QoS)>,
}

impl World {
    fn new(version: ProtocolVersion, window: u16) -> Self {
        let desk = Desk::with(|settings| {
            settings.max_queued_messages = 0;
            settings.outbox_bytes_max = 400;
        });
        let hello = |id: String| desk.hello(&id).version(version).lasting().receive_maximum(window);
        let mut peers: Vec<_> = (0..PUBLISHERS).map(|n| Peer::new(hello(format!("p{n}")))).collect();
        for (n, (filter, level)) in SUBSCRIBERS.iter().enumerate() {
            let peer = Peer::new(hello(format!("s{n}")));
            peer.hello.connect().subscribe(filter, *level);
            peers.push(peer);
        }
        peers[..PUBLISHERS].iter().for_each(|peer| drop(peer.hello.connect()));
        peers.iter_mut().for_each(|peer| {
            peer.connect();
            peer.take(1);
        });
        Self { desk, peers, count: 0, published: Vec::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(publisher, topic, qos) => {
                let peer = &mut self.peers[publisher];
                let number = self.count;
                self.count += 1;
                let text = format!("{publisher} {topic} {} {number}", qos.level());
                let before = peer.unanswered.len();
                peer.publish(publish(&format!("t/{topic}"), text), qos);
                // QoS 0 and what was not sent is not waited for.
                if peer.unanswered.len() > before {
                    self.published.push((number, publisher, topic, qos));
                }
            }
            Step::Answers(publisher, most) => {
                self.peers[publisher].take(most);
            }
            Step::Receive(subscriber, most) => {
                if let Some(line) = &self.peers[PUBLISHERS + subscriber].line {
                    line.read_on();
                }
                self.peers[PUBLISHERS + subscriber].take(most);
            }
            Step::Miss(subscriber, most) => {
                let peer = &mut self.peers[PUBLISHERS + subscriber];
                peer.is_mute = true;
                peer.take(most);
                peer.is_mute = false;
                if let Some(line) = peer.line.take() {
                    line.lose();
                }
            }
            Step::Read(subscriber, most) => {
                if let Some(line) = &self.peers[PUBLISHERS + subscriber].line {
                    line.stop_reading();
                    line.read(most);
                }
            }
            Step::Lose(who) => {
                if let Some(line) = self.peers[who].line.take() {
                    line.lose();
                }
            }
            Step::Leave(who) => {
                if let Some(line) = self.peers[who].line.take() {
                    line.send(disconnect());
                }
            }
            Step::Connect(who) => self.peers[who].connect(),
            Step::Hold => self.desk.hold_batches(),
            Step::Durable => self.desk.durable(),
            Step::Crash => self.desk.restart(),
        }
    }

    /// All come back, and everything is finished.
    fn come_to_rest(&mut self) {
        self.desk.durable();
        self.desk.write_at_once();
        loop {
            let mut busy = false;
            for peer in &mut self.peers {
                peer.connect();
                if let Some(line) = &peer.line {
                    line.read_on();
                }
                busy |= peer.take(usize::MAX);
            }
            if !busy {
                break;
            }
        }
        for peer in &self.peers {
            assert_eq!(peer.unanswered, [], "not acknowledged");
            assert!(peer.held.is_empty(), "PUBREL never came");
        }
    }

    fn check(&self) {
        for (n, (filter, level)) in SUBSCRIBERS[..PLAIN].iter().enumerate() {
            let granted = QoS::from_level(*level).expect("a level");
            let arrived = &self.peers[PUBLISHERS + n].arrived;
            self.check_plain(arrived, granted, |topic| topic == 0 || filter.ends_with(['#', '+']));
        }
        // Shared: each message came to one of them at least, and with QoS 2 to one only.
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for peer in &self.peers[PUBLISHERS + PLAIN..] {
            for (text, _) in &peer.arrived {
                *counts.entry(text).or_default() += 1;
            }
        }
        for (number, publisher, topic, qos) in &self.published {
            let text = format!("{publisher} {topic} {} {number}", qos.level());
            assert!(counts.contains_key(&text[..]), "{text:?} came to no member");
        }
        let of_qos_2 = self.peers[PUBLISHERS + PLAIN..].iter().flat_map(|peer| &peer.arrived);
        let mut seen = BTreeSet::new();
        for (text, _) in of_qos_2.filter(|(_, qos)| *qos == QoS::ExactlyOnce) {
            assert!(seen.insert(text), "{text:?} came to two members, or twice");
        }
        // Of QoS 0 some may be dropped.
        let of_qos_0 = [Metric::DroppedOffline, Metric::DroppedOutboxFull, Metric::DroppedNoMember];
        let drops = self.desk.drops();
        assert!(drops.iter().all(|(metric, _)| of_qos_0.contains(metric)), "{drops:?}");
        assert!(self.desk.disk(Stored::is_settled), "something was left on the disk");
    }

    fn check_plain(&self, arrived: &[(String, QoS)], granted: QoS, wants: impl Fn(usize) -> bool) {
        let mut last: BTreeMap<(usize, usize, QoS), usize> = BTreeMap::new();
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (text, qos) in arrived {
            let fields: Vec<usize> = text.split(' ').map(|field| field.parse().expect("a number")).collect();
            let [publisher, topic, level, number] = fields[..] else { panic!("{text:?}") };
            let published = QoS::from_level(level as u8).expect("a level");
            assert!(wants(topic));
            assert_eq!(*qos, published.min(granted));
            let count = counts.entry(number).or_default();
            *count += 1;
            let may_repeat = *qos != QoS::ExactlyOnce && published != QoS::AtMostOnce;
            assert!(*count == 1 || may_repeat, "{text:?} came twice");
            // Order counts for the first arrival [MQTT-4.6.0-5]. What was published again may have been dropped
            // for a QoS 0 subscription the first time.
            if *count == 1 && published.min(QoS::AtLeastOnce) == (*qos).min(QoS::AtLeastOnce) {
                let before = last.insert((publisher, topic, published), number);
                assert!(before.is_none_or(|before| before < number), "{text:?} came late: {arrived:?}");
            }
        }
        for (number, _, topic, qos) in &self.published {
            if wants(*topic) && (*qos).min(granted) != QoS::AtMostOnce {
                assert!(counts.contains_key(number), "message {number} is lost");
            }
        }
    }
}

fn run(version: ProtocolVersion, window: u16, steps: Vec<Step>) {
    let mut world = World::new(version, window);
    for step in steps {
        world.step(step);
    }
    world.come_to_rest();
    world.check();
}

fn versions() -> impl Strategy<Value = ProtocolVersion> {
    prop_oneof![Just(ProtocolVersion::V311), Just(ProtocolVersion::V5)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(version in versions(), window in 1..5_u16, steps in steps(false)) {
        run(version, window, steps);
    }

    #[test]
    fn not_even_when_the_broker_is_killed(version in versions(), window in 1..5_u16, steps in steps(true)) {
        run(version, window, steps);
    }
}

//! Every message that matched either came or was dropped, and each drop was counted once.

use std::collections::BTreeSet;

use noctule_broker::metric::Metric;
use noctule_protocol::property::Property;
use noctule_protocol::{ProtocolVersion, QoS, ReasonCode};
use proptest::prelude::*;
use proptest::sample::select;

use crate::desk::*;

#[derive(Clone, Debug)]
enum Step {
    Publish(QoS, usize, Option<u32>),
    /// So many QoS 0 messages in one turn.
    Burst(usize),
    Acknowledge,
    /// Takes one message, and refuses it with an error.
    Refuse,
    Leave,
    Connect(Option<u32>),
    Subscribe,
    Sleep(f64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any_qos = select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let step = prop_oneof![
        10 => (any_qos, 0..80_usize, prop::option::weighted(0.3, 1..6_u32))
            .prop_map(|(qos, size, expiry)| Step::Publish(qos, size, expiry)),
        1 => (1..8_usize).prop_map(Step::Burst),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::Refuse),
        2 => Just(Step::Leave),
        3 => select(vec![None, Some(70)]).prop_map(Step::Connect),
        1 => Just(Step::Subscribe),
        1 => (0.0..4.0).prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 1..80)
}

struct Book {
    desk: Desk,
    publisher: Client,
    version: ProtocolVersion,
    subscriber: Option<Client>,
    published: u64,
    arrived: BTreeSet<String>,
}

impl Book {
    fn publish(&mut self, qos: QoS, size: usize, expiry: Option<u32>) {
        self.published += 1;
        let text = format!("{}{}", self.published, " ".repeat(size));
        let packet = publish("t", text).at(qos, 1);
        self.publisher.send(match expiry {
            Some(seconds) => packet.with(Property::MessageExpiryInterval(seconds)),
            None => packet,
        });
        if qos == QoS::ExactlyOnce {
            self.publisher.send(pubrel(1));
        }
        self.publisher.take();
    }

    fn burst(&mut self, count: usize) {
        let first = self.published + 1;
        self.published += count as u64;
        self.publisher.send_all((first..=self.published).map(|n| publish("t", format!("{n}{:40}", ""))));
    }

    fn arrived(&mut self, packets: Vec<Wire>) {
        for packet in packets.iter().filter(|packet| packet.is_publish()) {
            assert!(self.arrived.insert(packet.text()), "{packet:?} came twice");
        }
    }

    fn step(&mut self, step: Step) {
        match (step, self.subscriber.take()) {
            (Step::Publish(qos, size, expiry), line) => {
                self.subscriber = line;
                self.publish(qos, size, expiry);
            }
            (Step::Burst(count), line) => {
                self.subscriber = line;
                self.burst(count);
            }
            (Step::Acknowledge, Some(line)) => {
                self.arrived(line.acknowledge_all());
                self.subscriber = Some(line);
            }
            (Step::Refuse, Some(line)) => {
                if let Some(packet) = line.next() {
                    match packet.qos {
                        QoS::AtLeastOnce => line.send(puback(packet.id).reason(ReasonCode::QuotaExceeded)),
                        QoS::ExactlyOnce => line.send(pubrec(packet.id).reason(ReasonCode::QuotaExceeded)),
                        QoS::AtMostOnce => {}
                    }
                    self.arrived(vec![packet]);
                }
                self.arrived(line.acknowledge_all());
                self.subscriber = Some(line);
            }
            (Step::Leave, Some(line)) => {
                self.arrived(line.acknowledge_all());
                line.lose();
            }
            (Step::Connect(packet_max), None) => {
                let hello = self.desk.hello("s").version(self.version).lasting();
                let hello = match packet_max {
                    Some(bytes) => hello.maximum_packet_size(bytes),
                    None => hello,
                };
                self.subscriber = Some(hello.connect());
            }
            (Step::Subscribe, Some(line)) => {
                line.send(subscribe(1, "t", 2));
                self.arrived(line.acknowledge_all());
                self.subscriber = Some(line);
            }
            (Step::Sleep(seconds), line) => {
                self.subscriber = line;
                self.desk.sleep(seconds);
            }
            (_, line) => self.subscriber = line,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn came_or_was_dropped_and_counted(
        version in select(vec![ProtocolVersion::V311, ProtocolVersion::V5]),
        window in 1..4_u16,
        queue in 0..5_usize,
        queue_bytes in select(vec![0, 100]),
        queue_qos0 in any::<bool>(),
        steps in steps(),
    ) {
        let desk = Desk::with(|settings| {
            settings.max_inflight_messages = window;
            settings.max_queued_messages = queue;
            settings.max_queued_bytes = queue_bytes;
            settings.queue_qos0_messages = queue_qos0;
            settings.outbox_bytes_max = 250;
        });
        let mut subscriber = desk.hello("s").version(version).lasting().connect();
        subscriber.subscribe("t", 2);
        let publisher = desk.client("p");
        let subscriber = Some(subscriber);
        let mut book = Book { desk, publisher, version, subscriber, published: 0, arrived: BTreeSet::new() };
        for step in steps {
            book.step(step);
        }
        if let Some(line) = book.subscriber.take() {
            let last = line.acknowledge_all();
            book.arrived(last);
        }
        // What is left ends with the session.
        book.desk.client("s");
        let dropped: u64 = book.desk.drops().iter().map(|(_, count)| count).sum();
        let refused = book.desk.metric(Metric::DroppedRefused);
        let arrived = book.arrived.len() as u64;
        prop_assert_eq!(arrived + dropped - refused, book.published, "{:?}", book.desk.drops());
        prop_assert!(book.desk.disk(Stored::is_settled));
    }
}

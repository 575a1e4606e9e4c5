//! Clients whose connection is cut again and again while messages flow, and who return to their sessions:
//! what is unacknowledged is sent again, in order, and at QoS 2 nothing comes twice [MQTT-4.4.0-1].

use e2e::clients::{Library, node, python};
use e2e::packet::{self, Version};
use e2e::{Broker, Program, Proxy, Wire};

const LAST: usize = 400;
/// The connection is cut each time that so many messages have arrived.
const CUT_EVERY: usize = 50;

type Client = fn(u16) -> Program;

fn paho_1(port: u16) -> Program {
    python(Library::Paho1, "numbers.py", port)
}

fn paho_2(port: u16) -> Program {
    python(Library::Paho2, "numbers.py", port)
}

fn mqttjs(port: u16) -> Program {
    node("numbers.js", port)
}

#[test]
fn publisher_paho_1() {
    a_publisher_loses_nothing(paho_1);
}

#[test]
fn publisher_paho_2() {
    a_publisher_loses_nothing(paho_2);
}

#[test]
fn publisher_mqttjs() {
    a_publisher_loses_nothing(mqttjs);
}

#[test]
fn subscriber_paho_1() {
    a_subscriber_misses_nothing(paho_1);
}

#[test]
fn subscriber_paho_2() {
    a_subscriber_misses_nothing(paho_2);
}

#[test]
fn subscriber_mqttjs() {
    a_subscriber_misses_nothing(mqttjs);
}

fn a_publisher_loses_nothing(client: Client) {
    for (version, qos) in [(4, 1), (4, 2), (5, 1), (5, 2)] {
        let broker = Broker::start("max_queued_messages 0");
        let proxy = Proxy::to(broker.port());
        let mut subscriber = Subscriber::new(&broker, qos);
        let publisher = client(proxy.port()).args(&format!("{version} publish {qos} {LAST}")).start();
        for upto in (CUT_EVERY..LAST).step_by(CUT_EVERY) {
            subscriber.receive_upto(upto);
            proxy.cut();
        }
        subscriber.receive_upto(LAST);
        publisher.finish().prints(&[format!("published {LAST}")]);
        assert_complete(&format!("MQTT {version} at QoS {qos}"), qos, subscriber.numbers);
    }
}

fn a_subscriber_misses_nothing(client: Client) {
    for (version, qos) in [(4, 1), (4, 2), (5, 1), (5, 2)] {
        let broker = Broker::start("max_queued_messages 0");
        let proxy = Proxy::to(broker.port());
        let subscriber = client(proxy.port()).args(&format!("{version} subscribe {qos} {LAST}")).start();
        subscriber.wait_for_line("subscribed");
        let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
        for number in 1..=LAST {
            publish_qos_2(&mut publisher, number);
            if number % CUT_EVERY == 0 {
                proxy.cut();
            }
        }
        let finished = subscriber.finish();
        finished.succeeds();
        let numbers = finished.lines().iter().filter_map(|line| line.parse().ok()).collect();
        assert_complete(&format!("MQTT {version} at QoS {qos}"), qos, numbers);
    }
}

fn publish_qos_2(publisher: &mut Wire, number: usize) {
    publisher.send(&packet::publish(Version::V4, "numbers", 2, 1, number.to_string().as_bytes()));
    assert_eq!(publisher.packet(), (0x50, vec![0, 1]), "PUBREC");
    publisher.send(&packet::acknowledge(0x62, 1));
    assert_eq!(publisher.packet(), (0x70, vec![0, 1]), "PUBCOMP");
}

/// Receives the numbers on a bare socket, so that nothing hides what the broker sends.
struct Subscriber {
    wire: Wire,
    qos: u8,
    numbers: Vec<usize>,
}

impl Subscriber {
    fn new(broker: &Broker, qos: u8) -> Self {
        let mut wire = Wire::connect(broker, Version::V4, "numbers");
        wire.subscribe("numbers", qos);
        Self { wire, qos, numbers: Vec::new() }
    }

    /// Receives until this number has come, which may be one of those received already.
    fn receive_upto(&mut self, last: usize) {
        while self.numbers.iter().max() < Some(&last) {
            let (first_byte, body) = self.wire.packet();
            if first_byte == 0x62 {
                self.wire.send(&packet::acknowledge(0x70, u16::from_be_bytes([body[0], body[1]])));
                continue;
            }
            assert_eq!(first_byte, 0x30 | self.qos << 1, "a PUBLISH, for the first time");
            let rest = &body[2 + "numbers".len()..];
            let answer = if self.qos == 1 { 0x40 } else { 0x50 };
            self.wire.send(&packet::acknowledge(answer, u16::from_be_bytes([rest[0], rest[1]])));
            self.numbers.push(String::from_utf8_lossy(&rest[2..]).parse().expect("a number"));
        }
    }
}

/// Every number came. At QoS 1 a number may come again, but never for the first time after a greater one.
#[track_caller]
fn assert_complete(how: &str, qos: u8, mut numbers: Vec<usize>) {
    let all: Vec<usize> = (1..=LAST).collect();
    if qos == 1 {
        let mut seen = 0;
        numbers.retain(|&number| {
            let new = number > seen;
            seen = seen.max(number);
            new
        });
    }
    let missing: Vec<_> = all.iter().filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "{how}: these did not come: {missing:?}");
    assert_eq!(numbers, all, "{how}: each once, in order");
}

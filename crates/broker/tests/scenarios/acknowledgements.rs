//! Acknowledgements that say nothing but their identifier are taken many in a row; what comes of them is what comes of
//! the same ones in their long form, which are taken one by one.

use noctule_broker::metric::Metric;
use noctule_protocol::frame::PacketType;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::desk::*;

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// What a subscriber says about one packet that it got.
#[derive(Clone, Copy, Debug)]
enum Saying {
    /// The right thing about one of those that wait for it.
    Right(prop::sample::Index),
    /// Anything about any identifier, 0 among them.
    Any(u8, u16),
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u8, usize),
    /// All in one piece.
    Say(Vec<Saying>),
    /// The subscriber reads its mail no more, or again.
    Read(bool),
    /// What is to be stored waits, or no more.
    Hold(bool),
    /// It connects again, whether or not its last connection was lost, and its session lasts from now on or does not.
    Connect {
        lost: bool,
        lasts: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop::sample::select(&[PUBACK, PUBREC, PUBREL, PUBCOMP][..]);
    let saying = prop_oneof![
        12 => any::<prop::sample::Index>().prop_map(Saying::Right),
        1 => (kind, prop_oneof![9 => 1..40_u16, 1 => Just(0)]).prop_map(|(kind, id)| Saying::Any(kind, id)),
    ];
    prop_oneof![
        4 => (0..3_u8, 1..40_usize).prop_map(|(level, payload)| Step::Publish(level, payload)),
        3 => vec(saying, 1..12).prop_map(Step::Say),
        1 => any::<bool>().prop_map(Step::Read),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(lost, lasts)| Step::Connect { lost, lasts }),
    ]
}

/// What came of it: payloads in order, identifiers of PUBREL in order, what was counted, how it ended.
type Outcome = (Vec<(String, u16)>, Vec<u16>, Vec<(Metric, u64)>, bool);

fn outcome(steps: &[Step], long: bool, lasting: bool, outbox: usize) -> Outcome {
    let desk = Desk::sharded(1, |settings| settings.outbox_bytes_max = outbox);
    let hello = |lasts| {
        let hello = desk.hello("s").receive_maximum(5);
        if lasts { hello.lasting() } else { hello.resume() }
    };
    let mut client = hello(lasting).connect();
    client.subscribe("t", 2);
    let publisher = desk.client("p");
    let (mut waiting, mut payloads, mut released) = (Vec::new(), Vec::new(), Vec::new());
    let (mut number, mut id) = (0, 0);
    for step in steps.iter().chain([&Step::Read(true), &Step::Hold(false)]) {
        match step {
            &Step::Publish(level, payload) => {
                number += 1;
                id = id % 60_000 + 1;
                let message = publish("t", format!("{number}{}", "-".repeat(payload)));
                match level {
                    0 => publisher.send(message),
                    1 => publisher.send(message.qos1(id)),
                    _ => publisher.send_all([message.qos2(id), pubrel(id)]),
                }
                publisher.take();
            }
            Step::Say(sayings) => {
                let mut bytes = Vec::new();
                for saying in sayings {
                    let (kind, id) = match saying {
                        Saying::Right(_) if waiting.is_empty() => continue,
                        Saying::Right(index) => waiting.remove(index.index(waiting.len())),
                        Saying::Any(kind, id) => (*kind, *id),
                    };
                    let [high, low] = id.to_be_bytes();
                    match long {
                        true => bytes.extend([kind, 3, high, low, 0]),
                        false => bytes.extend([kind, 2, high, low]),
                    }
                }
                if !client.is_closed() && !bytes.is_empty() {
                    client.send_bytes(&bytes);
                }
            }
            Step::Read(false) => client.stop_reading(),
            Step::Read(true) => client.read_on(),
            Step::Hold(true) => desk.hold_batches(),
            Step::Hold(false) => release(&desk),
            &Step::Connect { lost, lasts } => {
                release(&desk);
                if lost {
                    client.lose();
                }
                waiting.clear();
                client = hello(lasts).connect();
                if !client.session_present {
                    client.subscribe("t", 2);
                }
            }
        }
        if client.is_closed() {
            break;
        }
        for packet in client.take() {
            match packet.kind {
                PacketType::Publish => {
                    payloads.push((packet.text(), packet.id));
                    match packet.qos.level() {
                        0 => {}
                        1 => waiting.push((PUBACK, packet.id)),
                        _ => waiting.push((PUBREC, packet.id)),
                    }
                }
                PacketType::Pubrel if packet.code == 0 => {
                    released.push(packet.id);
                    waiting.push((PUBCOMP, packet.id));
                }
                _ => {}
            }
        }
        waiting.sort();
        waiting.dedup();
    }
    // What is put into the outbox of a client that does not read, and ends with its connection, may be more or less: between
    // acknowledgements that are taken one by one there is room for it.
    let differs = [Metric::BytesReceived, Metric::PublishSent, Metric::PublishBytesSent];
    let counts = Metric::ALL.iter().filter(|metric| !differs.contains(metric));
    let counts = counts.map(|metric| (*metric, desk.metric(*metric))).collect();
    (payloads, released, counts, client.is_closed())
}

fn release(desk: &Desk) {
    desk.write_at_once();
    desk.durable();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_row_of_them_does_what_each_does(
        steps in vec(step(), 1..60),
        lasting in any::<bool>(),
        outbox in prop_oneof![Just(1 << 20), 20..400_usize],
    ) {
        let in_a_row = outcome(&steps, false, lasting, outbox);
        prop_assert_eq!(in_a_row, outcome(&steps, true, lasting, outbox));
    }
}

//! `memory_limit`: what a flood may cost, and whom.

use std::time::{Duration, Instant};

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

const LIMIT: u64 = 64_000_000;
/// What is taken in between two measurements, and freed pages that the system has not got back.
const OVERSHOOT: u64 = LIMIT / 10;
const PAYLOAD_BYTES: usize = 4096;
const WINDOW: u16 = 20;

#[test]
fn a_flood_stays_below_the_limit_and_nothing_acknowledged_is_lost() {
    let broker =
        Broker::start(&format!("memory_limit {LIMIT}\nmax_queued_messages 0\nqueue_qos0_messages true"));
    let hello = packet::connect(Version::V4, "sleeper", false, 0);
    let mut sleeper = Wire::open(&broker, Version::V4, &hello);
    assert_eq!(sleeper.packet(), (0x20, vec![0, 0]));
    sleeper.subscribe("flood/#", 1);
    drop(sleeper);
    let _deaf: Vec<_> = (0..4)
        .map(|number| {
            let mut deaf = Wire::connect(&broker, Version::V4, &format!("deaf-{number}"));
            deaf.subscribe("flood/#", 0);
            deaf
        })
        .collect();
    let mut honest = Wire::connect(&broker, Version::V4, "honest");
    honest.subscribe("honest", 0);
    let mut other = Wire::connect(&broker, Version::V4, "other");

    let mut flooder = Wire::connect(&broker, Version::V4, "flooder");
    let mut acknowledged = 0_u32;
    // It is made to wait, and let go on now and then.
    let mut waits = 0;
    while waits < 3 {
        let begun = Instant::now();
        acknowledged += flood(&mut flooder, acknowledged);
        waits += u32::from(begun.elapsed() > Duration::from_millis(500));
        let bytes = u64::from(acknowledged) * PAYLOAD_BYTES as u64;
        assert!(bytes < LIMIT, "{bytes} bytes were taken in without a wait");
    }
    let resident = broker.resident_peak();
    println!(
        "{acknowledged} messages of {PAYLOAD_BYTES} bytes are queued, at most {resident} bytes resident"
    );
    assert!(resident < LIMIT + OVERSHOOT, "{resident} bytes resident");
    for number in 0..3 {
        other.publish("honest", format!("message {number}").as_bytes());
        honest.receives(format!("message {number}").as_bytes());
    }
    let queued = broker.resident();

    let mut sleeper = Wire::open(&broker, Version::V4, &hello);
    assert_eq!(sleeper.packet(), (0x20, vec![1, 0]), "with its session it is let in");
    let mut expected = 0;
    while expected < acknowledged {
        let (first_byte, body) = sleeper.packet();
        let rest = &body[2 + "flood/1".len()..];
        if first_byte & 0b110 == 0 {
            continue;
        }
        assert_eq!(rest[2..6], expected.to_be_bytes(), "in order, and none is missing");
        sleeper.send(&[0x40, 2, rest[0], rest[1]]);
        expected += 1;
    }
    // What it took is memory again, though the thread that had given it out has nothing to do.
    let freed = eventually("memory is given back", || {
        let resident = broker.resident();
        (resident < LIMIT / 100 * 80).then_some(resident)
    });
    println!("{queued} bytes resident before the messages were fetched, {freed} after");
    let begun = Instant::now();
    for _ in 0..20 {
        acknowledged += flood(&mut flooder, acknowledged);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "the flooder is still made to wait");
}

/// Publishes one window at QoS 1, numbered from `first` on, with some QoS 0 between, and awaits all answers.
fn flood(flooder: &mut Wire, first: u32) -> u32 {
    let mut bytes = Vec::new();
    for number in 0..WINDOW {
        let mut payload = (first + u32::from(number)).to_be_bytes().to_vec();
        payload.resize(PAYLOAD_BYTES, b'x');
        bytes.extend(packet::publish(Version::V4, "flood/1", 1, number + 1, &payload));
        bytes.extend(packet::publish(Version::V4, "flood/0", 0, 0, &payload));
    }
    flooder.send(&bytes);
    for number in 0..WINDOW {
        assert_eq!(flooder.packet(), (0x40, (number + 1).to_be_bytes().to_vec()));
    }
    WINDOW.into()
}

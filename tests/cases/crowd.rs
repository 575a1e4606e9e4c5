//! Connections that come and go, 8000 at once.

use e2e::broker::raise_open_files;
use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

const CROWD: usize = 8000;

/// More than this per connection, with its session, subscription and an unacknowledged message, is a leak.
const BYTES_PER_CONNECTION_MAX: u64 = 8 * 1024;

#[test]
fn eight_thousand_come_and_go() {
    raise_open_files();
    let broker = Broker::start("");
    // Once it serves a client, all of it has started.
    let mut somebody = Wire::connect(&broker, Version::V4, "somebody");
    somebody.ping();
    let (files, empty) = (broker.open_files(), broker.resident());
    // How much is free and not given back to the system yet grows with the first crowds, and then differs by some megabytes
    // from crowd to crowd. A leak adds up.
    let crowds: [u64; 16] = std::array::from_fn(|round| {
        let resident = come_and_go(&broker, round);
        eventually("the broker has closed all connections", || (broker.open_files() <= files).then_some(()));
        resident
    });
    println!("resident with {CROWD} connections: {crowds:?} bytes");
    let (early, late) = (crowds[2..8].iter().max(), crowds[12..].iter().min());
    let (early, late) = (early.copied().unwrap_or(0), late.copied().unwrap_or(0));
    assert!(late <= early + (4 << 20), "late crowds take more than early ones: {crowds:?} bytes");
    let most = crowds.iter().max().map_or(0, |most| most.saturating_sub(empty));
    assert!(most <= CROWD as u64 * BYTES_PER_CONNECTION_MAX, "{CROWD} connections take {} KiB", most / 1024);
}

/// Everybody connects, subscribes, gets a message and leaves. Gives the broker's memory when all were there.
fn come_and_go(broker: &Broker, round: usize) -> u64 {
    let mut crowd: Vec<Wire> = (0..CROWD)
        .map(|number| {
            let id = format!("member-{number}");
            Wire::open(broker, Version::V4, &packet::connect(Version::V4, &id, true, 600))
        })
        .collect();
    for (number, wire) in crowd.iter_mut().enumerate() {
        assert_eq!(wire.packet(), (0x20, vec![0, 0]), "CONNACK of member {number}");
        wire.send(&packet::subscribe(Version::V4, 1, "all/members", (number % 2) as u8));
    }
    for wire in &mut crowd {
        assert_eq!(wire.packet().0, 0x90, "SUBACK");
    }
    let payload = format!("hello, round {round}");
    broker.mosquitto_pub("-t all/members -q 1 -m").arg(&payload).run().succeeds();
    for wire in &mut crowd {
        wire.receives(payload.as_bytes());
    }
    let resident = broker.resident();
    for wire in &mut crowd {
        wire.send(&packet::DISCONNECT);
    }
    resident
}

//! Clients that behave badly, by mistake or on purpose: others are not harmed, memory stays bounded, and the
//! process lives.

use std::thread;
use std::time::Duration;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire};

const MIB: u64 = 1 << 20;

/// The broker still works, for a client old or new.
fn still_works(broker: &Broker) {
    for version in [Version::V4, Version::V5] {
        let mut wire = Wire::connect(broker, version, "honest");
        wire.subscribe("honest", 0);
        wire.publish("honest", b"works");
        wire.receives(b"works");
    }
}

#[test]
fn who_never_reads_harms_nobody_qos_0() {
    who_never_reads_harms_nobody(0);
}

#[test]
fn who_never_reads_harms_nobody_qos_1() {
    who_never_reads_harms_nobody(1);
}

fn who_never_reads_harms_nobody(qos: u8) {
    let broker = Broker::start("");
    let mut deaf = Wire::connect(&broker, Version::V4, "deaf");
    deaf.subscribe("flood", qos);
    let mut reader = Wire::connect(&broker, Version::V4, "reader");
    reader.subscribe("flood", 0);
    let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
    let before = broker.resident();
    let payload = vec![7; 16 * 1024];
    // 256 MiB, as fast as the reader takes them: it gets every one.
    for number in 1..=16 * 1024_u16 {
        let packet = packet::publish(Version::V4, "flood", qos, number, &payload);
        publisher.send(&packet);
        reader.receives(&payload);
        if qos > 0 {
            assert_eq!(publisher.packet().0, 0x40, "PUBACK");
        }
    }
    let grown = broker.resident_peak().saturating_sub(before);
    println!("256 MiB at QoS {qos} for one who never reads: {} KiB more memory at most", grown / 1024);
    // A queue holds up to 1000 messages (`max_queued_messages`), here 16 MiB; some more is on its way.
    assert!(grown < 32 * MIB, "the broker's memory has grown by {} MiB", grown / MIB);
    still_works(&broker);
}

#[test]
fn a_flood_that_nobody_takes_is_not_hoarded() {
    let broker = Broker::start("");
    let mut deaf: Vec<Wire> = (0..20)
        .map(|number| {
            let mut wire = Wire::connect(&broker, Version::V5, &format!("deaf-{number}"));
            wire.subscribe("flood", 0);
            wire
        })
        .collect();
    let before = broker.resident();
    let mut publisher = Wire::connect(&broker, Version::V5, "publisher");
    let payload = vec![7; 64 * 1024];
    for _ in 0..2000 {
        publisher.publish("flood", &payload);
    }
    publisher.ping();
    let grown = broker.resident_peak().saturating_sub(before);
    println!("20 × 125 MiB for clients who never read: {} KiB more memory at most", grown / 1024);
    // One copy of what queues may hold, not twenty.
    assert!(grown < 128 * MIB, "the broker's memory has grown by {} MiB", grown / MIB);
    // They can still read: what has waited for them, or that they were cut off.
    for wire in &mut deaf {
        drop(wire.try_packet());
    }
    still_works(&broker);
}

/// Writes a byte at a time, pausing between bytes. The pause makes the peer slow; nothing waits for it.
fn trickle(wire: &mut Wire, bytes: &[u8], pause: Duration) {
    for byte in bytes {
        wire.send(&[*byte]);
        thread::sleep(pause);
    }
}

#[test]
fn who_writes_a_byte_at_a_time_is_understood() {
    let broker = Broker::start("");
    for version in [Version::V4, Version::V5] {
        let mut wire = Wire::dial_as(&broker, version);
        let pause = Duration::from_millis(2);
        trickle(&mut wire, &packet::connect(version, "slow", true, 60), pause);
        assert_eq!(wire.packet().0, 0x20, "CONNACK");
        trickle(&mut wire, &packet::subscribe(version, 1, "news", 2), pause);
        assert_eq!(wire.packet().0, 0x90, "SUBACK");
        trickle(&mut wire, &packet::publish(version, "news", 0, 0, b"slowly"), pause);
        wire.receives(b"slowly");
    }
}

#[test]
fn who_writes_a_byte_a_second_holds_up_nobody() {
    let broker = Broker::start("");
    let mut reader = Wire::connect(&broker, Version::V4, "reader");
    reader.subscribe("slow", 0);
    let mut slow = Wire::connect(&broker, Version::V4, "slow");
    let mut quick = Wire::connect(&broker, Version::V4, "quick");
    quick.subscribe("quick", 0);
    for byte in packet::publish(Version::V4, "slow", 0, 0, b"!") {
        slow.send(&[byte]);
        let second = std::time::Instant::now();
        let mut exchanged = 0;
        while second.elapsed() < Duration::from_secs(1) {
            quick.publish("quick", b"x");
            quick.receives(b"x");
            exchanged += 1;
        }
        // A broker that waits for the slow one exchanges none; how many there are depends on the machine.
        assert!(exchanged >= 20, "{exchanged} messages in a second");
    }
    reader.receives(b"!");
}

/// Beyond any sensible deadline for CONNECT.
const HALF_OPEN_MAX: Duration = Duration::from_secs(100);

#[test]
fn who_says_nothing_is_cut_off() {
    let broker = Broker::start("");
    Wire::dial(&broker).is_closed_within(HALF_OPEN_MAX);
}

#[test]
fn who_never_ends_its_connect_is_cut_off() {
    let broker = Broker::start("");
    let mut wire = Wire::dial(&broker);
    let connect = packet::connect(Version::V4, "half", true, 60);
    wire.send(&connect[..connect.len() - 1]);
    wire.is_closed_within(HALF_OPEN_MAX);
}

#[test]
fn who_is_silent_longer_than_its_keep_alive_is_cut_off() {
    let broker = Broker::start("");
    for version in [Version::V4, Version::V5] {
        let mut wire = Wire::open(&broker, version, &packet::connect(version, "silent", true, 1));
        wire.packet();
        wire.is_closed_within(Duration::from_secs(20)); // [MQTT-3.1.2-22] [MQTT311-3.1.2-24]
    }
}

#[test]
fn a_huge_length_before_connect_takes_no_memory() {
    let broker = Broker::start("");
    let before = broker.resident();
    // 256 MiB are promised, and a little is sent.
    let mut wires: Vec<Wire> = (0..100)
        .map(|_| {
            let mut wire = Wire::dial(&broker);
            wire.send_or_be_cut(&[0x10, 0xff, 0xff, 0xff, 0x7f]);
            wire.send_or_be_cut(&[0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60]);
            wire
        })
        .collect();
    still_works(&broker);
    let grown = broker.resident_peak().saturating_sub(before);
    assert!(grown < 8 * MIB, "the broker's memory has grown by {} KiB", grown / 1024);
    for wire in &mut wires {
        wire.is_closed_within(HALF_OPEN_MAX);
    }
}

#[test]
fn a_huge_length_after_connect_takes_no_memory() {
    let broker = Broker::start("max_packet_size 2000000");
    let before = broker.resident();
    for version in [Version::V4, Version::V5] {
        for number in 0..50 {
            let mut wire = Wire::connect(&broker, version, &format!("liar-{number}"));
            wire.send_or_be_cut(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'x']);
            match version {
                Version::V4 => wire.is_closed_with_hex(""),
                Version::V5 => wire.is_closed_with_reason(0x95), // packet too large
            }
        }
    }
    let grown = broker.resident_peak().saturating_sub(before);
    assert!(grown < 8 * MIB, "the broker's memory has grown by {} KiB", grown / 1024);
    still_works(&broker);
}

#[test]
fn an_allowed_length_takes_memory_only_as_bytes_come() {
    let broker = Broker::start("max_packet_size 2000000");
    let before = broker.resident();
    // 1.9 MB are promised by each of 200, and a little is sent.
    let promise = [&[0x30][..], &packet::variable_byte_integer(1_900_000), &[0, 1, b'x', b'y']].concat();
    let wires: Vec<Wire> = (0..200)
        .map(|number| {
            let mut wire = Wire::connect(&broker, Version::V4, &format!("slow-{number}"));
            wire.send(&promise);
            wire
        })
        .collect();
    still_works(&broker);
    let grown = broker.resident_peak().saturating_sub(before);
    assert!(grown < 16 * MIB, "the broker's memory has grown by {} KiB", grown / 1024);
    drop(wires);
}

/// Numbers without a pattern, the same in each run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

#[test]
fn garbage_does_not_end_the_process() {
    let broker = Broker::start("");
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for _ in 0..500 {
        let length = 1 + noise.below(200);
        Wire::dial(&broker).send_or_be_cut(&noise.bytes(length));
        let mut wire = Wire::connect(&broker, Version::V5, "");
        wire.send_or_be_cut(&noise.bytes(length));
    }
    still_works(&broker);
}

#[test]
fn damaged_packets_do_not_end_the_process() {
    let broker = Broker::start("");
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for version in [Version::V4, Version::V5] {
        let packets = [
            packet::connect(version, "damaged", true, 60),
            packet::subscribe(version, 1, "$share/a/b/+/#", 1),
            packet::publish(version, "b/c", 2, 7, b"payload"),
            packet::acknowledge(0x62, 7),
            packet::acknowledge(0x40, 7),
            packet::acknowledge(0x50, 7),
            packet::packet(0xa2, &[&[0, 2, 0][..], &packet::string("b/c")].concat()),
            packet::packet(0xe0, &[4, 5, 0x11, 0, 0, 0, 9]),
            packet::packet(0xf0, &[0x18, 3, 0x15, 0, 0]),
        ];
        for _ in 0..1000 {
            let mut bytes = packets[noise.below(packets.len())].clone();
            for _ in 0..=noise.below(3) {
                let at = noise.below(bytes.len());
                bytes[at] = (noise.next() >> 32) as u8;
            }
            if bytes[0] >> 4 == 1 {
                Wire::dial(&broker).send_or_be_cut(&bytes);
            } else {
                Wire::connect(&broker, version, "").send_or_be_cut(&bytes);
            }
        }
    }
    still_works(&broker);
}

//! Log lines: those of packets beside Debian's Mosquitto, the others in the words of Mosquitto 2.1.

use e2e::packet::{self, Version, acknowledge, connect, publish, subscribe};
use e2e::{Broker, Wire, eventually};

use Version::{V4, V5};

/// What a broker has said on standard error, without what differs from run to run.
fn lines(broker: &Broker) -> Vec<String> {
    let said = broker.process().errors();
    said.lines().filter(|line| !is_of_the_program(line)).map(without_ports).collect()
}

fn is_of_the_program(line: &str) -> bool {
    line.contains(" version ")
        || line.starts_with("Config loaded from ")
        || line.starts_with("Clients are served by ")
}

/// `127.0.0.1:40000` is `ADDRESS`, and `port 40000` is `PORT`.
fn without_ports(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("127.0.0.1:") {
        text.push_str(before);
        text.push_str("ADDRESS");
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text.push_str(rest);
    match text.split_once(" on port ") {
        Some((before, _)) => format!("{before} on PORT"),
        None => text,
    }
}

/// A line of 2.0.11 in the words of 2.1: the table of what 2.1 changed, as far as these exchanges show it.
fn in_the_words_of_2_1(line: &str) -> String {
    // The protocol version is told as on the wire.
    let line = line.replace("(p2, ", "(p4, ").replace("(p1, ", "(p3, ");
    // The address is told, and the reason in its place.
    if let Some(client) = line.strip_prefix("Client ") {
        if let Some(client) = client.strip_suffix(" disconnected.") {
            return format!("Client {client} [ADDRESS] disconnected.");
        }
        if let Some(client) = client.strip_suffix(" closed its connection.") {
            return format!("Client {client} [ADDRESS] disconnected: connection closed by client.");
        }
    }
    line
}

const EVERYTHING: &str =
    "log_type all\nlog_timestamp false\nsys_interval 0\nmax_queued_messages 1\nmax_inflight_messages 1";

/// Waits until the broker has handled, and logged, what this client sent.
fn settle(wire: &mut Wire) {
    wire.ping();
}

/// CONNECT of 3.1.1 with a Will and a User Name.
fn connect_with_will() -> Vec<u8> {
    let texts = ["alice", "will/topic", "gone", "joe"].map(packet::string).concat();
    let flags = 0x02 | 0x04 | 1 << 3 | 0x20 | 0x80;
    packet::packet(0x10, &[&packet::string("MQTT")[..], &[4, flags, 0, 60], &texts].concat())
}

/// All kinds of packets, one after the other, so that the order of lines is one and the same.
fn exchange(broker: &Broker) {
    let mut alice = Wire::open(broker, V4, &connect_with_will());
    alice.packet();
    let two = [packet::string("x/+"), vec![1], packet::string("y/#"), vec![2]].concat();
    alice.send(&packet::packet(0x82, &[&[0, 1][..], &two].concat()));
    alice.packet();
    settle(&mut alice);

    let mut bob = Wire::connect(broker, V5, "bob");
    bob.subscribe("z", 0x2C);
    bob.send(&publish(V5, "x/1", 1, 7, b"hello"));
    bob.packet();
    alice.packet();
    alice.send(&acknowledge(0x40, 1));
    settle(&mut alice);

    bob.send(&publish(V5, "y/1", 2, 8, b"hello"));
    bob.packet();
    bob.send(&acknowledge(0x62, 8));
    bob.packet();
    alice.packet();
    alice.send(&acknowledge(0x50, 2));
    alice.packet();
    alice.send(&acknowledge(0x70, 2));
    settle(&mut alice);

    let mut retained = publish(V5, "r", 0, 0, b"kept");
    retained[0] |= 1;
    bob.send(&retained);
    settle(&mut bob);
    alice.send(&subscribe(V4, 2, "r", 0));
    alice.packet();
    alice.packet();
    let two = [packet::string("r"), packet::string("nope")].concat();
    alice.send(&packet::packet(0xA2, &[&[0, 3][..], &two].concat()));
    alice.packet();

    bob.send(&publish(V5, "$SYS/forged", 1, 9, b"x"));
    bob.packet();
    bob.send(&publish(V5, "$SYS/forged", 0, 0, b"x"));
    bob.send(&packet::packet(0xA2, &[&[0, 4, 0][..], &packet::string("z")].concat()));
    bob.packet();
    bob.send(&packet::DISCONNECT);
    bob.is_closed();

    // One in flight, one queued, and the rest is dropped.
    let mut carol = Wire::connect(broker, V4, "carol");
    for packet_id in 20..25 {
        carol.send(&publish(V4, "x/2", 1, packet_id, b"m"));
        carol.packet();
    }
    alice.packet();
    alice.send(&acknowledge(0x40, 3));
    alice.packet();
    alice.send(&acknowledge(0x40, 4));
    settle(&mut alice);

    // A session that waits.
    let mut dave = Wire::open(broker, V4, &connect(V4, "dave", false, 60));
    dave.packet();
    dave.subscribe("x/3", 1);
    dave.send(&packet::DISCONNECT);
    dave.is_closed();
    let mut dave = Wire::open(broker, V4, &connect(V4, "dave", false, 60));
    dave.packet();
    drop(dave);
    eventually("dave is gone", || {
        lines(broker).last().is_some_and(|line| line.starts_with("Client dave")).then_some(())
    });
    Wire::open(broker, V4, &connect(V4, "", false, 60)).packet();
}

#[test]
fn packets_are_told_in_mosquittos_words_line_by_line() {
    // What one thread does comes in one order.
    let ours = Broker::start(&format!("{EVERYTHING}\nworker_threads 1"));
    let [ours, debian] = [ours, Broker::debian(EVERYTHING)].map(|broker| {
        exchange(&broker);
        eventually("the last line is there", || {
            let lines = lines(&broker);
            let last = lines.iter().rposition(|line| line == "Sending CONNACK to 127.0.0.1 (0, 2)")?;
            Some(lines[..=last].to_vec())
        })
    });
    let debian: Vec<_> = debian.iter().map(|line| in_the_words_of_2_1(line)).collect();
    assert!(ours.len() > 80, "{ours:#?}");
    assert_eq!(ours, debian);
}

//! Views of what is delivered, queued and dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::packet::{self, Version, acknowledge, packet as framed, publish, string};
use e2e::{Broker, Wire};

use super::connect::Hello;

const PUBLISH: u8 = 3;

fn qos(first_byte: u8) -> u8 {
    first_byte >> 1 & 3
}

/// The packets that come before the answer to a PINGREQ.
pub(super) fn until_ping(wire: &mut Wire) -> Vec<(u8, Vec<u8>)> {
    wire.send(&packet::PINGREQ);
    let mut packets = Vec::new();
    loop {
        match wire.packet() {
            (0xd0, _) => return packets,
            other => packets.push(other),
        }
    }
}

fn publishes(packets: &[(u8, Vec<u8>)]) -> impl Iterator<Item = &(u8, Vec<u8>)> {
    packets.iter().filter(|(first_byte, _)| first_byte >> 4 == PUBLISH)
}

/// The answer to a QoS 1 publication.
fn reason_of(wire: &mut Wire, topic: &str, payload: &[u8]) -> String {
    wire.send(&publish(Version::V5, topic, 1, 1, payload));
    match wire.packet() {
        (0x40, body) => match body.get(2) {
            None | Some(0 | 0x10) => "accepted".to_owned(),
            Some(code) => format!("refused with {code:#x}"),
        },
        (first_byte, body) => panic!("{first_byte:#x} {body:?} is no PUBACK"),
    }
}

/// A publication to `lamp` by a client without a name.
pub(in crate::directives) fn publishing_to_lamp(broker: &Broker) -> String {
    reason_of(&mut Hello::default().says(broker).0, "lamp", b"on")
}

/// How many of three publications of ten bytes come before the first one is acknowledged.
pub(in crate::directives) fn unacknowledged(broker: &Broker) -> String {
    let mut receiver = Wire::connect(broker, Version::V4, "receiver");
    receiver.subscribe("work", 1);
    let mut publisher = Wire::connect(broker, Version::V4, "publisher");
    for packet_id in 1..=3 {
        publisher.send(&publish(Version::V4, "work", 1, packet_id, b"0123456789"));
        assert_eq!(publisher.packet().0, 0x40, "PUBACK");
    }
    format!("{} of 3", publishes(&until_ping(&mut receiver)).count())
}

/// How many of three QoS 0 and five QoS 1 publications wait for a client that was away.
pub(in crate::directives) fn queued(broker: &Broker) -> String {
    let connect = |clean| packet::connect(Version::V4, "sleeper", clean, 60);
    let mut sleeper = Wire::open(broker, Version::V4, &connect(false));
    assert_eq!(sleeper.packet(), (0x20, vec![0, 0]));
    sleeper.subscribe("work", 1);
    sleeper.send(&packet::DISCONNECT);
    sleeper.is_closed();
    let mut publisher = Wire::connect(broker, Version::V4, "publisher");
    for packet_id in 1..=5 {
        if packet_id <= 3 {
            publisher.publish("work", b"0123456789");
        }
        publisher.send(&publish(Version::V4, "work", 1, packet_id, b"0123456789"));
        assert_eq!(publisher.packet().0, 0x40, "PUBACK");
    }
    let mut sleeper = Wire::open(broker, Version::V4, &connect(false));
    // The first answer may come before what waits, for PINGREQ may have been read together with CONNECT.
    let mut packets = until_ping(&mut sleeper);
    packets.extend(until_ping(&mut sleeper));
    // Some rows let few be in flight at a time.
    loop {
        let ids: Vec<u16> = publishes(&packets)
            .filter(|(first_byte, _)| qos(*first_byte) == 1)
            .map(|(_, body)| u16::from_be_bytes([body[6], body[7]]))
            .collect();
        sleeper.send(&acknowledge(0x40, *ids.last().expect("at least one was queued")));
        let more = until_ping(&mut sleeper);
        if more.is_empty() {
            break;
        }
        packets.extend(more);
    }
    let count = |level| publishes(&packets).filter(|(first_byte, _)| qos(*first_byte) == level).count();
    let (zero, one) = (count(0), count(1));
    drop(Wire::open(broker, Version::V4, &connect(true)).packet());
    format!("{zero} of QoS 0, {one} of QoS 1")
}

/// The QoS with which a QoS 0 publication comes to a QoS 1 subscription.
pub(in crate::directives) fn qos_of_delivery(broker: &Broker) -> String {
    let mut receiver = Wire::connect(broker, Version::V4, "receiver");
    receiver.subscribe("work", 1);
    let mut publisher = Wire::connect(broker, Version::V4, "publisher");
    publisher.publish("work", b"x");
    publisher.ping();
    let (first_byte, _) = receiver.packet();
    format!("QoS {}", qos(first_byte))
}

/// How often a message comes that matches three subscriptions.
pub(in crate::directives) fn copies(broker: &Broker) -> String {
    let mut receiver = Wire::connect(broker, Version::V4, "receiver");
    for filter in ["over/#", "over/+", "over/lap"] {
        receiver.subscribe(filter, 0);
    }
    let mut publisher = Wire::connect(broker, Version::V4, "publisher");
    publisher.publish("over/lap", b"x");
    publisher.ping();
    format!("{} copies", publishes(&until_ping(&mut receiver)).count())
}

/// Whether all of many messages come that were sent in one piece.
pub(in crate::directives) fn burst(broker: &Broker) -> String {
    const COUNT: usize = 40;
    let mut receiver = Wire::connect(broker, Version::V4, "receiver");
    receiver.subscribe("burst", 0);
    let mut publisher = Wire::connect(broker, Version::V4, "publisher");
    publisher.send(&publish(Version::V4, "burst", 0, 0, &[b'x'; 1000]).repeat(COUNT));
    publisher.ping();
    match publishes(&until_ping(&mut receiver)).count() {
        COUNT => "all".to_owned(),
        0 => "none".to_owned(),
        _ => "some".to_owned(),
    }
}

/// How many topic aliases the broker uses for twenty topics.
pub(in crate::directives) fn aliases(broker: &Broker) -> String {
    // Topic Alias Maximum 100.
    let connect = packet::connect_with(Version::V5, "receiver", true, 60, &[0x22, 0, 100]);
    let mut receiver = Wire::open(broker, Version::V5, &connect);
    receiver.packet();
    receiver.subscribe("alias/#", 0);
    let mut publisher = Wire::connect(broker, Version::V5, "publisher");
    for number in 0..20 {
        publisher.publish(&format!("alias/{number:02}"), b"x");
    }
    publisher.ping();
    let packets = until_ping(&mut receiver);
    let aliases: BTreeSet<[u8; 2]> = publishes(&packets)
        .filter_map(|(_, body)| {
            let properties = &body[2 + usize::from(u16::from_be_bytes([body[0], body[1]]))..];
            (properties[0] == 3 && properties[1] == 0x23).then(|| [properties[2], properties[3]])
        })
        .collect();
    format!("{} aliases", aliases.len())
}

/// Whether bob gets what alice left as retained, when she may write no more.
pub(in crate::directives) fn retained_of_alice(broker: &Broker) -> String {
    let (mut alice, _) = Hello { user: Some(("alice", "")), ..Hello::default() }.says(broker);
    let mut body = string("lamp");
    body.extend([0, 1, 0]);
    body.extend(b"on");
    alice.send(&framed(0x33, &body));
    alice.packet();
    let rules = std::fs::read_to_string(broker.file("acl")).expect("the row has an acl");
    broker.write("acl", "user bob\ntopic lamp\n");
    broker.hang_up();
    let (mut bob, _) = Hello { client_id: "bob", user: Some(("bob", "")), ..Hello::default() }.says(broker);
    bob.subscribe("lamp", 0);
    let seen = publishes(&until_ping(&mut bob)).count();
    broker.write("acl", &rules);
    broker.hang_up();
    format!("{seen} retained")
}

/// Whether the broker tells now and then how long it runs.
pub(in crate::directives) fn uptime_is_published(broker: &Broker) -> String {
    let mut reader = Wire::connect(broker, Version::V4, "reader");
    reader.subscribe("$SYS/broker/uptime", 0);
    // One may be retained from before, so only the one after it says that more come.
    let told = (0..2).filter(|_| reader.is_told_within(Duration::from_millis(2500))).count();
    if told == 2 { "uptime".to_owned() } else { "nothing".to_owned() }
}

/// The topic under which a client at ::1 sees what one at 127.0.0.1 publishes to `lamp`.
pub(in crate::directives) fn lamp_from_elsewhere(broker: &Broker) -> String {
    let (mut receiver, _) = Hello { client_id: "receiver", ..Hello::default() }.says_at("::1", broker);
    receiver.subscribe("#", 0);
    let (mut publisher, _) = Hello::default().says(broker);
    publisher.publish("lamp", b"on");
    publisher.ping();
    let (_, body) = receiver.packet();
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    String::from_utf8_lossy(&body[2..2 + length]).into_owned()
}

/// A publication of twenty bytes.
pub(in crate::directives) fn publishing_twenty_bytes(broker: &Broker) -> String {
    reason_of(&mut Hello::default().says(broker).0, "size", &[b'x'; 20])
}

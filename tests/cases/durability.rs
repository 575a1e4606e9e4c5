//! What the store is asked to do, as the broker tells it below `$SYS`.

use std::collections::BTreeMap;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

use Version::V4;

/// Its numbers are published every second.
fn persistent(more: &str) -> Broker {
    Broker::start(&format!("persistence true\npersistence_location DIR\nsys_interval 1\n{more}"))
}

/// All numbers below `$SYS/broker/`.
fn numbers(broker: &Broker) -> BTreeMap<String, u64> {
    let mut wire = Wire::connect(broker, V4, "asks");
    wire.send(&[packet::subscribe(V4, 1, "$SYS/broker/#", 0), packet::PINGREQ.to_vec()].concat());
    let mut numbers = BTreeMap::new();
    loop {
        match wire.packet() {
            (0x90, _) => {}
            (0xD0, _) => return numbers,
            (_, body) => {
                let (topic, payload) =
                    body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
                let [topic, payload] =
                    [topic, payload].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                let name =
                    topic.strip_prefix("$SYS/broker/").expect("nothing else was subscribed").to_owned();
                let number = payload.trim_end_matches(" seconds").parse();
                numbers.extend(number.ok().map(|number| (name, number)));
            }
        }
    }
}

/// The same, of a time when all that has happened up to now was counted and nothing waits for the store.
fn settled(broker: &Broker) -> BTreeMap<String, u64> {
    let uptime = |numbers: &BTreeMap<String, u64>| numbers.get("uptime").copied().unwrap_or(0);
    let now = uptime(&numbers(broker));
    eventually("numbers of later", || {
        let numbers = numbers(broker);
        (uptime(&numbers) >= now + 2 && numbers["store/lag"] == 0).then_some(numbers)
    })
}

/// So many messages of each QoS, acknowledged.
fn publish(broker: &Broker, topic: &str, count: u16) {
    let mut publisher = Wire::connect(broker, V4, "publisher");
    for id in 1..=count {
        publisher.publish(topic, b"payload");
        publisher.send(&packet::publish(V4, topic, 1, id, b"payload"));
        assert_eq!(publisher.packet().0, 0x40);
        publisher.send(&packet::publish(V4, topic, 2, id, b"payload"));
        assert_eq!(publisher.packet().0, 0x50);
        publisher.send(&packet::acknowledge(0x62, id));
        assert_eq!(publisher.packet().0, 0x70);
    }
}

#[test]
fn traffic_that_needs_no_durability_makes_no_store_operation() {
    const COUNT: u16 = 200;
    let broker = persistent("");
    // A session that lasts, but wants QoS 0 only, and one that does not.
    let mut lasting = Wire::open(&broker, V4, &packet::connect(V4, "lasting", false, 60));
    assert_eq!(lasting.packet(), (0x20, vec![0, 0]));
    lasting.subscribe("lamp", 0);
    let mut clean = Wire::connect(&broker, V4, "clean");
    clean.subscribe("lamp", 2);
    let before = settled(&broker);
    assert!(before["store/batches"] >= 2, "the session and its subscription");
    publish(&broker, "lamp", COUNT);
    for _ in 0..3 * COUNT {
        assert_eq!(lasting.packet().0, 0x30);
    }
    // Three messages each, and a PUBREL.
    for _ in 0..4 * COUNT {
        let (first_byte, body) = clean.packet();
        let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        match first_byte {
            0x30 => {}
            0x32 => clean.send(&packet::acknowledge(0x40, id(6))),
            0x34 => clean.send(&packet::acknowledge(0x50, id(6))),
            0x62 => clean.send(&packet::acknowledge(0x70, id(0))),
            other => panic!("{other:#x}"),
        }
    }
    let after = settled(&broker);
    assert!(after["publish/messages/sent"] - before["publish/messages/sent"] >= u64::from(6 * COUNT));
    for topic in ["store/batches", "store/commit/count", "store/sync/count", "store/changes/written"] {
        assert_eq!((topic, after[topic]), (topic, before[topic]));
    }
    // What needs it makes some.
    lasting.subscribe("lamp", 1);
    publish(&broker, "lamp", 1);
    let kept = settled(&broker);
    assert!(
        kept["store/batches"] > after["store/batches"]
            && kept["store/sync/count"] > after["store/sync/count"]
    );
}

#[test]
fn a_listener_in_memory_is_answered_without_a_sync_and_its_messages_are_kept_all_the_same() {
    const COUNT: u16 = 100;
    let mut broker = persistent("durability memory");
    let away = packet::connect(V4, "away", false, 60);
    let mut lasting = Wire::open(&broker, V4, &away);
    assert_eq!(lasting.packet(), (0x20, vec![0, 0]));
    lasting.subscribe("lamp", 1);
    drop(lasting);
    let before = settled(&broker);
    publish(&broker, "lamp", COUNT);
    let after = settled(&broker);
    // One a second, whatever is published; with `sync` each of the 300 acknowledgements would have waited for its own.
    let syncs = after["store/sync/count"] - before["store/sync/count"];
    assert!((1..50).contains(&syncs), "{syncs}");
    broker.crash();
    broker.begin();
    let mut back = Wire::open(&broker, V4, &away);
    assert_eq!(back.packet(), (0x20, vec![1, 0]));
    for _ in 0..2 * COUNT {
        let (first_byte, body) = back.packet();
        assert_eq!(first_byte, 0x32);
        back.send(&packet::acknowledge(0x40, u16::from_be_bytes([body[6], body[7]])));
    }
}

//! `$SYS`: its topics and payloads beside those of Debian's Mosquitto, and counts of traffic that is known.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

use Version::V4;

/// What Mosquitto 2.1 publishes and 2.0.11, Debian's, does not.
const SINCE_2_1: [&str; 3] = ["connections/socket/count", "packet/out/bytes", "packet/out/count"];

/// What only a broker publishes that keeps what it acknowledges.
const STORE: &str = "store/";
/// Those below it that are Mosquitto's.
const STORE_MESSAGES: &str = "store/messages/";

/// All that is retained below `$SYS/broker/`, by the rest of the topic.
fn sys_topics(broker: &Broker) -> BTreeMap<String, String> {
    let mut wire = Wire::dial(broker);
    // In one piece: what its CONNECT changes is not published before its SUBSCRIBE is read.
    let hello = packet::connect(V4, "watcher", true, 0);
    wire.send(&[hello, packet::subscribe(V4, 1, "$SYS/#", 0), packet::PINGREQ.to_vec()].concat());
    assert_eq!(wire.packet().0, 0x20);
    let mut topics = BTreeMap::new();
    loop {
        match wire.packet() {
            (0xD0, _) => return topics,
            (0x90, suback) => assert_eq!(suback, [0, 1, 0]),
            (first_byte, body) => {
                assert_eq!(first_byte, 0x31, "retained");
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let (topic, payload) = body[2..].split_at(length);
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
                let topic = text(topic);
                let name = topic.strip_prefix("$SYS/broker/").expect("all are of the broker").to_owned();
                assert_eq!(topics.insert(name, text(payload)), None, "{topic} twice");
            }
        }
    }
}

/// The same, once all topics are there: some of Debian's come only when they change.
fn all_topics(broker: &Broker) -> BTreeMap<String, String> {
    let _client = Wire::connect(broker, V4, "there");
    eventually("a client was counted", || {
        let topics = sys_topics(broker);
        let seen = topics.get("clients/maximum").is_some_and(|count| count != "0");
        (seen && topics.contains_key("uptime")).then_some(topics)
    })
}

#[test]
fn the_topics_are_mosquittos() {
    let [ours, debian] = [Broker::start("sys_interval 1"), Broker::debian("sys_interval 1")]
        .map(|broker| all_topics(&broker).into_keys().collect::<Vec<_>>());
    let mut expected: Vec<_> = debian.into_iter().chain(SINCE_2_1.map(str::to_owned)).collect();
    expected.sort();
    let (own, ours): (Vec<_>, Vec<_>) =
        ours.into_iter().partition(|name| name.starts_with(STORE) && !name.starts_with(STORE_MESSAGES));
    assert_eq!(ours, expected);
    assert!(own.contains(&"store/lag".to_owned()), "{own:?}");
}

#[test]
fn their_payloads_have_mosquittos_form() {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_two_decimals = |text: &str| {
        text.split_once('.')
            .is_some_and(|(whole, part)| is_number(whole) && is_number(part) && part.len() == 2)
    };
    for broker in [Broker::start("sys_interval 1"), Broker::debian("sys_interval 1")] {
        for (topic, payload) in all_topics(&broker) {
            let is_good = match &*topic {
                "version" => payload.split_once(" version ").is_some_and(|(name, version)| {
                    ["noctule", "mosquitto"].contains(&name)
                        && version.starts_with(|c: char| c.is_ascii_digit())
                }),
                "uptime" => payload.strip_suffix(" seconds").is_some_and(is_number),
                topic if topic.starts_with("load/") => has_two_decimals(&payload),
                // Mosquitto 2.0 takes a connection before its CONNECT for a client, and may so come below zero.
                "clients/disconnected" | "clients/inactive" => is_number(&payload) || payload == "-1",
                _ => is_number(&payload),
            };
            assert!(is_good, "{topic}: {payload}");
        }
    }
}

#[test]
fn known_traffic_is_counted_as_in_mosquitto() {
    let [ours, debian] = [Broker::start("sys_interval 1"), Broker::debian("sys_interval 1")].map(|broker| {
        let (publisher, subscriber) = exchange(&broker);
        // Nobody may ask meanwhile, since that would be counted. Debian's publishes every other second.
        thread::sleep(Duration::from_millis(4500));
        let topics = sys_topics(&broker);
        drop((publisher, subscriber));
        topics
    });
    let expected = [
        ("clients/total", "2"),
        ("clients/maximum", "2"),
        ("clients/expired", "0"),
        ("subscriptions/count", "1"),
        ("shared_subscriptions/count", "0"),
        // 2 CONNECT, SUBSCRIBE, 5 PUBLISH, 3 PUBACK, 2 PINGREQ, PUBREL
        ("messages/received", "14"),
        // 2 CONNACK, SUBACK, 2 PUBACK, PUBREC, PUBCOMP, 5 PUBLISH, 2 PINGRESP
        ("messages/sent", "14"),
        ("publish/messages/sent", "5"),
        ("publish/messages/dropped", "0"),
        ("publish/bytes/received", "25"),
        ("publish/bytes/sent", "25"),
    ];
    for (topic, count) in expected {
        assert_eq!((topic, &*ours[topic], &*debian[topic]), (topic, count, count));
    }
    for topic in ["bytes/received", "bytes/sent"] {
        assert_eq!((topic, &ours[topic]), (topic, &debian[topic]));
    }
    // Mosquitto 2.0 does not count the one with QoS 2.
    let received = "publish/messages/received";
    assert_eq!((&*ours[received], &*debian[received]), ("5", "4"));
    // Debian's may have counted whoever asks, whose CONNECT had not come.
    for topic in ["clients/connected", "clients/active", "connections/socket/count"] {
        assert_eq!((topic, &*ours[topic]), (topic, "2"));
    }
    assert_eq!((&*ours["clients/disconnected"], &*ours["clients/inactive"]), ("0", "0"));
}

/// A publisher's five messages to one subscriber, acknowledged; both stay.
fn exchange(broker: &Broker) -> (Wire, Wire) {
    let mut subscriber = Wire::connect(broker, V4, "s");
    subscriber.subscribe("lamp", 1);
    let mut publisher = Wire::connect(broker, V4, "p");
    publisher.publish("lamp", b"12345");
    publisher.publish("lamp", b"12345");
    for packet_id in [1, 2] {
        publisher.send(&packet::publish(V4, "lamp", 1, packet_id, b"12345"));
        assert_eq!(publisher.packet().0, 0x40);
    }
    publisher.send(&packet::publish(V4, "lamp", 2, 3, b"12345"));
    assert_eq!(publisher.packet().0, 0x50);
    publisher.send(&packet::acknowledge(0x62, 3));
    assert_eq!(publisher.packet().0, 0x70);
    for _ in 0..2 {
        assert_eq!(subscriber.packet().0, 0x30);
    }
    for _ in 0..3 {
        let (first_byte, body) = subscriber.packet();
        assert_eq!(first_byte, 0x32);
        let at = 2 + "lamp".len();
        let packet_id = u16::from_be_bytes([body[at], body[at + 1]]);
        subscriber.send(&packet::acknowledge(0x40, packet_id));
    }
    publisher.ping();
    subscriber.ping();
    (publisher, subscriber)
}

#[test]
fn a_client_may_not_publish_there() {
    let broker = Broker::start("sys_interval 1");
    let before = all_topics(&broker)["version"].clone();
    broker.mosquitto_pub("-t $SYS/broker/version -m forged -r -q 1").run().succeeds();
    assert_eq!(sys_topics(&broker)["version"], before);
}

#[test]
fn nothing_is_published_where_the_interval_is_0() {
    let broker = Broker::start("sys_interval 0");
    assert!(sys_topics(&broker).is_empty());
}

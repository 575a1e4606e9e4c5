//! What the broker publishes about itself.

use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::sys_topics::SYS_TOPICS;
use noctule_broker::{LogLevel, LogLevels};

use crate::desk::*;

const INTERVAL: f64 = 10.0;

fn desk() -> Desk {
    desk_of(1)
}

/// Two intervals after its start.
fn desk_of(shards: u16) -> Desk {
    let desk = Desk::sharded(shards, |settings| settings.sys_interval = Duration::from_secs_f64(INTERVAL));
    desk.sleep(2.0 * INTERVAL);
    desk
}

/// The last payload of each topic a client has got.
fn values(client: &Client) -> Vec<(String, String)> {
    client.take().iter().map(|packet| (packet.topic.clone(), packet.text())).collect()
}

/// What the retained message of a topic says.
fn value(desk: &Desk, topic: &str) -> String {
    let mut client = desk.client("asks");
    client.subscribe(&format!("$SYS/broker/{topic}"), 0);
    let packets = client.take();
    let [packet] = &packets[..] else { panic!("{topic}: {packets:?}") };
    assert!(packet.flag, "{topic} is retained");
    client.lose();
    packet.text()
}

#[test]
fn whoever_subscribes_gets_every_topic_and_then_what_changes() {
    for shards in [1, 3] {
        let desk = desk_of(shards);
        let mut client = desk.client("s");
        client.subscribe("$SYS/#", 0);
        let mut found = values(&client).into_iter().map(|(topic, _)| topic).collect::<Vec<_>>();
        let mut expected = SYS_TOPICS.iter().map(|topic| topic.topic.to_owned()).collect::<Vec<_>>();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        desk.sleep(INTERVAL);
        let changed = values(&client);
        let get =
            |name: &str| changed.iter().find(|(topic, _)| topic.ends_with(name)).map(|(_, text)| &**text);
        assert_eq!(get("broker/uptime"), Some("30 seconds"));
        assert_eq!(get("broker/clients/total"), Some("1"));
        assert_eq!(get("broker/publish/messages/sent"), Some(&*SYS_TOPICS.len().to_string()));
        assert_eq!(get("broker/version"), None, "it is what it was");
        assert_eq!(get("broker/clients/expired"), None);
    }
}

#[test] // [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
fn a_wildcard_at_the_front_does_not_match() {
    let desk = desk();
    let mut client = desk.client("s");
    client.subscribe("#", 0);
    client.subscribe("+/broker/uptime", 0);
    desk.sleep(3.0 * INTERVAL);
    client.expect_nothing();
}

#[test]
fn they_come_with_qos_2() {
    let desk = desk();
    let mut client = desk.client("s");
    client.subscribe("$SYS/broker/uptime", 2);
    client.expect([publish("$SYS/broker/uptime", "20 seconds").qos2(1).retained()]);
}

#[test]
fn nobody_else_publishes_there() {
    let desk = desk();
    let mut client = desk.client("s");
    client.send(publish("$SYS/broker/uptime", "forged").qos1(1).retained());
    assert_eq!(client.take().iter().map(|packet| packet.code).collect::<Vec<_>>(), [0x87]);
    client.subscribe("$SYS/broker/uptime", 0);
    client.expect([publish("$SYS/broker/uptime", "20 seconds").retained()]);
}

#[test]
fn without_an_interval_there_is_nothing() {
    let desk = Desk::new();
    desk.sleep(100.0);
    assert_eq!((desk.retained_count(), desk.next_timeout()), (0, None));
}

#[test]
fn another_interval_holds_from_then_on() {
    let desk = desk();
    let mut client = desk.client("s");
    client.subscribe("$SYS/broker/uptime", 0);
    client.take();
    desk.change_settings(|settings| settings.sys_interval = Duration::from_secs(3));
    desk.sleep(0.0);
    client.take();
    desk.sleep(6.5);
    client.expect_payloads(["23 seconds", "26 seconds"]);
    desk.change_settings(|settings| settings.sys_interval = Duration::ZERO);
    desk.sleep(60.0);
    client.expect_nothing();
    desk.change_settings(|settings| settings.sys_interval = Duration::from_secs(3));
    desk.sleep(1.0);
    client.expect_payloads(["86 seconds"]);
}

#[test]
fn counts_are_of_what_happened() {
    let desk = desk();
    let mut publisher = desk.client("p");
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 1);
    publisher.subscribe("$share/g/u", 0);
    publisher.send_all([
        publish("t", "12345"),
        publish("t", "6").qos1(1),
        publish("kept", "123").retained(),
        publish("t", "7").qos2(2),
        pubrel(2),
    ]);
    subscriber.acknowledge_all();
    desk.sleep(INTERVAL);
    let expected = [
        ("clients/total", "2"),
        ("clients/maximum", "2"),
        ("clients/connected", "2"),
        ("clients/active", "2"),
        ("clients/disconnected", "0"),
        ("connections/socket/count", "2"),
        ("subscriptions/count", "2"),
        ("shared_subscriptions/count", "1"),
        ("publish/messages/received", "4"),
        ("publish/messages/sent", "3"),
        ("publish/bytes/received", "10"),
        ("publish/bytes/sent", "7"),
        // 2 CONNECT, 2 SUBSCRIBE, 4 PUBLISH, PUBREL, 2 PUBACK
        ("messages/received", "11"),
        // 2 CONNACK, 2 SUBACK, 3 PUBLISH, PUBACK, PUBREC, PUBCOMP
        ("messages/sent", "10"),
        ("publish/messages/dropped", "0"),
        ("packet/out/count", "0"),
        ("packet/out/bytes", "0"),
    ];
    let mut watcher = desk.client("watcher");
    watcher.subscribe("$SYS/#", 0);
    let values = values(&watcher);
    for (topic, text) in expected {
        let topic = format!("$SYS/broker/{topic}");
        let found = values.iter().find(|(name, _)| *name == topic);
        assert_eq!(found.map(|(_, text)| &**text), Some(text), "{topic}");
    }
    let retained = (SYS_TOPICS.len() + 1).to_string();
    let found = values.iter().find(|(name, _)| name == "$SYS/broker/retained messages/count");
    assert_eq!(found.map(|(_, text)| text), Some(&retained));
}

#[test]
fn what_waits_is_stored_until_it_is_taken() {
    for shards in [1, 2] {
        let desk = desk_of(shards);
        let subscriber = |desk: &Desk| desk.hello("s").resume().expiry(9000).connect();
        let stored = |desk: &Desk| {
            desk.sleep(INTERVAL);
            let own = SYS_TOPICS.len() as u64;
            let count = value(desk, "store/messages/count").parse::<u64>().expect("a number");
            let bytes = value(desk, "store/messages/bytes").parse::<u64>().expect("a number");
            (count - own, bytes)
        };
        let mut client = subscriber(&desk);
        client.subscribe("t", 2);
        let before = stored(&desk).1;
        client.lose();
        let publisher = desk.client("p");
        let long = "x".repeat(100_000);
        publisher.send_all([publish("t", &long).qos1(1), publish("t", &long).qos1(2)]);
        publisher.send(publish("u", &long).qos2(3));
        let (count, bytes) = stored(&desk);
        let bytes = bytes - before;
        assert_eq!(count, 3);
        assert!((299_500..300_500).contains(&bytes), "{bytes}");
        assert_eq!(value(&desk, "clients/disconnected"), "1");
        publisher.send(pubrel(3));
        assert_eq!(stored(&desk).0, 2, "nobody wants what was between PUBLISH and PUBREL");
        let client = subscriber(&desk);
        assert_eq!(stored(&desk).0, 2, "sent, and not acknowledged");
        client.acknowledge_all();
        let (count, bytes) = stored(&desk);
        assert_eq!(count, 0);
        assert!(bytes.abs_diff(before) < 500, "{bytes} {before}");
        publisher.send_all([publish("t", &long).qos1(1), publish("t", &long).qos1(2)]);
        client.lose();
        desk.sleep(9000.0);
        assert_eq!((stored(&desk).0, &*value(&desk, "clients/expired")), (0, "1"));
        assert_eq!(desk.metric(Metric::DroppedSessionEnded), 2);
    }
}

#[test]
fn what_a_client_does_not_take_is_shown() {
    let desk = desk();
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 0);
    subscriber.stop_reading();
    let publisher = desk.client("p");
    (0..10).for_each(|_| publisher.send(publish("t", "x".repeat(93))));
    subscriber.read(50);
    desk.sleep(INTERVAL);
    let waiting: u64 = value(&desk, "packet/out/bytes").parse().expect("a number");
    assert_eq!(waiting, 10 * (2 + 3 + 1 + 93) - 50);
    let packets: u64 = value(&desk, "packet/out/count").parse().expect("a number");
    assert!(packets > 1, "{packets}");
    subscriber.lose();
    desk.sleep(INTERVAL);
    assert_eq!(value(&desk, "packet/out/bytes"), "0");
    assert_eq!(value(&desk, "packet/out/count"), "0");
}

#[test]
fn very_many_subscribers_are_served_a_part_at_a_time() {
    let desk = Desk::sharded(1, |settings| {
        settings.sys_interval = Duration::from_secs(10);
        settings.fan_out_bytes_max = 2000;
    });
    let clients: Vec<_> = (0..100)
        .map(|number| {
            let mut client = desk.client(&format!("c{number}"));
            client.subscribe("$SYS/broker/uptime", 0);
            client.take();
            client
        })
        .collect();
    desk.sleep(1.0);
    let early: Vec<_> = clients.iter().map(Client::payloads).collect();
    desk.sleep(30.0);
    for (client, mut seen) in clients.iter().zip(early) {
        seen.extend(client.payloads());
        assert!(seen.ends_with(&["10 seconds".into(), "20 seconds".into(), "30 seconds".into()]), "{seen:?}");
    }
}

#[test]
fn nothing_of_it_is_stored() {
    let desk = desk();
    assert_eq!(desk.disk(|disk| disk.retained.len()), 0);
    desk.restart();
    assert_eq!(desk.retained_count(), 0);
    desk.sleep(1.0);
    assert_eq!(value(&desk, "uptime"), "0 seconds");
}

#[test]
fn log_lines_are_published_by_their_type() {
    for shards in [1, 3] {
        let desk = Desk::sharded(shards, |settings| settings.log_levels = LogLevels::ALL);
        let mut client = desk.client("s");
        client.subscribe("$SYS/broker/log/#", 2);
        desk.log();
        for level in [LogLevel::Error, LogLevel::Notice, LogLevel::Debug, LogLevel::Subscribe] {
            desk.publish_log_line(level, "a line");
        }
        client.expect([
            publish("$SYS/broker/log/E", "a line").qos2(1),
            publish("$SYS/broker/log/N", "a line").qos2(2),
            publish("$SYS/broker/log/M/subscribe", "a line").qos2(3),
        ]);
        // They are packets, and that is all that is said of them.
        assert!(desk.log().iter().all(|line| line.starts_with("Sending PUBLISH to s")));
        let mut late = desk.client("late");
        late.subscribe("$SYS/broker/log/#", 0);
        late.expect_nothing();
    }
}

#[test]
fn all_subscriptions_are_told_as_a_tree() {
    let desk = desk_of(3);
    let mut alice = desk.client("alice");
    let mut bob = desk.client("bob");
    alice.subscribe("lamp/+/on", 2);
    alice.subscribe("$share/g/x/y", 1);
    bob.subscribe("lamp", 1);
    bob.subscribe("lamp/#", 0);
    bob.subscribe("$SYS/broker/uptime", 0);
    let expected = [
        "    ",
        "      ",
        "        lamp (bob, 1)",
        "          # (bob, 0)",
        "          +",
        "            on (alice, 2)",
        "    $SYS",
        "      $SYS",
        "        broker",
        "          uptime (bob, 0)",
        "    ",
        "      ",
        "        x",
        "          y",
        "",
    ];
    assert_eq!(desk.subscription_tree(), expected.join("\n"));
    alice.lose();
    bob.lose();
    assert_eq!(desk.subscription_tree(), "    \n    $SYS\n    \n");
}

//! What is done when memory becomes short, level by level.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

/// A broker that may use a thousand bytes, and says itself how many it does.
fn desk() -> Desk {
    Desk::with(|settings| settings.memory_limit = 1000)
}

#[test]
fn routes_are_found_again_when_they_were_forgotten() {
    let desk = desk();
    let (mut watcher, publisher) = (desk.client("w"), desk.client("p"));
    watcher.subscribe("t", 0);
    for used in [0, 800, 799, 840] {
        desk.use_memory(used);
        for payload in ["a", "b", "c"] {
            publisher.send(publish("t", payload));
        }
        watcher.expect_payloads(["a", "b", "c"]);
    }
    assert_eq!(desk.drops(), []);
}

#[test]
fn from_85_percent_who_does_not_keep_up_gets_no_qos_0() {
    let desk = desk();
    let (mut quick, mut slow, publisher) = (desk.client("q"), desk.client("s"), desk.client("p"));
    quick.subscribe("t", 1);
    slow.subscribe("t", 1);
    slow.stop_reading();
    publisher.send(publish("t", "1"));
    slow.read(3);
    desk.use_memory(849);
    publisher.send(publish("t", "2"));
    assert_eq!(desk.drops(), []);
    desk.use_memory(850);
    publisher.send(publish("t", "3"));
    publisher.send(publish("t", "4").qos1(1));
    assert_eq!(desk.drops(), [(Metric::DroppedMemory, 1)]);
    quick.expect_payloads(["1", "2", "3", "4"]);
    // What it was not spared is QoS 1, and what came before.
    slow.read_on();
    slow.expect_payloads(["1", "2", "4"]);
    publisher.send(publish("t", "5"));
    slow.expect_payloads(["5"]);
}

#[test]
fn from_85_percent_no_qos_0_is_kept_for_who_is_away() {
    let desk = Desk::with(|settings| {
        settings.memory_limit = 1000;
        settings.queue_qos0_messages = true;
    });
    let hello = desk.hello("a").lasting();
    let mut away = hello.connect();
    away.subscribe("t", 1);
    away.lose();
    let publisher = desk.client("p");
    publisher.send(publish("t", "1"));
    desk.use_memory(850);
    publisher.send(publish("t", "2"));
    publisher.send(publish("t", "3").qos1(1));
    assert_eq!(desk.drops(), [(Metric::DroppedMemory, 1)]);
    hello.connect().expect_payloads(["1", "3"]);
}

#[test]
fn from_90_percent_who_publishes_is_not_read() {
    let desk = desk();
    let mut watcher = desk.client("w");
    watcher.subscribe("t", 0);
    let publisher = desk.client("p");
    desk.use_memory(900);
    publisher.send(publish("t", "1").qos1(1));
    publisher.expect([puback(1)]);
    watcher.expect_payloads(["1"]);
    publisher.send(publish("t", "2").qos1(2));
    assert!(publisher.is_paused());
    watcher.send(pingreq());
    watcher.expect([pingresp()]);
    assert!(!watcher.is_paused(), "it does not publish");

    for used in [899, 850, 990] {
        desk.use_memory(used);
        desk.sleep(0.2);
        publisher.expect_nothing();
    }
    desk.use_memory(849);
    desk.sleep(1.0);
    assert!(!publisher.is_paused());
    publisher.expect([puback(2)]);
    watcher.expect_payloads(["2"]);
    assert_eq!(desk.metric(Metric::PublishersPaused), 1);
}

#[test]
fn from_90_percent_who_deletes_what_is_retained_is_read() {
    let desk = desk();
    let publisher = desk.client("p");
    let topics = ["a", "b", "c"];
    topics.iter().for_each(|topic| publisher.send(publish(topic, "kept").retained()));
    assert_eq!(desk.retained_count(), 3);
    desk.use_memory(900);
    publisher.send(publish("a", "").retained());
    publisher.send(publish("b", "").qos1(1).retained());
    publisher.expect([puback(1).reason(Reason::NoMatchingSubscribers)]);
    publisher.send(publish("c", "").qos2(2).retained());
    publisher.expect([pubrec(2)]);
    publisher.send(pubrel(2));
    publisher.expect([pubcomp(2)]);
    assert_eq!(desk.retained_count(), 0);
    assert!(!publisher.is_paused());
    // An empty message that deletes nothing, and one that is retained, are like any other.
    for publication in [publish("a", ""), publish("a", "kept").retained()] {
        let publisher = desk.client("other");
        publisher.send(publication.clone());
        publisher.send(publication);
        assert!(publisher.is_paused());
    }
}

#[test]
fn from_90_percent_who_has_published_may_still_give_memory_back() {
    for used in [900, 970] {
        let desk = desk();
        let mut other = desk.client("other");
        let filler = desk.hello("filler").lasting();
        let mut client = filler.connect();
        client.subscribe("own/+", 1);
        ["a", "b", "c"].iter().for_each(|topic| client.send(publish(topic, "kept").retained()));
        desk.use_memory(used);
        client.send(publish("t", "grows"));
        // One after the other, as a client does that waits for each answer.
        client.send(publish("a", "").qos1(1).retained());
        client.expect([puback(1).reason(Reason::NoMatchingSubscribers)]);
        client.send(publish("b", "").qos2(2).retained());
        client.expect([pubrec(2)]);
        client.send(pubrel(2));
        client.expect([pubcomp(2)]);
        client.send(unsubscribe(3, ["own/+"]));
        client.expect([unsuback(3, [0])]);
        client.send(pingreq());
        client.expect([pingresp()]);
        assert!(!client.is_paused());
        // What takes memory waits, and what stands behind it.
        other.subscribe("t", 0);
        client.send_all([publish("t", "waits"), publish("c", "").retained()]);
        assert!(client.is_paused());
        other.expect_nothing();
        assert_eq!(desk.retained_count(), 1);
        desk.sleep(1.1);
        other.expect_payloads(["waits"]);
        assert_eq!(desk.retained_count(), 0);
        assert!(!client.is_paused());
        client.send(disconnect());
        assert!(client.is_closed());
        assert_eq!(desk.drops(), []);
    }
}

#[test]
fn from_97_percent_what_deletes_nothing_is_refused_like_any_other() {
    let desk = desk();
    let publisher = desk.client("p");
    desk.use_memory(970);
    publisher.send_all([publish("t", "").qos1(1).retained(), publish("t", "").qos2(2).retained()]);
    publisher.expect([puback(1).reason(Reason::QuotaExceeded), pubrec(2).reason(Reason::QuotaExceeded)]);
}

#[test] // Section 3.1.2.10 is about what a client does, and it cannot send while it is not read.
fn while_a_publisher_is_paused_its_keep_alive_stands_still() {
    let desk = desk();
    let publishers: Vec<_> = (0..60).map(|n| desk.hello(&format!("p{n}")).keep_alive(10).connect()).collect();
    desk.use_memory(960);
    for _ in 0..2 {
        publishers.iter().for_each(|publisher| publisher.send(publish("t", "")));
    }
    desk.sleep(16.0);
    let paused: Vec<_> = publishers.iter().filter(|publisher| publisher.is_paused()).collect();
    assert!(!paused.is_empty() && paused.iter().all(|publisher| !publisher.is_closed()));
}

#[test]
fn who_has_deliveries_to_acknowledge_is_read() {
    let desk = desk();
    let mut both = desk.client("b");
    both.subscribe("t", 1);
    desk.use_memory(900);
    both.send(publish("t", "own").qos1(1));
    both.expect([publish("t", "own").qos1(1), puback(1)]);
    assert!(!both.is_paused());
    both.send(puback(1));
    both.send(publish("x", "").qos1(2));
    both.expect_nothing();
    assert!(both.is_paused());
    // It got one while it was paused: its acknowledgement is read a second later.
    let other = desk.client("o");
    other.send(publish("t", "other").qos1(1));
    both.expect([publish("t", "other").qos1(2)]);
    both.send(puback(2));
    desk.sleep(1.1);
    assert!(!both.is_paused());
    both.expect([puback(2).reason(Reason::NoMatchingSubscribers)]);
}

#[test]
fn what_the_allocator_holds_back_gets_used() {
    let desk = desk();
    let publishers: Vec<_> = (0..4).map(|n| desk.client(&format!("p{n}"))).collect();
    desk.use_memory(900);
    for _ in 0..2 {
        publishers.iter().for_each(|publisher| publisher.send(publish("t", "")));
    }
    let paused = || publishers.iter().filter(|publisher| publisher.is_paused()).count();
    assert_eq!(paused(), 4);
    desk.sleep(1.1);
    assert!(paused() <= 2, "at least half of them have a try");
    desk.sleep(3.0);
    assert_eq!(paused(), 0);
}

#[test]
fn from_95_percent_clients_without_a_session_are_refused() {
    for version in VERSIONS {
        let desk = desk();
        let hello = desk.hello("known").lasting();
        hello.connect().lose();
        desk.use_memory(949);
        desk.hello("early").version(version).connect();
        desk.use_memory(950);
        let late = desk.hello("late").version(version).send();
        let code = if version == V5 { Reason::QuotaExceeded.code() } else { 3 };
        late.expect([connack(code)]);
        assert!(late.is_closed());
        // It takes its messages away.
        hello.connect();
        assert_eq!(desk.metric(Metric::ConnectsRefusedMemory), 1);
        desk.use_memory(0);
        desk.hello("late").version(version).connect();
    }
}

#[test]
fn from_97_percent_nothing_is_accepted_that_would_have_to_be_kept() {
    let desk = desk();
    let mut watcher = desk.client("w");
    watcher.subscribe("#", 2);
    let publisher = desk.client("p");
    publisher.send(publish("t", "held").qos2(7));
    publisher.expect([pubrec(7)]);
    desk.use_memory(970);
    publisher.send_all([
        publish("t", "1").qos1(1),
        publish("t", "2").qos2(2),
        publish("t", "held").qos2(7).dup(),
        publish("r", "3").retained(),
        publish("t", "4"),
    ]);
    publisher.expect([
        puback(1).reason(Reason::QuotaExceeded),
        pubrec(2).reason(Reason::QuotaExceeded),
        pubrec(7),
    ]);
    watcher.expect_payloads(["4"]);
    assert_eq!(desk.metric(Metric::RefusedMemory), 2);
    assert_eq!(desk.drops(), [(Metric::DroppedMemory, 1)]);
    assert_eq!(desk.retained_count(), 0);
    for version in [V31, V311] {
        let desk = self::desk();
        let old = desk.client_of(version, "old");
        desk.use_memory(970);
        old.send(publish("t", "1").qos1(1));
        old.expect_closed(); // [MQTT311-4.8.0-2]
    }
}

#[test] // [MQTT-3.3.1-6]
fn what_is_retained_can_be_cleared_with_qos_0_though_memory_is_short() {
    let desk = desk();
    let publisher = desk.client("p");
    publisher.send(publish("t", "kept").retained());
    desk.use_memory(970);
    publisher.send(publish("t", "").retained());
    assert_eq!((desk.retained_count(), desk.drops()), (0, vec![]));
}

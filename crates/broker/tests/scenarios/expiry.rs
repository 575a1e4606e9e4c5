//! Session Expiry Interval and Message Expiry Interval.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V311;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

fn expiring(packet: Wire, seconds: u32) -> Wire {
    packet.with(Property::MessageExpiryInterval(seconds))
}

// ---- sessions ----------------------------------------------------------------------------------------

#[test] // [MQTT-3.1.2-23] [MQTT-4.1.0-2]
fn a_session_lasts_as_long_as_it_said() {
    let desk = Desk::new();
    let hello = desk.hello("a").resume().expiry(10);
    for _ in 0..2 {
        hello.connect().lose();
        desk.sleep(9.9);
        let client = hello.connect();
        assert!(client.session_present);
        desk.sleep(100.0); // Nothing runs while it is connected.
        client.lose();
        desk.sleep(10.1);
        assert_eq!(desk.session_count(), 0);
        assert!(desk.disk(|disk| disk.sessions.is_empty()));
    }
}

#[test] // [MQTT311-4.1.0-1] [MQTT311-4.1.0-2] [MQTT-4.1.0-1]
fn a_session_that_ends_with_its_connection_lasts_as_long_as_that() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "1").qos2(1), pubrel(1)]);
        client.expect([publish("t", "1").qos2(1)]);
        client.send_all([pubrec(1), publish("u", "").qos2(9)]);
        client.expect([pubrel(1), pubrec(9)]);
        desk.sleep(1e9);
        // Its subscription, what it was sent, and what it sent.
        publisher.send(publish("t", "2").qos1(2));
        client.send_all([pubrec(1), publish("u", "").qos2(9).dup()]);
        client.expect([publish("t", "2").qos1(2), pubrel(1), pubrec(9)]);
    }
}

#[test]
fn interval_0_or_none_ends_with_the_connection_and_all_ones_never() {
    let desk = Desk::new();
    desk.hello("a").resume().expiry(0).connect().lose();
    desk.hello("b").resume().connect().lose();
    assert_eq!(desk.session_count(), 0);
    desk.hello("c").resume().expiry(u32::MAX).connect().lose();
    desk.hello("d").v311().resume().connect().lose(); // [MQTT311-3.1.2-4]
    desk.sleep(1e9);
    assert_eq!(desk.session_count(), 2);
    assert_eq!(desk.next_timeout(), None);
}

#[test] // [MQTT-3.1.2-23] [MQTT-4.1.0-2]
fn disconnect_may_change_the_interval() {
    let desk = Desk::new();
    let leave =
        |client: Client, seconds| client.send(disconnect().with(Property::SessionExpiryInterval(seconds)));
    let hello = desk.hello("a").resume().expiry(10);
    // Longer.
    leave(hello.connect(), 100);
    desk.sleep(99.0);
    let client = hello.connect();
    assert!(client.session_present);
    // Shorter.
    leave(client, 1);
    desk.sleep(1.1);
    let client = hello.connect();
    assert!(!client.session_present);
    // At once, and from the disk as well.
    leave(client, 0);
    assert_eq!(desk.session_count(), 0);
    assert!(desk.disk(|disk| disk.sessions.is_empty()));
}

#[test]
fn a_session_that_ends_at_disconnect_leaves_nothing_on_the_disk() {
    let desk = Desk::new();
    let mut client = desk.hello("a").lasting().connect();
    client.subscribe("t", 2);
    client.send(publish("u", "in").qos2(9));
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
    client.send(disconnect().with(Property::SessionExpiryInterval(0)));
    assert!(client.is_closed());
    assert!(desk.disk(|disk| disk.sessions.is_empty() && disk.subscriptions.is_empty() && disk.is_settled()));
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 2)]);
}

#[test] // Section 3.14.2.2.2.
fn disconnect_may_not_prolong_what_was_to_end() {
    let desk = Desk::new();
    let mut watcher = desk.client("w");
    watcher.subscribe("gone", 0);
    for hello in [desk.hello("a"), desk.hello("a").expiry(0)] {
        let client = hello.will(will("gone", "a")).connect();
        client.send(disconnect().with(Property::SessionExpiryInterval(5)));
        client.expect_end(Reason::ProtocolError);
        watcher.expect_payloads(["a"]);
    }
    // Ending again what ends anyway is fine.
    let client = desk.client("a");
    client.send(disconnect().with(Property::SessionExpiryInterval(0)));
    client.expect_closed();
    assert_eq!(desk.session_count(), 1);
}

#[test]
fn the_configured_longest_life_holds_for_all_versions_and_at_disconnect() {
    let day = std::time::Duration::from_secs(60);
    let desk = Desk::with(|settings| settings.persistent_client_expiration = Some(day));
    desk.hello("a").v311().resume().connect().lose();
    desk.hello("b").expiry(u32::MAX).connect().lose();
    desk.hello("c").expiry(5).connect().send(disconnect().with(Property::SessionExpiryInterval(999)));
    desk.sleep(59.0);
    assert_eq!(desk.session_count(), 3);
    desk.sleep(2.0);
    assert_eq!(desk.session_count(), 0);
}

#[test]
fn messages_of_a_session_that_expires_are_counted() {
    let desk = Desk::with(|settings| settings.queue_qos0_messages = true);
    let mut client = desk.hello("a").expiry(5).connect();
    client.subscribe("t", 1);
    let publisher = desk.client("p");
    publisher.send(publish("t", "1").qos1(1)); // In flight.
    client.lose();
    publisher.send_all([publish("t", "2").qos1(2), publish("t", "3")]);
    desk.sleep(6.0);
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 3)]);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn unacknowledged_messages_of_a_clean_session_are_counted_too() {
    let desk = Desk::with(|settings| settings.max_inflight_messages = 1);
    let mut client = desk.client("a");
    client.subscribe("t", 1);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos1(2)]);
    client.lose();
    assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 2)]);
}

// ---- messages ----------------------------------------------------------------------------------------

#[test] // [MQTT-3.3.2-6]
fn the_time_a_message_waited_is_taken_off() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    let publisher = desk.client("p");
    publisher.send(expiring(publish("t", "now").qos1(1), 60));
    subscriber.expect([expiring(publish("t", "now").qos1(1), 60)]);
    subscriber.send(puback(1));
    subscriber.lose();
    publisher.send(expiring(publish("t", "later").qos1(2), 60));
    desk.sleep(20.5);
    hello.connect().expect([expiring(publish("t", "later").qos1(2), 40)]);
}

#[test] // [MQTT-3.3.2-5]
fn what_expires_in_the_queue_is_dropped_and_counted() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("s").version(version).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        subscriber.lose();
        let publisher = desk.client("p");
        publisher.send_all([
            expiring(publish("t", "gone").qos1(1), 10),
            expiring(publish("t", "kept").qos1(2), 30),
            expiring(publish("t", "gone too").qos2(3), 10),
            pubrel(3),
        ]);
        desk.sleep(20.0);
        let subscriber = hello.connect();
        let kept = publish("t", "kept").qos1(1);
        subscriber.expect([expiring(kept, 10)]);
        assert_eq!(desk.drops(), [(Metric::DroppedExpired, 2)]);
        subscriber.send(puback(1));
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test] // [MQTT-4.3.3-7]
fn what_was_sent_once_does_not_expire() {
    let desk = Desk::new();
    let hello = desk.hello("s").v311().lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    publisher.send_all([
        expiring(publish("t", "1").qos1(1), 5),
        expiring(publish("t", "2").qos2(2), 5),
        pubrel(2),
    ]);
    subscriber.lose();
    subscriber.take();
    desk.sleep(10.0);
    hello.connect().expect([publish("t", "1").qos1(1).dup(), publish("t", "2").qos2(2).dup()]);
    assert_eq!(desk.drops(), []);
}

#[test] // [MQTT-3.3.2-5]
fn what_waits_behind_the_window_expires_too() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").receive_maximum(1).connect();
    subscriber.subscribe("t", 1);
    let publisher = desk.client("p");
    publisher.send_all([
        publish("t", "1").qos1(1),
        expiring(publish("t", "2").qos1(2), 5),
        publish("t", "3").qos1(3),
    ]);
    desk.sleep(6.0);
    subscriber.send(puback(1));
    subscriber.expect([publish("t", "1").qos1(1), publish("t", "3").qos1(2)]);
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
}

#[test] // [MQTT-3.3.2-5] [MQTT-3.3.2-6]
fn retained_messages_expire() {
    let desk = Desk::new();
    let publisher = desk.client("p");
    publisher.send_all([expiring(publish("t", "1").retained(), 100), publish("u", "2").retained()]);
    desk.sleep(30.0);
    let mut client = desk.client("a");
    client.subscribe("#", 0);
    client.expect([expiring(publish("t", "1").retained(), 70), publish("u", "2").retained()]);
    desk.sleep(70.0);
    let mut client = desk.client_of(V311, "b");
    client.subscribe("#", 0);
    client.expect([publish("u", "2").retained()]);
    // And are swept out.
    desk.sleep(61.0);
    assert_eq!(desk.retained_count(), 1);
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
    assert_eq!(desk.disk(|disk| disk.retained.len()), 1);
}

#[test] // [MQTT-3.3.2-5]
fn live_messages_behind_a_retained_replay_expire_too() {
    let desk = Desk::new();
    let publisher = desk.client("p");
    publisher.send(publish("t", "retained").qos1(1).retained());
    publisher.send(publish("u", "retained").qos1(1).retained());
    let mut client = desk.hello("a").receive_maximum(1).connect();
    client.subscribe("#", 1);
    publisher.send(expiring(publish("t", "live"), 5));
    desk.sleep(6.0);
    let payloads: Vec<_> = client.acknowledge_all().iter().map(Wire::text).collect();
    assert_eq!(payloads, ["retained", "retained"]);
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
}

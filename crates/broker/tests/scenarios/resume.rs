//! Sessions that outlive their connection.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

#[test] // [MQTT311-3.1.2-4] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.1.0-1] [MQTT311-4.1.0-1]
fn unacknowledged_messages_are_sent_again_with_dup_and_their_identifiers() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("s").version(version).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
        publisher.send(publish("t", "3").qos1(3));
        subscriber.expect([publish("t", "1").qos1(1), publish("t", "2").qos2(2), publish("t", "3").qos1(3)]);
        subscriber.send(puback(1));
        for _ in 0..2 {
            subscriber.lose();
            subscriber = hello.connect();
            // Only then, only what is unacknowledged, in its order [MQTT311-4.6.0-1].
            subscriber.expect([publish("t", "2").qos2(2).dup(), publish("t", "3").qos1(3).dup()]);
        }
        subscriber.send_all([pubrec(2), puback(3)]);
        subscriber.expect([pubrel(2)]);
        subscriber.lose();
        let subscriber = hello.connect();
        subscriber.expect([pubrel(2)]); // [MQTT-4.3.3-6]
        subscriber.send(pubcomp(2));
        subscriber.lose();
        hello.connect().expect_nothing();
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test] // [MQTT311-3.1.2-5] [MQTT-4.5.0-1] [MQTT311-4.5.0-1]
fn messages_for_an_absent_session_wait_for_it() {
    for version in VERSIONS {
        let desk = Desk::new();
        let hello = desk.hello("s").version(version).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        subscriber.lose();
        let publisher = desk.client("p");
        publisher.send_all([
            publish("t", "0"),
            publish("t", "1").qos1(1),
            publish("t", "2").qos2(2),
            pubrel(2),
        ]);
        // Somebody matched.
        publisher.expect([puback(1), pubrec(2), pubcomp(2)]);
        assert_eq!(desk.drops(), [(Metric::DroppedOffline, 1)]);
        hello.connect().expect([publish("t", "1").qos1(1), publish("t", "2").qos2(2)]);
    }
}

#[test] // [MQTT-4.6.0-5]
fn what_waits_goes_behind_what_was_interrupted() {
    let desk = Desk::with(|settings| settings.max_inflight_messages = 2);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    let publisher = desk.client_of(V311, "p");
    publisher.send_all((1..=3).map(|n| publish("t", n.to_string()).qos1(n)));
    subscriber.lose();
    publisher.send(publish("t", "4").qos1(4));
    subscriber.expect_payloads(["1", "2"]);
    let subscriber = hello.connect();
    subscriber.expect([publish("t", "1").qos1(1).dup(), publish("t", "2").qos1(2).dup()]);
    subscriber.send(puback(1));
    subscriber.expect([publish("t", "3").qos1(3)]);
    subscriber.send(puback(2));
    subscriber.expect([publish("t", "4").qos1(4)]);
}

#[test] // [MQTT-3.3.4-9] [MQTT-4.9.0-3]
fn a_smaller_receive_maximum_holds_messages_back_and_pubrel_never() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    publisher.send_all((1..=3).flat_map(|n| [publish("t", n.to_string()).qos2(n), pubrel(n)]));
    subscriber.take();
    subscriber.send(pubrec(3));
    subscriber.lose();
    subscriber.take();
    let subscriber = desk.hello("s").lasting().receive_maximum(1).connect();
    subscriber.expect([publish("t", "1").qos2(1).dup(), pubrel(3)]);
    subscriber.send(pubcomp(3));
    subscriber.expect_nothing();
    subscriber.send(pubrec(1));
    subscriber.expect([pubrel(1)]);
    subscriber.send(pubcomp(1));
    subscriber.expect([publish("t", "2").qos2(2).dup()]);
}

#[test] // [MQTT-4.1.0-1] [MQTT-4.3.3-10] [MQTT311-4.1.0-1] [MQTT311-4.3.3-2]
fn the_receivers_side_of_qos_2_survives_the_connection() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client("s");
        subscriber.subscribe("t", 0);
        let hello = desk.hello("p").version(version).lasting();
        let publisher = hello.connect();
        publisher.send_all([publish("t", "1").qos2(1), publish("t", "2").qos2(2)]);
        publisher.lose();
        let publisher = hello.connect();
        publisher.send_all([publish("t", "1").qos2(1).dup(), pubrel(2), pubrel(1)]);
        publisher.expect([pubrec(1), pubcomp(2), pubcomp(1)]);
        subscriber.expect_payloads(["2", "1"]);
        publisher.lose();
        // PUBCOMP was lost: PUBREL again passes nothing on.
        let publisher = hello.connect();
        publisher.send(pubrel(1));
        publisher.expect([pubcomp(1)]);
        subscriber.expect_nothing();
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test] // [MQTT-3.1.2-4] [MQTT311-3.1.2-6]
fn a_clean_start_forgets_everything() {
    for version in VERSIONS {
        let desk = Desk::new();
        let lasting = desk.hello("s").version(version).lasting();
        let mut subscriber = lasting.connect();
        subscriber.subscribe("t", 2);
        subscriber.send(publish("u", "in").qos2(9));
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
        subscriber.lose();
        publisher.send(publish("t", "3").qos1(3));
        subscriber.take();
        let fresh = desk.client_of(version, "s");
        assert!(!fresh.session_present);
        publisher.send(publish("t", "4").qos1(4));
        fresh.expect_nothing();
        fresh.send(pubrel(9));
        fresh.expect([pubcomp(9)]);
        assert_eq!(desk.drops(), [(Metric::DroppedSessionEnded, 3)]);
        let (sessions, subscriptions) = desk.disk(|disk| (disk.sessions.len(), disk.subscriptions.len()));
        assert_eq!((sessions, subscriptions), (0, 0));
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn a_session_goes_on_in_another_version() {
    let desk = Desk::new();
    let of = |version| desk.hello("s").version(version).lasting();
    let mut subscriber = of(V311).connect();
    subscriber.subscribe("t", 1);
    let publisher = desk.client("p");
    publisher.send(publish("t", "1").qos1(1));
    subscriber.expect([publish("t", "1").qos1(1)]);
    for version in [V5, V31, V311] {
        subscriber.lose();
        subscriber = of(version).connect();
        subscriber.expect([publish("t", "1").qos1(1).dup()]);
    }
}

#[test]
fn a_session_that_will_not_last_any_more_is_taken_off_the_disk_and_still_resumed() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 2);
    subscriber.lose();
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
    let subscriber = desk.hello("s").resume().connect(); // Session Expiry Interval 0
    assert!(subscriber.session_present);
    assert!(desk.disk(|disk| disk.sessions.is_empty() && disk.is_settled()));
    subscriber.expect([publish("t", "1").qos1(1), publish("t", "2").qos2(2)]);
    subscriber.send_all([puback(1), pubrec(2)]);
    subscriber.expect([pubrel(2)]);
    subscriber.lose();
    assert_eq!((desk.session_count(), desk.subscription_count()), (1, 0)); // The publisher's.
}

#[test]
fn interrupted_before_anything_was_durable() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    desk.hold_batches();
    publisher.send_all([publish("t", "x").qos2(1), pubrel(1)]);
    subscriber.lose();
    let subscriber = hello.send();
    subscriber.expect_nothing();
    desk.durable();
    let subscriber = subscriber.accepted();
    // It may not be known whether it was sent.
    subscriber.expect([publish("t", "x").qos2(1).dup()]);
    subscriber.send(pubrec(1));
    subscriber.lose();
    let subscriber = hello.send();
    desk.durable();
    subscriber.accepted().expect([pubrel(1)]);
}

#[test]
fn a_publisher_gone_before_its_batch_is_durable_does_no_harm() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 1);
    let publisher = desk.client("p");
    desk.hold_batches();
    publisher.send(publish("t", "x").qos1(1));
    publisher.lose();
    let other = desk.client("q"); // On the same place.
    desk.durable();
    publisher.expect_nothing();
    other.expect_nothing();
    subscriber.expect_payloads(["x"]);
}

#[test]
fn a_socket_error_is_a_lost_connection() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    subscriber.fail();
    desk.client("p").send(publish("t", "x").qos1(1));
    hello.connect().expect_payloads(["x"]);
}

#[test]
fn a_session_ends_with_a_connection_that_ends_in_an_error() {
    for version in VERSIONS {
        let desk = Desk::new();
        let client = desk.client_of(version, "s");
        client.send_bytes(&[0x00, 0x00]);
        client.expect_end(Reason::MalformedPacket);
        assert_eq!(desk.session_count(), 0);
    }
}

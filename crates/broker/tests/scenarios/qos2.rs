//! QoS 2 in both directions: exactly once, on the wire and on the disk.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

// ---- in ----------------------------------------------------------------------------------------------

#[test] // [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT311-4.3.3-2]
fn passed_on_at_pubrel() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client("s");
        subscriber.subscribe("t", 0);
        let publisher = desk.client_of(version, "p");
        publisher.send(publish("t", "x").qos2(7));
        publisher.expect([pubrec(7)]);
        subscriber.expect_nothing();
        publisher.send(pubrel(7));
        publisher.expect([pubcomp(7)]);
        subscriber.expect([publish("t", "x")]);
    }
}

#[test] // [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT311-4.3.3-2]
fn a_duplicate_is_answered_and_not_passed_on_and_the_identifier_is_free_after_pubcomp() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client("s");
        subscriber.subscribe("t", 0);
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("t", "1").qos2(7), publish("t", "1").qos2(7).dup()]);
        publisher.expect([pubrec(7), pubrec(7)]);
        publisher.send_all([pubrel(7), pubrel(7)]);
        publisher.expect([pubcomp(7), pubcomp(7)]);
        subscriber.expect_payloads(["1"]);
        publisher.send_all([publish("t", "2").qos2(7), pubrel(7)]);
        publisher.expect([pubrec(7), pubcomp(7)]);
        subscriber.expect_payloads(["2"]);
    }
}

#[test] // [MQTT-4.3.3-11] [MQTT311-4.3.3-2]
fn an_unknown_pubrel_is_answered_as_mosquitto_does() {
    for version in VERSIONS {
        let client = Desk::new().client_of(version, "p");
        client.send(pubrel(9));
        client.expect([pubcomp(9)]);
    }
}

#[test] // [MQTT-4.3.3-9]
fn an_identifier_that_was_refused_means_a_new_message() {
    let desk = Desk::new();
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 0);
    let publisher = desk.client("p");
    publisher.send(publish("$SYS/x", "refused").qos2(4));
    publisher.expect([pubrec(4).reason(Reason::NotAuthorized)]);
    publisher.send_all([publish("t", "new").qos2(4), pubrel(4)]);
    publisher.expect([pubrec(4), pubcomp(4)]);
    subscriber.expect_payloads(["new"]);
}

#[test]
fn messages_are_passed_on_in_the_order_of_their_pubrels() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("t", 2);
        let publisher = desk.client_of(version, "p");
        publisher.send_all([publish("t", "1").qos2(1), publish("t", "2").qos2(2), publish("t", "3").qos2(3)]);
        publisher.expect([pubrec(1), pubrec(2), pubrec(3)]); // [MQTT311-4.6.0-3]
        publisher.send_all([pubrel(1), pubrel(2), pubrel(3)]);
        let payloads: Vec<_> = subscriber.acknowledge_all().iter().map(Wire::text).collect();
        assert_eq!(payloads, ["1", "2", "3"]);
    }
}

#[test] // [MQTT-4.3.3-13]
fn the_exchange_goes_on_when_the_message_expires_within_it() {
    let desk = Desk::new();
    let mut subscriber = desk.client("s");
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    let expiring = noctule_protocol::property::Property::MessageExpiryInterval(5);
    publisher.send(publish("t", "x").qos2(1).with(expiring));
    desk.sleep(6.0);
    publisher.send(pubrel(1));
    publisher.expect([pubrec(1), pubcomp(1)]);
    // [MQTT-3.3.2-5]: onward delivery did not start in time.
    subscriber.expect_nothing();
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
}

// ---- out ---------------------------------------------------------------------------------------------

#[test] // [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.3.3-6] [MQTT311-4.3.3-1]
fn the_senders_side() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "x").qos2(1), pubrel(1)]);
        subscriber.expect([publish("t", "x").qos2(1)]);
        subscriber.send(pubrec(1));
        subscriber.expect([pubrel(1)]);
        // Again: PUBREL again, never PUBLISH.
        subscriber.send(pubrec(1));
        subscriber.expect([pubrel(1)]);
        subscriber.send(pubcomp(1));
        subscriber.expect_nothing();
        publisher.send_all([publish("t", "y").qos2(1), pubrel(1)]);
        subscriber.expect([publish("t", "y").qos2(2)]);
    }
}

#[test] // [MQTT311-4.6.0-4]
fn pubrels_follow_the_order_of_pubrecs() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("t", 2);
        let publisher = desk.client("p");
        publisher.send_all((1..=3).flat_map(|n| [publish("t", n.to_string()).qos2(n), pubrel(n)]));
        subscriber.expect_payloads(["1", "2", "3"]);
        subscriber.send_all([pubrec(2), pubrec(3), pubrec(1)]);
        subscriber.expect([pubrel(2), pubrel(3), pubrel(1)]);
    }
}

#[test] // [MQTT-4.4.0-2]
fn what_was_refused_is_not_sent_again() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos1(1), publish("t", "2").qos2(2), pubrel(2)]);
    publisher.send(publish("t", "3").qos1(3));
    subscriber.expect_payloads(["1", "2", "3"]);
    let reason = Reason::ImplementationSpecificError;
    subscriber.send_all([puback(1).reason(reason), pubrec(2).reason(reason)]);
    subscriber.expect_nothing();
    subscriber.lose();
    hello.connect().expect([publish("t", "3").qos1(3).dup()]);
}

#[test] // [MQTT-4.9.0-2]
fn an_error_pubrec_ends_the_exchange_and_gives_the_quota_back() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").receive_maximum(1).connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos2(1), pubrel(1), publish("t", "2").qos2(2), pubrel(2)]);
    subscriber.expect([publish("t", "1").qos2(1)]);
    subscriber.send(pubrec(1).reason(Reason::QuotaExceeded));
    subscriber.expect([publish("t", "2").qos2(2)]); // And no PUBREL.
    assert_eq!(desk.drops(), [(Metric::DroppedRefused, 1)]);
    // A code below 0x80 is no error.
    subscriber.send(pubrec(2).reason(Reason::NoMatchingSubscribers));
    subscriber.expect([pubrel(2)]);
}

#[test]
fn acknowledgements_for_nothing_do_no_harm() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.client_of(version, "s");
        subscriber.subscribe("t", 2);
        subscriber.send_all([puback(1), pubcomp(1), pubrec(2)]);
        subscriber.expect([pubrel(2).reason(Reason::PacketIdentifierNotFound)]);
        desk.client("p").send_all([publish("t", "x").qos2(1), pubrel(1)]);
        subscriber.expect([publish("t", "x").qos2(1)]);
        // Of the wrong kind: the exchange stands.
        subscriber.send_all([puback(1), pubcomp(1)]);
        subscriber.expect_nothing();
        subscriber.send(pubrec(1));
        subscriber.expect([pubrel(1)]);
        if version == V5 {
            subscriber.send(pubrec(77).reason(Reason::UnspecifiedError));
            subscriber.expect_nothing();
        }
    }
}

// ---- and the disk: DESIGN's points (a) to (d) ---------------------------------------------------------

#[test]
fn pubrec_of_a_lasting_publisher_leaves_after_the_message_is_durable() {
    for version in VERSIONS {
        let desk = Desk::new();
        let publisher = desk.hello("p").version(version).lasting().connect();
        desk.hold_batches();
        publisher.send(publish("t", "x").qos2(1));
        publisher.send(publish("t", "x").qos2(1).dup());
        publisher.expect_nothing();
        desk.durable();
        publisher.expect([pubrec(1), pubrec(1)]);
        assert_eq!(desk.disk(|disk| disk.incoming), 1);
        // Durable already: its repetition need not wait.
        publisher.send(publish("t", "x").qos2(1).dup());
        publisher.expect([pubrec(1)]);
    }
}

#[test]
fn a_publisher_whose_session_ends_with_it_waits_for_nothing_at_publish() {
    let desk = Desk::new();
    let mut lasting = desk.hello("s").lasting().connect();
    lasting.subscribe("t", 2);
    let publisher = desk.client("p");
    desk.hold_batches();
    publisher.send(publish("t", "x").qos2(1));
    publisher.expect([pubrec(1)]);
    // At PUBREL its recipients are stored, and PUBCOMP waits for them.
    publisher.send(pubrel(1));
    publisher.expect_nothing();
    lasting.expect_nothing();
    desk.durable();
    publisher.expect([pubcomp(1)]);
    lasting.expect([publish("t", "x").qos2(1)]);
}

#[test]
fn pubrel_releases_and_passes_on_in_one_batch() {
    let desk = Desk::new();
    let mut lasting = desk.hello("s").lasting().connect();
    lasting.subscribe("t", 2);
    let mut fleeting = desk.client("f");
    fleeting.subscribe("t", 2);
    let publisher = desk.hello("p").lasting().connect();
    publisher.send(publish("t", "x").qos2(1));
    publisher.expect([pubrec(1)]);
    desk.hold_batches();
    publisher.send(pubrel(1));
    // The recipient's shard, if it is another, has the Packet Identifier of its delivery to store.
    let batches = desk.waiting_batches();
    assert!(batches == [true] || desk.is_sharded() && batches == [true, true], "{batches:?}");
    publisher.expect_nothing();
    lasting.expect_nothing();
    // Who keeps nothing need not wait.
    fleeting.expect([publish("t", "x").qos2(1)]);
    desk.durable();
    publisher.expect([pubcomp(1)]);
    lasting.expect([publish("t", "x").qos2(1)]);
    let (incoming, messages, sent) = desk.disk(|disk| (disk.incoming, disk.messages.len(), disk.sent));
    assert_eq!((incoming, messages, sent), (0, 1, 1));
}

#[test]
fn pubrec_is_durable_before_pubrel_leaves_and_pubcomp_is_lazy() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut subscriber = desk.hello("s").version(version).lasting().connect();
        subscriber.subscribe("t", 2);
        desk.client("p").send_all([publish("t", "x").qos2(1), pubrel(1)]);
        subscriber.expect([publish("t", "x").qos2(1)]);
        desk.hold_batches();
        subscriber.send(pubrec(1));
        subscriber.send(pubrec(1));
        subscriber.expect_nothing();
        desk.durable();
        subscriber.expect([pubrel(1), pubrel(1)]);
        assert_eq!(desk.disk(|disk| (disk.messages.len(), disk.released)), (0, 1));
        subscriber.send(pubcomp(1));
        assert_eq!(desk.waiting_batches(), [false]);
        desk.durable();
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn held_deliveries_go_on_for_long_without_piling_up() {
    let desk = Desk::new();
    let mut subscriber = desk.hello("s").lasting().receive_maximum(2).connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    desk.hold_batches();
    for n in 0..500_u16 {
        publisher.send_all([publish("t", n.to_string()).qos2(n + 1), pubrel(n + 1)]);
    }
    let mut received = Vec::new();
    while received.len() < 500 {
        desk.durable();
        received.extend(subscriber.acknowledge_all().iter().map(Wire::text));
    }
    assert_eq!(received, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
}

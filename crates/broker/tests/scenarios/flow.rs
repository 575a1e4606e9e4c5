//! How much may be under way: Receive Maximum, Maximum Packet Size, windows, queues. Every drop is counted once.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::{V5, V311};
use noctule_protocol::QoS;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

fn send_qos1(publisher: &Client, numbers: impl IntoIterator<Item = u16>) {
    for n in numbers {
        publisher.send(publish("t", n.to_string()).qos1(n));
    }
    publisher.take();
}

fn subscribed(hello: &Hello, level: u8) -> Client {
    let mut client = hello.connect();
    client.subscribe("t", level);
    client
}

// ---- Receive Maximum ---------------------------------------------------------------------------------

#[test] // [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
fn never_more_in_flight_than_the_client_takes() {
    for (asked, configured, expected) in [(3, 20, 3), (20, 2, 2), (5, 0, 5)] {
        let desk = Desk::with(|settings| settings.max_inflight_messages = configured);
        let client = subscribed(&desk.hello("s").receive_maximum(asked), 1);
        send_qos1(&desk.client("p"), 1..=30);
        assert_eq!(client.take().len(), expected);
        client.send(puback(1));
        assert_eq!(client.take().len(), 1);
    }
    // 3.x takes what is configured; 0 is no limit.
    for (configured, expected) in [(20, 20), (0, 100)] {
        let desk = Desk::with(|settings| settings.max_inflight_messages = configured);
        let client = subscribed(&desk.hello("s").v311(), 1);
        send_qos1(&desk.client("p"), 1..=100);
        assert_eq!(client.take().len(), expected);
    }
}

#[test] // [MQTT-4.9.0-3] [MQTT-3.3.4-10]
fn an_exhausted_quota_delays_qos_1_and_2_only() {
    let desk = Desk::new();
    let client = subscribed(&desk.hello("s").receive_maximum(1), 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "1").qos2(1), pubrel(1), publish("t", "2").qos1(2), publish("t", "3")]);
    client.send_all([pingreq(), subscribe(9, "u", 0)]);
    client.expect([publish("t", "1").qos2(1), publish("t", "3"), pingresp(), suback(9, [0])]);
    // QoS 2 holds its place until PUBCOMP.
    client.send(pubrec(1));
    client.expect([pubrel(1)]);
    client.send(pubcomp(1));
    client.expect([publish("t", "2").qos1(2)]);
}

#[test] // [MQTT-3.3.4-7]
fn more_than_the_servers_receive_maximum_ends_the_connection() {
    let desk = Desk::with(|settings| settings.max_inflight_messages = 3);
    let client = desk.client("p");
    client.send_all((1..=3).map(|n| publish("t", "x").qos2(n)));
    client.expect([pubrec(1), pubrec(2), pubrec(3)]);
    // A repetition is no new message; PUBREL gives the place back; QoS 0 needs none.
    client.send_all([
        publish("t", "x").qos2(3).dup(),
        pubrel(1),
        publish("t", "x").qos2(1),
        publish("t", "x"),
    ]);
    client.expect([pubrec(3), pubcomp(1), pubrec(1)]);
    client.send(publish("t", "x").qos1(9));
    client.expect_end(Reason::ReceiveMaximumExceeded);
    // 3.x knows no such limit.
    let client = desk.client_of(V311, "q");
    client.send_all((1..=30).map(|n| publish("t", "x").qos2(n)));
    assert_eq!(client.take().len(), 30);
}

#[test]
fn a_puback_that_waits_for_the_disk_holds_its_place() {
    let desk = Desk::with(|settings| settings.max_inflight_messages = 2);
    subscribed(&desk.hello("s").lasting(), 1);
    let client = desk.client("p");
    desk.hold_batches();
    client.send_all([publish("t", "1").qos1(1), publish("t", "2").qos1(2)]);
    desk.durable();
    client.expect([puback(1), puback(2)]);
    client.send_all((3..=5).map(|n| publish("t", "x").qos1(n)));
    client.expect_end(Reason::ReceiveMaximumExceeded);
}

#[test]
fn max_inflight_bytes_lets_one_message_through_at_least() {
    let desk = Desk::with(|settings| settings.max_inflight_bytes = 10);
    let client = subscribed(&desk.hello("s"), 1);
    let publisher = desk.client("p");
    for (n, size) in [(1, 4), (2, 6), (3, 1), (4, 50), (5, 1)] {
        publisher.send(publish("t", "x".repeat(size)).qos1(n));
    }
    let sizes = || client.take().iter().map(|packet| packet.payload.len()).collect::<Vec<_>>();
    assert_eq!(sizes(), [4, 6]);
    client.send(puback(1));
    assert_eq!(sizes(), [1]);
    client.send(puback(2));
    assert_eq!(sizes(), [0; 0]); // 50 does not fit beside 1.
    client.send(puback(3));
    assert_eq!(sizes(), [50]);
    client.send(puback(4));
    assert_eq!(sizes(), [1]);
}

// ---- Maximum Packet Size -----------------------------------------------------------------------------

#[test] // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
fn a_message_too_large_for_its_receiver_is_dropped_and_gives_its_quota_back() {
    for lasting in [false, true] {
        for level in [0, 1, 2] {
            let desk = Desk::new();
            let hello = desk.hello("s").receive_maximum(1).maximum_packet_size(30);
            let client = subscribed(&if lasting { hello.lasting() } else { hello }, level);
            let qos = QoS::from_level(level).unwrap();
            let publisher = desk.client("p");
            for n in 1..=3 {
                publisher.send_all([publish("t", "x".repeat(30)).at(qos, n), pubrel(n)]);
            }
            publisher.send_all([publish("t", "small").at(qos, 4), pubrel(4)]);
            let received = client.acknowledge_all();
            assert_eq!(received.iter().map(Wire::text).collect::<Vec<_>>(), ["small"]);
            assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, 3)]);
            assert!(desk.disk(Stored::is_settled), "{lasting} {level}");
        }
    }
}

#[test] // [MQTT-3.1.2-24]
fn the_limit_is_exact_and_counts_all_of_the_packet() {
    let desk = Desk::new();
    let exact = publish("t", "x".repeat(16)).qos1(1).with(Property::UserProperty("a", "b"));
    let size = exact.encode(V5).len() as u32;
    let client = subscribed(&desk.hello("s").maximum_packet_size(size), 1);
    let publisher = desk.client("p");
    publisher.send(exact.clone());
    client.expect([exact]);
    publisher.send(publish("t", "x".repeat(17)).qos1(1).with(Property::UserProperty("a", "b")));
    client.expect_nothing();
    assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, 1)]);
}

#[test] // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
fn too_large_in_the_queue_and_on_resume() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let client = subscribed(&hello, 2);
    let publisher = desk.client("p");
    let large = "x".repeat(100);
    publisher.send_all([publish("t", &large).qos1(1), publish("t", &large).qos2(2), pubrel(2)]);
    client.lose();
    publisher.send_all([publish("t", &large).qos1(3), publish("t", "small").qos1(4)]);
    publisher.send_all([publish("t", &large).qos2(5), pubrel(5)]);
    let client = hello.maximum_packet_size(30).connect();
    client.expect_payloads(["small"]);
    assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, 4)]);
    client.send(puback(3));
    client.send(puback(4));
    client.expect_nothing();
    assert!(desk.disk(Stored::is_settled));
}

#[test] // Section 3.2.2.3.6
fn a_packet_too_large_for_the_broker_ends_the_connection_at_its_header() {
    let desk = Desk::with(|settings| settings.maximum_packet_size = 1000);
    for version in VERSIONS {
        let client = desk.client_of(version, "p");
        // 997 bytes of body and 3 of header: just right.
        let properties = usize::from(version == V5);
        client.send(publish("t", "x".repeat(997 - 3 - properties)));
        assert!(!client.is_closed());
        client.send_bytes(&[0x30, 0xE6, 0x07]); // 998
        client.expect_end(Reason::PacketTooLarge);
    }
}

// ---- queues ------------------------------------------------------------------------------------------

#[test]
fn max_queued_messages_online_counts_what_waits() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| {
            settings.max_inflight_messages = 2;
            settings.max_queued_messages = 3;
        });
        let client = subscribed(&desk.hello("s").version(version), 1);
        send_qos1(&desk.client("p"), 1..=7);
        // Two in flight, three queued; the newest are dropped.
        let payloads: Vec<_> = client.acknowledge_all().iter().map(Wire::text).collect();
        assert_eq!(payloads, ["1", "2", "3", "4", "5"]);
        assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 2)]);
    }
}

#[test]
fn max_queued_messages_offline_counts_all() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| {
            settings.max_inflight_messages = 2;
            settings.max_queued_messages = 3;
        });
        let hello = desk.hello("s").version(version).lasting();
        let client = subscribed(&hello, 1);
        let publisher = desk.client("p");
        send_qos1(&publisher, 1..=2);
        client.lose();
        send_qos1(&publisher, 3..=5);
        assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 2)]);
        let payloads: Vec<_> = hello.connect().acknowledge_all().iter().map(Wire::text).collect();
        assert_eq!(payloads, ["1", "2", "3"]);
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn max_queued_bytes_and_the_first_limit_wins() {
    let desk = Desk::with(|settings| {
        settings.max_inflight_messages = 1;
        settings.max_queued_messages = 3;
        settings.max_queued_bytes = 100;
    });
    let client = subscribed(&desk.hello("s"), 1);
    let publisher = desk.client("p");
    for (n, size) in [(1, 10), (2, 60), (3, 60), (4, 1), (5, 1)] {
        publisher.send(publish("t", "x".repeat(size)).qos1(n));
    }
    // 60 is below 100, so another 60 is taken; then nothing.
    let sizes: Vec<_> = client.acknowledge_all().iter().map(|packet| packet.payload.len()).collect();
    assert_eq!(sizes, [10, 60, 60]);
    assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 2)]);
}

#[test]
fn zero_is_no_limit() {
    let desk = Desk::with(|settings| settings.max_queued_messages = 0);
    let hello = desk.hello("s").lasting();
    subscribed(&hello, 1).lose();
    send_qos1(&desk.client("p"), 1..=3000);
    assert_eq!(hello.connect().acknowledge_all().len(), 3000);
    assert_eq!(desk.drops(), []);
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    subscribed(&hello, 1).lose();
    send_qos1(&desk.client("p"), 1..=1001);
    assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 1)]);
}

#[test]
fn qos_0_is_queued_for_absent_sessions_if_configured() {
    for queue in [false, true] {
        let desk = Desk::with(|settings| {
            settings.queue_qos0_messages = queue;
            settings.max_queued_messages = 3;
        });
        let hello = desk.hello("s").lasting();
        subscribed(&hello, 1).lose();
        let publisher = desk.client("p");
        publisher.send_all([publish("t", "0"), publish("t", "1").qos1(1), publish("t", "2")]);
        publisher.send_all([publish("t", "3").qos1(2), publish("t", "4").qos1(3)]);
        let received = hello.connect().payloads();
        match queue {
            true => {
                assert_eq!(received, ["0", "1", "2"]);
                assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 2)]);
            }
            false => {
                assert_eq!(received, ["1", "3", "4"]);
                assert_eq!(desk.drops(), [(Metric::DroppedOffline, 2)]);
            }
        }
    }
}

#[test]
fn the_log_tells_once_that_messages_are_dropped() {
    let desk = Desk::with(|settings| {
        settings.max_inflight_messages = 1;
        settings.max_queued_messages = 1;
    });
    // Also for a client that gets what it publishes itself.
    let client = subscribed(&desk.hello("s"), 1);
    desk.log();
    send_qos1(&client, 1..=5);
    assert_eq!(desk.log(), ["Outgoing messages are being dropped for client s."]);
    client.send_all([puback(1), puback(2)]);
    send_qos1(&client, 1..=5);
    assert_eq!(desk.log(), ["Outgoing messages are being dropped for client s."]);
}

#[test]
fn a_full_queue_harms_nobody_else_and_no_acknowledgement() {
    let desk = Desk::with(|settings| {
        settings.max_inflight_messages = 1;
        settings.max_queued_messages = 1;
    });
    let slow = subscribed(&desk.hello("slow"), 1);
    let fast = subscribed(&desk.hello("fast"), 0);
    let publisher = desk.client("p");
    for n in 1..=10 {
        publisher.send(publish("t", n.to_string()).qos1(n));
        publisher.expect([puback(n)]);
    }
    assert_eq!((slow.take().len(), fast.take().len()), (1, 10));
    assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 8)]);
}

// ---- outboxes ----------------------------------------------------------------------------------------

#[test]
fn a_reader_that_stopped_loses_qos_0_above_the_limit_and_nothing_else() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| {
            settings.outbox_bytes_max = 1000;
            settings.max_inflight_messages = 0;
        });
        let client = subscribed(&desk.hello("s").version(version), 2);
        client.stop_reading();
        let publisher = desk.client("p");
        for n in 1..=50_u16 {
            publisher.send(publish("t", "x".repeat(100)));
            publisher.send_all([publish("t", n.to_string()).qos2(n), pubrel(n)]);
        }
        assert!(client.unread() < 1000 + 120, "{}", client.unread());
        let dropped = desk.metric(Metric::DroppedOutboxFull);
        assert!((40..50).contains(&dropped), "{dropped}");
        client.read_on();
        let received = client.acknowledge_all();
        let count = |qos| received.iter().filter(|packet| packet.qos == qos).count() as u64;
        assert_eq!((count(QoS::AtMostOnce), count(QoS::ExactlyOnce)), (50 - dropped, 50));
        assert_eq!(desk.drops(), [(Metric::DroppedOutboxFull, dropped)]);
        assert!(!client.is_closed());
    }
}

#[test]
fn deliveries_that_wait_for_the_disk_count_as_sent() {
    let desk = Desk::with(|settings| {
        settings.outbox_bytes_max = 10_000;
        settings.max_inflight_messages = 0;
    });
    let client = subscribed(&desk.hello("s").lasting(), 2);
    client.stop_reading();
    let publisher = desk.client("p");
    desk.hold_batches();
    for n in 1..=100 {
        publisher.send_all([publish("t", "x".repeat(1000)).qos2(n), pubrel(n)]);
    }
    desk.durable();
    assert!(client.unread() < 12_000, "{}", client.unread());
    desk.write_at_once();
    client.read_on();
    assert_eq!(client.acknowledge_all().len(), 100);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_reader_that_takes_little_at_a_time_gets_all_in_order() {
    let desk = Desk::with(|settings| {
        settings.outbox_bytes_max = 200;
        settings.max_inflight_messages = 0;
    });
    let client = subscribed(&desk.hello("s"), 1);
    client.stop_reading();
    let publisher = desk.client("p");
    for n in 1..=200_u16 {
        publisher.send(publish("t", n.to_string()).qos1(n));
    }
    for _ in 0..10_000 {
        client.read(7);
        assert!(client.unread() <= 200 + 20);
    }
    client.read_on();
    let expected: Vec<_> = (1..=200).map(|n| n.to_string()).collect();
    assert_eq!(client.payloads(), expected);
}

#[test]
fn who_reads_its_answers_is_read_though_deliveries_fill_its_outbox() {
    let desk = Desk::with(|settings| {
        settings.outbox_bytes_max = 1000;
        settings.max_inflight_messages = 0;
    });
    let mut client = desk.client("c");
    client.subscribe("t", 1);
    client.stop_reading();
    client.send_all((0..600).map(|_| pingreq()));
    assert!(client.is_paused());
    let publisher = desk.client("p");
    (1..=100).for_each(|n| publisher.send(publish("t", [b'x'; 100]).qos1(n)));
    client.read(300);
    assert!(client.is_paused());
    client.read(500);
    assert!(!client.is_paused(), "400 bytes of answers are left");
    assert!(client.unread() >= 1000, "and as much as the outbox takes");
    client.send_all((0..600).map(|_| pingreq()));
    assert!(client.is_paused());
    client.read_on();
    assert!(!client.is_paused());
    assert_eq!(client.take().len(), 1300);
}

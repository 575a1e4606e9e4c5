//! What a client may cost: partial frames, lengths that promise more than comes, answers that are not read.

use noctule_protocol::ProtocolVersion::{V5, V311};
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

#[test]
fn a_packet_may_come_byte_by_byte() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut watcher = desk.client("w");
        watcher.subscribe("t", 0);
        let client = desk.open(version);
        let mut bytes = desk.hello("a").version(version).bytes();
        bytes.extend(publish("t", "x".repeat(300)).qos1(1).encode(version));
        bytes.extend(pingreq().encode(version));
        for byte in bytes {
            client.send_bytes(&[byte]);
        }
        client.accepted().expect([puback(1), pingresp()]);
        watcher.expect_payloads([&"x".repeat(300)]);
    }
}

#[test]
fn what_is_kept_of_a_partial_packet_grows_with_what_came_and_not_with_what_was_promised() {
    let desk = Desk::new();
    let client = desk.client("a");
    // A PUBLISH of 1999000 bytes.
    client.send_bytes(&[0x30, 0x98, 0x81, 0x7A]);
    assert!(client.partial_bytes() <= 64);
    for n in 1..=100_usize {
        client.send_bytes(&[0; 1000]);
        assert!((n * 1000..=2 * n * 1000 + 100).contains(&client.partial_bytes()));
    }
    assert!(!client.is_closed());
}

#[test]
fn a_small_rest_does_not_keep_the_room_of_a_large_packet() {
    let desk = Desk::new();
    let client = desk.client("a");
    let bytes = publish("t", vec![0; 1_000_000]).encode(V5);
    client.send_bytes(&bytes[..900_000]);
    client.send_bytes(&[&bytes[900_000..], &[0xC0]].concat());
    assert!(client.partial_bytes() < 100);
    client.send_bytes(&[0]);
    client.expect([pingresp()]);
    assert_eq!(client.partial_bytes(), 0);
}

#[test] // Before CONNECT a frame is at most 128 KiB.
fn a_giant_first_packet_is_refused_at_its_header() {
    let desk = Desk::new();
    for (header, allowed) in [
        ([0x10, 0xFC, 0xFF, 0x07], true),  // 128 KiB with its header
        ([0x10, 0xFD, 0xFF, 0x07], false), // one more
        ([0x10, 0xFF, 0xFF, 0xFF], true),  // not complete yet
    ] {
        let client = desk.open(V5);
        client.send_bytes(&header);
        assert_eq!(client.is_closed(), !allowed, "{header:02X?}");
        if !allowed {
            client.expect_closed();
        } else if header[3] >= 0x80 {
            client.send_bytes(&[0x7F]);
            client.expect_closed();
        }
    }
}

#[test] // Section 1.5.5
fn a_length_of_five_bytes_is_malformed() {
    for version in VERSIONS {
        let client = Desk::new().client_of(version, "a");
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
        client.expect_end(Reason::MalformedPacket);
    }
}

#[test] // [MQTT-1.5.5-1]
fn a_length_in_more_bytes_than_needed_is_malformed_on_5_0_only() {
    for version in VERSIONS {
        let client = Desk::new().client_of(version, "a");
        client.send_bytes(&[0xC0, 0x80, 0x00]);
        match version {
            V5 => client.expect_end(Reason::MalformedPacket),
            _ => client.expect([pingresp()]),
        }
    }
}

#[test] // Section 2.1.2
fn packet_type_0_is_refused_at_its_first_byte() {
    for version in VERSIONS {
        let client = Desk::new().client_of(version, "a");
        client.send_bytes(&[0x00]);
        client.expect_end(Reason::MalformedPacket);
    }
}

#[test] // [MQTT311-3.14.4-2]
fn nothing_behind_a_disconnect_is_looked_at() {
    for version in VERSIONS {
        let desk = Desk::new();
        let client = desk.client_of(version, "a");
        client.send_all([disconnect(), publish("t", "x").retained()]);
        client.expect_closed();
        assert_eq!(desk.retained_count(), 0);
    }
}

#[test]
fn a_client_that_never_reads_its_answers_is_not_read_from() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.outbox_bytes_max = 1000);
        let client = desk.hello("a").version(version).keep_alive(10).connect();
        client.stop_reading();
        let pings = |n| (0..n).map(|_| pingreq());
        client.send_all(pings(500));
        assert!(!client.is_paused());
        client.send_all(pings(1));
        assert!(client.is_paused());
        client.send_all(pings(100));
        assert_eq!(client.unread(), 1002);
        // Its silence is the broker's doing.
        desk.sleep(100.0);
        assert!(!client.is_closed());
        client.read(502);
        assert!(!client.is_paused());
        client.read_on();
        assert_eq!(client.take().len(), 601);
        desk.sleep(15.1);
        client.expect_end(Reason::KeepAliveTimeout);
    }
}

#[test]
fn answers_that_wait_for_the_disk_count_as_unread() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 10_000);
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 0);
    subscriber.subscribe("u", 1);
    let client = desk.client_of(V311, "a");
    desk.hold_batches();
    client.send(publish("u", "x").qos1(1));
    for _ in 0..1000 {
        client.send(pingreq());
    }
    assert!(client.is_paused());
    client.expect_nothing();
    desk.durable();
    assert!(!client.is_paused());
    let answers = client.take();
    assert_eq!(answers.len(), 1001);
    assert_eq!(answers[0], puback(1));
}

#[test]
fn who_only_receives_is_never_paused() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 1000);
    let mut client = desk.client("s");
    client.subscribe("t", 0);
    client.stop_reading();
    let publisher = desk.client("p");
    for _ in 0..100 {
        publisher.send(publish("t", "x".repeat(100)));
    }
    assert!(!client.is_paused());
    assert!(!publisher.is_paused());
}

#[test]
fn a_connection_that_ends_while_paused_is_gone() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 100);
    let client = desk.hello("a").lasting().connect();
    client.stop_reading();
    client.send_all((0..100).map(|_| pingreq()));
    assert!(client.is_paused());
    client.lose();
    let again = desk.hello("a").lasting().connect();
    assert!(again.session_present && !again.is_paused());
}

#[test]
fn late_events_of_an_ended_connection_touch_nobody() {
    let desk = Desk::new();
    let old = desk.client("a");
    old.lose();
    let new = desk.client("b"); // On the same place.
    old.send(publish("t", "x").retained());
    old.lose();
    old.read(5);
    new.send(pingreq());
    new.expect([pingresp()]);
    assert_eq!(desk.retained_count(), 0);
}

#[test]
fn topics_of_more_than_two_hundred_separators_are_malformed() {
    for version in VERSIONS {
        let desk = Desk::new();
        let mut client = desk.client_of(version, "a");
        client.subscribe(&"/".repeat(200), 0);
        client.send(publish(&"/".repeat(200), "x"));
        client.expect_payloads(["x"]);
        client.send(publish(&"/".repeat(201), "x"));
        client.expect_end(Reason::MalformedPacket);
    }
}

#[test]
fn what_waits_for_the_disk_counts_as_outbox() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 300);
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 2);
    subscriber.stop_reading();
    desk.hold_batches();
    let publisher = desk.client("p");
    for n in 1..=10 {
        publisher.send_all([publish("t", "x".repeat(60)).qos2(n), pubrel(n)]);
    }
    desk.durable();
    assert!((200..=370).contains(&subscriber.unread()), "{}", subscriber.unread());
    desk.write_at_once();
    subscriber.read_on();
    assert_eq!(subscriber.acknowledge_all().len(), 10);
}

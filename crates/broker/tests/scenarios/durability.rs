//! What acknowledgements wait for, as each listener promises its clients, and who waits when the store is behind.

use noctule_broker::metric::Metric;
use noctule_broker::record::Table;
use noctule_broker::{Durability, ListenerSettings, Urgency};

use crate::desk::*;

const SYNC: u16 = 0;
const FLUSH: u16 = 1;
const MEMORY: u16 = 2;

/// Three listeners, each with another promise.
fn desk() -> Desk {
    Desk::with(|settings| {
        settings.listeners = [Durability::Sync, Durability::Flush, Durability::Memory]
            .map(|durability| ListenerSettings { durability, ..ListenerSettings::default() })
            .into();
    })
}

/// A session that lasts and is away, subscribed to `t`.
fn leave_a_session(desk: &Desk, level: u8) {
    let mut away = desk.hello("away").lasting().connect();
    away.subscribe("t", level);
    away.lose();
}

#[test]
fn what_is_too_large_to_be_sent_at_once_is_not_recorded() {
    for others in 0..2 {
        let desk = desk();
        for (at, packet_max) in [(SYNC, 1000), (MEMORY, 50)].into_iter().skip(1 - others) {
            let hello = desk.hello(&format!("s{at}")).lasting().maximum_packet_size(packet_max);
            let mut subscriber = hello.at(at).connect();
            subscriber.subscribe("t", 2);
        }
        desk.client("p").send_all([publish("t", "x".repeat(100)).qos2(1), pubrel(1)]);
        desk.sleep(0.6);
        assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, 1)]);
        assert_eq!(desk.disk(|disk| (disk.messages.clone(), disk.sent)), (vec![1; others], others));
    }
}

#[test]
fn each_listener_has_its_clients_answered_when_it_promises() {
    let desk = desk();
    leave_a_session(&desk, 1);
    let [sync, flush, memory] =
        [SYNC, FLUSH, MEMORY].map(|at| desk.hello(&format!("p{at}")).at(at).connect());
    desk.hold_batches();
    memory.send(publish("t", "1").qos1(1));
    memory.expect([puback(1)]);
    assert_eq!(desk.urgencies(), [Urgency::Lazy]);
    flush.send(publish("t", "2").qos1(2));
    sync.send(publish("t", "3").qos1(3));
    assert_eq!(desk.urgencies(), [Urgency::Lazy, Urgency::Flush, Urgency::Sync]);
    flush.expect_nothing();
    desk.flushed();
    flush.expect([puback(2)]);
    sync.expect_nothing();
    desk.durable();
    sync.expect([puback(3)]);
    // What was promised differs, what is stored does not.
    assert_eq!(desk.disk(|disk| disk.messages.len()), 3);
    desk.write_at_once();
    let back = desk.hello("away").resume().lasting().connect();
    assert_eq!(back.payloads(), ["1", "2", "3"]);
}

#[test]
fn one_batch_is_as_urgent_as_the_strictest_who_waits_for_it() {
    let desk = desk();
    leave_a_session(&desk, 1);
    let [sync, flush] = [SYNC, FLUSH].map(|at| desk.hello(&format!("p{at}")).at(at).connect());
    if desk.is_sharded() {
        return; // Each shard has a batch of its own.
    }
    desk.hold_batches();
    desk.hold_turns();
    sync.send(publish("t", "1").qos1(1));
    flush.send(publish("t", "2").qos1(2));
    desk.end_turns();
    assert_eq!(desk.urgencies(), [Urgency::Sync]);
    desk.flushed();
    sync.expect_nothing();
    flush.expect([puback(2)]);
    desk.durable();
    sync.expect([puback(1)]);
}

#[test] // [MQTT-4.6.0-2]
fn durable_means_flushed_too_and_answers_stay_in_order() {
    let desk = desk();
    leave_a_session(&desk, 1);
    let flush = desk.hello("p").at(FLUSH).connect();
    desk.hold_batches();
    flush.send(publish("t", "1").qos1(1));
    flush.send_all([publish("t", "2").qos1(2), pingreq()]);
    flush.expect_nothing();
    desk.durable();
    flush.expect([puback(1), puback(2), pingresp()]);
}

#[test]
fn in_memory_a_session_is_made_and_left_without_waiting() {
    let desk = desk();
    desk.hold_batches();
    let hello = desk.hello("s").at(MEMORY).lasting();
    let mut client = hello.connect();
    client.subscribe("t", 2);
    let publisher = desk.hello("p").at(MEMORY).lasting().connect();
    publisher.send(publish("t", "x").qos2(7));
    publisher.expect([pubrec(7)]);
    publisher.send(pubrel(7));
    publisher.expect([pubcomp(7)]);
    client.expect([publish("t", "x").qos2(1)]);
    client.send(pubrec(1));
    client.expect([pubrel(1)]);
    client.send(pubcomp(1));
    assert!(desk.urgencies().iter().all(|urgency| *urgency == Urgency::Lazy));
    desk.durable();
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn qos_2_waits_step_by_step_for_as_much_as_each_side_was_promised() {
    let desk = desk();
    let mut receiver = desk.hello("s").at(SYNC).lasting().connect();
    receiver.subscribe("t", 2);
    let publisher = desk.hello("p").at(FLUSH).lasting().connect();
    desk.hold_batches();
    publisher.send(publish("t", "x").qos2(7));
    publisher.expect_nothing();
    desk.flushed();
    publisher.expect([pubrec(7)]);
    publisher.send(pubrel(7));
    desk.flushed();
    publisher.expect([pubcomp(7)]);
    receiver.expect_nothing();
    desk.durable();
    receiver.expect([publish("t", "x").qos2(1)]);
    receiver.send(pubrec(1));
    desk.flushed();
    receiver.expect_nothing();
    desk.durable();
    receiver.expect([pubrel(1)]);
}

#[test]
fn a_will_that_is_published_hurries_nobody() {
    let desk = desk();
    leave_a_session(&desk, 1);
    let client = desk.hello("w").will(will("t", "gone").qos(noctule_protocol::QoS::AtLeastOnce)).connect();
    desk.hold_batches();
    client.lose();
    assert_eq!(desk.urgencies(), [Urgency::Lazy]);
    desk.durable();
    assert_eq!(desk.disk(|disk| disk.messages.len()), 1);
}

// ---- the store is behind -----------------------------------------------------------------------------

#[test]
fn who_makes_more_for_a_store_that_is_behind_is_not_read_and_nobody_else_notices() {
    let desk = Desk::new();
    leave_a_session(&desk, 1);
    let mut watcher = desk.client("w");
    watcher.subscribe("#", 0);
    let (feeder, other) = (desk.client("p"), desk.client("q"));
    desk.hold_batches();
    feeder.send(publish("t", "1").qos1(1));
    desk.store_queue(true);
    assert!(!feeder.is_paused(), "not for what it did before");
    feeder.send(publish("t", "2").qos1(2));
    assert!(feeder.is_paused());
    // It is not read, and its last message is not lost.
    feeder.send(publish("t", "3").qos1(3));
    other.send_all([publish("u", "4").qos1(4), publish("t", "5"), pingreq()]);
    other.expect([puback(4), pingresp()]);
    watcher.expect_payloads(["1", "2", "4", "5"]);
    assert!(!other.is_paused());
    // What is durable is acknowledged all the same.
    feeder.expect_nothing();
    desk.durable();
    feeder.expect([puback(1), puback(2)]);
    desk.store_queue(false);
    assert!(!feeder.is_paused());
    desk.durable();
    feeder.expect([puback(3)]);
    assert_eq!(desk.disk(|disk| disk.messages.len()), 3);
    assert_eq!(desk.metric(Metric::StoreParked), 1);
}

#[test]
fn every_way_to_feed_the_store_waits() {
    let desk = Desk::new();
    leave_a_session(&desk, 1);
    let mut receiver = desk.hello("r").lasting().connect();
    receiver.subscribe("r", 1);
    desk.client("p").send(publish("r", "x").qos1(1));
    receiver.expect_payloads(["x"]);
    let feeders = [
        (desk.hello("a").lasting().connect(), subscribe(1, "x", 1)),
        (desk.client("b"), publish("x", "retained").retained()),
        (desk.hello("c").lasting().connect(), publish("x", "held").qos2(1)),
        (receiver, puback(1)),
    ];
    desk.store_queue(true);
    let late = desk.hello("late").lasting().connect();
    assert!(late.is_paused(), "a session that lasts is stored");
    for (client, packet) in &feeders {
        client.send(packet.clone());
        assert!(client.is_paused(), "{packet:?}");
    }
    let clean = desk.client("clean");
    clean.send(pingreq());
    clean.expect([pingresp()]);
    desk.store_queue(false);
    assert!(feeders.iter().all(|(client, _)| !client.is_paused()) && !late.is_paused());
}

#[test]
fn who_waits_for_the_store_does_not_time_out_and_may_go() {
    let desk = Desk::new();
    leave_a_session(&desk, 1);
    let [patient, gone] = ["a", "b"].map(|id| desk.hello(id).keep_alive(10).connect());
    desk.store_queue(true);
    for client in [&patient, &gone] {
        client.send(publish("t", "x").qos1(1));
        assert!(client.is_paused());
    }
    desk.sleep(12.0);
    gone.lose();
    desk.sleep(12.0);
    assert!(!patient.is_closed(), "its silence is ours");
    desk.store_queue(false);
    patient.send(publish("t", "y").qos1(2));
    patient.expect([puback(1), puback(2)]);
    desk.sleep(16.0);
    assert!(patient.is_closed(), "[MQTT-3.1.2-22]");
}

#[test] // [MQTT-3.1.2-24]
fn what_is_too_large_leaves_nothing_behind_where_nobody_waits() {
    let desk = desk();
    for at in [SYNC, FLUSH, MEMORY] {
        let hello = desk.hello(&format!("s{at}")).at(at).lasting().maximum_packet_size(50);
        hello.connect().subscribe(&format!("t{at}"), 2);
        let _here = hello.connect();
        let publisher = desk.hello("p").at(at).connect();
        publisher.send_all([publish(&format!("t{at}"), "x".repeat(100)).qos2(1), pubrel(1)]);
        publisher.expect([pubrec(1), pubcomp(1)]);
        desk.durable();
        assert_eq!(desk.drops(), [(Metric::DroppedTooLarge, u64::from(at) + 1)]);
        assert_eq!(desk.disk_rows(&[Table::Message, Table::Delivery, Table::Outgoing]), 0);
    }
}

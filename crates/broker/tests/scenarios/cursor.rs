//! What sessions are done with while others are not, over crashes.

use noctule_broker::metric::Metric;
use noctule_broker::record::Table;

use crate::desk::*;

/// Cursors are stored so long after they have changed, at the latest.
const LAG: f64 = 0.6;

/// A session that waits for every message to `t`, for ever.
fn absentee(desk: &Desk) {
    let mut client = desk.hello("absentee").lasting().connect();
    client.subscribe("t", 2);
    client.lose();
}

fn texts(packets: &[Wire]) -> Vec<String> {
    packets.iter().map(Wire::text).collect()
}

#[test] // [MQTT-4.4.0-1]
fn what_was_acknowledged_out_of_order_is_not_sent_again_and_the_rest_is() {
    let desk = Desk::new();
    absentee(&desk);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    desk.client("p").send_all((1..=6).map(|n| publish("t", n.to_string()).qos1(n)));
    let received = subscriber.take();
    for n in [5, 1, 4] {
        subscriber.send(puback(received[n].id));
    }
    desk.sleep(LAG);
    for _ in 0..2 {
        desk.restart();
        let subscriber = hello.connect();
        assert_eq!(texts(&subscriber.take()), ["1", "3", "4"]);
        subscriber.lose();
    }
    let subscriber = hello.connect();
    subscriber.send(puback(subscriber.take()[1].id));
    desk.client("p").send(publish("t", "7").qos1(1));
    subscriber.send(puback(subscriber.take()[0].id));
    desk.sleep(LAG);
    desk.restart();
    assert_eq!(texts(&hello.connect().acknowledge_all()), ["1", "4"]);
    assert_eq!(desk.hello("absentee").lasting().connect().acknowledge_all().len(), 7);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn what_is_lost_of_a_cursor_is_sent_again() {
    let desk = Desk::new();
    absentee(&desk);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    desk.client("p").send_all((1..=2).map(|n| publish("t", n.to_string()).qos1(n)));
    assert_eq!(subscriber.acknowledge_all().len(), 2);
    desk.restart();
    assert_eq!(texts(&hello.connect().acknowledge_all()), ["1", "2"]);
    desk.shut_down();
    desk.restart();
    hello.connect().expect_nothing();
}

#[test] // [MQTT-4.3.3-6]
fn a_qos_2_message_that_was_received_is_not_sent_again_though_others_wait_for_it() {
    let desk = Desk::new();
    absentee(&desk);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    let publisher = desk.client("p");
    publisher.send_all([publish("t", "first").qos1(1), publish("t", "second").qos2(2), pubrel(2)]);
    let [first, second] = &subscriber.take()[..] else { panic!("two messages") };
    desk.restart();
    // The one that goes on where it was overtakes the other, which is in the queue again.
    let subscriber = hello.connect();
    subscriber.send(pubrec(second.id));
    assert!(subscriber.take().contains(&pubrel(second.id)));
    for _ in 0..2 {
        desk.restart();
        let subscriber = hello.connect();
        let again = subscriber.take();
        assert!(again.contains(&pubrel(second.id)));
        assert_eq!(texts(&again[1..]), [first.text()]);
    }
    let subscriber = hello.connect();
    assert_eq!(texts(&subscriber.acknowledge_all()), ["first"]);
    desk.sleep(LAG);
    desk.restart();
    hello.connect().expect_nothing();
    assert_eq!(desk.disk(|disk| (disk.messages.clone(), disk.sent, disk.released)), (vec![1, 1], 0, 0));
}

#[test]
fn what_comes_late_since_it_is_for_very_many_is_not_passed_by() {
    // Three deliveries a turn.
    let desk = Desk::sharded(1, |settings| settings.fan_out_bytes_max = 300);
    for n in 0..20 {
        let mut client = desk.hello(&format!("s{n}")).lasting().connect();
        client.subscribe("t", 1);
        client.lose();
    }
    absentee(&desk);
    let hello = desk.hello("absentee").lasting().receive_maximum(1);
    let mut subscriber = hello.connect();
    subscriber.subscribe("u", 1);
    desk.hello("s0").lasting().connect().subscribe("u", 1);
    let (slow, quick) = (desk.client("slow"), desk.client("quick"));
    desk.hold_turns();
    slow.send(publish("t", "long").qos1(1));
    quick.send_all([publish("u", "1").qos1(1), publish("u", "2").qos1(2)]);
    desk.end_turns();
    let first = subscriber.next().expect("the one that overtook it");
    assert_eq!(first.text(), "1");
    subscriber.send(puback(first.id));
    desk.sleep(LAG);
    desk.restart();
    let mut left = texts(&hello.connect().acknowledge_all());
    left.sort();
    assert_eq!(left, ["2", "long"]);
}

#[test]
fn what_was_dropped_stays_dropped() {
    for shift in 0..2 {
        let desk = Desk::sharded(2, |settings| settings.max_queued_messages = 2);
        let hello = desk.hello("s").lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 1);
        subscriber.lose();
        // It has them all in flight.
        let mut patient = desk.hello("patient").lasting().connect();
        patient.subscribe("t", 1);
        (0..shift).for_each(|_| desk.client("elsewhere").lose());
        desk.client("p").send_all((1..=6).map(|n| publish("t", n.to_string()).qos1(n)));
        assert_eq!(patient.take().len(), 6);
        assert_eq!(desk.drops(), [(Metric::DroppedQueueFull, 4)]);
        desk.sleep(LAG);
        desk.restart();
        assert_eq!(texts(&hello.connect().acknowledge_all()), ["1", "2"]);
    }
}

#[test]
fn copies_by_overlapping_subscriptions_are_acknowledged_each_by_itself() {
    let desk = Desk::new();
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    subscriber.subscribe("+", 1);
    desk.client("p").send(publish("t", "x").qos1(1));
    let copies = subscriber.take();
    subscriber.send(puback(copies[0].id));
    desk.sleep(LAG);
    desk.restart();
    assert_eq!(hello.connect().acknowledge_all().len(), 1);
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_cursor_forgets_what_is_stored_no_more() {
    let desk = Desk::new();
    absentee(&desk);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    for _ in 0..5 {
        desk.client("p").send(publish("t", "x").qos1(1));
        hello.connect().acknowledge_all();
        desk.sleep(LAG);
        assert_eq!(desk.disk_rows(&[Table::Cursor]), 1);
        assert!((10..=15).contains(&desk.disk_bytes(Table::Cursor)), "one track");
        // The last message that it says anything about goes.
        desk.hello("absentee").lasting().connect().acknowledge_all();
        desk.restart();
        assert_eq!(desk.disk_rows(&[Table::Cursor]), 0);
    }
}

#[test]
fn a_cursor_ends_with_its_session() {
    let desk = Desk::new();
    absentee(&desk);
    let mut subscriber = desk.hello("s").lasting().connect();
    subscriber.subscribe("t", 1);
    desk.client("p").send(publish("t", "x").qos1(1));
    subscriber.acknowledge_all();
    desk.sleep(LAG);
    assert_eq!(desk.disk_rows(&[Table::Cursor]), 1);
    desk.client("s");
    assert_eq!(desk.disk_rows(&[Table::Cursor]), 0);
}

/// What a message and its acknowledgements cost: the figures of decision 4.
#[test]
fn rows_are_counted() {
    let desk = Desk::sharded(1, |settings| settings.max_queued_messages = 0);
    let one = desk.hello("one").lasting();
    one.connect().subscribe("one", 1);
    let many: Vec<Client> = (0..1000)
        .map(|n| {
            let mut client = desk.hello(&format!("s{n}")).lasting().connect();
            client.subscribe("many", 1);
            client
        })
        .collect();
    let publisher = desk.client("p");
    let payload = [b'x'; 64];
    let costs = |step: &dyn Fn()| {
        desk.take_written();
        step();
        desk.take_written()
    };
    // To one session.
    let Written { puts, deletes, bytes } = costs(&|| publisher.send(publish("one", payload).qos1(1)));
    assert_eq!((puts, deletes), (2, 0));
    assert!((100..=110).contains(&bytes), "{bytes}");
    let receiver = one.connect();
    let acknowledged = costs(&|| assert_eq!(receiver.acknowledge_all().len(), 1));
    assert_eq!(acknowledged, Written { puts: 0, deletes: 2, bytes: 12 + 16 });
    // To a thousand.
    let Written { puts, deletes, bytes } = costs(&|| publisher.send(publish("many", payload).qos1(1)));
    assert_eq!((puts, deletes), (2, 0));
    assert!(bytes < 1_150, "{bytes}");
    // Ten more; then all acknowledge, and each session's cursor is stored once, if it was not the last one.
    publisher.send_all((2..=11).map(|n| publish("many", payload).qos1(n)));
    let Written { puts, deletes, bytes } = costs(&|| {
        many.iter().for_each(|client| assert_eq!(client.acknowledge_all().len(), 11));
        desk.sleep(LAG);
    });
    assert_eq!((puts, deletes), (999, 11 * 2));
    assert!(bytes < 999 * 22 + 11 * 24 + 1, "{bytes}");
    assert!(desk.disk(Stored::is_settled));
}

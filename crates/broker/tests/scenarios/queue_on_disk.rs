//! Queues of which only the first messages are in memory.

use noctule_broker::QueueHead;
use noctule_broker::metric::Metric;
use noctule_broker::record::Table;
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::property::Property;

use crate::desk::*;

fn desk(messages: usize) -> Desk {
    Desk::with(|settings| {
        settings.queue_head = QueueHead { messages, bytes: 1 << 20 };
        settings.max_queued_messages = 0;
    })
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Publishes these numbers to `t`.
fn fill(desk: &Desk, qos: u8, range: std::ops::Range<u32>) {
    let publisher = desk.client("p");
    for number in range {
        let text = number.to_string();
        match qos {
            1 => publisher.send(publish("t", &text).qos1(1)),
            _ => publisher.send_all([publish("t", &text).qos2(2), pubrel(2)]),
        }
    }
}

/// Acknowledges until nothing comes any more; gives what came, in order.
fn drain(client: &Client) -> Vec<String> {
    client.acknowledge_all().iter().map(Wire::text).collect()
}

#[test] // [MQTT-4.6.0-5]
fn what_is_read_from_disk_comes_in_its_order_and_leaves_nothing_behind() {
    for (head, qos) in [(1, 1), (2, 2), (5, 1), (40, 2), (1_000, 1)] {
        let desk = desk(head);
        let hello = desk.hello("s").lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        subscriber.lose();
        fill(&desk, qos, 0..300);
        assert_eq!(desk.reads_from_disk(), 0, "nobody is there");
        let subscriber = hello.connect();
        assert_eq!(drain(&subscriber), numbers(0..300));
        assert_eq!(desk.reads_from_disk() > 0, head < 300, "{head}");
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn what_comes_meanwhile_stands_behind() {
    let desk = desk(4);
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 2);
    subscriber.lose();
    fill(&desk, 2, 0..100);
    let subscriber = hello.connect();
    fill(&desk, 2, 100..200);
    subscriber.lose();
    fill(&desk, 2, 200..250);
    desk.restart();
    fill(&desk, 2, 250..300);
    let subscriber = hello.connect();
    fill(&desk, 2, 300..320);
    let mut received = drain(&subscriber);
    // What was in flight with QoS 1 may come again, what was with QoS 2 comes first.
    received.sort_by_key(|text| text.parse::<u32>().expect("a number"));
    received.dedup();
    assert_eq!(received, numbers(0..320));
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_message_that_several_wait_for_goes_with_its_last_acknowledgement() {
    let desk = desk(3);
    let hellos = ["a", "b", "c"].map(|id| desk.hello(id).lasting());
    for hello in &hellos {
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 2);
        subscriber.lose();
    }
    let mut online = desk.hello("d").lasting().connect();
    online.subscribe("t", 2);
    fill(&desk, 2, 0..60);
    assert_eq!(drain(&online), numbers(0..60));
    let rows = || desk.disk_rows(&[Table::Message]);
    assert_eq!(rows(), 60);
    assert_eq!(drain(&hellos[1].connect()), numbers(0..60));
    assert_eq!(rows(), 60);
    desk.restart();
    assert_eq!(rows(), 60);
    assert_eq!(drain(&hellos[0].connect()), numbers(0..60));
    assert_eq!(rows(), 60);
    // One message after the other.
    let last = hellos[2].clone().receive_maximum(1).connect();
    let mut left = 60;
    while let Some(packet) = last.next() {
        left -= 1;
        last.send(pubrec(packet.id));
        last.expect([pubrel(packet.id)]);
        last.send(pubcomp(packet.id));
        assert_eq!(rows(), left);
    }
    assert!(desk.disk(Stored::is_settled));
}

#[test]
fn a_session_that_ends_takes_what_it_never_read_along() {
    let desk = desk(2);
    for (id, others) in [("a", true), ("b", false)] {
        let hello = desk.hello(id).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("t", 1);
        subscriber.lose();
        if others {
            fill(&desk, 1, 0..1_500);
            assert_eq!(desk.disk_rows(&[Table::Message]), 1_500);
            desk.client("a").lose(); // begins anew, and ends
            assert!(desk.disk(Stored::is_settled));
            assert_eq!(desk.metric(Metric::DroppedSessionEnded), 1_500);
        } else {
            let hello_too = desk.hello("c").lasting();
            let mut other = hello_too.connect();
            other.subscribe("t", 1);
            other.lose();
            fill(&desk, 1, 0..50);
            desk.client("b").lose();
            assert_eq!(desk.disk_rows(&[Table::Message]), 50);
            assert_eq!(drain(&hello_too.connect()), numbers(0..50));
            assert!(desk.disk(Stored::is_settled));
        }
    }
}

#[test]
fn limits_count_what_is_on_disk() {
    let desk = Desk::with(|settings| {
        settings.queue_head = QueueHead { messages: 3, bytes: 1 << 20 };
        settings.max_queued_messages = 50;
    });
    let hello = desk.hello("s").lasting();
    let mut subscriber = hello.connect();
    subscriber.subscribe("t", 1);
    subscriber.lose();
    fill(&desk, 1, 0..40);
    desk.restart();
    fill(&desk, 1, 40..70);
    assert_eq!(desk.metric(Metric::DroppedQueueFull), 20);
    assert_eq!(drain(&hello.connect()), numbers(0..50));
}

#[test]
fn subscription_identifiers_and_flags_come_back() {
    let desk = desk(1);
    let hello = desk.hello("s").version(V5).lasting();
    let subscriber = hello.connect();
    subscriber.send(subscribe(1, "t", 2).with(Property::SubscriptionIdentifier(7)));
    subscriber.expect([suback(1, [2])]);
    subscriber.lose();
    fill(&desk, 1, 0..20);
    for restart in [false, true] {
        if restart {
            desk.restart();
        }
        let subscriber = hello.connect();
        let received = subscriber.acknowledge_all();
        assert_eq!(received.len(), 20);
        for packet in received {
            let wanted = publish("t", packet.text()).at(packet.qos, packet.id);
            assert_eq!(packet, wanted.with(Property::SubscriptionIdentifier(7)));
        }
        subscriber.lose();
        fill(&desk, 1, 0..20);
    }
}

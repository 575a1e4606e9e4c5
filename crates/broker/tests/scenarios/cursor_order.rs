//! What cursors say, in order: of sessions that drop what they may not have, and of sources that are long gone.

use noctule_broker::QueueHead;

use crate::desk::*;

/// How long a cursor may wait until it is stored, and a little more.
const LAG: f64 = 0.6;

fn texts(packets: &[Wire]) -> Vec<String> {
    packets.iter().map(Wire::text).collect()
}

/// Two shards. On the first `long` waits, with one message in memory; on the second `s`, which may have `yes/#` only.
fn two_shards(head: usize) -> (Desk, Hello) {
    let desk = Desk::sharded(2, |settings| {
        settings.queue_head = QueueHead { messages: head, bytes: 1 << 20 };
        settings.max_queued_messages = 0;
        settings.listeners[0].access = acl("
            topic #
            user r
            topic read yes/#");
    });
    let mut long = desk.hello("long").lasting().connect();
    long.subscribe("+/1", 1);
    long.lose();
    let hello = desk.hello("s").lasting().user_name("r");
    let mut s = hello.connect();
    s.subscribe("#", 1);
    s.lose();
    (desk, hello)
}

fn kept_between(head: usize) {
    let (desk, hello) = two_shards(head);
    assert_eq!(desk.next_shard(), 0);
    let p = desk.client("p");
    p.send_all([publish("yes/1", "fill").qos1(1), publish("yes/1", "fill2").qos1(2)]);
    p.take();
    p.send_all([
        publish("no/1", "a").qos1(3),
        publish("yes/1", "wanted").qos1(4),
        publish("no/1", "b").qos1(5),
    ]);
    p.expect([puback(3), puback(4), puback(5)]);
    desk.sleep(LAG);
    desk.restart();
    assert_eq!(texts(&hello.connect().acknowledge_all()), ["fill", "fill2", "wanted"]);
}

#[test]
fn what_was_let_in_between_two_that_were_not_is_kept() {
    kept_between(1);
}

#[test]
fn the_same_without_anything_on_the_disk() {
    kept_between(1_000);
}

fn in_order(head: usize) {
    let (desk, hello) = two_shards(head);
    let p0 = desk.client("p");
    // On the second shard too, so that `no/2` has a list of two and none of it is on disk.
    let mut other = desk.hello("other").lasting().connect();
    other.subscribe("no/2", 1);
    p0.send_all([publish("yes/1", "fill").qos1(1), publish("yes/1", "fill2").qos1(2)]);
    p0.take();
    p0.send_all([
        publish("no/1", "a").qos1(3),
        publish("no/2", "b").qos1(4),
        publish("yes/1", "wanted").qos1(5),
    ]);
    p0.expect([puback(3), puback(4), puback(5)]);
    desk.sleep(LAG);
    desk.restart();
    assert_eq!(texts(&hello.connect().acknowledge_all()), ["fill", "fill2", "wanted"]);
}

#[test]
fn what_is_dropped_at_once_and_later_in_the_turn_is_stored_in_order() {
    in_order(1);
}

#[test]
fn the_same_in_order_without_anything_on_the_disk() {
    in_order(1_000);
}

/// A cursor knows a source of which nothing else is left.
fn used_twice(back: u64) {
    let desk = Desk::sharded(1, |_| {});
    let sub = |id: &str, filter: &str| {
        let mut client = desk.hello(id).lasting().connect();
        client.subscribe(filter, 1);
        client.lose();
    };
    sub("keeper", "a");
    sub("x", "b");
    let hello = desk.hello("s").lasting();
    let mut s = hello.connect();
    s.subscribe("a", 1);
    s.subscribe("b", 1);
    desk.client("p").send(publish("a", "first").qos1(1));
    assert_eq!(texts(&s.acknowledge_all()), ["first"]);
    desk.sleep(LAG);
    desk.restart();
    // The second run: what it stores is acknowledged by all.
    desk.sleep(10.0);
    let s = hello.connect();
    let p = desk.client("p");
    p.send(publish("b", "second").qos1(1));
    assert_eq!(texts(&s.acknowledge_all()), ["second"]);
    desk.sleep(LAG);
    assert_eq!(texts(&desk.hello("x").lasting().connect().acknowledge_all()), ["second"]);
    desk.sleep(LAG);
    // The third, with a clock that may have been set back.
    desk.set_wall_back(back);
    desk.restart();
    let p = desk.client("p");
    p.send(publish("b", "third").qos1(1));
    p.expect([puback(1)]);
    desk.sleep(LAG);
    desk.restart();
    assert_eq!(texts(&hello.connect().acknowledge_all()), ["third"]);
}

#[test]
fn a_source_is_not_used_twice_though_the_clock_was_set_back() {
    used_twice(10_000_000);
}

#[test]
fn nor_when_it_goes_on() {
    used_twice(0);
}

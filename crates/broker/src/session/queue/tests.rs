use noctule_protocol::packet::SubscriptionOptions;

use super::*;
use crate::message::{MessageView, SessionNumber};
use crate::retained::Version;

fn delivery(payload: &[u8], kind: Queued) -> Delivery {
    let view = MessageView {
        topic: "t",
        payload,
        properties: b"",
        qos: QoS::AtLeastOnce,
        retain: false,
        expires: None,
        publisher: SessionNumber(1),
    };
    Delivery::new(view.to_message(Sequence::default()), QoS::AtLeastOnce, false, kind)
}

#[test]
fn the_limit_counts_what_waits_and_without_connection_what_is_in_flight_too() {
    let settings = Settings { max_queued_messages: 2, ..Settings::default() };
    let mut queue = Queue::default();
    queue.push(delivery(b"x", Queued::Limited));
    assert!(queue.admits(&settings, true, (20, 0)));
    assert!(queue.admits(&settings, false, (0, 0)));
    assert!(!queue.admits(&settings, false, (1, 0)));
    queue.push(delivery(b"x", Queued::Limited));
    assert!(!queue.admits(&settings, true, (0, 0)));
    queue.pop();
    assert!(queue.admits(&settings, true, (0, 0)));
}

#[test]
fn zero_is_no_limit_and_the_first_limit_reached_wins() {
    let settings = Settings { max_queued_messages: 0, max_queued_bytes: 3, ..Settings::default() };
    let mut queue = Queue::default();
    queue.push(delivery(b"ab", Queued::Limited));
    assert!(queue.admits(&settings, true, (0, 0)));
    queue.push(delivery(b"c", Queued::Limited));
    assert!(!queue.admits(&settings, true, (0, 0)));
    assert!(queue.admits(&Settings { max_queued_bytes: 0, ..settings }, false, (9999, 9999)));
}

#[test]
fn retained_messages_do_not_count() {
    let settings = Settings { max_queued_messages: 1, ..Settings::default() };
    let mut queue = Queue::default();
    queue.push(delivery(b"r", Queued::Retained));
    assert!(queue.admits(&settings, true, (0, 0)) && queue.holds_back_qos0());
    queue.pop();
    assert!(!queue.holds_back_qos0());
}

#[test]
fn replays_stand_in_line() {
    let mut queue = Queue::default();
    let push = |queue: &mut Queue, text: &[u8; 1]| queue.push(delivery(text, Queued::Limited));
    let replay = |filter: &str| Replay {
        filter: filter.into(),
        options: SubscriptionOptions::default(),
        identifier: 0,
        since: Version::ZERO,
        from: None,
    };
    let parts = |texts: &[u8]| texts.iter().map(|text| delivery(&[*text], Queued::Retained)).collect();
    let next = |queue: &mut Queue| match queue.pop_replay() {
        Some(replay) => replay.filter.to_string(),
        None => queue.pop().map_or("-".into(), |d| String::from_utf8(d.message.payload().to_vec()).unwrap()),
    };
    push(&mut queue, b"1");
    push(&mut queue, b"x");
    queue.push_replay(replay("a"));
    push(&mut queue, b"2");
    queue.push_replay(replay("b"));
    queue.push_replay(replay("c"));
    push(&mut queue, b"3");
    assert!(queue.holds_back_qos0());
    assert_eq!(next(&mut queue), "1");
    assert_eq!(queue.extract(|delivery| delivery.message.payload() == b"x").len(), 1);
    assert_eq!(next(&mut queue), "a");
    queue.push_front(parts(b"pq"), Some(replay("a")));
    assert_eq!([(); 3].map(|()| next(&mut queue)), ["p", "q", "a"]);
    queue.push_front(parts(b"r"), None);
    queue.drop_replay("b");
    assert_eq!([(); 4].map(|()| next(&mut queue)), ["r", "2", "c", "3"]);
    assert!(queue.is_empty() && !queue.holds_back_qos0());
    queue.push_replay(replay("d"));
    assert!(!queue.is_empty());
    assert_eq!([(); 2].map(|()| next(&mut queue)), ["d", "-"]);
}

#[test]
fn extract_keeps_order_and_accounts() {
    let mut queue = Queue::default();
    for payload in [b"a", b"b", b"c", b"d"] {
        queue.push(delivery(payload, Queued::Limited));
    }
    let taken = queue.extract(|delivery| delivery.message.payload() > b"b");
    assert_eq!(taken.iter().map(|d| d.message.payload()[0]).collect::<Vec<_>>(), b"cd");
    assert_eq!((queue.limited(), queue.0.unwrap().limited_bytes), (2, 2));
}

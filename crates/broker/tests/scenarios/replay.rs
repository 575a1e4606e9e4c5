//! Replays of more retained messages than are queued at once: they go on as the client reads, in line with the rest.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::{V5, V311};

use crate::desk::*;

const MANY: u32 = 15_000;

/// `t/00000` to `t/14999` are retained.
fn many(desk: &Desk) -> Client {
    let publisher = desk.client_of(V311, "p");
    publisher.send_all((0..MANY).map(|n| publish(&format!("t/{n:05}"), "old").qos1(1).retained()));
    publisher.take();
    publisher
}

/// Reads and acknowledges until nothing comes any more. What is left when a turn's share is used up comes in the
/// next, a moment later.
fn read_all(desk: &Desk, client: &Client) -> Vec<Wire> {
    let mut received = Vec::new();
    loop {
        let part = client.acknowledge_all();
        if part.is_empty() && desk.next_timeout().is_none() {
            return received;
        }
        received.extend(part);
        desk.sleep(0.001);
    }
}

fn names(packets: &[Wire]) -> Vec<u32> {
    packets.iter().map(|packet| packet.topic[2..].parse().expect("a number")).collect()
}

#[test]
fn all_are_sent_in_order() {
    for level in [0, 1] {
        let desk = Desk::new();
        many(&desk);
        let mut client = desk.client("s");
        client.subscribe("#", level);
        assert!(names(&read_all(&desk, &client)).into_iter().eq(0..MANY));
        // And nothing is left behind.
        desk.client("q").send(publish("t/0", "live"));
        client.expect_payloads(["live"]);
        assert_eq!(desk.drops(), []);
    }
}

#[test]
fn live_messages_stand_behind_it_and_are_not_replayed_too() {
    let desk = Desk::new();
    let publisher = many(&desk);
    let mut client = desk.client("s");
    client.stop_reading();
    client.send(subscribe(1, "t/+", 1));
    // The first and the last topic get something new before the replay comes to the last.
    publisher.send(publish("t/00000", "new").qos1(1).retained());
    publisher.send(publish("t/14999", "new").qos1(1).retained());
    publisher.send(publish("t/14998", "new"));
    client.read_on();
    let received = read_all(&desk, &client);
    assert_eq!(received.len() as u32, MANY + 2);
    let last: Vec<_> = received[received.len() - 3..].iter().map(|p| (&p.topic[..], p.flag)).collect();
    assert_eq!(last, [("t/00000", false), ("t/14999", false), ("t/14998", false)]);
    let texts =
        |topic: &str| received.iter().filter(|p| p.topic == topic).map(Wire::text).collect::<Vec<_>>();
    assert_eq!(texts("t/14998"), ["old", "new"]);
    assert_eq!(texts("t/14999"), ["new"]);
    client.subscribe("t/14999", 1);
    client.expect([publish("t/14999", "new").qos1(received.len() as u16).retained()]);
}

#[test]
fn who_subscribes_again_and_again_without_reading_makes_nothing_pile_up() {
    let desk = Desk::with(|settings| settings.outbox_bytes_max = 10_000);
    many(&desk);
    let client = desk.client("s");
    client.stop_reading();
    for n in 1..=50 {
        client.send(subscribe(n, "#", 0).and("t/#", 0).and("+/+", 0));
    }
    client.read_on();
    let received = read_all(&desk, &client).len();
    // Not 50 times 3 times MANY: a filter's replay begins again, and few messages are queued at once.
    assert!((3 * MANY as usize..5 * MANY as usize).contains(&received), "{received}");
}

#[test]
fn unsubscribing_ends_it() {
    let desk = Desk::new();
    many(&desk);
    let mut client = desk.client("s");
    client.stop_reading();
    client.send(subscribe(1, "#", 0).and("$share/g/#", 0));
    client.send(unsubscribe(2, ["#"]));
    client.read_on();
    let received = read_all(&desk, &client).len();
    assert!(received < MANY as usize, "{received}");
    // A shared subscription to the same filter has no replay to end.
    client.subscribe("#", 0);
    read_all(&desk, &client);
    client.stop_reading();
    client.send(subscribe(3, "#", 0));
    client.send(unsubscribe(4, ["$share/g/#"]));
    client.read_on();
    assert_eq!(read_all(&desk, &client).len(), MANY as usize);
}

#[test]
fn it_goes_on_after_the_connection_was_lost() {
    for version in [V311, V5] {
        let desk = Desk::with(|settings| settings.outbox_bytes_max = 10_000);
        many(&desk);
        let hello = desk.hello("s").version(version).lasting();
        let client = hello.connect();
        client.stop_reading();
        client.send(subscribe(1, "t/+", 1));
        client.lose();
        let client = hello.connect();
        assert!(names(&read_all(&desk, &client)).into_iter().eq(0..MANY));
        assert!(desk.disk(Stored::is_settled));
    }
}

#[test]
fn a_filter_that_matches_nothing_does_not_hold_the_shard_up() {
    let desk = Desk::new();
    let publisher = many(&desk);
    let client = desk.client("s");
    client.send_all((1..=20).map(|n| subscribe(n, &format!("+/+/{n}"), 0)));
    assert_eq!(client.take().len(), 20);
    // The walks go on by themselves, and live messages wait for them.
    publisher.send(publish("a/b/1", "live"));
    assert!(desk.next_timeout().is_some_and(|seconds| seconds <= 0.001));
    client.expect_nothing();
    desk.sleep(0.1);
    client.expect_payloads(["live"]);
    assert_eq!(desk.next_timeout(), None);
}

#[test]
fn a_session_that_ends_meanwhile_takes_it_along() {
    let desk = Desk::new();
    many(&desk);
    let client = desk.client("s");
    client.stop_reading();
    client.send(subscribe(1, "#", 1));
    client.lose();
    desk.sleep(1.0);
    assert_eq!(desk.session_count(), 1);
    let drops = desk.drops();
    assert!(matches!(drops[..], [(Metric::DroppedSessionEnded, n)] if n < u64::from(MANY)), "{drops:?}");
}

#[test]
fn a_qos_2_message_that_came_live_is_not_replayed_too() {
    let desk = Desk::new();
    let publisher = many(&desk);
    // Sent before the subscription, released after it.
    publisher.send(publish("t/14999", "new").qos2(9).retained());
    let client = desk.client("s");
    client.stop_reading();
    client.send(subscribe(1, "t/+", 2));
    publisher.send(pubrel(9));
    client.read_on();
    let received = read_all(&desk, &client);
    let new: Vec<_> = received.iter().filter(|p| p.text() == "new").map(|p| p.flag).collect();
    assert_eq!(new, [false]);
}

#[test]
fn many_replays_in_line_cost_no_more_than_their_number() {
    const FILTERS: u32 = 100_000;
    let desk = Desk::new();
    let client = desk.client("s");
    let filters = |range: std::ops::Range<u32>| {
        range.fold(subscribe(1, "t", 0), |packet, n| packet.and(&format!("t/{n}"), 0))
    };
    // More than one turn looks at, so that most of them wait; then all of them begin again.
    #[expect(clippy::disallowed_methods, reason = "the cost is what is tested")]
    let started = std::time::Instant::now();
    client.send(filters(0..FILTERS));
    client.send(filters(0..FILTERS));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert_eq!(client.take().len(), 2);
    desk.client("p").send(publish("t/1", "live"));
    assert_eq!(names(&read_all(&desk, &client)), [1]);
    assert_eq!(desk.next_timeout(), None);
}

#[test]
fn nobody_is_woken_for_a_replay_that_is_over() {
    let desk = Desk::sharded(1, |_| {});
    many(&desk);
    for how in 0..4 {
        let client = desk.client("s");
        desk.hold_turns();
        client.send(subscribe(1, "#", 0));
        assert!(desk.next_timeout().is_some(), "a part is left for another turn");
        match how {
            0 => client.send(unsubscribe(2, ["#"])),
            1 => client.lose(),
            2 => drop(desk.hello("s").send()), // Takes the session over and ends it.
            _ => {
                desk.end_turns();
                assert_eq!(client.take().len() as u32, MANY + 1);
            }
        }
        assert_eq!(desk.next_timeout(), None, "{how}");
        desk.end_turns();
    }
}

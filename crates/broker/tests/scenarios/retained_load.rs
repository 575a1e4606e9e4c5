//! What is retained is read from the disk while clients are served already.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::property::Property;

use crate::desk::*;

/// A broker with so many retained messages `t/0`, `t/1`, …, killed, that has loaded none of them.
fn unloaded(count: usize) -> Desk {
    let desk = Desk::new();
    let publisher = desk.client("p");
    for number in 0..count {
        publisher.send(publish(&format!("t/{number}"), number.to_string()).retained());
    }
    desk.restart_unloaded();
    desk
}

fn texts(received: &[Wire]) -> Vec<String> {
    received.iter().map(Wire::text).collect()
}

#[test] // [MQTT-3.3.1-9] [MQTT311-3.3.1-6]
fn a_subscription_waits_for_what_is_retained_for_it() {
    for version in VERSIONS {
        let desk = unloaded(3);
        let [first, last, none, all] = ["1", "2", "3", "4"].map(|id| desk.client_of(version, id));
        first.send(subscribe(1, "t/0", 0));
        last.send(subscribe(1, "t/2", 0));
        none.send(subscribe(1, "a/+", 0));
        all.send_all([subscribe(1, "#", 0), publish("u", "behind").qos1(2)]);
        [&first, &last, &none, &all].into_iter().for_each(Client::expect_nothing);
        desk.load_retained(1);
        none.expect([suback(1, [0])]);
        first.expect([suback(1, [0]), publish("t/0", "0").retained()]);
        last.expect_nothing();
        desk.load_retained(1);
        [&first, &last, &none, &all].into_iter().for_each(Client::expect_nothing);
        desk.load_retained(1);
        last.expect([suback(1, [0]), publish("t/2", "2").retained()]);
        let retained = ["0", "1", "2"].map(|text| publish(&format!("t/{text}"), text).retained());
        let received = all.take();
        assert_eq!(received[0], suback(1, [0]));
        assert!(retained.iter().all(|message| received.contains(message)), "{received:?}");
        assert!(received.contains(&puback(2)) && received.contains(&publish("u", "behind")));
    }
}

#[test]
fn what_needs_nothing_retained_does_not_wait() {
    let desk = unloaded(2);
    let mut client = desk.client_of(V5, "c");
    client.subscribe("$share/g/t/+", 0);
    client.send(subscribe(7, "t/+", qos(0).retain_handling(NEVER_AGAIN)));
    client.expect([suback(7, [0])]);
    desk.client("p").send(publish("t/0", "new").retained());
    client.take();
    client.send(subscribe(8, "t/0", 0));
    client.expect([suback(8, [0]), publish("t/0", "new").retained()]);
}

#[test]
fn who_went_away_meanwhile_is_forgotten() {
    let desk = unloaded(2);
    let hello = desk.hello("c").lasting();
    let client = hello.connect();
    client.send(subscribe(1, "t/+", 0));
    client.lose();
    while desk.load_retained(1) {}
    // It had no SUBACK.
    assert_eq!(desk.subscription_count(), 0);
    hello.connect().expect_nothing();
}

#[test] // [MQTT-3.3.1-5] [MQTT311-3.3.1-5]
fn what_clients_retain_meanwhile_is_newer() {
    let desk = unloaded(3);
    desk.client("p").send_all([publish("t/1", "new").retained(), publish("t/9", "new").retained()]);
    while desk.load_retained(1) {}
    let mut late = desk.client("late");
    late.subscribe("t/+", 0);
    assert_eq!(texts(&late.take()), ["0", "new", "2", "new"]);
    desk.restart();
    let mut late = desk.client("late");
    late.subscribe("t/+", 0);
    assert_eq!(texts(&late.take()), ["0", "new", "2", "new"]);
}

#[test] // [MQTT-3.3.1-6] [MQTT311-3.3.1-10]
fn what_clients_clear_meanwhile_does_not_come_back() {
    for qos in 0..=1 {
        let desk = unloaded(3);
        let publisher = desk.client("p");
        let clear = |topic: &str| match qos {
            0 => publish(topic, "").retained(),
            _ => publish(topic, "").qos1(1).retained(),
        };
        publisher.send_all([clear("t/0"), publish("t/1", "new").retained(), clear("t/1")]);
        while desk.load_retained(1) {}
        publisher.send(clear("t/2"));
        for _ in 0..2 {
            let mut client = desk.client("c");
            client.subscribe("t/+", 0);
            client.expect_nothing();
            assert_eq!((desk.retained_count(), desk.disk(|disk| disk.retained.len())), (0, 0));
            desk.restart();
        }
    }
}

#[test]
fn what_has_expired_is_swept_out() {
    let desk = Desk::new();
    let brief = publish("t", "brief").retained().with(Property::MessageExpiryInterval(10));
    desk.client("p").send_all([brief, publish("u", "x").retained()]);
    desk.restart_unloaded();
    desk.sleep(11.0);
    while desk.load_retained(1) {}
    let mut client = desk.client("c");
    client.subscribe("#", 0);
    client.expect([publish("u", "x").retained()]);
    desk.sleep(61.0);
    assert_eq!((desk.retained_count(), desk.disk(|disk| disk.retained.len())), (1, 1));
    assert_eq!(desk.drops(), [(Metric::DroppedExpired, 1)]);
}

//! What is refused while the store has little room left, and what goes on.

use noctule_broker::metric::Metric;
use noctule_broker::record::Table;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::ReasonCode as Reason;

use crate::desk::*;

/// A session that lasts and is away, subscribed to `kept` with QoS 1.
fn leave_a_session(desk: &Desk) {
    let mut away = desk.hello("away").lasting().connect();
    away.subscribe("kept", 1);
    away.lose();
}

#[test]
fn what_would_be_kept_is_refused_and_what_would_not_goes_on() {
    let desk = Desk::new();
    leave_a_session(&desk);
    let mut here = desk.client("here");
    here.subscribe("live", 1);
    let publisher = desk.client("p");
    desk.set_store_low(true);
    publisher.send_all([
        publish("kept", "1").qos1(1),
        publish("kept", "2").qos2(2),
        publish("kept", "3"),
        publish("live", "4").qos1(4),
        publish("live", "5").qos1(5).retained(),
        publish("live", "6").retained(),
        publish("nobody", "7").qos1(7),
    ]);
    publisher.expect([
        puback(1).reason(Reason::QuotaExceeded),
        pubrec(2).reason(Reason::QuotaExceeded),
        puback(4),
        puback(5).reason(Reason::QuotaExceeded),
        puback(7).reason(Reason::NoMatchingSubscribers),
    ]);
    here.expect_payloads(["4"]);
    assert_eq!(desk.metric(Metric::RefusedStoreFull), 3);
    // The third went to nobody: QoS 0 does not wait for who is away.
    assert_eq!(desk.drops(), [(Metric::DroppedOffline, 1), (Metric::DroppedStoreFull, 1)]);
    assert_eq!(desk.retained_count(), 0);
    desk.set_store_low(false);
    publisher.send_all([publish("kept", "8").qos1(8), publish("live", "9").retained()]);
    publisher.expect([puback(8)]);
    assert_eq!(desk.retained_count(), 1);
}

#[test] // [MQTT311-4.8.0-2]
fn an_old_client_is_never_told_that_it_was_kept() {
    for version in [V31, V311] {
        for message in [publish("kept", "1").qos1(1), publish("kept", "1").qos1(1).retained()] {
            let desk = Desk::new();
            leave_a_session(&desk);
            let old = desk.client_of(version, "old");
            desk.set_store_low(true);
            old.send(message);
            old.expect_closed();
            assert_eq!(desk.metric(Metric::RefusedStoreFull), 1);
        }
    }
}

#[test]
fn a_subscription_of_a_session_that_lasts_is_refused() {
    for (version, code) in [(V31, 0x80), (V311, 0x80), (V5, Reason::QuotaExceeded.code())] {
        let desk = Desk::new();
        let lasting = desk.hello("lasting").version(version).lasting().connect();
        let passing = desk.client_of(version, "passing");
        desk.set_store_low(true);
        for client in [&lasting, &passing] {
            client.send(subscribe(1, "a", 1));
        }
        lasting.expect([suback(1, [code])]);
        passing.expect([suback(1, [1])]);
        assert_eq!(desk.metric(Metric::SubscriptionsRefusedStoreFull), 1);
    }
}

#[test]
fn a_new_session_that_would_last_is_refused_and_a_known_one_is_not() {
    for version in VERSIONS {
        let desk = Desk::new();
        let known = desk.hello("known").version(version).lasting();
        known.connect().lose();
        desk.set_store_low(true);
        let late = desk.hello("late").version(version).lasting().send();
        late.expect([connack(if version == V5 { Reason::QuotaExceeded.code() } else { 3 })]);
        assert!(late.is_closed());
        desk.hello("passing").version(version).connect();
        known.connect();
        assert_eq!(desk.metric(Metric::ConnectsRefusedStoreFull), 1);
        desk.set_store_low(false);
        desk.hello("late").version(version).lasting().connect();
    }
}

#[test]
fn what_gives_room_back_goes_on() {
    let desk = Desk::new();
    leave_a_session(&desk);
    let publisher = desk.client("p");
    publisher.send_all([publish("kept", "1").qos1(1), publish("r", "2").qos1(2).retained()]);
    publisher.expect([puback(1), puback(2).reason(Reason::NoMatchingSubscribers)]);
    let lasting = desk.hello("held").lasting().connect();
    lasting.send(publish("kept", "3").qos2(3));
    lasting.expect([pubrec(3)]);
    desk.set_store_low(true);
    publisher.send(publish("r", "").qos1(4).retained());
    publisher.expect([puback(4).reason(Reason::NoMatchingSubscribers)]);
    assert_eq!(desk.retained_count(), 0);
    // It was promised.
    lasting.send_all([publish("kept", "3").qos2(3).dup(), pubrel(3)]);
    lasting.expect([pubrec(3), pubcomp(3)]);
    let back = desk.hello("away").resume().lasting().connect();
    assert_eq!(back.payloads(), ["1", "3"]);
}

#[test]
fn qos_0_that_is_upgraded_is_not_kept_either() {
    let desk = Desk::sharded(1, |settings| settings.upgrade_outgoing_qos = true);
    let mut away = desk.hello("away").lasting().connect();
    away.subscribe("t", 1);
    away.lose();
    let p = desk.client("p");
    desk.set_store_low(true);
    p.send_all((0..50).map(|n| publish("t", n.to_string())));
    assert_eq!(desk.disk_rows(&[Table::Message]), 0);
}

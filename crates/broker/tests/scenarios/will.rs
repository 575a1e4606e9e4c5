//! The Will Message.

use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::QoS;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;

use crate::desk::*;

/// A desk and a client that watches everything.
fn watched() -> (Desk, Client) {
    let desk = Desk::new();
    let mut watcher = desk.client("watcher");
    watcher.subscribe("#", 2);
    (desk, watcher)
}

#[test] // [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT311-3.1.2-8] [MQTT311-3.1.2-10]
fn published_once_when_the_connection_is_lost() {
    for version in VERSIONS {
        for end in [Client::lose, Client::fail] {
            let (desk, watcher) = watched();
            let client = desk.hello("a").version(version).will(will("gone", "a")).connect();
            watcher.expect_nothing();
            end(&client);
            watcher.expect([publish("gone", "a")]);
            desk.sleep(1000.0);
            watcher.expect_nothing();
        }
    }
}

#[test] // [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT311-3.14.4-3] [MQTT311-3.1.2-10]
fn discarded_by_a_normal_disconnect() {
    for version in VERSIONS {
        let (desk, watcher) = watched();
        let client = desk.hello("a").version(version).lasting().will(will("gone", "a")).connect();
        client.send(disconnect());
        client.expect_closed();
        // Nothing behind DISCONNECT counts, and a lost connection later neither.
        desk.sleep(1000.0);
        watcher.expect_nothing();
    }
}

#[test] // [MQTT-3.1.2-8]
fn kept_by_every_other_disconnect() {
    for reason in [
        Reason::DisconnectWithWillMessage,
        Reason::UnspecifiedError,
        Reason::ProtocolError,
        Reason::AdministrativeAction,
        Reason::PayloadFormatInvalid,
    ] {
        let (desk, watcher) = watched();
        let client = desk.hello("a").will(will("gone", "a")).connect();
        client.send(disconnect().reason(reason));
        client.expect_closed();
        watcher.expect([publish("gone", "a")]);
    }
}

#[test] // [MQTT-3.14.2-1]
fn a_reason_that_only_a_server_gives_is_a_protocol_error() {
    let (desk, watcher) = watched();
    let client = desk.hello("a").will(will("gone", "a")).connect();
    client.send(disconnect().reason(Reason::SessionTakenOver));
    client.expect_end(Reason::ProtocolError);
    watcher.expect([publish("gone", "a")]);
}

#[test] // [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
fn published_after_a_protocol_error_and_after_silence() {
    for version in VERSIONS {
        let (desk, watcher) = watched();
        let client = desk.hello("a").version(version).will(will("gone", "error")).connect();
        client.send(pingresp());
        watcher.expect([publish("gone", "error")]);
        desk.hello("a").version(version).keep_alive(10).will(will("gone", "silence")).connect();
        desk.sleep(15.1);
        watcher.expect([publish("gone", "silence")]);
    }
}

#[test] // [MQTT311-3.1.2-12]
fn who_left_none_publishes_none() {
    for version in VERSIONS {
        let (desk, watcher) = watched();
        desk.client_of(version, "a").lose();
        watcher.expect_nothing();
    }
}

#[test] // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT311-3.1.2-16] [MQTT311-3.1.2-17]
fn at_its_qos_and_retained_or_not() {
    for version in VERSIONS {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (desk, watcher) = watched();
            desk.hello("a").version(version).will(will("gone", "a").qos(qos)).connect().lose();
            watcher.expect([publish("gone", "a").at(qos, 1)]);
            assert_eq!(desk.retained_count(), 0);
            desk.hello("a").version(version).will(will("gone", "a").qos(qos).retained()).connect().lose();
            assert_eq!(watcher.acknowledge_all().len(), 1);
            let mut late = desk.client("late");
            late.subscribe("gone", 2);
            late.expect([publish("gone", "a").at(qos, 1).retained()]);
        }
    }
}

#[test] // [MQTT-3.1.3-10]
fn with_its_properties() {
    let (desk, watcher) = watched();
    let properties = [
        Property::UserProperty("b", "1"),
        Property::PayloadFormatIndicator(1),
        Property::ContentType("text/plain"),
        Property::UserProperty("a", "2"),
        Property::ResponseTopic("back"),
        Property::CorrelationData(b"7"),
    ];
    let testament = properties.iter().fold(will("gone", "a").delay(3), |will, property| will.with(*property));
    desk.hello("a").expiry(10).will(testament.with(Property::MessageExpiryInterval(60))).connect().lose();
    desk.sleep(3.0);
    let expected = properties.iter().fold(publish("gone", "a"), |packet, property| packet.with(*property));
    // Its expiry counts from its publication.
    watcher.expect([expected.with(Property::MessageExpiryInterval(60))]);
}

#[test] // [MQTT-3.1.2-8]
fn the_delay_passes_before_it_is_published() {
    let (desk, watcher) = watched();
    desk.hello("a").expiry(100).will(will("gone", "a").delay(10)).connect().lose();
    desk.sleep(9.9);
    watcher.expect_nothing();
    desk.sleep(0.2);
    watcher.expect([publish("gone", "a")]);
    desk.sleep(1000.0);
    watcher.expect_nothing();
}

#[test] // [MQTT-3.1.2-8]
fn the_sessions_end_does_not_wait_for_the_delay() {
    let (desk, watcher) = watched();
    // By expiry.
    desk.hello("a").expiry(5).will(will("gone", "1").delay(10)).connect().lose();
    desk.sleep(5.1);
    watcher.expect([publish("gone", "1")]);
    desk.sleep(10.0);
    // With its connection.
    desk.hello("a").will(will("gone", "2").delay(10)).connect().lose();
    watcher.expect([publish("gone", "2")]);
    // By a clean start.
    desk.hello("a").expiry(50).will(will("gone", "3").delay(10)).connect().lose();
    desk.client("a");
    watcher.expect([publish("gone", "3")]);
    // By DISCONNECT that ends it at once.
    let client = desk.hello("a").expiry(50).will(will("gone", "4").delay(10)).connect();
    let end_now = Property::SessionExpiryInterval(0);
    client.send(disconnect().reason(Reason::DisconnectWithWillMessage).with(end_now));
    watcher.expect([publish("gone", "4")]);
    desk.sleep(1000.0);
    watcher.expect_nothing();
}

#[test] // [MQTT-3.1.3-9]
fn who_comes_back_in_time_sends_no_will() {
    let (desk, watcher) = watched();
    let hello = desk.hello("a").resume().expiry(100);
    let with_will = hello.clone().will(will("gone", "a").delay(10));
    with_will.connect().lose();
    desk.sleep(9.0);
    let client = with_will.connect();
    desk.sleep(100.0);
    watcher.expect_nothing();
    // Its new will is as good as the first.
    client.lose();
    desk.sleep(10.1);
    watcher.expect([publish("gone", "a")]);
    // A connection without will has none.
    hello.connect().lose();
    desk.sleep(1000.0);
    watcher.expect_nothing();
}

#[test] // [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
fn a_take_over_publishes_it_unless_it_is_delayed_and_the_session_goes_on() {
    for version in VERSIONS {
        let (desk, watcher) = watched();
        let hello = desk.hello("a").version(version);
        let lasting = hello.clone().lasting();
        lasting.clone().will(will("gone", "1")).connect();
        lasting.connect();
        watcher.expect([publish("gone", "1")]);
        hello.clone().will(will("gone", "2")).connect();
        hello.connect();
        watcher.expect([publish("gone", "2")]);
    }
    let (desk, watcher) = watched();
    let lasting = desk.hello("a").lasting();
    let delayed = |text| lasting.clone().will(will("gone", text).delay(10));
    delayed("1").connect();
    delayed("2").connect();
    desk.sleep(100.0);
    watcher.expect_nothing(); // [MQTT-3.1.3-9]
    desk.client("a"); // Clean Start ends the session.
    watcher.expect([publish("gone", "2")]);
}

#[test]
fn a_will_nobody_may_publish_is_dropped() {
    let desk = Desk::new();
    let mut watcher = desk.client("watcher");
    watcher.subscribe("$SYS/#", 2);
    desk.hello("a").will(will("$SYS/broker/uptime", "0").retained()).connect().lose();
    watcher.expect_nothing();
    assert_eq!(desk.retained_count(), 0);
    assert_eq!(desk.drops(), [(noctule_broker::metric::Metric::DroppedDenied, 1)]);
    // Mosquitto's bridges tell their state there.
    desk.hello("b").will(will("$SYS/broker/connection/b/state", "0")).connect().lose();
    watcher.expect([publish("$SYS/broker/connection/b/state", "0")]);
}

#[test]
fn a_will_reaches_sessions_that_are_away() {
    for version in [V31, V311, V5] {
        let desk = Desk::new();
        let hello = desk.hello("s").version(version).lasting();
        let mut subscriber = hello.connect();
        subscriber.subscribe("gone", 1);
        subscriber.lose();
        desk.hello("a").will(will("gone", "a").qos(QoS::AtLeastOnce)).connect().lose();
        hello.connect().expect([publish("gone", "a").qos1(1)]);
    }
}

#[test]
fn a_session_may_get_its_own_will() {
    let desk = Desk::new();
    let hello = desk.hello("a").lasting();
    let mut client = hello.clone().will(will("gone", "a").qos(QoS::AtLeastOnce)).connect();
    client.subscribe("gone", 1);
    client.lose();
    hello.connect().expect([publish("gone", "a").qos1(1)]);
}

#[test]
fn stored_with_its_session_and_gone_once_published() {
    let desk = Desk::new();
    let wills = || desk.disk(|disk| disk.sessions.iter().filter(|session| session.will.is_some()).count());
    let client = desk.hello("a").expiry(100).will(will("gone", "a").delay(10)).connect();
    assert_eq!(wills(), 1); // [MQTT-3.1.2-7]
    client.lose();
    assert_eq!(wills(), 1);
    desk.sleep(11.0);
    assert_eq!(wills(), 0);
    let client = desk.hello("a").expiry(100).will(will("gone", "a")).connect();
    assert_eq!(wills(), 1);
    client.send(disconnect());
    assert_eq!(wills(), 0);
}

#[test]
fn a_broker_that_ends_publishes_wills_and_says_good_bye() {
    for version in VERSIONS {
        let (desk, watcher) = watched();
        let client = desk.hello("a").version(version).will(will("gone", "a")).connect();
        desk.shut_down();
        client.expect_end(Reason::ServerShuttingDown);
        let last: Vec<_> = watcher.take().iter().map(|packet| packet.kind.name()).collect();
        assert_eq!(last, ["PUBLISH", "DISCONNECT"]);
        assert!(watcher.is_closed());
        assert_eq!(desk.session_count(), 0);
    }
}

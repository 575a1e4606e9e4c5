//! Levels 0x83 and 0x84: a Mosquitto bridge comes in. It gets no echo, and RETAIN as published.

use noctule_protocol::ProtocolVersion::{V31, V311};

use crate::desk::*;

#[test]
fn no_echo_and_retain_as_published() {
    for version in [V31, V311] {
        let desk = Desk::new();
        let mut bridge = desk.hello("bridge").version(version).bridge().connect();
        bridge.subscribe("#", 1);
        bridge.send(publish("t", "mine").qos1(1));
        bridge.expect([puback(1)]);
        desk.client("p").send_all([publish("t", "1").retained(), publish("t", "2")]);
        bridge.expect([publish("t", "1").retained(), publish("t", "2")]);
        // Nor does its own retained message come back with a subscription.
        bridge.send(publish("u", "mine").retained());
        bridge.subscribe("u", 1);
        bridge.expect_nothing();
        assert!(desk.log().iter().any(|line| line.starts_with("New bridge connected from ")));
    }
}

#[test]
fn a_bridge_may_share_subscriptions() {
    let desk = Desk::new();
    let mut bridge = desk.hello("bridge").v311().bridge().connect();
    bridge.subscribe("$share/g/t", 0);
    desk.client("p").send(publish("t", "x"));
    bridge.expect_payloads(["x"]);
}

#[test]
fn a_bridges_session_and_will_are_as_any_others() {
    let desk = Desk::new();
    let state = "$SYS/broker/connection/bridge/state";
    let mut watcher = desk.client("w");
    watcher.subscribe("$SYS/broker/connection/+/state", 0);
    let hello = desk.hello("bridge").v311().bridge().lasting().will(will(state, "0").retained());
    let mut bridge = hello.connect();
    bridge.send(publish(state, "1").retained());
    bridge.subscribe("out/#", 1);
    bridge.lose();
    watcher.expect([publish(state, "1"), publish(state, "0")]);
    desk.client("p").send(publish("out/1", "x").qos1(1));
    let bridge = hello.connect();
    assert!(bridge.session_present);
    bridge.expect([publish("out/1", "x").qos1(1)]);
}

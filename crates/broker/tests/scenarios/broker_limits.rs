//! Limits that an administrator sets: on payloads, on sessions, on how long expired messages stay.

use noctule_broker::metric::Metric;
use noctule_protocol::ProtocolVersion::V5;
use noctule_protocol::ReasonCode as Reason;
use noctule_protocol::property::Property;
use noctule_protocol::{ConnectReturnCode, QoS};

use crate::desk::*;

#[test]
fn a_payload_above_message_size_limit_is_acknowledged_and_dropped() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.message_size_limit = 3);
        let mut watcher = desk.client("w");
        watcher.subscribe("#", 2);
        let client = desk.client_of(version, "a");
        let code = Reason::ImplementationSpecificError;
        client.send(publish("t", "long").retained());
        client.expect_nothing();
        client.send(publish("t", "long").qos1(1));
        client.expect([puback(1).reason(code)]);
        client.send(publish("t", "long").qos2(2));
        client.expect([pubrec(2).reason(code)]);
        if version != V5 {
            client.send(pubrel(2));
            client.expect([pubcomp(2)]);
        }
        client.send(publish("t", "four").qos1(2)); // Its identifier is free again.
        client.expect([puback(2).reason(code)]);
        assert_eq!((watcher.take(), desk.retained_count()), (vec![], 0));
        assert_eq!(desk.metric(Metric::DroppedPayloadTooLarge), 4);
        client.send(publish("t", "abc"));
        assert_eq!(watcher.payloads(), ["abc"]);
    }
}

#[test]
fn in_a_burst_only_those_above_it_are_dropped() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let desk = Desk::with(|settings| settings.message_size_limit = 3);
        let mut watcher = desk.client("w");
        watcher.subscribe("t", 0);
        let client = desk.client("a");
        let payloads = ["1", "long", "2", "long", "long", "3", "abcd", "4"];
        client.send_all((1..).zip(payloads).map(|(id, payload)| publish("t", payload).at(qos, id)));
        client.acknowledge_all();
        assert_eq!(watcher.payloads(), ["1", "2", "3", "4"]);
    }
}

#[test]
fn a_will_above_it_is_refused_with_its_connect() {
    let desk = Desk::with(|settings| settings.message_size_limit = 3);
    for version in VERSIONS {
        let client = desk.hello("a").version(version).will(will("t", "long")).send();
        let refusal = match version {
            V5 => connack(Reason::PacketTooLarge.code()),
            _ => refused(ConnectReturnCode::NotAuthorised),
        };
        client.expect([refusal]);
        assert!(client.is_closed());
        desk.hello("a").version(version).will(will("t", "abc")).connect();
    }
}

#[test]
fn global_max_clients_counts_sessions() {
    for version in VERSIONS {
        let desk = Desk::with(|settings| settings.global_max_clients = 2);
        let client = |id: &str| desk.hello(id).version(version);
        let lasting = client("a").lasting().connect();
        lasting.lose();
        let _second = client("b").connect();
        let refuse = |hello: Hello| {
            let client = hello.send();
            let refusal = match version {
                V5 => connack(Reason::ServerBusy.code()),
                _ => refused(ConnectReturnCode::ServerUnavailable),
            };
            client.expect([refusal]);
            assert!(client.is_closed());
        };
        refuse(client("c"));
        // Whoever has a session may come, and take it over, or begin a new one.
        client("a").lasting().connect();
        client("b").connect().send(disconnect());
        client("c").connect();
        refuse(client("b"));
        desk.change_settings(|settings| settings.global_max_clients = 3);
        client("b").connect();
        desk.change_settings(|settings| settings.global_max_clients = 0);
        client("d").connect();
    }
}

#[test]
fn expired_retained_messages_go_by_retain_expiry_interval() {
    let minutes = |minutes: u64| std::time::Duration::from_secs(minutes * 60);
    let desk = Desk::sharded(1, |settings| settings.retain_expiry_interval = minutes(100));
    let client = desk.client("a");
    let expiring = |topic| publish(topic, "x").retained().with(Property::MessageExpiryInterval(1));
    client.send(expiring("t"));
    desk.sleep(99.0 * 60.0);
    assert_eq!(desk.retained_count(), 1);
    desk.sleep(120.0);
    assert_eq!(desk.retained_count(), 0);
    client.send(expiring("t"));
    // Another interval counts at once.
    desk.change_settings(|settings| settings.retain_expiry_interval = minutes(5));
    desk.sleep(301.0);
    assert_eq!(desk.retained_count(), 0);
    client.send(expiring("t"));
    desk.sleep(301.0);
    assert_eq!(desk.retained_count(), 0);
    // An expired message is not delivered, whenever it is taken out.
    client.send(expiring("t"));
    desk.sleep(2.0);
    let mut late = desk.client("b");
    late.subscribe("#", 0);
    late.expect_nothing();
}

//! Debian's Mosquitto as a bridge into the broker, in both directions.

use e2e::{Broker, eventually};

/// A Mosquitto that bridges to `broker`; reconnecting is tried every second.
fn bridge(broker: &Broker, version: &str, topics: &str) -> Broker {
    let port = broker.port();
    Broker::debian(&format!(
        "connection bridge\naddress 127.0.0.1:{port}\nbridge_protocol_version {version}\n\
         restart_timeout 1\nremote_clientid bridge\n{topics}"
    ))
}

fn publish(broker: &Broker, topic: &str, payload: &str) {
    broker.mosquitto_pub(&format!("-t {topic} -m {payload} -q 1")).run().succeeds();
}

/// The bridge tells that it is up, and only then has it subscribed: its own notification says so.
fn is_up(broker: &Broker) {
    broker.mosquitto_sub("-t $SYS/broker/connection/bridge/state -q 1 -C 1").run().prints(&["1"]);
}

#[test]
fn both_ways_without_echo_311() {
    both_ways_without_echo("mqttv311");
}

#[test]
fn both_ways_without_echo_5() {
    both_ways_without_echo("mqttv50");
}

fn both_ways_without_echo(version: &str) {
    let broker = Broker::start("");
    let peer = bridge(&broker, version, "topic # both 1");
    is_up(&broker);
    let here = broker.subscriber("-t news -q 1");
    let there = peer.subscriber("-t news -q 1");
    // What is published on one side must not come back from the other. If it did, it would come before the next
    // message from there, for both travel on one connection.
    let mut sent = Vec::new();
    for round in 1..=3 {
        for (side, broker) in [("here", &broker), ("there", &peer)] {
            publish(broker, "news", &format!("{side}-{round}"));
            sent.push(format!("news 1 0 {side}-{round}"));
            assert_eq!(here.wait_for_messages(sent.len()), sent);
            assert_eq!(there.wait_for_messages(sent.len()), sent);
        }
    }
}

#[test]
fn one_way_with_other_names_311() {
    one_way_with_other_names("mqttv311");
}

#[test]
fn one_way_with_other_names_5() {
    one_way_with_other_names("mqttv50");
}

fn one_way_with_other_names(version: &str) {
    let broker = Broker::start("");
    let peer = bridge(&broker, version, "topic sensors/# out 1 home/ site/\ntopic orders/# in 1 home/ site/");
    is_up(&broker);
    let here = broker.subscriber("-t # -q 1");
    let there = peer.subscriber("-t # -q 1");
    publish(&peer, "home/sensors/1", "out");
    publish(&broker, "site/orders/1", "in");
    // The other direction of each is not bridged.
    publish(&broker, "site/sensors/2", "not-in");
    publish(&peer, "home/orders/2", "not-out");
    publish(&broker, "site/orders/end", "end");
    // The two directions race, so only the order within each is known.
    let mut here: Vec<_> = here.wait_for_messages(4);
    let mut there: Vec<_> = there.wait_for_messages(4);
    here.sort();
    there.sort();
    assert_eq!(
        here,
        [
            "site/orders/1 1 0 in",
            "site/orders/end 1 0 end",
            "site/sensors/1 1 0 out",
            "site/sensors/2 1 0 not-in"
        ]
    );
    assert_eq!(
        there,
        [
            "home/orders/1 1 0 in",
            "home/orders/2 1 0 not-out",
            "home/orders/end 1 0 end",
            "home/sensors/1 1 0 out"
        ]
    );
}

#[test]
fn retained_messages_stay_retained() {
    let broker = Broker::start("");
    let peer = bridge(&broker, "mqttv50", "topic # both 1");
    is_up(&broker);
    for (from, to, topic) in [(&broker, &peer, "here"), (&peer, &broker, "there")] {
        let live = to.subscriber(&format!("-t {topic} -C 1"));
        from.mosquitto_pub(&format!("-t {topic} -m kept -q 1 -r")).run().succeeds();
        live.receives(&[format!("{topic} 0 0 kept")]);
        to.mosquitto_sub(&format!("-t {topic} -C 1 -F %r:%p")).run().prints(&["1:kept"]);
    }
}

#[test]
fn comes_back_after_a_restart_311() {
    comes_back_after_a_restart("mqttv311");
}

#[test]
fn comes_back_after_a_restart_5() {
    comes_back_after_a_restart("mqttv50");
}

fn comes_back_after_a_restart(version: &str) {
    let mut broker = Broker::start("");
    let peer = bridge(&broker, version, "topic # both 1");
    is_up(&broker);
    publish(&peer, "before", "x");
    broker.stop();
    // Published while the broker is away; retained, since nobody can have subscribed when it arrives.
    peer.mosquitto_pub("-t queued -m late -q 1 -r").run().succeeds();
    broker.begin();
    broker.mosquitto_sub("-t queued -q 1 -C 1").run().prints(&["late"]);
    let there = peer.subscriber("-t news -q 1");
    eventually("the bridge has subscribed again", || {
        publish(&broker, "news", "here");
        there.messages().first().cloned()
    });
    let here = broker.subscriber("-t news -q 1 -C 1");
    publish(&peer, "news", "there");
    here.receives(&["news 1 0 there"]);
}

//! Retained messages: set, replaced, cleared, and seen by whoever comes late.

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

#[test]
fn a_late_subscriber_gets_it_with_the_retain_flag() {
    let broker = Broker::start("");
    for (version, qos) in [("mqttv31", 0), ("mqttv311", 1), ("mqttv5", 2)] {
        broker.mosquitto_pub(&format!("-V {version} -t lamp -m on-{qos} -r -q {qos}")).run().succeeds();
        // [MQTT-3.3.1-9], [MQTT311-3.3.1-8]; a later message at a higher QoS replaces the one before [MQTT-3.3.1-5].
        broker
            .mosquitto_sub(&format!("-V {version} -t lamp -q 2 -C 1 -F %q:%r:%p"))
            .run()
            .prints(&[format!("{qos}:1:on-{qos}")]);
    }
}

#[test]
fn a_live_subscriber_gets_it_without_the_retain_flag() {
    let broker = Broker::start("");
    let plain = broker.subscriber("-t lamp -C 1");
    let as_published = broker.subscriber("-V mqttv5 -t lamp -C 1 --retain-as-published");
    broker.mosquitto_pub("-t lamp -m on -r").run().succeeds();
    plain.receives(&["lamp 0 0 on"]); // [MQTT311-3.3.1-9]
    as_published.receives(&["lamp 0 1 on"]); // [MQTT-3.3.1-13]
}

#[test]
fn an_empty_payload_clears_it() {
    let broker = Broker::start("");
    let live = broker.subscriber("-t lamps/1 -C 2");
    broker.mosquitto_pub("-t lamps/1 -m on -r -q 1").run().succeeds();
    broker.mosquitto_pub("-t lamps/1 -n -r -q 1").run().succeeds(); // [MQTT311-3.3.1-10]
    broker.mosquitto_pub("-t lamps/2 -m on -r -q 1").run().succeeds();
    live.receives(&["lamps/1 0 0 on", "lamps/1 0 0 "]);
    broker.mosquitto_sub("-t lamps/# -C 1 -F %t").run().prints(&["lamps/2"]);
}

#[test] // [MQTT311-3.3.1-12]
fn a_message_that_is_not_retained_leaves_it_alone() {
    let broker = Broker::start("");
    broker.mosquitto_pub("-t lamp -m kept -r -q 1").run().succeeds();
    broker.mosquitto_pub("-t lamp -m passing -q 1").run().succeeds();
    broker.mosquitto_sub("-t lamp -C 1").run().prints(&["kept"]);
}

#[test]
fn every_one_of_a_thousand_is_sent() {
    let broker = Broker::start("max_queued_messages 0");
    let mut wire = Wire::connect(&broker, Version::V4, "many");
    for number in 0..1000 {
        let mut packet = packet::publish(Version::V4, &format!("lamps/{number}/state"), 0, 0, b"on");
        packet[0] |= 1;
        wire.send(&packet);
    }
    wire.ping();
    let finished = broker.mosquitto_sub("-t lamps/+/state -q 1 -C 1000 -F %t").run();
    finished.succeeds();
    let mut topics = finished.lines();
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 1000);
}

#[test]
fn retained_messages_are_removed_by_mosquitto_sub() {
    let broker = Broker::start("");
    broker.mosquitto_pub("-t lamps/1 -m on -r -q 1").run().succeeds();
    broker.mosquitto_pub("-t lamps/2 -m on -r -q 1").run().succeeds();
    let remover = broker.subscriber("-t lamps/1 --remove-retained");
    assert_eq!(remover.wait_for_messages(1)[0], "lamps/1 0 1 on");
    // Filters are answered in their order.
    eventually("lamps/1 is cleared", || {
        let found = broker.mosquitto_sub("-t lamps/1 -t lamps/2 -C 1 -F %t").run();
        (found.lines() == ["lamps/2"]).then_some(())
    });
}

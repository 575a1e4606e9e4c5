//! Each quality of service into the broker and out of it, in each version of the protocol.

use e2e::Broker;

#[test]
fn mqtt_31() {
    a_message_arrives_with_the_lower_qos_of_both_sides("mqttv31");
}

#[test]
fn mqtt_311() {
    a_message_arrives_with_the_lower_qos_of_both_sides("mqttv311");
}

#[test]
fn mqtt_5() {
    a_message_arrives_with_the_lower_qos_of_both_sides("mqttv5");
}

// [MQTT-3.8.4-8], [MQTT311-3.8.4-6]
fn a_message_arrives_with_the_lower_qos_of_both_sides(version: &str) {
    let broker = Broker::start("");
    let subscribers =
        [0, 1, 2].map(|qos| broker.subscriber(&format!("-V {version} -i s{qos} -t lamp -q {qos} -C 3")));
    for qos in [0, 1, 2] {
        broker.mosquitto_pub(&format!("-V {version} -t lamp -q {qos} -m at-{qos}")).run().succeeds();
    }
    for (granted, subscriber) in subscribers.into_iter().enumerate() {
        let expected = [0, 1, 2].map(|qos| format!("lamp {} 0 at-{qos}", granted.min(qos)));
        subscriber.receives(&expected);
    }
}

#[test]
fn one_version_talks_to_another() {
    let broker = Broker::start("");
    let versions = ["mqttv31", "mqttv311", "mqttv5"];
    let subscribers = versions.map(|version| broker.subscriber(&format!("-V {version} -t lamp -q 2 -C 3")));
    for version in versions {
        broker.mosquitto_pub(&format!("-V {version} -t lamp -q 2 -m from-{version}")).run().succeeds();
    }
    for subscriber in subscribers {
        subscriber.receives(&versions.map(|version| format!("lamp 2 0 from-{version}")));
    }
}

#[test] // [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]
fn many_messages_keep_their_order() {
    let broker = Broker::start("max_queued_messages 0");
    for qos in [0, 1, 2] {
        let subscriber = broker.subscriber(&format!("-t numbers -q {qos} -C 2000"));
        let lines: Vec<String> = (1..=2000).map(|number| number.to_string()).collect();
        broker
            .mosquitto_pub(&format!("-t numbers -q {qos} -l"))
            .stdin(lines.join("\n") + "\n")
            .run()
            .succeeds();
        subscriber.receives(&lines.iter().map(|line| format!("numbers {qos} 0 {line}")).collect::<Vec<_>>());
    }
}

//! Sessions that outlive their connection.

use e2e::Broker;

/// Lines for `mosquitto_pub -l`, and what a subscriber sees of them.
fn numbered(qos: u8, count: usize) -> (String, Vec<String>) {
    let lines: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    let seen = lines.iter().map(|line| format!("news {qos} 0 {line}")).collect();
    (lines.join("\n") + "\n", seen)
}

#[test]
fn what_was_published_meanwhile_is_delivered_in_order_31() {
    what_was_published_meanwhile_is_delivered_in_order("mqttv31", 1);
    what_was_published_meanwhile_is_delivered_in_order("mqttv31", 2);
}

#[test]
fn what_was_published_meanwhile_is_delivered_in_order_311() {
    what_was_published_meanwhile_is_delivered_in_order("mqttv311", 1);
    what_was_published_meanwhile_is_delivered_in_order("mqttv311", 2);
}

#[test]
fn what_was_published_meanwhile_is_delivered_in_order_5_qos_1() {
    what_was_published_meanwhile_is_delivered_in_order("mqttv5", 1);
}

// mosquitto_sub ends with a protocol error if more than its Receive Maximum come at once.
#[test]
fn what_was_published_meanwhile_is_delivered_in_order_5_qos_2() {
    what_was_published_meanwhile_is_delivered_in_order("mqttv5", 2);
}

fn what_was_published_meanwhile_is_delivered_in_order(version: &str, qos: u8) {
    let broker = Broker::start("");
    let (lines, seen) = numbered(qos, 100);
    let session = format!("-V {version} -c -i reader -t news -q {qos}");
    broker.mosquitto_sub(&format!("{session} -E")).run().succeeds();
    broker.mosquitto_pub(&format!("-t news -q {qos} -l")).stdin(lines).run().succeeds();
    broker.returning_subscriber(&format!("{session} -C 100")).receives(&seen); // [MQTT-3.1.2-5], [MQTT-4.6.0-5]
    // It was delivered once: what comes now is new.
    let again = broker.subscriber(&format!("{session} -C 1"));
    broker.mosquitto_pub(&format!("-t news -q {qos} -m next")).run().succeeds();
    again.receives(&[format!("news {qos} 0 next")]);
}

#[test]
fn a_clean_session_forgets() {
    let broker = Broker::start("");
    broker.mosquitto_sub("-i reader -t news -q 1 -E").run().succeeds();
    broker.mosquitto_pub("-t news -q 1 -m missed").run().succeeds();
    let reader = broker.subscriber("-i reader -t news -q 1 -C 1");
    broker.mosquitto_pub("-t news -q 1 -m seen").run().succeeds();
    reader.receives(&["news 1 0 seen"]);
}

#[test]
fn a_session_that_starts_clean_drops_the_kept_one() {
    let broker = Broker::start("");
    broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
    broker.mosquitto_pub("-t news -q 1 -m dropped").run().succeeds();
    broker.mosquitto_sub("-i reader -t other -q 1 -E").run().succeeds(); // [MQTT311-3.1.2-6]
    let reader = broker.subscriber("-c -i reader -t news -q 1 -C 1");
    broker.mosquitto_pub("-t news -q 1 -m seen").run().succeeds();
    reader.receives(&["news 1 0 seen"]);
}

#[test]
fn qos_0_is_not_kept_unless_asked() {
    for (config, expected) in
        [("", vec!["news 1 0 one"]), ("queue_qos0_messages true", vec!["news 0 0 zero", "news 1 0 one"])]
    {
        let broker = Broker::start(config);
        broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
        broker.mosquitto_pub("-t news -q 0 -m zero").run().succeeds();
        broker.mosquitto_pub("-t news -q 1 -m one").run().succeeds();
        let reader = format!("-c -i reader -t news -q 1 -C {}", expected.len());
        broker.returning_subscriber(&reader).receives(&expected);
    }
}

#[test]
fn a_full_queue_drops_the_new() {
    let broker = Broker::start("max_queued_messages 10");
    broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
    let (lines, seen) = numbered(1, 50);
    broker.mosquitto_pub("-t news -q 1 -l").stdin(lines).run().succeeds();
    let reader = broker.subscriber("-c -i reader -t news -q 1 -C 11");
    reader.wait_for_messages(10);
    broker.mosquitto_pub("-t news -q 1 -m end").run().succeeds();
    reader.receives(&[&seen[..10], &["news 1 0 end".to_owned()]].concat());
}

#[test]
fn subscriptions_are_kept_too() {
    let broker = Broker::start("");
    broker.mosquitto_sub("-c -i reader -t news -t weather -q 1 -E").run().succeeds();
    // It subscribes to something else now, and still gets what it subscribed to then.
    let reader = broker.subscriber("-c -i reader -t sports -q 1 -C 3");
    for topic in ["news", "weather", "sports"] {
        broker.mosquitto_pub(&format!("-t {topic} -q 1 -m x")).run().succeeds();
    }
    reader.receives(&["news 1 0 x", "weather 1 0 x", "sports 1 0 x"]);
}

#[test]
fn a_second_client_of_the_same_name_takes_over() {
    let broker = Broker::start("");
    let old = broker.subscriber("-V mqttv311 -i twin -t news");
    let new = broker.subscriber("-V mqttv311 -i twin -t news");
    // It reconnects when it is cut off, and so would take over in turn.
    old.wait_for("second CONNECT", |lines| {
        (lines.iter().filter(|line| line.contains("sending CONNECT")).count() > 1).then_some(())
    });
    drop((old, new));
    let old = broker.subscriber("-V mqttv5 -i twin -t news");
    let new = broker.subscriber("-V mqttv5 -i twin -t news -C 1");
    old.wait_for_line("Received DISCONNECT (142)"); // [MQTT-3.1.4-3]
    broker.mosquitto_pub("-t news -m x").run().succeeds();
    new.receives(&["news 0 0 x"]);
}

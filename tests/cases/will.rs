//! The Will: published when a client is lost, not when it leaves.

use e2e::Broker;

#[test]
fn kill_publishes_it() {
    let broker = Broker::start("");
    for (version, qos) in [("mqttv31", 0), ("mqttv311", 1), ("mqttv5", 2)] {
        let watcher = broker.subscriber("-t wills/+ -q 2 -C 1");
        let client = broker.subscriber(&format!(
            "-V {version} -t x --will-topic wills/{version} --will-payload lost --will-qos {qos}"
        ));
        client.kill();
        watcher.receives(&[format!("wills/{version} {qos} 0 lost")]); // [MQTT-3.1.2-8] [MQTT311-3.1.2-8]
    }
}

#[test]
fn a_clean_disconnect_does_not() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t wills/+ -C 1");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        // [MQTT-3.1.2-10] [MQTT311-3.1.2-10]
        broker
            .mosquitto_sub(&format!("-V {version} -t x -E --will-topic wills/left --will-payload lost"))
            .run()
            .succeeds();
    }
    broker.mosquitto_pub("-t wills/end -m end -q 1").run().succeeds();
    watcher.receives(&["wills/end 0 0 end"]);
}

#[test]
fn a_retained_will_stays() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t lamp/available -C 1");
    let lamp = broker.subscriber("-t x --will-topic lamp/available --will-payload offline --will-retain");
    lamp.kill();
    watcher.receives(&["lamp/available 0 0 offline"]);
    broker.mosquitto_sub("-t lamp/available -C 1 -F %r:%p").run().prints(&["1:offline"]); // [MQTT311-3.1.2-17]
}

#[test]
fn a_delayed_will_waits() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t will -C 1");
    let client = broker.subscriber(
        "-V mqttv5 -i delayed -t x -x 100 --will-topic will --will-payload lost -D will will-delay-interval 2",
    );
    let killed = std::time::Instant::now();
    client.kill();
    watcher.receives(&["will 0 0 lost"]);
    assert!(killed.elapsed().as_secs() >= 1, "the will came after {:?}", killed.elapsed());
}

#[test]
fn a_client_that_returns_in_time_has_no_will_published() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t will -C 1");
    let returning = "-V mqttv5 -i delayed -t x -x 100 -c --will-topic will -D will will-delay-interval 2";
    broker.subscriber(&format!("{returning} --will-payload first")).kill();
    // [MQTT-3.1.3-9]. The second will's delay ends after the first one's would have.
    broker.subscriber(&format!("{returning} --will-payload second")).kill();
    watcher.receives(&["will 0 0 second"]);
}

#[test]
fn a_session_that_ends_before_the_delay_publishes_it() {
    let broker = Broker::start("");
    let watcher = broker.subscriber("-t will -C 1");
    // [MQTT-3.1.2-8]: whichever of the two comes first.
    broker
        .subscriber(
            "-V mqttv5 -i short -t x -x 1 --will-topic will --will-payload lost -D will will-delay-interval 3600",
        )
        .kill();
    watcher.receives(&["will 0 0 lost"]);
}

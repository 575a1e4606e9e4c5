//! MQTT 5 as mqtt.js sees it. The scenes are in `tests/clients/node/v5.js`.

use e2e::Broker;
use e2e::clients::node;

fn shows(scene: &str, expected: &[&str]) {
    let broker = Broker::start("");
    node("v5.js", broker.port()).arg(scene).run().prints(expected);
}

#[test]
fn properties_pass_unaltered() {
    let expected = [
        r#"contentType text/plain"#,                       // [MQTT-3.3.2-20]
        r#"correlationData 00ff10"#,                       // [MQTT-3.3.2-16]
        r#"payloadFormatIndicator true"#,                  // [MQTT-3.3.2-4]
        r#"responseTopic answers/1"#,                      // [MQTT-3.3.2-15]
        r#"userProperties {"zebra":["1","2"],"ant":"é"}"#, // [MQTT-3.3.2-17], [MQTT-3.3.2-18]
    ];
    shows("properties", &expected);
}

#[test]
fn each_copy_has_its_subscription_identifier() {
    shows("subscription identifiers", &["0 268435455", "1 1", "2 none"]); // [MQTT-3.3.4-3], [MQTT-3.3.4-5]
}

#[test] // [MQTT-3.3.2-12]
fn topic_aliases_to_the_broker() {
    let expected = [
        "sent a/rather/long/one 1",
        "sent a/rather/long/two 2",
        "sent  1",
        "sent  2",
        "a/rather/long/one one",
        "a/rather/long/two two",
        "a/rather/long/one one",
        "a/rather/long/two two",
    ];
    shows("topic aliases to the broker", &expected);
}

// The client allows one alias: the first topic gets it.
#[test] // [MQTT-3.1.2-26]
fn topic_aliases_from_the_broker() {
    let expected = [
        "on the wire one 1",
        "on the wire two none",
        "on the wire  1",
        "on the wire two none",
        "one",
        "two",
        "one",
        "two",
    ];
    let broker = Broker::start("");
    let finished = node("v5.js", broker.port()).arg("topic aliases from the broker").run();
    finished.succeeds();
    // The messages may come while later ones are still being published.
    let mut lines = finished.lines();
    lines.sort_by_key(|line| !line.starts_with("on the wire"));
    assert_eq!(lines, expected);
}

#[test]
fn no_local() {
    shows("no local", &["news yours qos 1 retain false"]); // [MQTT-3.8.3-3]
}

#[test]
fn retain_as_published() {
    let expected = [
        "plain/a x qos 1 retain false",
        "plain/a x qos 1 retain false",
        "same/a x qos 1 retain true",
        "same/a x qos 1 retain false",
    ];
    shows("retain as published", &expected);
}

#[test]
fn retain_handling() {
    let expected = [
        "after 2",  // [MQTT-3.3.1-11]
        "retained", // [MQTT-3.3.1-9]
        "after 0",
        "retained",
        "after 0",
        "after 1", // [MQTT-3.3.1-10]
        "after 2",
        "retained", // a new subscription
        "after the first with 1",
    ];
    shows("retain handling", &expected);
}

#[test] // [MQTT-3.1.2-23] [MQTT-3.1.2-5]
fn session_expiry() {
    let expected = [
        "session present false",
        "session present true",
        "session present true", // and ends with Session Expiry Interval 0 in DISCONNECT
        "session present false",
        "session present false", // Clean Start
    ];
    shows("session expiry", &expected);
}

#[test] // [MQTT-4.1.0-2]
fn an_expired_session_is_gone() {
    let broker = Broker::start("");
    // Its will tells when it has expired: the delay of an hour is cut short by the end of the session.
    let watcher = broker.subscriber("-t will -C 1");
    let short = "-V mqttv5 -c -x 1 -i short -t x --will-topic will --will-payload expired";
    broker.subscriber(&format!("{short} -D will will-delay-interval 3600")).kill();
    watcher.receives(&["will 0 0 expired"]);
    node("v5.js", broker.port())
        .arg("is there a session")
        .arg("short")
        .run()
        .prints(&["session present false"]);
}

#[test]
fn reason_codes() {
    let expected = [
        "puback 16", // no matching subscribers
        "pubrec 0",  // who gets it is decided at PUBREL
        "pubcomp 0",
        "suback [0,1,2]",
        "unsuback [0,17]", // [MQTT-3.11.3-1]: success, no subscription existed
        "puback 0",
    ];
    shows("reason codes", &expected);
}

#[test]
fn take_over_says_why() {
    shows("take-over", &["disconnected with 142", "closed"]); // [MQTT-3.1.4-3]
}

#[test] // [MQTT-3.1.2-8]
fn disconnect_with_will() {
    shows("will", &["will gone qos 1 retain false", r#"text/plain {"why":"asked"}"#]);
}

#[test]
fn messages_expire_and_the_time_left_shrinks() {
    shows("message expiry", &["expired true"]); // [MQTT-3.3.2-5], [MQTT-3.3.2-6]
}

#[test]
fn a_message_too_large_for_a_client_is_left_out() {
    shows("maximum packet size", &["news small qos 1 retain false"]); // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
}

#[test]
fn a_client_without_an_identifier_is_told_its_own() {
    shows("assigned client identifier", &["assigned true"]); // [MQTT-3.2.2-16]
}

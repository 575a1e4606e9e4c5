//! Topic Filters: what they match, and what happens when several do.

use e2e::Broker;

#[test] // [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
fn wildcards() {
    let broker = Broker::start("");
    let cases = [
        ("home/+/temperature", vec!["home/kitchen/temperature", "home//temperature"]),
        ("home/#", vec!["home", "home/kitchen/temperature", "home//temperature", "home/kitchen"]),
        ("+", vec!["home"]),
        ("+/+", vec!["home/kitchen", "/leading"]),
        ("/+", vec!["/leading"]),
        ("home/kitchen/+", vec!["home/kitchen/temperature"]),
    ];
    let topics = ["home", "home/kitchen/temperature", "home//temperature", "home/kitchen", "/leading"];
    let subscribers: Vec<_> =
        cases.iter().map(|(filter, _)| broker.subscriber(&format!("-t {filter} -t end/end/end"))).collect();
    for topic in topics.iter().chain(&["end/end/end"]) {
        broker.mosquitto_pub(&format!("-t {topic} -m x")).run().succeeds();
    }
    for ((filter, expected), subscriber) in cases.iter().zip(subscribers) {
        subscriber.wait_for_line("message end/end/end");
        let topics: Vec<String> =
            subscriber.messages().iter().map(|message| message.replace(" 0 0 x", "")).collect();
        assert_eq!(topics[..topics.len() - 1], expected[..], "what {filter} matches");
    }
}

#[test]
fn a_wildcard_at_the_root_does_not_see_dollar_topics() {
    let broker = Broker::start("");
    let all = broker.subscriber("-t # -C 1");
    let one = broker.subscriber("-t +/deep -C 1");
    let named = broker.subscriber("-t $hidden/# -C 1");
    broker.mosquitto_pub("-t $hidden/deep -m hidden -q 1").run().succeeds();
    broker.mosquitto_pub("-t plain/deep -m plain -q 1").run().succeeds();
    all.receives(&["plain/deep 0 0 plain"]); // [MQTT311-4.7.2-1]
    one.receives(&["plain/deep 0 0 plain"]);
    named.receives(&["$hidden/deep 0 0 hidden"]);
}

#[test]
fn overlapping_subscriptions_give_a_copy_each() {
    overlapping_subscriptions_give_copies("");
}

#[test]
fn overlapping_subscriptions_give_a_copy_each_if_asked_for() {
    overlapping_subscriptions_give_copies("allow_duplicate_messages true");
}

fn overlapping_subscriptions_give_copies(config: &str) {
    let broker = Broker::start(config);
    let subscriber = broker.subscriber("-t home/kitchen -t home/+ -t home/# -q 1 -C 4");
    broker.mosquitto_pub("-t home/kitchen -m x -q 1").run().succeeds();
    broker.mosquitto_pub("-t home -m end -q 1").run().succeeds();
    let expected = ["home/kitchen 1 0 x", "home/kitchen 1 0 x", "home/kitchen 1 0 x", "home 1 0 end"];
    subscriber.receives(&expected);
}

#[test] // [MQTT311-3.3.5-1]
fn without_duplicates_overlapping_subscriptions_give_one_copy() {
    let broker = Broker::start("allow_duplicate_messages false");
    let subscriber = broker.subscriber("-t home/kitchen -t home/+ -t home/# -q 1 -C 2");
    broker.mosquitto_pub("-t home/kitchen -m x -q 1").run().succeeds();
    broker.mosquitto_pub("-t home -m end -q 1").run().succeeds();
    subscriber.receives(&["home/kitchen 1 0 x", "home 1 0 end"]);
}

#[test]
fn unsubscribing_ends_it() {
    let broker = Broker::start("");
    broker.mosquitto_sub("-c -i reader -t news -t weather -q 1 -E").run().succeeds();
    broker.mosquitto_sub("-c -i reader -U news -t other -q 1 -E").run().succeeds();
    broker.mosquitto_pub("-t news -q 1 -m x").run().succeeds();
    broker.mosquitto_pub("-t weather -q 1 -m y").run().succeeds();
    broker.returning_subscriber("-c -i reader -t other -q 1 -C 1").receives(&["weather 1 0 y"]); // [MQTT311-3.10.4-2]
}

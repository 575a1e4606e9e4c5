//! Paho's Go client of Debian.

use e2e::clients::go;
use e2e::packet::{self, Version};
use e2e::{Broker, Wire};

#[test]
fn a_message_to_itself_at_each_qos() {
    let broker = Broker::start("");
    let expected = ["go/0 qos 0: at 0", "go/1 qos 1: at 1", "go/2 qos 2: at 2"];
    go("roundtrip", broker.port(), "").run().prints(&expected);
}

const MESSAGES: usize = 300;
/// The subscriber is killed each time that so many messages have arrived.
const END_EVERY: usize = 50;

#[test]
fn a_subscriber_that_is_killed_and_returns_misses_nothing_qos_1() {
    a_subscriber_that_is_killed_and_returns_misses_nothing(1);
}

#[test]
fn a_subscriber_that_is_killed_and_returns_misses_nothing_qos_2() {
    a_subscriber_that_is_killed_and_returns_misses_nothing(2);
}

fn a_subscriber_that_is_killed_and_returns_misses_nothing(qos: u8) {
    let broker = Broker::start("");
    let start = || go("subscribe", broker.port(), &qos.to_string()).start();
    let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
    let mut lines = Vec::new();
    start().wait_for_line("subscribed"); // and is killed at once
    for count in (END_EVERY..=MESSAGES).step_by(END_EVERY) {
        // Half of them come while nobody is there.
        for number in count - END_EVERY + 1..=count - END_EVERY / 2 {
            publish(&mut publisher, number);
        }
        let subscriber = start();
        for number in count - END_EVERY / 2 + 1..=count {
            publish(&mut publisher, number);
        }
        subscriber.wait_for_line(&count.to_string());
        // It has shown them all; whether it has acknowledged them all nobody knows.
        lines.extend(subscriber.kill().lines());
    }
    assert_all_in_order(lines.into_iter().filter(|line| line != "subscribed"));
}

fn publish(publisher: &mut Wire, number: usize) {
    publisher.send(&packet::publish(Version::V4, "numbers", 2, 1, number.to_string().as_bytes()));
    assert_eq!(publisher.packet(), (0x50, vec![0, 1]), "PUBREC");
    publisher.send(&packet::acknowledge(0x62, 1));
    assert_eq!(publisher.packet(), (0x70, vec![0, 1]), "PUBCOMP");
}

/// Every number came, and none for the first time after a greater one.
#[track_caller]
fn assert_all_in_order(numbers: impl Iterator<Item = String>) {
    let mut seen = 0;
    let mut numbers: Vec<usize> = numbers.map(|number| number.parse().expect("a number")).collect();
    numbers.retain(|&number| {
        let new = number > seen;
        seen = seen.max(number);
        new
    });
    assert_eq!(numbers, (1..=MESSAGES).collect::<Vec<_>>());
}

//! Topic Names and Topic Filters: which are none, and what matches what. 4.7.

use crate::case::Case;
use crate::test::Test;
use crate::verdict::{Step, not_applicable};
use crate::written::subscribe;

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-4.7.1-1] [MQTT311-4.7.1-2]",
        "'#' stands for a level and all below it, and for the level above",
        |test| {
            test.offer.needs_wildcards()?;
            let topics = [
                ("a", true),
                ("a/", true),
                ("a/b", true),
                ("a/b/c/d", true),
                ("a//b", true),
                ("ab", false),
                ("A/b", false),
                ("b/a", false),
            ];
            matches(test, "a/#", &topics)
        },
    ),
    Case::both(
        "[MQTT-4.7.1-2] [MQTT311-4.7.1-3]",
        "'+' stands for one level, also for an empty one",
        |test| {
            test.offer.needs_wildcards()?;
            matches(
                test,
                "a/+",
                &[("a/b", true), ("a/", true), ("a", false), ("a/b/", false), ("a/b/c", false)],
            )?;
            let topics = [("a/b", true), ("/b", true), ("b", false), ("a/b/", false), ("a/c", false)];
            matches(test, "+/b", &topics)?;
            matches(test, "+/+", &[("a/b", true), ("/", true), ("a", false), ("a/b/c", false)])
        },
    ),
    Case::both(
        "[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]",
        "both wildcards may stand in one filter",
        |test| {
            test.offer.needs_wildcards()?;
            let topics = [
                ("a/b", true),
                ("/b", true),
                ("a/b/c/d", true),
                ("b", false),
                ("a/a/b", false),
                ("a/c/b", false),
            ];
            matches(test, "+/b/#", &topics)
        },
    ),
    Case::both(
        "[MQTT-4.7.1-1] [MQTT311-4.7.1-2]",
        "SUBSCRIBE with '#' beside other characters of a level, or not last, ends the connection",
        |test| {
            for filter in ["a#", "#a", "a/#/b", "#/a", "##", "a/b#"] {
                is_no_filter(test, &test.topic(filter))?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.7.1-2] [MQTT311-4.7.1-3]",
        "SUBSCRIBE with '+' beside other characters of a level ends the connection",
        |test| {
            for filter in ["a+", "+a", "a/b+/c", "a/+b", "++", "a/+#"] {
                is_no_filter(test, &test.topic(filter))?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.7.2-1] [MQTT311-4.7.2-1]",
        "'+' in the first place does not stand for a level that begins with '$'",
        |test| {
            test.offer.needs_wildcards()?;
            let mut client = test.client("client")?;
            client.subscribe(format!("+/{}", test.own()), 0)?;
            client.publish(test.publication(&format!("$noctule-selftest/{}", test.own()), "hidden"))?;
            let topic = format!("noctule-selftest/{}", test.own());
            client.publish(test.publication(&topic, "seen"))?;
            client.receives(&topic, "seen").map(drop)
        },
    ),
    Case::both(
        "[MQTT-4.7.2-1] [MQTT311-4.7.2-1]",
        "'#' alone does not stand for topics that begin with '$'",
        |test| {
            test.offer.needs_wildcards()?;
            // Much comes: QoS 1 has the server wait for who is slow.
            let (marker, qos) = (test.topic("marker"), test.offer.maximum_qos.min(1));
            let mut client = test.client("client")?;
            client.subscribe("#", qos)?;
            client.publish(test.publication(&format!("$noctule-selftest/{}", test.own()), "hidden"))?;
            client.publish(test.publication(&marker, "seen").qos(qos, 1))?;
            // Everybody's messages come, and what is retained.
            loop {
                let message = client.message_of("messages, up to one on a topic of this case")?;
                message.check(!message.topic.starts_with('$'), "no topic that begins with '$'")?;
                if message.topic == marker {
                    return Ok(());
                }
                client.acknowledge(&message)?;
            }
        },
    ),
    Case::both(
        "[MQTT-4.7.3-4] [MQTT-3.3.2-3] [MQTT311-4.7.3-4] [MQTT311-3.3.2-3]",
        "topics match character by character: no case, form or space is evened out",
        |test| {
            // The second letter in one character, in two, and its capital.
            let topics = [
                ("t\u{e9}/a b", true),
                ("te\u{301}/a b", false),
                ("t\u{c9}/a b", false),
                ("T\u{e9}/a b", false),
                ("t\u{e9}/ab", false),
                ("t\u{e9}/a b/", false),
                ("t\u{e9}//a b", false),
                ("/t\u{e9}/a b", false),
            ];
            matches(test, "t\u{e9}/a b", &topics)
        },
    ),
    Case::both(
        "[MQTT-4.7.3-3] [MQTT311-4.7.3-3]",
        "Topic Names and Topic Filters may have 65535 bytes",
        |test| {
            let prefix = test.topic("");
            let topic = format!("{prefix}{}", "t".repeat(65_535 - prefix.len()));
            if test.offer.maximum_packet_size.is_some_and(|maximum| maximum < 70_000) {
                return not_applicable("the server announces a smaller Maximum Packet Size");
            }
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, "x"))?;
            let message = client.message()?;
            message.check(message.topic == topic, "the topic it was published to")
        },
    ),
];

/// Of messages on these topics, a subscription to this filter brings those that say so.
fn matches(test: &Test<'_>, filter: &str, topics: &[(&str, bool)]) -> Step {
    let mut client = test.client("client")?;
    client.subscribe(test.topic(filter), 0)?;
    for (topic, _) in topics {
        client.publish(test.publication(&test.topic(topic), topic))?;
    }
    for (topic, _) in topics.iter().filter(|(_, expected)| *expected) {
        client.receives(&test.topic(topic), topic)?;
    }
    client.hears_nothing("no other message")
}

/// A SUBSCRIBE to it is a protocol violation.
fn is_no_filter(test: &Test<'_>, filter: &str) -> Step {
    let mut client = test.client("client")?;
    client.send(subscribe(test.version, 1, &[], &[(filter, 0)]));
    client.is_closed(&[0x8f])
}

//! Retained messages: 3.3.1.3.

use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.3.1-5] [MQTT-3.3.1-9] [MQTT311-3.3.1-5] [MQTT311-3.3.1-6] [MQTT311-3.3.1-8]",
        "a retained message comes to whoever subscribes later, with RETAIN 1 and its QoS",
        |test| {
            test.offer.needs_retain()?;
            test.offer.needs_qos(2)?;
            let mut publisher = test.client("publisher")?;
            let mut subscriber = test.client("subscriber")?;
            for qos in 0..=2 {
                let topic = test.topic(&format!("t{qos}"));
                publisher.publish(test.publication(&topic, "kept").retain().qos(qos, 11))?;
                publisher.ping()?;
                subscriber.subscribe(&topic, 2)?;
                let message = subscriber.receives(&topic, "kept")?;
                message.is_retained(true)?;
                message.has_qos(qos)?;
                message.is_dup(false)?;
                subscriber.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.3.1-5] [MQTT311-3.3.1-5] [MQTT311-3.3.1-7]",
        "a retained message takes the place of the one before, whatever their QoS",
        |test| {
            test.offer.needs_retain()?;
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            for (payload, qos) in [("old", 1), ("newer", 0), ("newest", 1)] {
                client.publish(test.publication(&topic, payload).retain().qos(qos, 11))?;
                client.ping()?;
                let mut late = test.client("late")?;
                late.subscribe(&topic, 0)?;
                late.receives(&topic, payload)?.is_retained(true)?;
                late.hears_nothing("only the last retained message")?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.3.1-12] [MQTT311-3.3.1-9]",
        "a subscription that exists gets the message with RETAIN 0",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, "kept").retain())?;
            client.receives(&topic, "kept")?.is_retained(false)
        },
    ),
    Case::both(
        "[MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] [MQTT311-3.3.1-11]",
        "an empty payload with RETAIN removes the retained message, and is delivered like any other",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain())?;
            client.subscribe(&topic, 0)?;
            client.receives(&topic, "kept")?.is_retained(true)?;
            client.publish(test.publication(&topic, "").retain())?;
            client.receives(&topic, "")?.is_retained(false)?;
            let mut late = test.client("late")?;
            late.subscribe(&topic, 0)?;
            late.hears_nothing("no retained message")
        },
    ),
    Case::both(
        "[MQTT-3.3.1-7] [MQTT311-3.3.1-11]",
        "an empty payload with RETAIN where nothing is retained is not retained either",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "").retain())?;
            client.ping()?;
            let mut late = test.client("late")?;
            late.subscribe(&topic, 0)?;
            late.hears_nothing("no retained message")
        },
    ),
    Case::both(
        "[MQTT-3.3.1-8] [MQTT311-3.3.1-12]",
        "a message without RETAIN leaves the retained one as it is, an empty one too",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain())?;
            client.publish(test.publication(&topic, "passing"))?;
            client.publish(test.publication(&topic, ""))?;
            client.subscribe(&topic, 0)?;
            client.receives(&topic, "kept")?.is_retained(true)?;
            client.hears_nothing("one retained message")
        },
    ),
    Case::both(
        "[MQTT-3.3.1-5] [MQTT311-3.1.2-7]",
        "a retained message stays when the session of its publisher ends",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "kept").retain())?;
            publisher.disconnect()?;
            let _again = test.client("publisher")?;
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.receives(&topic, "kept").map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.3.2-3] [MQTT-3.3.1-9] [MQTT311-3.3.2-3] [MQTT311-3.3.1-6]",
        "a filter with wildcards brings the retained messages of all topics it matches, and no other",
        |test| {
            test.offer.needs_retain()?;
            test.offer.needs_wildcards()?;
            let mut client = test.client("client")?;
            let topics = ["r/a/x", "r/b/x", "r/a/y", "r/a", "q/a/x"].map(|name| test.topic(name));
            for topic in &topics {
                client.publish(test.publication(topic, "kept").retain())?;
            }
            client.subscribe(test.topic("r/+/x"), 0)?;
            let mut found = [client.message()?.topic, client.message()?.topic];
            found.sort_unstable();
            let expected = format!("messages on {} and {}", topics[0], topics[1]);
            crate::verdict::check(found == topics[..2], expected, found.join(" and "))?;
            client.hears_nothing("no other retained message")
        },
    ),
    Case::both(
        "[MQTT-3.8.4-8] [MQTT311-3.8.4-6]",
        "a retained message comes with the lower one of its QoS and the granted QoS",
        |test| {
            test.offer.needs_retain()?;
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain().qos(2, 11))?;
            for granted in 0..=2 {
                client.subscribe(&topic, granted)?;
                let message = client.receives(&topic, "kept")?;
                message.has_qos(granted)?;
                client.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
];

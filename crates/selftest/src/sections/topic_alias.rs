//! Topic aliases (5.0): 3.3.2.3.4, in both directions.

use crate::case::Case;
use crate::property::{TOPIC_ALIAS, TOPIC_ALIAS_MAXIMUM, short};
use crate::verdict::{check, not_applicable};

pub(super) const CASES: &[Case] = &[
    Case::v5(
        "[MQTT-3.3.2-12]",
        "an alias stands for the Topic Name it was set with, the highest one too",
        |test| {
            test.offer.needs_topic_aliases()?;
            let (first, last) = (test.topic("first"), test.topic("last"));
            let mut client = test.client("client")?;
            client.subscribe(&first, 0)?;
            client.subscribe(&last, 0)?;
            for (topic, alias) in [(&first, 1), (&last, test.offer.topic_alias_maximum)] {
                client.publish(test.publication(topic, "set").property(short(TOPIC_ALIAS, alias)))?;
                client.receives(topic, "set")?;
                client.publish(test.publication("", "used").property(short(TOPIC_ALIAS, alias)))?;
                client.receives(topic, "used")?;
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-3.3.2-12]", "an alias that is set again stands for the new Topic Name", |test| {
        test.offer.needs_topic_aliases()?;
        let (old, new) = (test.topic("old"), test.topic("new"));
        let mut client = test.client("client")?;
        client.subscribe(&old, 0)?;
        client.subscribe(&new, 0)?;
        for (topic, payload) in [(&old, "1"), (&new, "2")] {
            client.publish(test.publication(topic, payload).property(short(TOPIC_ALIAS, 1)))?;
            client.receives(topic, payload)?;
        }
        client.publish(test.publication("", "3").property(short(TOPIC_ALIAS, 1)))?;
        client.receives(&new, "3").map(drop)
    }),
    Case::v5("[MQTT-3.3.2-8] [MQTT-4.13.1-1]", "alias 0 ends the connection", |test| {
        let mut client = test.client("client")?;
        client.send(test.publication(&test.topic("t"), "x").property(short(TOPIC_ALIAS, 0)));
        client.is_closed(&[0x94])
    }),
    Case::v5(
        "[MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9] [MQTT-4.13.1-1]",
        "an alias above the server's Topic Alias Maximum ends the connection",
        |test| {
            let Some(above) = test.offer.topic_alias_maximum.checked_add(1) else {
                return not_applicable("the server allows every alias");
            };
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("t"), "x").property(short(TOPIC_ALIAS, above)));
            client.is_closed(&[0x94])
        },
    ),
    Case::v5("[MQTT-4.13.1-1]", "an alias that was never set ends the connection", |test| {
        test.offer.needs_topic_aliases()?;
        let mut client = test.client("client")?;
        client.send(test.publication("", "x").property(short(TOPIC_ALIAS, 1)));
        client.is_closed(&[0x94])
    }),
    Case::v5(
        "[MQTT-3.3.2-7]",
        "an alias is forgotten with its connection, even if the session lasts",
        |test| {
            test.offer.needs_topic_aliases()?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.publish(test.publication(&topic, "set").property(short(TOPIC_ALIAS, 1)))?;
            client.disconnect()?;
            let mut client = test.client_with(&connect)?;
            client.send(test.publication("", "x").property(short(TOPIC_ALIAS, 1)));
            client.is_closed(&[0x94])
        },
    ),
    Case::v5("[MQTT-3.3.2-7]", "an alias of one client is not another's", |test| {
        test.offer.needs_topic_aliases()?;
        let mut client = test.client("client")?;
        client.publish(test.publication(&test.topic("t"), "set").property(short(TOPIC_ALIAS, 1)))?;
        client.ping()?;
        let mut other = test.client("other")?;
        other.send(test.publication("", "x").property(short(TOPIC_ALIAS, 1)));
        other.is_closed(&[0x94])
    }),
    Case::v5(
        "[MQTT-3.1.2-27]",
        "a client that announces no Topic Alias Maximum, or 0, is sent no alias",
        |test| {
            let topic = test.topic("t");
            let mut publisher = test.client("publisher")?;
            for connect in
                [test.connect("none"), test.connect("zero").property(short(TOPIC_ALIAS_MAXIMUM, 0))]
            {
                let mut subscriber = test.client_with(&connect)?;
                subscriber.subscribe(&topic, 0)?;
                for payload in ["1", "2", "3"] {
                    publisher.publish(test.publication(&topic, payload))?;
                    subscriber.receives(&topic, payload)?.has_number(TOPIC_ALIAS, None)?;
                }
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8]",
        "a client is sent aliases up to its Topic Alias Maximum, and each says what it was set for",
        |test| {
            test.offer.needs_wildcards()?;
            let mut subscriber =
                test.client_with(&test.connect("client").property(short(TOPIC_ALIAS_MAXIMUM, 2)))?;
            subscriber.subscribe(test.topic("+"), 0)?;
            let mut publisher = test.client("publisher")?;
            let mut known = [None, None];
            for round in 0..3 {
                for name in ["a", "b", "c"] {
                    let (topic, payload) = (test.topic(name), format!("{name}{round}"));
                    publisher.publish(test.publication(&topic, &payload))?;
                    let message = subscriber.message()?;
                    let alias = message.properties.number(TOPIC_ALIAS);
                    message
                        .check(alias.is_none_or(|alias| (1..=2).contains(&alias)), "Topic Alias 1 or 2")?;
                    let place = alias.map(|alias| usize::from(alias == 2));
                    let found = match (message.topic.as_str(), place) {
                        ("", Some(place)) => known[place].clone().unwrap_or_default(),
                        (topic, _) => topic.to_owned(),
                    };
                    check(found == topic, format!("a message on {topic}"), message.to_string())?;
                    message.check(message.payload == payload.as_bytes(), &format!("payload {payload}"))?;
                    if let Some(place) = place {
                        known[place] = Some(found);
                    }
                }
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-3.3.2-7]", "an alias that a publisher used is not passed on to subscribers", |test| {
        test.offer.needs_topic_aliases()?;
        let topic = test.topic("t");
        let mut subscriber = test.client("subscriber")?;
        subscriber.subscribe(&topic, 0)?;
        let mut publisher = test.client("publisher")?;
        for name in [topic.as_str(), ""] {
            publisher.publish(test.publication(name, "x").property(short(TOPIC_ALIAS, 1)))?;
            subscriber.receives(&topic, "x")?.has_number(TOPIC_ALIAS, None)?;
        }
        Ok(())
    }),
];

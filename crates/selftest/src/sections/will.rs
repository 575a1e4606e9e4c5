//! Wills: 3.1.2.5 to 3.1.2.7, 3.1.3.2 to 3.1.3.4.

use crate::case::Case;
use crate::property::{
    CONTENT_TYPE, CORRELATION_DATA, PAYLOAD_FORMAT_INDICATOR, RESPONSE_TOPIC, SESSION_EXPIRY_INTERVAL,
    WILL_DELAY_INTERVAL, byte, long, text, user,
};
use crate::written::Will;

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT311-3.1.2-8] [MQTT311-3.1.2-16]",
        "the will is published when the connection is lost, unretained",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?.vanish();
            watcher.receives(&topic, "gone")?.is_retained(false)?;
            let mut late = test.client("late")?;
            late.subscribe(&topic, 0)?;
            late.hears_nothing("no retained message")
        },
    ),
    Case::both(
        "[MQTT-3.1.2-8] [MQTT-3.1.2-7] [MQTT311-3.1.2-8]",
        "the will is published with its QoS",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 2)?;
            for qos in 0..=2 {
                test.client_with(&test.connect("client").will(Will::new(&topic, "gone").qos(qos)))?.vanish();
                let message = watcher.receives(&topic, "gone")?;
                message.has_qos(qos)?;
                watcher.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
    Case::both("[MQTT-3.1.2-15] [MQTT311-3.1.2-17]", "a will with Will Retain is retained", |test| {
        test.offer.needs_retain()?;
        let topic = test.topic("will");
        let mut watcher = test.client("watcher")?;
        watcher.subscribe(&topic, 0)?;
        test.client_with(&test.connect("client").will(Will::new(&topic, "gone").retain()))?.vanish();
        watcher.receives(&topic, "gone")?;
        let mut late = test.client("late")?;
        late.subscribe(&topic, 0)?;
        late.receives(&topic, "gone")?.is_retained(true)
    }),
    Case::both(
        "[MQTT-3.1.2-8] [MQTT-4.13.1-1] [MQTT311-3.1.2-8] [MQTT311-4.8.0-1]",
        "the will is published when the server closes the connection because of a mistake",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let mut client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
            client.send(test.publication(&test.topic("a/#"), "x"));
            client.is_closed(&[0x90])?;
            watcher.receives(&topic, "gone").map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.1.2-8] [MQTT-3.1.2-22] [MQTT311-3.1.2-8] [MQTT311-3.1.2-24]",
        "the will is published when the Keep Alive runs out",
        |test| {
            test.offer.needs_own_keep_alive()?;
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let connect = test.connect("client").keep_alive(1).will(Will::new(&topic, "gone"));
            let mut client = test.client_with(&connect)?;
            client.is_closed_after(1500, &[0x8d])?;
            watcher.receives(&topic, "gone").map(drop)
        },
    )
    .slow(),
    Case::both(
        "[MQTT-3.1.2-8] [MQTT-3.1.4-3] [MQTT311-3.1.2-8] [MQTT311-3.1.4-2]",
        "the will is published when another client takes the place",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let connect = test.connect("older").will(Will::new(&topic, "gone"));
            let _older = test.client_with(&connect)?;
            let _newer = test.client_with(&test.connect("newer").id(test.id("older")))?;
            watcher.receives(&topic, "gone").map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.1.2-10] [MQTT311-3.1.2-10]",
        "the will is published once: it is not there for the next connection",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            test.client_with(&test.connect("client").lasting().will(Will::new(&topic, "gone")))?.vanish();
            if test.is_v5() {
                // Now at the latest, since the session ends.
                test.client_with(&test.connect("client"))?.vanish();
            }
            watcher.receives(&topic, "gone")?;
            test.client_with(&test.connect("client"))?.vanish();
            let mut publisher = test.client("publisher")?;
            test.nothing_arrives(&mut publisher, &mut watcher)
        },
    ),
    Case::v311("[MQTT311-3.1.2-12]", "without a will nothing is published", |test| {
        test.offer.needs_wildcards()?;
        let mut watcher = test.client("watcher")?;
        watcher.subscribe(test.topic("#"), 0)?;
        test.client("client")?.vanish();
        let mut publisher = test.client("publisher")?;
        test.nothing_arrives(&mut publisher, &mut watcher)
    }),
    Case::v311(
        "[MQTT311-3.1.2-8]",
        "the will of a session that lasts is published when its connection is lost",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            test.client_with(&test.connect("client").lasting().will(Will::new(&topic, "gone")))?.vanish();
            watcher.receives(&topic, "gone").map(drop)
        },
    ),
    Case::v5(
        "[MQTT-3.1.3-10] [MQTT-3.1.2-8]",
        "the will is published with its properties, User Properties in their order",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let users = [user("z", "1"), user("a", "2"), user("z", "1")];
            let will = Will::new(&topic, "gone")
                .property(byte(PAYLOAD_FORMAT_INDICATOR, 1))
                .property(text(CONTENT_TYPE, "type"))
                .property(text(RESPONSE_TOPIC, "response"))
                .property(text(CORRELATION_DATA, "data"))
                .property(users.concat());
            test.client_with(&test.connect("client").will(will))?.vanish();
            let message = watcher.receives(&topic, "gone")?;
            message.has_number(PAYLOAD_FORMAT_INDICATOR, Some(1))?;
            message.has_bytes(CONTENT_TYPE, b"type")?;
            message.has_bytes(RESPONSE_TOPIC, b"response")?;
            message.has_bytes(CORRELATION_DATA, b"data")?;
            message.has_number(WILL_DELAY_INTERVAL, None)?;
            message.check(message.properties.user_properties() == users, "the same User Properties in order")
        },
    ),
    Case::v5(
        "[MQTT-3.1.3-9]",
        "a client that comes back before the Will Delay Interval has passed keeps its will unpublished",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let connect = test.connect("client").lasting();
            let will = Will::new(&topic, "gone").property(long(WILL_DELAY_INTERVAL, 3));
            test.client_with(&connect.clone().will(will))?.vanish();
            let mut client = test.client_with(&connect)?;
            test.wait(4500)?;
            client.ping()?;
            test.nothing_arrives(&mut client, &mut watcher)
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-3.1.2-8]",
        "the will is published when its Will Delay Interval has passed, and not before",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let will = Will::new(&topic, "gone").property(long(WILL_DELAY_INTERVAL, 4));
            test.client_with(&test.connect("client").lasting().will(will))?.vanish();
            test.wait(1000)?;
            watcher.hears_nothing("no will before the delay has passed")?;
            test.wait(3000)?;
            watcher.receives(&topic, "gone").map(drop)
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-3.1.2-8]",
        "the will is published when the session ends before the Will Delay Interval has passed",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let will = Will::new(&topic, "expired").property(long(WILL_DELAY_INTERVAL, 300));
            let expiring = test.connect("expiring").property(long(SESSION_EXPIRY_INTERVAL, 1));
            test.client_with(&expiring.will(will.clone()))?.vanish();
            test.wait(1000)?;
            watcher.receives(&topic, "expired")?;
            // Clean Start ends a session too.
            let will = Will { payload: b"restarted".to_vec(), ..will };
            test.client_with(&test.connect("restarted").lasting().will(will))?.vanish();
            let _again = test.client_with(&test.connect("again").id(test.id("restarted")))?;
            watcher.receives(&topic, "restarted").map(drop)
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-3.2.2-12] [MQTT-3.2.2-13]",
        "a will with a QoS or RETAIN that the server does not support is refused",
        |test| {
            let will = Will::new(&test.topic("will"), "gone");
            if test.offer.maximum_qos < 2 {
                test.sent(&test.connect("qos").will(will.clone().qos(2)))?.is_refused(&[0x9b], &[])?;
            }
            match test.offer.needs_retain() {
                Err(_) => test.sent(&test.connect("retain").will(will.retain()))?.is_refused(&[0x9a], &[]),
                Ok(()) if test.offer.maximum_qos < 2 => Ok(()),
                Ok(()) => crate::verdict::not_applicable("the server supports every will"),
            }
        },
    ),
];

//! DISCONNECT: 3.14.

use crate::case::Case;
use crate::property::{SESSION_EXPIRY_INTERVAL, long};
use crate::test::Test;
use crate::verdict::{Step, check};
use crate::written::{DISCONNECT, PINGREQ, Will, disconnect};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT311-3.14.4-3] [MQTT311-3.1.2-10]",
        "DISCONNECT discards the will",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
            client.disconnect()?;
            let mut publisher = test.client("publisher")?;
            test.nothing_arrives(&mut publisher, &mut watcher)
        },
    ),
    Case::v5("[MQTT-3.1.2-8] [MQTT-3.14.4-3]", "DISCONNECT with 0x04 publishes the will", |test| {
        let topic = test.topic("will");
        let mut watcher = test.client("watcher")?;
        watcher.subscribe(&topic, 0)?;
        let client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
        client.disconnect_with(disconnect(0x04, &[]))?;
        watcher.receives(&topic, "gone").map(drop)
    }),
    Case::both(
        "[MQTT-3.14.1-1] [MQTT311-3.14.1-1]",
        "DISCONNECT with a reserved bit in its first byte ends the connection as a mistake: the will is published",
        |test| {
            let topic = test.topic("will");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let mut client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
            client.send([0xe1, 0]);
            client.is_closed(&[0x81])?;
            watcher.receives(&topic, "gone").map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.14.4-3] [MQTT311-3.14.4-3]",
        "what follows DISCONNECT is not processed, and does not bring the will back",
        |test| {
            let topic = test.topic("t");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let mut client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
            let publish = Vec::from(test.publication(&topic, "x"));
            client.send([DISCONNECT.to_vec(), publish, PINGREQ.to_vec()].concat());
            client.is_closed_now("the connection is closed without an answer")?;
            let mut publisher = test.client("publisher")?;
            test.nothing_arrives(&mut publisher, &mut watcher)
        },
    ),
    Case::v5(
        "[MQTT-3.14.2-1] [MQTT-4.13.1-1]",
        "DISCONNECT with a code that does not exist ends the connection as a mistake: the will is published",
        |test| is_a_mistake(test, disconnect(0x77, &[])),
    ),
    Case::v5(
        "[MQTT-3.1.2-23] [MQTT-4.1.0-2]",
        "Session Expiry Interval 0 in DISCONNECT ends a session that was to last",
        |test| {
            let connect = test.connect("client").lasting();
            let client = test.client_with(&connect)?;
            client.disconnect_with(disconnect(0, &long(SESSION_EXPIRY_INTERVAL, 0)))?;
            let (_client, accepted) = test.accepted(&connect)?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-23]",
        "Session Expiry Interval in DISCONNECT takes the place of that of CONNECT",
        |test| {
            let connect = test.connect("client").resume().property(long(SESSION_EXPIRY_INTERVAL, 1));
            let client = test.client_with(&connect)?;
            client.disconnect_with(disconnect(0, &long(SESSION_EXPIRY_INTERVAL, 300)))?;
            test.wait(3000)?;
            let (_client, accepted) = test.accepted(&connect)?;
            check(accepted.session_present, "Session Present 1", "Session Present 0")
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-4.13.1-1]",
        "a Session Expiry Interval in DISCONNECT when CONNECT had none is a Protocol Error",
        |test| is_a_mistake(test, disconnect(0, &long(SESSION_EXPIRY_INTERVAL, 300))),
    ),
    Case::v5("[MQTT-4.13.1-1]", "DISCONNECT with the same property twice is a Protocol Error", |test| {
        let twice = [long(SESSION_EXPIRY_INTERVAL, 0), long(SESSION_EXPIRY_INTERVAL, 0)].concat();
        is_a_mistake(test, disconnect(0, &twice))
    }),
];

/// The connection is closed after any DISCONNECT; one that is a mistake discards no will.
fn is_a_mistake(test: &Test<'_>, disconnect: Vec<u8>) -> Step {
    let topic = test.topic("will");
    let mut watcher = test.client("watcher")?;
    watcher.subscribe(&topic, 0)?;
    let mut client = test.client_with(&test.connect("client").will(Will::new(&topic, "gone")))?;
    client.send(disconnect);
    client.is_closed(&[])?;
    watcher.receives(&topic, "gone").map(drop)
}

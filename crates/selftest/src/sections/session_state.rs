//! Sessions: Clean Start, what is kept, and for how long. 3.1.2.4, 3.1.2.11.2, 4.1.

use crate::case::Case;
use crate::property::{SESSION_EXPIRY_INTERVAL, long};
use crate::verdict::check;

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-4.1.0-1] [MQTT-4.5.0-1] [MQTT311-3.1.2-4] [MQTT311-3.1.2-5] [MQTT311-3.2.2-2] [MQTT311-4.1.0-1] [MQTT311-4.5.0-1]",
        "a session that lasts keeps its subscriptions, and the messages that come meanwhile",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, 1)?;
            client.disconnect()?;
            let mut publisher = test.client("publisher")?;
            for payload in ["one", "two", "three"] {
                publisher.publish(test.publication(&topic, payload).qos(1, 5))?;
            }
            let (mut client, accepted) = test.accepted(&connect)?;
            check(accepted.session_present, "Session Present 1", "Session Present 0")?;
            for payload in ["one", "two", "three"] {
                let message = client.receives(&topic, payload)?;
                message.has_qos(1)?;
                message.is_dup(false)?;
                client.acknowledge(&message)?;
            }
            publisher.publish(test.publication(&topic, "now").qos(1, 5))?;
            let message = client.receives(&topic, "now")?;
            client.acknowledge(&message)
        },
    ),
    Case::both(
        "[MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT311-3.1.2-4] [MQTT311-3.2.2-3]",
        "Clean Start 0 without a session makes one: Session Present 0",
        |test| {
            let (_client, accepted) = test.accepted(&test.connect("client").resume())?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")
        },
    ),
    Case::both(
        "[MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT311-3.1.2-6] [MQTT311-3.1.4-3] [MQTT311-3.2.2-1]",
        "Clean Start 1 drops the session with all that it had",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, 1)?;
            client.disconnect()?;
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "old").qos(1, 5))?;
            let mut again = connect.clone();
            again.clean = true;
            let (mut client, accepted) = test.accepted(&again)?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")?;
            publisher.publish(test.publication(&topic, "new").qos(1, 5))?;
            test.nothing_arrives(&mut publisher, &mut client)
        },
    ),
    Case::v311(
        "[MQTT311-3.1.2-6] [MQTT311-3.2.2-3] [MQTT311-4.1.0-2]",
        "what a clean session had is not there for the next one",
        |test| {
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, "while it lasts"))?;
            client.receives(&topic, "while it lasts")?;
            client.disconnect()?;
            let (mut client, accepted) = test.accepted(&test.connect("client").resume())?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")?;
            client.publish(test.publication(&topic, "x"))?;
            client.hears_nothing("no message: the subscription is gone")
        },
    ),
    Case::v5(
        "[MQTT-4.1.0-2] [MQTT-3.1.2-23]",
        "a session without Session Expiry Interval ends with its connection",
        |test| {
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").resume())?;
            client.subscribe(&topic, 0)?;
            client.disconnect()?;
            let (mut client, accepted) = test.accepted(&test.connect("client").resume())?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")?;
            client.publish(test.publication(&topic, "x"))?;
            client.hears_nothing("no message: the subscription is gone")
        },
    ),
    Case::v5(
        "[MQTT-4.1.0-2] [MQTT-3.1.2-23]",
        "a session ends when its Session Expiry Interval has passed",
        |test| {
            let connect = test.connect("client").resume().property(long(SESSION_EXPIRY_INTERVAL, 1));
            test.client_with(&connect)?.disconnect()?;
            test.wait(3000)?;
            let (_client, accepted) = test.accepted(&connect)?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-3.1.2-5] [MQTT-3.1.2-23]",
        "Clean Start 1 begins a session that lasts as long as it says",
        |test| {
            let mut connect = test.connect("client").lasting();
            connect.clean = true;
            test.client_with(&connect)?.disconnect()?;
            let (_client, accepted) = test.accepted(&test.connect("client").resume())?;
            check(accepted.session_present, "Session Present 1", "Session Present 0")
        },
    ),
    Case::both(
        "[MQTT-3.1.3-2] [MQTT-3.1.2-5] [MQTT311-3.1.3-2] [MQTT311-3.1.2-4]",
        "the session belongs to the Client Identifier: another client has none of it",
        |test| {
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").lasting())?;
            client.subscribe(&topic, 0)?;
            client.disconnect()?;
            let (mut other, accepted) = test.accepted(&test.connect("Client").lasting())?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")?;
            other.publish(test.publication(&topic, "x"))?;
            other.hears_nothing("no message of another session")
        },
    ),
    Case::both(
        "[MQTT-3.1.4-3] [MQTT-3.2.2-3] [MQTT311-3.1.4-2] [MQTT311-3.2.2-2]",
        "a client that takes the place of a connected one goes on with its session",
        |test| {
            let topic = test.topic("t");
            let connect = test.connect("older").lasting();
            let mut older = test.client_with(&connect)?;
            older.subscribe(&topic, 0)?;
            let (mut newer, accepted) = test.accepted(&connect)?;
            check(accepted.session_present, "Session Present 1", "Session Present 0")?;
            newer.publish(test.publication(&topic, "x"))?;
            newer.receives(&topic, "x")?;
            older.is_closed(&[0x8e])
        },
    ),
];

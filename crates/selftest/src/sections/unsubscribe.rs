//! UNSUBSCRIBE and its answer: 3.10, 3.11.

use crate::case::Case;
use crate::verdict::check;
use crate::written::{PUBACK, SUBACK, UNSUBACK, acknowledge, subscribe, unsubscribe};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-2.2.1-6] [MQTT311-3.10.4-1] [MQTT311-3.10.4-2] [MQTT311-3.10.4-4] [MQTT311-2.3.1-7]",
        "UNSUBSCRIBE is answered by UNSUBACK with its Packet Identifier, and nothing is delivered any more",
        |test| {
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, "before"))?;
            client.receives(&topic, "before")?;
            client.send(unsubscribe(test.version, 0x1234, &[&topic]));
            let codes = client.granted(UNSUBACK, 0x1234)?;
            let expected: &[u8] = if test.is_v5() { &[0] } else { &[] };
            check(codes == expected, format!("codes {expected:02x?}"), format!("codes {codes:02x?}"))?;
            client.publish(test.publication(&topic, "after"))?;
            client.hears_nothing("no message after UNSUBACK")
        },
    ),
    Case::both(
        "[MQTT-3.10.4-5] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT311-3.10.4-5]",
        "UNSUBSCRIBE from what was not subscribed to is answered by UNSUBACK",
        |test| {
            let mut client = test.client("client")?;
            let codes = client.unsubscribe(test.topic("t"))?;
            let allowed: &[&[u8]] = if test.is_v5() { &[&[0x11], &[0x00]] } else { &[&[]] };
            check(allowed.contains(&codes.as_slice()), "UNSUBACK with 0x11", format!("codes {codes:02x?}"))
        },
    ),
    Case::both(
        "[MQTT-3.10.4-1] [MQTT311-3.10.4-1]",
        "filters are compared letter by letter: another filter for the same topics is not unsubscribed from",
        |test| {
            test.offer.needs_wildcards()?;
            let topic = test.topic("a/b");
            let mut client = test.client("client")?;
            client.subscribe(test.topic("a/+"), 0)?;
            client.unsubscribe(&topic)?;
            client.unsubscribe(test.topic("a/#"))?;
            client.unsubscribe(test.topic("A/+"))?;
            client.publish(test.publication(&topic, "x"))?;
            client.receives(&topic, "x").map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT311-3.10.4-6]",
        "an UNSUBSCRIBE of many filters is answered by one UNSUBACK, in their order",
        |test| {
            let (a, b, none) = (test.topic("a"), test.topic("b"), test.topic("none"));
            let mut client = test.client("client")?;
            client.send(subscribe(test.version, 1, &[], &[(&a, 0), (&b, 0)]));
            client.granted(SUBACK, 1)?;
            client.send(unsubscribe(test.version, 2, &[&a, &none, &b]));
            let codes = client.granted(UNSUBACK, 2)?;
            let expected: &[u8] = if test.is_v5() { &[0, 0x11, 0] } else { &[] };
            check(codes == expected, format!("codes {expected:02x?}"), format!("codes {codes:02x?}"))?;
            client.publish(test.publication(&a, "x"))?;
            client.publish(test.publication(&b, "x"))?;
            client.hears_nothing("no message after UNSUBACK")
        },
    ),
    Case::both(
        "[MQTT-3.10.4-3] [MQTT311-3.10.4-3]",
        "a delivery of QoS 1 that was begun is brought to its end after UNSUBSCRIBE",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, 1)?;
            client.publish(test.publication(&topic, "x").qos(1, 7))?;
            client.receives(&topic, "x")?.has_qos(1)?;
            client.unsubscribe(&topic)?;
            client.vanish();
            let mut client = test.client_with(&connect)?;
            let message = client.receives(&topic, "x")?;
            message.is_dup(true)?;
            client.send(acknowledge(PUBACK, message.id));
            client.hears_nothing("the message is delivered")
        },
    ),
    Case::both(
        "[MQTT-3.10.1-1] [MQTT311-3.10.1-1]",
        "UNSUBSCRIBE whose first byte does not end in 0010 ends the connection",
        |test| {
            for flags in [0, 1, 3, 6, 0xa] {
                let mut client = test.client("client")?;
                let mut bytes = unsubscribe(test.version, 1, &["a"]);
                bytes[0] = 0xa0 | flags;
                client.send(bytes);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.10.3-2] [MQTT-4.13.1-1] [MQTT311-3.10.3-2] [MQTT311-4.8.0-1]",
        "UNSUBSCRIBE without a filter ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(unsubscribe(test.version, 1, &[""; 0]));
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-2.2.1-3] [MQTT311-2.3.1-1]",
        "UNSUBSCRIBE with Packet Identifier 0 ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(unsubscribe(test.version, 0, &["a"]));
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-3.10.3-1] [MQTT-1.5.4-1] [MQTT311-3.10.3-1] [MQTT311-1.5.3-1]",
        "UNSUBSCRIBE from a filter that is not UTF-8 ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(unsubscribe(test.version, 1, &[[b'a', 0xff]]));
            client.is_closed(&[0x8f])
        },
    ),
];

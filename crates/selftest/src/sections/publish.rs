//! PUBLISH: 3.3, as far as one connection or a plain subscriber can tell. Its properties, aliases and retained messages
//! have tables of their own.

use crate::case::Case;
use crate::written::{PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledge};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.3.4-1] [MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT311-3.3.4-1] [MQTT311-4.3.1-1] [MQTT311-3.3.1-2]",
        "a message of QoS 0 is delivered as it is, and not acknowledged",
        |test| {
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "x"))?;
            publisher.hears_nothing("no acknowledgement of QoS 0")?;
            let message = subscriber.receives(&topic, "x")?;
            message.has_qos(0)?;
            message.is_retained(false)
        },
    ),
    Case::both(
        "[MQTT-3.3.4-1] [MQTT-3.4.2-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-3.2.2-9] [MQTT311-3.3.4-1] [MQTT311-2.3.1-6] [MQTT311-4.3.2-2]",
        "a message of QoS 1 is acknowledged by PUBACK with its Packet Identifier",
        |test| {
            test.offer.needs_qos(1)?;
            let mut client = test.client("client")?;
            for id in [1, 0x1234, 0xffff] {
                client.send(test.publication(&test.topic("t"), "x").qos(1, id));
                client.acknowledgement(PUBACK, id)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.3.4-1] [MQTT-3.5.2-1] [MQTT-2.2.1-5] [MQTT-4.3.3-8] [MQTT-3.2.2-9] [MQTT311-3.3.4-1] [MQTT311-2.3.1-6] [MQTT311-4.3.3-2]",
        "a message of QoS 2 is acknowledged by PUBREC with its Packet Identifier",
        |test| {
            test.offer.needs_qos(2)?;
            let mut client = test.client("client")?;
            for id in [1, 0x1234, 0xffff] {
                client.send(test.publication(&test.topic("t"), "x").qos(2, id));
                client.acknowledgement(PUBREC, id)?;
                client.send(acknowledge(PUBREL, id));
                client.acknowledgement(PUBCOMP, id)?;
            }
            Ok(())
        },
    ),
    Case::both("[MQTT-3.3.1-4] [MQTT311-3.3.1-4]", "PUBLISH with QoS 3 ends the connection", |test| {
        let mut client = test.client("client")?;
        client.send(test.publication(&test.topic("t"), "x").qos(3, 1));
        client.is_closed(&[0x9b])
    }),
    Case::both(
        "[MQTT-3.3.1-2] [MQTT-4.13.1-1] [MQTT311-3.3.1-2] [MQTT311-4.8.0-1]",
        "PUBLISH of QoS 0 with DUP ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("t"), "x").dup());
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-2.2.1-3] [MQTT311-2.3.1-1]",
        "PUBLISH with Packet Identifier 0 ends the connection",
        |test| {
            test.offer.needs_qos(1)?;
            for qos in 1..=test.offer.maximum_qos {
                let mut client = test.client("client")?;
                client.send(test.publication(&test.topic("t"), "x").qos(qos, 0));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT311-3.3.2-2] [MQTT311-4.7.1-1]",
        "PUBLISH to a Topic Name with a wildcard ends the connection",
        |test| {
            for name in ["a/+", "a/#", "+", "#", "a+b", "a#b"] {
                let mut client = test.client("client")?;
                client.send(test.publication(&test.topic(name), "x"));
                client.is_closed(&[0x90])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.7.3-1] [MQTT-4.13.1-1] [MQTT311-4.7.3-1] [MQTT311-4.8.0-1]",
        "PUBLISH to an empty Topic Name ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(test.publication("", "x"));
            client.is_closed(&[0x90])
        },
    ),
    Case::both(
        "[MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT311-3.3.2-1] [MQTT311-1.5.3-1]",
        "PUBLISH to a Topic Name that is not UTF-8 ends the connection",
        |test| {
            for name in [&[b'a', 0xff][..], &[0xc0, 0x80], &[0xed, 0xa0, 0x80], &[0xf4, 0x90, 0x80, 0x80]] {
                let mut client = test.client("client")?;
                client.send(crate::written::Publication::new(test.version, name, "x"));
                client.is_closed(&[0x90])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-1.5.4-2] [MQTT-4.7.3-2] [MQTT311-1.5.3-2] [MQTT311-4.7.3-2]",
        "PUBLISH to a Topic Name with U+0000 ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("a\0b"), "x"));
            client.is_closed(&[0x90])
        },
    ),
    Case::both(
        "[MQTT-1.5.4-3] [MQTT-4.7.3-4] [MQTT311-1.5.3-3] [MQTT311-4.7.3-4]",
        "U+FEFF in a topic is a character like others, and stays",
        |test| {
            let (topic, without) = (test.topic("\u{feff}t\u{feff}"), test.topic("t"));
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&without, "another topic"))?;
            client.publish(test.publication(&topic, "x"))?;
            client.receives(&topic, "x").map(drop)
        },
    ),
    Case::both("[MQTT-3.3.4-1] [MQTT311-3.3.4-1]", "a message may have no payload", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.subscribe(&topic, 0)?;
        client.publish(test.publication(&topic, ""))?;
        client.receives(&topic, "").map(drop)
    }),
    Case::both(
        "[MQTT-3.3.4-1] [MQTT-4.2-1] [MQTT311-3.3.4-1] [MQTT311-7.1.1-1]",
        "a payload of many bytes, of all kinds, arrives as it was sent",
        |test| {
            let topic = test.topic("t");
            let payload: Vec<u8> = (0..100_000_u32).map(|number| (number * 7 / 8) as u8).collect();
            if test.offer.maximum_packet_size.is_some_and(|maximum| (maximum as usize) < payload.len() + 200)
            {
                return crate::verdict::not_applicable("the server announces a smaller Maximum Packet Size");
            }
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, &payload))?;
            let message = client.message()?;
            message.check(message.payload == payload, "the payload that was sent")
        },
    ),
    Case::both("[MQTT-4.2-1] [MQTT311-7.1.1-1]", "packets may be cut anywhere on their way", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.subscribe(&topic, 0)?;
        for byte in Vec::from(test.publication(&topic, "x")) {
            client.send([byte]);
        }
        client.receives(&topic, "x").map(drop)
    }),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "PUBLISH whose Topic Name is longer than the packet ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send([0x30, 4, 0, 9, b'a', b'b']);
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "a Remaining Length of five bytes ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send([0x30, 0x80, 0x80, 0x80, 0x80, 1]);
            client.is_closed(&[])
        },
    ),
];

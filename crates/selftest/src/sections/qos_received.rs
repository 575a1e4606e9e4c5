//! QoS 1 and 2 as the server receives them: 4.3.2, 4.3.3, and the packets of 3.4 to 3.7.

use crate::case::Case;
use crate::verdict::not_applicable;
use crate::written::{PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledge};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.7.2-1] [MQTT-2.2.1-5] [MQTT311-4.3.3-2] [MQTT311-2.3.1-6]",
        "PUBREL is answered by PUBCOMP with its Packet Identifier",
        |test| {
            test.offer.needs_qos(2)?;
            let mut client = test.client("client")?;
            for id in [1, 0x1234, 0xffff] {
                client.publish(test.publication(&test.topic("t"), "x").qos(2, id))?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.3.3-10] [MQTT311-4.3.3-2]",
        "a message of QoS 2 that comes again before PUBREL is acknowledged again, and delivered once",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let mut client = test.client("client")?;
            let message = test.publication(&topic, "x").qos(2, 7);
            client.send(message.clone());
            client.acknowledged(PUBREC, 7)?;
            for _ in 0..2 {
                client.send(message.clone().dup());
                client.acknowledged(PUBREC, 7)?;
            }
            client.send(acknowledge(PUBREL, 7));
            client.acknowledged(PUBCOMP, 7)?;
            subscriber.receives(&topic, "x")?;
            test.nothing_arrives(&mut client, &mut subscriber)
        },
    ),
    Case::both(
        "[MQTT-4.3.3-10] [MQTT-4.1.0-1] [MQTT311-4.3.3-2] [MQTT311-4.1.0-1]",
        "a session that lasts knows the message of QoS 2 when it comes again on the next connection",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            let message = test.publication(&topic, "x").qos(2, 7);
            client.send(message.clone());
            client.acknowledged(PUBREC, 7)?;
            client.vanish();
            let mut client = test.client_with(&connect)?;
            client.publish(message.dup())?;
            subscriber.receives(&topic, "x")?;
            test.nothing_arrives(&mut client, &mut subscriber)
        },
    ),
    Case::both(
        "[MQTT-4.3.3-11] [MQTT311-4.3.3-2]",
        "PUBREL that comes again, and on the next connection, is answered by PUBCOMP again",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.publish(test.publication(&test.topic("t"), "x").qos(2, 7))?;
            client.send(acknowledge(PUBREL, 7));
            client.acknowledgement(PUBCOMP, 7)?;
            client.vanish();
            let mut client = test.client_with(&connect)?;
            client.send(acknowledge(PUBREL, 7));
            client.acknowledgement(PUBCOMP, 7).map(drop)
        },
    ),
    Case::both(
        "[MQTT-4.3.3-12] [MQTT311-4.3.3-2]",
        "after PUBCOMP the Packet Identifier stands for a new message",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let mut client = test.client("client")?;
            for payload in ["one", "two", "three"] {
                client.publish(test.publication(&topic, payload).qos(2, 7))?;
                subscriber.receives(&topic, payload)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.3.2-5] [MQTT311-4.3.2-2]",
        "after PUBACK the Packet Identifier stands for a new message, with DUP too",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "one").qos(1, 7))?;
            client.publish(test.publication(&topic, "two").qos(1, 7))?;
            client.publish(test.publication(&topic, "three").qos(1, 7).dup())?;
            for payload in ["one", "two", "three"] {
                subscriber.receives(&topic, payload)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT311-3.3.1-3]",
        "DUP of the publisher is not passed on",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 2)?;
            let mut client = test.client("client")?;
            for qos in 1..=2 {
                client.publish(test.publication(&topic, "x").qos(qos, 7).dup())?;
                let message = subscriber.receives(&topic, "x")?;
                message.is_dup(false)?;
                subscriber.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.6.1-1] [MQTT311-3.6.1-1]",
        "PUBREL whose first byte does not end in 0010 ends the connection",
        |test| {
            test.offer.needs_qos(2)?;
            for flags in [0, 1, 3, 6, 0xa] {
                let mut client = test.client("client")?;
                client.send(test.publication(&test.topic("t"), "x").qos(2, 7));
                client.acknowledged(PUBREC, 7)?;
                client.send(acknowledge(0x60 | flags, 7));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-2.1.3-1] [MQTT-4.13.1-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]",
        "PUBACK, PUBREC or PUBCOMP with reserved bits in its first byte ends the connection",
        |test| {
            test.offer.needs_qos(1)?;
            for first_byte in [PUBACK, PUBREC, PUBCOMP] {
                let mut client = test.client("client")?;
                client.send(acknowledge(first_byte | 2, 7));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "an acknowledgement that is too short ends the connection",
        |test| {
            for first_byte in [PUBACK, PUBREC, PUBREL, PUBCOMP] {
                let mut client = test.client("client")?;
                client.send([first_byte, 1, 0]);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-4.13.1-1]",
        "an acknowledgement with a Reason Code that it does not have ends the connection",
        |test| {
            for (first_byte, code) in
                [(PUBACK, 0x92), (PUBACK, 0x01), (PUBREC, 0x92), (PUBREL, 0x10), (PUBCOMP, 0x80)]
            {
                let mut client = test.client("client")?;
                client.send([first_byte, 3, 0, 7, code]);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.3.3-9]",
        "after a PUBREC that refuses, its Packet Identifier means a new message",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            // What most servers keep for themselves.
            let reserved = format!("$SYS/noctule-selftest/{}", test.own());
            client.send(test.publication(&reserved, "x").qos(2, 7));
            if client.acknowledgement(PUBREC, 7)? < 0x80 {
                return not_applicable("the server lets everybody publish below $SYS");
            }
            client.publish(test.publication(&topic, "new").qos(2, 7))?;
            client.receives(&topic, "new").map(drop)
        },
    ),
    Case::v5(
        "[MQTT-3.7.2-1] [MQTT-4.3.3-11]",
        "PUBREL for a message that nobody knows is answered by PUBCOMP, with 0x92 or without",
        |test| {
            let mut client = test.client("client")?;
            client.send(acknowledge(PUBREL, 77));
            client.acknowledgement(PUBCOMP, 77).map(drop)
        },
    ),
    Case::v5(
        "[MQTT-4.13.1-1]",
        "an acknowledgement with a property that stands twice, or that it does not have, ends the connection",
        |test| {
            for properties in [&[0x1f, 0, 1, b'a', 0x1f, 0, 1, b'a'][..], &[0x23, 0, 1]] {
                let mut client = test.client("client")?;
                let body = [&[0, 7, 0, properties.len() as u8][..], properties].concat();
                client.send(crate::bytes::packet(PUBACK, &body));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
];

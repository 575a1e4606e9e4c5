//! What is no packet, and last words: 1.5.5, 4.13, 3.14 of a server.

use crate::case::Case;
use crate::property::{MAXIMUM_PACKET_SIZE, long};
use crate::received::Packet;
use crate::verdict::check;
use crate::written::{PUBREC, SUBACK, acknowledge, disconnect, subscribe};

pub(super) const CASES: &[Case] = &[
    Case::v5(
        "[MQTT-1.5.5-1] [MQTT-4.13.1-1]",
        "a Remaining Length with more bytes than it needs ends the connection",
        |test| {
            for bytes in [&[0xc0, 0x80, 0x00][..], &[0xe0, 0x80, 0x80, 0x00]] {
                let mut client = test.client("client")?;
                client.send(bytes);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-1.5.5-1] [MQTT-4.13.1-1]",
        "a Property Length or Subscription Identifier with more bytes than it needs ends the connection",
        |test| {
            let filter = [&[0, 1][..], b"a", &[0]].concat();
            for properties in [&[0x80, 0x00][..], &[0x03, 0x0b, 0x81, 0x00]] {
                let mut client = test.client("client")?;
                client.send(crate::bytes::packet(0x82, &[&[0, 7], properties, &filter].concat()));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.13.1-1]",
        "a Property Length that goes beyond the packet ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send([0x30, 5, 0, 1, b'a', 9, 0x01]);
            client.is_closed(&[])
        },
    ),
    Case::v5("[MQTT-4.13.2-1]", "DISCONNECT with an error is followed by a closed connection", |test| {
        for code in [0x80, 0x81, 0x82, 0x83, 0x93, 0x95] {
            let mut client = test.client("client")?;
            client.send(disconnect(code, &[]));
            client.is_closed_now("the connection is closed without an answer")?;
        }
        Ok(())
    }),
    Case::v5(
        "[MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-4.13.2-1]",
        "last words keep to the client's Maximum Packet Size",
        |test| {
            const MAXIMUM: usize = 20;
            let connect = test.connect("client").property(long(MAXIMUM_PACKET_SIZE, MAXIMUM as u32));
            let mut client = test.client_with(&connect)?;
            client.send(connect.bytes());
            let Ok(last) = client.packet("DISCONNECT, or a closed connection") else {
                return client.is_closed(&[]);
            };
            let fits = last.bytes.len() <= MAXIMUM && matches!(last.packet, Packet::Disconnect { .. });
            let expected = format!("DISCONNECT of at most {MAXIMUM} bytes, or a closed connection");
            check(fits, expected, crate::exchange::described(&last.bytes))?;
            client.is_closed_now("the connection is closed behind DISCONNECT")
        },
    ),
    Case::v5("[MQTT-3.6.2-2] [MQTT-3.6.2-3]", "PUBREL keeps to the client's Maximum Packet Size", |test| {
        test.offer.needs_qos(2)?;
        const MAXIMUM: usize = 60;
        let topic = test.topic("t");
        let connect = test.connect("client").property(long(MAXIMUM_PACKET_SIZE, MAXIMUM as u32));
        let mut client = test.client_with(&connect)?;
        client.subscribe(&topic, 2)?;
        let mut publisher = test.client("publisher")?;
        publisher.publish(test.publication(&topic, "x").qos(2, 7))?;
        let message = client.receives(&topic, "x")?;
        client.send(acknowledge(PUBREC, message.id));
        let answer = client.answer("PUBREL")?;
        let expected = format!("PUBREL of at most {MAXIMUM} bytes");
        let fits = answer.bytes[0] == 0x62 && answer.bytes.len() <= MAXIMUM;
        check(fits, expected, crate::exchange::described(&answer.bytes))
    }),
    Case::v311(
        "[MQTT311-3.3.5-2]",
        "a message on a topic of the server is acknowledged, or ends the connection",
        |test| {
            test.offer.needs_qos(1)?;
            let mut client = test.client("client")?;
            client.send(test.publication(&format!("$SYS/noctule-selftest/{}", test.own()), "x").qos(1, 7));
            let expected = "PUBACK, or a closed connection";
            match client.packet(expected) {
                Ok(answer) => check(
                    answer.bytes == [0x40, 2, 0, 7],
                    expected,
                    crate::exchange::described(&answer.bytes),
                ),
                Err(_) => client.is_closed(&[]),
            }
        },
    ),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "a mistake of one client does not touch another one",
        |test| {
            let mut other = test.client("other")?;
            other.send(subscribe(test.version, 1, &[], &[(test.topic("t"), 0)]));
            other.granted(SUBACK, 1)?;
            let mut client = test.client("client")?;
            client.send([0x30, 0xff, 0xff, 0xff, 0xff, 0xff]);
            client.is_closed(&[])?;
            other.publish(test.publication(&test.topic("t"), "x"))?;
            other.receives(&test.topic("t"), "x").map(drop)
        },
    ),
];

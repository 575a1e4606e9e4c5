//! Flow control (5.0): Receive Maximum, 4.9; Maximum Packet Size, 3.1.2.11.4.

use crate::case::Case;
use crate::property::{
    MAXIMUM_PACKET_SIZE, REASON_STRING, RECEIVE_MAXIMUM, REQUEST_PROBLEM_INFORMATION, USER_PROPERTY, byte,
    long, short,
};
use crate::received::Packet;
use crate::verdict::{check, deviates, not_applicable};
use crate::written::{PUBACK, PUBREC, SUBACK, acknowledge, subscribe};

pub(super) const CASES: &[Case] = &[
    Case::v5(
        "[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]",
        "no more messages of QoS 1 are in flight to a client than its Receive Maximum; an acknowledgement makes room for the next",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").property(short(RECEIVE_MAXIMUM, 2)))?;
            client.subscribe(&topic, 1)?;
            let mut publisher = test.client("publisher")?;
            for number in 1..=5 {
                publisher.publish(test.publication(&topic, number.to_string()).qos(1, number))?;
            }
            let first = client.receives(&topic, "1")?;
            let second = client.receives_beside(1, &topic, "2")?;
            client.stays_silent("no third message before one is acknowledged")?;
            client.acknowledge(&first)?;
            let third = client.receives(&topic, "3")?;
            client.stays_silent("no fourth message before another one is acknowledged")?;
            client.acknowledge(&second)?;
            client.acknowledge(&third)?;
            for payload in ["4", "5"] {
                let message = client.receives(&topic, payload)?;
                client.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.3.3-5]",
        "a message of QoS 2 is in flight until PUBCOMP",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").property(short(RECEIVE_MAXIMUM, 1)))?;
            client.subscribe(&topic, 2)?;
            let mut publisher = test.client("publisher")?;
            for number in 1..=2 {
                publisher.publish(test.publication(&topic, number.to_string()).qos(2, number))?;
            }
            let first = client.receives(&topic, "1")?;
            client.send(acknowledge(PUBREC, first.id));
            client.acknowledged(crate::written::PUBREL, first.id)?;
            client.stays_silent("no second message before PUBCOMP")?;
            client.send(acknowledge(crate::written::PUBCOMP, first.id));
            let second = client.receives(&topic, "2")?;
            client.acknowledge(&second)
        },
    ),
    Case::v5(
        "[MQTT-4.9.0-2] [MQTT-3.3.4-9]",
        "an acknowledgement with an error makes room for the next message too",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").property(short(RECEIVE_MAXIMUM, 1)))?;
            client.subscribe(&topic, 2)?;
            let mut publisher = test.client("publisher")?;
            for (number, qos) in [(1, 1), (2, 2), (3, 1)] {
                publisher.publish(test.publication(&topic, number.to_string()).qos(qos, number))?;
            }
            for (payload, answer) in [("1", PUBACK), ("2", PUBREC)] {
                let message = client.receives(&topic, payload)?;
                let [high, low] = message.id.to_be_bytes();
                client.send([answer, 3, high, low, 0x83]);
            }
            let third = client.receives(&topic, "3")?;
            client.acknowledge(&third)
        },
    ),
    Case::v5(
        "[MQTT-3.3.4-10] [MQTT-4.9.0-3]",
        "a client at its Receive Maximum gets everything but PUBLISH of QoS 1 and 2 without delay",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client_with(&test.connect("client").property(short(RECEIVE_MAXIMUM, 1)))?;
            client.subscribe(&topic, 1)?;
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "1").qos(1, 1))?;
            let first = client.receives(&topic, "1")?;
            client.ping()?;
            client.send(subscribe(test.version, 9, &[], &[(test.topic("other"), 0)]));
            client.granted(SUBACK, 9)?;
            client.publish(test.publication(&test.topic("nobody"), "x").qos(1, 5))?;
            client.publish(test.publication(&test.topic("nobody"), "x").qos(2, 6))?;
            client.publish(test.publication(&topic, "of QoS 0"))?;
            client.receives(&topic, "of QoS 0")?.has_qos(0)?;
            client.acknowledge(&first)
        },
    ),
    Case::v5(
        "[MQTT-4.3.3-8] [MQTT-4.13.2-1]",
        "of more messages of QoS 2 than the server's Receive Maximum it answers those up to it; the one too many is refused, or the client is disconnected",
        |test| {
            test.offer.needs_qos(2)?;
            let maximum = test.offer.receive_maximum;
            if maximum > 2000 {
                return not_applicable(format!("the server's Receive Maximum is large: {maximum}"));
            }
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            let mut bytes = Vec::new();
            for id in 1..=maximum + 1 {
                bytes.extend(Vec::from(test.publication(&topic, "x").qos(2, id)));
            }
            client.send(bytes);
            for id in 1..=maximum {
                match client.pubrec_or_closed(id, 0x93)? {
                    Some(code @ 0x80..) => {
                        return not_applicable(format!("the server refuses the message: {code:#04x}"));
                    }
                    Some(_) => {}
                    // It had read all of them before it answered.
                    None => return Ok(()),
                }
            }
            // That nobody sends so many binds the client [MQTT-3.3.4-7]; what a server does about it is its own affair,
            // as long as it does not take the message.
            let code = client.pubrec_or_closed(maximum + 1, 0x93)?;
            let is_taken = code.is_some_and(|code| code < 0x80);
            check(!is_taken, "PUBREC with an error, or a closed connection", "PUBREC that takes the message")
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-24] [MQTT-3.1.2-25]",
        "a message that is larger than the client's Maximum Packet Size is not sent to it, and counts as delivered",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").property(long(MAXIMUM_PACKET_SIZE, 200));
            let mut client = test.client_with(&connect.property(short(RECEIVE_MAXIMUM, 1)))?;
            client.subscribe(&topic, 1)?;
            let mut other = test.client("other")?;
            other.subscribe(&topic, 1)?;
            let mut publisher = test.client("publisher")?;
            let large = "x".repeat(300);
            for (id, payload) in [(1, large.as_str()), (2, "small"), (3, &large), (4, "last")] {
                publisher.publish(test.publication(&topic, payload).qos(1, id))?;
                let message = other.receives(&topic, payload)?;
                other.acknowledge(&message)?;
            }
            for payload in ["small", "last"] {
                let message = client.receives(&topic, payload)?;
                client.acknowledge(&message)?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-24]",
        "a message of exactly the client's Maximum Packet Size is sent, one byte more is not",
        |test| {
            let topic = test.topic("t");
            // First byte, Remaining Length of two bytes, topic behind its length, no properties.
            let around = 1 + 2 + 2 + topic.len() + 1;
            let connect = test.connect("client").property(long(MAXIMUM_PACKET_SIZE, 300));
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, 0)?;
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "x".repeat(300 - around + 1)))?;
            let fits = "y".repeat(300 - around);
            publisher.publish(test.publication(&topic, &fits))?;
            client.receives(&topic, fits).map(drop)
        },
    ),
    Case::v5(
        "[MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3]",
        "answers keep to the client's Maximum Packet Size",
        |test| {
            test.offer.needs_qos(2)?;
            const MAXIMUM: usize = 60;
            let mut client = test.open("client")?;
            let connect = test.connect("client").property(long(MAXIMUM_PACKET_SIZE, MAXIMUM as u32));
            client.send(connect.bytes());
            client.send(subscribe(test.version, 1, &[], &[(test.topic("t"), 0)]));
            client.send(crate::written::unsubscribe(test.version, 2, &[test.topic("none")]));
            client.send(test.publication(&test.topic("none"), "x").qos(1, 3));
            client.send(test.publication(&test.topic("none"), "x").qos(2, 4));
            client.send(acknowledge(crate::written::PUBREL, 4));
            client.send(acknowledge(crate::written::PUBREL, 5));
            for _ in 0..7 {
                let received = client.packet("an answer")?;
                check(
                    received.bytes.len() <= MAXIMUM,
                    format!("a packet of at most {MAXIMUM} bytes"),
                    crate::exchange::described(&received.bytes),
                )?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-29]",
        "with Request Problem Information 0 only CONNACK, PUBLISH and DISCONNECT have Reason String and User Property",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").property(byte(REQUEST_PROBLEM_INFORMATION, 0));
            let mut client = test.client_with(&connect)?;
            client.send(subscribe(test.version, 1, &[], &[(test.topic("t"), 0)]));
            client.send(crate::written::unsubscribe(test.version, 2, &[test.topic("none")]));
            client.send(test.publication(&test.topic("none"), "x").qos(1, 3));
            client.send(test.publication(&test.topic("none"), "x").qos(2, 4));
            client.send(acknowledge(crate::written::PUBREL, 5));
            for _ in 0..5 {
                let received = client.answer("an answer")?;
                let (Packet::Granted { properties, .. } | Packet::Acknowledgement { properties, .. }) =
                    &received.packet
                else {
                    return deviates("an answer", crate::exchange::described(&received.bytes));
                };
                let has = properties.has(REASON_STRING) || properties.has(USER_PROPERTY);
                check(
                    !has,
                    "no Reason String or User Property",
                    crate::exchange::described(&received.bytes),
                )?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.2.2-15] [MQTT-4.13.1-1]",
        "a packet that is larger than the server's Maximum Packet Size ends the connection",
        |test| {
            let Some(maximum) = test.offer.maximum_packet_size else {
                return not_applicable("the server announces no Maximum Packet Size");
            };
            let length = maximum as usize;
            if length > 20_000_000 {
                return not_applicable(format!("the server's Maximum Packet Size is large: {maximum}"));
            }
            let mut client = test.client("client")?;
            // With topic and header it is larger; a server may want to see all of it first.
            client.send_of_any_size(test.publication(&test.topic("t"), vec![0; length]));
            client.is_closed(&[0x95])
        },
    ),
];

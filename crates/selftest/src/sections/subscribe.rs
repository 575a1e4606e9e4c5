//! SUBSCRIBE and its answer: 3.8, 3.9.

use crate::case::Case;
use crate::verdict::{check, not_applicable};
use crate::written::{SUBACK, subscribe};

/// Subscription options of 5.0.
const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.9.3-2] [MQTT-2.2.1-6] [MQTT311-3.9.3-2] [MQTT311-3.8.4-1] [MQTT311-3.8.4-2] [MQTT311-2.3.1-7]",
        "SUBSCRIBE is answered by SUBACK with its Packet Identifier",
        |test| {
            let mut client = test.client("client")?;
            for id in [1, 0x1234, 0xffff] {
                client.send(subscribe(test.version, id, &[], &[(test.topic("t"), 0)]));
                let codes = client.granted(SUBACK, id)?;
                check(codes.len() == 1, "one code for one filter", format!("codes {codes:02x?}"))?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT311-3.8.4-4] [MQTT311-3.8.4-5] [MQTT311-3.9.3-1]",
        "a SUBSCRIBE of many filters is answered by one SUBACK, with the granted QoS of each in their order",
        |test| {
            test.offer.needs_qos(2)?;
            let mut number = 0;
            let topics = [2, 0, 1, 1, 0].map(|qos| {
                number += 1;
                (test.topic(&format!("t{number}")), qos)
            });
            let mut client = test.client("client")?;
            client.send(subscribe(test.version, 7, &[], &topics));
            let codes = client.granted(SUBACK, 7)?;
            let granted = |(code, asked): (&u8, u8)| *code <= asked || *code >= 0x80;
            check(
                codes.len() == 5 && codes.iter().zip([2, 0, 1, 1, 0]).all(granted),
                "five codes, each at most the QoS asked for, or a refusal: [02, 00, 01, 01, 00]",
                format!("codes {codes:02x?}"),
            )?;
            for (number, ((topic, _), code)) in (8..).zip(topics.iter().zip(&codes)) {
                if *code <= 2 {
                    client.publish(test.publication(topic, "x").qos(2, number))?;
                    let message = client.receives(topic, "x")?;
                    message.check(message.qos == *code, &format!("the granted QoS {code}"))?;
                    client.acknowledge(&message)?;
                }
            }
            if codes != [2, 0, 1, 1, 0] {
                return not_applicable(format!("the server grants less than is asked for: {codes:02x?}"));
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.2.2-10]",
        "a SUBSCRIBE with a higher QoS than the server supports is granted what it supports",
        |test| {
            if test.offer.maximum_qos == 2 {
                return not_applicable("the server supports every QoS");
            }
            let mut client = test.client("client")?;
            client.send(subscribe(test.version, 7, &[], &[(test.topic("t"), 2)]));
            let codes = client.granted(SUBACK, 7)?;
            let granted = test.offer.maximum_qos;
            check(codes == [granted], format!("codes [{granted:02x}]"), format!("codes {codes:02x?}"))
        },
    ),
    Case::both(
        "[MQTT-3.8.4-8] [MQTT-2.2.1-2] [MQTT-2.2.1-4] [MQTT311-3.8.4-6] [MQTT311-2.3.1-4] [MQTT311-2.3.1-5]",
        "a message is delivered with the lower one of its QoS and the granted QoS",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut publisher = test.client("publisher")?;
            for granted in 0..=2 {
                let mut subscriber = test.client("subscriber")?;
                subscriber.subscribe(&topic, granted)?;
                for qos in 0..=2 {
                    let payload = format!("{qos} to {granted}");
                    let message = test.publication(&topic, &payload).qos(qos, 40 + u16::from(qos));
                    publisher.publish(message)?;
                    let message = subscriber.receives(&topic, &payload)?;
                    message.has_qos(qos.min(granted))?;
                    subscriber.acknowledge(&message)?;
                }
                subscriber.disconnect()?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.8.4-3] [MQTT311-3.8.4-3]",
        "the same filter again takes the place of the subscription: one copy, at the new QoS",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.subscribe(&topic, 1)?;
            client.publish(test.publication(&topic, "x").qos(1, 9))?;
            let message = client.receives(&topic, "x")?;
            message.has_qos(1)?;
            client.acknowledge(&message)?;
            client.hears_nothing("one copy")
        },
    ),
    Case::both(
        "[MQTT-3.8.4-4] [MQTT-3.3.1-9] [MQTT311-3.8.4-3] [MQTT311-3.3.1-6]",
        "the same filter again brings the retained messages again",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain())?;
            for _ in 0..2 {
                client.subscribe(&topic, 0)?;
                client.receives(&topic, "kept")?.is_retained(true)?;
            }
            client.hears_nothing("one copy for each SUBSCRIBE")
        },
    ),
    Case::both(
        "[MQTT-3.3.4-2] [MQTT311-3.3.5-1]",
        "overlapping subscriptions: the message comes at the highest QoS of them",
        |test| {
            test.offer.needs_wildcards()?;
            test.offer.needs_qos(2)?;
            let topic = test.topic("a/b");
            let mut client = test.client("client")?;
            client.subscribe(test.topic("a/+"), 1)?;
            client.subscribe(test.topic("a/#"), 2)?;
            client.subscribe(&topic, 0)?;
            client.publish(test.publication(&topic, "x").qos(2, 9))?;
            // Further copies are allowed; one of them has the highest QoS.
            let mut highest = 0;
            for _ in 0..3 {
                let message = client.receives(&topic, "x")?;
                highest = highest.max(message.qos);
                client.acknowledge(&message)?;
                if highest == 2 {
                    return Ok(());
                }
            }
            check(false, "a copy with QoS 2", format!("copies up to QoS {highest}"))
        },
    ),
    Case::v5("[MQTT-3.8.3-3]", "No Local: what a client publishes does not come back to it", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        let mut other = test.client("other")?;
        client.subscribe(&topic, NO_LOCAL)?;
        client.publish(test.publication(&topic, "own"))?;
        client.ping()?;
        other.publish(test.publication(&topic, "another's"))?;
        client.receives(&topic, "another's").map(drop)
    }),
    Case::v5(
        "[MQTT-3.8.3-3]",
        "No Local counts the client identifier: what an earlier connection published does not come back either",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, NO_LOCAL | 1)?;
            client.publish(test.publication(&topic, "own").qos(1, 3))?;
            client.disconnect()?;
            let mut other = test.client("other")?;
            other.publish(test.publication(&topic, "another's").qos(1, 3))?;
            let mut client = test.client_with(&connect)?;
            let message = client.receives(&topic, "another's")?;
            client.acknowledge(&message)
        },
    ),
    Case::v5(
        "[MQTT-3.8.3-4] [MQTT-4.13.1-1]",
        "No Local on a shared subscription is a Protocol Error",
        |test| {
            test.offer.needs_shared_subscriptions()?;
            let mut client = test.client("client")?;
            let filter = format!("$share/{}/t", test.own());
            client.send(subscribe(test.version, 1, &[], &[(filter, NO_LOCAL)]));
            client.is_closed(&[])
        },
    ),
    Case::v5(
        "[MQTT-3.8.3-5] [MQTT-4.13.1-1]",
        "reserved bits, QoS 3 or Retain Handling 3 in the Subscription Options end the connection",
        |test| {
            for options in [0x40, 0x80, 0xc0, 0x03, 0x30] {
                let mut client = test.client("client")?;
                client.send(subscribe(test.version, 1, &[], &[(test.topic("t"), options)]));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::v311(
        "[MQTT311-3.8.3-4]",
        "reserved bits or QoS 3 beside a Topic Filter end the connection",
        |test| {
            for options in [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80] {
                let mut client = test.client("client")?;
                client.send(subscribe(test.version, 1, &[], &[(test.topic("t"), options)]));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.8.1-1] [MQTT311-3.8.1-1]",
        "SUBSCRIBE whose first byte does not end in 0010 ends the connection",
        |test| {
            for flags in [0, 1, 3, 6, 0xa] {
                let mut client = test.client("client")?;
                let mut bytes = subscribe(test.version, 1, &[], &[(test.topic("t"), 0)]);
                bytes[0] = 0x80 | flags;
                client.send(bytes);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.8.3-2] [MQTT-4.13.1-1] [MQTT311-3.8.3-3] [MQTT311-4.8.0-1]",
        "SUBSCRIBE without a filter ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(subscribe(test.version, 1, &[], &[("", 0); 0]));
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-2.2.1-3] [MQTT311-2.3.1-1]",
        "SUBSCRIBE with Packet Identifier 0 ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(subscribe(test.version, 0, &[], &[(test.topic("t"), 0)]));
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-3.8.3-1] [MQTT-1.5.4-1] [MQTT311-3.8.3-1] [MQTT311-1.5.3-1]",
        "SUBSCRIBE to a filter that is not UTF-8 ends the connection",
        |test| {
            for filter in [&[b'a', 0xff][..], &[0xc0, 0x80], &[0xed, 0xa0, 0x80], &[0xe2, 0x82]] {
                let mut client = test.client("client")?;
                client.send(subscribe(test.version, 1, &[], &[(filter, 0)]));
                client.is_closed(&[0x8f])?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "SUBSCRIBE that ends within a filter ends the connection",
        |test| {
            let mut client = test.client("client")?;
            let mut bytes = subscribe(test.version, 1, &[], &[("abcdef", 0)]);
            bytes.truncate(bytes.len() - 3);
            bytes[1] -= 3;
            client.send(bytes);
            client.is_closed(&[])
        },
    ),
    Case::both(
        "[MQTT-3.8.4-1] [MQTT311-3.8.4-1]",
        "what is published right behind SUBSCRIBE is delivered",
        |test| {
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            let subscribe = subscribe(test.version, 1, &[], &[(&topic, 0)]);
            client.send([subscribe, test.publication(&topic, "x").into()].concat());
            client.granted(SUBACK, 1)?;
            client.receives(&topic, "x").map(drop)
        },
    ),
    Case::v5("[MQTT-3.3.1-9]", "Retain Handling 0: SUBSCRIBE brings the retained messages", |test| {
        test.offer.needs_retain()?;
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.publish(test.publication(&topic, "kept").retain())?;
        client.subscribe(&topic, 0)?;
        client.receives(&topic, "kept")?.is_retained(true)
    }),
    Case::v5(
        "[MQTT-3.3.1-10]",
        "Retain Handling 1: SUBSCRIBE brings the retained messages for a new subscription only",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain())?;
            client.subscribe(&topic, 1 << 4)?;
            client.receives(&topic, "kept")?.is_retained(true)?;
            client.subscribe(&topic, 1 << 4)?;
            client.hears_nothing("no retained message for a subscription that exists")?;
            client.unsubscribe(&topic)?;
            client.subscribe(&topic, 1 << 4)?;
            client.receives(&topic, "kept").map(drop)
        },
    ),
    Case::v5("[MQTT-3.3.1-11]", "Retain Handling 2: SUBSCRIBE brings no retained messages", |test| {
        test.offer.needs_retain()?;
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.publish(test.publication(&topic, "kept").retain())?;
        client.subscribe(&topic, 2 << 4)?;
        client.hears_nothing("no retained message")
    }),
    Case::v5(
        "[MQTT-3.3.1-12] [MQTT-3.3.1-13]",
        "Retain As Published decides whether RETAIN is passed on as it was",
        |test| {
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut plain = test.client("plain")?;
            let mut faithful = test.client("faithful")?;
            plain.subscribe(&topic, 0)?;
            faithful.subscribe(&topic, RETAIN_AS_PUBLISHED)?;
            let mut publisher = test.client("publisher")?;
            publisher.publish(test.publication(&topic, "kept").retain())?;
            plain.receives(&topic, "kept")?.is_retained(false)?;
            faithful.receives(&topic, "kept")?.is_retained(true)?;
            publisher.publish(test.publication(&topic, "not kept"))?;
            plain.receives(&topic, "not kept")?.is_retained(false)?;
            faithful.receives(&topic, "not kept")?.is_retained(false)
        },
    ),
];

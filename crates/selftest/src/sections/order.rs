//! The order of messages and of their acknowledgements. 4.6.

use crate::case::Case;
use crate::client::Client;
use crate::test::Test;
use crate::verdict::Step;
use crate::written::{PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledge};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]",
        "messages of QoS 0 on a topic arrive in the order in which one client published them",
        |test| order_is_kept(test, 0),
    ),
    Case::both(
        "[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]",
        "messages of QoS 1 on a topic arrive in the order in which one client published them",
        |test| order_is_kept(test, 1),
    ),
    Case::both(
        "[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]",
        "messages of QoS 2 on a topic arrive in the order in which one client published them",
        |test| order_is_kept(test, 2),
    ),
    Case::both(
        "[MQTT-4.6.0-5] [MQTT311-4.6.0-5] [MQTT311-4.6.0-6]",
        "each of two publishers' messages arrive in that publisher's order",
        |test| {
            let topic = test.topic("t");
            let mut subscriber = test.client("subscriber")?;
            subscriber.subscribe(&topic, 0)?;
            let mut publishers = [test.client("first")?, test.client("second")?];
            for number in 0..MESSAGES {
                for (which, publisher) in publishers.iter_mut().enumerate() {
                    publisher.send(test.publication(&topic, [which as u8, number as u8]));
                }
            }
            let mut next = [0, 0];
            for _ in 0..2 * MESSAGES {
                let message = subscriber.message()?;
                let (which, number) = match message.payload.as_slice() {
                    &[which @ 0..=1, number] => (usize::from(which), number),
                    _ => return message.check(false, "a payload that was published"),
                };
                message.check(number == next[which], "the next message of that publisher")?;
                next[which] += 1;
            }
            Ok(())
        },
    ),
    Case::v311(
        "[MQTT311-4.6.0-2] [MQTT311-2.3.1-6]",
        "PUBACK comes in the order in which PUBLISH was sent",
        |test| {
            test.offer.needs_qos(1)?;
            let mut publisher = test.client("publisher")?;
            publish_all(test, &mut publisher, &test.topic("t"), 1);
            answers(&mut publisher, PUBACK)
        },
    ),
    Case::v311(
        "[MQTT311-4.6.0-3] [MQTT311-2.3.1-6]",
        "PUBREC comes in the order in which PUBLISH was sent",
        |test| {
            test.offer.needs_qos(2)?;
            let mut publisher = test.client("publisher")?;
            publish_all(test, &mut publisher, &test.topic("t"), 2);
            answers(&mut publisher, PUBREC)
        },
    ),
    Case::v311("[MQTT311-4.6.0-4]", "PUBREL comes in the order in which PUBREC was sent", |test| {
        test.offer.needs_qos(2)?;
        let topic = test.topic("t");
        let mut subscriber = test.client("subscriber")?;
        subscriber.subscribe(&topic, 2)?;
        let mut publisher = test.client("publisher")?;
        let mut ids = Vec::new();
        for number in 1..=3 {
            publisher.publish(test.publication(&topic, "x").qos(2, number))?;
            ids.push(subscriber.receives_beside(ids.len(), &topic, "x")?.id);
        }
        ids.rotate_left(1);
        for id in &ids {
            subscriber.send(acknowledge(PUBREC, *id));
        }
        ids.iter().try_for_each(|id| subscriber.acknowledged(PUBREL, *id))
    }),
    Case::both(
        "[MQTT-4.4.0-1] [MQTT311-4.6.0-1] [MQTT311-4.4.0-1]",
        "what is sent again is sent in its first order, with its Packet Identifiers and DUP",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("subscriber").lasting();
            let mut subscriber = test.client_with(&connect)?;
            subscriber.subscribe(&topic, test.offer.maximum_qos)?;
            let mut publisher = test.client("publisher")?;
            let mut sent = Vec::new();
            for number in 1..=4 {
                let qos = if number % 2 == 0 { test.offer.maximum_qos } else { 1 };
                publisher.publish(test.publication(&topic, number.to_string()).qos(qos, number))?;
                sent.push(subscriber.receives_beside(sent.len(), &topic, number.to_string())?);
            }
            subscriber.vanish();
            let mut subscriber = test.client_with(&connect)?;
            for before in sent {
                let again = subscriber.message()?;
                again.check(again.payload == before.payload, "the messages in their first order")?;
                again.check((again.id, again.qos) == (before.id, before.qos), &format!("{before}, again"))?;
                again.is_dup(true)?;
                subscriber.acknowledge(&again)?;
            }
            Ok(())
        },
    ),
];

/// Fewer than any server takes or has in flight at once.
const MESSAGES: u16 = 10;

/// Publishes without waiting for an answer: payloads and Packet Identifiers count from 1.
fn publish_all(test: &Test<'_>, publisher: &mut Client, topic: &str, qos: u8) {
    for number in 1..=MESSAGES {
        let message = test.publication(topic, number.to_string());
        publisher.send(if qos == 0 { message } else { message.qos(qos, number) });
    }
}

/// The answers to all of them, in their order.
fn answers(publisher: &mut Client, first_byte: u8) -> Step {
    (1..=MESSAGES).try_for_each(|number| publisher.acknowledged(first_byte, number))
}

fn order_is_kept(test: &Test<'_>, qos: u8) -> Step {
    test.offer.needs_qos(qos)?;
    if test.is_v5() && test.offer.receive_maximum < MESSAGES {
        return crate::verdict::not_applicable("the server announces a smaller Receive Maximum");
    }
    let topic = test.topic("t");
    let mut subscriber = test.client("subscriber")?;
    subscriber.subscribe(&topic, qos)?;
    let mut publisher = test.client("publisher")?;
    publish_all(test, &mut publisher, &topic, qos);
    match qos {
        0 => {}
        1 => answers(&mut publisher, PUBACK)?,
        _ => {
            answers(&mut publisher, PUBREC)?;
            (1..=MESSAGES).for_each(|number| publisher.send(acknowledge(PUBREL, number)));
            answers(&mut publisher, PUBCOMP)?;
        }
    }
    for number in 1..=MESSAGES {
        let message = subscriber.receives(&topic, number.to_string())?;
        subscriber.acknowledge(&message)?;
    }
    Ok(())
}

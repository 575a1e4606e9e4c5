//! QoS 1 and 2 as the server sends them, and what it sends again: 4.3.2, 4.3.3, 4.4.

use crate::case::Case;
use crate::client::Client;
use crate::property::{MESSAGE_EXPIRY_INTERVAL, long};
use crate::received::Publish;
use crate::test::Test;
use crate::verdict::{Step, check};
use crate::written::{Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledge};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-2.2.1-4] [MQTT311-4.3.2-1] [MQTT311-4.3.3-1] [MQTT311-2.3.1-4]",
        "messages that are not acknowledged have different Packet Identifiers, and DUP 0",
        |test| {
            test.offer.needs_qos(2)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.subscribe(&topic, 2)?;
            let mut publisher = test.client("publisher")?;
            let mut ids = Vec::new();
            for (number, qos) in [1, 2, 1, 2, 2, 1, 1, 2].into_iter().enumerate() {
                publisher.publish(test.publication(&topic, number.to_string()).qos(qos, 7))?;
                let message = client.receives_beside(ids.len(), &topic, number.to_string())?;
                message.has_qos(qos)?;
                message.is_dup(false)?;
                message
                    .check(!ids.contains(&message.id), &format!("another Packet Identifier than {ids:?}"))?;
                ids.push(message.id);
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-4.3.3-4] [MQTT-3.6.2-1] [MQTT-2.2.1-5] [MQTT311-4.3.3-1] [MQTT311-2.3.1-6]",
        "PUBREC is answered by PUBREL with its Packet Identifier",
        |test| {
            test.offer.needs_qos(2)?;
            let (mut client, message) = one_in_flight(test, &test.connect("client"), 2)?;
            client.send(acknowledge(PUBREC, message.id));
            client.acknowledged(PUBREL, message.id)?;
            client.send(acknowledge(PUBCOMP, message.id));
            client.hears_nothing("nothing after PUBCOMP")
        },
    ),
    Case::both(
        "[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.3.2-1] [MQTT311-4.6.0-1]",
        "messages of QoS 1 that were not acknowledged come again on the next connection: same Packet Identifiers, DUP 1, same order",
        |test| {
            test.offer.needs_qos(1)?;
            come_again(test, 1)
        },
    ),
    Case::both(
        "[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-3] [MQTT311-4.4.0-1] [MQTT311-3.3.1-1] [MQTT311-4.3.3-1] [MQTT311-4.6.0-1]",
        "messages of QoS 2 that were not acknowledged come again on the next connection: same Packet Identifiers, DUP 1, same order",
        |test| {
            test.offer.needs_qos(2)?;
            come_again(test, 2)
        },
    ),
    Case::both(
        "[MQTT-4.4.0-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT311-4.4.0-1] [MQTT311-4.3.3-1]",
        "PUBREL without PUBCOMP comes again on the next connection, and PUBLISH does not",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").lasting();
            let (mut client, message) = one_in_flight(test, &connect, 2)?;
            client.send(acknowledge(PUBREC, message.id));
            client.acknowledged(PUBREL, message.id)?;
            client.vanish();
            for _ in 0..2 {
                let mut client = test.client_with(&connect)?;
                client.acknowledged(PUBREL, message.id)?;
                client.hears_nothing("no PUBLISH after PUBREL")?;
                client.vanish();
            }
            let mut client = test.client_with(&connect)?;
            client.acknowledged(PUBREL, message.id)?;
            client.send(acknowledge(PUBCOMP, message.id));
            client.disconnect()?;
            let mut client = test.client_with(&connect)?;
            client.hears_nothing("nothing after PUBCOMP")
        },
    ),
    Case::both(
        "[MQTT-4.4.0-1] [MQTT-4.3.2-3] [MQTT311-4.3.2-1]",
        "what was acknowledged does not come again",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").lasting();
            for qos in 1..=2 {
                let (mut client, message) = one_in_flight(test, &connect, qos)?;
                client.acknowledge(&message)?;
                client.disconnect()?;
                let mut client = test.client_with(&connect)?;
                client.hears_nothing("no message: it was acknowledged")?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.4.0-1]",
        "what is not acknowledged does not come again while the connection lasts",
        |test| {
            test.offer.needs_qos(2)?;
            let (mut client, message) = one_in_flight(test, &test.connect("client"), 2)?;
            test.wait(3000)?;
            client.hears_nothing("no PUBLISH again")?;
            client.send(acknowledge(PUBREC, message.id));
            client.acknowledged(PUBREL, message.id)?;
            test.wait(3000)?;
            client.hears_nothing("no PUBREL again")
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-4.4.0-2] [MQTT-4.3.3-4]",
        "PUBACK or PUBREC with an error ends the exchange: no PUBREL, and nothing comes again",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").lasting();
            for (qos, answer) in [(1, PUBACK), (2, PUBREC)] {
                let (mut client, message) = one_in_flight(test, &connect, qos)?;
                let [high, low] = message.id.to_be_bytes();
                client.send([answer, 3, high, low, 0x97]);
                client.hears_nothing("nothing after an error")?;
                client.disconnect()?;
                let mut client = test.client_with(&connect)?;
                client.hears_nothing("no message: it counts as acknowledged")?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.3.3-7]",
        "a message of QoS 2 that was sent comes again on the next connection even if it has expired",
        |test| {
            test.offer.needs_qos(2)?;
            let connect = test.connect("client").lasting();
            let (client, message) = one_expiring(test, &connect)?;
            client.vanish();
            test.wait(3500)?;
            let mut client = test.client_with(&connect)?;
            let again = client.receives(&message.topic, &message.payload)?;
            again.is_dup(true)?;
            client.acknowledge(&again)
        },
    )
    .slow(),
    Case::v5(
        "[MQTT-4.3.3-13]",
        "the exchange of a message of QoS 2 goes on to its end even if the message has expired",
        |test| {
            test.offer.needs_qos(2)?;
            let (mut client, message) = one_expiring(test, &test.connect("client"))?;
            test.wait(3500)?;
            client.send(acknowledge(PUBREC, message.id));
            client.acknowledged(PUBREL, message.id)?;
            client.send(acknowledge(PUBCOMP, message.id));
            client.hears_nothing("nothing after PUBCOMP")
        },
    )
    .slow(),
];

/// A client that has received one message and not acknowledged it.
fn one_in_flight(test: &Test<'_>, connect: &Connect, qos: u8) -> Step<(Client, Publish)> {
    let topic = test.topic("t");
    let mut client = test.client_with(connect)?;
    client.subscribe(&topic, qos)?;
    let mut publisher = test.client("publisher")?;
    publisher.publish(test.publication(&topic, "x").qos(qos, 7))?;
    let message = client.receives(&topic, "x")?;
    message.has_qos(qos)?;
    Ok((client, message))
}

/// The same at QoS 2 with a message that expires after two seconds.
fn one_expiring(test: &Test<'_>, connect: &Connect) -> Step<(Client, Publish)> {
    let topic = test.topic("t");
    let mut client = test.client_with(connect)?;
    client.subscribe(&topic, 2)?;
    let mut publisher = test.client("publisher")?;
    let message = test.publication(&topic, "x").qos(2, 7);
    publisher.publish(message.property(long(MESSAGE_EXPIRY_INTERVAL, 2)))?;
    let message = client.receives(&topic, "x")?;
    Ok((client, message))
}

fn come_again(test: &Test<'_>, qos: u8) -> Step {
    let topic = test.topic("t");
    let connect = test.connect("client").lasting();
    let mut client = test.client_with(&connect)?;
    client.subscribe(&topic, qos)?;
    let mut publisher = test.client("publisher")?;
    let payloads = ["1", "2", "3", "4"];
    let mut first = Vec::new();
    for payload in payloads {
        publisher.publish(test.publication(&topic, payload).qos(qos, 7))?;
        first.push(client.receives_beside(first.len(), &topic, payload)?);
    }
    client.vanish();
    let mut client = test.client_with(&connect)?;
    for message in first {
        let again = client.receives(&topic, &message.payload)?;
        again.is_dup(true)?;
        let expected = format!("Packet Identifier {:#06x}", message.id);
        check(again.id == message.id, expected, again.to_string())?;
        again.has_qos(qos)?;
        client.acknowledge(&again)?;
    }
    client.hears_nothing("each message once")
}

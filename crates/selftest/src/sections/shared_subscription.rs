//! Shared Subscriptions (5.0): 4.8.2.

use crate::bytes::{packet, two};
use crate::case::Case;
use crate::client::Client;
use crate::received::Publish;
use crate::test::Test;
use crate::verdict::{Step, check};
use crate::written::{DISCONNECT, PUBACK, PUBREC, PUBREL, acknowledge, subscribe};

pub(super) const CASES: &[Case] = &[
    Case::v5(
        "[MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.13.1-1]",
        "SUBSCRIBE with a ShareName that is none ends the connection",
        |test| {
            test.offer.needs_shared_subscriptions()?;
            for share in ["", "+", "#", "a+", "a#", "+a"] {
                let mut client = test.client("client")?;
                client.send(subscribe(test.version, 1, &[], &[(filter(share, &test.topic("t")), 0)]));
                client.is_closed(&[0x8f])?;
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-4.8.2-2]", "what stands behind the ShareName is a Topic Filter", |test| {
        test.offer.needs_shared_subscriptions()?;
        test.offer.needs_wildcards()?;
        let mut client = test.client("client")?;
        client.subscribe(filter("g", &test.topic("a/+/#")), 0)?;
        client.publish(test.publication(&test.topic("a"), "too short"))?;
        client.publish(test.publication(&test.topic("a/b/c"), "x"))?;
        client.receives(&test.topic("a/b/c"), "x")?;
        client.hears_nothing("no other message")
    }),
    Case::v5(
        "[MQTT-4.5.0-1]",
        "each message reaches one member of a group, and all groups and other subscribers",
        |test| {
            test.offer.needs_shared_subscriptions()?;
            let topic = test.topic("t");
            let filters = [filter("g", &topic), filter("g", &topic), filter("h", &topic), topic.clone()];
            let names = ["first of g", "second of g", "one of h", "one of none"];
            let mut clients = Vec::new();
            for (name, filter) in names.into_iter().zip(filters) {
                let mut client =
                    test.client_with(&test.connect(name).id(test.id(&clients.len().to_string())))?;
                client.subscribe(filter, 0)?;
                clients.push(client);
            }
            let mut publisher = test.client("publisher")?;
            for number in 0..MESSAGES {
                publisher.publish(test.publication(&topic, [number]))?;
            }
            let mut received = Vec::new();
            for client in &mut clients {
                received.push(up_to_marker(test, &mut publisher, client)?);
            }
            let all: Vec<u8> = (0..MESSAGES).collect();
            let payloads = |messages: &[Publish]| {
                let mut payloads: Vec<u8> =
                    messages.iter().flat_map(|message| message.payload.clone()).collect();
                payloads.sort_unstable();
                payloads
            };
            for (who, messages) in [
                ("the two members of g together", [received[0].clone(), received[1].clone()].concat()),
                ("the member of h", received[2].clone()),
                ("the subscriber of no group", received[3].clone()),
            ] {
                let found = payloads(&messages);
                check(
                    found == all,
                    format!("each message once for {who}"),
                    format!("payloads {found:02x?}"),
                )?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.8.2-3]",
        "each member of a group gets messages at the QoS of its own subscription",
        |test| {
            test.offer.needs_shared_subscriptions()?;
            let (topic, most) = (test.topic("t"), test.offer.maximum_qos);
            test.offer.needs_qos(1)?;
            let mut members = Vec::new();
            for qos in 0..=most {
                let mut member = test.client_with(&test.connect("member").id(test.id(&qos.to_string())))?;
                member.subscribe(filter("g", &topic), qos)?;
                members.push(member);
            }
            let mut publisher = test.client("publisher")?;
            for number in 0..MESSAGES {
                publisher.publish(test.publication(&topic, [number]).qos(most, 1 + u16::from(number)))?;
            }
            let mut count = 0;
            for (qos, member) in (0..).zip(&mut members) {
                for message in up_to_marker(test, &mut publisher, member)? {
                    message.has_qos(qos)?;
                    count += 1;
                }
            }
            check(count == MESSAGES, "each message once", format!("{count} instead of {MESSAGES} messages"))
        },
    ),
    Case::v5(
        "[MQTT-4.8.2-4]",
        "a message of QoS 2 that a member has begun to receive is completed with it when it comes back",
        |test| {
            let (topic, mut publisher) = (test.topic("t"), sharing(test)?);
            let connect = test.connect("member").lasting();
            let mut member = test.client_with(&connect)?;
            member.subscribe(filter("g", &topic), 2)?;
            publisher.publish(test.publication(&topic, "x").qos(2, 1))?;
            let before = member.receives(&topic, "x")?;
            before.has_qos(2)?;
            let mut other = other_member(test, &topic)?;
            member.vanish();
            test.nothing_arrives(&mut publisher, &mut other)?;
            let mut member = test.client_with(&connect)?;
            let again = member.receives(&topic, "x")?;
            again.is_dup(true)?;
            again.check(again.id == before.id, &format!("Packet Identifier {:#06x}", before.id))?;
            member.acknowledge(&again)
        },
    ),
    Case::v5(
        "[MQTT-4.8.2-4] [MQTT-4.3.3-6] [MQTT-4.4.0-1]",
        "a member that comes back between PUBREC and PUBCOMP gets PUBREL again",
        |test| {
            let (topic, mut publisher) = (test.topic("t"), sharing(test)?);
            let connect = test.connect("member").lasting();
            let mut member = test.client_with(&connect)?;
            member.subscribe(filter("g", &topic), 2)?;
            publisher.publish(test.publication(&topic, "x").qos(2, 1))?;
            let message = member.receives(&topic, "x")?;
            member.send(acknowledge(PUBREC, message.id));
            member.acknowledged(PUBREL, message.id)?;
            member.vanish();
            let mut member = test.client_with(&connect)?;
            member.acknowledged(PUBREL, message.id)
        },
    ),
    Case::v5(
        "[MQTT-4.8.2-5]",
        "a message of QoS 2 that a member has begun to receive is given to nobody else when its session ends",
        |test| {
            let (topic, mut publisher) = (test.topic("t"), sharing(test)?);
            let mut member = test.client("member")?;
            member.subscribe(filter("g", &topic), 2)?;
            publisher.publish(test.publication(&topic, "x").qos(2, 1))?;
            member.receives(&topic, "x")?.has_qos(2)?;
            let mut other = other_member(test, &topic)?;
            member.disconnect_with(DISCONNECT)?;
            test.nothing_arrives(&mut publisher, &mut other)
        },
    ),
    Case::v5(
        "[MQTT-4.8.2-6] [MQTT-4.4.0-2]",
        "a message that a member answers with an error is given to nobody",
        |test| {
            for (qos, answer) in [(1, PUBACK), (2, PUBREC)] {
                let (topic, mut publisher) = (test.topic(&format!("t{qos}")), sharing(test)?);
                let connect = test.connect("member").lasting();
                let mut member = test.client_with(&connect)?;
                member.subscribe(filter("g", &topic), qos)?;
                publisher.publish(test.publication(&topic, "x").qos(qos, 1))?;
                let message = member.receives(&topic, "x")?;
                let mut other = other_member(test, &topic)?;
                member.send(packet(answer, &[&two(message.id)[..], &[0x83]].concat()));
                member.ping()?;
                member.vanish();
                test.nothing_arrives(&mut publisher, &mut other)?;
                let mut member = test.client_with(&connect)?;
                member.hears_nothing("no message: it was refused")?;
            }
            Ok(())
        },
    ),
];

/// Fewer than any server has in flight at once.
const MESSAGES: u8 = 9;

fn filter(share: &str, topic: &str) -> String {
    format!("$share/{share}/{topic}")
}

/// A publisher, at a server with Shared Subscriptions and QoS 2.
fn sharing(test: &Test<'_>) -> Step<Client> {
    test.offer.needs_shared_subscriptions()?;
    test.offer.needs_qos(2)?;
    test.client("publisher")
}

/// One more member of the group.
fn other_member(test: &Test<'_>, topic: &str) -> Step<Client> {
    let mut other = test.client("other")?;
    other.subscribe(filter("g", topic), 2)?;
    Ok(other)
}

/// Messages that come before one that is published now, acknowledged.
fn up_to_marker(test: &Test<'_>, publisher: &mut Client, client: &mut Client) -> Step<Vec<Publish>> {
    let marker = test.topic(&format!("marker{}", publisher.fresh_id()));
    client.subscribe(&marker, 0)?;
    publisher.publish(test.publication(&marker, "marker"))?;
    let mut messages = Vec::new();
    loop {
        let message = client.message_of("messages, up to a marker")?;
        if message.topic == marker {
            return Ok(messages);
        }
        client.acknowledge(&message)?;
        messages.push(message);
    }
}

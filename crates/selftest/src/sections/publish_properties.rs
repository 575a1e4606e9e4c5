//! The properties of PUBLISH (5.0): 3.3.2.3.

use crate::case::Case;
use crate::property::{
    CONTENT_TYPE, CORRELATION_DATA, MESSAGE_EXPIRY_INTERVAL, PAYLOAD_FORMAT_INDICATOR, RESPONSE_TOPIC,
    SUBSCRIPTION_IDENTIFIER, byte, long, subscription_identifier, text, user,
};
use crate::verdict::check;

pub(super) const CASES: &[Case] = &[
    Case::v5("[MQTT-3.3.2-4]", "Payload Format Indicator is passed on as it is", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.subscribe(&topic, 0)?;
        for value in [0, 1] {
            client.publish(test.publication(&topic, "x").property(byte(PAYLOAD_FORMAT_INDICATOR, value)))?;
            let message = client.receives(&topic, "x")?;
            let found = message.properties.number(PAYLOAD_FORMAT_INDICATOR);
            // 0 is what its absence says.
            let is_same = found == Some(value.into()) || (value == 0 && found.is_none());
            message.check(is_same, &format!("Payload Format Indicator {value}, and not {found:?}"))?;
        }
        Ok(())
    }),
    Case::v5(
        "[MQTT-3.3.2-15] [MQTT-3.3.2-16]",
        "Response Topic and Correlation Data are passed on as they are",
        |test| {
            let (topic, response) = (test.topic("t"), test.topic("response/ä/\u{1f600}"));
            let data: Vec<u8> = (0..=255).collect();
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            let message = test.publication(&topic, "x");
            client.publish(
                message.property(text(RESPONSE_TOPIC, &response)).property(text(CORRELATION_DATA, &data)),
            )?;
            let message = client.receives(&topic, "x")?;
            message.has_bytes(RESPONSE_TOPIC, response.as_bytes())?;
            message.has_bytes(CORRELATION_DATA, &data)
        },
    ),
    Case::v5("[MQTT-3.3.2-20]", "Content Type is passed on as it is", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.subscribe(&topic, 0)?;
        for value in ["text/plain; charset=utf-8", "ä \u{feff}", ""] {
            client.publish(test.publication(&topic, "x").property(text(CONTENT_TYPE, value)))?;
            client.receives(&topic, "x")?.has_bytes(CONTENT_TYPE, value.as_bytes())?;
        }
        Ok(())
    }),
    Case::v5(
        "[MQTT-3.3.2-17] [MQTT-3.3.2-18]",
        "User Properties are passed on as they are, all of them in their order",
        |test| {
            let topic = test.topic("t");
            let users = [
                user("z", "1"),
                user("a", "2"),
                user("z", "1"),
                user("", ""),
                user("z", "3"),
                user("ä", "ö"),
            ];
            let mut client = test.client("client")?;
            client.subscribe(&topic, 0)?;
            client.publish(
                users.iter().fold(test.publication(&topic, "x"), |it, user| it.property(user.clone())),
            )?;
            let message = client.receives(&topic, "x")?;
            message.check(
                message.properties.user_properties() == users,
                "the same User Properties in the same order",
            )
        },
    ),
    Case::v5(
        "[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]",
        "a retained message keeps its properties, and QoS does not change them",
        |test| {
            test.offer.needs_retain()?;
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            let message = test
                .publication(&topic, "x")
                .qos(1, 3)
                .retain()
                .property(byte(PAYLOAD_FORMAT_INDICATOR, 1))
                .property(text(RESPONSE_TOPIC, "response"))
                .property(text(CORRELATION_DATA, "data"))
                .property(text(CONTENT_TYPE, "type"))
                .property(user("a", "b"));
            client.publish(message)?;
            client.subscribe(&topic, 1)?;
            let message = client.receives(&topic, "x")?;
            client.acknowledge(&message)?;
            message.has_number(PAYLOAD_FORMAT_INDICATOR, Some(1))?;
            message.has_bytes(RESPONSE_TOPIC, b"response")?;
            message.has_bytes(CORRELATION_DATA, b"data")?;
            message.has_bytes(CONTENT_TYPE, b"type")?;
            message.check(message.properties.user_properties() == [user("a", "b")], "User Property a = b")
        },
    ),
    Case::v5("[MQTT-2.2.2-1]", "a message without properties is delivered without", |test| {
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.subscribe(&topic, 0)?;
        client.publish(test.publication(&topic, "x"))?;
        let message = client.receives(&topic, "x")?;
        let other = message.properties.other_than(&[]);
        check(other.is_none(), "no properties", other.unwrap_or_default())
    }),
    Case::v5(
        "[MQTT-3.3.2-6]",
        "Message Expiry Interval is passed on, less the time that the message waited",
        |test| {
            test.offer.needs_qos(1)?;
            let topic = test.topic("t");
            let connect = test.connect("client").lasting();
            let mut client = test.client_with(&connect)?;
            client.subscribe(&topic, 1)?;
            client.disconnect()?;
            let mut publisher = test.client("publisher")?;
            let message = test.publication(&topic, "x").qos(1, 3);
            publisher.publish(message.property(long(MESSAGE_EXPIRY_INTERVAL, 100)))?;
            test.wait(2100)?;
            let mut client = test.client_with(&connect)?;
            let message = client.receives(&topic, "x")?;
            client.acknowledge(&message)?;
            let left = message.properties.number(MESSAGE_EXPIRY_INTERVAL);
            // At least two seconds have passed; how many more, the machine knows.
            let is_less = left.is_some_and(|left| (30..=98).contains(&left));
            check(is_less, "Message Expiry Interval 98, or little less", format!("{left:?}"))
        },
    )
    .slow(),
    Case::v5("[MQTT-3.3.2-5]", "a message that has expired is not delivered", |test| {
        test.offer.needs_qos(1)?;
        let topic = test.topic("t");
        let connect = test.connect("client").lasting();
        let mut client = test.client_with(&connect)?;
        client.subscribe(&topic, 1)?;
        client.disconnect()?;
        let mut publisher = test.client("publisher")?;
        let message = test.publication(&topic, "expired").qos(1, 3);
        publisher.publish(message.property(long(MESSAGE_EXPIRY_INTERVAL, 1)))?;
        publisher.publish(test.publication(&topic, "lasting").qos(1, 4))?;
        test.wait(2500)?;
        let mut client = test.client_with(&connect)?;
        let message = client.receives(&topic, "lasting")?;
        client.acknowledge(&message)?;
        client.hears_nothing("no expired message")
    })
    .slow(),
    Case::v5("[MQTT-3.3.2-5] [MQTT-3.3.2-6]", "a retained message expires", |test| {
        test.offer.needs_retain()?;
        let topic = test.topic("t");
        let mut client = test.client("client")?;
        client.publish(test.publication(&topic, "x").retain().property(long(MESSAGE_EXPIRY_INTERVAL, 4)))?;
        client.subscribe(&topic, 0)?;
        let message = client.receives(&topic, "x")?;
        let left = message.properties.number(MESSAGE_EXPIRY_INTERVAL);
        check(left.is_some_and(|left| left <= 4), "Message Expiry Interval up to 4", format!("{left:?}"))?;
        test.wait(5500)?;
        client.subscribe(&topic, 0)?;
        client.hears_nothing("no expired message")
    })
    .slow(),
    Case::v5(
        "[MQTT-3.3.4-6] [MQTT-4.13.1-1]",
        "PUBLISH with a Subscription Identifier ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("t"), "x").property(subscription_identifier(1)));
            client.is_closed(&[])
        },
    ),
    Case::v5(
        "[MQTT-3.3.2-14] [MQTT-4.13.1-1]",
        "a Response Topic with a wildcard ends the connection",
        |test| {
            for response in ["a/#", "+/a"] {
                let mut client = test.client("client")?;
                client.send(test.publication(&test.topic("t"), "x").property(text(RESPONSE_TOPIC, response)));
                client.is_closed(&[0x90])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-1.5.4-1]",
        "a Response Topic or Content Type that is not UTF-8 ends the connection",
        |test| {
            for identifier in [RESPONSE_TOPIC, CONTENT_TYPE] {
                let mut client = test.client("client")?;
                client.send(test.publication(&test.topic("t"), "x").property(text(identifier, [b'a', 0xff])));
                client.is_closed(&[0x90])?;
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-4.13.1-1]", "a property of PUBLISH that stands twice ends the connection", |test| {
        for property in [
            byte(PAYLOAD_FORMAT_INDICATOR, 1),
            long(MESSAGE_EXPIRY_INTERVAL, 9),
            text(CONTENT_TYPE, "a"),
            text(RESPONSE_TOPIC, "a"),
            text(CORRELATION_DATA, "a"),
        ] {
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("t"), "x").property(property.repeat(2)));
            client.is_closed(&[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-4.13.1-1]", "a property that does not belong into PUBLISH ends the connection", |test| {
        for property in [long(0x11, 1), text(0x12, "a"), text(0x1f, "a"), byte(0x7e, 1)] {
            let mut client = test.client("client")?;
            client.send(test.publication(&test.topic("t"), "x").property(property));
            client.is_closed(&[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-4.13.1-1]", "Payload Format Indicator is 0 or 1", |test| {
        let mut client = test.client("client")?;
        client.send(test.publication(&test.topic("t"), "x").property(byte(PAYLOAD_FORMAT_INDICATOR, 2)));
        client.is_closed(&[0x99])
    }),
    Case::v5(
        "[MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]",
        "a message carries the Subscription Identifier of each subscription it matches",
        |test| {
            test.offer.needs_subscription_identifiers()?;
            test.offer.needs_wildcards()?;
            let topic = test.topic("a/b");
            let mut client = test.client("client")?;
            client.subscribe_with(&subscription_identifier(300), &topic, 0)?;
            client.subscribe_with(&subscription_identifier(7), test.topic("a/+"), 0)?;
            client.subscribe_with(&subscription_identifier(268_435_455), test.topic("a/#"), 0)?;
            client.subscribe_with(&subscription_identifier(9), test.topic("other"), 0)?;
            client.publish(test.publication(&topic, "x"))?;
            // One copy with all of them, or a copy for each.
            let mut found = Vec::new();
            while found.len() < 3 {
                let message = client.receives(&topic, "x")?;
                message
                    .check(message.properties.has(SUBSCRIPTION_IDENTIFIER), "a Subscription Identifier")?;
                found.extend(message.properties.subscription_identifiers());
            }
            found.sort_unstable();
            check(
                found == [7, 300, 268_435_455],
                "Subscription Identifiers 7, 300, 268435455",
                format!("{found:?}"),
            )
        },
    ),
    Case::v5("[MQTT-3.3.4-3]", "a subscription without an identifier adds none", |test| {
        test.offer.needs_subscription_identifiers()?;
        let (with, without) = (test.topic("with"), test.topic("without"));
        let mut client = test.client("client")?;
        client.subscribe_with(&subscription_identifier(3), &with, 0)?;
        client.subscribe(&without, 0)?;
        client.publish(test.publication(&without, "x"))?;
        let message = client.receives(&without, "x")?;
        message
            .check(message.properties.subscription_identifiers().is_empty(), "no Subscription Identifier")?;
        // The same filter without one takes it away.
        client.subscribe(&with, 0)?;
        client.publish(test.publication(&with, "x"))?;
        let message = client.receives(&with, "x")?;
        message.check(message.properties.subscription_identifiers().is_empty(), "no Subscription Identifier")
    }),
    Case::v5(
        "[MQTT-3.3.4-3]",
        "retained messages carry the Subscription Identifier that brings them",
        |test| {
            test.offer.needs_subscription_identifiers()?;
            test.offer.needs_retain()?;
            let topic = test.topic("t");
            let mut client = test.client("client")?;
            client.publish(test.publication(&topic, "kept").retain())?;
            client.subscribe_with(&subscription_identifier(5), &topic, 0)?;
            let message = client.receives(&topic, "kept")?;
            let found = message.properties.subscription_identifiers();
            check(found == [5], "Subscription Identifier 5", format!("{found:?}"))
        },
    ),
    Case::v5(
        "[MQTT-4.13.1-1]",
        "Subscription Identifier 0 ends the connection, and so do two in one SUBSCRIBE",
        |test| {
            test.offer.needs_subscription_identifiers()?;
            for properties in [subscription_identifier(0), subscription_identifier(1).repeat(2)] {
                let mut client = test.client("client")?;
                client.send(crate::written::subscribe(test.version, 1, &properties, &[(test.topic("t"), 0)]));
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
];

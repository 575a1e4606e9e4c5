//! The properties of CONNECT and CONNACK (5.0): 3.1.2.11, 3.2.2.3.

use crate::case::Case;
use crate::property::{
    AUTHENTICATION_DATA, AUTHENTICATION_METHOD, MAXIMUM_PACKET_SIZE, PAYLOAD_FORMAT_INDICATOR,
    RECEIVE_MAXIMUM, REQUEST_PROBLEM_INFORMATION, REQUEST_RESPONSE_INFORMATION, RESPONSE_INFORMATION,
    SESSION_EXPIRY_INTERVAL, TOPIC_ALIAS, TOPIC_ALIAS_MAXIMUM, byte, long, short, text, user,
};
use crate::verdict::check;
use crate::written::Will;

pub(super) const CASES: &[Case] = &[
    Case::v5("[MQTT-4.13.1-1]", "the same property twice is refused", |test| {
        for property in [
            long(SESSION_EXPIRY_INTERVAL, 0),
            short(RECEIVE_MAXIMUM, 10),
            long(MAXIMUM_PACKET_SIZE, 10_000),
            short(TOPIC_ALIAS_MAXIMUM, 3),
            byte(REQUEST_RESPONSE_INFORMATION, 0),
            byte(REQUEST_PROBLEM_INFORMATION, 1),
        ] {
            let connect = test.connect("client").property(property.clone()).property(property);
            test.sent(&connect)?.is_refused(&[], &[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-3.1.4-1]", "User Property may stand more than once", |test| {
        let connect = test.connect("client").property(user("a", "b")).property(user("a", "b"));
        test.client_with(&connect).map(drop)
    }),
    Case::v5("[MQTT-4.13.1-1]", "Receive Maximum 0 is refused", |test| {
        test.sent(&test.connect("client").property(short(RECEIVE_MAXIMUM, 0)))?.is_refused(&[], &[])
    }),
    Case::v5("[MQTT-4.13.1-1]", "Maximum Packet Size 0 is refused", |test| {
        test.sent(&test.connect("client").property(long(MAXIMUM_PACKET_SIZE, 0)))?.is_refused(&[], &[])
    }),
    Case::v5(
        "[MQTT-4.13.1-1]",
        "Request Problem Information and Request Response Information are 0 or 1",
        |test| {
            for identifier in [REQUEST_PROBLEM_INFORMATION, REQUEST_RESPONSE_INFORMATION] {
                test.sent(&test.connect("client").property(byte(identifier, 2)))?.is_refused(&[], &[])?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.13.1-1] [MQTT-3.1.4-1]",
        "a property that does not exist, or not in CONNECT, is refused",
        |test| {
            for property in
                [byte(0x7f, 0), short(TOPIC_ALIAS, 1), byte(PAYLOAD_FORMAT_INDICATOR, 0), vec![0x80, 1]]
            {
                test.sent(&test.connect("client").property(property))?.is_refused(&[], &[])?;
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-3.1.4-1]", "a property that is cut off by the Property Length is refused", |test| {
        for property in [vec![SESSION_EXPIRY_INTERVAL, 0, 0], vec![0x26, 0, 1, b'a'], vec![RECEIVE_MAXIMUM]] {
            test.sent(&test.connect("client").property(property))?.is_refused(&[], &[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-1.5.7-1]", "a User Property that is not UTF-8 is refused", |test| {
        for property in
            [[&[0x26, 0, 1, 0xff, 0, 1, b'b'][..]].concat(), [&[0x26, 0, 1, b'a', 0, 1, 0xff][..]].concat()]
        {
            test.sent(&test.connect("client").property(property))?.is_refused(&[], &[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-4.13.1-1]", "Authentication Data without Authentication Method is refused", |test| {
        test.sent(&test.connect("client").property(text(AUTHENTICATION_DATA, "x")))?.is_refused(&[], &[])
    }),
    Case::v5(
        "[MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.1.4-2] [MQTT-3.2.2-7]",
        "an Authentication Method that nobody knows is refused",
        |test| {
            let connect = test.connect("client").property(text(AUTHENTICATION_METHOD, "noctule selftest"));
            test.sent(&connect)?.is_refused(&[0x8c, 0x87], &[])
        },
    ),
    Case::v5(
        "[MQTT-3.1.2-28]",
        "without Request Response Information CONNACK has no Response Information",
        |test| {
            for connect in [
                test.connect("client"),
                test.connect("client").property(byte(REQUEST_RESPONSE_INFORMATION, 0)),
            ] {
                let (_client, accepted) = test.accepted(&connect)?;
                let has = accepted.properties.has(RESPONSE_INFORMATION);
                check(!has, "no Response Information", "Response Information")?;
            }
            Ok(())
        },
    ),
    Case::v5("[MQTT-4.12.0-6]", "without Authentication Method CONNACK has none", |test| {
        let (_client, accepted) = test.accepted(&test.connect("client"))?;
        let has = accepted.properties.has(AUTHENTICATION_METHOD);
        check(!has, "no Authentication Method", "Authentication Method")
    }),
    Case::v5("[MQTT-4.13.1-1]", "Will Properties with a mistake are refused", |test| {
        for property in [
            byte(PAYLOAD_FORMAT_INDICATOR, 2),
            short(TOPIC_ALIAS, 1),
            long(0x18, 1).repeat(2),
            vec![0x02, 0, 0],
        ] {
            let will = Will::new(&test.topic("will"), "gone").property(property);
            test.sent(&test.connect("client").will(will))?.is_refused(&[0x99], &[])?;
        }
        Ok(())
    }),
    Case::v5("[MQTT-4.13.1-1]", "CONNACK does not announce a Receive Maximum of 0", |test| {
        let (_client, accepted) = test.accepted(&test.connect("client"))?;
        let found = accepted.properties.number(RECEIVE_MAXIMUM);
        check(found != Some(0), "a Receive Maximum of 1 or more, or none", "Receive Maximum 0")
    }),
];

//! AUTH, as far as a server shows of it without a method that both know (5.0): 3.15, 4.12.

use crate::case::Case;
use crate::property::{AUTHENTICATION_METHOD, text};
use crate::test::Test;
use crate::verdict::Step;
use crate::written::with_length;

/// Continue, re-authenticate.
const CONTINUE: u8 = 0x18;
const RE_AUTHENTICATE: u8 = 0x19;

pub(super) const CASES: &[Case] = &[
    Case::v5(
        "[MQTT-4.12.0-7] [MQTT-4.13.1-1]",
        "AUTH of a client whose CONNECT had no Authentication Method ends the connection",
        |test| {
            for code in [CONTINUE, RE_AUTHENTICATE] {
                ends_the_connection(
                    test,
                    auth(0xf0, code, &text(AUTHENTICATION_METHOD, "noctule selftest")),
                )?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.12.0-6] [MQTT-3.2.0-1]",
        "a server sends no AUTH to a client whose CONNECT had no Authentication Method",
        |test| {
            let mut client = test.sent(&test.connect("client"))?;
            // CONNACK is the first that comes, and behind it only answers.
            test.connack(&mut client)?;
            client.ping()
        },
    ),
    Case::v5("[MQTT-3.1.0-1]", "a connection that begins with AUTH is closed", |test| {
        let mut client = test.open("client")?;
        client.send(auth(0xf0, CONTINUE, &text(AUTHENTICATION_METHOD, "noctule selftest")));
        client.is_closed(&[])
    }),
    Case::v5(
        "[MQTT-4.12.0-7] [MQTT-4.13.1-1]",
        "AUTH of a client without Authentication Method ends the connection with a reserved bit in its first byte too",
        |test| {
            for flags in [1, 2, 4, 8] {
                let method = text(AUTHENTICATION_METHOD, "noctule selftest");
                ends_the_connection(test, auth(0xf0 | flags, RE_AUTHENTICATE, &method))?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.12.0-7] [MQTT-4.13.1-1]",
        "AUTH of a client without Authentication Method ends the connection with a Reason Code that is none of its own too",
        |test| {
            for code in [0x01, 0x1a, 0x80, 0xff] {
                ends_the_connection(
                    test,
                    auth(0xf0, code, &text(AUTHENTICATION_METHOD, "noctule selftest")),
                )?;
            }
            Ok(())
        },
    ),
    Case::v5(
        "[MQTT-4.12.0-1] [MQTT-4.12.0-4]",
        "a server that rejects the authentication closes the connection, and what follows is not done",
        |test| {
            let topic = test.topic("t");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let connect = test.connect("client").property(text(AUTHENTICATION_METHOD, "noctule selftest"));
            let mut client = test.open("client")?;
            let publish: Vec<u8> = test.publication(&topic, "too early").into();
            client.send([connect.bytes(), publish].concat());
            client.is_refused(&[0x8c, 0x87], &[])?;
            watcher.hears_nothing("no message of a client that was not let in")
        },
    ),
    Case::v311(
        "[MQTT311-4.8.0-1] [MQTT311-2.2.2-2]",
        "there is no AUTH: a packet of the reserved type 15 ends the connection",
        |test| ends_the_connection(test, vec![0xf0, 0]),
    ),
];

fn auth(first_byte: u8, code: u8, properties: &[u8]) -> Vec<u8> {
    let properties = with_length(crate::version::Version::V5, properties);
    crate::bytes::packet(first_byte, &[vec![code], properties].concat())
}

fn ends_the_connection(test: &Test<'_>, packet: Vec<u8>) -> Step {
    let mut client = test.client("client")?;
    client.send(packet);
    client.is_closed(&[0x8c])
}

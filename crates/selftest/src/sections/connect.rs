//! CONNECT and its answer: 3.1, 3.2.

use crate::case::Case;
use crate::property::ASSIGNED_CLIENT_IDENTIFIER;
use crate::verdict::{check, deviates};
use crate::written::{PINGREQ, SUBACK, Will, subscribe};

pub(super) const CASES: &[Case] = &[
    Case::both(
        "[MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT311-3.1.4-4] [MQTT311-3.2.0-1] [MQTT311-3.2.2-1]",
        "a CONNECT with Clean Start 1 is answered by CONNACK with 0x00 and Session Present 0",
        |test| {
            let (_client, accepted) = test.accepted(&test.connect("client"))?;
            check(!accepted.session_present, "Session Present 0", "Session Present 1")
        },
    ),
    Case::both(
        "[MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT311-3.2.0-1]",
        "what is sent behind CONNECT is answered behind CONNACK",
        |test| {
            let mut client = test.open("client")?;
            let subscribe = subscribe(test.version, 1, &[], &[(test.topic("t"), 0)]);
            client.send(
                [test.connect("client").bytes(), PINGREQ.to_vec(), subscribe, PINGREQ.to_vec()].concat(),
            );
            test.connack(&mut client)?;
            for expected in ["PINGRESP", "SUBACK", "PINGRESP"] {
                let answer = client.answer(expected)?;
                let name = crate::exchange::name_of(answer.bytes[0]);
                check(name == expected, expected, name)?;
            }
            Ok(())
        },
    ),
    Case::both(
        "[MQTT-3.1.0-1] [MQTT311-3.1.0-1]",
        "a connection that begins without CONNECT is closed",
        |test| {
            let mut client = test.open("client")?;
            client.send(PINGREQ);
            client.is_closed(&[])
        },
    ),
    Case::both("[MQTT-3.1.0-2] [MQTT311-3.1.0-2]", "a second CONNECT ends the connection", |test| {
        let mut client = test.client("client")?;
        client.send(test.connect("client").bytes());
        client.is_closed(&[])
    }),
    Case::both("[MQTT-3.1.2-1] [MQTT311-3.1.2-1]", "a wrong protocol name is refused", |test| {
        let connect = test.connect("client");
        let mut client = test.open("client")?;
        client.send(connect.bytes_as("MQTX", connect.version as u8, connect.flags()));
        client.is_refused(&[0x84, 1], &[1])
    }),
    Case::both(
        "[MQTT-3.1.2-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] [MQTT311-3.1.2-2] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]",
        "a protocol level that does not exist is refused, with 0x84 or 0x01",
        |test| {
            let connect = test.connect("client");
            let mut client = test.open("client")?;
            client.send(connect.bytes_as("MQTT", if test.is_v5() { 6 } else { 2 }, connect.flags()));
            client.is_refused(&[0x84, 1], &[1])
        },
    ),
    Case::both(
        "[MQTT-3.1.2-3] [MQTT-3.14.0-1] [MQTT311-3.1.2-3] [MQTT311-3.2.2-6]",
        "the reserved Connect Flag is refused",
        |test| {
            let connect = test.connect("client");
            let mut client = test.open("client")?;
            client.send(connect.with_flags(connect.flags() | 1));
            client.is_refused(&[], &[])
        },
    ),
    Case::both(
        "[MQTT-2.1.3-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2]",
        "CONNECT with a reserved bit in its first byte is refused",
        |test| {
            let mut bytes = test.connect("client").bytes();
            bytes[0] |= 1;
            let mut client = test.open("client")?;
            client.send(bytes);
            client.is_refused(&[], &[])
        },
    ),
    Case::both("[MQTT-3.1.2-12] [MQTT311-3.1.2-14]", "Will QoS 3 is refused", |test| {
        let will = Will::new(&test.topic("will"), "gone").qos(3);
        let mut client = test.sent(&test.connect("client").will(will))?;
        client.is_refused(&[], &[])
    }),
    Case::both(
        "[MQTT-3.1.2-11] [MQTT-3.1.4-1] [MQTT311-3.1.2-11] [MQTT311-3.1.2-13] [MQTT311-3.1.4-1]",
        "Will QoS without a will is refused",
        |test| {
            let connect = test.connect("client");
            let mut client = test.open("client")?;
            client.send(connect.with_flags(connect.flags() | 1 << 3));
            client.is_refused(&[], &[])
        },
    ),
    Case::both(
        "[MQTT-3.1.2-13] [MQTT-3.1.4-1] [MQTT311-3.1.2-11] [MQTT311-3.1.2-15] [MQTT311-3.1.4-1]",
        "Will Retain without a will is refused",
        |test| {
            let connect = test.connect("client");
            let mut client = test.open("client")?;
            client.send(connect.with_flags(connect.flags() | 1 << 5));
            client.is_refused(&[], &[])
        },
    ),
    Case::v311("[MQTT311-3.1.2-22] [MQTT311-3.1.4-1]", "a password without a user name is refused", |test| {
        let mut connect = test.connect("client");
        (connect.user_name, connect.password) = (None, Some(b"secret".to_vec()));
        let mut client = test.sent(&connect)?;
        client.is_refused(&[], &[4, 5])
    }),
    Case::both(
        "[MQTT-3.1.2-17] [MQTT-3.1.4-1] [MQTT311-3.1.2-19] [MQTT311-3.1.4-1]",
        "User Name Flag 1 without a user name is refused",
        |test| {
            let mut connect = test.connect("client");
            (connect.user_name, connect.password) = (None, None);
            let mut client = test.open("client")?;
            client.send(connect.with_flags(connect.flags() | 1 << 7));
            client.is_refused(&[], &[])
        },
    ),
    Case::both(
        "[MQTT-3.1.4-1] [MQTT311-3.1.4-1]",
        "a CONNECT that ends before its Client Identifier is refused",
        |test| {
            let mut bytes = test.connect("client").bytes();
            let header = if test.is_v5() { 11 } else { 10 };
            bytes.truncate(2 + header);
            bytes[1] = header as u8;
            let mut client = test.open("client")?;
            client.send(bytes);
            client.is_refused(&[], &[])
        },
    ),
    Case::both(
        "[MQTT-3.1.4-1] [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT311-3.1.4-1] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20]",
        "a CONNECT with bytes behind its last field is refused",
        |test| {
            let mut connect = test.connect("client");
            (connect.user_name, connect.password) = (Some("a".to_owned()), Some(b"b".to_vec()));
            let flags = connect.flags();
            let mut client = test.open("client")?;
            client.send(connect.with_flags(flags & 0x3f));
            client.is_refused(&[], &[])
        },
    ),
    Case::both(
        "[MQTT-3.1.3-5] [MQTT311-3.1.3-5]",
        "a Client Identifier of 23 letters and digits is accepted",
        |test| {
            let mut id = test.id("");
            id.extend("ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars().take(23 - id.len()));
            test.accepted(&test.connect("client").id(id)).map(drop)
        },
    ),
    Case::both(
        "[MQTT-3.1.3-4] [MQTT-1.5.4-1] [MQTT311-3.1.3-4] [MQTT311-1.5.3-1]",
        "a Client Identifier that is not UTF-8 is refused",
        |test| {
            let mut bytes = test.connect("client").id("abc").bytes();
            let last = bytes.len() - credentials(test) - 1;
            bytes[last] = 0xff;
            let mut client = test.open("client")?;
            client.send(bytes);
            client.is_refused(&[0x85], &[])
        },
    ),
    Case::both(
        "[MQTT-1.5.4-1] [MQTT311-1.5.3-1]",
        "a Client Identifier with a UTF-16 surrogate is refused",
        |test| {
            let mut bytes = test.connect("client").id("abc").bytes();
            let end = bytes.len() - credentials(test);
            bytes[end - 3..end].copy_from_slice(&[0xed, 0xa0, 0x80]);
            let mut client = test.open("client")?;
            client.send(bytes);
            client.is_refused(&[0x85], &[])
        },
    ),
    Case::both(
        "[MQTT-1.5.4-2] [MQTT-3.1.3-8] [MQTT311-1.5.3-2]",
        "a Client Identifier with U+0000 is refused",
        |test| {
            let mut client = test.sent(&test.connect("client").id("a\0b"))?;
            client.is_refused(&[0x85], &[2])
        },
    ),
    Case::both(
        "[MQTT-3.1.3-6] [MQTT311-3.1.3-6]",
        "two clients without an identifier are two clients",
        |test| {
            let mut first = test.sent(&test.connect("first").id(""))?;
            test.named(&mut first)?;
            let _second = test.client_with(&test.connect("second").id(""))?;
            first.ping()
        },
    ),
    Case::v5(
        "[MQTT-3.1.3-7] [MQTT-3.2.2-16]",
        "a client without an identifier is told a new one, by which it can come back",
        |test| {
            let mut connect = test.connect("client").id("").lasting();
            let mut client = test.sent(&connect)?;
            let accepted = test.named(&mut client)?;
            let Some(id) = accepted.properties.bytes(ASSIGNED_CLIENT_IDENTIFIER) else {
                return deviates("CONNACK with Assigned Client Identifier", "CONNACK without it");
            };
            connect.id = String::from_utf8_lossy(id).into_owned();
            let (_other, other_accepted) = test.accepted(&test.connect("other").id(""))?;
            let other_id = other_accepted.properties.bytes(ASSIGNED_CLIENT_IDENTIFIER);
            check(
                other_id.is_some_and(|other| other != id),
                "another identifier for another client",
                "the same",
            )?;
            client.disconnect()?;
            let (_client, accepted) = test.accepted(&connect)?;
            check(
                accepted.session_present,
                "Session Present 1 for the assigned identifier",
                "Session Present 0",
            )
        },
    ),
    Case::v5("[MQTT-3.1.3-7]", "a client with an identifier is not told another one", |test| {
        let (_client, accepted) = test.accepted(&test.connect("client"))?;
        let assigned = accepted.properties.has(ASSIGNED_CLIENT_IDENTIFIER);
        check(!assigned, "CONNACK without Assigned Client Identifier", "CONNACK with it")
    }),
    Case::v311(
        "[MQTT311-3.1.3-8] [MQTT311-3.1.3-9] [MQTT311-3.1.3-7] [MQTT311-3.2.2-4] [MQTT311-3.2.2-5]",
        "no Client Identifier with Clean Session 0 is refused with 0x02",
        |test| {
            let mut client = test.open("client")?;
            client.send(test.connect("client").id("").resume().bytes());
            let answer = client.packet("CONNACK with 0x02")?;
            check(
                answer.bytes == [0x20, 2, 0, 2],
                "CONNACK with 0x02",
                crate::exchange::described(&answer.bytes),
            )?;
            client.is_closed_now("the connection is closed")
        },
    ),
    Case::both(
        "[MQTT-3.1.4-6] [MQTT311-3.1.4-5]",
        "what follows a CONNECT that is refused is not processed",
        |test| {
            let topic = test.topic("t");
            let mut watcher = test.client("watcher")?;
            watcher.subscribe(&topic, 0)?;
            let connect = test.connect("refused");
            let mut refused = test.open("refused")?;
            let refused_connect = connect.bytes_as("MQTT", if test.is_v5() { 6 } else { 2 }, connect.flags());
            refused.send([refused_connect, test.publication(&topic, "x").into(), PINGREQ.to_vec()].concat());
            refused.is_refused(&[0x84, 1], &[1])?;
            let mut publisher = test.client("publisher")?;
            test.nothing_arrives(&mut publisher, &mut watcher)
        },
    ),
    Case::v311(
        "[MQTT311-3.1.4-2]",
        "a client with an identifier that is connected takes its place",
        |test| {
            let mut older = test.client("older")?;
            let mut newer = test.client_with(&test.connect("newer").id(test.id("older")))?;
            older.is_closed(&[])?;
            newer.ping()
        },
    ),
    Case::v5(
        "[MQTT-3.1.4-3] [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1]",
        "a client with an identifier that is connected takes its place; the older one is told 0x8E",
        |test| {
            let mut older = test.client("older")?;
            let mut newer = test.client_with(&test.connect("newer").id(test.id("older")))?;
            let last = older.packet("DISCONNECT with 0x8e")?;
            check(
                last.bytes[0] == 0xe0 && last.bytes.get(2) == Some(&0x8e),
                "DISCONNECT with 0x8e",
                crate::exchange::described(&last.bytes),
            )?;
            older.is_closed_now("the connection is closed")?;
            newer.ping()
        },
    ),
    Case::both(
        "[MQTT-3.2.2-22] [MQTT-3.1.2-22] [MQTT311-3.1.2-24]",
        "a client that is silent for one and a half times its Keep Alive is disconnected, and not before",
        |test| {
            test.offer.needs_own_keep_alive()?;
            let mut client = test.client_with(&test.connect("client").keep_alive(2))?;
            let start = std::time::Instant::now();
            client.is_closed_after(3000, &[0x8d])?;
            let lasted = start.elapsed();
            check(lasted.as_millis() >= 2000, "at least 2 s", format!("closed after {lasted:?}"))
        },
    )
    .slow(),
    Case::both(
        "[MQTT-3.1.2-22] [MQTT311-3.1.2-24]",
        "a client that sends PINGREQ in time stays connected",
        |test| {
            let mut client = test.client_with(&test.connect("client").keep_alive(3))?;
            for _ in 0..5 {
                test.wait(1200)?;
                client.ping()?;
            }
            Ok(())
        },
    )
    .slow(),
    Case::both(
        "[MQTT-3.1.2-22] [MQTT311-3.1.2-24]",
        "a client that sends nothing but other packets in time stays connected",
        |test| {
            let mut client = test.client_with(&test.connect("client").keep_alive(3))?;
            for id in 1..=5 {
                test.wait(1200)?;
                client.send(subscribe(test.version, id, &[], &[(test.topic("t"), 0)]));
                client.granted(SUBACK, id)?;
            }
            Ok(())
        },
    )
    .slow(),
    Case::both("[MQTT-3.1.2-22] [MQTT311-3.1.2-24]", "Keep Alive 0 sets no limit", |test| {
        test.offer.needs_own_keep_alive()?;
        let mut client = test.client_with(&test.connect("client").keep_alive(0))?;
        test.wait(4000)?;
        client.ping()
    })
    .slow(),
];

/// How many bytes of a CONNECT without a will stand behind its Client Identifier.
fn credentials(test: &crate::test::Test<'_>) -> usize {
    let connect = test.connect("client");
    let user_name = connect.user_name.map_or(0, |name| name.len() + 2);
    user_name + connect.password.map_or(0, |password| password.len() + 2)
}

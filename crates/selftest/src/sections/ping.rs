//! PINGREQ: 3.12.

use crate::case::Case;
use crate::written::PINGREQ;

pub(super) const CASES: &[Case] = &[
    Case::both("[MQTT-3.12.4-1] [MQTT311-3.12.4-1]", "PINGREQ is answered by PINGRESP, each one", |test| {
        let mut client = test.client("client")?;
        client.ping()?;
        client.send([PINGREQ, PINGREQ, PINGREQ].concat());
        for _ in 0..3 {
            let answer = client.packet("PINGRESP")?;
            crate::verdict::check(
                answer.bytes == [0xd0, 0],
                "PINGRESP: d0 00",
                format!("{:02x?}", answer.bytes),
            )?;
        }
        Ok(())
    }),
    Case::both(
        "[MQTT-2.1.3-1] [MQTT-4.13.1-1] [MQTT311-2.2.2-1] [MQTT311-2.2.2-2] [MQTT311-4.8.0-1]",
        "PINGREQ with a reserved bit in its first byte ends the connection",
        |test| {
            let mut client = test.client("client")?;
            client.send([0xc1, 0]);
            client.is_closed(&[])
        },
    ),
    Case::both("[MQTT-4.13.1-1] [MQTT311-4.8.0-1]", "PINGREQ with a body ends the connection", |test| {
        let mut client = test.client("client")?;
        client.send([0xc0, 1, 0]);
        client.is_closed(&[])
    }),
    Case::both(
        "[MQTT-4.13.1-1] [MQTT311-4.8.0-1]",
        "a packet that only servers send ends the connection",
        |test| {
            for bytes in [[0xd0, 0], [0x00, 0]] {
                let mut client = test.client("client")?;
                client.send(bytes);
                client.is_closed(&[])?;
            }
            Ok(())
        },
    ),
];

//! `noctule selftest` finds what is wrong: each row is a fault that a broker may have, and the statement whose cases
//! must find it. The broker is ours behind a proxy that commits the fault.

use e2e::Broker;
use e2e::clients::noctule;
use e2e::faulty::{Fate, Fault, Passing, broker_with};

/// What the broker does, a statement that forbids it, how.
const FAULTS: &[(&str, &str, Fault)] = &[
    ("takes a second CONNECT", "MQTT-3.1.0-2", |packet, memory| {
        if packet.is_to_broker(1) && memory.connects > 1 { accepted(memory.is_v5) } else { Fate::Passes }
    }),
    ("takes a second CONNECT", "MQTT311-3.1.0-2", |packet, memory| {
        if packet.is_to_broker(1) && memory.connects > 1 { accepted(memory.is_v5) } else { Fate::Passes }
    }),
    ("takes a protocol level that does not exist", "MQTT311-3.1.2-2", |packet, _| {
        change(packet.is_to_broker(1), || packet.body[6] = 4)
    }),
    ("does not look at the reserved Connect Flag", "MQTT-3.1.2-3", |packet, _| {
        change(packet.is_to_broker(1), || packet.body[7] &= !1)
    }),
    ("does not keep to Keep Alive", "MQTT-3.1.2-22", |packet, _| {
        change(packet.is_to_broker(1), || packet.body[8..10].fill(0))
    }),
    ("does not keep to Clean Start 1", "MQTT-3.1.2-4", |packet, _| {
        change(packet.is_to_broker(1), || packet.body[7] &= !2)
    }),
    ("always says that there was a session", "MQTT-3.2.2-2", |packet, _| {
        change(packet.is_to_client(2), || packet.body[0] = 1)
    }),
    ("never says that there was a session", "MQTT-3.2.2-3", |packet, _| {
        change(packet.is_to_client(2), || packet.body[0] = 0)
    }),
    ("never says that there was a session", "MQTT311-3.2.2-2", |packet, _| {
        change(packet.is_to_client(2), || packet.body[0] = 0)
    }),
    ("does not tell who was taken over", "MQTT-3.1.4-3", |packet, _| lose(packet.is_to_client(14))),
    ("uses a Reason Code that a server does not have", "MQTT-3.14.2-1", |packet, _| {
        change(packet.is_to_client(14) && !packet.body.is_empty(), || packet.body[0] = 0x04)
    }),
    ("loses wills", "MQTT-3.1.2-8", |packet, _| {
        lose(packet.is_to_client(3) && packet.topic().ends_with(b"/will"))
    }),
    ("publishes a will after DISCONNECT", "MQTT-3.14.4-3", |packet, _| {
        if packet.is_to_broker(14) && packet.body.is_empty() {
            // A packet that ends the connection in another way.
            (packet.first_byte, packet.body) = (0xf1, vec![]);
        }
        Fate::Passes
    }),
    ("does not look at QoS 3", "MQTT-3.3.1-4", |packet, _| lose(packet.is_to_broker(3) && packet.qos() == 3)),
    ("takes wildcards in Topic Names", "MQTT311-3.3.2-2", |packet, _| {
        lose(packet.is_to_broker(3) && packet.topic().iter().any(|byte| b"+#".contains(byte)))
    }),
    ("takes Topic Names that are not UTF-8", "MQTT-3.3.2-1", |packet, _| {
        lose(packet.is_to_broker(3) && std::str::from_utf8(packet.topic()).is_err())
    }),
    ("takes Packet Identifier 0", "MQTT-2.2.1-3", |packet, _| {
        let id = packet.topic().len() + 2;
        lose(packet.is_to_broker(3) && packet.qos() > 0 && packet.body.get(id..id + 2) == Some(&[0, 0]))
    }),
    ("takes Topic Alias 0", "MQTT-3.3.2-8", |packet, _| {
        let at = packet.properties_at();
        lose(packet.is_to_broker(3) && packet.body.get(at..at + 4) == Some(&[3, 0x23, 0, 0]))
    }),
    ("sends Topic Alias 0", "MQTT-3.1.2-26", |packet, memory| {
        let at = packet.properties_at();
        change(packet.is_to_client(3) && memory.is_v5 && packet.body.get(at) == Some(&0), || {
            packet.body.splice(at..=at, [3, 0x23, 0, 0]);
        })
    }),
    ("loses the properties of messages", "MQTT-3.3.2-17", without_properties),
    ("loses the properties of messages", "MQTT-3.3.2-16", without_properties),
    ("loses the properties of messages", "MQTT-3.3.4-3", without_properties),
    ("does not count down Message Expiry Interval", "MQTT-3.3.2-6", |packet, _| {
        change(packet.is_to_client(3), || {
            for left in 90..100 {
                packet.replace(&[2, 0, 0, 0, left], &[2, 0, 0, 0, 100]);
            }
        })
    }),
    ("drops DUP", "MQTT-3.3.1-1", |packet, _| change(packet.is_to_client(3), || packet.first_byte &= !8)),
    ("drops DUP", "MQTT311-3.3.1-1", |packet, _| change(packet.is_to_client(3), || packet.first_byte &= !8)),
    ("sets DUP at once", "MQTT-3.3.1-3", |packet, _| {
        change(packet.is_to_client(3) && packet.qos() > 0, || packet.first_byte |= 8)
    }),
    ("sets DUP at QoS 0", "MQTT-3.3.1-2", |packet, _| {
        change(packet.is_to_client(3) && packet.qos() == 0, || packet.first_byte |= 8)
    }),
    ("passes RETAIN on", "MQTT311-3.3.1-9", |packet, _| {
        change(packet.is_to_client(3), || packet.first_byte |= 1)
    }),
    ("drops RETAIN", "MQTT311-3.3.1-8", |packet, _| {
        change(packet.is_to_client(3), || packet.first_byte &= !1)
    }),
    ("does not look at Retain As Published", "MQTT-3.3.1-13", |packet, _| without_options(packet, 8)),
    ("does not look at Retain Handling", "MQTT-3.3.1-11", |packet, _| without_options(packet, 0x30)),
    ("does not look at No Local", "MQTT-3.8.3-3", |packet, _| without_options(packet, 4)),
    ("does not look at reserved options", "MQTT-3.8.3-5", |packet, _| without_options(packet, 0xc0)),
    ("does not look at the flags of SUBSCRIBE", "MQTT-3.8.1-1", |packet, _| {
        change(packet.is_to_broker(8), || packet.first_byte = 0x82)
    }),
    ("does not look at the flags of UNSUBSCRIBE", "MQTT311-3.10.1-1", |packet, _| {
        change(packet.is_to_broker(10), || packet.first_byte = 0xa2)
    }),
    ("does not look at the flags of PUBREL", "MQTT-3.6.1-1", |packet, _| {
        change(packet.is_to_broker(6), || packet.first_byte = 0x62)
    }),
    ("answers with another Packet Identifier", "MQTT-2.2.1-5", |packet, _| {
        change(packet.is_to_client(4), || packet.body[1] ^= 1)
    }),
    ("answers with another Packet Identifier", "MQTT-4.3.3-11", |packet, _| {
        change(packet.is_to_client(7), || packet.body[1] ^= 1)
    }),
    ("answers with another Packet Identifier", "MQTT311-3.8.4-2", |packet, _| {
        change(packet.is_to_client(9), || packet.body[1] ^= 1)
    }),
    ("grants another QoS than it says", "MQTT-3.8.4-7", |packet, _| {
        change(packet.is_to_client(9), || packet.body.iter_mut().skip(3).for_each(|code| *code = 0))
    }),
    ("says the codes of SUBACK in another order", "MQTT-3.9.3-1", |packet, _| {
        change(packet.is_to_client(9), || packet.body[3..].reverse())
    }),
    ("delivers all at QoS 0", "MQTT-3.8.4-8", |packet, _| {
        let id = packet.topic().len() + 2;
        change(packet.is_to_client(3) && packet.qos() > 0, || {
            packet.first_byte = 0x30;
            packet.body.drain(id..id + 2);
        })
    }),
    (
        "delivers twice",
        "MQTT-4.3.3-10",
        |packet, _| {
            if packet.is_to_client(3) { Fate::ComesTwice } else { Fate::Passes }
        },
    ),
    ("delivers in another order", "MQTT-4.6.0-5", |packet, _| {
        if packet.is_to_client(3) { Fate::ComesLater } else { Fate::Passes }
    }),
    ("forgets to answer what it had not to do", "MQTT-3.10.4-5", |packet, memory| {
        lose(packet.is_to_client(11) && memory.is_v5 && packet.body.last() == Some(&0x11))
    }),
    ("does not answer PINGREQ", "MQTT-3.12.4-1", |packet, _| lose(packet.is_to_client(13))),
    ("sends a body with PINGRESP", "MQTT311-3.12.4-1", |packet, _| {
        change(packet.is_to_client(13), || packet.body.push(0))
    }),
    ("does not keep to Receive Maximum", "MQTT-3.3.4-9", |packet, _| {
        change(packet.is_to_broker(1), || {
            for maximum in 1..=2 {
                packet.replace(&[0x21, 0, maximum], &[0x21, 0xff, 0xff]);
            }
        })
    }),
    ("does not keep to Maximum Packet Size", "MQTT-3.1.2-24", |packet, _| {
        change(packet.is_to_broker(1), || {
            for size in [200_u16, 300] {
                let [high, low] = size.to_be_bytes();
                packet.replace(&[0x27, 0, 0, high, low], &[0x27, 0, 0xff, high, low]);
            }
        })
    }),
    ("reads lengths that are too long", "MQTT-1.5.5-1", |packet, _| {
        // Written anew, it has the length it needs.
        change(packet.has_long_length && packet.body.is_empty(), || packet.has_long_length = false)
    }),
    ("forgets sessions", "MQTT-3.1.2-5", |packet, _| change(packet.is_to_broker(1), || packet.body[7] |= 2)),
    ("forgets sessions", "MQTT311-4.4.0-1", |packet, _| {
        change(packet.is_to_broker(1), || packet.body[7] |= 2)
    }),
    ("does not tell what identifier it assigned", "MQTT-3.1.3-7", |packet, memory| {
        change(packet.is_to_client(2) && memory.is_v5, || {
            packet.body.truncate(2);
            packet.body.push(0);
        })
    }),
    ("sends Response Information unasked", "MQTT-3.1.2-28", |packet, memory| {
        change(packet.is_to_client(2) && memory.is_v5, || {
            packet.body.truncate(2);
            packet.body.extend([4, 0x1a, 0, 1, b'a']);
        })
    }),
    ("says why with DISCONNECT before CONNACK", "MQTT-3.14.0-1", |packet, memory| {
        let refuses = packet.is_to_client(2) && memory.is_v5 && packet.body[1] >= 0x80;
        change(refuses, || (packet.first_byte, packet.body) = (0xe0, vec![0x81]))
    }),
    ("explains acknowledgements to who does not want that", "MQTT-3.1.2-29", |packet, memory| {
        change(packet.is_to_client(4) && memory.is_v5, || {
            packet.body.truncate(2);
            packet.body.extend([0, 4, 0x1f, 0, 1, b'a']);
        })
    }),
    ("explains at length", "MQTT-3.2.2-19", |packet, memory| explain(packet, memory, 2)),
    ("explains at length", "MQTT-3.4.2-2", |packet, memory| explain(packet, memory, 4)),
    ("explains at length", "MQTT-3.5.2-2", |packet, memory| explain(packet, memory, 5)),
    ("explains at length", "MQTT-3.6.2-2", |packet, memory| explain(packet, memory, 6)),
    ("explains at length", "MQTT-3.7.2-2", |packet, memory| explain(packet, memory, 7)),
    ("explains at length", "MQTT-3.9.2-1", |packet, memory| explain(packet, memory, 9)),
    ("explains at length", "MQTT-3.11.2-1", |packet, memory| explain(packet, memory, 11)),
    ("explains at length", "MQTT-3.14.2-3", |packet, memory| explain(packet, memory, 14)),
    ("sends an alias to who takes none", "MQTT-3.1.2-27", |packet, memory| {
        let at = packet.properties_at();
        change(packet.is_to_client(3) && memory.is_v5 && packet.body.get(at) == Some(&0), || {
            packet.body.splice(at..=at, [3, 0x23, 0, 1]);
        })
    }),
    ("acknowledges in another order", "MQTT311-4.6.0-2", |packet, _| {
        if packet.is_to_client(4) { Fate::ComesLater } else { Fate::Passes }
    }),
    ("says the codes of UNSUBACK in another order", "MQTT-3.11.3-1", |packet, memory| {
        change(packet.is_to_client(11) && memory.is_v5, || packet.body[3..].rotate_left(1))
    }),
    ("takes a share for a subscription", "MQTT-4.5.0-1", |packet, memory| {
        // 5.0: Packet Identifier, no properties, one filter.
        let is_share = packet.is_to_broker(8) && memory.is_v5 && packet.body.get(5..12) == Some(b"$share/");
        change(is_share, || {
            let filter = packet.body[12..].iter().position(|byte| *byte == b'/').map_or(12, |at| 13 + at);
            let rest = packet.body.split_off(filter);
            packet.body.truncate(3);
            packet.body.extend((rest.len() as u16 - 1).to_be_bytes());
            packet.body.extend(rest);
        })
    }),
];

fn accepted(is_v5: bool) -> Fate {
    Fate::IsAnswered(if is_v5 { vec![0x20, 3, 0, 0, 0] } else { vec![0x20, 2, 0, 0] })
}

fn lose(is_it: bool) -> Fate {
    if is_it { Fate::IsLost } else { Fate::Passes }
}

fn change(is_it: bool, how: impl FnOnce()) -> Fate {
    if is_it {
        how();
    }
    Fate::Passes
}

fn without_properties(packet: &mut Passing, memory: &e2e::faulty::Memory) -> Fate {
    let at = packet.properties_at();
    change(packet.is_to_client(3) && memory.is_v5, || {
        let length = usize::from(packet.body[at]);
        // Longer ones would need a length of two bytes; no case here has any.
        if length < 0x80 {
            packet.body.splice(at..=at + length, [0]);
        }
    })
}

/// Adds a Reason String of a hundred letters.
fn explain(packet: &mut Passing, memory: &e2e::faulty::Memory, packet_type: u8) -> Fate {
    change(packet.is_to_client(packet_type) && memory.is_v5, || {
        // Where the properties stand, behind flags, Packet Identifier or Reason Code.
        let at = match packet_type {
            4..=7 => 3,
            14 => 1,
            _ => 2,
        };
        packet.body.resize(packet.body.len().max(at), 0);
        let properties = [vec![103, 0x1f, 0, 100], vec![b'a'; 100]].concat();
        let length = packet.body.get(at).map_or(0, |length| usize::from(*length) + 1);
        packet.body.splice(at..at + length, properties);
    })
}

/// Clears bits of the Subscription Options of the last filter.
fn without_options(packet: &mut Passing, bits: u8) -> Fate {
    change(packet.is_to_broker(8), || {
        if let Some(options) = packet.body.last_mut() {
            *options &= !bits;
        }
    })
}

fn selftest(port: u16, args: &str) -> e2e::Finished {
    noctule("selftest", port, args).run()
}

#[test]
fn without_a_fault_the_proxy_hides_nothing_and_adds_nothing() {
    let broker = Broker::start("");
    selftest(broker_with(|_, _| Fate::Passes, broker.port()), "--timeout 20").succeeds();
}

#[test]
fn every_fault_is_found() {
    let broker = Broker::start("");
    let unfound: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = FAULTS
            .iter()
            .map(|(what, statement, fault)| {
                let port = broker_with(*fault, broker.port());
                scope.spawn(move || {
                    (what, statement, selftest(port, &format!("--timeout 3 --only {statement}")))
                })
            })
            .collect();
        let finished = runs.into_iter().map(|run| run.join().expect("the run ends"));
        finished.filter(|(_, statement, finished)| !is_found(statement, finished)).collect()
    });
    let lines: Vec<_> =
        unfound.iter().map(|(what, by, run)| format!("{what} ({by}): {}", run.lines().join("; "))).collect();
    assert!(lines.is_empty(), "not found:\n{}", lines.join("\n"));
}

/// A case that deviates names the statement.
fn is_found(statement: &str, finished: &e2e::Finished) -> bool {
    let cited = format!("[{statement}]");
    finished.lines().iter().any(|line| line.starts_with("  [") && line.contains(&cited))
}

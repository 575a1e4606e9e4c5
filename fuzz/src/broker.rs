//! The target of `noctule-broker`. The crate's own tests run it too, over the seeds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, Now, Settings, Shard, Shared, Ticket, TransportEnd,
};
use noctule_protocol::frame::next_frame;
use noctule_protocol::packet::Packet;
use noctule_protocol::{ProtocolVersion, Role};

const CONNECTIONS: u32 = 3;

/// What clients send when the script says so: a packet by its number, in hexadecimal.
const PACKETS: [&str; 24] = [
    // CONNECT: 3.1, 3.1.1 clean and lasting with a will, 5.0 clean, 5.0 lasting with small limits, a bridge.
    "10 0f 0006 4d5149736470 03 02 0005 0001 61",
    "10 0d 0004 4d515454 04 02 0005 0001 61",
    "10 13 0004 4d515454 04 2c 0005 0001 62 0001 74 0001 77",
    "10 0e 0004 4d515454 05 02 0005 00 0001 61",
    "10 1e 0004 4d515454 05 00 0005 10 11 0000000a 21 0002 22 0001 27 00000040 0001 63",
    "10 0d 0004 4d515454 84 00 0005 0001 64",
    // SUBSCRIBE: 3.x "#" at QoS 2, a shared one; 5.0 with an identifier, No Local and Retain As Published.
    "82 06 0001 0001 23 02",
    "82 0f 0002 000a 2473686172652f672f2b 01",
    "82 09 0003 02 0b07 0001 23 0e",
    // PUBLISH: 3.x at each QoS, retained, cleared; 5.0 with an alias and an expiry.
    "30 04 0001 74 78",
    "32 06 0001 74 0001 78",
    "34 06 0001 74 0002 78",
    "33 06 0001 74 0003 79",
    "31 03 0001 74",
    "32 0e 0001 74 0004 08 02 00000002 23 0001",
    // Acknowledgements.
    "40 02 0001",
    "50 02 0001",
    "62 02 0002",
    "70 02 0001",
    // UNSUBSCRIBE, PINGREQ, DISCONNECT of 3.x, 5.0 with Will, and 5.0 with another expiry.
    "a2 05 0005 0001 23",
    "c0 00",
    "e0 00",
    "e0 01 04",
    "e0 07 00 05 11 00000002",
];

/// Three clients are driven by a script. A byte below 0x80 brings that many bytes of the script from the client in turn;
/// the others are packets, lost connections, passing time, writing and storing.
pub fn connection(data: &[u8]) {
    let mut desk = Desk::new();
    let mut script = data;
    while let Some((&step, rest)) = script.split_first() {
        script = rest;
        match step {
            0..0x80 => {
                let (bytes, rest) = script.split_at(script.len().min(usize::from(step)));
                script = rest;
                desk.receive(bytes);
            }
            0x80..0xC0 => {
                let packet = PACKETS[usize::from(step) % PACKETS.len()];
                desk.receive(&bytes(packet));
            }
            0xC0..0xD0 => desk.client = u32::from(step) % CONNECTIONS,
            0xD0..0xD8 => desk.lose(),
            0xD8..0xE0 => desk.wait(u64::from(step - 0xD7)),
            0xE0..0xF0 => desk.write(usize::from(step - 0xE0)),
            0xF0..=0xFF => desk.store(),
        }
        desk.settle();
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

struct Desk {
    shard: Shard,
    shared: Shared,
    now: Now,
    effects: Vec<Effect>,
    client: u32,
    open: BTreeMap<u32, ConnectionKey>,
    /// What each connection was sent and received, for the check of what it is sent.
    told: BTreeMap<ConnectionKey, Vec<u8>>,
    received: BTreeMap<ConnectionKey, usize>,
    generation: u32,
    pushed: Ticket,
    outbox_bytes_max: usize,
}

impl Desk {
    fn new() -> Self {
        let settings = Settings {
            max_inflight_messages: 2,
            max_queued_messages: 5,
            outbox_bytes_max: 256,
            maximum_packet_size: 4096,
            connect_packet_size: 1024,
            ..Settings::default()
        };
        let shared = Shared::new(&settings);
        let outbox_bytes_max = settings.outbox_bytes_max;
        let shard = Shard::new(Arc::new(settings), 1);
        Self {
            shard,
            shared,
            now: Now::default(),
            effects: Vec::new(),
            client: 0,
            open: BTreeMap::new(),
            told: BTreeMap::new(),
            received: BTreeMap::new(),
            generation: 0,
            pushed: Ticket(0),
            outbox_bytes_max,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.shard.handle(&self.shared, input, self.now, &mut self.effects);
    }

    /// The current client's connection, made if it has none.
    fn connection(&mut self) -> ConnectionKey {
        if let Some(&key) = self.open.get(&self.client) {
            return key;
        }
        self.generation += 1;
        let key = ConnectionKey { index: self.client, generation: self.generation };
        self.open.insert(self.client, key);
        self.handle(Input::Connected { connection: key, listener: ListenerIndex(0), peer: None });
        key
    }

    fn receive(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let connection = self.connection();
        *self.received.entry(connection).or_default() += bytes.len();
        self.handle(Input::Received { connection, bytes });
        let kept = self.shard.partial_bytes(connection);
        assert!(kept <= 2 * self.received[&connection].max(64), "{kept} bytes are kept of a partial packet");
    }

    fn lose(&mut self) {
        if let Some(connection) = self.open.remove(&self.client) {
            self.handle(Input::Closed { connection, end: TransportEnd::ClosedByPeer });
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
        self.handle(Input::TimedOut);
    }

    /// Writes up to `most` bytes of each outbox that has some; 0 writes all.
    fn write(&mut self, most: usize) {
        let keys: Vec<ConnectionKey> = self.open.values().copied().collect();
        for connection in keys {
            let output = self.shard.output(connection);
            // Whatever is answered to one input may exceed the bound by one packet, or be a packet for each of its bytes.
            assert!(output.len() <= self.outbox_bytes_max + 64 * 1024, "{} bytes in an outbox", output.len());
            let written = if most == 0 { output.len() } else { output.len().min(most) };
            let written = output[..written].to_vec();
            if !written.is_empty() {
                self.told.entry(connection).or_default().extend_from_slice(&written);
                self.handle(Input::Written { connection, bytes: written.len() });
            }
        }
    }

    fn store(&mut self) {
        self.handle(Input::Durable { ticket: self.pushed });
    }

    /// Ends the turn and carries out what is asked.
    fn settle(&mut self) {
        self.shard.end_turn(&mut self.effects);
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Persist { ticket, operations, .. } => {
                    assert!(ticket > self.pushed && !operations.is_empty());
                    self.pushed = ticket;
                    operations.iter().for_each(|operation| operation.changes(|_| {}));
                }
                Effect::Close { connection, farewell } => {
                    self.open.retain(|_, key| *key != connection);
                    let mut told = self.told.remove(&connection).unwrap_or_default();
                    told.extend_from_slice(&farewell);
                    check_told(&told);
                }
                Effect::Pause { .. } | Effect::Resume { .. } | Effect::Log { .. } => {}
            }
        }
        while self.shard.next_dirty().is_some() {}
    }
}

/// All that one connection was told are whole packets of a server, a CONNACK first.
fn check_told(told: &[u8]) {
    let versions = [ProtocolVersion::V311, ProtocolVersion::V5];
    let reads = |version| {
        let mut rest = told;
        let mut first = true;
        while let Ok(Some((frame, length))) = next_frame(rest, u32::MAX) {
            let packet = Packet::decode(frame, version).ok()?;
            packet.check_sender(Role::Server, version).ok()?;
            if first != matches!(packet, Packet::Connack(_)) {
                return None;
            }
            first = false;
            rest = &rest[length..];
        }
        rest.is_empty().then_some(())
    };
    assert!(versions.into_iter().any(|version| reads(version).is_some()), "{told:02x?}");
}

//! The target of `noctule-broker`. The crate's own tests run it too, over the seeds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, Now, Settings, Shard, ShardIndex, Shared, Ticket,
    TransportEnd, Verdict,
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

/// Clients are dealt to two shards in turn.
struct Desk {
    shards: [Shard; 2],
    shared: Shared,
    now: Now,
    client: u32,
    /// The shard and name of each client's connection.
    open: BTreeMap<u32, (usize, ConnectionKey)>,
    /// What each connection was sent and received, for the check of what it is sent.
    told: BTreeMap<ConnectionKey, Vec<u8>>,
    received: BTreeMap<ConnectionKey, usize>,
    generation: u32,
    pushed: [Ticket; 2],
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
        let settings = Arc::new(settings);
        let shard = |index| Shard::new(Arc::clone(&settings), ShardIndex(index), 2, u32::from(index) + 1);
        Self {
            shards: [0, 1].map(shard),
            shared,
            now: Now::default(),
            client: 0,
            open: BTreeMap::new(),
            told: BTreeMap::new(),
            received: BTreeMap::new(),
            generation: 0,
            pushed: [Ticket(0); 2],
            outbox_bytes_max,
        }
    }

    fn handle(&mut self, shard: usize, input: Input<'_>) {
        let mut effects = Vec::new();
        self.shards[shard].handle(&self.shared, input, self.now, &mut effects);
        effects.into_iter().for_each(|effect| self.carry_out(shard, effect));
    }

    /// The current client's connection, made if it has none.
    fn connection(&mut self) -> (usize, ConnectionKey) {
        if let Some(&found) = self.open.get(&self.client) {
            return found;
        }
        self.generation += 1;
        let key = ConnectionKey { index: self.client, generation: self.generation };
        let shard = self.client as usize % self.shards.len();
        self.open.insert(self.client, (shard, key));
        self.handle(shard, Input::Connected { connection: key, listener: ListenerIndex(0), peer: None });
        (shard, key)
    }

    fn receive(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (shard, connection) = self.connection();
        *self.received.entry(connection).or_default() += bytes.len();
        self.handle(shard, Input::Received { connection, bytes });
        let kept = self.shards.iter().map(|shard| shard.partial_bytes(connection)).max().unwrap_or(0);
        assert!(kept <= 2 * self.received[&connection].max(64), "{kept} bytes are kept of a partial packet");
    }

    fn lose(&mut self) {
        if let Some((shard, connection)) = self.open.remove(&self.client) {
            self.handle(shard, Input::Closed { connection, end: TransportEnd::ClosedByPeer });
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
        (0..self.shards.len()).for_each(|shard| self.handle(shard, Input::TimedOut));
    }

    /// Writes up to `most` bytes of each outbox that has some; 0 writes all.
    fn write(&mut self, most: usize) {
        let open: Vec<(usize, ConnectionKey)> = self.open.values().copied().collect();
        for (shard, connection) in open {
            let output = self.shards[shard].output(connection);
            // Whatever is answered to one input may exceed the bound by one packet, or be a packet for each of its bytes.
            assert!(output.len() <= self.outbox_bytes_max + 64 * 1024, "{} bytes in an outbox", output.len());
            let written = if most == 0 { output.len() } else { output.len().min(most) };
            let written = output[..written].to_vec();
            if !written.is_empty() {
                self.told.entry(connection).or_default().extend_from_slice(&written);
                self.handle(shard, Input::Written { connection, bytes: written.len() });
            }
        }
    }

    fn store(&mut self) {
        for shard in 0..self.shards.len() {
            self.handle(shard, Input::Durable { ticket: self.pushed[shard] });
        }
    }

    /// Ends the turn of each shard, and once more for what they sent each other.
    fn settle(&mut self) {
        for shard in [0, 1, 0] {
            let mut effects = Vec::new();
            self.shards[shard].end_turn(&self.shared, &mut effects);
            effects.into_iter().for_each(|effect| self.carry_out(shard, effect));
            while self.shards[shard].next_dirty().is_some() {}
        }
    }

    fn carry_out(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::ReadQueue { .. } | Effect::StoreIsDamaged(_) => panic!("all queues are in memory"),
            Effect::Persist { ticket, operations, .. } => {
                assert!(ticket > self.pushed[shard] && !operations.is_empty());
                self.pushed[shard] = ticket;
                operations.iter().for_each(|operation| operation.changes(|_| {}));
            }
            Effect::Send { to, parcel } => self.handle(to.get(), Input::Parcel { parcel }),
            Effect::HandOver { connection, to, listener, peer, bytes, authenticated } => {
                let client = connection.index;
                self.open.insert(client, (to.get(), connection));
                let bytes = &bytes;
                self.handle(to.get(), Input::HandedOver { connection, listener, peer, bytes, authenticated });
            }
            Effect::Authenticate { connection, .. } => {
                self.handle(shard, Input::Authenticated { connection, verdict: Verdict::Accepted });
            }
            Effect::Close { connection, farewell } => {
                self.open.retain(|_, (_, key)| *key != connection);
                let mut told = self.told.remove(&connection).unwrap_or_default();
                told.extend_from_slice(&farewell);
                check_told(&told);
            }
            Effect::Pause { .. } | Effect::Resume { .. } | Effect::Log { .. } => {}
        }
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

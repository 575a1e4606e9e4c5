#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;
use std::sync::Arc;

use noctule_broker::record::Wanted;
use noctule_broker::{ConnectionKey, Effect, Input, ListenerIndex, Now, Settings, Shard, ShardIndex, Shared};
use noctule_mosquitto_db::{
    Client, Contents, Copy, CopyState, Direction, StoredMessage, Subscription, Will, read_snapshot,
};
use noctule_persistence::StoredRows;
use noctule_storage::{Keyspace, MemoryStore, Store};

use super::writing::fill;
use super::*;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn contents() -> Contents {
    let empty = [&b"\0\xB5\0mosquitto db"[..], &[0; 4], &[0, 0, 0, 6]].concat();
    let mut contents = read_snapshot(&empty[..]).unwrap();
    contents.clients.push(client("c"));
    contents
}

fn client(id: &str) -> Client {
    Client { id: id.to_owned(), expiry_interval: Some(u32::MAX), ..Client::default() }
}

fn message(id: u64, payload: &str) -> StoredMessage {
    StoredMessage {
        id,
        topic: "t".to_owned(),
        payload: payload.into(),
        properties: Vec::new(),
        qos: 2,
        retain: false,
        expiry_time: None,
        publisher: "p".to_owned(),
        publisher_user_name: None,
    }
}

fn copy(message: u64, qos: u8, state: CopyState, packet_id: u16) -> Copy {
    let client = "c".to_owned();
    Copy {
        client,
        message,
        direction: Direction::Outgoing,
        state,
        packet_id,
        qos,
        retain: false,
        identifier: 0,
    }
}

/// A broker that started on what was imported.
struct Started {
    shared: Shared,
    shard: Shard,
    effects: Vec<Effect>,
    now: Now,
    rows: StoredRows,
    summary: Summary,
}

impl Started {
    fn on(contents: &Contents) -> Self {
        let mut store = MemoryStore::new();
        let source = Source { path: "mosquitto.db".into(), bytes: 1, modified: 2 };
        let summary = fill(&mut store, contents, &source, NOW).unwrap();
        assert_eq!(Known::of(&store).unwrap(), Known::Done(source));
        let settings = Arc::new(Settings::default());
        let shared = Shared::new(&settings);
        let mut shards = [Shard::new(settings, ShardIndex(0), 1, 1)];
        let now = Now { monotonic: Duration::from_secs(1), wall: NOW };
        let mut effects = Vec::new();
        let rows = StoredRows::new(store.reader());
        let (_, mut load) = Shard::restore(&mut shards, &shared, &rows, now, &mut effects).unwrap();
        load.load_some(usize::MAX, &rows, &shared).unwrap();
        let [shard] = shards;
        let mut started = Self { shared, shard, effects, now, rows, summary };
        started.settle();
        started
    }

    /// Everything is durable at once, and what is asked for is read.
    fn settle(&mut self) {
        loop {
            self.shard.end_turn(&self.shared, &mut self.effects);
            let mut inputs = Vec::new();
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Persist { ticket, .. } => inputs.push(Input::Durable { ticket }),
                    Effect::ReadQueue { slot, session, wanted } => {
                        let (found, error) = Wanted::read_some(&wanted, &self.rows, usize::MAX);
                        inputs.push(Input::QueueRead { slot, session, found, error });
                    }
                    _ => {}
                }
            }
            if inputs.is_empty() {
                return;
            }
            for input in inputs {
                self.shard.handle(&self.shared, input, self.now, &mut self.effects);
            }
        }
    }

    /// What a client with this one-letter name gets for a CONNECT of MQTT 3.1.1 without Clean Session.
    fn connect(&mut self, name: u8) -> Vec<u8> {
        // One for each name.
        let connection = ConnectionKey { index: u32::from(name - b'c'), generation: 0 };
        let connected = Input::Connected { connection, listener: ListenerIndex(0), peer: None };
        self.shard.handle(&self.shared, connected, self.now, &mut self.effects);
        let connect = [&b"\x10\x0d\0\x04MQTT\x04\x00\0\0\0\x01"[..], &[name]].concat();
        self.shard.handle(
            &self.shared,
            Input::Received { connection, bytes: &connect },
            self.now,
            &mut self.effects,
        );
        self.settle();
        self.shard.output(connection).to_vec()
    }
}

/// PUBLISH to topic `t`.
fn publish(header: u8, packet_id: u8, payload: &str) -> Vec<u8> {
    let length = 5 + payload.len() as u8;
    [&[header, length, 0, 1, b't', 0, packet_id], payload.as_bytes()].concat()
}

/// CONNACK with Session Present.
const RESUMED: &[u8] = &[0x20, 2, 1, 0];

#[test]
fn a_session_goes_on_where_it_was() {
    let mut contents = contents();
    contents.messages = vec![message(1, "sent"), message(2, "one"), message(3, "two"), message(4, "done")];
    contents.copies = vec![
        copy(4, 2, CopyState::Received, 9),
        copy(1, 2, CopyState::Sent, 7),
        // A queue whose order is not that of the numbers.
        copy(3, 1, CopyState::Queued, 0),
        copy(2, 1, CopyState::Queued, 0),
    ];
    let mut started = Started::on(&contents);
    let summary = &started.summary;
    assert_eq!((summary.sessions, summary.queued, summary.in_flight, summary.left_out.total()), (1, 2, 2, 0));
    let output = started.connect(b'c');
    let expected = [
        RESUMED.to_vec(),
        // PUBREL again, PUBLISH again with its own Packet Identifier, and then what was never sent.
        vec![0x62, 2, 0, 9],
        publish(0x3C, 7, "sent"),
        publish(0x32, 1, "two"),
        publish(0x32, 2, "one"),
    ];
    let mut parts: Vec<&[u8]> = expected.iter().map(Vec::as_slice).collect();
    if output != parts.concat() {
        // Which of the two exchanges is resumed first is not our matter.
        parts.swap(1, 2);
        assert_eq!(output, parts.concat());
    }
}

#[test]
fn what_came_in_and_was_not_released_is_passed_on_at_pubrel() {
    let mut contents = contents();
    contents.clients.push(client("d"));
    let subscription = Subscription {
        client: "d".to_owned(),
        filter: "#".to_owned(),
        qos: 1,
        no_local: false,
        retain_as_published: false,
        identifier: 0,
    };
    contents.subscriptions.push(subscription);
    contents.messages = vec![message(1, "held")];
    let incoming = Copy { direction: Direction::Incoming, ..copy(1, 2, CopyState::Received, 5) };
    contents.copies = vec![incoming.clone(), incoming];
    let mut started = Started::on(&contents);
    assert_eq!((started.summary.in_flight, started.summary.left_out.total()), (1, 1));
    assert_eq!(started.connect(b'c'), RESUMED);
    let connection = ConnectionKey { index: 0, generation: 0 };
    let pubrel = Input::Received { connection, bytes: &[0x62, 2, 0, 5] };
    started.shard.handle(&started.shared, pubrel, started.now, &mut started.effects);
    started.settle();
    assert!(started.shard.output(connection).ends_with(&[0x70, 2, 0, 5]));
    assert_eq!(started.connect(b'd'), [RESUMED, &publish(0x32, 1, "held")].concat());
}

#[test]
fn what_cannot_be_taken_is_counted_with_its_reason() {
    let mut contents = contents();
    contents.clients.extend([
        client("c"),
        Client { expiry_interval: Some(0), ..client("connected") },
        Client { expiry_interval: Some(60), expiry_time: Some(NOW.as_secs()), ..client("over") },
        client("\0"),
    ]);
    let filter = |filter: &str, client: &str| Subscription {
        client: client.to_owned(),
        filter: filter.to_owned(),
        qos: 0,
        no_local: true,
        retain_as_published: false,
        identifier: 0,
    };
    contents.subscriptions =
        vec![filter("a/#/b", "c"), filter("a", "nobody"), filter(&"x".repeat(65_530), "c")];
    let mut expired = message(1, "late");
    expired.expiry_time = Some(NOW.as_secs());
    let mut wildcard = message(2, "wild");
    wildcard.topic = "a/+".to_owned();
    contents.messages = vec![expired, wildcard, message(3, ""), message(3, "again")];
    contents.retained = vec![1, 3];
    contents.copies = vec![copy(1, 1, CopyState::Queued, 0), copy(3, 0, CopyState::Queued, 0)];
    let started = Started::on(&contents);
    let left_out: Vec<_> = started.summary.left_out.iter().map(|(_, count)| count).collect();
    assert_eq!(started.summary.left_out.total(), 13, "{}", started.summary);
    assert_eq!(left_out.len(), 12, "{}", started.summary);
    assert_eq!((started.summary.sessions, started.summary.subscriptions), (1, 0));
}

#[test]
fn retained_messages_and_wills_are_kept() {
    let mut contents = contents();
    contents.messages = vec![message(1, "kept")];
    contents.retained = vec![1];
    let will = |client: &str| Will {
        client: client.to_owned(),
        topic: format!("will/{client}"),
        payload: b"gone".to_vec(),
        properties: Vec::new(),
        qos: 1,
        retain: true,
    };
    // Its session waits; the other one's connection ended with the broker.
    contents.clients[0].will_delay_interval = 60;
    contents.wills = vec![will("c"), will("nobody")];
    let mut started = Started::on(&contents);
    assert_eq!((started.summary.retained, started.summary.wills), (1, 2));
    assert_eq!(started.shared.retained_count(), 1);
    let mut due = |seconds| {
        started.now.monotonic = Duration::from_secs(seconds);
        started.shard.handle(&started.shared, Input::TimedOut, started.now, &mut started.effects);
        started.settle();
        started.shared.retained_count()
    };
    assert_eq!((due(2), due(62)), (2, 3));
}

fn empty_file(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("mosquitto.db");
    let bytes = [&b"\0\xB5\0mosquitto db"[..], &[0; 4], &[0, 0, 0, 6]].concat();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_is_imported_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = MemoryStore::new();
    let candidates = [directory.path().join("mosquitto.db")];
    let start =
        |store: &mut MemoryStore| Import::at_start(store, &candidates, directory.path(), NOW).unwrap();
    assert_eq!(start(&mut store), Import::Nothing);
    let path = empty_file(directory.path());
    assert!(matches!(start(&mut store), Import::Done { .. }));
    assert_eq!(start(&mut store), Import::Nothing);
    std::fs::write(&path, "Mosquitto has run on it").unwrap();
    let changed = Import::Changed { path: std::fs::canonicalize(&path).unwrap() };
    assert_eq!(start(&mut store), changed);
    let again = Import::asked_for(&mut store, &path, directory.path(), NOW).unwrap_err();
    assert!(matches!(again, ImportError::Again { .. }), "{again}");
}

#[test]
fn a_store_that_is_in_use_takes_no_import() {
    let directory = tempfile::tempdir().unwrap();
    let path = empty_file(directory.path());
    let mut store = MemoryStore::new();
    let mut batch = noctule_storage::Batch::new();
    batch.put(Keyspace::Retained, "t", "something");
    store.commit(&[batch], true).unwrap();
    let candidates = [path.clone()];
    let late = Import::at_start(&mut store, &candidates, directory.path(), NOW).unwrap();
    assert_eq!(late, Import::Late { path: path.clone() });
    let refused = Import::asked_for(&mut store, &path, directory.path(), NOW).unwrap_err();
    assert!(matches!(refused, ImportError::NotEmpty), "{refused}");
}

#[test]
fn an_import_that_was_cut_off_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = empty_file(directory.path());
    let mut store = MemoryStore::new();
    let mut batch = noctule_storage::Batch::new();
    batch.put(Keyspace::Meta, "import", "begun");
    batch.put(Keyspace::Retained, "t", "half of it");
    store.commit(&[batch], true).unwrap();
    assert!(matches!(
        Import::at_start(&mut store, &[path], directory.path(), NOW).unwrap(),
        Import::Done { .. }
    ));
    assert_eq!(store.get(Keyspace::Retained, b"t").unwrap(), None);
}

#[test]
fn a_damaged_file_is_refused_and_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = empty_file(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend([0, 0, 0, 2, 0]);
    std::fs::write(&path, bytes).unwrap();
    let mut store = MemoryStore::new();
    let refused = Import::at_start(&mut store, &[path], directory.path(), NOW).unwrap_err().to_string();
    assert!(refused.contains("at byte 23"), "{refused}");
    assert!(store.is_empty());
}

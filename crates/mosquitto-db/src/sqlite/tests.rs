//! Databases made with the statements by which persist-sqlite of Mosquitto 2.1 is known to make its own: there is no such
//! broker to ask.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::read;

const SCHEMA: &str = "
    CREATE TABLE base_msgs (store_id INT64 PRIMARY KEY, expiry_time INT64, topic STRING NOT NULL, payload BLOB,
        source_id STRING, source_username STRING, payloadlen INTEGER, source_mid INTEGER, source_port INTEGER,
        qos INTEGER, retain INTEGER, properties STRING);
    CREATE TABLE retains (topic STRING PRIMARY KEY, store_id INT64);
    CREATE TABLE clients (client_id TEXT PRIMARY KEY, username TEXT, connection_time INT64, will_delay_time INT64,
        session_expiry_time INT64, listener_port INT, max_packet_size INT, max_qos INT, retain_available INT,
        session_expiry_interval INT, will_delay_interval INT);
    CREATE TABLE subscriptions (client_id TEXT NOT NULL, topic TEXT NOT NULL, subscription_options INTEGER,
        subscription_identifier INTEGER, PRIMARY KEY (client_id, topic));
    CREATE TABLE client_msgs (client_id TEXT NOT NULL, cmsg_id INT64, store_id INT64, dup INTEGER, direction INTEGER,
        mid INTEGER, qos INTEGER, retain INTEGER, state INTEGER, subscription_identifier INTEGER);
    CREATE TABLE wills (client_id TEXT PRIMARY KEY, payload BLOB, topic STRING NOT NULL, payloadlen INTEGER,
        qos INTEGER, retain INTEGER, properties STRING);
    CREATE TABLE version_info (component TEXT NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL,
        patch INTEGER NOT NULL);
    INSERT INTO version_info VALUES ('database_schema', 1, 1, 0);
";

const ROWS: &str = r#"
    INSERT INTO base_msgs VALUES (10, 0, 'a/b', x'00FF', 'pub', 'jo', 2, 7, 1883, 1, 0,
        '[{"identifier":"content-type","value":"t"}]');
    INSERT INTO base_msgs VALUES (11, 2000000000, '42', NULL, NULL, NULL, 0, 0, 0, 2, 1, NULL);
    INSERT INTO retains VALUES ('42', 11);
    INSERT INTO clients VALUES ('c', 'u', 1, 0, 1900000000, 1883, 0, 2, 1, 3600, 0);
    INSERT INTO clients VALUES ('d', NULL, 1, 0, 0, 1883, 0, 2, 1, -1, 30);
    INSERT INTO subscriptions VALUES ('c', 'a/#', 13, 77);
    INSERT INTO client_msgs VALUES ('c', 1, 10, 0, 1, 5, 1, 0, 3, 77);
    INSERT INTO client_msgs VALUES ('c', 2, 11, 0, 1, 0, 2, 1, 11, 0);
    INSERT INTO client_msgs VALUES ('d', 1, 11, 0, 0, 9, 2, 0, 7, 0);
    INSERT INTO wills VALUES ('d', x'6279', 'gone', 2, 1, 1, NULL);
"#;

/// Writes a database as a broker leaves it that was killed: its last changes stand beside it.
fn killed(directory: &TempDir, statements: &[&str]) -> PathBuf {
    let live = directory.path().join("live.sqlite3");
    let path = directory.path().join("mosquitto.sqlite3");
    let database = Connection::open(&live).unwrap();
    let mode: String = database.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    for statement in statements {
        database.execute_batch(statement).unwrap();
    }
    for suffix in ["", "-wal"] {
        fs::copy(with_suffix(&live, suffix), with_suffix(&path, suffix)).unwrap();
    }
    drop(database);
    fs::remove_file(live).unwrap();
    path
}

fn files(directory: &TempDir) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory.path()).unwrap();
    entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn everything_is_found_beside_the_database_and_nothing_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = killed(&directory, &[SCHEMA, ROWS]);
    assert!(fs::metadata(with_suffix(&path, "-wal")).unwrap().len() > 0);
    let before = files(&directory);
    let contents = read(&path, scratch.path()).unwrap();
    assert_eq!(files(&directory), before);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);

    assert_eq!(contents.format, Format::Sqlite(1, 1));
    assert_eq!(contents.left_out, LeftOut::default());
    let [first, second] = &contents.messages[..] else { panic!("{contents:?}") };
    assert_eq!((first.id, &*first.topic, &first.payload[..], first.qos), (10, "a/b", &b"\x00\xFF"[..], 1));
    assert_eq!((&*first.publisher, first.publisher_user_name.as_deref()), ("pub", Some("jo")));
    assert_eq!(first.properties, b"\x03\0\x01t");
    // Its topic became a number in the file.
    assert_eq!((&*second.topic, second.expiry_time, second.retain), ("42", Some(2_000_000_000), true));
    assert_eq!(contents.retained, [11]);
    let [c, d] = &contents.clients[..] else { panic!("{contents:?}") };
    assert_eq!((c.user_name.as_deref(), c.expiry_interval), (Some("u"), Some(3600)));
    assert_eq!(c.expiry_time, Some(1_900_000_000));
    assert_eq!((d.expiry_interval, d.expiry_time, d.will_delay_interval), (Some(u32::MAX), None, 30));
    let subscription = &contents.subscriptions[0];
    assert_eq!((&*subscription.filter, subscription.qos, subscription.identifier), ("a/#", 1, 77));
    assert!(subscription.no_local && subscription.retain_as_published);
    let progress: Vec<_> = contents
        .copies
        .iter()
        .map(|copy| (copy.message, copy.direction, copy.state, copy.packet_id))
        .collect();
    let expected = [
        (10, Direction::Outgoing, CopyState::Sent, 5),
        (11, Direction::Outgoing, CopyState::Queued, 0),
        (11, Direction::Incoming, CopyState::Received, 9),
    ];
    assert_eq!(progress, expected);
    let [will] = &contents.wills[..] else { panic!("{contents:?}") };
    assert_eq!(
        (&*will.client, &*will.topic, &will.payload[..], will.retain),
        ("d", "gone", &b"by"[..], true)
    );
}

#[test]
fn what_cannot_be_used_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let bad = "INSERT INTO client_msgs VALUES ('c', 1, 10, 0, 1, 99999, 1, 0, 3, 0);
        INSERT INTO client_msgs VALUES ('c', 1, 10, 0, 1, 1, 1, 0, 99, 0);
        INSERT INTO clients VALUES ('', NULL, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        INSERT INTO clients VALUES (CAST(x'FF' AS TEXT), NULL, 1, 0, 0, 0, 0, 0, 0, 0, 0);";
    let path = killed(&directory, &[SCHEMA, bad]);
    let contents = read(&path, directory.path()).unwrap();
    let left_out: Vec<_> = contents.left_out.iter().collect();
    let mut expected = [(NOT_A_NUMBER, 1), (UNKNOWN_STATE, 1), (NO_CLIENT, 1), (NOT_UTF8, 1)];
    expected.sort_unstable();
    assert_eq!(left_out, expected);
}

#[test]
fn a_newer_schema_and_a_damaged_database_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = killed(&directory, &[SCHEMA, "UPDATE version_info SET major = 2"]);
    let refusal = read(&path, directory.path()).unwrap_err().to_string();
    assert!(refusal.contains("schema 2.1") && refusal.contains("mosquitto.sqlite3"), "{refusal}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mosquitto.sqlite3");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(&[SCHEMA, ROWS].concat()).unwrap();
    drop(database);
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000..9000].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let refusal = read(&path, directory.path()).unwrap_err();
    assert!(matches!(refusal, ReadError::Damaged { .. }), "{refusal}");
}

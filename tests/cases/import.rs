//! What Debian's Mosquitto left behind is taken over.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::packet::{self, Version};
use e2e::{Broker, Program, Wire, environment};

/// `noctule store`.
fn store(words: &str) -> Program {
    Program::new(environment::broker()).arg("store").args(words)
}

/// A client of MQTT 3.1.1 whose session stays.
fn lasting(broker: &Broker, client_id: &str) -> Wire {
    let mut wire = Wire::open(broker, Version::V4, &packet::connect(Version::V4, client_id, false, 60));
    assert_eq!(wire.packet().0, 0x20);
    wire
}

/// Has Mosquitto write a `mosquitto.db` below `directory`:
///
/// - `queued` waits for three messages with QoS 1 and 2, and `five`, of MQTT 5.0, for one with properties;
/// - `flight` has sent PUBREC for its first message and nothing for its second;
/// - `sender` has sent no PUBREL for a message to `a/late`;
/// - `a/retained` and `other/retained` are retained.
fn mosquitto_db(directory: &Path) -> PathBuf {
    let config = format!("user root\npersistence true\npersistence_location {}/\n", directory.display());
    let mut broker = Broker::debian(&config);
    broker.mosquitto_sub("-i queued -c -q 2 -t a/# -E").run().succeeds();
    broker
        .mosquitto_sub("-i five -V 5 -c -x 36000 -q 1 -t b/+ -D subscribe subscription-identifier 7 -E")
        .run()
        .succeeds();
    for (number, qos) in [(1, 2), (2, 1), (3, 2)] {
        broker.mosquitto_pub(&format!("-t a/{number} -m m{number} -q {qos}")).run().succeeds();
    }
    broker
        .mosquitto_pub("-V 5 -t b/x -m properties -q 1 -D publish user-property k v -D publish message-expiry-interval 36000")
        .run()
        .succeeds();
    broker.mosquitto_pub("-t a/retained -m first -q 1 -r").run().succeeds();
    broker.mosquitto_pub("-t other/retained -m second -r").run().succeeds();

    let mut flight = lasting(&broker, "flight");
    flight.subscribe("f", 2);
    broker.mosquitto_pub("-t f -m received -q 2").run().succeeds();
    broker.mosquitto_pub("-t f -m unanswered -q 2").run().succeeds();
    let (_, first) = flight.packet();
    assert_eq!(first[3..5], [0, 1]);
    flight.packet();
    flight.send(&[0x50, 2, 0, 1]);
    assert_eq!(flight.packet(), (0x62, vec![0, 1]));

    let mut sender = lasting(&broker, "sender");
    sender.send(b"\x34\x0e\x00\x06a/late\x00\x4dheld");
    assert_eq!(sender.packet(), (0x50, vec![0, 0x4D]));
    broker.stop();
    directory.join("mosquitto.db")
}

#[test]
fn a_database_of_debian_is_imported_exported_and_backed_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = mosquitto_db(directory.path());
    let before = fs::read(&file).expect("Mosquitto wrote it");
    let data = directory.path().join("data");
    let imported = store(&format!("import {} --data {}", file.display(), data.display())).run();
    imported.succeeds().prints(&[
        "Imported 4 sessions, 3 subscriptions, 5 queued messages, 3 unfinished QoS 2 exchanges, 2 retained messages, 0 Wills.",
    ]);
    assert_eq!(fs::read(&file).expect("it is still there"), before);

    let export = |data: &Path| store(&format!("export --data {}", data.display())).run().succeeds().lines();
    let lines = export(&data);
    let has = |words: &[&str]| {
        let found = lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line has all of {words:?}:\n{}", lines.join("\n"));
    };
    has(&["\"kind\":\"session\"", "\"client_id\":\"five\"", "\"expiry_interval\":36000"]);
    has(&["\"kind\":\"subscription\"", "\"filter\":\"b/+\"", "\"identifier\":7"]);
    has(&["\"kind\":\"retained\"", "\"topic\":\"a/retained\"", "\"payload\":\"first\""]);
    has(&["\"kind\":\"incoming\"", "\"topic\":\"a/late\"", "\"payload\":\"held\"", "\"packet_id\":77"]);
    has(&["\"kind\":\"message\"", "\"payload\":\"unanswered\""]);

    let backup = directory.path().join("backup");
    store(&format!("backup {} --data {}", backup.display(), data.display())).run().succeeds();
    assert_eq!(export(&backup), lines);
}

#[test]
fn what_cannot_be_imported_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let import = |file: &Path| store(&format!("import {} --data {}", file.display(), data.display())).run();
    let file = directory.path().join("mosquitto.db");
    import(&file).exits_with(1).complains("cannot read").complains("nothing was imported");
    fs::write(&file, "").expect("a file");
    import(&file).exits_with(1).complains("is empty");
    fs::write(&file, "persistence true").expect("a file");
    import(&file).exits_with(1).complains("is no database of Mosquitto");
    fs::write(&file, b"\0\xB5\0mosquitto db\0\0\0\0\0\0\0\x09").expect("a file");
    import(&file).exits_with(1).complains("has format 9");
    fs::write(&file, b"\0\xB5\0mosquitto db\0\0\0\0\0\0\0\x06\0\0\0\x02\0").expect("a file");
    import(&file)
        .exits_with(1)
        .complains("is damaged: at byte 23, it ends in the middle of an entry: it was cut off");
    // None of this left a trace.
    fs::write(&file, b"\0\xB5\0mosquitto db\0\0\0\0\0\0\0\x06").expect("a file");
    import(&file).succeeds();
    import(&file).exits_with(1).complains("was imported before");
    store("export --data nowhere").run().exits_with(1).complains("nowhere is no data directory");
    store("export").run().exits_with(2);
}

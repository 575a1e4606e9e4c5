//! What Debian's Mosquitto left behind is taken over.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::packet::{self, Version};
use e2e::{Broker, Program, Wire, environment, eventually};

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
/// - `queued` waits for three messages with QoS 2, and `five`, of MQTT 5.0, for one with properties;
/// - `flight` has sent PUBREC for its first message and nothing for its second;
/// - `sender` has sent no PUBREL for a message to `a/late`;
/// - `r/retained` and `other/retained` are retained.
fn mosquitto_db(directory: &Path) -> PathBuf {
    let config = format!("user root\npersistence true\npersistence_location {}/\n", directory.display());
    let mut broker = Broker::debian(&config);
    broker.mosquitto_sub("-i queued -c -q 2 -t a/# -E").run().succeeds();
    broker
        .mosquitto_sub("-i five -V 5 -c -x 36000 -q 1 -t b/+ -D subscribe subscription-identifier 7 -E")
        .run()
        .succeeds();
    for number in 1..=3 {
        broker.mosquitto_pub(&format!("-t a/{number} -m m{number} -q 2")).run().succeeds();
    }
    broker
        .mosquitto_pub("-V 5 -t b/x -m properties -q 1 -D publish user-property k v -D publish message-expiry-interval 36000")
        .run()
        .succeeds();
    broker.mosquitto_pub("-t r/retained -m first -q 1 -r").run().succeeds();
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
        "Imported 4 sessions, 3 subscriptions, 4 queued messages, 3 unfinished QoS 2 exchanges, 2 retained messages, 0 Wills.",
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
    has(&["\"kind\":\"retained\"", "\"topic\":\"r/retained\"", "\"payload\":\"first\""]);
    has(&["\"kind\":\"incoming\"", "\"topic\":\"a/late\"", "\"payload\":\"held\"", "\"packet_id\":77"]);
    has(&["\"kind\":\"message\"", "\"payload\":\"unanswered\""]);

    let rows = format!("{} rows can be read.", lines.len());
    store(&format!("check --data {}", data.display())).run().succeeds().prints(&[rows]);
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

/// The broker under test on a database of Mosquitto, at its first start.
fn on_database(content: &[u8]) -> Result<Broker, String> {
    let config =
        "listener PORT 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location DIR\n";
    Broker::attempt(environment::broker(), config, &[("mosquitto.db", content)])
}

#[track_caller]
fn tells(broker: &Broker, text: &str) {
    eventually(text, || broker.process().errors().contains(text).then_some(()));
}

#[test]
fn clients_of_debian_resume_at_the_first_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let content = fs::read(mosquitto_db(directory.path())).expect("Mosquitto wrote it");
    let mut broker = on_database(&content).expect("it starts");
    let imported = "mosquitto.db: 4 sessions, 3 subscriptions, 4 queued messages, 3 unfinished QoS 2 exchanges, \
                    2 retained messages, 0 Wills.";
    tells(&broker, imported);

    // QoS 2 goes on where it was, under the same Packet Identifiers: PUBREL again, and PUBLISH again.
    let mut flight = Wire::open(&broker, Version::V4, &packet::connect(Version::V4, "flight", false, 60));
    assert_eq!(flight.packet(), (0x20, vec![1, 0]));
    let mut resumed = [flight.packet(), flight.packet()];
    resumed.sort();
    assert_eq!(resumed, [(0x3C, b"\0\x01f\0\x02unanswered".to_vec()), (0x62, vec![0, 1])]);
    // The broker still has what came in, and passes it on once.
    let mut sender = Wire::open(&broker, Version::V4, &packet::connect(Version::V4, "sender", false, 60));
    assert_eq!(sender.packet(), (0x20, vec![1, 0]));
    for _ in 0..2 {
        sender.send(&[0x62, 2, 0, 0x4D]);
        assert_eq!(sender.packet(), (0x70, vec![0, 0x4D]));
    }
    let queued = ["a/1 2 0 m1", "a/2 2 0 m2", "a/3 2 0 m3", "a/late 2 0 held"];
    broker.returning_subscriber("-c -i queued -q 2 -t a/# -C 4").receives(&queued);
    broker
        .returning_subscriber("-V 5 -c -x 36000 -i five -q 1 -t b/+ -C 1")
        .receives(&["b/x 1 0 properties"]);
    broker.subscriber("-t other/# -C 1").receives(&["other/retained 0 1 second"]);

    // Once is enough.
    let mut before = broker.process().errors();
    broker.stop();
    broker.begin();
    before.push_str(&broker.process().errors());
    assert_eq!(before.matches("Imported").count(), 1, "{before}");
    assert_eq!(fs::read(broker.file("mosquitto.db")).expect("it is still there"), content);
    // Mosquitto has run on it since.
    broker.stop();
    broker.write("mosquitto.db", [&content[..], &[0, 0, 0, 9, 0, 0, 0, 0]].concat());
    broker.begin();
    tells(&broker, "was changed after it was imported");
}

#[test]
fn a_damaged_database_ends_the_first_start() {
    // It listens before it looks at what is kept.
    let errors = match on_database(b"\0\xB5\0mosquitto db\0\0\0\0\0\0\0\x06\0\0\0\x02\0") {
        Ok(broker) => {
            eventually("its end", || (!broker.process().is_running()).then(|| broker.process().errors()))
        }
        Err(errors) => errors,
    };
    for told in ["mosquitto.db is damaged: at byte 23", "move it away to begin without what was in it"] {
        assert!(errors.contains(told), "{errors}");
    }
}

#[test]
fn a_backup_is_made_while_serving_and_is_served_from() {
    let broker = Broker::start("persistence true\npersistence_location DIR\n");
    broker.mosquitto_pub("-t kept -m message -q 1 -r").run().succeeds();
    let (data, backup) = (broker.file("noctule"), broker.file("backup/noctule"));
    fs::create_dir(broker.file("backup")).expect("a directory");
    let words = format!("backup {} --data {}", backup.display(), data.display());
    store(&words).run().succeeds();
    store(&words).run().exits_with(1).complains("is not empty");
    store(&format!("export --data {}", data.display())).run().exits_with(1).complains("in use by");
    let location = broker.file("backup").display().to_string();
    let copy = Broker::start(&format!("persistence true\npersistence_location {location}\n"));
    copy.subscriber("-t kept -q 1 -C 1").receives(&["kept 1 1 message"]);
}

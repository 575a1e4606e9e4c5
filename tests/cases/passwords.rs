//! `password_file`: who gets in, made by Debian's `mosquitto_passwd`, asked by the clients of others.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::clients::{Library, mosquitto_pub, python};
use e2e::packet::{self, Version};
use e2e::{Broker, Finished, Wire, environment, eventually, hex};

const CONFIG: &str = "listener PORT 127.0.0.1\npassword_file DIR/passwords";

/// alice with `$7$`, bob with `$6$`, both by Debian's program; carol with `$argon2id$`, by the reference implementation.
fn password_file() -> String {
    let directory = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let file = directory.path().join("passwords");
    let run = |flags: &[&str], user: &str, password: &str| {
        let program = environment::client("/usr/bin/mosquitto_passwd");
        let mut command = Command::new(program);
        command.args(flags).arg("-b").arg(&file).args([user, password]);
        assert!(command.status().expect("it can be run").success(), "mosquitto_passwd for {user}");
    };
    run(&["-c"], "alice", "wonder land");
    run(&["-H", "sha512"], "bob", "builder");
    let file = fs::read_to_string(file).expect("mosquitto_passwd has written it");
    assert!(file.contains("alice:$7$") && file.contains("bob:$6$"), "{file}");
    format!("# users\n{file}carol:{CAROL}\n")
}

/// Of `geheim`.
const CAROL: &str =
    "$argon2id$v=19$m=1024,t=1,p=2$c29tZSBzYWx0IG9mIDE2Yg$yoYJBiYr/n+sOJydNkXxiV/ZhTyHzwXRg4MBOrSybdQ";

fn started(program: &Path, more: &str) -> Broker {
    Broker::with_files(program, &format!("{CONFIG}\n{more}"), &[("passwords", &password_file())])
}

/// User, password, and whether they get in.
const LOGINS: [(&str, Option<&str>, bool); 11] = [
    ("alice", Some("wonder land"), true),
    ("alice", Some("wonderland"), false),
    ("alice", Some("wonder land "), false),
    ("alice", Some("builder"), false),
    ("alice", None, false),
    ("bob", Some("builder"), true),
    ("bob", Some("wonder land"), false),
    ("Bob", Some("builder"), false),
    ("carol", Some("geheim"), true),
    ("carol", Some(""), false),
    ("stranger", Some("builder"), false),
];

fn log_in(broker: &Broker, version: &str, user: &str, password: Option<&str>) -> Finished {
    let mut client = mosquitto_pub(broker.port(), "-t t -m x -q 1 -V").arg(version).arg("-u").arg(user);
    if let Some(password) = password {
        client = client.arg("-P").arg(password);
    }
    client.run()
}

#[test]
fn debians_clients_log_in_as_with_debians_broker() {
    for more in ["", "allow_anonymous true"] {
        let (theirs, ours) =
            (started(&environment::debian_mosquitto(), more), started(environment::broker(), more));
        for (user, password, gets_in) in LOGINS {
            for (version, refused) in [("31", 5), ("311", 5), ("5", 0x87)] {
                let expected = if gets_in { 0 } else { refused };
                log_in(&ours, version, user, password).exits_with(expected);
                // Debian's is built without Argon2.
                if user != "carol" {
                    log_in(&theirs, version, user, password).exits_with(expected);
                }
            }
        }
        let anonymous = if more.is_empty() { 5 } else { 0 };
        for broker in [&theirs, &ours] {
            broker.mosquitto_pub("-t t -m x").run().exits_with(anonymous);
        }
    }
}

#[test]
fn paho_logs_in() {
    let broker = started(environment::broker(), "");
    for library in [Library::Paho1, Library::Paho2] {
        for version in ["4", "5"] {
            let client = python(library, "roundtrip.py", broker.port());
            client.arg(version).arg("alice").arg("wonder land").run().succeeds();
        }
    }
}

/// CONNECT with a User Name and a Password, each of which may be any bytes.
fn connect(version: Version, user: &[u8], password: &[u8]) -> Vec<u8> {
    let mut body = packet::string("MQTT");
    body.extend([version as u8, 0xc2, 0, 60]);
    if version == Version::V5 {
        body.push(0);
    }
    for field in [b"".as_slice(), user, password] {
        body.extend(packet::string(field));
    }
    packet::packet(0x10, &body)
}

#[test]
fn what_is_refused_gets_a_connack_and_nothing_more() {
    let broker = started(environment::broker(), "allow_anonymous true");
    for user in ["alice", "stranger"] {
        // With packets right behind, which must not be obeyed.
        let eager = |version| {
            [connect(version, user.as_bytes(), b"wrong"), packet::publish(version, "t", 0, 0, b"x")].concat()
        };
        // [MQTT311-3.2.2-5]
        Wire::open(&broker, Version::V4, &eager(Version::V4)).is_closed_with_hex("20 02 00 05");
        let said = Wire::open(&broker, Version::V5, &eager(Version::V5)).is_closed();
        assert!(said.starts_with(&[0x20]) && said[3] == 0x87, "{}", hex::text(&said));
    }
}

#[test]
fn what_comes_behind_a_connect_waits_for_the_verdict() {
    let broker = started(environment::broker(), "worker_threads 3");
    for version in [Version::V4, Version::V5] {
        let pipelined = [
            connect(version, b"carol", b"geheim"),
            packet::subscribe(version, 1, "t", 0),
            packet::publish(version, "t", 0, 0, b"behind"),
            packet::PINGREQ.to_vec(),
        ];
        let mut wire = Wire::open(&broker, version, &pipelined.concat());
        assert_eq!(wire.packet().0, 0x20);
        assert_eq!(wire.packet().0, 0x90);
        wire.receives(b"behind");
        assert_eq!(wire.packet().0, 0xd0);
    }
}

/// With a hash that takes some hundredths of a second.
fn slow(broker: &Path) -> Broker {
    let slow =
        "$argon2id$v=19$m=47104,t=1,p=1$c29tZSBzYWx0IG9mIDE2Yg$yoYJBiYr/n+sOJydNkXxiV/ZhTyHzwXRg4MBOrSybdQ";
    let file = format!("root:{slow}\n{}", password_file());
    let slow_users: String = (0..20).map(|number| format!("user{number}:{slow}\n")).collect();
    Broker::with_files(
        broker,
        &format!("{CONFIG}\nallow_anonymous true"),
        &[("passwords", &(file + &slow_users))],
    )
}

#[test]
fn a_storm_of_log_ins_does_not_stop_messages() {
    const STORM: usize = 200;
    let broker = slow(environment::broker());
    let mut subscriber = Wire::connect(&broker, Version::V4, "subscriber");
    subscriber.subscribe("t", 0);
    let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
    let mut storm: Vec<Wire> = (0..STORM)
        .map(|_| Wire::open(&broker, Version::V4, &connect(Version::V4, b"root", b"wrong")))
        .collect();
    let mut worst = Duration::ZERO;
    let began = Instant::now();
    let mut rounds = 0;
    let storm = thread::spawn(move || {
        // Each has its answer at last.
        storm.iter_mut().for_each(|wire| wire.is_closed_with_hex("20 02 00 05"));
        Instant::now()
    });
    while !storm.is_finished() {
        let sent = Instant::now();
        publisher.publish("t", b"x");
        subscriber.receives(b"x");
        worst = worst.max(sent.elapsed());
        rounds += 1;
        thread::sleep(Duration::from_millis(1));
    }
    let over = storm.join().expect("who is refused is told") - began;
    println!("{STORM} log-ins in {over:?}; {rounds} messages meanwhile, the slowest took {worst:?}");
    // A storm that is over at once would show nothing.
    assert!(over > Duration::from_millis(500), "the storm was over in {over:?}");
    assert!(worst < Duration::from_millis(250), "a message took {worst:?}");
}

#[test]
fn who_floods_the_broker_with_log_ins_waits_for_himself() {
    // What one address may have waiting is filled by some sixty of these.
    static LONG: [u8; 65_000] = [b'p'; 65_000];
    let broker = slow(environment::broker());
    let idle = broker.open_files();
    let mut flood: Vec<Wire> = (0..120)
        // Neighbours are dealt to different event loops, of which one may be the first with all of its.
        .map(|number| if number / 2 % 2 == 0 { Version::V4 } else { Version::V5 })
        .map(|version| Wire::open(&broker, version, &connect(version, b"root", &LONG)))
        .collect();
    // Somebody else is not even behind them.
    let login = ["-A", "127.0.0.2", "-t", "t", "-m", "x", "-u", "alice", "-P", "wonder land"];
    login.iter().fold(mosquitto_pub(broker.port(), ""), |client, word| client.arg(word)).run().succeeds();
    let waiting = broker.open_files() - idle;
    assert!(waiting > 20, "only {waiting} log-ins are left, so nobody was in the way");
    // [MQTT311-3.2.2-5]: all are told, those without room that the broker is busy.
    let codes: Vec<u8> = flood.iter_mut().map(|wire| wire.is_closed()[3]).collect();
    let count = |code: u8| codes.iter().filter(|found| **found == code).count();
    let (wrong, busy) = ([count(5), count(0x87)], [count(3), count(0x89)]);
    assert!(busy.iter().all(|count| *count > 5), "{codes:x?}");
    assert_eq!(wrong.iter().chain(&busy).sum::<usize>(), codes.len(), "{codes:x?}");
    drop(flood);
    eventually("no connection is left", || (broker.open_files() <= idle).then_some(()));
}

#[test]
fn it_takes_no_less_time_if_there_is_no_such_user() {
    let broker = slow(environment::broker());
    let time = |user: &str| {
        let began = Instant::now();
        let mut wire = Wire::open(&broker, Version::V4, &connect(Version::V4, user.as_bytes(), b"wrong"));
        wire.is_closed_with_hex("20 02 00 05");
        began.elapsed()
    };
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for _ in 0..8 {
        known = known.min(time("user3"));
        unknown = unknown.min(time("stranger"));
    }
    // Without work to do it would be a hundredth.
    assert!(unknown > known / 3, "a known user takes {known:?}, an unknown one {unknown:?}");
}

#[test]
fn the_log_knows_no_password() {
    let broker = started(environment::broker(), "log_type all");
    log_in(&broker, "5", "alice", Some("wonder land")).succeeds();
    log_in(&broker, "5", "alice", Some("tell nobody")).exits_with(0x87);
    broker.write("passwords", "dora:tell nobody\nalice:$7$tell nobody\n:tell nobody\n");
    let told = broker.hang_up();
    assert!(told.contains("the password of user `dora` is not hashed"), "{told}");
    let all = broker.process().errors();
    assert!(!all.contains("tell nobody") && !all.contains("wonder land"), "{all}");
}

#[test]
fn a_reload_changes_who_gets_in_and_who_stays() {
    let broker = started(environment::broker(), "worker_threads 3");
    let connected = |version, user: &str, password: &str| {
        let mut wire = Wire::open(&broker, version, &connect(version, user.as_bytes(), password.as_bytes()));
        let (first_byte, body) = wire.packet();
        assert!(first_byte == 0x20 && body[1] == 0, "{user} is refused");
        wire
    };
    let mut alice = [Version::V4, Version::V5].map(|version| connected(version, "alice", "wonder land"));
    let mut bob = connected(Version::V4, "bob", "builder");
    let mut carol = connected(Version::V5, "carol", "geheim");

    // alice is gone, bob has another password, dora is new.
    broker.write("passwords", format!("carol:{CAROL}\ndora:{CAROL}\nbob:{CAROL}\n"));
    broker.hang_up();
    log_in(&broker, "5", "alice", Some("wonder land")).exits_with(0x87);
    log_in(&broker, "5", "dora", Some("geheim")).succeeds();
    let [alice_v4, alice_v5] = &mut alice;
    assert_eq!(alice_v4.is_closed(), []);
    alice_v5.is_closed_with_reason(0x87);
    assert_eq!(bob.is_closed(), []);
    carol.ping();
    assert!(broker.process().errors().contains("disconnected: not authorised."));

    // A file that is gone is a mistake: the users before it stay.
    let mut bob = connected(Version::V4, "bob", "geheim");
    fs::remove_file(broker.file("passwords")).expect("it is ours");
    assert!(broker.hang_up().contains("cannot read"));
    log_in(&broker, "5", "dora", Some("geheim")).succeeds();
    bob.ping();
    // And one need not be named any more.
    broker.rewrite("listener PORT 127.0.0.1\nallow_anonymous true");
    broker.hang_up();
    let mut nameless = Wire::connect(&broker, Version::V5, "nameless");
    bob.ping();
    carol.ping();
    // Then nobody is left who may be there.
    broker.rewrite("listener PORT 127.0.0.1");
    broker.hang_up();
    nameless.is_closed_with_reason(0x87);
    carol.is_closed_with_reason(0x87);
    assert_eq!(bob.is_closed(), []);
}

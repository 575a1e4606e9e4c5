//! `persistence true`: what was acknowledged survives the end of the broker, the ordinary one and SIGKILL.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use e2e::broker::command;
use e2e::clients::noctule;
use e2e::packet::{self, Version, connect};
use e2e::port::Port;
use e2e::{Broker, Running, Wire, environment, eventually};
use rustix::process::{Signal, geteuid};

/// How a broker ends before it is started again.
#[derive(Clone, Copy, Debug)]
enum End {
    /// SIGTERM.
    Ordinary,
    /// SIGKILL.
    Crash,
}

const ENDS: [End; 2] = [End::Ordinary, End::Crash];

fn persistent(more: &str) -> Broker {
    Broker::start(&format!("persistence true\npersistence_location DIR\n{more}"))
}

#[track_caller]
fn restart(broker: &mut Broker, end: End) {
    match end {
        End::Ordinary => drop(broker.stop()),
        End::Crash => drop(broker.crash()),
    }
    broker.begin();
}

#[test]
fn sessions_and_what_waits_for_them_survive() {
    for end in ENDS {
        let mut broker = persistent("");
        let sessions = [("mqttv31", 1), ("mqttv311", 2), ("mqttv5", 1), ("mqttv5", 2)]
            .map(|(version, qos)| format!("-V {version} -c -i {version}-{qos} -t news/# -q {qos}"));
        for session in &sessions {
            broker.mosquitto_sub(&format!("{session} -E")).run().succeeds();
        }
        let lines = |from: u32| (from..from + 50).map(|n| format!("{n}\n")).collect::<String>();
        broker.mosquitto_pub("-t news/1 -q 1 -l").stdin(lines(0)).run().succeeds();
        restart(&mut broker, end);
        broker.mosquitto_pub("-t news/2 -q 2 -l").stdin(lines(50)).run().succeeds();
        restart(&mut broker, end);
        for session in sessions {
            let qos = |published: u8| if session.contains("-q 1") { 1 } else { published };
            let first = (0..50).map(|n| format!("news/1 {} 0 {n}", qos(1)));
            let second = (50..100).map(|n| format!("news/2 {} 0 {n}", qos(2)));
            let reader = broker.returning_subscriber(&format!("{session} -C 100"));
            reader.receives(&first.chain(second).collect::<Vec<_>>());
        }
        // What was delivered is not delivered again, and the subscription is still there.
        restart(&mut broker, End::Ordinary);
        broker.mosquitto_pub("-t news/3 -q 1 -m last").run().succeeds();
        let reader = broker.returning_subscriber("-V mqttv311 -c -i mqttv311-2 -t news/# -q 2 -C 1");
        reader.receives(&["news/3 1 0 last"]);
    }
}

#[test]
fn more_retained_messages_than_a_start_waits_for() {
    let mut broker = persistent("");
    noctule("bench", broker.port(), "retained --items 30000 --publishers 10 --keep").run().succeeds();
    for end in ENDS {
        restart(&mut broker, end);
        let all = broker.mosquitto_sub("-t bench/retained/# -q 1 -C 30000 -W 30 -F %t").run();
        let mut topics = all.succeeds().lines();
        assert_eq!(topics.len(), 30_000);
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), 30_000, "each once");
        let told = "All 30000 retained messages are restored, in ";
        eventually(told, || broker.process().errors().contains(told).then_some(()));
    }
    broker.stop();
}

#[test]
fn the_longest_names_are_kept_too() {
    let mut broker = persistent("");
    let hello = connect(Version::V4, "reader", false, 60);
    let longest = "n".repeat(65_535);
    let mut wire = Wire::open(&broker, Version::V4, &hello);
    wire.receives_hex("20 02 00 00");
    for filter in [&longest, &longest[..65_534], &longest[..65_528], &longest[..65_527]] {
        wire.subscribe(filter, 1);
    }
    let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
    let mut retained = packet::publish(Version::V4, &longest, 1, 1, b"kept");
    retained[0] |= 1;
    publisher.send(&retained);
    publisher.receives_hex("40 02 00 01");
    restart(&mut broker, End::Crash);
    let mut wire = Wire::open(&broker, Version::V4, &hello);
    wire.receives_hex("20 02 01 00");
    let (_, body) = wire.packet();
    assert_eq!((&body[2..65_537], &body[65_539..]), (longest.as_bytes(), &b"kept"[..]));
    let mut publisher = Wire::connect(&broker, Version::V4, "publisher");
    publisher.publish(&longest[..65_528], b"live");
    let (_, body) = wire.packet();
    assert_eq!(body.len(), 2 + 65_528 + 4);
}

#[test]
fn sessions_that_ended_stay_away() {
    for end in ENDS {
        let mut broker = persistent("");
        broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
        broker.mosquitto_pub("-t news -q 1 -m dropped").run().succeeds();
        broker.mosquitto_sub("-i reader -t other -q 1 -E").run().succeeds();
        restart(&mut broker, end);
        let mut wire = Wire::open(&broker, Version::V4, &connect(Version::V4, "reader", false, 60));
        wire.receives_hex("20 02 00 00");
    }
}

#[test]
fn retained_messages_survive_and_cleared_ones_do_not_return() {
    for end in ENDS {
        let mut broker = persistent("");
        for (topic, payload) in [("lamp/a", "on"), ("lamp/b", "old"), ("lamp/b", "new"), ("lamp/c", "gone")] {
            broker.mosquitto_pub(&format!("-t {topic} -m {payload} -r -q 1")).run().succeeds();
        }
        broker.mosquitto_pub("-t lamp/c -n -r -q 1").run().succeeds();
        restart(&mut broker, end);
        broker.mosquitto_pub("-t lamp/z -m last -r -q 2").run().succeeds();
        let mut seen = broker.mosquitto_sub("-t lamp/# -C 3 -F").arg("%t:%r:%p").run().lines();
        seen.sort();
        assert_eq!(seen, ["lamp/a:1:on", "lamp/b:1:new", "lamp/z:1:last"], "{end:?}");
    }
}

#[test]
fn wills_survive() {
    for end in ENDS {
        let mut broker = persistent("");
        broker.mosquitto_sub("-c -i watcher -t wills/# -q 1 -E").run().succeeds();
        let client = broker.subscriber(
            "-V mqttv5 -c -i lamp -t x -q 1 --will-topic wills/lamp --will-payload lost --will-qos 1",
        );
        restart(&mut broker, end);
        let watcher = broker.returning_subscriber("-c -i watcher -t wills/# -q 1 -C 1");
        watcher.receives(&["wills/lamp 1 0 lost"]);
        drop(client);
    }
}

/// CONNECT of a session that stays, accepted; gives whether it was there.
fn resume(broker: &Broker, client_id: &str) -> (Wire, bool) {
    let mut wire = Wire::open(broker, Version::V4, &connect(Version::V4, client_id, false, 60));
    let (_, body) = wire.packet();
    (wire, body == [1, 0])
}

#[test]
fn a_publisher_of_qos_2_goes_on_where_it_was() {
    let mut broker = persistent("");
    broker.mosquitto_sub("-c -i reader -t t -q 2 -E").run().succeeds();
    let body = [&packet::string("t")[..], &[0, 7], b"once"].concat();
    let (mut wire, _) = resume(&broker, "publisher");
    wire.send(&packet::packet(0x34, &body));
    wire.receives_hex("50 02 00 07");
    restart(&mut broker, End::Crash);
    let (mut wire, was_there) = resume(&broker, "publisher");
    assert!(was_there);
    wire.send(&packet::packet(0x3c, &body)); // DUP
    wire.receives_hex("50 02 00 07");
    wire.send(&[0x62, 2, 0, 7]);
    wire.receives_hex("70 02 00 07");
    restart(&mut broker, End::Crash);
    let (mut wire, _) = resume(&broker, "publisher");
    // It did not see PUBCOMP, say.
    wire.send(&[0x62, 2, 0, 7]);
    wire.receives_hex("70 02 00 07");
    broker.mosquitto_pub("-t t -q 2 -m next").run().succeeds();
    broker.returning_subscriber("-c -i reader -t t -q 2 -C 2").receives(&["t 2 0 once", "t 2 0 next"]);
}

#[test]
fn a_subscriber_of_qos_2_goes_on_where_it_was() {
    let mut broker = persistent("");
    let (mut wire, _) = resume(&broker, "reader");
    wire.subscribe("t", 2);
    broker.mosquitto_pub("-t t -q 2 -m once").run().succeeds();
    let (first, body) = wire.packet();
    assert_eq!(first, 0x34);
    restart(&mut broker, End::Crash);
    // PUBLISH once more, under the same identifier.
    let (mut wire, was_there) = resume(&broker, "reader");
    assert!(was_there);
    assert_eq!(wire.packet(), (0x3c, body.clone()));
    let identifier = [body[3], body[4]];
    wire.send(&[&[0x50, 2], &identifier[..]].concat());
    assert_eq!(wire.packet(), (0x62, identifier.to_vec()));
    restart(&mut broker, End::Crash);
    // PUBREL once more, and not PUBLISH.
    let (mut wire, _) = resume(&broker, "reader");
    assert_eq!(wire.packet(), (0x62, identifier.to_vec()));
    wire.send(&[&[0x70, 2], &identifier[..]].concat());
    wire.ping();
}

#[test]
fn a_start_tells_what_it_found_and_an_end_that_all_is_saved() {
    let mut broker = persistent("");
    broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
    broker.mosquitto_pub("-t news -q 1 -m waits -r").run().succeeds();
    let directory = broker.file("noctule").display().to_string();
    let told = broker.signal_until(Signal::USR1, "SIGUSR1:");
    assert!(told.contains(&format!("SIGUSR1: all is saved in {directory}.\n")), "{told}");
    broker.stop().complains(&format!("All is saved in {directory}.\n"));
    broker.begin();
    let found = format!(
        "Restored from {directory}: 1 session, 1 subscription, 1 queued message, 1 retained message, in "
    );
    let told = |broker: &Broker, end: &str| {
        eventually(&found, || {
            let errors = broker.process().errors();
            errors.lines().any(|line| line.contains(&found) && line.ends_with(end)).then_some(())
        });
    };
    told(&broker, "the broker before was ended in good order.");
    broker.crash();
    broker.begin();
    told(&broker, "the broker before ended unexpectedly.");
}

/// Runs `noctule broker` with these words in a home of its own until it ends.
fn ended(directory: &std::path::Path, words: &str) -> e2e::Finished {
    let words = words.replace("DIR", &directory.display().to_string());
    command(environment::broker()).args(&words).env("XDG_STATE_HOME", directory.join("state")).run()
}

#[test]
fn a_data_directory_belongs_to_one_broker() {
    let broker = persistent("");
    let port = Port::reserve();
    let own = tempfile::tempdir().unwrap();
    let data = broker.file("noctule").display().to_string();
    let finished = ended(own.path(), &format!("-p {} --data {data}", port.number()));
    let pid = broker.process().pid();
    finished.exits_with(1).complains(&format!(
        "{data} is in use by process {pid}; a data directory belongs to one broker: stop that one, or give this one \
         another directory"
    ));
}

#[test]
fn a_location_must_be_there_and_writable() {
    let own = tempfile::tempdir().unwrap();
    let config = |location: &str, more: &str| {
        let port = Port::reserve();
        let text = format!(
            "listener {} 127.0.0.1\npersistence true\npersistence_location {location}\n{more}\n",
            port.number()
        );
        fs::write(own.path().join("m.conf"), text).unwrap();
        port
    };
    let missing = own.path().join("missing").display().to_string();
    for words in ["-c DIR/m.conf", "-d -c DIR/m.conf"] {
        let _port = config(&missing, "");
        ended(own.path(), words).exits_with(1).complains(&format!(
            "error: persistence_location {missing} cannot be used: No such file or directory; make that directory"
        ));
    }
    assert!(!own.path().join("missing").exists());
    if geteuid().is_root() {
        let closed = own.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(own.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
        let _port = config(&closed.display().to_string(), "user nobody");
        ended(own.path(), "-c DIR/m.conf")
            .exits_with(1)
            .complains("the broker must be able to write there: mend the rights of the directory");
    } else {
        eprintln!("not root: that `user` must be able to write is not tested");
    }
}

/// Starts `noctule broker` with these words in a home of its own.
fn at_home(directory: &std::path::Path, port: &Port, words: &str) -> Running {
    let running = command(environment::broker())
        .args(&format!("-p {} {words}", port.number()))
        .env("XDG_STATE_HOME", directory)
        .start();
    eventually("the broker listens", || port.is_listened_on_by(running.pid()).then_some(()));
    running
}

#[test]
fn without_a_file_everything_is_kept_in_the_users_state_directory() {
    let home = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    for (words, kept_in) in [("", "noctule"), ("--data", "elsewhere/data")] {
        let words = match words {
            "" => String::new(),
            flag => format!("{flag} {}", home.path().join(kept_in).display()),
        };
        let broker = at_home(home.path(), &port, &words);
        e2e::clients::mosquitto_pub(port.number(), "-t lamp -m on -r -q 1").run().succeeds();
        broker.kill();
        assert!(home.path().join(kept_in).join("lock").exists(), "{kept_in}");
        let broker = at_home(home.path(), &port, &words);
        e2e::clients::mosquitto_sub(port.number(), "-t lamp -C 1").run().prints(&["on"]);
        broker.signal(Signal::TERM);
        broker.finish().succeeds();
    }
}

#[test]
fn as_mosquitto_nothing_is_kept_without_being_asked() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("mosquitto");
    std::os::unix::fs::symlink(environment::broker(), &program).unwrap();
    let port = Port::reserve();
    let running = e2e::Program::new(&program)
        .args(&format!("-p {}", port.number()))
        .env("XDG_STATE_HOME", home.path().join("state"))
        .directory(home.path())
        .start();
    eventually("the broker listens", || port.is_listened_on_by(running.pid()).then_some(()));
    e2e::clients::mosquitto_pub(port.number(), "-t lamp -m on -r -q 1").run().succeeds();
    running.signal(Signal::TERM);
    running.finish().succeeds();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "but for the program");
}

#[test]
fn a_reload_names_what_needs_a_restart() {
    let broker = persistent("");
    let start = "listener PORT 127.0.0.1\nallow_anonymous true\n";
    broker.rewrite(start);
    let told = broker.hang_up();
    for directive in ["persistence", "persistence_location"] {
        let line = format!("Warning: The new value of '{directive}' needs a restart; the old one stays.");
        assert!(told.contains(&line), "{told}");
    }
    broker.mosquitto_pub("-t lamp -m on -r -q 1").run().succeeds();
}

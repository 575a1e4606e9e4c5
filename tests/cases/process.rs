//! The broker as a process: how it starts, what it refuses, how it ends.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use e2e::broker::command;
use e2e::environment;
use e2e::packet::Version;
use e2e::port::Port;
use e2e::{Broker, Program, Wire, eventually};

fn broker() -> Program {
    command(environment::broker())
}

#[test]
fn sigterm_ends_it_with_clients_connected() {
    let mut broker = Broker::start("");
    let mut clients: Vec<Wire> = (0..100)
        .map(|number| {
            let version = if number % 2 == 0 { Version::V4 } else { Version::V5 };
            let mut wire = Wire::connect(&broker, version, &format!("client-{number}"));
            wire.subscribe("news", 1);
            wire
        })
        .collect();
    broker.stop();
    for wire in &mut clients {
        wire.is_closed();
    }
}

#[test]
fn it_can_be_started_again_at_once() {
    let mut broker = Broker::start("");
    for _ in 0..3 {
        let mut wire = Wire::connect(&broker, Version::V4, "client");
        wire.ping();
        broker.restart();
    }
}

#[test]
fn a_second_one_on_the_same_port_is_refused() {
    let first = Broker::start("");
    let second = broker().arg("-c").arg(first.config_file()).run();
    second.exits_with(1).complains("Address already in use");
    Wire::connect(&first, Version::V4, "client").ping();
}

#[test]
fn a_configuration_can_be_tested() {
    let running = Broker::start("max_queued_messages 10");
    let good = broker().arg("--test-config").arg("-c").arg(running.config_file()).run();
    good.succeeds();
    let bad = running.file("bad.conf");
    fs::write(&bad, "listener 1\n\nmax_queued_messages many\n").expect("a directory of ours");
    let finished = broker().arg("--test-config").arg("-c").arg(&bad).run();
    finished.exits_with(3).complains("bad.conf:3").complains("max_queued_messages");
}

#[test]
fn a_mistake_in_the_configuration_is_told_with_its_place() {
    let running = Broker::start("");
    let bad = running.file("bad.conf");
    fs::write(&bad, "listener 1\nnonsense true\n").expect("a directory of ours");
    broker().arg("-c").arg(&bad).run().exits_with(3).complains("bad.conf:2").complains("nonsense");
    broker().arg("-c").arg(running.file("absent.conf")).run().exits_with(3).complains("absent.conf");
}

#[test]
fn dash_p_listens_on_loopback() {
    let home = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let port = Port::reserve();
    let number = port.number();
    let running = broker().args(&format!("-p {number}")).env("XDG_STATE_HOME", home.path()).start();
    for address in ["127.0.0.1", "::1"] {
        eventually("the broker accepts connections", || {
            assert!(running.is_running(), "the broker ended at its start:\n{}", running.errors());
            TcpStream::connect((address, number)).ok()
        });
    }
    let listening = Program::new("ss").args("-Hltn").arg(format!("sport = :{number}")).run();
    for line in listening.lines() {
        assert!(line.contains("127.0.0.1:") || line.contains("[::1]:"), "{line}");
    }
    // Who may come this way may come without a name.
    e2e::clients::mosquitto_pub(number, "-t lamp -m on -q 1").run().succeeds();
}

#[test]
fn a_listener_lets_nobody_in_who_has_no_name() {
    let broker = Broker::with_config("listener PORT 127.0.0.1\n");
    broker.mosquitto_pub("-t lamp -m on").run().exits_with(5).complains("not authorised");
    broker.mosquitto_pub("-V mqttv5 -t lamp -m on").run().exits_with(135).complains("Not authorized");
}

#[test]
fn it_answers_to_the_name_mosquitto() {
    let directory = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let link = directory.path().join("mosquitto");
    symlink(environment::broker(), &link).expect("a directory of ours");
    let broker = Broker::with_program(&link);
    Wire::connect(&broker, Version::V4, "client").ping();
}

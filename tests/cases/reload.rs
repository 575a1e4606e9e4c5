//! SIGHUP: another configuration for a broker with clients.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

const OPEN: &str = "listener PORT 127.0.0.1\nallow_anonymous true";

fn with(config: &str) -> String {
    format!("{OPEN}\n{config}\n")
}

/// PUBLISH, retained, QoS 0.
fn retained(topic: &str) -> Vec<u8> {
    let mut bytes = packet::publish(Version::V5, topic, 0, 0, b"x");
    bytes[0] |= 1;
    bytes
}

#[test]
fn clients_stay_connected_and_new_limits_hold() {
    for threads in [1, 3] {
        let broker = Broker::start(&format!("worker_threads {threads}\nworker_connections_min 1"));
        let mut clients: Vec<Wire> =
            (0..6).map(|number| Wire::connect(&broker, Version::V5, &format!("client-{number}"))).collect();
        for client in &mut clients {
            client.send(&retained("t"));
            client.ping();
        }
        let shape = format!("worker_threads {threads}\nworker_connections_min 1");
        broker.rewrite(&with(&format!("{shape}\nretain_available false\nmax_keepalive 30")));
        broker.hang_up();
        for client in &mut clients {
            client.ping();
        }
        broker.mosquitto_pub("-k 31 -t t -m x").run().exits_with(2);
        for client in &mut clients {
            client.send(&retained("t"));
            client.is_closed_with_reason(0x9a);
        }
    }
}

#[test]
fn a_broken_file_changes_nothing_and_every_mistake_is_told() {
    let broker = Broker::start("");
    let mut client = Wire::connect(&broker, Version::V5, "client");
    broker.rewrite("listener PORT 127.0.0.1\nretain_available false\nnonsense 1\nmax_qos 3\n");
    let told = broker.hang_up();
    for mistake in
        ["broker.conf:3: unknown directive `nonsense`", "broker.conf:4: `max_qos`", "was not reloaded"]
    {
        assert!(told.contains(mistake), "{mistake} in {told}");
    }
    client.send(&retained("t"));
    client.ping();
    broker.mosquitto_pub("-t t -m x").run().succeeds();

    broker.rewrite(&with("include_dir nowhere"));
    assert!(broker.hang_up().contains("cannot list the directory"));
    fs::remove_file(broker.config_file()).expect("it is ours");
    assert!(broker.hang_up().contains("broker.conf"));
    broker.mosquitto_pub("-t t -m x").run().succeeds();

    broker.rewrite(&with("max_packet_size 20"));
    assert!(broker.hang_up().contains("Config reloaded."));
    client.publish("t", &[0; 100]);
    client.is_closed_with_reason(0x95);
}

#[test]
fn listeners_cannot_come_or_go() {
    let broker = Broker::start("");
    broker.rewrite(&with("retain_available false\nlistener 1"));
    let told = broker.hang_up();
    assert!(
        told.contains("broker.conf:4: a reload cannot open a listener") && told.contains("not reloaded"),
        "{told}"
    );
    let mut client = Wire::connect(&broker, Version::V5, "client");
    client.send(&retained("t"));
    client.ping();
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let mut broker = Broker::start("");
    broker.rewrite(&with("max_connections 1\nworker_threads 7\nmax_keepalive 60"));
    let told = broker.hang_up();
    for name in ["'worker_threads' needs a restart", "'max_connections' of the listener at"] {
        assert!(told.contains(name), "{name} in {told}");
    }
    assert!(!told.contains("max_keepalive"), "{told}");
    let _one = Wire::connect(&broker, Version::V4, "one");
    broker.mosquitto_pub("-k 60 -t t -m x").run().succeeds();
    broker.mosquitto_pub("-k 61 -t t -m x").run().exits_with(2);
    broker.restart();
    let _one = Wire::connect(&broker, Version::V4, "one");
    broker.mosquitto_pub("-k 60 -t t -m x").run().exits_with(7);
}

#[test]
fn the_log_goes_where_the_new_file_says() {
    let broker = Broker::start("");
    let (log, rotated) = (broker.file("log"), broker.file("log.1"));
    broker.rewrite(&with(&format!("log_dest file {}\nlog_timestamp false\nlog_type all", log.display())));
    broker.hang_up();
    let lines = |path| fs::read_to_string(path).unwrap_or_default();
    let has = |path, text: &str| lines(path).lines().any(|line| line.starts_with(text));
    Wire::connect(&broker, Version::V4, "first").ping();
    eventually("the log tells", || has(&log, "New client connected").then_some(()));
    fs::rename(&log, &rotated).expect("both are ours");
    broker.process().signal(rustix::process::Signal::HUP);
    eventually("the log tells", || has(&rotated, "Config reloaded.").then_some(()));
    Wire::connect(&broker, Version::V4, "second").ping();
    eventually("the log tells", || has(&log, "New client connected").then_some(()));
    assert!(!broker.process().errors().contains("New client connected"));
    // A file that cannot be opened is a mistake like any other.
    broker.rewrite(&with("log_dest file /nonexistent/log"));
    broker.process().signal(rustix::process::Signal::HUP);
    eventually("the log tells", || {
        has(&log, "Error: Unable to open log file /nonexistent/log").then_some(())
    });
    eventually("the log tells", || has(&log, "Error: The configuration was not reloaded").then_some(()));
}

#[test]
fn twenty_reloads_under_load_lose_nothing() {
    let shape = "worker_threads 3\nworker_connections_min 1\nmax_queued_messages 0";
    let broker = Broker::start(shape);
    let is_over = AtomicBool::new(false);
    // Four topics, each with a publisher and a subscriber, on different shards.
    let publish = |number: usize| {
        let mut wire = Wire::connect(&broker, Version::V5, &format!("publisher-{number}"));
        let mut count = 0_u32;
        while !is_over.load(Ordering::Relaxed) {
            count += 1;
            let payload = count.to_string();
            wire.send(&packet::publish(Version::V5, &format!("t/{number}"), 1, 1, payload.as_bytes()));
            assert_eq!(wire.packet().0, 0x40, "PUBACK");
        }
        count
    };
    let receive = |mut wire: Wire, ready: &AtomicBool| {
        let mut received = Vec::new();
        loop {
            let (first_byte, body) = wire.packet();
            assert_eq!(first_byte & 0xf6, 0x32, "PUBLISH with QoS 1");
            let (id, payload) = (u16::from_be_bytes([body[5], body[6]]), &body[8..]);
            wire.send(&packet::acknowledge(0x40, id));
            ready.store(true, Ordering::Relaxed);
            if payload == b"end" {
                return received;
            }
            let number: u32 = String::from_utf8_lossy(payload).parse().expect("a number");
            received.push(number);
        }
    };
    let ready = [const { AtomicBool::new(false) }; 4];
    thread::scope(|scope| {
        let mut pairs = Vec::new();
        for (number, ready) in ready.iter().enumerate() {
            let mut subscriber = Wire::connect(&broker, Version::V5, &format!("subscriber-{number}"));
            subscriber.subscribe(&format!("t/{number}"), 1);
            let receiving = scope.spawn(move || receive(subscriber, ready));
            pairs.push((scope.spawn(move || publish(number)), receiving));
        }
        eventually("messages flow", || ready.iter().all(|ready| ready.load(Ordering::Relaxed)).then_some(()));
        for reload in 0..20 {
            let other =
                ["upgrade_outgoing_qos true\nallow_duplicate_messages false", "max_inflight_messages 7"];
            broker.rewrite(&with(&format!("{shape}\n{}", other[reload % 2])));
            assert!(broker.hang_up().contains("Config reloaded."));
        }
        is_over.store(true, Ordering::Relaxed);
        for (number, (publishing, receiving)) in pairs.into_iter().enumerate() {
            let sent = publishing.join().expect("a publisher that is answered");
            broker.mosquitto_pub(&format!("-t t/{number} -q 1 -m end")).run().succeeds();
            let received = receiving.join().expect("a subscriber that is served");
            assert!(received.iter().copied().eq(1..=sent), "{sent} were sent, {} came", received.len());
        }
    });
}

/// It is told to as soon as it listens, which is before it has started.
#[test]
fn a_broker_that_is_starting_reloads_when_it_has_started() {
    for _ in 0..10 {
        Broker::start("").hang_up();
    }
}

//! Log lines: those of packets beside Debian's Mosquitto, the others in the words of Mosquitto 2.1.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use e2e::packet::{self, Version, acknowledge, connect, publish, subscribe};
use e2e::{Broker, Program, Wire, eventually};
use rustix::process::Signal;

use Version::{V4, V5};

/// What a broker has said on standard error, without what differs from run to run.
fn lines(broker: &Broker) -> Vec<String> {
    let said = broker.process().errors();
    said.lines().filter(|line| !is_of_the_program(line)).map(without_ports).collect()
}

fn is_of_the_program(line: &str) -> bool {
    line.contains(" version ")
        || line.starts_with("Config loaded from ")
        || line.starts_with("Clients are served by ")
}

/// `127.0.0.1:40000` is `ADDRESS`, and `port 40000` is `PORT`.
fn without_ports(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("127.0.0.1:") {
        text.push_str(before);
        text.push_str("ADDRESS");
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text.push_str(rest);
    match text.split_once(" on port ") {
        Some((before, _)) => format!("{before} on PORT"),
        None => text,
    }
}

/// A line of 2.0.11 in the words of 2.1: the table of what 2.1 changed, as far as these exchanges show it.
fn in_the_words_of_2_1(line: &str) -> String {
    // The protocol version is told as on the wire.
    let line = line.replace("(p2, ", "(p4, ").replace("(p1, ", "(p3, ");
    // The address is told, and the reason in its place.
    if let Some(client) = line.strip_prefix("Client ") {
        if let Some(client) = client.strip_suffix(" disconnected.") {
            return format!("Client {client} [ADDRESS] disconnected.");
        }
        if let Some(client) = client.strip_suffix(" closed its connection.") {
            return format!("Client {client} [ADDRESS] disconnected: connection closed by client.");
        }
    }
    line
}

const EVERYTHING: &str =
    "log_type all\nlog_timestamp false\nsys_interval 0\nmax_queued_messages 1\nmax_inflight_messages 1";

/// Waits until the broker has handled, and logged, what this client sent.
fn settle(wire: &mut Wire) {
    wire.ping();
}

/// CONNECT of 3.1.1 with a Will and a User Name.
fn connect_with_will() -> Vec<u8> {
    let texts = ["alice", "will/topic", "gone", "joe"].map(packet::string).concat();
    let flags = 0x02 | 0x04 | 1 << 3 | 0x20 | 0x80;
    packet::packet(0x10, &[&packet::string("MQTT")[..], &[4, flags, 0, 60], &texts].concat())
}

/// All kinds of packets, one after the other, so that the order of lines is one and the same.
fn exchange(broker: &Broker) {
    let mut alice = Wire::open(broker, V4, &connect_with_will());
    alice.packet();
    let two = [packet::string("x/+"), vec![1], packet::string("y/#"), vec![2]].concat();
    alice.send(&packet::packet(0x82, &[&[0, 1][..], &two].concat()));
    alice.packet();
    settle(&mut alice);

    let mut bob = Wire::connect(broker, V5, "bob");
    bob.subscribe("z", 0x2C);
    bob.send(&publish(V5, "x/1", 1, 7, b"hello"));
    bob.packet();
    alice.packet();
    alice.send(&acknowledge(0x40, 1));
    settle(&mut alice);

    bob.send(&publish(V5, "y/1", 2, 8, b"hello"));
    bob.packet();
    bob.send(&acknowledge(0x62, 8));
    bob.packet();
    alice.packet();
    alice.send(&acknowledge(0x50, 2));
    alice.packet();
    alice.send(&acknowledge(0x70, 2));
    settle(&mut alice);

    let mut retained = publish(V5, "r", 0, 0, b"kept");
    retained[0] |= 1;
    bob.send(&retained);
    settle(&mut bob);
    alice.send(&subscribe(V4, 2, "r", 0));
    alice.packet();
    alice.packet();
    let two = [packet::string("r"), packet::string("nope")].concat();
    alice.send(&packet::packet(0xA2, &[&[0, 3][..], &two].concat()));
    alice.packet();

    bob.send(&publish(V5, "$SYS/forged", 1, 9, b"x"));
    bob.packet();
    bob.send(&publish(V5, "$SYS/forged", 0, 0, b"x"));
    bob.send(&packet::packet(0xA2, &[&[0, 4, 0][..], &packet::string("z")].concat()));
    bob.packet();
    bob.send(&packet::DISCONNECT);
    bob.is_closed();

    // One in flight, one queued, and the rest is dropped.
    let mut carol = Wire::connect(broker, V4, "carol");
    for packet_id in 20..25 {
        carol.send(&publish(V4, "x/2", 1, packet_id, b"m"));
        carol.packet();
    }
    alice.packet();
    alice.send(&acknowledge(0x40, 3));
    alice.packet();
    alice.send(&acknowledge(0x40, 4));
    settle(&mut alice);

    // A session that waits.
    let mut dave = Wire::open(broker, V4, &connect(V4, "dave", false, 60));
    dave.packet();
    dave.subscribe("x/3", 1);
    dave.send(&packet::DISCONNECT);
    dave.is_closed();
    let mut dave = Wire::open(broker, V4, &connect(V4, "dave", false, 60));
    dave.packet();
    drop(dave);
    // He has gone before, and that may have been told last for a while.
    eventually("dave is gone twice", || {
        let goodbyes = lines(broker).iter().filter(|line| line.starts_with("Client dave")).count();
        (goodbyes == 2).then_some(())
    });
    Wire::open(broker, V4, &connect(V4, "", false, 60)).packet();
}

#[test]
fn packets_are_told_in_mosquittos_words_line_by_line() {
    // What one thread does comes in one order.
    let ours = Broker::start(&format!("{EVERYTHING}\nworker_threads 1"));
    let [ours, debian] = [ours, Broker::debian(EVERYTHING)].map(|broker| {
        exchange(&broker);
        eventually("the last line is there", || {
            let lines = lines(&broker);
            let last = lines.iter().rposition(|line| line == "Sending CONNACK to 127.0.0.1 (0, 2)")?;
            Some(lines[..=last].to_vec())
        })
    });
    let debian: Vec<_> = debian.iter().map(|line| in_the_words_of_2_1(line)).collect();
    assert!(ours.len() > 80, "{ours:#?}");
    assert_eq!(ours, debian);
}

#[test]
fn lines_are_published_and_none_about_packets() {
    let broker =
        Broker::start("log_type all\nlog_timestamp false\nlog_dest topic\nlog_dest stderr\nsys_interval 0");
    let watcher = broker.subscriber("-t $SYS/broker/log/# -q 2");
    broker.mosquitto_pub("-i lamp -t state -m on").run().succeeds();
    let seen = eventually("the client's end was published", || {
        let seen = watcher.messages();
        seen.iter().any(|line| line.ends_with(" disconnected.")).then_some(seen)
    });
    let text = seen.join("\n");
    assert!(text.contains("$SYS/broker/log/M/subscribe 2 0 "), "{text}");
    assert!(text.contains("$SYS/broker/log/N 2 0 New connection from 127.0.0.1:"), "{text}");
    assert!(text.contains(" as lamp (p4, c1, k60)."), "{text}");
    assert!(!text.contains("PUBLISH") && !text.contains("log/D"), "{text}");
    // And nothing comes of what was published.
    let before = watcher.messages().len();
    broker.mosquitto_pub("-i last -t state -m on").run().succeeds();
    let count = eventually("the next client's end was published", || {
        let seen = watcher.messages();
        seen.last().is_some_and(|line| line.contains("Client last ")).then_some(seen.len())
    });
    assert_eq!(count - before, 3, "{:#?}", watcher.messages());
}

#[test]
fn every_destination_gets_every_line_and_the_file_can_be_rotated() {
    let directory = tempfile::TempDir::new().expect("the directory for temporary files can be written to");
    let file: PathBuf = directory.path().join("log");
    let broker = Broker::start(&format!(
        "log_dest stdout\nlog_dest stderr\nlog_dest file {}\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\nlog_type notice",
        file.display()
    ));
    let lines_of_file = || std::fs::read_to_string(&file).unwrap_or_default();
    broker.mosquitto_pub("-i first -t a -m b").run().succeeds();
    let has_left = |text: &str, client: &str| text.contains(&format!("Client {client} ["));
    eventually("all three have it", || {
        let outputs = [broker.process().lines().join("\n"), broker.process().errors(), lines_of_file()];
        outputs.iter().all(|text| has_left(text, "first")).then_some(())
    });
    for line in lines_of_file().lines() {
        let (stamp, _) = line.split_once(": ").expect("a stamp");
        let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00", "{line}");
    }
    for (number, signal) in [(1, "RTMIN"), (2, "HUP")] {
        let old = file.with_extension(number.to_string());
        std::fs::rename(&file, &old).expect("the broker's directory is ours");
        let kill = format!("kill -s {signal} {}", broker.process().pid());
        Program::new("bash").arg("-c").arg(kill).run().succeeds();
        eventually("the file is there again", || file.exists().then_some(()));
        let client = format!("client{number}");
        broker.mosquitto_pub(&format!("-i {client} -t a -m b")).run().succeeds();
        eventually("the new file has the line", || has_left(&lines_of_file(), &client).then_some(()));
        assert!(!has_left(&std::fs::read_to_string(old).expect("it was renamed"), &client));
    }
}

fn make_pipe(broker: &Broker, name: &str) {
    Program::new("mkfifo").arg(broker.file(name)).run().succeeds();
}

#[test]
fn a_log_file_that_is_a_pipe_without_a_reader_holds_nothing_up() {
    let says_why = |text: &str| text.contains("/log cannot be opened: it is a pipe that nobody reads");
    let config = "listener PORT 127.0.0.1\nallow_anonymous true\nlog_dest file DIR/log\n";

    // From the start on.
    let mut broker = Broker::start("");
    make_pipe(&broker, "log");
    broker.rewrite(config);
    broker.restart();
    eventually("standard error tells why", || says_why(&broker.process().errors()).then_some(()));
    broker.mosquitto_pub("-t a -m b").run().succeeds();
    broker.stop();

    // In the place of a file, when that is opened anew, and when the configuration is read anew.
    std::fs::remove_file(broker.file("log")).expect("it was made above");
    broker.begin();
    std::fs::rename(broker.file("log"), broker.file("old")).expect("the broker made it");
    make_pipe(&broker, "log");
    let old = || std::fs::read_to_string(broker.file("old")).expect("it was renamed");
    for (count, signal) in [(1, "RTMIN"), (3, "HUP")] {
        let kill = format!("kill -s {signal} {}", broker.process().pid());
        Program::new("bash").arg("-c").arg(kill).run().succeeds();
        // A reload that fails tries both.
        eventually("the old file tells why", || {
            (old().lines().filter(|line| says_why(line)).count() == count).then_some(())
        });
        broker.mosquitto_pub(&format!("-i after{signal} -t a -m b")).run().succeeds();
        eventually("the old file is used on", || {
            old().contains(&format!("Client after{signal} [")).then_some(())
        });
    }
    assert!(old().contains("Error: The configuration was not reloaded"), "{}", old());
    broker.stop();
}

#[test]
fn a_log_file_that_is_a_pipe_whose_reader_is_asleep_holds_nothing_up() {
    let mut broker = Broker::start("");
    make_pipe(&broker, "log");
    // Who opens a pipe for both does not wait for the other side.
    let pipe = File::options().read(true).write(true).open(broker.file("log")).expect("it was made above");
    let mut pipe = BufReader::new(pipe);
    broker.rewrite("listener PORT 127.0.0.1\nallow_anonymous true\nlog_type all\nlog_dest file DIR/log\n");
    broker.restart();
    let mut line = String::new();
    while !line.ends_with(" running\n") {
        line.clear();
        pipe.read_line(&mut line).expect("the broker writes to it");
    }
    let mut wire = Wire::connect(&broker, V4, "busy");
    // Many times what a pipe holds and what may wait for the writer.
    for _ in 0..60 {
        for _ in 0..1000 {
            wire.send(&publish(V4, "a", 0, 0, b"x"));
        }
        wire.ping();
    }
    broker.process().signal(Signal::HUP);
    wire.ping();
    broker.stop();
    drop(pipe);
}

#[test]
fn json_has_an_object_on_each_line() {
    let broker = Broker::start("log_format json\nlog_type all\nsys_interval 0");
    broker.mosquitto_pub("-i lamp -t state -m on").run().succeeds();
    let mut wire = Wire::connect(&broker, V5, "a \"b\"");
    wire.send(&publish(V5, "a/#", 0, 0, b"x"));
    wire.is_closed();
    let said = eventually("the client's end is there", || {
        let said = broker.process().errors();
        said.contains("\"reason\":\"malformed packet").then_some(said)
    });
    for line in said.lines() {
        let rest = line.strip_prefix("{\"time\":\"20").unwrap_or_else(|| panic!("{line}"));
        assert!(rest.contains("Z\",\"level\":\"") && rest.ends_with('}'), "{line}");
    }
    let has = |parts: &[&str]| said.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let level = |level: &str| format!("\"level\":\"{level}\",\"message\":\"");
    assert!(
        has(&[&level("notice"), "disconnected.\",\"client\":\"lamp\",\"address\":\"127.0.0.1:"]),
        "{said}"
    );
    assert!(has(&[&level("debug"), "Received PUBLISH from lamp", "\"client\":\"lamp\"}"]), "{said}");
    assert!(
        has(&["\"client\":\"a \\\"b\\\"\",\"address\":\"127.0.0.1:", "\"reason\":\"malformed packet"]),
        "{said}"
    );
    assert!(has(&[&level("information"), " running\"}"]), "{said}");
    // What a machine reads it with.
    let program = "import json, sys; [json.loads(line) for line in sys.stdin]";
    Program::new("python3").arg("-c").arg(program).stdin(said).run().succeeds();
}

/// Each of these lines is one that people search for: what provokes it, and its end.
#[test]
fn ends_of_connections_are_told_in_the_words_of_2_1() {
    let broker = Broker::start(
        "log_timestamp false\nmax_packet_size 100\nmax_qos 1\nretain_available false\nmax_topic_alias 1\nmax_inflight_messages 1",
    );
    let ends = |client: &str, end: &str| {
        eventually(&format!("{client}: {end}"), || {
            let line = format!("Client {client} [ADDRESS] {end}");
            lines(&broker).iter().any(|found| found.starts_with(&line)).then_some(())
        });
    };
    let client = |id: &str| Wire::connect(&broker, V5, id);
    let refused = |id: &str, bytes: &[u8], end: &str| {
        let mut wire = client(id);
        wire.send(bytes);
        wire.is_closed();
        ends(id, end);
    };
    refused("bye", &packet::DISCONNECT, "disconnected.");
    refused("malformed", &[0xF1, 0], "disconnected: malformed packet");
    refused("twice", &connect(V5, "twice", true, 0), "disconnected: protocol error");
    refused("large", &packet::packet(0x30, &[0; 200]), "disconnected: oversize packet");
    refused("qos", &publish(V5, "a", 2, 1, b""), "disconnected: used disallowed feature (QoS too high).");
    let mut retained = publish(V5, "a", 0, 0, b"x");
    retained[0] |= 1;
    refused("kept", &retained, "disconnected: used disallowed feature (retain not available).");
    let alias = [&packet::string("a")[..], &[3, 0x23, 0, 9]].concat();
    refused("alias", &packet::packet(0x30, &alias), "disconnected: topic alias invalid");
    drop(client("lost"));
    ends("lost", "disconnected: connection closed by client.");
    let mut first = client("same");
    let _second = client("same");
    first.is_closed();
    ends("same", "disconnected: session taken over.");
    let mut silent = Wire::open(&broker, V5, &connect(V5, "silent", true, 1));
    silent.packet();
    silent.is_closed();
    ends("silent", "disconnected: exceeded timeout.");
    Wire::open(&broker, V4, &connect(V4, "", false, 0)).packet();
    ends("<unknown>", "disconnected: client identifier not valid.");
    let said = lines(&broker);
    for line in [
        "Opening ipv4 listen socket on PORT",
        "New connection from ADDRESS on PORT",
        "New client connected from ADDRESS as silent (p5, c1, k1).",
    ] {
        assert!(said.iter().any(|found| found == line), "{line}: {said:#?}");
    }
}

#[test]
fn nobody_without_a_name_is_let_in_and_the_log_says_so() {
    let broker = Broker::with_config("listener PORT 127.0.0.1\nlog_timestamp false");
    Wire::open(&broker, V4, &connect(V4, "nobody", true, 0)).is_closed();
    eventually("the log says why", || {
        let said = lines(&broker);
        said.iter().any(|line| line.ends_with("[ADDRESS] disconnected: not authorised.")).then_some(())
    });
}

#[test]
fn sigusr2_prints_the_subscriptions_as_mosquitto_does() {
    let filters = ["$SYS/broker/uptime", "+/state", "a", "a/b/c", "x//y", "$share/g/t/u"];
    let subscribed = |broker: &Broker| {
        let mut alice = Wire::connect(broker, V4, "alice");
        for filter in filters {
            alice.subscribe(filter, 1);
        }
        broker.process().signal(Signal::USR2);
        alice
    };
    let ours = Broker::start("sys_interval 0");
    let alice = subscribed(&ours);
    let ours = eventually("the whole tree is there", || {
        let lines = ours.process().lines();
        lines.iter().any(|line| line.trim() == "u").then_some(lines)
    });
    drop(alice);
    let mut debian = Broker::debian("sys_interval 0");
    let _alice = subscribed(&debian);
    // Its standard output comes when it ends.
    let debian = debian.stop().lines();
    // Mosquitto's levels come in the order in which they were made, which is that of the texts here.
    assert_eq!(ours, debian);
}

#[test]
fn files_that_are_included_are_named() {
    let directory = tempfile::TempDir::new().expect("the directory for temporary files can be written to");
    for name in ["b.conf", "a.conf"] {
        std::fs::write(directory.path().join(name), "# nothing\n").expect("it is ours");
    }
    let broker = Broker::start(&format!("log_timestamp false\ninclude_dir {}", directory.path().display()));
    let named = |lines: &[String]| {
        let loading = lines.iter().filter_map(|line| line.strip_prefix("Loading config file '"));
        loading
            .map(|rest| rest.trim_end_matches('\'').rsplit('/').next().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    assert_eq!(named(&lines(&broker)).expect("paths"), ["a.conf", "b.conf"]);
    broker.process().signal(Signal::HUP);
    let again = eventually("it was read again", || {
        let lines = lines(&broker);
        let begin = lines.iter().position(|line| line == "Reloading config.")?;
        let end = lines.iter().position(|line| line == "Config reloaded.")?;
        named(&lines[begin..end])
    });
    assert_eq!(again, ["a.conf", "b.conf"]);
}

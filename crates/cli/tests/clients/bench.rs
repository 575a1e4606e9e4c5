//! `noctule bench`: small runs, and what they report.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::{Broker, free_port, noctule};

/// The figures of one phase.
struct Phase(BTreeMap<String, Value>);

impl Phase {
    fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("{name} is {} in {:?}", self.0[name], self.0))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn is_null(&self, name: &str) -> bool {
        self.0[name].is_null()
    }

    /// Every message came once, in order.
    fn is_clean(&self) {
        for fault in ["lost", "duplicated", "reordered", "misrouted", "unacknowledged"] {
            assert_eq!(self.number(fault), 0.0, "{fault} in {:?}", self.0);
        }
    }
}

fn phases(output: &str) -> Vec<Phase> {
    output.lines().map(|line| Phase(serde_json::from_str(line).unwrap())).collect()
}

/// Runs it without faults.
fn bench(broker: &Broker, words: &[&str]) -> Vec<Phase> {
    let pid = broker.pid().to_string();
    let (code, output, errors) = broker.run(&[&["bench", "--broker-pid", &pid], words].concat()).ends();
    assert_eq!((code, errors.as_str()), (0, ""), "{words:?}: {output}");
    let phases = phases(&output);
    for phase in &phases {
        phase.is_clean();
        assert_eq!(phase.text("scenario"), if words[0].starts_with('-') { "custom" } else { words[0] });
        assert!(phase.number("seconds") > 0.0 && phase.number("broker_rss_bytes_after") > 0.0);
        assert!(!phase.is_null("load_cpu_seconds") && !phase.is_null("broker_cpu_seconds"));
    }
    phases
}

/// Limits of Mosquitto's kind would drop what a load brings.
const UNLIMITED: &str = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0";

#[test]
fn traffic_arrives_in_every_shape_qos_and_version() {
    let broker = Broker::start(UNLIMITED);
    for version in ["3.1.1", "5"] {
        for (scenario, qos, fan_out) in [
            ("p2p0", 0, 1),
            ("topics0", 0, 1),
            ("p2p1", 1, 1),
            ("p2p2", 2, 1),
            ("fanout0", 0, 100),
            ("fanout1", 1, 100),
            ("fanin0", 0, 1),
            ("shared0", 0, 1),
        ] {
            let all = bench(&broker, &[scenario, "--messages", "2000", "--window", "7", "-V", version]);
            let [phase] = &all[..] else { panic!("{} phases", all.len()) };
            assert_eq!((phase.text("phase"), phase.text("protocol")), ("traffic", version));
            assert_eq!((phase.number("qos"), phase.number("delivered")), (f64::from(qos), 2000.0));
            assert_eq!(phase.number("published"), 2000.0 / f64::from(fan_out));
            assert!(phase.number("deliveries_per_second") > 0.0);
            assert!(phase.0["latency_us"]["p50"].as_f64() <= phase.0["latency_us"]["max"].as_f64());
            assert!(phase.is_null("items") && phase.is_null("rate"));
        }
    }
}

#[test]
fn flags_alone_make_a_load() {
    let broker = Broker::start(UNLIMITED);
    let words =
        ["--shape", "all", "--publishers", "3", "--subscribers", "4", "-q", "2", "--subscribe-qos", "1"];
    let amount = ["--window", "5", "--payload", "5000", "--messages", "1200"];
    let [phase] = &bench(&broker, &[&words[..], &amount[..]].concat())[..] else { panic!() };
    assert_eq!((phase.number("published"), phase.number("delivered")), (300.0, 1200.0));
    assert_eq!((phase.number("payload_bytes"), phase.number("window")), (5000.0, 5.0));
}

#[test]
fn churn_goes_on_beside() {
    let broker = Broker::start(UNLIMITED);
    let words = ["churn", "--churn", "1000", "--seconds", "1", "--window", "10"];
    let [phase] = &bench(&broker, &words)[..] else { panic!() };
    // A busy machine may be late, but not by that much.
    assert!(phase.is_null("broker_cpu_us_per_item"));
    assert!((500.0..=1100.0).contains(&phase.number("items")), "{}", phase.number("items"));
}

#[test]
fn an_open_loop_keeps_its_pace() {
    let broker = Broker::start(UNLIMITED);
    let words = ["latency", "--rate", "1000", "--publishers", "5", "--messages", "500"];
    let [phase] = &bench(&broker, &words)[..] else { panic!() };
    assert_eq!((phase.number("delivered"), phase.number("rate")), (500.0, 1000.0));
    assert!(phase.is_null("window") && phase.number("seconds") >= 0.499);
    assert_eq!(phase.number("unpublished"), 0.0);
}

#[test]
fn what_an_open_loop_could_not_publish_is_not_forgotten() {
    let broker = Broker::start(UNLIMITED);
    let words = ["bench", "latency", "--rate", "50000000", "--publishers", "2", "--seconds", "1"];
    let (code, output, errors) = broker.run(&words).ends();
    assert_eq!(code, 0, "{errors}");
    let [phase] = &phases(&output)[..] else { panic!() };
    phase.is_clean();
    assert_eq!(phase.number("published") + phase.number("unpublished"), 50_000_001.0);
    // Nearly all are late by up to the whole second.
    assert!(phase.number("unpublished") > 10_000_000.0, "{output}");
    assert!(phase.0["latency_us"]["p50"].as_f64().unwrap() > 300_000.0, "{output}");
    assert!(errors.contains("more than the broker takes"), "{errors}");
}

#[test]
fn connections_are_counted_and_weighed() {
    let broker = Broker::start(UNLIMITED);
    let all = bench(&broker, &["idle", "--items", "300"]);
    let [connect, idle] = &all[..] else { panic!("{} phases", all.len()) };
    assert_eq!((connect.text("phase"), idle.text("phase")), ("connect", "idle"));
    assert_eq!((connect.number("items"), idle.number("items")), (300.0, 300.0));
    assert!(connect.number("broker_cpu_us_per_item") > 0.0 && connect.is_null("bytes_per_item"));
    assert!(!idle.is_null("bytes_per_item") && idle.is_null("payload_bytes"));
    let [connect] = &bench(&broker, &["connect", "--items", "300", "-V", "5"])[..] else { panic!() };
    assert_eq!((connect.text("phase"), connect.number("items")), ("connect", 300.0));
}

#[test]
fn filters_are_subscribed_and_matched() {
    let broker = Broker::start(UNLIMITED);
    for (scenario, matches, version) in
        [("filters", 3.0, "3.1.1"), ("filters", 3.0, "5"), ("filters-device", 1.0, "5")]
    {
        let words = [scenario, "--items", "1003", "--messages", "3000", "-V", version];
        let all = bench(&broker, &words);
        let [subscribe, deliver] = &all[..] else { panic!("{} phases", all.len()) };
        assert_eq!((subscribe.text("phase"), subscribe.number("items")), ("subscribe", 1003.0));
        assert!(!subscribe.is_null("bytes_per_item"));
        assert_eq!((deliver.text("phase"), deliver.number("delivered")), ("deliver", 3000.0));
        assert_eq!(deliver.number("published"), 3000.0 / matches);
    }
}

#[test]
fn retained_messages_are_stored_read_and_cleared() {
    let broker = Broker::start(UNLIMITED);
    for version in ["3.1.1", "5"] {
        let all = bench(&broker, &["retained", "--items", "2003", "-V", version, "--topic-prefix", "x/y"]);
        let [store, deliver] = &all[..] else { panic!("{} phases", all.len()) };
        assert_eq!(
            (store.text("phase"), store.number("published"), store.number("qos")),
            ("store", 2003.0, 1.0)
        );
        assert!(store.number("items") == 2003.0 && !store.is_null("bytes_per_item"));
        assert_eq!(
            (deliver.text("phase"), deliver.number("delivered"), deliver.number("qos")),
            ("deliver", 2003.0, 0.0)
        );
        let left = broker.run(&["sub", "-t", "#", "-C", "1", "-W", "1"]).ends();
        assert_eq!(left, (27, "".into(), "Timed out\n".into()));
    }
}

#[test]
fn messages_wait_for_sessions_that_come_back() {
    let broker = Broker::start(UNLIMITED);
    for (version, qos) in [("3.1.1", "1"), ("5", "2")] {
        let words = ["offline", "--items", "2000", "--connections", "20", "--publishers", "3"];
        let all = bench(&broker, &[&words[..], &["-V", version, "-q", qos]].concat());
        let [queue, drain] = &all[..] else { panic!("{} phases", all.len()) };
        assert_eq!((queue.text("phase"), queue.number("published")), ("queue", 2000.0));
        assert_eq!((queue.number("items"), queue.number("delivered")), (2000.0, 0.0));
        assert_eq!((drain.text("phase"), drain.number("delivered")), ("drain", 2000.0));
    }
}

#[test]
fn what_a_broker_drops_is_told() {
    // Two messages wait for each session that is offline, and no more.
    let broker = Broker::start("allow_anonymous true\nmax_queued_messages 2\nmax_inflight_messages 1");
    let words = ["bench", "offline", "--items", "50", "--connections", "5", "--publishers", "2"];
    let (code, output, errors) = broker.run(&[&words[..], &["--stall-timeout", "1"]].concat()).ends();
    assert_eq!(code, 3, "{output}{errors}");
    let all = phases(&output);
    let drain = &all[1];
    assert!(drain.number("lost") >= 30.0 && drain.number("lost") + drain.number("delivered") == 50.0);
    assert!(errors.contains("lost") && errors.contains("did not come"), "{errors}");
}

#[test]
fn an_interrupt_ends_it_with_a_report() {
    let broker = Broker::start(UNLIMITED);
    let mut run = broker.start_client(&["bench", "latency", "--rate", "1000", "--seconds", "3600"]);
    let mut watcher = broker.sub(&["-t", "bench/pair/0", "-C", "1", "-F", "%l"]);
    // Messages flow.
    assert_eq!(watcher.exit_code(), Some(0));
    run.signal(Signal::SIGINT);
    let mut output = String::new();
    run.take_stdout().read_to_string(&mut output).unwrap();
    assert_eq!(run.exit_code(), Some(0));
    let [phase] = &phases(&output)[..] else { panic!("{output}") };
    phase.is_clean();
    assert!(phase.0["interrupted"] == Value::Bool(true) && phase.number("delivered") > 0.0);
}

#[test]
fn mistakes_are_told_with_their_mend() {
    let port = free_port().to_string();
    let fails = |words: &[&str]| {
        let (code, output, errors) =
            noctule(&[&["bench", "-p", &port, "-h", "127.0.0.1"], words].concat()).ends();
        assert_eq!(output, "");
        (code, errors)
    };
    let (code, errors) = fails(&["p2p0"]);
    assert!(code == 1 && errors.contains("nothing listens there"), "{errors}");
    let (code, errors) = fails(&["p2p9"]);
    assert!(code == 2 && errors.contains("p2p9") && errors.contains("fanout0-1000"), "{errors}");
    let (code, errors) = fails(&["p2p0", "--payload", "10"]);
    assert!(code == 2 && errors.contains("--payload 10 is too short"), "{errors}");
    let (code, errors) = fails(&["p2p0", "--bogus"]);
    assert!(code == 2 && errors.contains("--bogus"), "{errors}");
    let (code, errors) = fails(&["idle", "--items", "1000000000"]);
    assert!(code == 2 && errors.contains("--items"), "{errors}");
    let (code, help, _) = noctule(&["bench", "--help"]).ends();
    assert!(code == 0 && help.contains("Examples:") && help.contains("filters-device-1m"), "{help}");
}

#[test]
fn refusals_are_told_with_their_reason() {
    let broker = Broker::start("allow_anonymous false");
    for (version, text) in [("3.1.1", "not authorised"), ("5", "Not authorized")] {
        let (code, output, errors) = broker.run(&["bench", "p2p0", "-V", version]).ends();
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.contains(text) && errors.contains("allow_anonymous"), "{errors}");
    }
    let broker = Broker::start(UNLIMITED);
    let (code, _, errors) = broker.run(&["bench", "p2p0", "--broker-pid", "4294967295"]).ends();
    assert!(code == 1 && errors.contains("--broker-pid"), "{errors}");
}

/// Speaks to each client as told: answers to what it says first, second and so on. SUBACK is for SUBSCRIBE only.
fn fake_broker(answers: &'static [&'static [u8]]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let serve = move |mut stream: TcpStream| -> std::io::Result<()> {
            let mut bytes = [0; 1024];
            for answer in answers {
                if stream.read(&mut bytes)? == 0 {
                    break;
                }
                if answer[0] != 0x90 || bytes[0] == 0x82 {
                    stream.write_all(answer)?;
                }
            }
            while stream.read(&mut bytes)? > 0 {}
            Ok(())
        };
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A client that hangs up is how each of these ends.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

#[test]
fn a_broker_that_gives_less_is_told() {
    const CONNACK: &[u8] = b"\x20\x02\x00\x00";
    let run = |answers| {
        let port = fake_broker(answers).to_string();
        let words = ["bench", "p2p1", "--publishers", "1", "-h", "127.0.0.1", "-p", &port];
        let (code, _, errors) = noctule(&[&words[..], &["--stall-timeout", "1"]].concat()).ends();
        (code, errors)
    };
    let (code, errors) = run(&[CONNACK, b"\x90\x03\x00\x01\x80"]);
    assert!(code == 1 && errors.contains("refused") && errors.contains("bench/pair/0"), "{errors}");
    let (code, errors) = run(&[CONNACK, b"\x90\x03\x00\x01\x00"]);
    assert!(code == 1 && errors.contains("granted") && errors.contains("--subscribe-qos"), "{errors}");
    let (code, errors) = run(&[CONNACK]);
    assert!(code == 1 && errors.contains("0 of 1 connections were opened"), "{errors}");
    let (code, errors) = run(&[b"HTTP/1.1 400 Bad Request\r\n"]);
    assert!(code == 1 && errors.starts_with("error: "), "{errors}");
}

#[test]
fn a_broker_that_swallows_is_caught() {
    // Subscriber and publisher are told the same: nobody is ever sent a message, and the publisher gets no PUBACK.
    let port = fake_broker(&[b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"]).to_string();
    let words = ["bench", "p2p1", "--publishers", "1", "--messages", "3", "-h", "127.0.0.1", "-p", &port];
    let (code, output, errors) = noctule(&[&words[..], &["--stall-timeout", "1"]].concat()).ends();
    assert_eq!(code, 3, "{output}{errors}");
    let [phase] = &phases(&output)[..] else { panic!("{output}") };
    assert_eq!((phase.number("lost"), phase.number("unacknowledged")), (3.0, 3.0));
    assert!(errors.contains("nothing came for 1 s"), "{errors}");
}

#[test]
fn a_broker_that_doubles_and_swaps_is_caught() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        let mut accept = |first_answer: &[&[u8]]| -> std::io::Result<TcpStream> {
            // The first connection only looks whether somebody is there.
            loop {
                let (mut stream, _) = listener.accept()?;
                if stream.read(&mut bytes)? == 0 {
                    continue;
                }
                stream.write_all(first_answer[0])?;
                for answer in &first_answer[1..] {
                    let _ = stream.read(&mut bytes)?;
                    stream.write_all(answer)?;
                }
                return Ok(stream);
            }
        };
        let mut subscriber = accept(&[b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x00"])?;
        let mut publisher = accept(&[b"\x20\x02\x00\x00"])?;
        // Three messages of one length in one window.
        let mut messages = Vec::new();
        while messages.is_empty()
            || messages.len() % 3 != 0
            || messages.len() < 3 * (messages[1] as usize + 2)
        {
            let mut byte = [0];
            publisher.read_exact(&mut byte)?;
            messages.push(byte[0]);
        }
        let length = messages.len() / 3;
        for number in [0, 2, 1, 1] {
            subscriber.write_all(&messages[number * length..][..length])?;
        }
        while subscriber.read(&mut bytes)? > 0 {}
        Ok(())
    });
    let words = ["bench", "p2p0", "--publishers", "1", "--messages", "3", "-h", "127.0.0.1", "-p", &port];
    let (code, output, errors) = noctule(&words).ends();
    assert_eq!(code, 3, "{output}{errors}");
    let [phase] = &phases(&output)[..] else { panic!("{output}") };
    let faults = ["delivered", "lost", "duplicated", "reordered"].map(|name| phase.number(name));
    assert_eq!(faults, [3.0, 0.0, 1.0, 1.0]);
    assert!(errors.contains("got message 1 of publisher 0 after message 2"), "{errors}");
    assert!(errors.contains("got message 1 of publisher 0 again"), "{errors}");
}

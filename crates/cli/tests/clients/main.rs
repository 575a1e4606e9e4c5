//! `noctule pub`, `noctule sub` and `noctule bench` as processes, against `noctule broker`.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod bench;
mod support;

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use support::{Broker, Running, free_port, noctule};

#[test]
fn any_bytes_pass_untouched_at_each_qos_and_version() {
    let broker = Broker::start("allow_anonymous true");
    let payload: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = broker.file("payload");
    std::fs::write(&file, &payload).unwrap();
    for version in ["31", "311", "5"] {
        for qos in ["0", "1", "2"] {
            let sub = broker.sub(&["-t", "any/#", "-C", "1", "-N", "-V", version, "-q", qos]);
            let published = broker.run(&["pub", "-t", "any/bytes", "-V", version, "-q", qos, "-f", &file]);
            assert_eq!(published.ends(), (0, "".into(), "".into()));
            assert_eq!(sub.output(), (Some(0), payload.clone()), "version {version}, QoS {qos}");
        }
    }
}

#[test]
fn each_line_is_a_message() {
    let broker = Broker::start("allow_anonymous true");
    let sub = broker.sub(&["-t", "lines", "-C", "1003", "-q", "1", "-F", "%l"]);
    let mut publisher = broker.start_client(&["pub", "-t", "lines", "-l", "-q", "1"]);
    let mut input = publisher.stdin();
    for piece in ["one\ntw", "o", "\n\n"] {
        input.write_all(piece.as_bytes()).unwrap();
    }
    input.write_all("x\n".repeat(1000).as_bytes()).unwrap();
    drop(input);
    assert_eq!(publisher.exit_code(), Some(0));
    let expected = format!("3\n3\n0\n{}", "1\n".repeat(1000));
    assert_eq!(sub.output(), (Some(0), expected.into_bytes()));
}

#[test]
fn a_retained_message_is_kept_shown_and_cleared() {
    let broker = Broker::start("allow_anonymous true");
    assert_eq!(broker.run(&["pub", "-t", "lamp", "-m", "on", "-r", "-q", "1"]).exit_code(), Some(0));
    let shown = broker.run(&["sub", "-t", "lamp", "-C", "1", "-v"]).ends();
    assert_eq!(shown, (0, "lamp on\n".into(), "".into()));
    let cleared = broker.run(&["sub", "-t", "lamp", "-C", "1", "--remove-retained", "-F", "%p %r"]).ends();
    assert_eq!(cleared, (0, "on 1\n".into(), "".into()));
    let nothing = broker.run(&["sub", "-t", "lamp", "-C", "1", "-W", "1"]).ends();
    assert_eq!(nothing, (27, "".into(), "Timed out\n".into()));
}

#[test]
fn what_is_not_wanted_stays_in_the_session() {
    let broker = Broker::start("allow_anonymous true");
    let named = ["-i", "me", "-c", "-q", "1", "-t", "queue"];
    assert_eq!(broker.run(&[&["sub", "-E"], &named[..]].concat()).exit_code(), Some(0));
    assert_eq!(
        broker.run(&["pub", "-t", "queue", "-q", "1", "-m", "x", "--repeat", "5"]).exit_code(),
        Some(0)
    );
    let take = |count| broker.run(&[&["sub", "-C", count, "-W", "9"], &named[..]].concat()).ends();
    assert_eq!(take("2"), (0, "x\nx\n".into(), "".into()));
    assert_eq!(take("3"), (0, "x\nx\nx\n".into(), "".into()));
}

#[test]
fn properties_of_mqtt_5_arrive() {
    let broker = Broker::start("allow_anonymous true");
    let sub = broker.sub(&["-t", "p", "-C", "1", "-V", "5", "-F", "%C|%P|%R|%D"]);
    let mut publish = vec!["pub", "-t", "p", "-m", "x", "-D", "publish", "content-type", "text/plain"];
    publish.extend(["-D", "publish", "user-property", "a", "b", "-D", "publish", "response-topic", "r/t"]);
    publish.extend(["-D", "publish", "correlation-data", "zz"]);
    assert_eq!(broker.run(&publish).ends(), (0, "".into(), "".into()));
    assert_eq!(sub.output(), (Some(0), b"text/plain|a:b|r/t|zz\n".to_vec()));
}

#[test]
fn a_refusal_ends_with_the_brokers_code_and_says_how_to_mend_it() {
    let broker = Broker::start("allow_anonymous false");
    for (command, last) in [("pub", "-n"), ("sub", "-E")] {
        let (code, _, errors) = broker.run(&[command, "-t", "a", last]).ends();
        assert_eq!(code, 5);
        assert!(errors.starts_with("Connection error: Connection Refused: not authorised\n"), "{errors}");
        let (code, _, errors) = broker.run(&[command, "-t", "a", last, "-V", "5"]).ends();
        assert_eq!(code, 135);
        assert!(errors.starts_with("Connection error: Not authorized\n"), "{errors}");
        assert!(errors.contains("hint: ") && errors.contains("-u and -P"), "{errors}");
        assert_eq!(broker.run(&[command, "-t", "a", last, "--quiet"]).ends(), (5, "".into(), "".into()));
    }
}

#[test]
fn nobody_there_and_wrong_usage_are_one() {
    let port = free_port().to_string();
    for command in [["pub", "-n"], ["sub", "-E"]] {
        let (code, _, errors) =
            noctule(&[&command[..], &["-t", "a", "-h", "127.0.0.1", "-p", &port]].concat()).ends();
        assert_eq!(code, 1);
        assert!(errors.starts_with("Error: Connection refused\nhint: "), "{errors}");
        assert!(errors.contains("noctule broker"), "{errors}");
        let (code, _, errors) = noctule(&[command[0], "-t", "a", "--bogus"]).ends();
        assert!(code == 1 && errors.contains("--bogus"), "{errors}");
    }
    let (code, _, errors) = noctule(&["pub", "-t", "a/+", "-m", "x", "--quiet"]).ends();
    assert_eq!(code, 1);
    let expected = "Error: Invalid publish topic 'a/+', does it contain '+' or '#'?\n\n\
                    Use 'noctule pub --help' to see usage.\n";
    assert_eq!(errors, expected);
    let (code, help, _) = noctule(&["sub", "--help"]).ends();
    assert!(code == 0 && help.contains("-h, --host"), "{help}");
}

#[test]
fn a_signal_ends_it_quietly_with_a_goodbye() {
    let broker = Broker::start("allow_anonymous true");
    let watcher = broker.sub(&["-t", "gone", "-C", "1", "-W", "9"]);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // A goodbye: 3.1.1 publishes no Will after it.
        let mut sub = broker.sub(&["-t", "a", "--will-topic", "gone", "--will-payload", "without a word"]);
        sub.signal(signal);
        assert_eq!(sub.exit_code(), Some(0));
    }
    assert_eq!(broker.run(&["pub", "-t", "gone", "-m", "end"]).exit_code(), Some(0));
    assert_eq!(watcher.output(), (Some(0), b"end\n".to_vec()));
}

#[test]
fn a_closed_output_is_no_failure() {
    let broker = Broker::start("allow_anonymous true");
    let mut sub = broker.sub(&["-t", "a"]);
    drop(sub.take_stdout());
    assert_eq!(broker.run(&["pub", "-t", "a", "-m", "x"]).exit_code(), Some(0));
    assert_eq!(sub.exit_code(), Some(0));
}

#[test]
fn a_lost_connection_is_opened_again_by_sub_and_fails_pub() {
    let mut broker = Broker::start("allow_anonymous true");
    let mut sub = broker.sub(&["-t", "a", "-C", "1"]);
    let mut publisher: Running = broker.start_client(&["pub", "-t", "a", "-l", "-d"]);
    publisher.wait_for("received CONNACK");
    broker.restart();
    assert_eq!(publisher.exit_code(), Some(7));
    sub.wait_for("trying again in 1 s");
    sub.wait_for("received SUBACK");
    assert_eq!(broker.run(&["pub", "-t", "a", "-m", "again"]).exit_code(), Some(0));
    let mut output = String::new();
    sub.take_stdout().read_to_string(&mut output).unwrap();
    // `-d` shows each answer to SUBSCRIBE here.
    assert!(output.ends_with("again\n"), "{output}");
    assert_eq!(sub.exit_code(), Some(0));
}

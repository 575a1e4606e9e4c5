//! Payloads are bytes: any number of any.

use std::fs;

use e2e::packet::Version;
use e2e::{Broker, Finished, Wire};

/// The same bytes come out that went in: live, queued for a session, and retained.
fn passes_unchanged(payload: &[u8]) {
    let broker = Broker::start("");
    let file = broker.file("payload");
    fs::write(&file, payload).expect("a directory of ours");
    for qos in [0, 1, 2] {
        let mut live = Wire::connect(&broker, Version::V5, "live");
        live.subscribe("data/#", 0);
        let session = format!("-c -i reader{qos} -t data/{qos} -q {qos}");
        broker.mosquitto_sub(&format!("{session} -E")).run().succeeds();

        broker.mosquitto_pub(&format!("-t data/{qos} -r -q {qos} -f")).arg(&file).run().succeeds();

        live.receives(payload);
        let again = broker.mosquitto_sub(&format!("-t data/{qos} -q {qos} -C 1 -N")).run();
        assert_same("retained", &again, payload);
        if qos > 0 {
            assert_same("queued", &broker.mosquitto_sub(&format!("{session} -C 1 -N")).run(), payload);
        }
    }
}

fn assert_same(how: &str, finished: &Finished, payload: &[u8]) {
    finished.succeeds();
    let found = &finished.stdout;
    assert!(found == payload, "{how}: {} bytes came of {}", found.len(), payload.len());
}

#[test]
fn nothing_at_all() {
    let broker = Broker::start("");
    let subscriber = broker.subscriber("-t data -q 2 -C 3");
    for qos in [0, 1, 2] {
        broker.mosquitto_pub(&format!("-t data -q {qos} -n")).run().succeeds();
    }
    subscriber.receives(&["data 0 0 ", "data 1 0 ", "data 2 0 "]);
}

#[test]
fn a_megabyte() {
    // Not a round number, and every byte value at every distance from its neighbours.
    let payload: Vec<u8> =
        (0..1_000_003_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    passes_unchanged(&payload);
}

#[test]
fn every_byte_value() {
    passes_unchanged(&(0..=255).collect::<Vec<u8>>());
}

#[test]
fn zero_bytes_and_line_ends() {
    passes_unchanged(b"\0\r\n\n\0");
}

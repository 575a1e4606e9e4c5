//! What signals do.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Broker, wait_until};

#[test]
fn signals_do_not_end_it() {
    let broker = Broker::start("allow_anonymous true");
    broker.signal(Signal::SIGUSR2);
    for (signal, line) in [(Signal::SIGHUP, "Config reloaded."), (Signal::SIGUSR1, "nothing to save")] {
        broker.signal(signal);
        broker.wait_for(line);
    }
    broker.client(b'b');
}

#[test]
fn sighup_opens_the_log_file_anew() {
    let broker =
        Broker::start("allow_anonymous true\nlog_dest stderr\nlog_dest file DIR/log\nlog_timestamp false");
    fs::rename(broker.file("log"), broker.file("log.1")).unwrap();
    broker.signal(Signal::SIGHUP);
    broker.wait_for("Config reloaded.");
    // The log changes over behind that line.
    wait_until(|| {
        drop(broker.connect());
        broker.wait_for("New connection");
        fs::read_to_string(broker.file("log")).is_ok_and(|new| new.contains("New connection from 127.0.0.1:"))
    });
    let old = fs::read_to_string(broker.file("log.1")).unwrap();
    assert!(old.starts_with(concat!("noctule version ", env!("CARGO_PKG_VERSION"), " starting\n")), "{old}");
}

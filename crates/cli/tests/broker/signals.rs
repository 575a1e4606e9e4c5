//! What signals do.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::Broker;

#[test]
fn signals_that_are_not_obeyed_yet_do_not_end_it() {
    let broker = Broker::start("allow_anonymous true");
    for (signal, line) in [
        (Signal::SIGHUP, "Config reloaded."),
        (Signal::SIGUSR1, "nothing to save"),
        (Signal::SIGUSR2, "not available yet"),
    ] {
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
    drop(broker.connect());
    broker.wait_for("New connection");
    let old = fs::read_to_string(broker.file("log.1")).unwrap();
    assert!(old.starts_with(concat!("noctule version ", env!("CARGO_PKG_VERSION"), " starting\n")), "{old}");
    assert!(fs::read_to_string(broker.file("log")).unwrap().contains("New connection from 127.0.0.1:"));
}

//! Limits of the whole broker, and its life in the background.

use std::fs;
use std::net::TcpStream;

use e2e::broker::command;
use e2e::environment;
use e2e::packet::Version;
use e2e::port::Port;
use e2e::{Broker, Wire, eventually};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn connections_of_all_listeners_are_counted_together() {
    let with = |most: &str| {
        format!(
            "listener PORT 127.0.0.1\nlistener PORT ::1\nallow_anonymous true\nglobal_max_connections {most}\n"
        )
    };
    let broker = Broker::with_config(&with("2"));
    let elsewhere = TcpStream::connect(("::1", broker.port())).expect("the broker listens there too");
    let mut client = Wire::connect(&broker, Version::V5, "client");
    client.ping();
    Wire::dial(&broker).is_closed();
    // Others may come when there is more room, and those who are there stay when there is less.
    broker.rewrite(&with("3"));
    broker.hang_up();
    let mut other = Wire::connect(&broker, Version::V5, "other");
    broker.rewrite(&with("1"));
    broker.hang_up();
    client.ping();
    other.ping();
    drop((elsewhere, other));
    Wire::dial(&broker).is_closed();
    let told = broker.process().errors();
    assert!(told.contains("Client connection from 127.0.0.1 denied: max_connections exceeded."), "{told}");
}

#[test]
fn in_the_background_it_is_found_by_its_pid_file() {
    let directory = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let (config, pid_file) = (directory.path().join("broker.conf"), directory.path().join("broker.pid"));
    let port = Port::reserve();
    let lines =
        format!("listener {} 127.0.0.1\npid_file {}\nlog_dest none\n", port.number(), pid_file.display());
    let text = format!("{lines}{}\n", environment::config_of(environment::broker()));
    fs::write(&config, text).expect("a directory of ours");
    command(environment::broker()).arg("-c").arg(&config).arg("-d").run().succeeds();
    let pid = eventually("the pid file is there", || fs::read_to_string(&pid_file).ok()?.parse().ok());
    let pid = Pid::from_raw(pid).expect("a process has a number");
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port.number())).ok());
    kill_process(pid, Signal::TERM).expect("it is ours");
    eventually("the pid file is gone", || (!pid_file.exists()).then_some(()));
}

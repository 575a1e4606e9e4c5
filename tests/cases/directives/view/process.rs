//! Views of the process: its sockets, threads, files and user.

use std::collections::BTreeSet;
use std::fs;

use e2e::packet::Version;
use e2e::{Broker, Wire, eventually, port};

/// The addresses it listens on.
pub(in crate::directives) fn addresses(broker: &Broker) -> String {
    let hosts: BTreeSet<String> =
        port::listening(broker.process().pid()).into_iter().map(|(host, _)| host.to_string()).collect();
    Vec::from_iter(hosts).join(" ")
}

/// How many event loops it has, each of which is a thread.
pub(in crate::directives) fn threads(broker: &Broker) -> String {
    // All are there when one serves a client.
    drop(Wire::connect(broker, Version::V4, "visitor"));
    let threads = fs::read_dir(format!("/proc/{}/task", broker.process().pid())).expect("the broker runs");
    let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    format!("{} threads", names.filter(|name| name.starts_with("shard-")).count())
}

/// On how many event loops two clients are: how many sets of descriptors to wait for have a connection.
pub(in crate::directives) fn loops_of_two_clients(broker: &Broker) -> String {
    let clients = ["one", "two"].map(|name| Wire::connect(broker, Version::V4, name));
    let pid = broker.process().pid();
    let ours = port::connected(pid);
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the broker runs");
    let loops = infos
        .flatten()
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .filter(|info| {
            let watched = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
            let descriptors = watched.filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok());
            descriptors.into_iter().any(|descriptor| ours.contains(&descriptor))
        })
        .count();
    drop(clients);
    format!("{loops} loops")
}

/// Which of two files have its process number.
pub(in crate::directives) fn process_numbers(broker: &Broker) -> String {
    let pid = broker.process().pid().to_string();
    let holds = |name: &&str| fs::read_to_string(broker.file(name)).is_ok_and(|text| text.trim() == pid);
    ["a.pid", "b.pid"].into_iter().filter(holds).collect::<Vec<_>>().join(" ")
}

/// Where it keeps its data.
pub(in crate::directives) fn data_directory(broker: &Broker) -> String {
    let held = ["noctule", "a/noctule", "b/noctule"].into_iter().filter(|name| broker.file(name).exists());
    let held = held.collect::<Vec<_>>().join(" ");
    if held.is_empty() { "none".to_owned() } else { held }
}

/// As whom it runs, having been started by root.
pub(in crate::directives) fn user(broker: &Broker) -> String {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can become somebody else: run this test as root"
    );
    let status =
        fs::read_to_string(format!("/proc/{}/status", broker.process().pid())).expect("the broker runs");
    let row = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("Linux tells the user");
    match row.split_whitespace().next() {
        Some("0") => "root".to_owned(),
        _ => "somebody else".to_owned(),
    }
}

/// What the log says of `set_tcp_nodelay`, which changes nothing.
pub(in crate::directives) fn nodelay_is_told(broker: &Broker) -> String {
    // What is told at the start is told before that.
    eventually("it says that it runs", || broker.process().errors().contains(" running").then_some(()));
    match broker.process().errors().contains("small packets are always sent at once") {
        true => "it is told that small packets are always sent at once".to_owned(),
        false => "nothing is told".to_owned(),
    }
}

//! The reasons for what differs, and the page that tells them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use e2e::environment;

use super::accepted::ACCEPTED;

/// Why the brokers differ.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reason {
    DurableStore,
    WebSockets,
    Bridges,
    Tls,
    Plugins,
    PacketSize,
    SinceTwoOne,
    Texts,
    NumbersAreRead,
    NestedIncludes,
    LoggedVersion,
    MissingFiles,
    KeepAliveOfThree,
    MountPoint,
    MountPointShared,
    RetainSource,
    EmptyIdentifier,
    PayloadCode,
    QueueOfQosZero,
}

impl Reason {
    const ALL: [Self; 19] = [
        Self::DurableStore,
        Self::WebSockets,
        Self::Bridges,
        Self::Tls,
        Self::Plugins,
        Self::PacketSize,
        Self::SinceTwoOne,
        Self::Texts,
        Self::NumbersAreRead,
        Self::NestedIncludes,
        Self::LoggedVersion,
        Self::MissingFiles,
        Self::KeepAliveOfThree,
        Self::MountPoint,
        Self::MountPointShared,
        Self::RetainSource,
        Self::EmptyIdentifier,
        Self::PayloadCode,
        Self::QueueOfQosZero,
    ];

    /// What Mosquitto does, what is done instead, and why.
    fn told(self) -> [&'static str; 3] {
        match self {
            Self::DurableStore => [
                "`persistence true` saves everything to a file when it ends, on SIGUSR1, and every half hour; a crash loses what came since",
                "What is acknowledged is on the disk before the acknowledgement leaves, in the directory `noctule` of `persistence_location`",
                "Acknowledged means kept: a crash or a loss of power loses nothing of it",
            ],
            Self::WebSockets => [
                "`protocol websockets` listens for browsers",
                "Refused at the start; remove that listener to run without",
                "Not built yet",
            ],
            Self::Bridges => [
                "`connection` connects to another broker",
                "Refused at the start; let the other side connect, whose bridges are welcome",
                "Not built yet",
            ],
            Self::Tls => [
                "`certfile` and `keyfile` make a listener speak TLS; with one of them only it listens without TLS, and says nothing",
                "Refused at the start, with both or with one",
                "Not built yet. A listener that you believe to be encrypted must not listen otherwise",
            ],
            Self::Plugins => [
                "`plugin` loads a shared object; if that fails the exit code is 13",
                "Refused at the start with exit code 3; `acl_file` and `password_file` need no plugin",
                "Not built yet",
            ],
            Self::PacketSize => [
                "A packet may have 256 MB, all the protocol allows",
                "2 000 000 bytes; who sends more is disconnected. Write `max_packet_size` if yours are larger",
                "As in 2.1. A limit of memory that one packet can pass is none",
            ],
            Self::SinceTwoOne => [
                "Options of Mosquitto 2.1 are unknown",
                "They work",
                "The file format is that of 2.1, the newest",
            ],
            Self::Texts => [
                "Some errors in a file are worded otherwise",
                "Told in the words of 2.1, with the same exit code, file and line",
                "2.1 reworded them",
            ],
            Self::NumbersAreRead => [
                "Numbers are read as far as they go: `many` is 0, `5#` is 5, `0x20` is 0",
                "What is no number is an error with its line; `0x20` is 32 and `010` is 8",
                "As in 2.1. A limit that is silently 0 is no limit",
            ],
            Self::NestedIncludes => [
                "`include_dir` in an included file is ignored without a word",
                "It is an error with its line",
                "As in 2.1",
            ],
            Self::LoggedVersion => [
                "The log calls MQTT 3.1 and 3.1.1 `p1` and `p2`",
                "It calls them `p3` and `p4`, and 5.0 `p5` as before",
                "As in 2.1",
            ],
            Self::MissingFiles => [
                "When `acl_file` or `password_file` cannot be read, the exit code is 13",
                "It is 3, as for every other mistake in the configuration; the text is the same",
                "All mistakes of all files are told at once, and `--test-config` finds these too",
            ],
            Self::KeepAliveOfThree => [
                "`max_keepalive` is for clients of MQTT 5 only",
                "3.1 and 3.1.1 clients that ask for more are refused with code 2",
                "As in 2.1: these clients cannot be told another Keep Alive",
            ],
            Self::MountPoint => [
                "`mount_point` is put before what a client publishes and subscribes to, and left on what it receives",
                "It is taken off what the client receives",
                "Who subscribes to `lamp` expects `lamp`: the client is not to know of it",
            ],
            Self::MountPointShared => [
                "A shared subscription behind a `mount_point` receives nothing",
                "It works",
                "The mount point is put before the filter, not before `$share`",
            ],
            Self::RetainSource => [
                "`check_retain_source` is off unless it is written",
                "It is on: a retained message goes when its publisher may no longer write its topic",
                "As in 2.1. Write `check_retain_source false` for what 2.0 does",
            ],
            Self::EmptyIdentifier => [
                "With `allow_zero_length_clientid false`, a client of MQTT 5 without identifier is refused with 0x80",
                "It is refused with 0x85, Client Identifier not valid",
                "The standard has that code for it",
            ],
            Self::PayloadCode => [
                "A payload over `message_size_limit` is refused with 0x95, Packet too large",
                "It is refused with 0x83, Implementation specific error",
                "As in 2.1: the packet is not too large, its payload is",
            ],
            Self::QueueOfQosZero => [
                "With `queue_qos0_messages`, `max_queued_messages` counts QoS 1 and 2 only; QoS 0 is queued on and on until as many of those wait",
                "It counts all of them",
                "A queue without a bound fills the memory",
            ],
        }
    }
}

/// The table of the page.
fn table() -> String {
    let mut table = "| Mosquitto 2.0.11 | Noctule | why | seen in |\n|---|---|---|---|\n".to_owned();
    for reason in Reason::ALL {
        let [theirs, ours, why] = reason.told();
        let seen_in: BTreeSet<String> = ACCEPTED
            .iter()
            .filter(|accepted| accepted.reason == reason)
            .map(|accepted| {
                let name = accepted.configuration;
                format!("[{name}](../tests/configurations/{name}/mosquitto.conf)")
            })
            .collect();
        assert!(!seen_in.is_empty(), "no configuration shows {reason:?}; remove it");
        let seen_in = Vec::from_iter(seen_in).join(", ");
        let _ = writeln!(table, "| {theirs} | {ours} | {why} | {seen_in} |");
    }
    table
}

#[test]
fn the_page_lists_what_differs() {
    let path = environment::documentation("coming-from-mosquitto.md");
    let page = fs::read_to_string(&path).expect("the page is part of the sources");
    let table = table();
    assert!(page.contains(&table), "{} should contain\n{table}", path.display());
    let rows = |text: &str| text.lines().filter(|line| line.contains("tests/configurations/")).count();
    assert_eq!(rows(&page), rows(&table), "the page has rows that no test knows");
}

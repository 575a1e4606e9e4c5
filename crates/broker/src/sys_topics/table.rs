//! THE table of the topics below `$SYS`.

use std::fmt::Write as _;

use super::Reading;
use crate::metric::Metric;

/// One topic below `$SYS`.
#[derive(Clone, Copy, Debug)]
pub struct SysTopic {
    /// Its Topic Name.
    pub topic: &'static str,
    /// What is published there.
    pub value: Value,
    /// What it tells, in a few words.
    pub help: &'static str,
}

/// How a payload is made.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Name and version of the program.
    Version,
    /// How long the broker runs, as in `70 seconds`.
    Uptime,
    /// A number.
    Number(fn(&Reading<'_>) -> u64),
    /// The highest that this number was at any time it was read.
    Maximum(fn(&Reading<'_>) -> u64),
    /// How much a number grows by in a minute, on average over a span, with two decimals.
    Load(fn(&Reading<'_>) -> u64, Span),
}

/// What an average is made over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Span {
    /// `1min`
    OneMinute,
    /// `5min`
    FiveMinutes,
    /// `15min`
    FifteenMinutes,
}

impl Span {
    pub(super) const fn seconds(self) -> f64 {
        match self {
            Self::OneMinute => 60.0,
            Self::FiveMinutes => 300.0,
            Self::FifteenMinutes => 900.0,
        }
    }
}

macro_rules! sys_topics {
    (
        topics { $($topic:literal, $value:expr, $help:literal;)* }
        loads { $($load:literal, $count:expr, $what:literal;)* }
    ) => {
        /// All of them, in the order in which they are published.
        pub const SYS_TOPICS: &[SysTopic] = &[
            $(SysTopic { topic: concat!("$SYS/broker/", $topic), value: $value, help: $help },)*
            $(
                SysTopic {
                    topic: concat!("$SYS/broker/load/", $load, "/1min"),
                    value: Value::Load($count, Span::OneMinute),
                    help: concat!($what, " a minute, on average over 1 minute"),
                },
                SysTopic {
                    topic: concat!("$SYS/broker/load/", $load, "/5min"),
                    value: Value::Load($count, Span::FiveMinutes),
                    help: concat!($what, " a minute, on average over 5 minutes"),
                },
                SysTopic {
                    topic: concat!("$SYS/broker/load/", $load, "/15min"),
                    value: Value::Load($count, Span::FifteenMinutes),
                    help: concat!($what, " a minute, on average over 15 minutes"),
                },
            )*
        ];
    };
}

use Value::{Maximum, Number};

sys_topics! {
    topics {
        "version", Value::Version, "Name and version of the program";
        "uptime", Value::Uptime, "How long the broker runs, as in `70 seconds`";
        "clients/total", Number(|r| r.sessions), "Sessions, with a connection or without";
        "clients/maximum", Maximum(|r| r.sessions), "The most sessions there were when this was published";
        "clients/disconnected", Number(|r| r.sessions - r.connected), "Sessions without a connection";
        "clients/inactive", Number(|r| r.sessions - r.connected), "The old name of `clients/disconnected`";
        "clients/connected", Number(|r| r.connected), "Sessions with a connection";
        "clients/active", Number(|r| r.connected), "The old name of `clients/connected`";
        "clients/expired", Number(|r| r.counter(Metric::SessionsExpired)), "Sessions that expired";
        "messages/received", Number(|r| r.counter(Metric::PacketsReceived)), "Packets of all types received";
        "messages/sent", Number(|r| r.packets_sent()), "Packets of all types sent";
        "messages/stored", Number(|r| r.stored), "The old name of `store/messages/count`";
        "store/messages/count", Number(|r| r.stored),
            "Messages held: retained ones, those below `$SYS` among them, and those that wait in sessions; a message that waits in several counts for each";
        "store/messages/bytes", Number(|r| r.stored_bytes), "The payload bytes of these";
        "subscriptions/count", Number(|r| r.subscriptions), "Subscriptions; a shared one counts once";
        "shared_subscriptions/count", Number(|r| r.shared_subscriptions), "Shared subscriptions; one with several members counts once";
        "retained messages/count", Number(|r| r.retained), "Retained messages, those below `$SYS` among them";
        "heap/current", Number(|r| r.memory), "Bytes of memory that the process uses";
        "heap/maximum", Maximum(|r| r.memory), "The most bytes it used when this was published";
        "publish/messages/dropped", Number(|r| r.dropped()), "Messages dropped because their receiver was behind";
        "publish/messages/received", Number(|r| r.counter(Metric::PublishReceived)), "PUBLISH packets received";
        "publish/messages/sent", Number(|r| r.counter(Metric::PublishSent)), "PUBLISH packets sent";
        "publish/bytes/received", Number(|r| r.counter(Metric::PublishBytesReceived)), "Their payload bytes, received";
        "publish/bytes/sent", Number(|r| r.counter(Metric::PublishBytesSent)), "Their payload bytes, sent";
        "bytes/received", Number(|r| r.counter(Metric::BytesReceived)), "Bytes read from clients";
        "bytes/sent", Number(|r| r.counter(Metric::BytesSent)), "Bytes written to clients";
        "packet/out/count", Number(|r| r.outbox_packets()), "About how many packets wait because clients do not take them";
        "packet/out/bytes", Number(|r| r.outbox_bytes), "The bytes of these";
        "connections/socket/count", Number(|r| r.counter(Metric::ConnectionsOpened).saturating_sub(r.counter(Metric::ConnectionsClosed))),
            "Open connections, with a session or before their CONNECT";
        "store/queue/batches", Number(|r| r.store.queue_batches), "Batches of changes that wait to be written to disk; these and all below are 0 without `persistence`";
        "store/queue/bytes", Number(|r| r.store.queue_bytes), "The bytes of these, and of those that are being written";
        "store/queue/maximum", Maximum(|r| r.store.queue_bytes), "The most bytes there were when this was published";
        "store/queue/parked", Number(|r| r.counter(Metric::StoreParked)), "Times that a connection was not read because this queue was full and it would have made more of it";
        "store/refused", Number(|r| r.refused_store_full()), "Messages, subscriptions and clients that were refused because the disk is nearly full";
        "store/lag", Number(|r| r.store.lag), "Milliseconds since the oldest change came that is not durable";
        "store/sync/time", Number(|r| r.store.sync_time), "Microseconds that a sync took, on average since this was published last, or when there was one last";
        "store/sync/maximum", Number(|r| r.store.sync_time_max), "Microseconds that the longest sync took";
        "store/sync/count", Number(|r| r.counter(Metric::StoreSyncs)), "Syncs";
        "store/commit/changes", Number(|r| r.store.commit_changes), "Changes that were written at a time, on average since this was published last, or when there were any last";
        "store/commit/count", Number(|r| r.counter(Metric::StoreCommits)), "Times that something was written, with a sync or without";
        "store/batches", Number(|r| r.counter(Metric::StoreBatches)), "Batches of changes that came from shards";
        "store/changes/written", Number(|r| r.counter(Metric::StoreChanges)), "Changes that were written";
        "store/changes/elided", Number(|r| r.counter(Metric::StoreElided)), "Changes that needed no writing, because they were taken back or made again before";
        "store/bytes/written", Number(|r| r.counter(Metric::StoreBytesWritten)), "Bytes of the changes that were written, without what the store adds";
    }
    loads {
        "messages/received", |r| r.counter(Metric::PacketsReceived), "Packets of all types received";
        "messages/sent", |r| r.packets_sent(), "Packets of all types sent";
        "publish/dropped", |r| r.dropped(), "Messages dropped because their receiver was behind";
        "publish/received", |r| r.counter(Metric::PublishReceived), "PUBLISH packets received";
        "publish/sent", |r| r.counter(Metric::PublishSent), "PUBLISH packets sent";
        "bytes/received", |r| r.counter(Metric::BytesReceived), "Bytes read from clients";
        "bytes/sent", |r| r.counter(Metric::BytesSent), "Bytes written to clients";
        "sockets", |r| r.counter(Metric::ConnectionsOpened), "Connections opened";
        "connections", |r| r.counter(Metric::ConnectsReceived), "CONNECT packets";
    }
}

const INTRODUCTION: &str = "\
# What the broker tells about itself

Below `$SYS` the broker publishes numbers about itself, every `sys_interval` seconds (10 unless the configuration says
otherwise; 0 is never), with QoS 2 and retained, and only those that have changed. Clients read them like any other
topic, for example all of them with `noctule sub -v -t '$SYS/#'`. A filter that begins with a wildcard, `#` above all,
does not match them [MQTT-4.7.2-1], and clients cannot publish there. They are never stored: after a restart they begin
anew.

Counts begin with the start of the broker. An average of 1, 5 or 15 minutes is one that forgets slowly: what happened
that long ago weighs about a third.

| topic | what it tells |
|---|---|
";

/// The page of all topics, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for SysTopic { topic, help, .. } in SYS_TOPICS {
        writeln!(page, "| `{topic}` | {help} |").expect("a String takes all");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_unique_and_have_a_line_of_help() {
        for (at, SysTopic { topic, help, .. }) in SYS_TOPICS.iter().enumerate() {
            assert!(noctule_protocol::TopicName::parse(topic).is_ok(), "{topic}");
            assert!(SYS_TOPICS[..at].iter().all(|other| other.topic != *topic), "{topic} twice");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('|'), "{topic}: {help}");
        }
    }
}

//! THE table of named loads. Each is a preset of flags that could be given by hand.

use std::fmt;

use noctule_client::protocol::QoS;

use super::filter_set::FilterKind;

/// What is done with a broker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Messages from publishers to subscribers.
    Traffic,
    /// Connections with a subscription each, and then nothing.
    Idle,
    /// The cost of opening those.
    Connect,
    /// Many wildcard filters: subscribing, then messages that match some.
    Filters(FilterKind),
    /// Retained messages: storing, then reading all.
    Retained,
    /// Messages for sessions that are offline: queueing, then coming back.
    Offline,
}

/// Who hears whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Pairs,
    FanOut,
    FanIn,
    All,
    Shared,
}

impl Shape {
    pub(super) const ALL: [Self; 5] = [Self::Pairs, Self::FanOut, Self::FanIn, Self::All, Self::Shared];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::All => "all",
            Self::Shared => "shared",
        }
    }
}

/// When publishing ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Enough for so many deliveries.
    Messages(u64),
    Seconds(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    /// Published and not yet delivered, per publisher.
    pub(super) window: u64,
    /// Publishes a second, in an open loop, instead of the window.
    pub(super) rate: Option<u64>,
    pub(super) qos: QoS,
    /// `None` is the QoS of the publishers.
    pub(super) subscribe_qos: Option<QoS>,
    pub(super) payload_bytes: usize,
    pub(super) churn: Option<u64>,
    /// That each publisher goes round, in pairs.
    pub(super) topics: u64,
    pub(super) end: End,
    pub(super) items: u64,
    /// That hold filters, or sessions that are offline.
    pub(super) connections: usize,
}

/// Without a name: what the flags do not say.
pub(super) const CUSTOM: Scenario = Scenario {
    name: "custom",
    about: "",
    kind: Kind::Traffic,
    shape: Shape::Pairs,
    publishers: 10,
    subscribers: 10,
    window: 100,
    rate: None,
    qos: QoS::AtMostOnce,
    subscribe_qos: None,
    payload_bytes: 64,
    churn: None,
    topics: 1,
    end: End::Seconds(10),
    items: 0,
    connections: 0,
};

const P2P: Scenario = Scenario { window: 1000, end: End::Messages(5_000_000), ..CUSTOM };
const MANY: Scenario = Scenario { publishers: 500, subscribers: 500, ..CUSTOM };
const FAN_OUT: Scenario = Scenario {
    shape: Shape::FanOut,
    publishers: 1,
    subscribers: 100,
    end: End::Messages(10_000_000),
    ..CUSTOM
};
const FILTERS: Scenario = Scenario {
    kind: Kind::Filters(FilterKind::Mixed),
    end: End::Messages(600_000),
    items: 100_000,
    connections: 10,
    ..CUSTOM
};

/// All of them, in the order of the help.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "p2p0", about: "10 pairs, window 1000, QoS 0", ..P2P },
    Scenario {
        name: "topics0",
        about: "p2p0, each publisher going round 16 topics, its subscriber with a wildcard",
        topics: 16,
        ..P2P
    },
    Scenario {
        name: "p2p1",
        about: "10 pairs, window 100, QoS 1",
        window: 100,
        qos: QoS::AtLeastOnce,
        end: End::Messages(2_000_000),
        ..P2P
    },
    Scenario {
        name: "p2p2",
        about: "10 pairs, window 100, QoS 2",
        window: 100,
        qos: QoS::ExactlyOnce,
        end: End::Messages(1_000_000),
        ..P2P
    },
    Scenario { name: "many0", about: "500 pairs, window 4", window: 4, end: End::Messages(500_000), ..MANY },
    Scenario {
        name: "one0",
        about: "500 pairs, window 1: each message is a wake-up of its own",
        window: 1,
        end: End::Messages(200_000),
        ..MANY
    },
    Scenario { name: "fanout0", about: "1 to 100, window 100", ..FAN_OUT },
    Scenario {
        name: "fanout0-1000",
        about: "1 to 1000, window 20",
        subscribers: 1000,
        window: 20,
        ..FAN_OUT
    },
    Scenario {
        name: "fanout1",
        about: "1 to 100, window 100, QoS 1",
        qos: QoS::AtLeastOnce,
        end: End::Messages(5_000_000),
        ..FAN_OUT
    },
    Scenario {
        name: "fanin0",
        about: "100 to 1, window 100",
        shape: Shape::FanIn,
        publishers: 100,
        subscribers: 1,
        end: End::Messages(5_000_000),
        ..CUSTOM
    },
    Scenario {
        name: "big0",
        about: "10 pairs, window 64, 16 KiB",
        window: 64,
        payload_bytes: 16 * 1024,
        end: End::Messages(200_000),
        ..P2P
    },
    Scenario {
        name: "shared0",
        about: "100 to a shared subscription of 10, window 100",
        shape: Shape::Shared,
        publishers: 100,
        end: End::Messages(3_000_000),
        ..CUSTOM
    },
    Scenario {
        name: "churn",
        about: "p2p0, beside 5000 subscriptions made and dropped a second",
        churn: Some(5000),
        ..P2P
    },
    Scenario {
        name: "latency",
        about: "50 pairs at 5000 messages a second, whatever became of those before",
        publishers: 50,
        subscribers: 50,
        rate: Some(5000),
        ..CUSTOM
    },
    Scenario {
        name: "idle",
        about: "10 000 connections with a subscription each: memory",
        kind: Kind::Idle,
        items: 10_000,
        end: End::Seconds(1),
        ..CUSTOM
    },
    Scenario {
        name: "connect",
        about: "10 000 times connect and subscribe: CPU",
        kind: Kind::Connect,
        items: 10_000,
        ..CUSTOM
    },
    Scenario { name: "filters", about: "100 000 mixed wildcard filters over 10 connections", ..FILTERS },
    Scenario { name: "filters-1m", about: "1 000 000 over 20", items: 1_000_000, connections: 20, ..FILTERS },
    Scenario {
        name: "filters-device",
        about: "100 000 filters with a device's name each",
        kind: Kind::Filters(FilterKind::Device),
        end: End::Messages(200_000),
        ..FILTERS
    },
    Scenario {
        name: "filters-device-1m",
        about: "1 000 000 of those over 20 connections",
        kind: Kind::Filters(FilterKind::Device),
        items: 1_000_000,
        connections: 20,
        end: End::Messages(200_000),
        ..FILTERS
    },
    Scenario {
        name: "retained",
        about: "200 000 retained messages: stored with QoS 1, then read by one subscription",
        kind: Kind::Retained,
        items: 200_000,
        qos: QoS::AtLeastOnce,
        subscribe_qos: Some(QoS::AtMostOnce),
        ..CUSTOM
    },
    Scenario {
        name: "offline",
        about: "1000 messages queued for each of 100 sessions, QoS 1, then drained",
        kind: Kind::Offline,
        items: 100_000,
        connections: 100,
        qos: QoS::AtLeastOnce,
        ..CUSTOM
    },
    Scenario {
        name: "offline-fanout",
        about: "100 messages queued for all of 1000 sessions, QoS 1, then drained",
        kind: Kind::Offline,
        shape: Shape::FanOut,
        publishers: 1,
        subscribers: 100,
        items: 100_000,
        connections: 1000,
        qos: QoS::AtLeastOnce,
        ..CUSTOM
    },
];

impl Scenario {
    pub(super) fn named(name: &str) -> Option<Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name).copied()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_given_once() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            assert_eq!(Scenario::named(scenario.name).map(|found| found.about), Some(scenario.about));
            assert!(SCENARIOS[index + 1..].iter().all(|other| other.name != scenario.name));
        }
        assert!(Scenario::named("p2p3").is_none());
        assert!(Scenario::named(CUSTOM.name).is_none());
    }

    #[test]
    fn shapes_fit_their_numbers() {
        for scenario in SCENARIOS {
            let numbers = (scenario.publishers, scenario.subscribers);
            match scenario.shape {
                Shape::Pairs => assert_eq!(numbers.0, numbers.1, "{scenario}"),
                Shape::FanOut => assert_eq!(numbers.0, 1, "{scenario}"),
                Shape::FanIn => assert_eq!(numbers.1, 1, "{scenario}"),
                Shape::All | Shape::Shared => {}
            }
        }
    }
}

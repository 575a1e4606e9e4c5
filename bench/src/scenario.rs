//! What is measured.

use std::fmt;
use std::str::FromStr;

use noctule_protocol::QoS;

/// A pattern of traffic. A window is what one publisher has published and not seen delivered.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) shape: Shape,
    pub(crate) window: u64,
    pub(crate) qos: QoS,
    pub(crate) payload_bytes: usize,
    /// Deliveries of one run unless told otherwise.
    pub(crate) deliveries: u64,
}

/// Who hears whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Each publisher has a subscriber of its own.
    Pairs,
    /// Every subscriber hears every publisher.
    All,
}

const fn row(
    name: &'static str,
    (publishers, subscribers): (usize, usize),
    shape: Shape,
    window: u64,
    qos: QoS,
    deliveries: u64,
) -> Scenario {
    Scenario { name, publishers, subscribers, shape, window, qos, payload_bytes: 64, deliveries }
}

const SCENARIOS: &[Scenario] = &[
    row("p2p0", (10, 10), Shape::Pairs, 1000, QoS::AtMostOnce, 10_000_000),
    row("p2p1", (10, 10), Shape::Pairs, 100, QoS::AtLeastOnce, 2_000_000),
    row("p2p2", (10, 10), Shape::Pairs, 100, QoS::ExactlyOnce, 1_000_000),
    row("many0", (500, 500), Shape::Pairs, 4, QoS::AtMostOnce, 500_000),
    row("one0", (500, 500), Shape::Pairs, 1, QoS::AtMostOnce, 200_000),
    row("fanout0", (1, 100), Shape::All, 100, QoS::AtMostOnce, 10_000_000),
    row("fanout1", (1, 100), Shape::All, 100, QoS::AtLeastOnce, 5_000_000),
    row("fanin0", (100, 1), Shape::All, 100, QoS::AtMostOnce, 5_000_000),
];

impl Scenario {
    /// How many deliveries one publish makes.
    pub(crate) fn fan_out(&self) -> usize {
        match self.shape {
            Shape::Pairs => 1,
            Shape::All => self.subscribers,
        }
    }

    pub(crate) fn publish_topic(&self, publisher: usize) -> String {
        match self.shape {
            Shape::Pairs => format!("bench/pair/{publisher}"),
            Shape::All => "bench/all".to_owned(),
        }
    }

    pub(crate) fn filter(&self, subscriber: usize) -> String {
        self.publish_topic(subscriber)
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        SCENARIOS.iter().find(|scenario| scenario.name == name).cloned().ok_or_else(|| {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            format!("no such scenario; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

//! What one run does, once scenario and flags are put together.

use std::time::Duration;

use noctule_client::protocol::{ProtocolVersion, QoS, TopicName};

use super::audience::Audience;
use super::fault::Fault;
use super::filter_set::FilterSet;
use super::payload::HEADER_BYTES;
use super::scenario::{End, Kind, Shape};

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    pub(super) scenario: &'static str,
    pub(super) kind: Kind,
    pub(super) protocol: ProtocolVersion,
    pub(super) qos: QoS,
    pub(super) subscribe_qos: QoS,
    pub(super) shape: Shape,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) window: u64,
    pub(super) rate: Option<u64>,
    pub(super) payload_bytes: usize,
    pub(super) churn: Option<u64>,
    /// That each publisher goes round, in pairs.
    pub(super) topics: u64,
    pub(super) end: End,
    pub(super) items: u64,
    pub(super) connections: usize,
    /// What was stored stays, and is not read.
    pub(super) is_kept: bool,
    pub(super) topic_prefix: String,
    pub(super) stall_max: Duration,
}

/// For each of these the order is kept.
const PAIRS_OF_PUBLISHER_AND_SUBSCRIBER_MAX: usize = 20_000_000;
/// Each client may have one payload on its way, and a publisher has it ready besides.
const PAYLOADS_BYTES_MAX: usize = 2 << 30;
/// So many topics the numbers in them tell apart.
const RETAINED_MAX: u64 = 10_000_000;
/// Longer topics would leave no room for what stands behind.
const PREFIX_BYTES_MAX: usize = 1000;

impl Plan {
    /// Refuses what cannot be run or checked.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let refuse = |text: String| Err(Fault::Usage(text));
        let prefix = &self.topic_prefix;
        if TopicName::parse(prefix).is_err() || prefix.starts_with('$') || prefix.len() > PREFIX_BYTES_MAX {
            return refuse(format!(
                "--topic-prefix '{prefix}' cannot begin a topic; it needs 1 to {PREFIX_BYTES_MAX} bytes, no wildcards and no $"
            ));
        }
        if self.has_messages() && self.payload_bytes < HEADER_BYTES {
            return refuse(format!(
                "--payload {} is too short; each message carries {HEADER_BYTES} bytes that say which one it is",
                self.payload_bytes
            ));
        }
        let clients = self.publishers.saturating_add(self.subscribers.max(self.connections));
        if self.has_messages() && clients.saturating_mul(self.payload_bytes) > PAYLOADS_BYTES_MAX {
            return refuse(format!(
                "--payload {} is too much for {clients} clients; all of them together may have \
                 {PAYLOADS_BYTES_MAX} bytes on their way",
                self.payload_bytes
            ));
        }
        match self.kind {
            Kind::Traffic => self.check_shape()?,
            Kind::Filters(kind) => {
                let (most, fewest) = (FilterSet::filters_max(kind), FilterSet::connections_min(kind));
                let least = FilterSet::filters_min(kind, self.publishers as u64);
                if !(least..=most).contains(&self.items) {
                    return refuse(format!(
                        "--items must be from {least}, so that each publisher has a topic, to {most}, which is how many \
                         different filters there are"
                    ));
                }
                if self.connections < fewest {
                    return refuse(format!(
                        "--connections must be at least {fewest}, so that no connection gets a message twice"
                    ));
                }
            }
            Kind::Offline => {
                if self.qos == QoS::AtMostOnce || self.subscribe_qos == QoS::AtMostOnce {
                    return refuse("messages of QoS 0 are not queued; ask for -q 1 or 2".to_owned());
                }
                if self.connections < self.publishers || self.items < self.connections as u64 {
                    return refuse(format!(
                        "{} messages of {} publishers for {} sessions do not come out even: there must be no more \
                         publishers than sessions (--connections), and no more sessions than messages (--items)",
                        self.items, self.publishers, self.connections
                    ));
                }
            }
            Kind::Retained => {
                if self.items > RETAINED_MAX || self.qos == QoS::AtMostOnce {
                    return refuse(
                        "retained messages are stored with QoS 1 or 2, whose acknowledgements tell when all are \
                         there, and are at most 10 000 000"
                            .to_owned(),
                    );
                }
            }
            Kind::Idle | Kind::Connect => {}
        }
        let width = match self.kind {
            Kind::Traffic if self.shape == Shape::Pairs => 1,
            Kind::Traffic => self.subscribers,
            Kind::Filters(_) | Kind::Offline => self.connections,
            Kind::Idle | Kind::Connect | Kind::Retained => 0,
        };
        if self.publishers.saturating_mul(width) > PAIRS_OF_PUBLISHER_AND_SUBSCRIBER_MAX {
            return refuse(format!(
                "{} publishers and {width} subscribers are too many to keep the order of each for each; \
                 their product may be {PAIRS_OF_PUBLISHER_AND_SUBSCRIBER_MAX}",
                self.publishers
            ));
        }
        Ok(())
    }

    fn check_shape(&self) -> Result<(), Fault> {
        let (publishers, subscribers) = (self.publishers, self.subscribers);
        let text = match self.shape {
            Shape::Pairs if publishers != subscribers => {
                format!("pairs need as many publishers ({publishers}) as subscribers ({subscribers})")
            }
            Shape::FanOut if publishers != 1 => {
                format!("fan-out has one publisher, not {publishers}; for several there is --shape all")
            }
            Shape::FanIn if subscribers != 1 => {
                format!("fan-in has one subscriber, not {subscribers}; for several there is --shape all")
            }
            Shape::FanOut | Shape::FanIn | Shape::All | Shape::Shared if self.topics > 1 => {
                "--topics is for pairs: with other shapes the publishers' topics are the same".to_owned()
            }
            Shape::Pairs | Shape::FanOut | Shape::FanIn | Shape::All | Shape::Shared => return Ok(()),
        };
        Err(Fault::Usage(text))
    }

    const fn has_messages(&self) -> bool {
        match self.kind {
            Kind::Traffic | Kind::Filters(_) | Kind::Retained | Kind::Offline => true,
            Kind::Idle | Kind::Connect => false,
        }
    }

    /// Who hears what, where messages go to subscribers at once.
    pub(super) fn audience(&self) -> Audience {
        match self.shape {
            Shape::Pairs => Audience::Pairs { topics: self.topics },
            Shape::FanOut | Shape::FanIn | Shape::All => Audience::All { subscribers: self.subscribers },
            Shape::Shared => Audience::Shared { members: self.subscribers },
        }
    }

    /// How many topics each publisher goes round, where that is a choice.
    pub(super) fn topics_each(&self) -> Option<u64> {
        (self.kind == Kind::Traffic && self.shape == Shape::Pairs).then_some(self.topics)
    }

    /// The version as it is shown.
    pub(super) const fn protocol_name(&self) -> &'static str {
        match self.protocol {
            ProtocolVersion::V31 => "3.1",
            ProtocolVersion::V311 => "3.1.1",
            ProtocolVersion::V5 => "5",
        }
    }
}

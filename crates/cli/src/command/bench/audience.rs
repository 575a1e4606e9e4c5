//! Who hears which message, and on which topic it is published.

use super::filter_set::FilterSet;
use super::topic_pattern::{Number, Part, TopicPattern};

/// Publishers and subscribers are counted from 0 each.
#[derive(Clone, Debug)]
pub(super) enum Audience {
    /// Each publisher has a subscriber of its own, and goes round so many topics.
    Pairs { topics: u64 },
    /// Every subscriber hears every publisher.
    All { subscribers: usize },
    /// One of a group hears it: a shared subscription. A wildcard subscription to retained messages is a group of one.
    Shared { members: usize },
    /// Those of many filters that match.
    Matching(FilterSet),
    /// Publishers go round their part of the sessions, and nobody hears it while those are offline.
    Sessions { sessions: u64, publishers: u64, is_online: bool },
    /// Every session hears every publisher, but all are offline.
    AllLater,
    /// Nobody yet: messages are retained, each on a topic of its own.
    Nobody { publishers: u64 },
}

/// Six digits are enough for publishers, and topics of one length make packets of one length.
const fn digits(width: usize) -> Number {
    Number { divisor: 1, modulus: 10_u64.pow(width as u32), width }
}

impl Audience {
    /// How many hear one message.
    pub(super) fn fan_out(&self) -> u32 {
        match self {
            Self::Pairs { .. } | Self::Shared { .. } => 1,
            Self::Sessions { is_online, .. } => u32::from(*is_online),
            Self::All { subscribers } => u32::try_from(*subscribers).unwrap_or(u32::MAX),
            Self::Matching(filters) => filters.matches(),
            Self::AllLater | Self::Nobody { .. } => 0,
        }
    }

    /// How many subscribers there are to tell apart.
    pub(super) fn subscribers(&self) -> usize {
        match self {
            Self::Pairs { .. } => 1,
            Self::All { subscribers } => *subscribers,
            Self::Shared { members } => *members,
            Self::Matching(filters) => filters.connections(),
            Self::Sessions { sessions, .. } => usize::try_from(*sessions).unwrap_or(usize::MAX),
            Self::AllLater | Self::Nobody { .. } => 0,
        }
    }

    /// Whether this message is for this subscriber, or may be.
    #[inline]
    pub(super) fn hears(&self, subscriber: usize, publisher: usize, sequence: u64) -> bool {
        match self {
            Self::Pairs { .. } => subscriber == publisher,
            Self::All { subscribers } => subscriber < *subscribers,
            Self::Shared { members } => subscriber < *members,
            Self::Matching(filters) => {
                filters.match_of(self.topic_number(publisher, sequence), subscriber).is_some()
            }
            Self::Sessions { is_online, .. } => {
                *is_online && self.topic_number(publisher, sequence) == subscriber as u64
            }
            Self::AllLater | Self::Nobody { .. } => false,
        }
    }

    /// Which of the topics a message is published on.
    #[inline]
    pub(super) fn topic_number(&self, publisher: usize, sequence: u64) -> u64 {
        let publisher = publisher as u64;
        match self {
            Self::Pairs { topics } => sequence % topics,
            Self::All { .. } | Self::AllLater | Self::Shared { .. } => publisher,
            Self::Matching(filters) => filters.random_topic(publisher, sequence),
            Self::Sessions { sessions, publishers, .. } => {
                publisher + publishers * (sequence % (sessions - publisher).div_ceil(*publishers))
            }
            Self::Nobody { publishers } => publisher + publishers * sequence,
        }
    }

    /// The topics of one publisher.
    pub(super) fn topics(&self, prefix: &str, publisher: usize) -> TopicPattern {
        match self {
            Self::Pairs { topics: 1 } => TopicPattern::fixed(&pair_topic(prefix, publisher)),
            Self::Pairs { .. } => TopicPattern::new(&[
                Part::Text(&pair_topic(prefix, publisher)),
                Part::Text("/"),
                Part::Number(digits(6)),
            ]),
            Self::All { .. } | Self::AllLater => TopicPattern::fixed(&all_topic(prefix)),
            Self::Shared { .. } => TopicPattern::fixed(&format!("{prefix}/shared/{publisher}")),
            Self::Matching(filters) => filters.topics(prefix),
            Self::Sessions { .. } => session_topics(prefix),
            Self::Nobody { .. } => TopicPattern::new(&[
                Part::Text(prefix),
                Part::Text("/retained/"),
                Part::Number(Number { divisor: 1000, modulus: 10_000, width: 4 }),
                Part::Text("/"),
                Part::Number(digits(3)),
            ]),
        }
    }

    /// What one subscriber subscribes to before the messages come.
    pub(super) fn filter(&self, prefix: &str, subscriber: usize) -> Option<String> {
        match self {
            Self::Pairs { topics: 1 } => Some(pair_topic(prefix, subscriber)),
            Self::Pairs { .. } => Some(pair_topic(prefix, subscriber) + "/+"),
            Self::All { .. } => Some(all_topic(prefix)),
            Self::Shared { .. } => Some(format!("$share/bench/{prefix}/shared/+")),
            Self::Sessions { .. } => Some(session_topics(prefix).text(subscriber as u64)),
            // Many filters are a phase of their own.
            Self::AllLater | Self::Matching(_) | Self::Nobody { .. } => None,
        }
    }
}

fn pair_topic(prefix: &str, pair: usize) -> String {
    format!("{prefix}/pair/{pair}")
}

fn all_topic(prefix: &str) -> String {
    format!("{prefix}/all")
}

fn session_topics(prefix: &str) -> TopicPattern {
    TopicPattern::new(&[Part::Text(prefix), Part::Text("/session/"), Part::Number(digits(6))])
}

/// What hears all retained messages.
pub(super) fn retained_filter(prefix: &str) -> String {
    format!("{prefix}/retained/#")
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::{SubscriptionFilter, TopicName};
    use std::collections::BTreeSet;

    /// What a broker would do, against what the audience says.
    fn check(audience: &Audience, publishers: usize, subscribers: usize) {
        let mut heard_total = 0;
        for publisher in 0..publishers {
            let topics = audience.topics("t", publisher);
            for sequence in 0..20 {
                let topic = topics.text(audience.topic_number(publisher, sequence));
                let topic = TopicName::parse(&topic).unwrap();
                for subscriber in 0..subscribers {
                    let filter = audience.filter("t", subscriber).unwrap();
                    let matches = SubscriptionFilter::parse(&filter).unwrap().filter.matches(topic);
                    assert_eq!(
                        matches,
                        audience.hears(subscriber, publisher, sequence),
                        "{filter} {}",
                        topic.as_str()
                    );
                    heard_total += u32::from(matches);
                }
            }
        }
        if !matches!(audience, Audience::Shared { .. }) {
            assert_eq!(heard_total, audience.fan_out() * 20 * publishers as u32);
        }
    }

    #[test]
    fn filters_match_those_topics_that_shall_be_heard() {
        check(&Audience::Pairs { topics: 1 }, 12, 12);
        check(&Audience::Pairs { topics: 3 }, 12, 12);
        check(&Audience::All { subscribers: 3 }, 2, 3);
        check(&Audience::Shared { members: 3 }, 2, 3);
        check(&Audience::Sessions { sessions: 7, publishers: 3, is_online: true }, 3, 7);
    }

    #[test]
    fn sessions_get_equal_parts() {
        let audience = Audience::Sessions { sessions: 10, publishers: 4, is_online: false };
        // The first two publishers have three sessions, the others two: 5 rounds reach each session five times.
        for (publisher, sessions) in [(0, 3), (1, 3), (2, 2), (3, 2)] {
            let numbers: Vec<_> =
                (0..sessions * 5).map(|sequence| audience.topic_number(publisher, sequence)).collect();
            let distinct: BTreeSet<_> = numbers.iter().copied().collect();
            assert_eq!(distinct.len() as u64, sessions);
            for session in distinct {
                assert_eq!(session % 4, publisher as u64);
                assert_eq!(numbers.iter().filter(|number| **number == session).count(), 5);
            }
        }
    }

    #[test]
    fn retained_topics_are_all_different() {
        let audience = Audience::Nobody { publishers: 10 };
        let mut topics = BTreeSet::new();
        for publisher in 0..10 {
            let pattern = audience.topics("t", publisher);
            for sequence in 0..500 {
                topics.insert(pattern.text(audience.topic_number(publisher, sequence)));
            }
        }
        assert_eq!(topics.len(), 5000);
        assert_eq!(topics.first().map(String::as_str), Some("t/retained/0000/000"));
        assert_eq!(topics.last().map(String::as_str), Some("t/retained/0004/999"));
    }
}

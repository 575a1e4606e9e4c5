//! What came so far, and what the next message means after that.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::audience::Audience;
use super::filter_set::FilterSet;
use super::seen::Seen;

/// Gaps that one subscriber may have; beyond, what fills the oldest counts as doubled instead of late.
const GAPS_MAX: usize = 4096;

/// Order is promised within a topic [MQTT-4.6.0-5] [MQTT311-4.6.0-6], not beyond.
#[derive(Debug)]
pub(super) enum History {
    /// All that a subscriber hears of a publisher is on one topic.
    OneTopic {
        /// By publisher and subscriber: the number after the highest that came.
        next: Vec<u64>,
        /// What was skipped, where something was.
        gaps: HashMap<usize, VecDeque<Range<u64>>>,
        /// Subscribers of each publisher.
        width: usize,
    },
    /// Each topic is published to by one publisher, and each message reaches one connection for each match.
    ManyTopics {
        filters: FilterSet,
        /// By publisher and match.
        seen: Vec<Seen>,
        /// By topic and match: the number after the last that came.
        next: Vec<u64>,
    },
    /// By publisher: each message comes once, in any order.
    AnyOrder(Vec<Seen>),
}

impl History {
    pub(super) fn new(publishers: usize, audience: &Audience) -> Self {
        let seen = |count| (0..count).map(|_| Seen::default()).collect();
        match audience {
            Audience::Pairs { .. } | Audience::All { .. } | Audience::Sessions { .. } => {
                let width = audience.subscribers();
                Self::OneTopic { next: vec![0; publishers * width], gaps: HashMap::new(), width }
            }
            Audience::Matching(filters) => {
                let matches = filters.matches() as usize;
                let topics = usize::try_from(filters.topic_count()).unwrap_or(usize::MAX);
                let next = vec![0; topics.saturating_mul(matches)];
                Self::ManyTopics { filters: filters.clone(), seen: seen(publishers * matches), next }
            }
            Audience::Shared { .. } | Audience::AllLater | Audience::Nobody { .. } => {
                Self::AnyOrder(seen(publishers))
            }
        }
    }

    /// For each publisher and subscriber that missed something: the publisher, and what it missed first.
    pub(super) fn missed(&self) -> Vec<(usize, Range<u64>)> {
        match self {
            Self::OneTopic { gaps, width, .. } => {
                let first = |(index, gaps): (&usize, &VecDeque<Range<u64>>)| {
                    Some((index / width, gaps.front()?.clone()))
                };
                gaps.iter().filter_map(first).collect()
            }
            Self::ManyTopics { .. } | Self::AnyOrder(_) => Vec::new(),
        }
    }

    /// What it means that this message comes now; it is for this subscriber.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        audience: &Audience,
        subscriber: usize,
        publisher: usize,
        sequence: u64,
    ) -> Arrival {
        match self {
            Self::OneTopic { next, gaps, width } => {
                let index = if *width == 1 { publisher } else { publisher * *width + subscriber };
                if sequence == next[index] {
                    next[index] += 1;
                    Arrival::InOrder
                } else if sequence > next[index] {
                    let skipped = next[index]..sequence;
                    next[index] = sequence + 1;
                    note_gap(gaps, index, skipped, |sequence| {
                        audience.hears(subscriber, publisher, sequence)
                    });
                    Arrival::InOrder
                } else if gaps.get_mut(&index).is_some_and(|gaps| fill_gap(gaps, sequence)) {
                    Arrival::Late { after: next[index] - 1 }
                } else {
                    Arrival::Again
                }
            }
            Self::ManyTopics { filters, seen, next } => {
                let topic = filters.random_topic(publisher as u64, sequence);
                let matches = filters.matches() as usize;
                let Some(place) = filters.match_of(topic, subscriber) else { return Arrival::Again };
                if !seen[publisher * matches + place].insert(sequence) {
                    return Arrival::Again;
                }
                let next = &mut next[topic as usize * matches + place];
                if sequence < *next {
                    return Arrival::Late { after: *next - 1 };
                }
                *next = sequence + 1;
                Arrival::InOrder
            }
            Self::AnyOrder(seen) => match seen[publisher].insert(sequence) {
                true => Arrival::InOrder,
                false => Arrival::Again,
            },
        }
    }
}

/// How a message came.
pub(super) enum Arrival {
    InOrder,
    /// For the first time, and after this later one.
    Late {
        after: u64,
    },
    Again,
}

#[cold]
fn note_gap(
    gaps: &mut HashMap<usize, VecDeque<Range<u64>>>,
    index: usize,
    skipped: Range<u64>,
    hears: impl Fn(u64) -> bool,
) {
    let mut rest = skipped;
    while let Some(start) = rest.find(|sequence| hears(*sequence)) {
        let end = rest.find(|sequence| !hears(*sequence)).unwrap_or(rest.end);
        let gaps = gaps.entry(index).or_default();
        if gaps.len() == GAPS_MAX {
            gaps.pop_front();
        }
        gaps.push_back(start..end);
    }
}

/// Takes a message out of the gaps it was missing from.
fn fill_gap(gaps: &mut VecDeque<Range<u64>>, sequence: u64) -> bool {
    let Some(at) = gaps.iter().position(|gap| gap.contains(&sequence)) else { return false };
    let gap = gaps[at].clone();
    gaps[at] = gap.start..sequence;
    gaps.insert(at + 1, sequence + 1..gap.end);
    gaps.retain(|gap| !gap.is_empty());
    true
}

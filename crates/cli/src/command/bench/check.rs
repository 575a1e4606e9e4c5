//! Finds what was lost, doubled, out of order, or sent to the wrong one.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::audience::Audience;
use super::payload::Header;

/// Faults that are told in words.
const EXAMPLES_MAX: usize = 5;
/// Gaps that one subscriber may have; beyond, what fills the oldest counts as doubled instead of late.
const GAPS_MAX: usize = 4096;

/// Looks at each delivery of a run.
#[derive(Debug)]
pub(super) struct Checker {
    run: u32,
    audience: Audience,
    history: History,
    /// By publisher: deliveries that were expected and came, each once.
    delivered: Vec<u64>,
    pub(super) tally: Tally,
}

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    /// To somebody who did not ask for it, or nothing that was ever published.
    pub(super) misrouted: u64,
    /// The first faults, in words.
    pub(super) examples: Vec<String>,
}

#[derive(Debug)]
enum History {
    /// Each subscriber hears what is for it in the order of publishing.
    Ordered {
        /// By publisher and subscriber: the number after the highest that came.
        next: Vec<u64>,
        /// What was skipped, where something was.
        gaps: HashMap<usize, VecDeque<Range<u64>>>,
    },
    /// By publisher: each message comes once, in any order.
    Unordered(Vec<Seen>),
}

impl Tally {
    /// Whether every message came where it should, once, in order.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.misrouted == 0
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }
}

impl Checker {
    pub(super) fn new(run: u32, publishers: usize, audience: Audience) -> Self {
        let history = match audience.is_ordered() {
            true => {
                let next = vec![0; publishers * audience.order_width()];
                History::Ordered { next, gaps: HashMap::new() }
            }
            false => History::Unordered((0..publishers).map(|_| Seen::default()).collect()),
        };
        Self { run, audience, history, delivered: vec![0; publishers], tally: Tally::default() }
    }

    /// A message came. `sent` is how many the publisher it names has sent. Tells whether it was expected, and came for
    /// the first time.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        subscriber: usize,
        header: Option<Header>,
        sent: impl FnOnce(usize) -> u64,
    ) -> bool {
        let Some(header) = header.filter(|header| header.run == self.run) else {
            self.tally.misrouted += 1;
            self.tally.note(|| {
                format!(
                    "subscriber {subscriber} got a message that is not of this run; loads that run at the same time \
                     need a --topic-prefix each"
                )
            });
            return false;
        };
        let publisher = header.publisher as usize;
        if publisher >= self.delivered.len()
            || header.sequence >= sent(publisher)
            || !self.audience.hears(subscriber, publisher, header.sequence)
        {
            self.tally.misrouted += 1;
            self.tally.note(|| {
                format!(
                    "subscriber {subscriber} got message {} of publisher {publisher}, which was not for it",
                    header.sequence
                )
            });
            return false;
        }
        let is_new = match &mut self.history {
            History::Unordered(seen) => {
                let is_new = seen[publisher].insert(header.sequence);
                if !is_new {
                    self.tally.duplicated += 1;
                    self.tally.note(|| doubled(subscriber, header));
                }
                is_new
            }
            History::Ordered { next, gaps } => {
                let index = self.audience.order_index(subscriber, publisher);
                if header.sequence == next[index] {
                    next[index] += 1;
                    true
                } else if header.sequence > next[index] {
                    let skipped = next[index]..header.sequence;
                    next[index] = header.sequence + 1;
                    note_gap(gaps, index, skipped, |sequence| {
                        self.audience.hears(subscriber, publisher, sequence)
                    });
                    true
                } else if gaps.get_mut(&index).is_some_and(|gaps| fill_gap(gaps, header.sequence)) {
                    self.tally.reordered += 1;
                    self.tally.note(|| {
                        format!(
                            "subscriber {subscriber} got message {} of publisher {publisher} after message {}",
                            header.sequence,
                            next[index] - 1
                        )
                    });
                    true
                } else {
                    self.tally.duplicated += 1;
                    self.tally.note(|| doubled(subscriber, header));
                    false
                }
            }
        };
        if is_new {
            self.delivered[publisher] += 1;
            self.tally.delivered += 1;
        }
        is_new
    }

    /// Nothing comes any more: what has not come is lost. `sent` has each publisher's number of messages.
    pub(super) fn finish(mut self, sent: impl Iterator<Item = u64>) -> Tally {
        let fan_out = u64::from(self.audience.fan_out());
        for (publisher, (sent, delivered)) in sent.zip(&self.delivered).enumerate() {
            let expected = sent * fan_out;
            let lost = expected.saturating_sub(*delivered);
            self.tally.lost += lost;
            if lost > 0 {
                self.tally.note(|| {
                    format!("{lost} of {expected} deliveries of publisher {publisher} did not come")
                });
            }
        }
        if let History::Ordered { gaps, .. } = &self.history {
            for (index, gaps) in gaps {
                if let Some(gap) = gaps.front() {
                    let (publisher, width) = (index / self.audience.order_width(), gap.end - gap.start);
                    self.tally.note(|| {
                        format!(
                            "of publisher {publisher}, {width} from message {} on were left out",
                            gap.start
                        )
                    });
                }
            }
        }
        self.tally
    }
}

fn doubled(subscriber: usize, header: Header) -> String {
    format!("subscriber {subscriber} got message {} of publisher {} again", header.sequence, header.publisher)
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

/// A set of numbers of which nearly all up to a moving front are in it.
#[derive(Debug, Default)]
struct Seen {
    /// All below `64 * full` are in it.
    full: u64,
    /// One bit a number from there on.
    words: VecDeque<u64>,
}

impl Seen {
    /// False if it was in there already.
    #[inline]
    fn insert(&mut self, number: u64) -> bool {
        let Some(word) = (number / 64).checked_sub(self.full) else { return false };
        let word = word as usize;
        while self.words.len() <= word {
            self.words.push_back(0);
        }
        let bit = 1 << (number % 64);
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.full += 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 7;
    const SENT: u64 = 1000;

    fn header(publisher: u32, sequence: u64) -> Option<Header> {
        Some(Header { run: RUN, publisher, sequence, due_ns: 0 })
    }

    /// One publisher of `sent` messages, which come to the subscribers as told: (subscriber, number).
    fn check(audience: Audience, sent: u64, deliveries: &[(usize, u64)]) -> Tally {
        let mut checker = Checker::new(RUN, 1, audience);
        for (subscriber, sequence) in deliveries {
            checker.deliver(*subscriber, header(0, *sequence), |_| sent);
        }
        checker.finish(std::iter::once(sent))
    }

    fn counts(tally: &Tally) -> [u64; 5] {
        [tally.delivered, tally.lost, tally.duplicated, tally.reordered, tally.misrouted]
    }

    #[test]
    fn all_once_in_order_is_clean() {
        let tally = check(Audience::All { subscribers: 2 }, 2, &[(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert!(tally.is_clean());
        assert_eq!(counts(&tally), [4, 0, 0, 0, 0]);
        assert_eq!(tally.examples, [""; 0]);
    }

    #[test]
    fn a_lost_message_is_found() {
        let tally = check(Audience::Pairs, 3, &[(0, 0), (0, 2)]);
        assert_eq!(counts(&tally), [2, 1, 0, 0, 0]);
        assert_eq!(
            tally.examples,
            [
                "1 of 3 deliveries of publisher 0 did not come",
                "of publisher 0, 1 from message 1 on were left out"
            ]
        );
        assert!(!tally.is_clean());
    }

    #[test]
    fn the_last_messages_can_be_lost_too() {
        assert_eq!(counts(&check(Audience::Pairs, 3, &[(0, 0)])), [1, 2, 0, 0, 0]);
        assert_eq!(counts(&check(Audience::Pairs, 3, &[])), [0, 3, 0, 0, 0]);
    }

    #[test]
    fn a_doubled_message_is_found_and_makes_up_for_no_lost_one() {
        let tally = check(Audience::Pairs, 3, &[(0, 0), (0, 1), (0, 1)]);
        assert_eq!(counts(&tally), [2, 1, 1, 0, 0]);
        assert_eq!(tally.examples[0], "subscriber 0 got message 1 of publisher 0 again");
    }

    #[test]
    fn swapped_messages_are_found_and_not_lost() {
        let tally = check(Audience::Pairs, 5, &[(0, 0), (0, 3), (0, 2), (0, 1), (0, 4), (0, 2)]);
        assert_eq!(counts(&tally), [5, 0, 1, 2, 0]);
        assert_eq!(tally.examples[0], "subscriber 0 got message 2 of publisher 0 after message 3");
    }

    #[test]
    fn what_was_not_asked_for_is_found() {
        assert_eq!(counts(&check(Audience::Pairs, 1, &[(1, 0), (0, 0)])), [1, 0, 0, 0, 1]);
        // Never sent.
        assert_eq!(counts(&check(Audience::Pairs, 1, &[(0, 1), (0, 0)])), [1, 0, 0, 0, 1]);
        let mut checker = Checker::new(RUN, 1, Audience::Pairs);
        for strange in [None, header(1, 0), header(0, 0).map(|header| Header { run: 8, ..header })] {
            assert!(!checker.deliver(0, strange, |_| SENT));
        }
        assert_eq!(checker.tally.misrouted, 3);
    }

    #[test]
    fn a_group_gets_each_message_once_in_any_order() {
        let group = Audience::Shared { members: 3 };
        let clean =
            check(group.clone(), 200, &(0..200).rev().map(|n| (n as usize % 3, n)).collect::<Vec<_>>());
        assert_eq!(counts(&clean), [200, 0, 0, 0, 0]);
        assert_eq!(counts(&check(group.clone(), 2, &[(0, 0), (1, 0), (2, 1)])), [2, 0, 1, 0, 0]);
        assert_eq!(counts(&check(group, 2, &[(2, 1)])), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn who_gets_a_part_must_get_all_of_it() {
        // Messages 0, 3, 6 … of the one publisher are for session 0.
        let sessions = Audience::Sessions { sessions: 3, publishers: 1, is_online: true };
        let right: Vec<_> = (0..9).map(|n| (n as usize % 3, n)).collect();
        assert_eq!(counts(&check(sessions.clone(), 9, &right)), [9, 0, 0, 0, 0]);
        let late: Vec<_> = [(0, 0), (0, 6), (0, 3)].into_iter().chain(right[1..3].iter().copied()).collect();
        assert_eq!(counts(&check(sessions.clone(), 9, &late)), [5, 4, 0, 1, 0]);
        assert_eq!(counts(&check(sessions, 3, &[(1, 0), (1, 1), (2, 2)])), [2, 1, 0, 0, 1]);
    }
}

//! Finds what was lost, doubled, out of order, or sent to the wrong one.

use super::audience::Audience;
use super::history::{Arrival, History};
use super::payload::Header;
use super::subscriber::Heard;

/// Faults that are told in words.
const EXAMPLES_MAX: usize = 5;

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
    /// To somebody who did not ask for it, or not as it was published.
    pub(super) misrouted: u64,
    /// The first faults, in words.
    pub(super) examples: Vec<String>,
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
        let history = History::new(publishers, &audience);
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
        let is_new = match self.history.deliver(&self.audience, subscriber, publisher, header.sequence) {
            Arrival::InOrder => true,
            Arrival::Late { after } => {
                self.tally.reordered += 1;
                self.tally.note(|| {
                    format!(
                        "subscriber {subscriber} got message {} of publisher {publisher} after message {after}",
                        header.sequence
                    )
                });
                true
            }
            Arrival::Again => {
                self.tally.duplicated += 1;
                self.tally.note(|| {
                    format!(
                        "subscriber {subscriber} got message {} of publisher {publisher} again",
                        header.sequence
                    )
                });
                false
            }
        };
        if is_new {
            self.delivered[publisher] += 1;
            self.tally.delivered += 1;
        }
        is_new
    }

    /// A message of this run came with another topic, another payload or a lower QoS than it has. It counts as lost too,
    /// as long as it does not come whole.
    #[cold]
    pub(super) fn spoil(&mut self, subscriber: usize, heard: Heard<'_>, qos_level: u8) {
        self.tally.misrouted += 1;
        self.tally.note(|| {
            format!(
                "subscriber {subscriber} got a message with {} bytes of payload on '{}' at QoS {qos_level}, which is \
                 not what was published",
                heard.payload.len(),
                heard.topic.escape_ascii()
            )
        });
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
        for (publisher, gap) in self.history.missed() {
            let count = gap.end - gap.start;
            self.tally.note(|| {
                format!("of publisher {publisher}, {count} from message {} on were left out", gap.start)
            });
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter_set::{FilterKind, FilterSet};
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
        let tally = check(Audience::Pairs { topics: 1 }, 3, &[(0, 0), (0, 2)]);
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
        assert_eq!(counts(&check(Audience::Pairs { topics: 1 }, 3, &[(0, 0)])), [1, 2, 0, 0, 0]);
        assert_eq!(counts(&check(Audience::Pairs { topics: 1 }, 3, &[])), [0, 3, 0, 0, 0]);
    }

    #[test]
    fn a_doubled_message_is_found_and_makes_up_for_no_lost_one() {
        let tally = check(Audience::Pairs { topics: 1 }, 3, &[(0, 0), (0, 1), (0, 1)]);
        assert_eq!(counts(&tally), [2, 1, 1, 0, 0]);
        assert_eq!(tally.examples[0], "subscriber 0 got message 1 of publisher 0 again");
    }

    #[test]
    fn swapped_messages_are_found_and_not_lost() {
        let tally =
            check(Audience::Pairs { topics: 1 }, 5, &[(0, 0), (0, 3), (0, 2), (0, 1), (0, 4), (0, 2)]);
        assert_eq!(counts(&tally), [5, 0, 1, 2, 0]);
        assert_eq!(tally.examples[0], "subscriber 0 got message 2 of publisher 0 after message 3");
    }

    #[test]
    fn what_was_not_asked_for_is_found() {
        assert_eq!(counts(&check(Audience::Pairs { topics: 1 }, 1, &[(1, 0), (0, 0)])), [1, 0, 0, 0, 1]);
        // Never sent.
        assert_eq!(counts(&check(Audience::Pairs { topics: 1 }, 1, &[(0, 1), (0, 0)])), [1, 0, 0, 0, 1]);
        let mut checker = Checker::new(RUN, 1, Audience::Pairs { topics: 1 });
        for strange in [None, header(1, 0), header(0, 0).map(|header| Header { run: 8, ..header })] {
            assert!(!checker.deliver(0, strange, |_| SENT));
        }
        assert_eq!(checker.tally.misrouted, 3);
    }

    #[test]
    fn what_came_otherwise_than_it_was_published_makes_up_for_no_lost_one() {
        let mut checker = Checker::new(RUN, 1, Audience::Pairs { topics: 1 });
        checker.spoil(0, Heard { topic: b"t/\xFF", payload: &[b'x'; 44] }, 0);
        let tally = checker.finish(std::iter::once(1));
        assert_eq!(counts(&tally), [0, 1, 0, 0, 1]);
        let told = "44 bytes of payload on 't/\\xff' at QoS 0";
        assert!(tally.examples[0].contains(told), "{:?}", tally.examples);
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

    #[test]
    fn with_many_topics_order_counts_within_each() {
        let filters = FilterSet::new(FilterKind::Device, 2, 1, 1);
        let topics: Vec<_> = (0..6).map(|sequence| filters.random_topic(0, sequence)).collect();
        let audience = || Audience::Matching(filters.clone());
        let by_topic =
            |topic| (0..6).filter(|n| topics[*n as usize] == topic).map(|n| (0, n)).collect::<Vec<_>>();
        // First all of one topic, then all of the other: fine. Within a topic from behind: all but one are late.
        let (first, second) = (by_topic(0), by_topic(1));
        assert!(first.len() > 1, "{topics:?}");
        let apart = [first.clone(), second.clone()].concat();
        assert_eq!(counts(&check(audience(), 6, &apart)), [6, 0, 0, 0, 0]);
        let from_behind = first.iter().rev().chain(&second).copied().collect::<Vec<_>>();
        let late = first.len() as u64 - 1;
        assert_eq!(counts(&check(audience(), 6, &from_behind)), [6, 0, 0, late, 0]);
        let doubled = [apart.clone(), vec![apart[0]]].concat();
        assert_eq!(counts(&check(audience(), 6, &doubled)), [6, 0, 1, 0, 0]);
        assert_eq!(counts(&check(audience(), 6, &apart[1..])), [5, 1, 0, 0, 0]);
    }

    #[test]
    fn each_match_gets_its_own_copy() {
        let filters = FilterSet::new(FilterKind::Mixed, 8, 3, 1);
        let copies: Vec<_> = (0..3).map(|connection| (connection, 0)).collect();
        assert_eq!(counts(&check(Audience::Matching(filters.clone()), 1, &copies)), [3, 0, 0, 0, 0]);
        let twice_to_one = [copies[0], copies[0], copies[1]];
        assert_eq!(counts(&check(Audience::Matching(filters), 1, &twice_to_one)), [2, 1, 1, 0, 0]);
    }
}

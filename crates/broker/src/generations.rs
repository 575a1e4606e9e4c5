//! Which remembered routes are outdated.

use crate::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

/// Counters of changes to subscriptions, so many that a change touches few topics.
///
/// A filter without wildcards counts at the hash of the one topic it matches. One with wildcards counts at the hash
/// of its first two levels if both are literal, else of its first one if that is literal, else at the one counter
/// for all topics. So a topic depends on four counters, and what was remembered about it holds as long as their sum is
/// the same: counters only go up, so a sum that was seen never comes again after a change.
///
/// Whoever changes the topic tree counts while it holds the write lock. Whoever remembers a route reads the sum before
/// it takes the read lock: a change that the route lacks came later, and so does its count.
pub(crate) struct Generations {
    hasher: RandomState,
    counters: Box<[AtomicU64]>,
}

/// The counters a topic depends on. Some may be the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stripes([u16; 4]);

/// The hash of a whole topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TopicHash(pub(crate) u64);

const EXACT: usize = if cfg!(feature = "shuttle") { 4 } else { 1024 };
const TWO_LEVELS: usize = if cfg!(feature = "shuttle") { 2 } else { 512 };
const ONE_LEVEL: usize = if cfg!(feature = "shuttle") { 2 } else { 511 };
/// The counter for filters that may match any topic.
const ANY: usize = EXACT + TWO_LEVELS + ONE_LEVEL;
const COUNTERS: usize = ANY + 1;

impl Generations {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { hasher, counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn hash(&self, topic: &str) -> TopicHash {
        TopicHash(self.hasher.hash_one(topic))
    }

    /// What `topic`, which has this hash, depends on.
    pub(crate) fn stripes(&self, topic: &str, hash: TopicHash) -> Stripes {
        let (first, second) = first_two(topic);
        let one = self.one_level(first);
        let two = second.map_or(one, |second| self.two_levels(first, second));
        Stripes([Self::exact(hash), two, one, ANY].map(|counter| counter as u16))
    }

    /// Changes when a subscription does that may match.
    pub(crate) fn sum(&self, stripes: Stripes) -> u64 {
        stripes.0.iter().fold(0_u64, |sum, &counter| {
            sum.wrapping_add(self.counters[usize::from(counter)].load(Ordering::Acquire))
        })
    }

    /// Counts a change of the subscriptions to `filter`. To be called under the write lock of the tree.
    pub(crate) fn count(&self, filter: &str) {
        let is_wild = |level: &str| level == "+" || level == "#";
        let counter = if has_wildcards(filter) {
            match first_two(filter) {
                (first, _) if is_wild(first) => ANY,
                (first, Some(second)) if !is_wild(second) => self.two_levels(first, second),
                (first, _) => self.one_level(first),
            }
        } else {
            Self::exact(self.hash(filter))
        };
        self.counters[counter].fetch_add(1, Ordering::AcqRel);
    }

    fn exact(TopicHash(hash): TopicHash) -> usize {
        hash as usize % EXACT
    }

    fn two_levels(&self, first: &str, second: &str) -> usize {
        EXACT + self.hasher.hash_one((first, second)) as usize % TWO_LEVELS
    }

    fn one_level(&self, first: &str) -> usize {
        EXACT + TWO_LEVELS + self.hasher.hash_one(first) as usize % ONE_LEVEL
    }
}

/// Whether a filter matches more than one topic: wildcards fill whole levels [MQTT-4.7.1-2].
pub(crate) fn has_wildcards(filter: &str) -> bool {
    filter.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

fn first_two(text: &str) -> (&str, Option<&str>) {
    let mut levels = text.split('/');
    (levels.next().unwrap_or_default(), levels.next())
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_all_topics_it_may_match_and_few_others() {
        let generations = Generations::new(RandomState::with_seeds(1, 2, 3, 4));
        let changes = |filter: &str, topic: &str| {
            let stripes = generations.stripes(topic, generations.hash(topic));
            let before = generations.sum(stripes);
            generations.count(filter);
            generations.sum(stripes) != before
        };
        for (filter, topic) in [
            ("a", "a"),
            ("a/b/c", "a/b/c"),
            ("#", "a/b/c"),
            ("+/b/c", "a/b/c"),
            ("+", "a"),
            ("a/#", "a"),
            ("a/#", "a/b/c"),
            ("a/+", "a/b"),
            ("a/+/c", "a/b/c"),
            ("a/b/#", "a/b"),
            ("a/b/#", "a/b/c"),
            ("a/b/+", "a/b/c"),
            ("/+", "/a"),
            ("/a/#", "/a"),
        ] {
            assert!(changes(filter, topic), "{filter} {topic}");
        }
        for filter in ["a", "a/b", "x/y/z", "x/#", "x/+/c", "a/x/#", "a/x/+"] {
            assert!(!changes(filter, "a/b/c"), "{filter}");
        }
    }
}

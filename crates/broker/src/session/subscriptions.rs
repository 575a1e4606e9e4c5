//! The Topic Filters of one session.

use std::collections::BTreeMap;

use crate::router::Destination;

/// Filters that stand in a list; with more they move to a tree, and stay there.
const LISTED_MAX: usize = 8;

/// Topic Filters as sent, `$share/` and all, in their order, and where the topic tree leads for each. Most sessions
/// have a few: those take no more room than they are long.
#[derive(Debug)]
pub(crate) enum Subscriptions {
    /// Sorted by filter.
    Few(Vec<(Box<str>, Destination)>),
    Many(BTreeMap<Box<str>, Destination>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    /// Makes or replaces a subscription; gives what was replaced.
    pub(crate) fn insert(&mut self, filter: &str, to: Destination) -> Option<Destination> {
        let listed = match self {
            Self::Many(tree) => return tree.insert(filter.into(), to),
            Self::Few(listed) => listed,
        };
        match listed.binary_search_by(|(other, _)| (**other).cmp(filter)) {
            Ok(at) => Some(std::mem::replace(&mut listed[at].1, to)),
            Err(at) if listed.len() < LISTED_MAX => {
                listed.reserve_exact(1);
                listed.insert(at, (filter.into(), to));
                None
            }
            Err(_) => {
                let mut tree: BTreeMap<_, _> = std::mem::take(listed).into_iter().collect();
                tree.insert(filter.into(), to);
                *self = Self::Many(tree);
                None
            }
        }
    }

    /// Takes out the subscription with exactly this filter.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<Destination> {
        match self {
            Self::Few(listed) => {
                let at = listed.binary_search_by(|(other, _)| (**other).cmp(filter)).ok()?;
                Some(listed.remove(at).1)
            }
            Self::Many(tree) => tree.remove(filter),
        }
    }

    /// In the order of the filters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Destination)> {
        let (listed, tree) = match self {
            Self::Few(listed) => (Some(listed.iter().map(|(filter, to)| (&**filter, *to))), None),
            Self::Many(tree) => (None, Some(tree.iter().map(|(filter, to)| (&**filter, *to)))),
        };
        listed.into_iter().flatten().chain(tree.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::ShardIndex;
    use crate::router::GroupAddress;

    fn group(number: u64) -> Destination {
        Destination::Group(GroupAddress { shard: ShardIndex(0), number })
    }

    #[test]
    fn few_and_many_behave_alike() {
        let mut subscriptions = Subscriptions::default();
        let mut model = BTreeMap::new();
        // Up beyond the list, down to nothing, and up again.
        let steps =
            (0..20).map(|n| (n, true)).chain((0..20).map(|n| (n, false))).chain([(3, true), (1, true)]);
        for (round, (n, insert)) in steps.enumerate() {
            let filter = format!("f/{}", n * 7 % 20);
            if insert {
                let to = group(round as u64);
                assert_eq!(subscriptions.insert(&filter, to), model.insert(filter.clone(), to));
                let again = group(1000);
                assert_eq!(subscriptions.insert(&filter, again), model.insert(filter, again));
            } else {
                assert_eq!(subscriptions.remove(&filter), model.remove(&filter));
                assert_eq!(subscriptions.remove(&filter), None);
            }
            assert!(subscriptions.iter().eq(model.iter().map(|(filter, to)| (filter.as_str(), *to))));
        }
    }

    #[test]
    fn one_subscription_takes_the_room_of_one() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert("a", group(1));
        assert!(matches!(subscriptions, Subscriptions::Few(listed) if listed.capacity() == 1));
    }
}

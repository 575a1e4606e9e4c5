//! The Topic Filters of one session.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::router::{Destination, GroupAddress};
use crate::text_set::TextSet;

/// Filters that stand in a list; with more they move to sets, and stay there.
const LISTED_MAX: usize = 8;

/// Topic Filters as sent, `$share/` and all, and where the topic tree leads for each. Most sessions
/// have a few: those take no more room than they are long. Some have hundreds of thousands.
#[derive(Debug)]
pub(crate) enum Subscriptions {
    /// Sorted by filter.
    Few(Vec<(Box<str>, Destination)>),
    Many(Box<Many>),
}

/// Most filters lead to the session itself, all to the same place.
#[derive(Debug, Default)]
pub(crate) struct Many {
    own: Option<(Destination, TextSet)>,
    groups: BTreeMap<Box<str>, Destination>,
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
            Self::Many(many) => return many.insert(filter, to),
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
                let mut many = Box::<Many>::default();
                for (filter, to) in listed.drain(..) {
                    many.insert(&filter, to);
                }
                many.insert(filter, to);
                *self = Self::Many(many);
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
            Self::Many(many) => many.remove(filter),
        }
    }

    /// The group of a shared subscription with exactly this filter.
    pub(crate) fn group(&self, filter: &str) -> Option<GroupAddress> {
        let to = match self {
            Self::Few(listed) => {
                let at = listed.binary_search_by(|(other, _)| (**other).cmp(filter)).ok()?;
                listed[at].1
            }
            Self::Many(many) => *many.groups.get(filter)?,
        };
        match to {
            Destination::Group(group) => Some(group),
            Destination::Session(_) => None,
        }
    }

    /// In an order that follows from the filters alone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Destination)> {
        let (listed, many) = match self {
            Self::Few(listed) => (&**listed, None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        let own = many.and_then(|many| many.own.as_ref());
        let own =
            own.into_iter().flat_map(|(to, filters)| filters.texts().map(|filter| (Cow::Owned(filter), *to)));
        let groups = many.into_iter().flat_map(|many| &many.groups);
        let listed = listed.iter().map(|(filter, to)| (Cow::Borrowed(&**filter), *to));
        listed.chain(own).chain(groups.map(|(filter, to)| (Cow::Borrowed(&**filter), *to)))
    }
}

impl Many {
    fn insert(&mut self, filter: &str, to: Destination) -> Option<Destination> {
        match to {
            Destination::Session(_) => {
                let (own, filters) = self.own.get_or_insert_with(|| (to, TextSet::new()));
                (!filters.insert(filter)).then(|| std::mem::replace(own, to))
            }
            Destination::Group(_) => self.groups.insert(filter.into(), to),
        }
    }

    fn remove(&mut self, filter: &str) -> Option<Destination> {
        if let Some((own, filters)) = &mut self.own
            && filters.remove(filter)
        {
            return Some(*own);
        }
        self.groups.remove(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionNumber;
    use crate::parcel::ShardIndex;
    use crate::router::SessionAddress;

    fn group(number: u64) -> Destination {
        Destination::Group(GroupAddress { shard: ShardIndex(0), number })
    }

    #[test]
    fn few_and_many_behave_alike() {
        let mut subscriptions = Subscriptions::default();
        let mut model = BTreeMap::new();
        let me =
            Destination::Session(SessionAddress { shard: ShardIndex(0), slot: 1, number: SessionNumber(2) });
        // Up beyond the list, down to nothing, and up again.
        let steps =
            (0..20).map(|n| (n, true)).chain((0..20).map(|n| (n, false))).chain([(3, true), (1, true)]);
        for (round, (n, insert)) in steps.enumerate() {
            // Those of groups, whose filters begin with `$`, come last.
            let is_mine = n % 3 > 0;
            let filter = format!("{}/{}", if is_mine { "$SYS" } else { "$share/g" }, n * 7 % 20);
            if insert {
                let to = if is_mine { me } else { group(round as u64) };
                assert_eq!(subscriptions.insert(&filter, to), model.insert(filter.clone(), to));
                let again = if is_mine { me } else { group(1000) };
                assert_eq!(subscriptions.insert(&filter, again), model.insert(filter.clone(), again));
            } else {
                assert_eq!(subscriptions.remove(&filter), model.remove(&filter));
                assert_eq!(subscriptions.remove(&filter), None);
            }
            let of_group = model.get(&filter).and_then(|to| match to {
                Destination::Group(group) => Some(*group),
                Destination::Session(_) => None,
            });
            assert_eq!(subscriptions.group(&filter), of_group);
            assert!(subscriptions.iter().eq(model.iter().map(|(filter, to)| (filter.as_str().into(), *to))));
        }
    }

    #[test]
    fn one_subscription_takes_the_room_of_one() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert("a", group(1));
        assert!(matches!(subscriptions, Subscriptions::Few(listed) if listed.capacity() == 1));
    }
}

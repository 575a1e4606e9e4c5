//! The Topic Filters of one session.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::router::GroupAddress;
use crate::text_set::TextSet;

/// Filters that stand in a list; with more they move to sets, and stay there.
const LISTED_MAX: usize = 8;

/// Topic Filters as sent, `$share/` and all, and the groups that shared ones lead to; the others lead to the session
/// itself. Most sessions have one or a few: those take no more room than they are long. Some have hundreds of thousands.
#[derive(Debug)]
pub(crate) enum Subscriptions {
    /// One that is not shared.
    One(Box<str>),
    /// Sorted by filter.
    Few(Vec<Listed>),
    Many(Box<Many>),
}

type Listed = (Box<str>, Option<GroupAddress>);

#[derive(Debug, Default)]
pub(crate) struct Many {
    own: TextSet,
    groups: BTreeMap<Box<str>, GroupAddress>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    /// Makes or replaces a subscription, to a group if it is shared; true if it is new.
    pub(crate) fn insert(&mut self, filter: &str, group: Option<GroupAddress>) -> bool {
        match self {
            Self::One(only) if group.is_none() && **only == *filter => false,
            Self::One(only) => {
                let mut listed = vec![(std::mem::take(only), None)];
                let is_new = enter(&mut listed, filter, group);
                *self = Self::Few(listed);
                is_new
            }
            Self::Few(listed) if listed.is_empty() && group.is_none() => {
                *self = Self::One(filter.into());
                true
            }
            Self::Few(listed) if listed.len() < LISTED_MAX || find(listed, filter).is_ok() => {
                enter(listed, filter, group)
            }
            Self::Few(listed) => {
                let mut many = Box::<Many>::default();
                for (filter, group) in listed.drain(..) {
                    many.insert(&filter, group);
                }
                many.insert(filter, group);
                *self = Self::Many(many);
                true
            }
            Self::Many(many) => many.insert(filter, group),
        }
    }

    /// Takes out the subscription with exactly this filter, if there is one, and gives the group it led to, if it was
    /// shared.
    pub(crate) fn remove(&mut self, filter: &str) -> Option<Option<GroupAddress>> {
        match self {
            Self::One(only) if **only == *filter => {
                *self = Self::default();
                Some(None)
            }
            Self::One(_) => None,
            Self::Few(listed) => {
                let at = find(listed, filter).ok()?;
                Some(listed.remove(at).1)
            }
            Self::Many(many) => many.remove(filter),
        }
    }

    /// The group of a shared subscription with exactly this filter.
    pub(crate) fn group(&self, filter: &str) -> Option<GroupAddress> {
        match self {
            Self::One(_) => None,
            Self::Few(listed) => listed[find(listed, filter).ok()?].1,
            Self::Many(many) => many.groups.get(filter).copied(),
        }
    }

    /// Those that are not shared, in order.
    pub(crate) fn own(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (one, listed, many) = self.parts();
        let listed = listed.iter().filter(|(_, group)| group.is_none()).map(|(filter, _)| &**filter);
        let texts = many.into_iter().flat_map(|many| many.own.texts());
        one.into_iter().chain(listed).map(Cow::Borrowed).chain(texts.map(Cow::Owned))
    }

    /// The shared ones with their groups, in the order of their filters.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, GroupAddress)> {
        let (_, listed, many) = self.parts();
        let listed = listed.iter().filter_map(|(filter, group)| Some((&**filter, (*group)?)));
        let groups = many.into_iter().flat_map(|many| &many.groups);
        listed.chain(groups.map(|(filter, group)| (&**filter, *group)))
    }

    fn parts(&self) -> (Option<&str>, &[Listed], Option<&Many>) {
        match self {
            Self::One(only) => (Some(only), &[], None),
            Self::Few(listed) => (None, listed, None),
            Self::Many(many) => (None, &[], Some(many)),
        }
    }
}

fn find(listed: &[Listed], filter: &str) -> Result<usize, usize> {
    listed.binary_search_by(|(other, _)| (**other).cmp(filter))
}

/// Into a list, in order; true if it is new.
fn enter(listed: &mut Vec<Listed>, filter: &str, group: Option<GroupAddress>) -> bool {
    match find(listed, filter) {
        Ok(at) => {
            listed[at].1 = group;
            false
        }
        Err(at) => {
            listed.reserve_exact(1);
            listed.insert(at, (filter.into(), group));
            true
        }
    }
}

impl Many {
    fn insert(&mut self, filter: &str, group: Option<GroupAddress>) -> bool {
        match group {
            None => self.own.insert(filter),
            Some(group) => self.groups.insert(filter.into(), group).is_none(),
        }
    }

    fn remove(&mut self, filter: &str) -> Option<Option<GroupAddress>> {
        if self.own.remove(filter) {
            return Some(None);
        }
        self.groups.remove(filter).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::ShardIndex;

    fn group(number: u64) -> GroupAddress {
        GroupAddress { shard: ShardIndex(0), number }
    }

    #[test]
    fn few_and_many_behave_alike() {
        let mut subscriptions = Subscriptions::default();
        let mut model = BTreeMap::new();
        // Up beyond the list, down to nothing, and up again.
        let steps =
            (0..20).map(|n| (n, true)).chain((0..20).map(|n| (n, false))).chain([(3, true), (1, true)]);
        for (round, (n, insert)) in steps.enumerate() {
            // Those of groups, whose filters begin with `$`, come last.
            let is_mine = n % 3 > 0;
            let filter = format!("{}/{}", if is_mine { "$SYS" } else { "$share/g" }, n * 7 % 20);
            if insert {
                for number in [round as u64, 1000] {
                    let to = (!is_mine).then(|| group(number));
                    let is_new = model.insert(filter.clone(), to).is_none();
                    assert_eq!(subscriptions.insert(&filter, to), is_new);
                }
            } else {
                assert_eq!(subscriptions.remove(&filter), model.remove(&filter));
                assert_eq!(subscriptions.remove(&filter), None);
            }
            assert_eq!(subscriptions.group(&filter), model.get(&filter).copied().flatten());
            let own = model.iter().filter(|(_, to)| to.is_none()).map(|(filter, _)| Cow::from(filter));
            assert!(subscriptions.own().eq(own));
            let groups = model.iter().filter_map(|(filter, to)| Some((filter.as_str(), (*to)?)));
            assert!(subscriptions.groups().eq(groups));
        }
    }

    #[test]
    fn one_subscription_takes_the_room_of_one() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.insert("a", None) && !subscriptions.insert("a", None));
        assert!(matches!(subscriptions, Subscriptions::One(_)));
        assert_eq!((subscriptions.remove("b"), subscriptions.remove("a")), (None, Some(None)));
        assert!(subscriptions.insert("a", Some(group(1))) && subscriptions.insert("b", None));
        assert!(matches!(subscriptions, Subscriptions::Few(listed) if listed.capacity() == 2));
        assert_eq!(size_of::<Subscriptions>(), 24);
    }
}

//! Which groups of shared subscriptions exist, and which shard owns each.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::parcel::ShardIndex;
use crate::router::GroupAddress;

/// All groups by their whole filter, `$share/` and all. The shard of a group's first member owns it.
pub(crate) struct GroupDirectory {
    groups: HashMap<Arc<str>, Entry, RandomState>,
    filters: HashMap<GroupAddress, Arc<str>, RandomState>,
    /// The number of the next group. It is not used again when its group ends: messages that came through the old
    /// group and are still under way must not reach another one.
    next: u64,
}

struct Entry {
    filter: Arc<str>,
    address: GroupAddress,
    members: usize,
    /// Whether a member's session outlives its connection, or one's did.
    lasts: bool,
}

/// What joining a group changed.
pub(crate) struct Joined {
    pub(crate) address: GroupAddress,
    pub(crate) filter: Arc<str>,
    /// Whether the topic tree must be told of it: it is new, or lasts since now.
    pub(crate) is_news: bool,
    pub(crate) lasts: bool,
}

impl GroupDirectory {
    pub(crate) fn new(hasher: RandomState) -> Self {
        Self { groups: HashMap::with_hasher(hasher.clone()), filters: HashMap::with_hasher(hasher), next: 0 }
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// A session joins a group, which is made if there is none; `again` if it is in it already.
    pub(crate) fn join(&mut self, filter: &str, again: bool, lasts: bool, shard: ShardIndex) -> Joined {
        let Self { groups, filters, next } = self;
        if let Some(entry) = groups.get_mut(filter) {
            entry.members += usize::from(!again);
            let is_news = lasts && !entry.lasts;
            entry.lasts |= lasts;
            let filter = Arc::clone(&entry.filter);
            return Joined { address: entry.address, filter, is_news, lasts: entry.lasts };
        }
        let address = GroupAddress { shard, number: *next };
        *next += 1;
        let filter: Arc<str> = filter.into();
        filters.insert(address, Arc::clone(&filter));
        groups.insert(Arc::clone(&filter), Entry { filter: Arc::clone(&filter), address, members: 1, lasts });
        Joined { address, filter, is_news: true, lasts }
    }

    /// The group with this whole filter.
    pub(crate) fn find(&self, filter: &str) -> Option<GroupAddress> {
        self.groups.get(filter).map(|entry| entry.address)
    }

    /// The whole filter of a group.
    pub(crate) fn filter(&self, group: GroupAddress) -> Option<Arc<str>> {
        self.filters.get(&group).cloned()
    }

    /// Counts one member less. True if it was the last: then the group is gone.
    pub(crate) fn leave(&mut self, filter: &str) -> bool {
        let Some(entry) = self.groups.get_mut(filter) else { return false };
        entry.members -= 1;
        let is_over = entry.members == 0;
        if is_over {
            self.filters.remove(&entry.address);
            self.groups.remove(filter);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_from_its_first_member_to_its_last() {
        let mut directory = GroupDirectory::new(RandomState::with_seeds(1, 2, 3, 4));
        let first = directory.join("$share/g/a", false, false, ShardIndex(1));
        assert_eq!(directory.filter(first.address).as_deref(), Some("$share/g/a"));
        assert!(first.is_news && !first.lasts);
        assert_eq!(first.address.shard, ShardIndex(1));
        let second = directory.join("$share/g/a", false, true, ShardIndex(2));
        assert_eq!((second.address, second.is_news, second.lasts), (first.address, true, true));
        let again = directory.join("$share/g/a", true, true, ShardIndex(2));
        assert_eq!((again.address, again.is_news), (first.address, false));
        assert!(!directory.leave("$share/g/a"));
        assert!(directory.leave("$share/g/a"));
        assert!(!directory.leave("$share/g/a"));
        assert_eq!(directory.filter(first.address), None);
        let next = directory.join("$share/g/a", false, false, ShardIndex(2));
        assert_ne!(next.address.number, first.address.number);
    }
}

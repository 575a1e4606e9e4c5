//! The groups of shared subscriptions that a session is in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::router::{GroupAddress, SessionAddress};

/// One session in one group. Every message that comes through the group to the session knows it.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) group: GroupAddress,
    pub(crate) member: SessionAddress,
    /// The whole filter, `$share/` and all.
    pub(crate) filter: Arc<str>,
}

impl Membership {
    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.filter.len()
    }
}

/// Memberships of one session, by group. Most sessions have none, and then this is one pointer.
#[derive(Debug, Default)]
pub(crate) struct Memberships(Option<Box<ByGroup>>);

#[derive(Debug, Default)]
struct ByGroup(BTreeMap<GroupAddress, Arc<Membership>>);

impl Memberships {
    pub(crate) fn insert(&mut self, membership: Arc<Membership>) {
        self.0.get_or_insert_default().0.insert(membership.group, membership);
    }

    pub(crate) fn remove(&mut self, group: GroupAddress) -> Option<Arc<Membership>> {
        let ByGroup(memberships) = self.0.as_deref_mut()?;
        let removed = memberships.remove(&group);
        if memberships.is_empty() {
            self.0 = None;
        }
        removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Membership>> {
        self.0.iter().flat_map(|memberships| memberships.0.values())
    }

    pub(crate) fn get(&self, group: GroupAddress) -> Option<&Arc<Membership>> {
        self.0.as_ref()?.0.get(&group)
    }
}

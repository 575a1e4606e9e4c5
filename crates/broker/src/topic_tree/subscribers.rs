//! Who subscribed to one filter.

use std::hash::Hash;

use ahash::RandomState;

use crate::hash_index::HashIndex;

/// A subscription as the topic tree stores it.
pub(crate) trait Subscription: Copy {
    /// What stays the same when a subscription is replaced.
    type Who: Copy + Eq + Hash;

    fn who(&self) -> Self::Who;
}

/// At least one; most filters have exactly one.
pub(super) enum Subscribers<T> {
    One(T),
    Many(Box<Crowd<T>>),
}

/// Several, in the order they came, but that the last one takes the place of one who goes.
pub(super) struct Crowd<T> {
    pub(super) members: Vec<T>,
    /// Where each one stands, once there are many.
    places: Option<HashIndex>,
}

/// From so many members on they are found by hash.
const INDEXED_MIN: usize = 32;

impl<T: Subscription> Subscribers<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(crowd) => &crowd.members,
        }
    }

    /// Gives what was replaced.
    pub(super) fn insert(&mut self, hasher: &RandomState, value: T) -> Option<T> {
        match self {
            Self::One(one) if one.who() == value.who() => Some(std::mem::replace(one, value)),
            Self::One(one) => {
                let members = vec![*one, value];
                *self = Self::Many(Box::new(Crowd { members, places: None }));
                None
            }
            Self::Many(crowd) => crowd.insert(hasher, value),
        }
    }

    /// The one removed, and whether nobody is left. Then the list must go.
    pub(super) fn remove(&mut self, hasher: &RandomState, who: T::Who) -> Option<(T, bool)> {
        match self {
            Self::One(one) => (one.who() == who).then_some((*one, true)),
            Self::Many(crowd) => {
                let removed = crowd.remove(hasher, who)?;
                if let [last] = crowd.members[..] {
                    *self = Self::One(last);
                }
                Some((removed, false))
            }
        }
    }
}

impl<T: Subscription> Crowd<T> {
    fn find(&self, hasher: &RandomState, who: T::Who) -> Option<usize> {
        match &self.places {
            None => self.members.iter().position(|member| member.who() == who),
            Some(places) => {
                let is = |at| self.members.get(at as usize).is_some_and(|member| member.who() == who);
                places.find(hasher.hash_one(who), is).map(|at| at as usize)
            }
        }
    }

    fn insert(&mut self, hasher: &RandomState, value: T) -> Option<T> {
        if let Some(at) = self.find(hasher, value.who()) {
            return Some(std::mem::replace(&mut self.members[at], value));
        }
        self.members.push(value);
        let from = match self.places {
            Some(_) => self.members.len() - 1,
            None if self.members.len() < INDEXED_MIN => return None,
            None => 0,
        };
        let places = self.places.get_or_insert_with(|| HashIndex::new(16));
        for (at, member) in self.members.iter().enumerate().skip(from) {
            places.insert(hasher.hash_one(member.who()), at as u32);
        }
        None
    }

    fn remove(&mut self, hasher: &RandomState, who: T::Who) -> Option<T> {
        let at = self.find(hasher, who)?;
        let removed = self.members.swap_remove(at);
        if let Some(places) = &mut self.places {
            places.remove(hasher.hash_one(who), at as u32);
            if let Some(moved) = self.members.get(at) {
                let hash = hasher.hash_one(moved.who());
                places.remove(hash, self.members.len() as u32);
                places.insert(hash, at as u32);
            }
        }
        if self.members.len() < INDEXED_MIN / 2 {
            self.places = None;
        }
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_grows_and_shrinks() {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut subscribers = Subscribers::One((0, 0));
        let mut model = vec![(0_u32, 0_u8)];
        for who in (1..200).chain(50..60) {
            let old = model.iter().position(|&(other, _)| other == who);
            let replaced = old.map(|at| std::mem::replace(&mut model[at], (who, 1)));
            if old.is_none() {
                model.push((who, 1));
            }
            assert_eq!(subscribers.insert(&hasher, (who, 1)), replaced);
            assert_eq!(subscribers.as_slice(), model);
        }
        for who in (0..200).map(|n| n * 77 % 200).take(199) {
            let at = model.iter().position(|&(other, _)| other == who).unwrap();
            assert_eq!(subscribers.remove(&hasher, who), Some((model.swap_remove(at), false)));
            assert_eq!(subscribers.remove(&hasher, who), None);
            assert_eq!(subscribers.as_slice(), model);
        }
        assert!(matches!(subscribers, Subscribers::One(_)));
        assert_eq!(subscribers.remove(&hasher, model[0].0), Some((model[0], true)));
    }
}

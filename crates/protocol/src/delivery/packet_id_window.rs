//! What is kept for each Packet Identifier in use.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use super::packet_ids::PacketIdMap;
use crate::PacketId;

/// Identifiers are taken in a cycle and mostly given back in that order, so what belongs to them stands in a row, found
/// without hashing. What is left behind, or comes out of the row, stands in a map: the row is never much longer than
/// what it holds, however the peer picks its identifiers.
#[derive(Clone, Debug)]
pub(super) struct PacketIdWindow<T> {
    /// The identifier of the row's first place.
    first: PacketId,
    /// Neither its first nor its last place is empty.
    row: VecDeque<Option<T>>,
    in_row: usize,
    /// What does not stand in the row.
    apart: Option<Box<PacketIdMap<T>>>,
}

/// An identifier this far behind the row still lengthens it.
const GAP_MAX: usize = 16;
/// Empty places the row may have beyond as many as are taken.
const EMPTY_MAX: usize = 64;
/// An empty row keeps memory for so many.
const KEPT_MAX: usize = 16;

impl<T> Default for PacketIdWindow<T> {
    fn default() -> Self {
        Self { first: PacketId::FIRST, row: VecDeque::new(), in_row: 0, apart: None }
    }
}

impl<T> PacketIdWindow<T> {
    pub(super) fn len(&self) -> usize {
        self.in_row + self.apart.as_ref().map_or(0, |apart| apart.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_row == 0 && self.apart.is_none()
    }

    #[inline]
    fn place(&self, id: PacketId) -> usize {
        usize::from(id.distance_from(self.first))
    }

    #[inline]
    pub(super) fn get(&self, id: PacketId) -> Option<&T> {
        match self.row.get(self.place(id)) {
            Some(Some(value)) => Some(value),
            Some(None) | None => self.apart.as_ref()?.get(&id),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: PacketId) -> Option<&mut T> {
        let place = self.place(id);
        match self.row.get_mut(place) {
            Some(Some(value)) => Some(value),
            Some(None) | None => self.apart.as_mut()?.get_mut(&id),
        }
    }

    #[inline]
    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.get(id).is_some()
    }

    /// Gives what was there before.
    #[inline]
    pub(super) fn insert(&mut self, id: PacketId, value: T) -> Option<T> {
        // The next one of an ordinary sender.
        if self.place(id) == self.row.len() && self.apart.is_none() && !self.row.is_empty() {
            self.row.push_back(Some(value));
            self.in_row += 1;
            return None;
        }
        self.insert_anywhere(id, value)
    }

    fn insert_anywhere(&mut self, id: PacketId, value: T) -> Option<T> {
        if let Some(apart) = &mut self.apart
            && let Entry::Occupied(mut entry) = apart.entry(id)
        {
            return Some(entry.insert(value));
        }
        if self.row.is_empty() {
            self.first = id;
        }
        let (place, length) = (self.place(id), self.row.len());
        match self.row.get_mut(place) {
            Some(there) => {
                let before = there.replace(value);
                self.in_row += usize::from(before.is_none());
                return before;
            }
            None if place - length <= GAP_MAX => {
                self.row.extend((length..place).map(|_| None));
                self.row.push_back(Some(value));
                self.in_row += 1;
            }
            None => {
                self.apart.get_or_insert_default().insert(id, value);
            }
        }
        self.trim();
        None
    }

    pub(super) fn remove(&mut self, id: PacketId) -> Option<T> {
        self.remove_if(id, |_| true)
    }

    /// Takes it out if `is_right` says so.
    #[inline]
    pub(super) fn remove_if(&mut self, id: PacketId, is_right: impl Fn(&T) -> bool) -> Option<T> {
        let place = self.place(id);
        match self.row.get_mut(place) {
            Some(taken @ Some(_)) => {
                let value = taken.take_if(|value| is_right(value))?;
                self.in_row -= 1;
                // The oldest one of an ordinary sender.
                if place == 0 && matches!(self.row.get(1), Some(Some(_))) && !self.is_sparse() {
                    self.row.pop_front();
                    self.first = self.first.next();
                } else {
                    self.trim();
                }
                Some(value)
            }
            Some(None) | None => self.remove_apart(id, is_right),
        }
    }

    #[cold]
    fn remove_apart(&mut self, id: PacketId, is_right: impl Fn(&T) -> bool) -> Option<T> {
        let apart = self.apart.as_mut()?;
        if !is_right(apart.get(&id)?) {
            return None;
        }
        let value = apart.remove(&id)?;
        if apart.is_empty() {
            self.apart = None;
        }
        Some(value)
    }

    #[inline]
    fn is_sparse(&self) -> bool {
        self.row.len() > 2 * self.in_row + EMPTY_MAX
    }

    /// Takes empty places off both ends, and what keeps many of them open out of the row. Each place is taken off once,
    /// so that this costs no more than what put it there.
    fn trim(&mut self) {
        while let Some(None) = self.row.back() {
            self.row.pop_back();
        }
        while let Some(front) = self.row.front() {
            if front.is_some() && !self.is_sparse() {
                break;
            }
            if let Some(Some(left_behind)) = self.row.pop_front() {
                self.in_row -= 1;
                self.apart.get_or_insert_default().insert(self.first, left_behind);
            }
            self.first = self.first.next();
        }
        if self.row.is_empty() && self.row.capacity() > KEPT_MAX {
            self.row = VecDeque::new();
        }
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        let ids = std::iter::successors(Some(self.first), |id| Some(id.next()));
        let in_row = ids.zip(&self.row).filter_map(|(id, value)| Some((id, value.as_ref()?)));
        let apart = self.apart.iter().flat_map(|apart| apart.iter());
        in_row.chain(apart.map(|(&id, value)| (id, value)))
    }

    /// In no order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut T)> {
        let ids = std::iter::successors(Some(self.first), |id| Some(id.next()));
        let in_row = ids.zip(&mut self.row).filter_map(|(id, value)| Some((id, value.as_mut()?)));
        let apart = self.apart.iter_mut().flat_map(|apart| apart.iter_mut());
        in_row.chain(apart.map(|(&id, value)| (id, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn the_row_stays_short_behind_one_that_is_never_given_back() {
        let mut window = PacketIdWindow::default();
        window.insert(id(1), 0);
        let mut at = id(1);
        for round in 0..200_000 {
            at = at.next();
            if at == id(1) {
                continue;
            }
            assert_eq!(window.insert(at, round), None);
            assert_eq!(window.remove(at), Some(round));
            assert!(window.row.len() <= 2 * window.in_row + EMPTY_MAX);
        }
        assert_eq!((window.len(), window.get(id(1))), (1, Some(&0)));
        assert_eq!(window.remove(id(1)), Some(0));
        assert!(window.is_empty() && window.apart.is_none());
    }

    #[test]
    fn all_identifiers_at_once() {
        let mut window = PacketIdWindow::default();
        let all =
            || (1..=u16::MAX).map(|number| id(number.rotate_left(3).max(1))).chain((1..=u16::MAX).map(id));
        for at in all() {
            window.insert(at, at);
        }
        assert_eq!(window.len(), usize::from(u16::MAX));
        assert!((1..=u16::MAX).map(id).all(|at| window.get(at) == Some(&at)));
        for at in all() {
            window.remove(at);
        }
        assert!(window.is_empty());
    }

    #[test]
    fn an_idle_window_keeps_little() {
        let mut window = PacketIdWindow::default();
        for number in 1..=1000 {
            window.insert(id(number), ());
        }
        for number in (1..=1000).rev() {
            window.remove(id(number));
        }
        assert!(window.row.capacity() <= KEPT_MAX);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The next identifier in the cycle, if it is free.
        Next,
        /// Some identifier, often near the end of the cycle.
        Any(u16),
        /// The oldest, the youngest, or any other one is given back.
        Remove(prop::sample::Index),
        RemoveOldest,
        RemoveYoungest,
    }

    fn step() -> impl Strategy<Value = Step> {
        let near_the_end = prop_oneof![1..40_u16, u16::MAX - 40..=u16::MAX];
        prop_oneof![
            8 => Just(Step::Next),
            1 => near_the_end.prop_map(Step::Any),
            1 => (1..=u16::MAX).prop_map(Step::Any),
            2 => any::<prop::sample::Index>().prop_map(Step::Remove),
            5 => Just(Step::RemoveOldest),
            1 => Just(Step::RemoveYoungest),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(start in prop_oneof![1..=u16::MAX, u16::MAX - 100..=u16::MAX], steps in vec(step(), 0..400)) {
            let mut window = PacketIdWindow::default();
            let mut model: HashMap<PacketId, usize> = HashMap::new();
            let mut order: VecDeque<PacketId> = VecDeque::new();
            let mut next = id(start);
            for (number, step) in steps.into_iter().enumerate() {
                let removed = match step {
                    Step::Next | Step::Any(_) => {
                        let at = if let Step::Any(at) = step { id(at) } else { next };
                        next = at.next();
                        let before = model.insert(at, number);
                        prop_assert_eq!(window.insert(at, number), before);
                        if before.is_none() {
                            order.push_back(at);
                        }
                        None
                    }
                    Step::Remove(_) if order.is_empty() => None,
                    Step::Remove(index) => order.remove(index.index(order.len())),
                    Step::RemoveOldest => order.pop_front(),
                    Step::RemoveYoungest => order.pop_back(),
                };
                if let Some(at) = removed {
                    prop_assert_eq!(window.remove(at), model.remove(&at));
                    prop_assert_eq!(window.remove(at), None);
                }
                prop_assert_eq!((window.len(), window.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(window.row.len() <= 2 * window.in_row + EMPTY_MAX + GAP_MAX + 1);
                for at in order.iter().copied().chain([next]) {
                    prop_assert_eq!(window.get(at), model.get(&at));
                    prop_assert_eq!(window.get_mut(at), model.get_mut(&at));
                }
                let all: HashMap<_, _> = window.iter().map(|(at, &value)| (at, value)).collect();
                prop_assert_eq!(&all, &model);
                let count = window.iter_mut().count();
                prop_assert_eq!(count, model.len());
            }
        }
    }
}

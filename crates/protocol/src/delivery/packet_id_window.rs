//! What is kept for each Packet Identifier in use.

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
    /// Where the row begins in `ring`.
    head: u16,
    /// Places in the row, of which neither the first nor the last is empty.
    length: u16,
    in_row: u16,
    /// Holds the row; a power of two long, or empty.
    ring: Box<[Option<T>]>,
    /// What does not stand in the row.
    apart: Option<Box<PacketIdMap<T>>>,
}

/// An identifier this far behind the row still lengthens it.
const GAP_MAX: u16 = 16;
/// Empty places the row may have beyond as many as are taken.
const EMPTY_MAX: usize = 64;
/// Memory that an empty row keeps, so that one which fills and empties again and again, as a fan-out's does, stays where
/// it is.
const KEPT_BYTES_MAX: usize = 1024;

impl<T> Default for PacketIdWindow<T> {
    fn default() -> Self {
        Self { first: PacketId::FIRST, head: 0, length: 0, in_row: 0, ring: Box::default(), apart: None }
    }
}

impl<T> PacketIdWindow<T> {
    pub(super) fn len(&self) -> usize {
        usize::from(self.in_row) + self.apart.as_ref().map_or(0, |apart| apart.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_row == 0 && self.apart.is_none()
    }

    #[inline]
    fn place(&self, id: PacketId) -> u16 {
        id.distance_from(self.first)
    }

    /// Where a place of the row is in `ring`, if that has any.
    #[inline]
    fn index(&self, place: u16) -> usize {
        (usize::from(self.head) + usize::from(place)) & self.ring.len().wrapping_sub(1)
    }

    #[inline]
    fn in_row(&self, place: u16) -> Option<&T> {
        if place < self.length { self.ring[self.index(place)].as_ref() } else { None }
    }

    #[inline]
    pub(super) fn get(&self, id: PacketId) -> Option<&T> {
        match self.in_row(self.place(id)) {
            Some(value) => Some(value),
            None => self.apart.as_ref()?.get(&id),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: PacketId) -> Option<&mut T> {
        let place = self.place(id);
        let index = self.index(place);
        match self.ring.get_mut(index) {
            Some(Some(value)) if place < self.length => Some(value),
            Some(_) | None => self.apart.as_mut()?.get_mut(&id),
        }
    }

    #[inline]
    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.get(id).is_some()
    }

    /// Puts the next one of an ordinary sender behind the others; false, and nothing done, if that is not what it is.
    #[inline]
    pub(super) fn append(&mut self, id: PacketId, value: T) -> bool {
        let place = self.place_behind(id);
        let is_next = place.is_some();
        if let Some(place) = place {
            *place = Some(value);
        }
        is_next
    }

    /// Puts something where nothing was.
    #[inline]
    pub(super) fn put(&mut self, id: PacketId, value: T) {
        match self.place_behind(id) {
            Some(place) => *place = Some(value),
            None => drop(self.insert(id, value)),
        }
    }

    /// The same if nothing was there; else false, and nothing made or done.
    #[inline]
    pub(super) fn put_new(&mut self, id: PacketId, make: impl FnOnce() -> T) -> bool {
        if let Some(place) = self.place_behind(id) {
            *place = Some(make());
            return true;
        }
        let is_new = !self.contains(id);
        if is_new {
            drop(self.insert(id, make()));
        }
        is_new
    }

    /// The place of the next one of an ordinary sender, to be filled.
    #[inline]
    fn place_behind(&mut self, id: PacketId) -> Option<&mut Option<T>> {
        if self.length == 0 {
            self.first = id;
        }
        let place = self.place(id);
        let index = self.index(place);
        if place == self.length && usize::from(place) < self.ring.len() && self.apart.is_none() {
            self.length += 1;
            self.in_row += 1;
            return self.ring.get_mut(index);
        }
        None
    }

    /// Gives what was there before.
    pub(super) fn insert(&mut self, id: PacketId, value: T) -> Option<T> {
        if let Some(apart) = &mut self.apart
            && let Entry::Occupied(mut entry) = apart.entry(id)
        {
            return Some(entry.insert(value));
        }
        if self.length == 0 {
            self.first = id;
        }
        let place = self.place(id);
        let mut before = None;
        if place < self.length || place - self.length <= GAP_MAX {
            self.make_room(usize::from(place) + 1);
            let index = self.index(place);
            before = self.ring[index].replace(value);
            self.length = self.length.max(place + 1);
            self.in_row += u16::from(before.is_none());
        } else {
            self.apart.get_or_insert_default().insert(id, value);
        }
        self.trim();
        before
    }

    /// For a row of so many places.
    fn make_room(&mut self, places: usize) {
        if places > self.ring.len() {
            let row: Vec<usize> = (0..self.length).map(|place| self.index(place)).collect();
            let mut ring: Vec<Option<T>> = row.into_iter().map(|index| self.ring[index].take()).collect();
            // Rows are short, or as long as their window: few steps lead there.
            let step = if self.ring.len() < 32 { 4 } else { 2 };
            ring.resize_with(
                places.next_power_of_two().max(step * self.ring.len()).clamp(4, 1 << 16),
                || None,
            );
            self.ring = ring.into();
            self.head = 0;
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, id: PacketId) -> Option<T> {
        let place = self.place(id);
        let index = self.index(place);
        if place < self.length
            && let Some(value) = self.ring[index].take()
        {
            self.left(place);
            return Some(value);
        }
        let apart = self.apart.as_mut()?;
        let value = apart.remove(&id)?;
        if apart.is_empty() {
            self.apart = None;
        }
        Some(value)
    }

    /// Takes it out if `is_right` says so.
    #[inline]
    pub(super) fn remove_if(&mut self, id: PacketId, is_right: impl Fn(&T) -> bool) -> Option<T> {
        let place = self.place(id);
        let index = self.index(place);
        match self.ring.get_mut(index) {
            Some(there) if place < self.length && there.is_some() => {
                let value = there.take_if(|value| is_right(value))?;
                self.left(place);
                Some(value)
            }
            Some(_) | None => self.remove_apart(id, is_right),
        }
    }

    #[cold]
    fn remove_apart(&mut self, id: PacketId, is_right: impl Fn(&T) -> bool) -> Option<T> {
        is_right(self.apart.as_ref()?.get(&id)?).then(|| self.remove(id))?
    }

    /// A place of the row was emptied.
    #[inline]
    fn left(&mut self, place: u16) {
        self.in_row -= 1;
        // By the oldest one of an ordinary sender.
        if place == 0 && self.in_row(1).is_some() && !self.is_sparse() {
            self.advance();
        } else {
            self.trim();
        }
    }

    #[inline]
    fn is_sparse(&self) -> bool {
        usize::from(self.length) > 2 * usize::from(self.in_row) + EMPTY_MAX
    }

    /// Leaves the row's first place.
    #[inline]
    fn advance(&mut self) {
        self.head = self.index(1) as u16;
        self.first = self.first.next();
        self.length -= 1;
    }

    /// Takes empty places off both ends, and what keeps many of them open out of the row. Each place is taken off once,
    /// so that this costs no more than what put it there.
    fn trim(&mut self) {
        while self.length > 0 && self.in_row(self.length - 1).is_none() {
            self.length -= 1;
        }
        while self.length > 0 && (self.in_row(0).is_none() || self.is_sparse()) {
            let index = self.index(0);
            if let Some(left_behind) = self.ring[index].take() {
                self.in_row -= 1;
                self.apart.get_or_insert_default().insert(self.first, left_behind);
            }
            self.advance();
        }
        if self.length == 0 && size_of_val(&*self.ring) > KEPT_BYTES_MAX {
            self.ring = Box::default();
            self.head = 0;
        }
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        let (front, back) = self.ring.split_at(usize::from(self.head).min(self.ring.len()));
        let ids = std::iter::successors(Some(self.first), |id| Some(id.next()));
        let places = back.iter().chain(front).take(usize::from(self.length));
        let in_row = ids.zip(places).filter_map(|(id, value)| Some((id, value.as_ref()?)));
        let apart = self.apart.iter().flat_map(|apart| apart.iter());
        in_row.chain(apart.map(|(&id, value)| (id, value)))
    }

    /// In no order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PacketId, &mut T)> {
        let head = usize::from(self.head).min(self.ring.len());
        let (front, back) = self.ring.split_at_mut(head);
        let ids = std::iter::successors(Some(self.first), |id| Some(id.next()));
        let places = back.iter_mut().chain(front).take(usize::from(self.length));
        let in_row = ids.zip(places).filter_map(|(id, value)| Some((id, value.as_mut()?)));
        let apart = self.apart.iter_mut().flat_map(|apart| apart.iter_mut());
        in_row.chain(apart.map(|(&id, value)| (id, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

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
            assert!(!window.is_sparse());
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
            window.insert(id(number), number);
        }
        for number in (1..=1000).rev() {
            window.remove(id(number));
        }
        assert!(size_of_val(&*window.ring) <= KEPT_BYTES_MAX);
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
                        if number % 3 == 0 {
                            prop_assert_eq!(window.put_new(at, || number), before.is_none());
                            if before.is_some() {
                                prop_assert_eq!(window.insert(at, number), before);
                            }
                        } else if number % 3 == 1 {
                            prop_assert_eq!(window.insert(at, number), before);
                        } else {
                            let before_this = if window.append(at, number) { None } else { window.insert(at, number) };
                            prop_assert_eq!(before_this, before);
                        }
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
                    let expected = model.remove(&at);
                    if number % 3 == 0 {
                        prop_assert_eq!(window.remove_if(at, |_| false), None);
                        prop_assert_eq!(window.remove_if(at, |_| true), expected);
                    } else {
                        prop_assert_eq!(window.remove(at), expected);
                    }
                    prop_assert_eq!(window.remove(at), None);
                }
                prop_assert_eq!((window.len(), window.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(!window.is_sparse());
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

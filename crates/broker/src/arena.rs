//! Many values of one kind, found by small numbers.

use std::ops::{Index, IndexMut};

/// Values by number; a number is used again when its value was removed.
///
/// Values lie in pieces that never move, so that growing costs the same with a million values as with a thousand,
/// and whoever holds the lock around an arena holds it briefly. A piece has room for 2^`PIECE_BITS` values. Many arenas
/// beside one another have small pieces: none is half empty, and none leaves large blocks behind that it has outgrown.
pub(crate) struct Arena<T, const PIECE_BITS: u32 = 12> {
    pieces: Vec<Vec<Place<T>>>,
    /// The place that is used next, if one was left.
    free: Option<u32>,
    len: usize,
}

/// A page of the system's memory and a little.
const GROWING_BYTES_MAX: usize = 8 * 1024;

/// Without a byte for itself where `T` has a value to spare.
enum Place<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T, const PIECE_BITS: u32> Arena<T, PIECE_BITS> {
    const PIECE: usize = 1 << PIECE_BITS;

    pub(crate) const fn new() -> Self {
        Self { pieces: Vec::new(), free: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Above all numbers that are in use.
    pub(crate) fn end(&self) -> u32 {
        let last = self.pieces.last().map_or(0, Vec::len);
        (self.pieces.len().saturating_sub(1) * Self::PIECE + last) as u32
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(at) = self.free {
            let place = &mut self.pieces[(at >> PIECE_BITS) as usize][at as usize % Self::PIECE];
            if let Place::Free { next } = std::mem::replace(place, Place::Used(value)) {
                self.free = next;
            }
            return at;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == Self::PIECE) {
            // The first of small pieces grows with what is in it. A large one takes no memory where nothing was put yet,
            // and what it would have outgrown would stay behind.
            let grows = self.pieces.is_empty() && Self::PIECE * size_of::<Place<T>>() < GROWING_BYTES_MAX;
            self.pieces.push(Vec::with_capacity(if grows { 0 } else { Self::PIECE }));
        }
        let number = self.pieces.len() - 1;
        let piece = &mut self.pieces[number];
        piece.push(Place::Used(value));
        u32::try_from(number * Self::PIECE + piece.len() - 1).expect("2^32 values would fill 64 GiB before")
    }

    /// The value at a number that [`insert`](Self::insert) gave, until it is removed.
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        match self.pieces.get((at >> PIECE_BITS) as usize)?.get(at as usize % Self::PIECE)? {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.pieces.get_mut((at >> PIECE_BITS) as usize)?.get_mut(at as usize % Self::PIECE)? {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<T> {
        let place = self.pieces.get_mut((at >> PIECE_BITS) as usize)?.get_mut(at as usize % Self::PIECE)?;
        if let Place::Free { .. } = place {
            return None;
        }
        let Place::Used(value) = std::mem::replace(place, Place::Free { next: self.free }) else {
            return None;
        };
        self.free = Some(at);
        self.len -= 1;
        if self.len == 0 {
            // Gives the memory of a past crowd back.
            *self = Self::new();
        }
        Some(value)
    }
}

impl<T, const PIECE_BITS: u32> Index<u32> for Arena<T, PIECE_BITS> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        self.get(at).expect("numbers are kept only while their values are there")
    }
}

impl<T, const PIECE_BITS: u32> IndexMut<u32> for Arena<T, PIECE_BITS> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.get_mut(at).expect("numbers are kept only while their values are there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut arena: Arena<_> = Arena::new();
        let numbers: Vec<u32> = (0..9000).map(|value| arena.insert(value)).collect();
        assert!(numbers.iter().enumerate().all(|(value, &at)| arena.get(at) == Some(&value)));
        assert_eq!((arena.remove(1500), arena.remove(1500), arena.get(1500)), (Some(1500), None, None));
        assert_eq!((arena.insert(7), arena.insert(8), arena.len()), (1500, 9000, 9001));
        *arena.get_mut(1500).unwrap() = 9;
        assert_eq!((arena.get(1500), arena.get(1499), arena.get(9001)), (Some(&9), Some(&1499), None));
    }

    #[test]
    fn an_empty_arena_holds_no_memory() {
        let mut arena: Arena<_> = Arena::new();
        let numbers: Vec<u32> = (0..9000).map(|value| arena.insert(value)).collect();
        numbers.into_iter().for_each(|at| assert!(arena.remove(at).is_some()));
        assert_eq!((arena.len(), arena.pieces.capacity()), (0, 0));
    }

    #[test] // what is stored by the million has a niche
    fn a_place_costs_nothing() {
        assert_eq!(size_of::<Place<(std::sync::Arc<str>, u64)>>(), 24);
        assert_eq!(size_of::<Place<(std::num::NonZeroU32, u64)>>(), 16);
    }
}

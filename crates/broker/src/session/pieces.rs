//! A line that does not move when it grows.

use std::collections::VecDeque;

/// First in, first out, in pieces of up to [`PIECE`] entries. A long line takes little more memory than its entries, and
/// gives it back while it is worked off. A short one is one piece.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    /// Empty only if all is.
    first: VecDeque<T>,
    /// None of them empty.
    rest: VecDeque<VecDeque<T>>,
    len: usize,
}

const PIECE: usize = 128;

impl<T> Pieces<T> {
    pub(super) const fn new() -> Self {
        Self { first: VecDeque::new(), rest: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.first.front()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.rest.back().unwrap_or(&self.first).back()
    }

    pub(super) fn push_back(&mut self, entry: T) {
        self.len += 1;
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if last.len() < PIECE {
            return last.push_back(entry);
        }
        let mut piece = VecDeque::with_capacity(PIECE);
        piece.push_back(entry);
        self.rest.push_back(piece);
    }

    pub(super) fn push_front(&mut self, entry: T) {
        self.len += 1;
        if self.first.len() >= PIECE {
            let full = std::mem::replace(&mut self.first, VecDeque::with_capacity(PIECE));
            self.rest.push_front(full);
        }
        self.first.push_front(entry);
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let entry = self.first.pop_front()?;
        self.len -= 1;
        if self.first.is_empty() {
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter().flatten())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(self.rest.iter_mut().flatten())
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = T> {
        self.first.into_iter().chain(self.rest.into_iter().flatten())
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Steps up to 5 push so many behind, 6 and 7 in front, the others take out.
        #[test]
        fn as_a_deque(steps in proptest::collection::vec((0..10u8, 1..200u16), 0..40)) {
            let (mut pieces, mut deque) = (Pieces::new(), VecDeque::new());
            let mut next = 0;
            for (step, times) in steps {
                for _ in 0..times {
                    next += 1;
                    match step {
                        0..=5 => {
                            pieces.push_back(next);
                            deque.push_back(next);
                        }
                        6 | 7 => {
                            pieces.push_front(next);
                            deque.push_front(next);
                        }
                        _ => prop_assert_eq!(pieces.pop_front(), deque.pop_front()),
                    }
                }
                prop_assert_eq!((pieces.len(), pieces.is_empty()), (deque.len(), deque.is_empty()));
                prop_assert_eq!((pieces.front(), pieces.back()), (deque.front(), deque.back()));
                pieces.iter_mut().chain(&mut deque).for_each(|entry| *entry += 1);
                prop_assert!(pieces.iter().eq(&deque));
            }
            prop_assert!(pieces.into_entries().eq(deque));
        }
    }
}

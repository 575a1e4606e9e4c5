//! Which messages came, when they may come in any order.

use std::collections::VecDeque;

/// A set of numbers of which nearly all up to a moving front are in it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// All below `64 * full` are in it.
    full: u64,
    /// One bit a number from there on.
    words: VecDeque<u64>,
}

impl Seen {
    /// False if it was in there already.
    #[inline]
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let Some(word) = (number / 64).checked_sub(self.full) else { return false };
        let word = word as usize;
        while self.words.len() <= word {
            self.words.push_back(0);
        }
        let bit = 1 << (number % 64);
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.full += 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once() {
        let mut seen = Seen::default();
        let numbers = || (0..1000_u64).map(|n| n * 617 % 1000);
        assert!(numbers().all(|number| seen.insert(number)));
        assert!(numbers().all(|number| !seen.insert(number)));
        assert!(seen.words.len() <= 1, "what is full is forgotten");
    }
}

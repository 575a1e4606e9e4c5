//! Which Packet Identifiers are in use, where there are many.

use crate::PacketId;

/// A bit for each identifier, in 8 KiB, and one for each word of them that is full: so a free one is found in a few steps,
/// however many are taken before it.
#[derive(Clone, Debug)]
pub(super) struct TakenIds {
    words: Box<[u64; WORDS]>,
    full: [u64; WORDS / 64],
}

const WORDS: usize = (1 << 16) / 64;

impl TakenIds {
    fn new() -> Self {
        let mut words = Box::new([0; WORDS]);
        // 0 is no identifier.
        words[0] = 1;
        Self { words, full: [0; WORDS / 64] }
    }

    pub(super) fn insert(&mut self, id: PacketId) {
        let (word, bit) = place(id.get().into());
        self.words[word] |= bit;
        if self.words[word] == u64::MAX {
            let (group, bit) = place(word);
            self.full[group] |= bit;
        }
    }

    pub(super) fn remove(&mut self, id: PacketId) {
        let (word, bit) = place(id.get().into());
        self.words[word] &= !bit;
        let (group, bit) = place(word);
        self.full[group] &= !bit;
    }

    /// The first free identifier from this one on, in the cycle; `None` if all are taken.
    pub(super) fn first_free(&self, from: PacketId) -> Option<PacketId> {
        self.free_from(from.get().into()).or_else(|| self.free_from(0))
    }

    fn free_from(&self, number: usize) -> Option<PacketId> {
        let word = number / 64;
        let here = first_zero(self.words[word], number % 64).map(|bit| word * 64 + bit);
        let free = here.or_else(|| {
            let word = self.free_word_from(word + 1)?;
            first_zero(self.words[word], 0).map(|bit| word * 64 + bit)
        })?;
        PacketId::new(u16::try_from(free).ok()?)
    }

    /// The first word from this one on that is not full.
    fn free_word_from(&self, word: usize) -> Option<usize> {
        let group = word / 64;
        let here = first_zero(*self.full.get(group)?, word % 64).map(|bit| group * 64 + bit);
        here.or_else(|| {
            let mut behind = self.full.iter().enumerate().skip(group + 1);
            behind.find_map(|(group, &full)| first_zero(full, 0).map(|bit| group * 64 + bit))
        })
    }
}

impl FromIterator<PacketId> for TakenIds {
    fn from_iter<I: IntoIterator<Item = PacketId>>(ids: I) -> Self {
        let mut taken = Self::new();
        ids.into_iter().for_each(|id| taken.insert(id));
        taken
    }
}

/// Where a bit is: in which word, and its mask there.
const fn place(number: usize) -> (usize, u64) {
    (number / 64, 1 << (number % 64))
}

/// The lowest bit from this one on that is not set.
const fn first_zero(word: u64, from: usize) -> Option<usize> {
    let free = !word & (u64::MAX << from);
    if free == 0 { None } else { Some(free.trailing_zeros() as usize) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn the_only_free_one_is_found_from_everywhere() {
        let mut taken: TakenIds = (1..=u16::MAX).map(id).collect();
        assert_eq!(taken.first_free(id(1)), None);
        for free in [1, 63, 64, 65, 4095, 4096, 40_000, u16::MAX] {
            taken.remove(id(free));
            for from in [1, 64, free.saturating_sub(1).max(1), free, free.saturating_add(1), u16::MAX] {
                assert_eq!(taken.first_free(id(from)), Some(id(free)), "from {from}");
            }
            taken.insert(id(free));
        }
        assert_eq!(taken.first_free(id(9)), None);
    }

    proptest! {
        #[test]
        fn as_a_set(
            blocks in proptest::collection::vec((1..=u16::MAX, 1..3000_u16), 0..40),
            holes in proptest::collection::vec(1..=u16::MAX, 0..40),
            from in proptest::collection::vec(1..=u16::MAX, 20),
        ) {
            let mut set = BTreeSet::new();
            for (start, length) in blocks {
                set.extend(start..=start.saturating_add(length));
            }
            let mut taken: TakenIds = set.iter().map(|&number| id(number)).collect();
            for hole in holes {
                set.remove(&hole);
                taken.remove(id(hole));
            }
            for from in from {
                let free = (from..=u16::MAX).chain(1..from).find(|number| !set.contains(number));
                prop_assert_eq!(taken.first_free(id(from)), free.map(id));
            }
        }
    }
}

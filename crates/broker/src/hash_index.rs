//! Numbers found by hash.

use hashbrown::HashTable;

/// Finds numbers of an [`Arena`](crate::arena::Arena) by the hash of what stands there.
///
/// Half of each hash is kept, so that growing looks at nothing else. An index of a million numbers is made of many
/// small tables that grow one at a time: whoever holds the lock around it holds it briefly.
pub(crate) struct HashIndex {
    tables: Box<[HashTable<Slot>]>,
}

struct Slot {
    hash: u32,
    at: u32,
}

impl HashIndex {
    /// `tables` is a power of two.
    pub(crate) fn new(tables: usize) -> Self {
        Self { tables: (0..tables.next_power_of_two()).map(|_| HashTable::new()).collect() }
    }

    /// The number with this hash for which `is` holds.
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let half = hash as u32;
        let table = &self.tables[self.table(half)];
        table.find(spread(half), |slot| slot.hash == half && is(slot.at)).map(|slot| slot.at)
    }

    /// Adds a number that is not there.
    pub(crate) fn insert(&mut self, hash: u64, at: u32) {
        let half = hash as u32;
        let table = self.table(half);
        self.tables[table].insert_unique(spread(half), Slot { hash: half, at }, |slot| spread(slot.hash));
    }

    /// Takes a number out; false if it is not there with this hash.
    pub(crate) fn remove(&mut self, hash: u64, at: u32) -> bool {
        let half = hash as u32;
        let table = self.table(half);
        let table = &mut self.tables[table];
        let Ok(entry) = table.find_entry(spread(half), |slot| slot.at == at) else { return false };
        entry.remove();
        if table.len() < table.capacity() / 4 {
            table.shrink_to(table.len() * 2, |slot| spread(slot.hash));
        }
        true
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(HashTable::len).sum()
    }

    fn table(&self, half: u32) -> usize {
        // The lowest bits find the place in the table.
        (half >> 16) as usize & (self.tables.len() - 1)
    }
}

/// A table looks at the highest and at the lowest bits.
fn spread(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in() {
        for tables in [1, 256] {
            let mut index = HashIndex::new(tables);
            let hash = |at: u32| u64::from(at / 2).wrapping_mul(0x1234_5678_9ABC_DEF1); // each hash twice
            (0..10_000).for_each(|at| index.insert(hash(at), at));
            assert!((0..10_000).all(|at| index.find(hash(at), |other| other == at) == Some(at)));
            assert!((0..9_990).all(|at| index.remove(hash(at), at) && !index.remove(hash(at), at)));
            assert_eq!(
                (index.find(hash(5), |_| true), index.find(hash(9_999), |_| true).is_some()),
                (None, true)
            );
            assert_eq!(index.len(), 10);
            assert!(index.tables.iter().map(HashTable::capacity).sum::<usize>() < 2_000);
        }
    }
}

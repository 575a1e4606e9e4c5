//! Numbers found by hash.

/// Finds numbers of an [`Arena`](crate::arena::Arena) by the hash of what stands there.
///
/// A look-up waits for one cache line: it holds hashes and numbers of eight entries, and what does not fit goes to the
/// next one. Half of each hash is kept, so that growing looks at nothing else. An index of a million numbers is made of
/// many small tables that grow one at a time: whoever holds the lock around it holds it briefly.
pub(crate) struct HashIndex {
    /// None before there is a number.
    tables: Box<[Table]>,
    count: u32,
}

#[derive(Default)]
struct Table {
    /// So many as a power of two, or none. One of them at least has a free place.
    lines: Box<[Line]>,
    len: u32,
}

const PLACES: usize = 8;

/// Entries side by side. A hash of 0 is a free place.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    hashes: [u32; PLACES],
    numbers: [u32; PLACES],
}

impl Line {
    const EMPTY: Self = Self { hashes: [0; PLACES], numbers: [0; PLACES] };

    /// The places of a hash, a bit for each.
    #[inline]
    fn places_of(&self, hash: u32) -> u32 {
        let mut places = 0;
        for (place, &other) in self.hashes.iter().enumerate() {
            places |= u32::from(other == hash) << place;
        }
        places
    }

    fn is_full(&self) -> bool {
        self.places_of(0) == 0
    }
}

impl HashIndex {
    /// `tables` is a power of two.
    pub(crate) fn new(tables: usize) -> Self {
        Self { tables: Box::default(), count: tables.next_power_of_two() as u32 }
    }

    /// The number with this hash for which `is` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.find_value(hash, |number| is(number).then_some(number))
    }

    /// What `get` gives for the first number with this hash for which it gives anything.
    #[inline]
    pub(crate) fn find_value<T>(&self, hash: u64, get: impl Fn(u32) -> Option<T>) -> Option<T> {
        let hash = half(hash);
        let table = self.tables.get(self.table(hash))?;
        table.find(hash, |_, _, number| get(number))
    }

    /// Adds a number that is not there.
    pub(crate) fn insert(&mut self, hash: u64, at: u32) {
        if self.tables.is_empty() {
            self.tables = (0..self.count).map(|_| Table::default()).collect();
        }
        let hash = half(hash);
        let table = self.table(hash);
        self.tables[table].insert(hash, at);
    }

    /// Takes a number out; false if it is not there with this hash.
    pub(crate) fn remove(&mut self, hash: u64, at: u32) -> bool {
        let hash = half(hash);
        let table = self.table(hash);
        let Some(table) = self.tables.get_mut(table) else { return false };
        let place_of = |line, place, number| (number == at).then_some((line, place));
        let Some((line, place)) = table.find(hash, place_of) else { return false };
        table.clear(line, place);
        true
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len as usize).sum()
    }

    #[inline]
    fn table(&self, hash: u32) -> usize {
        // The highest bits; the lowest ones find the line.
        ((u64::from(hash) * u64::from(self.count)) >> 32) as usize
    }
}

#[inline]
fn half(hash: u64) -> u32 {
    (hash as u32).max(1)
}

impl Table {
    /// What `get` gives for the first line, place and number with this hash for which it gives anything.
    #[inline]
    fn find<T>(&self, hash: u32, get: impl Fn(usize, usize, u32) -> Option<T>) -> Option<T> {
        let mask = self.lines.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            let mut places = line.places_of(hash);
            while places != 0 {
                let place = places.trailing_zeros() as usize % PLACES;
                if let Some(found) = get(at, place, line.numbers[place]) {
                    return Some(found);
                }
                places &= places - 1;
            }
            if !line.is_full() {
                return None;
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn insert(&mut self, hash: u32, number: u32) {
        let room = self.lines.len() * PLACES;
        if self.len as usize >= room - room / 8 {
            self.resize((self.lines.len() * 2).max(1));
        }
        self.len += 1;
        self.put(hash, number);
    }

    /// Into the first line from its own one on that has a free place.
    fn put(&mut self, hash: u32, number: u32) {
        let mask = self.lines.len() - 1;
        let mut at = hash as usize & mask;
        while self.lines[at].is_full() {
            at = (at + 1) & mask;
        }
        let line = &mut self.lines[at];
        let place = line.places_of(0).trailing_zeros() as usize;
        (line.hashes[place], line.numbers[place]) = (hash, number);
    }

    fn resize(&mut self, lines: usize) {
        let old = std::mem::replace(&mut self.lines, vec![Line::EMPTY; lines].into());
        for line in &old {
            for (&hash, &number) in line.hashes.iter().zip(&line.numbers) {
                if hash != 0 {
                    self.put(hash, number);
                }
            }
        }
    }

    /// Frees a place. An entry that had to go to a later line because this one was full comes back, so that whoever looks
    /// for it may stop at the first line with a free place.
    fn clear(&mut self, mut line: usize, mut place: usize) {
        self.len -= 1;
        let mask = self.lines.len() - 1;
        let mut later = line;
        let mut was_full = self.lines[line].is_full();
        self.lines[line].hashes[place] = 0;
        while was_full {
            later = (later + 1) & mask;
            if later == line {
                break;
            }
            was_full = self.lines[later].is_full();
            // One whose own line does not lie behind the gap.
            let distance = |hash: u32| later.wrapping_sub(hash as usize) & mask;
            let gap = later.wrapping_sub(line) & mask;
            let hashes = &self.lines[later].hashes;
            if let Some(from) = hashes.iter().position(|&hash| hash != 0 && distance(hash) >= gap) {
                let Line { hashes, numbers } = &mut self.lines[later];
                let (hash, number) = (std::mem::take(&mut hashes[from]), numbers[from]);
                let gap = &mut self.lines[line];
                (gap.hashes[place], gap.numbers[place]) = (hash, number);
                (line, place) = (later, from);
            }
        }
        if self.len == 0 {
            self.lines = Box::default();
        } else if self.len as usize * 4 < self.lines.len() * PLACES && self.lines.len() > 1 {
            self.resize(self.lines.len() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn bytes(index: &HashIndex) -> usize {
        index.tables.iter().map(|table| size_of_val(&*table.lines)).sum()
    }

    #[test]
    fn finds_what_was_put_in() {
        for tables in [1, 256] {
            let mut index = HashIndex::new(tables);
            let hash = |at: u32| u64::from(at / 2).wrapping_mul(0x1234_5678_9ABC_DEF1); // each hash twice
            (0..10_000).for_each(|at| index.insert(hash(at), at));
            assert!(bytes(&index) < 10_000 * 20);
            assert!((0..10_000).all(|at| index.find(hash(at), |other| other == at) == Some(at)));
            assert!((0..9_990).all(|at| index.remove(hash(at), at) && !index.remove(hash(at), at)));
            assert_eq!(
                (index.find(hash(5), |_| true), index.find(hash(9_999), |_| true).is_some()),
                (None, true)
            );
            assert_eq!(index.len(), 10);
            assert!(bytes(&index) <= 10 * 64);
        }
    }

    #[test]
    fn lines_that_overflow_lose_nothing() {
        let mut index = HashIndex::new(1);
        let mut model = HashMap::new();
        let mut random = 1_u32;
        for at in 0..20_000_u32 {
            random = random.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            // Few lines are anybody's own: most entries stand in a later one. Some hashes are 0, some are equal.
            let number = random >> 20;
            let hash = u64::from(number % 37) << 32 | u64::from(number % 5 + number % 3 * 64);
            if model.remove(&number).is_some() {
                assert!(index.remove(hash, number));
            } else if model.len() < 300 {
                index.insert(hash, number);
                model.insert(number, hash);
            }
            if at % 64 == 0 {
                assert_eq!(index.len(), model.len());
                for (&number, &hash) in &model {
                    assert_eq!(index.find(hash, |other| other == number), Some(number));
                }
            }
        }
    }

    #[test]
    fn a_line_of_entries_is_a_line_of_the_cache() {
        assert_eq!((size_of::<Line>(), align_of::<Line>(), size_of::<Table>()), (64, 64, 24));
    }
}

//! Many deadlines in order, in little memory.

use std::collections::BTreeMap;

/// A set of values in order, of which most come behind all others, as deadlines do that are all as far away.
///
/// They lie in blocks of up to [`BLOCK`], found by a key that is not greater than any value of the block. A block that is
/// full is cut in two, but for the last one: another follows it. So blocks stay full, where the nodes of a `BTreeSet` would
/// stay half empty.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    blocks: BTreeMap<T, Vec<T>>,
}

const BLOCK: usize = 64;

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { blocks: BTreeMap::new() }
    }
}

impl<T: Copy + Ord> Schedule<T> {
    pub(super) fn first(&self) -> Option<&T> {
        // No block is empty.
        self.blocks.first_key_value()?.1.first()
    }

    /// Puts in what may be there already.
    pub(super) fn insert(&mut self, value: T) {
        let Some((&key, block)) = self.blocks.range_mut(..=value).next_back() else {
            // It comes before all others: its block is the first one's, under another key.
            let block = match self.blocks.pop_first() {
                Some((_, first)) if first.len() < BLOCK => with(first, 0, value),
                Some((key, first)) => {
                    self.blocks.insert(key, first);
                    block_of(&[value])
                }
                None => block_of(&[value]),
            };
            self.blocks.insert(value, block);
            return;
        };
        let Err(at) = block.binary_search(&value) else { return };
        if block.len() < BLOCK {
            block.insert(at, value);
            return;
        }
        let is_last = at == BLOCK && self.blocks.last_key_value().is_some_and(|(&last, _)| last == key);
        if is_last {
            self.blocks.insert(value, block_of(&[value]));
        } else if let Some(block) = self.blocks.get_mut(&key) {
            let mut right = block_of(&block[BLOCK / 2..]);
            block.truncate(BLOCK / 2);
            let into = if at > BLOCK / 2 { (&mut right, at - BLOCK / 2) } else { (block, at) };
            into.0.insert(into.1, value);
            if let Some(&key) = right.first() {
                self.blocks.insert(key, right);
            }
        }
    }

    /// Takes out what may be there.
    pub(super) fn remove(&mut self, value: &T) {
        let Some((&key, block)) = self.blocks.range_mut(..=*value).next_back() else { return };
        let Ok(at) = block.binary_search(value) else { return };
        block.remove(at);
        if block.is_empty() {
            self.blocks.remove(&key);
        } else if block.len() < BLOCK / 4 {
            self.merge(key);
        }
    }

    /// Gives what is left of a block to the one before it, if it has room.
    fn merge(&mut self, key: T) {
        let Some(left) = self.blocks.get(&key).map(Vec::len) else { return };
        let before = self.blocks.range_mut(..key).next_back();
        let Some((&before, _)) = before.filter(|(_, block)| block.len() + left <= BLOCK * 3 / 4) else {
            return;
        };
        if let (Some(block), Some(into)) = (self.blocks.remove(&key), self.blocks.get_mut(&before)) {
            into.extend(block);
        }
    }
}

/// With room for all that a block may have: its allocation is never outgrown.
fn block_of<T: Copy>(values: &[T]) -> Vec<T> {
    let mut block = Vec::with_capacity(BLOCK);
    block.extend_from_slice(values);
    block
}

fn with<T>(mut block: Vec<T>, at: usize, value: T) -> Vec<T> {
    block.insert(at, value);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn behaves_like_a_set() {
        let (mut schedule, mut model) = (Schedule::default(), BTreeSet::new());
        let mut random = 1_u32;
        for step in 0..60_000_u32 {
            random = random.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            // Grows and shrinks in turns, at the end, in the middle and from the beginning.
            let value = if step % 3 == 0 { step / 3 } else { random >> 19 };
            if step / 10_000 % 2 == 0 {
                schedule.insert(value);
                model.insert(value);
            } else if step % 2 == 0 {
                schedule.remove(&value);
                model.remove(&value);
            } else if let Some(&first) = schedule.first() {
                assert_eq!(model.pop_first(), Some(first));
                schedule.remove(&first);
            }
            assert_eq!(schedule.first(), model.first());
        }
        assert!(schedule.blocks.values().flatten().eq(&model));
        model.iter().for_each(|value| schedule.remove(value));
        assert!(schedule.blocks.is_empty());
    }

    #[test]
    fn what_comes_in_order_leaves_no_gaps() {
        let mut schedule = Schedule::default();
        (0..640).for_each(|value| schedule.insert(value));
        assert_eq!(schedule.blocks.len(), 10);
        // Each moves to the end, as deadlines do that are put off.
        for value in 0..640 {
            schedule.remove(&value);
            schedule.insert(value + 640);
        }
        assert!(schedule.blocks.len() <= 11);
    }
}

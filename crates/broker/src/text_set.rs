//! Many texts in order, in little memory.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// A set of texts, ordered by their bytes.
///
/// Neighbours begin alike, so each text is stored as the number of bytes it shares with the one before it, and
/// the rest: a million topics of thirty bytes take about fifteen bytes each. Texts lie in blocks of up to
/// [`BLOCK_BYTES`], found by a key that is not greater than any text of the block:
///
/// ```text
/// ""            → 6 "site/1", 6 "/a", 7 "b"           site/1, site/1/a, site/1/b
/// "site/1/zone" → 11 "", 11 "/x"                      site/1/zone, site/1/zone/x
/// ```
///
/// (The first number counts bytes shared with the key.) A change rewrites a part of one block.
#[derive(Debug, Default)]
pub(crate) struct TextSet {
    blocks: BTreeMap<Box<[u8]>, Block>,
    /// What is written next; kept for its memory.
    scratch: Vec<u8>,
}

/// A block that would be longer is cut in two.
const BLOCK_BYTES: usize = 512;
/// Blocks take memory in steps of this.
const BLOCK_STEP: usize = 64;

impl TextSet {
    pub(crate) const fn new() -> Self {
        Self { blocks: BTreeMap::new(), scratch: Vec::new() }
    }

    /// True if it was not there.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let text = text.as_bytes();
        let Some((key, block)) = self.blocks.range_mut::<[u8], _>((Unbounded, Included(text))).next_back()
        else {
            // The first block has the least key there is.
            let mut block = Block::default();
            block.insert(&block.seek(b"", text), text, &mut self.scratch);
            self.blocks.insert(Box::default(), block);
            return true;
        };
        let spot = block.seek(key, text);
        if spot.found {
            return false;
        }
        if block.bytes.len() + text.len() - spot.before > BLOCK_BYTES && !block.bytes.is_empty() {
            let at_end = spot.at == block.bytes.len();
            let key = key.clone();
            self.insert_cut(&key, at_end, text);
            return true;
        }
        block.insert(&spot, text, &mut self.scratch);
        true
    }

    /// Inserts into the block of `key` after cutting it: in the middle, or behind its end if the text comes last of
    /// all, as it does where texts come in order.
    fn insert_cut(&mut self, key: &[u8], at_end: bool, text: &[u8]) {
        let is_last = at_end && self.blocks.range::<[u8], _>((Excluded(key), Unbounded)).next().is_none();
        let Some(block) = self.blocks.get_mut(key) else { return };
        let middle = block.bytes.len() / 2;
        let (right_key, mut right) = match if is_last { None } else { block.cut(key, middle) } {
            Some((right_key, right)) => (right_key, right),
            None if at_end => (text.into(), Block::default()),
            None => return block.insert(&block.seek(key, text), text, &mut self.scratch),
        };
        let (left_key, into) = if text >= &*right_key { (&*right_key, &mut right) } else { (key, block) };
        into.insert(&into.seek(left_key, text), text, &mut self.scratch);
        self.blocks.insert(right_key, right);
    }

    /// True if it was there.
    pub(crate) fn remove(&mut self, text: &str) -> bool {
        let text = text.as_bytes();
        let found = self.blocks.range_mut::<[u8], _>((Unbounded, Included(text))).next_back();
        let Some((key, block)) = found else { return false };
        let spot = block.seek(key, text);
        if !spot.found {
            return false;
        }
        block.remove(&spot, &mut self.scratch);
        if block.bytes.len() < BLOCK_BYTES / 4 {
            let key = key.clone();
            self.merge(&key);
        }
        true
    }

    /// Gives what is left of a block to the one before it, if it has room.
    fn merge(&mut self, key: &[u8]) {
        let before = self.blocks.range::<[u8], _>((Unbounded, Excluded(key))).next_back();
        if let (Some((before, into)), Some(block)) = (before, self.blocks.get(key)) {
            // The first text may have to be written in full.
            let bytes = into.bytes.len() + key.len() + block.bytes.len();
            if !block.bytes.is_empty() && bytes > BLOCK_BYTES * 3 / 4 {
                return;
            }
            let before = before.clone();
            let (Some(block), Some(into)) = (self.blocks.remove(key), self.blocks.get_mut(&before)) else {
                return;
            };
            let mut walk = BlockWalk { bytes: &block.bytes, text: key.to_vec() };
            while walk.step() {
                into.insert(&into.seek(&before, &walk.text), &walk.text, &mut self.scratch);
            }
        }
        if self.blocks.len() == 1 && self.blocks.values().all(|block| block.bytes.is_empty()) {
            *self = Self::new();
        }
    }

    /// Whether it is there.
    #[cfg(test)]
    pub(crate) fn contains(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let found = self.blocks.range::<[u8], _>((Unbounded, Included(text))).next_back();
        found.is_some_and(|(key, block)| block.seek(key, text).found)
    }

    /// All texts, in order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let mut walk = self.walk_from(b"");
        std::iter::from_fn(move || walk.next().map(text))
    }

    /// All texts that are not less than `from`, in order.
    pub(crate) fn walk_from(&self, from: &[u8]) -> Walk<'_> {
        let start =
            self.blocks.range::<[u8], _>((Unbounded, Included(from))).next_back().map(|(key, _)| &**key);
        let mut blocks = self.blocks.range::<[u8], _>((start.map_or(Unbounded, Included), Unbounded));
        let (bytes, text) = match blocks.next() {
            Some((key, block)) => (&*block.bytes, key.to_vec()),
            None => (&[][..], Vec::new()),
        };
        let mut walk = Walk { blocks, block: BlockWalk { bytes, text }, is_ahead: false };
        while let Some(text) = walk.next() {
            if text >= from {
                walk.is_ahead = true;
                break;
            }
        }
        walk
    }
}

/// A text that was lent by a walk.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a set gives the bytes of texts that were put in")
}

/// Texts in order, lent one at a time.
pub(crate) struct Walk<'a> {
    blocks: btree_map::Range<'a, Box<[u8]>, Block>,
    block: BlockWalk<'a>,
    /// Whether the text in `block` was not given out yet.
    is_ahead: bool,
}

impl Walk<'_> {
    /// The bytes of the next text.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        if std::mem::take(&mut self.is_ahead) {
            return Some(&self.block.text);
        }
        while !self.block.step() {
            let (key, block) = self.blocks.next()?;
            self.block.bytes = &block.bytes;
            self.block.text.clear();
            self.block.text.extend_from_slice(key);
        }
        Some(&self.block.text)
    }

    /// Gives the text that was given last once more.
    pub(crate) fn back(&mut self) {
        self.is_ahead = true;
    }
}

/// Texts behind one another, each as the length it shares with the one before, the length of its rest, and its rest.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
}

/// Where a text is in a block, or would be.
struct Spot {
    at: usize,
    found: bool,
    /// How many bytes it shares with the text before.
    before: usize,
    /// How many bytes it shares with the text at this place, if there is one.
    after: usize,
}

/// A text of a block.
struct Entry<'a> {
    shared: usize,
    rest: &'a [u8],
}

impl Block {
    /// Where `text` belongs. `key` is the block's, not greater than `text`.
    fn seek(&self, key: &[u8], text: &[u8]) -> Spot {
        let mut bytes = &*self.bytes;
        // How much `text` shares with the entry last passed, which is less.
        let mut before = common(key, text);
        loop {
            let at = self.bytes.len() - bytes.len();
            let Some(entry) = Entry::read(&mut bytes) else {
                return Spot { at, found: false, before, after: 0 };
            };
            if entry.shared > before {
                continue; // it differs from `text` where the one before did
            }
            if entry.shared < before {
                // It differs from the one before where `text` does not.
                return Spot { at, found: false, before, after: entry.shared };
            }
            let after = before + common(entry.rest, &text[before..]);
            match (entry.rest.get(after - before), text.get(after)) {
                (None, None) => return Spot { at, found: true, before, after },
                (None, Some(_)) => before = after,
                (Some(theirs), Some(ours)) if theirs < ours => before = after,
                (Some(_), _) => return Spot { at, found: false, before, after },
            }
        }
    }

    /// Puts `text` where [`seek`](Self::seek) did not find it.
    fn insert(&mut self, spot: &Spot, text: &[u8], scratch: &mut Vec<u8>) {
        let mut behind = &self.bytes[spot.at..];
        scratch.clear();
        Entry { shared: spot.before, rest: &text[spot.before..] }.write(scratch);
        if let Some(next) = Entry::read(&mut behind) {
            Entry { shared: spot.after, rest: &next.rest[spot.after - next.shared..] }.write(scratch);
        }
        let end = self.bytes.len() - behind.len();
        self.replace(spot.at, end, scratch);
    }

    /// Takes the text out that [`seek`](Self::seek) found.
    fn remove(&mut self, spot: &Spot, scratch: &mut Vec<u8>) {
        let mut behind = &self.bytes[spot.at..];
        scratch.clear();
        if let Some(removed) = Entry::read(&mut behind)
            && let Some(next) = Entry::read(&mut behind)
        {
            let shared = next.shared.min(removed.shared);
            let between = &removed.rest[..next.shared - shared];
            write_number(shared, scratch);
            write_number(between.len() + next.rest.len(), scratch);
            scratch.extend_from_slice(between);
            scratch.extend_from_slice(next.rest);
        }
        let end = self.bytes.len() - behind.len();
        self.replace(spot.at, end, scratch);
    }

    fn replace(&mut self, from: usize, to: usize, by: &[u8]) {
        let (old, new) = (self.bytes.len(), self.bytes.len() - (to - from) + by.len());
        if new > self.bytes.capacity() {
            self.bytes.reserve_exact(new.next_multiple_of(BLOCK_STEP) - old);
        }
        if new > old {
            self.bytes.resize(new, 0);
        }
        self.bytes.copy_within(to..old, from + by.len());
        self.bytes[from..from + by.len()].copy_from_slice(by);
        self.bytes.truncate(new);
        if self.bytes.capacity() - new > 2 * BLOCK_STEP {
            self.bytes.shrink_to(new.next_multiple_of(BLOCK_STEP));
        }
    }

    /// Takes out all texts from the first one that begins at `from` or behind, with the first one as their key.
    fn cut(&mut self, key: &[u8], from: usize) -> Option<(Box<[u8]>, Self)> {
        let mut walk = BlockWalk { bytes: &self.bytes, text: key.to_vec() };
        loop {
            let at = self.bytes.len() - walk.bytes.len();
            if !walk.step() {
                return None;
            }
            if at >= from && at > 0 {
                let mut bytes = Vec::new();
                Entry { shared: walk.text.len(), rest: &[] }.write(&mut bytes);
                bytes.extend_from_slice(walk.bytes);
                let key = walk.text.into();
                self.replace(at, self.bytes.len(), &[]);
                return Some((key, Self { bytes }));
            }
        }
    }
}

/// A block, text by text.
struct BlockWalk<'a> {
    /// What was not read yet.
    bytes: &'a [u8],
    /// What was read last; the key of the block before the first step.
    text: Vec<u8>,
}

impl BlockWalk<'_> {
    /// False at the end.
    fn step(&mut self) -> bool {
        let Some(entry) = Entry::read(&mut self.bytes) else { return false };
        self.text.truncate(entry.shared);
        self.text.extend_from_slice(entry.rest);
        true
    }
}

impl<'a> Entry<'a> {
    /// The first entry of `bytes`, which is cut off from them. `None` if there is none.
    fn read(bytes: &mut &'a [u8]) -> Option<Self> {
        let (shared, behind) = read_number(bytes)?;
        let (length, behind) = read_number(behind)?;
        let (rest, behind) = behind.split_at_checked(length)?;
        *bytes = behind;
        Some(Self { shared, rest })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_number(self.shared, out);
        write_number(self.rest.len(), out);
        out.extend_from_slice(self.rest);
    }
}

/// One byte below 128; else three, for lengths of 16 bits.
fn read_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [low @ 0..128, rest @ ..] => Some((usize::from(*low), rest)),
        [_, high, low, rest @ ..] => Some((usize::from(*high) << 8 | usize::from(*low), rest)),
        _ => None,
    }
}

fn write_number(number: usize, out: &mut Vec<u8>) {
    match number {
        0..128 => out.push(number as u8),
        _ => out.extend([0x80, (number >> 8) as u8, number as u8]),
    }
}

/// How many bytes two texts share at their beginning.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;

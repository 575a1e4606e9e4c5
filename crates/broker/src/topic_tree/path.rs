//! The levels of one topic, taken apart once, and the hashes of nodes.

use ahash::RandomState;

use super::segment::{LongTexts, Segment, Word};

/// What a walk needs beside the tree; kept for its memory.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The topic, and behind it as many bytes as may be read beyond its end.
    text: Vec<u8>,
    pub(super) levels: Vec<Level>,
    /// Branches to be walked later: the child `+` of a node, with its hash and its level.
    pub(super) branches: Vec<(u32, PathHash, usize)>,
}

/// Levels beyond which a topic is unusual, and its memory is given back.
const KEPT_MAX: usize = 64;
/// Bytes that are looked at in one step.
const STEP: usize = 16;

/// One level of a topic.
pub(super) struct Level {
    /// Of the segment that a node has for it, if its text is short.
    word: Word,
    hash: u64,
    /// Where its text is in the topic.
    from: u32,
    to: u32,
}

impl Scratch {
    /// Takes `topic` apart.
    pub(super) fn split(&mut self, topic: &str, hasher: &RandomState) {
        let Self { text, levels, branches } = self;
        branches.clear();
        levels.clear();
        text.clear();
        text.extend_from_slice(topic.as_bytes());
        text.resize(topic.len() + 2 * STEP, 0);
        let mut from = 0;
        for (number, step) in text[..topic.len() + STEP].chunks_exact(STEP).enumerate() {
            let mut slashes = 0_u32;
            for (at, &byte) in step.iter().enumerate() {
                slashes |= u32::from(byte == b'/') << at;
            }
            while slashes != 0 {
                let at = number * STEP + slashes.trailing_zeros() as usize;
                levels.push(Level::new(text, from, at, hasher));
                from = at + 1;
                slashes &= slashes - 1;
            }
        }
        levels.push(Level::new(text, from, topic.len(), hasher));
    }

    /// Gives back what an unusual topic took.
    pub(super) fn tidy(&mut self) {
        if self.levels.capacity() > KEPT_MAX {
            *self = Self::default();
        }
    }
}

impl Level {
    #[inline]
    fn new(padded: &[u8], from: usize, to: usize, hasher: &RandomState) -> Self {
        let begin = padded[from..].first_chunk().copied().unwrap_or_default();
        let (word, hash) = match Word::new(begin, to - from) {
            Some(word) => (word, hasher.hash_one(word)),
            None => (Word::NONE, hasher.hash_one(&padded[from..to])),
        };
        Self { word, hash, from: from as u32, to: to as u32 }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether a node with this segment is of this level of `topic`.
    #[inline]
    pub(super) fn is(&self, topic: &str, segment: &Segment, long_texts: &LongTexts) -> bool {
        segment.word() == self.word
            || self.word == Word::NONE
                && long_texts.long(segment) == Some(&topic.as_bytes()[self.from as usize..self.to as usize])
    }
}

/// What the text of a level adds to the hash of a path.
pub(super) fn text_hash(hasher: &RandomState, text: &[u8]) -> u64 {
    match Segment::short(text) {
        Some(short) => hasher.hash_one(short.word()),
        None => hasher.hash_one(text),
    }
}

/// The hash of all levels from the root to a node, `+` among them. It follows from the hashes of the levels alone, so that
/// the places of all nodes that a topic may lead to are known before any of them was looked at. A level can be taken back
/// off it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PathHash(u64);

/// Odd, so that it has an inverse.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const INVERSE: u64 = inverse(FACTOR);
const TURN: u32 = 23;
/// What the wildcard adds in place of a hash.
const PLUS: u64 = 0xD6E8_FEB8_6659_FD93;

impl PathHash {
    pub(super) const ROOT: Self = Self(0x2545_F491_4F6C_DD1D);

    #[inline]
    pub(super) fn child(self, text_hash: u64) -> Self {
        Self((self.0.rotate_left(TURN) ^ text_hash).wrapping_mul(FACTOR))
    }

    #[inline]
    pub(super) fn plus(self) -> Self {
        self.child(PLUS)
    }

    /// The parent's.
    pub(super) fn without(self, text_hash: u64) -> Self {
        Self((self.0.wrapping_mul(INVERSE) ^ text_hash).rotate_right(TURN))
    }

    pub(super) fn without_plus(self) -> Self {
        self.without(PLUS)
    }

    /// For an index, which looks at the lower half. A product is best mixed in its upper one.
    #[inline]
    pub(super) fn get(self) -> u64 {
        self.0 >> 32
    }
}

/// Modulo 2^64, by Newton's method: each step doubles the bits that are right, three of which are at first.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_can_be_taken_off_again() {
        let path = PathHash::ROOT.child(5).plus().child(7);
        assert_eq!(path.without(7).without_plus().without(5), PathHash::ROOT);
        assert_ne!(PathHash::ROOT.child(5).child(7), PathHash::ROOT.child(7).child(5));
    }

    #[test]
    fn a_topic_is_taken_apart_wherever_its_levels_end() {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut scratch = Scratch::default();
        for topic in (0..60).flat_map(|length| [1, 2, 7, 16].map(|every| (length, every))).map(
            |(length, every)| -> String {
                (0..length).map(|at| if at % every == every - 1 { '/' } else { 'a' }).collect()
            },
        ) {
            scratch.split(&topic, &hasher);
            let found: Vec<_> =
                scratch.levels.iter().map(|level| &topic[level.from as usize..level.to as usize]).collect();
            assert_eq!(found, topic.split('/').collect::<Vec<_>>());
        }
    }

    #[test]
    fn texts_of_levels_are_compared_whole() {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut long_texts = LongTexts::new();
        let (mut scratch, topic) = (Scratch::default(), format!("a//{}/+/eleven text/b", "x".repeat(30)));
        scratch.split(&topic, &hasher);
        assert_eq!(scratch.levels.len(), 6);
        for (level, text) in scratch.levels.iter().zip(topic.split('/')) {
            assert_eq!(level.hash(), text_hash(&hasher, text.as_bytes()));
            let (same, other) = (long_texts.add(text), long_texts.add(&format!("{text}x")));
            assert!(level.is(&topic, &same, &long_texts) && !level.is(&topic, &other, &long_texts));
            assert!(!level.is(&topic, &Segment::PLUS, &long_texts));
        }
    }
}

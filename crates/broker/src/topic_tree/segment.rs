//! The texts of levels.

use crate::arena::Arena;

/// The text of a level, or where it is, or `+`. 12 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Segment {
    bytes: [u8; SHORT],
    kind: Kind,
}

/// Longest text that needs no memory of its own.
const SHORT: usize = 11;

/// What the bytes are: a text of so many, or the number of a longer one. An enum and not a length, so that there are
/// values to spare.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Kind {
    Text0,
    Text1,
    Text2,
    Text3,
    Text4,
    Text5,
    Text6,
    Text7,
    Text8,
    Text9,
    Text10,
    Text11,
    Long,
    Plus,
}

const TEXTS: [Kind; SHORT + 1] = [
    Kind::Text0,
    Kind::Text1,
    Kind::Text2,
    Kind::Text3,
    Kind::Text4,
    Kind::Text5,
    Kind::Text6,
    Kind::Text7,
    Kind::Text8,
    Kind::Text9,
    Kind::Text10,
    Kind::Text11,
];

impl Segment {
    /// The wildcard.
    pub(super) const PLUS: Self = Self { kind: Kind::Plus, bytes: [0; SHORT] };

    /// The segment of a text that needs no memory of its own.
    pub(super) fn short(text: &[u8]) -> Option<Self> {
        let kind = *TEXTS.get(text.len())?;
        let mut bytes = [0; SHORT];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { kind, bytes })
    }

    /// All of it in two numbers: equal texts give equal ones, where they need no memory of their own.
    #[inline]
    pub(super) fn word(&self) -> Word {
        let [a, b, c, d, e, f, g, h, i, j, k] = self.bytes;
        Word(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([i, j, k, self.kind as u8]))
    }

    pub(super) fn is_plus(&self) -> bool {
        self.kind == Kind::Plus
    }
}

/// What a [`Segment`] is compared by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Word(u64, u32);

impl Word {
    /// Of no segment.
    pub(super) const NONE: Self = Self(0, u32::MAX);

    /// The word of a text so long that begins with these bytes; `None` if it is too long.
    #[inline]
    pub(super) fn new(begin: [u8; 16], length: usize) -> Option<Self> {
        let text = u128::from_le_bytes(begin) & ((1 << (8 * length as u32 % 128)) - 1);
        let kind = (length as u32) << 24;
        (length <= SHORT).then_some(Self(text as u64, (text >> 64) as u32 | kind))
    }
}

/// Texts that are too long to stand in a [`Segment`].
pub(super) struct LongTexts(Arena<Box<[u8]>>);

impl LongTexts {
    pub(super) const fn new() -> Self {
        Self(Arena::new())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A segment with this text, to be given back by [`remove`](Self::remove).
    pub(super) fn add(&mut self, text: &str) -> Segment {
        let text = text.as_bytes();
        Segment::short(text).unwrap_or_else(|| {
            let mut bytes = [0; SHORT];
            bytes[..4].copy_from_slice(&self.0.insert(text.into()).to_le_bytes());
            Segment { kind: Kind::Long, bytes }
        })
    }

    pub(super) fn remove(&mut self, segment: &Segment) {
        if segment.kind == Kind::Long {
            self.0.remove(at(segment));
        }
    }

    /// The text of a segment that is too long to stand in it.
    pub(super) fn long(&self, segment: &Segment) -> Option<&[u8]> {
        (segment.kind == Kind::Long).then(|| &*self.0[at(segment)])
    }

    /// Empty for the wildcard.
    pub(super) fn text<'a>(&'a self, segment: &'a Segment) -> &'a [u8] {
        match segment.kind {
            Kind::Plus => &[],
            Kind::Long => &self.0[at(segment)],
            short => &segment.bytes[..short as usize],
        }
    }
}

fn at(segment: &Segment) -> u32 {
    let [a, b, c, d, ..] = segment.bytes;
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_in_the_segment_and_long_ones_beside_it() {
        let mut long = LongTexts::new();
        for length in 0..50 {
            let text: String = ('!'..).take(length).collect();
            let segment = long.add(&text);
            assert_eq!(long.text(&segment), text.as_bytes());
            assert!(!segment.is_plus());
            assert_eq!(long.len(), usize::from(length > SHORT));
            let begin: Vec<u8> = text.bytes().chain("/next level and so on".bytes()).take(16).collect();
            let word = Word::new(begin.try_into().unwrap(), length);
            assert_eq!(word, (length <= SHORT).then(|| segment.word()));
            long.remove(&segment);
            assert_eq!(long.len(), 0);
        }
        assert_eq!(size_of::<Option<Segment>>(), 12);
    }
}

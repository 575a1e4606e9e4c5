//! The texts of levels.

use crate::arena::Arena;

/// The text of a level, or where it is, or `+`. 12 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    kind: Kind,
    bytes: [u8; SHORT],
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

    /// The segment of a text that needs no memory of its own. Equal texts give equal segments.
    pub(super) fn short(text: &[u8]) -> Option<Self> {
        let kind = *TEXTS.get(text.len())?;
        let mut bytes = [0; SHORT];
        // A copy of which the compiler does not know the length would be a call.
        for (byte, from) in bytes.iter_mut().zip(text) {
            *byte = *from;
        }
        Some(Self { kind, bytes })
    }

    pub(super) fn is_plus(&self) -> bool {
        self.kind == Kind::Plus
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
            long.remove(&segment);
            assert_eq!(long.len(), 0);
        }
        assert_eq!(size_of::<Option<Segment>>(), 12);
    }
}

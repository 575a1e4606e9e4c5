//! The texts of levels, each once.

use std::num::NonZeroU32;

use ahash::RandomState;

use crate::arena::Arena;
use crate::hash_index::HashIndex;

/// Names the text of a level, or `+`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct SegmentId(NonZeroU32);

impl SegmentId {
    /// The wildcard. Its text is not among the segments, so a level of a topic never has this.
    pub(super) const PLUS: Self = Self(NonZeroU32::MAX);

    fn of(at: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(at))
    }

    fn at(self) -> u32 {
        self.0.get() - 1
    }
}

/// Segments in use: those of `devices/<n>/+/cmd` are four texts for every n and one more for each.
pub(super) struct Segments {
    index: HashIndex,
    segments: Arena<Segment>,
}

/// Tables of a large index.
pub(super) const TABLES: usize = 256;

impl Segments {
    pub(super) fn new() -> Self {
        Self { index: HashIndex::new(TABLES), segments: Arena::new() }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn find(&self, hasher: &RandomState, text: &str) -> Option<SegmentId> {
        let text = text.as_bytes();
        let is = |at| self.segments.get(at).is_some_and(|segment| segment.text.as_bytes() == text);
        self.index.find(hasher.hash_one(text), is).map(SegmentId::of)
    }

    /// The segment with this text, to be given back by [`release`](Self::release).
    pub(super) fn acquire(&mut self, hasher: &RandomState, text: &str) -> SegmentId {
        if let Some(id) = self.find(hasher, text) {
            if let Some(segment) = self.segments.get_mut(id.at()) {
                segment.uses += 1;
            }
            return id;
        }
        let at = self.segments.insert(Segment { text: Text::new(text.as_bytes()), uses: 1 });
        self.index.insert(hasher.hash_one(text.as_bytes()), at);
        SegmentId::of(at)
    }

    pub(super) fn release(&mut self, hasher: &RandomState, id: SegmentId) {
        let Some(segment) = self.segments.get_mut(id.at()) else { return };
        segment.uses -= 1;
        if segment.uses == 0 {
            let hash = hasher.hash_one(segment.text.as_bytes());
            self.index.remove(hash, id.at());
            self.segments.remove(id.at());
        }
    }
}

/// 24 bytes.
struct Segment {
    text: Text,
    /// How many nodes have it.
    uses: u32,
}

/// Most texts are short enough to need no memory of their own.
enum Text {
    Short { len: u8, bytes: [u8; Self::SHORT] },
    Long(Box<Box<[u8]>>),
}

impl Text {
    const SHORT: usize = 14;

    fn new(text: &[u8]) -> Self {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= Self::SHORT => {
                let mut bytes = [0; Self::SHORT];
                bytes[..text.len()].copy_from_slice(text);
                Self::Short { len, bytes }
            }
            _ => Self::Long(Box::new(text.into())),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_there_once_and_while_it_is_used() {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let mut segments = Segments::new();
        for text in ["", "a", "fourteen bytes", "more than fourteen bytes"] {
            let id = segments.acquire(&hasher, text);
            assert_eq!(segments.acquire(&hasher, text), id);
            assert_eq!(segments.find(&hasher, text), Some(id));
            segments.release(&hasher, id);
            assert_eq!(segments.find(&hasher, text), Some(id));
            segments.release(&hasher, id);
            assert_eq!((segments.find(&hasher, text), segments.len()), (None, 0));
        }
        assert_eq!(size_of::<Segment>(), 24);
    }
}

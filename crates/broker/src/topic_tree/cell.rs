//! What the trie is made of.

use super::ROOT;
use super::segment::Segment;
use super::subscribers::{Crowd, Subscribers, Subscription};

/// A node, or those who hang on one. The cells of one filter are entered one after the other, so that they lie beside each other
/// and whoever waits for the first has the others. 32 bytes.
pub(super) enum Cell<T> {
    Node(Node),
    One(T),
    Many(Box<Crowd<T>>),
}

impl<T: Subscription> Cell<T> {
    /// Changes a list.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut Subscribers<T>) -> R) -> R {
        // What stands there meanwhile is looked at by nobody.
        let mut list = match std::mem::replace(self, Self::Node(Node::new(ROOT, Segment::PLUS))) {
            Self::One(one) => Subscribers::One(one),
            Self::Many(crowd) => Subscribers::Many(crowd),
            Self::Node(_) => unreachable!("`here` and `below` of a node lead to lists only"),
        };
        let result = change(&mut list);
        *self = match list {
            Subscribers::One(one) => Self::One(one),
            Subscribers::Many(crowd) => Self::Many(crowd),
        };
        result
    }
}

/// One level of filters that are equal so far. 32 bytes, whatever hangs on it.
pub(super) struct Node {
    pub(super) segment: Segment,
    pub(super) parent: u32,
    pub(super) literals: Literals,
    /// The child `+`.
    pub(super) plus: Link,
    /// Who subscribed with a filter that ends here.
    pub(super) here: Link,
    /// Who subscribed with `#` below here.
    pub(super) below: Link,
}

impl Node {
    pub(super) fn new(parent: u32, segment: Segment) -> Self {
        Self {
            segment,
            parent,
            literals: Literals::NONE,
            plus: Link::NONE,
            here: Link::NONE,
            below: Link::NONE,
        }
    }

    pub(super) fn is_bare(&self) -> bool {
        self.literals == Literals::NONE
            && [self.plus, self.here, self.below].iter().all(|link| *link == Link::NONE)
    }
}

/// A number of an arena, or none, in four bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Link(u32);

impl Link {
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn to(at: u32) -> Self {
        Self(at)
    }

    pub(super) fn get(self) -> Option<u32> {
        (self != Self::NONE).then_some(self.0)
    }
}

/// The literal children of a node, in four bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Literals(u32);

pub(super) enum Literal {
    None,
    /// This one. It is not in the index.
    One(u32),
    /// So many in the index: one too, where there were more.
    Many(u32),
}

impl Literals {
    /// The root is nobody's child.
    pub(super) const NONE: Self = Self(ROOT);
    const MANY: u32 = 1 << 31;

    pub(super) fn one(id: u32) -> Self {
        assert!(id < Self::MANY, "2^31 nodes would fill 64 GiB before");
        Self(id)
    }

    pub(super) fn many(count: u32) -> Self {
        Self(Self::MANY | count)
    }

    pub(super) fn get(self) -> Literal {
        match self {
            Self::NONE => Literal::None,
            Self(many) if many & Self::MANY != 0 => Literal::Many(many & !Self::MANY),
            Self(id) => Literal::One(id),
        }
    }
}

//! Which subscriptions want a topic.

use ahash::RandomState;

use crate::arena::Arena;
use crate::hash_index::HashIndex;

mod segment;
mod subscribers;

use segment::{LongTexts, Segment};
use subscribers::Subscribers;
pub(crate) use subscribers::Subscription;

/// Subscriptions by Topic Filter, found by Topic Name.
///
/// A filter without wildcards is found by its hash: one look-up per topic. The others form a trie whose
/// nodes are levels:
///
/// ```text
///              (root)                  filters: sport/+/score, sport/#, +/status
///              /    \
///          sport     +                 a node knows its `+` child and its literal child; those of nodes that have
///         [below]     \                several are in one index of (parent, segment)
///            |       status            `#` is no node: who subscribed with it stands in its parent as `below`
///            +       [here]
///            |
///          score
///         [here]
/// ```
///
/// Filters and topics are expected to be well formed, as the protocol crate parses them. What is not well
/// formed is stored as it stands and does no harm. The order of matches follows from the order of changes
/// alone, never from the hasher, so equal histories give equal deliveries.
///
/// A change costs the length of the filter, however many filters there are: nothing here recurses, and nothing that
/// grows is copied as a whole, but for a list of who subscribed to one and the same filter.
pub(crate) struct TopicTree<T> {
    hasher: RandomState,
    /// Filters without wildcards, by their hash.
    exact: HashIndex,
    exact_filters: Arena<ExactFilter>,
    /// Levels of filters with wildcards. The root is always there.
    nodes: Arena<Node>,
    /// Literal children of [`Literals::many`] nodes, by parent and segment.
    literal_children: HashIndex,
    long_texts: LongTexts,
    /// What [`Link`]s point to.
    lists: Arena<Subscribers<T>>,
    len: usize,
}

const ROOT: u32 = 0;
/// Tables of a large index.
const TABLES: usize = 256;

impl<T: Subscription> TopicTree<T> {
    /// An empty tree. A seed that clients cannot guess keeps them from choosing segments that collide.
    pub(crate) fn new(hasher: RandomState) -> Self {
        let mut nodes = Arena::new();
        nodes.insert(Node::new(ROOT, Segment::PLUS));
        Self {
            hasher,
            exact: HashIndex::new(TABLES),
            exact_filters: Arena::new(),
            nodes,
            literal_children: HashIndex::new(TABLES),
            long_texts: LongTexts::new(),
            lists: Arena::new(),
            len: 0,
        }
    }

    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Subscribes `value` to `filter`. Takes the place of the subscription to this filter by the same one, and returns
    /// that.
    pub(crate) fn insert(&mut self, filter: &str, value: T) -> Option<T> {
        let home = self.home_or_insert(filter);
        let replaced = match self.link(home).get() {
            Some(at) => self.lists[at].insert(&self.hasher, value),
            None => {
                *self.link(home) = Link::to(self.lists.insert(Subscribers::One(value)));
                None
            }
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Ends the subscription of `who` to `filter`, and returns it.
    pub(crate) fn remove(&mut self, filter: &str, who: T::Who) -> Option<T> {
        let home = self.home(filter)?;
        let at = self.link(home).get()?;
        let (removed, is_empty) = self.lists[at].remove(&self.hasher, who)?;
        self.len -= 1;
        if self.len == 0 {
            // Gives the memory of a past crowd back.
            *self = Self::new(self.hasher.clone());
        } else if is_empty {
            self.lists.remove(at);
            *self.link(home) = Link::NONE;
            match home {
                Home::Exact(at) => {
                    self.exact.remove(self.hasher.hash_one(filter), at);
                    self.exact_filters.remove(at);
                }
                Home::Here(node) | Home::Below(node) => self.prune(node),
            }
        }
        Some(removed)
    }

    /// Calls `f` for every subscription that wants `topic`: once for each filter that matches, so a
    /// subscriber with overlapping filters is told several times.
    ///
    /// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1],
    /// [MQTT311-4.7.2-1]; texts are compared byte by byte [MQTT-4.7.3-4], [MQTT311-4.7.3-4].
    pub(crate) fn for_each_match(&self, topic: &str, mut f: impl FnMut(&T)) {
        if let Some(at) = self.exact_filter(topic) {
            self.tell(self.exact_filters[at].list, &mut f);
        }
        if self.nodes.len() == 1 && self.nodes[ROOT].below == Link::NONE {
            return;
        }
        let hidden = topic.starts_with('$');
        // Branches to be walked later. The walk leaves at most one behind at each level, and allocates only then.
        let mut branches: Vec<(u32, Option<&str>)> = Vec::new();
        let mut next = Some((ROOT, Some(topic)));
        while let Some((id, rest)) = next {
            let node = &self.nodes[id];
            let hidden = hidden && id == ROOT;
            if !hidden {
                // `sport/#` matches `sport` too, so this comes before asking whether there is a level.
                self.tell(node.below, &mut f);
            }
            next = match rest {
                None => {
                    self.tell(node.here, &mut f);
                    None
                }
                Some(levels) => {
                    let (level, rest) = match levels.split_once('/') {
                        Some((level, rest)) => (level, Some(rest)),
                        None => (levels, None),
                    };
                    let plus = node.plus.get().filter(|_| !hidden).map(|plus| (plus, rest));
                    match self.literal_child(id, level) {
                        Some(literal) => {
                            branches.extend(plus);
                            Some((literal, rest))
                        }
                        None => plus,
                    }
                }
            };
            if next.is_none() {
                next = branches.pop();
            }
        }
    }

    fn tell(&self, list: Link, f: &mut impl FnMut(&T)) {
        if let Some(at) = list.get() {
            self.lists[at].as_slice().iter().for_each(f);
        }
    }

    /// Where the subscribers of `filter` stand, if there are any or if it is on the way to others.
    fn home(&self, filter: &str) -> Option<Home> {
        let place = Place::of(filter);
        if let Place::Exact = place {
            return self.exact_filter(filter).map(Home::Exact);
        }
        place.levels().try_fold(ROOT, |node, level| self.child(node, level)).map(|node| place.at(node))
    }

    fn home_or_insert(&mut self, filter: &str) -> Home {
        let place = Place::of(filter);
        if let Place::Exact = place {
            let at = self.exact_filter(filter).unwrap_or_else(|| {
                let at = self.exact_filters.insert(ExactFilter { text: filter.into(), list: Link::NONE });
                self.exact.insert(self.hasher.hash_one(filter), at);
                at
            });
            return Home::Exact(at);
        }
        let node = place.levels().fold(ROOT, |node, level| self.child_or_insert(node, level));
        place.at(node)
    }

    fn link(&mut self, home: Home) -> &mut Link {
        match home {
            Home::Exact(at) => &mut self.exact_filters[at].list,
            Home::Here(node) => &mut self.nodes[node].here,
            Home::Below(node) => &mut self.nodes[node].below,
        }
    }

    fn exact_filter(&self, topic: &str) -> Option<u32> {
        if self.exact_filters.len() == 0 {
            return None;
        }
        self.exact.find(self.hasher.hash_one(topic), |at| *self.exact_filters[at].text == *topic)
    }

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        match level {
            "+" => self.nodes[parent].plus.get(),
            _ => self.literal_child(parent, level),
        }
    }

    fn literal_child(&self, parent: u32, level: &str) -> Option<u32> {
        let is = |id: u32| self.long_texts.text(&self.nodes[id].segment) == level.as_bytes();
        match self.nodes[parent].literals.get() {
            Literal::None => None,
            Literal::One(id) => is(id).then_some(id),
            Literal::Many(_) => {
                let hash = self.child_hash(parent, level.as_bytes());
                self.literal_children.find(hash, |id| self.nodes[id].parent == parent && is(id))
            }
        }
    }

    fn child_hash(&self, parent: u32, level: &[u8]) -> u64 {
        self.hasher.hash_one((parent, level))
    }

    fn child_or_insert(&mut self, parent: u32, level: &str) -> u32 {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        if level == "+" {
            let id = self.nodes.insert(Node::new(parent, Segment::PLUS));
            self.nodes[parent].plus = Link::to(id);
            return id;
        }
        let id = self.nodes.insert(Node::new(parent, self.long_texts.add(level)));
        self.nodes[parent].literals = match self.nodes[parent].literals.get() {
            Literal::None => Literals::one(id),
            Literal::One(sibling) => {
                self.add_to_index(sibling);
                self.add_to_index(id);
                Literals::many(2)
            }
            Literal::Many(count) => {
                self.add_to_index(id);
                Literals::many(count + 1)
            }
        };
        id
    }

    fn add_to_index(&mut self, id: u32) {
        let node = &self.nodes[id];
        let hash = self.child_hash(node.parent, self.long_texts.text(&node.segment));
        self.literal_children.insert(hash, id);
    }

    /// Removes `id` and every ancestor that led nowhere else.
    fn prune(&mut self, mut id: u32) {
        while id != ROOT && self.nodes[id].is_bare() {
            let Node { parent, segment, .. } = self.nodes[id];
            if segment.is_plus() {
                self.nodes[parent].plus = Link::NONE;
            } else {
                self.nodes[parent].literals = match self.nodes[parent].literals.get() {
                    Literal::None | Literal::One(_) => Literals::NONE,
                    Literal::Many(count) => {
                        let hash = self.child_hash(parent, self.long_texts.text(&segment));
                        self.literal_children.remove(hash, id);
                        if count > 1 { Literals::many(count - 1) } else { Literals::NONE }
                    }
                };
                self.long_texts.remove(&segment);
            }
            self.nodes.remove(id);
            id = parent;
        }
    }
}

/// Where the list of a filter's subscribers hangs.
#[derive(Clone, Copy)]
enum Home {
    Exact(u32),
    Here(u32),
    Below(u32),
}

/// Where the subscribers of a filter belong.
enum Place<'a> {
    /// No wildcards.
    Exact,
    /// At the node of these levels.
    Here(&'a str),
    /// At and below the node of these levels; of the root, if there are none.
    Below(Option<&'a str>),
}

impl<'a> Place<'a> {
    fn of(filter: &'a str) -> Self {
        if filter == "#" {
            Self::Below(None)
        } else if let Some(levels) = filter.strip_suffix("/#") {
            Self::Below(Some(levels))
        } else if filter.split('/').any(|level| level == "+") {
            Self::Here(filter)
        } else {
            Self::Exact
        }
    }

    fn levels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let levels = match *self {
            Self::Exact | Self::Below(None) => None,
            Self::Here(levels) | Self::Below(Some(levels)) => Some(levels),
        };
        levels.into_iter().flat_map(|levels| levels.split('/'))
    }

    /// With the node of its levels.
    fn at(&self, node: u32) -> Home {
        match self {
            Self::Exact | Self::Here(_) => Home::Here(node),
            Self::Below(_) => Home::Below(node),
        }
    }
}

/// A filter without wildcards.
struct ExactFilter {
    text: Box<str>,
    list: Link,
}

/// One level of filters that are equal so far. 32 bytes, whatever hangs on it.
struct Node {
    segment: Segment,
    parent: u32,
    literals: Literals,
    /// The child `+`.
    plus: Link,
    /// Who subscribed with a filter that ends here.
    here: Link,
    /// Who subscribed with `#` below here.
    below: Link,
}

impl Node {
    fn new(parent: u32, segment: Segment) -> Self {
        Self {
            segment,
            parent,
            literals: Literals::NONE,
            plus: Link::NONE,
            here: Link::NONE,
            below: Link::NONE,
        }
    }

    fn is_bare(&self) -> bool {
        self.literals == Literals::NONE
            && [self.plus, self.here, self.below].iter().all(|link| *link == Link::NONE)
    }
}

/// A number of an arena, or none, in four bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(u32::MAX);

    fn to(at: u32) -> Self {
        Self(at)
    }

    fn get(self) -> Option<u32> {
        (self != Self::NONE).then_some(self.0)
    }
}

/// The literal children of a node, in four bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Literals(u32);

enum Literal {
    None,
    /// This one. It is not in the index.
    One(u32),
    /// So many in the index: one too, where there were more.
    Many(u32),
}

impl Literals {
    /// The root is nobody's child.
    const NONE: Self = Self(ROOT);
    const MANY: u32 = 1 << 31;

    fn one(id: u32) -> Self {
        assert!(id < Self::MANY, "2^31 nodes would fill 64 GiB before");
        Self(id)
    }

    fn many(count: u32) -> Self {
        Self(Self::MANY | count)
    }

    fn get(self) -> Literal {
        match self {
            Self::NONE => Literal::None,
            Self(many) if many & Self::MANY != 0 => Literal::Many(many & !Self::MANY),
            Self(id) => Literal::One(id),
        }
    }
}

#[cfg(test)]
mod tests;

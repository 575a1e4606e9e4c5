//! Which subscriptions want a topic.

use ahash::RandomState;

use crate::arena::Arena;
use crate::generations::has_wildcards;
use crate::hash_index::HashIndex;

mod cell;
mod path;
mod segment;
mod subscribers;
mod walk;

use cell::{Cell, Link, Literal, Literals, Node};
pub(crate) use path::Scratch;
use path::{PathHash, text_hash};
use segment::{LongTexts, Segment};
use subscribers::Subscribers;
pub(crate) use subscribers::Subscription;
pub(crate) use walk::Cursor;

/// Subscriptions by Topic Filter, found by Topic Name.
///
/// A filter without wildcards is found by its hash: one look-up per topic. The others form a trie whose
/// nodes are levels:
///
/// ```text
///              (root)                  filters: sport/+/score, sport/#, +/status
///              /    \
///          sport     +                 a node knows its `+` child and its literal child; those of nodes that have
///         [below]     \                several are in one index, by the hash of their levels
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
    exact_filters: Arena<ExactFilter<T>>,
    /// Levels of filters with wildcards, and who subscribed. The root is always there.
    cells: Arena<Cell<T>>,
    /// Literal children of [`Literals::many`] nodes, by [`PathHash`].
    literal_children: HashIndex,
    long_texts: LongTexts,
    len: usize,
}

const ROOT: u32 = 0;
/// Tables of a large index.
const TABLES: usize = 1024;

impl<T: Subscription> TopicTree<T> {
    /// An empty tree. A seed that clients cannot guess keeps them from choosing segments that collide.
    pub(crate) fn new(hasher: RandomState) -> Self {
        let mut cells = Arena::new();
        cells.insert(Cell::Node(Node::new(ROOT, Segment::PLUS)));
        Self {
            hasher,
            exact: HashIndex::new(TABLES),
            exact_filters: Arena::new(),
            cells,
            literal_children: HashIndex::new(TABLES),
            long_texts: LongTexts::new(),
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
        let place = Place::of(filter);
        let replaced = match place {
            Place::Exact => self.insert_exact(filter, value),
            Place::Here(_) | Place::Below(_) => self.insert_wild(place, value),
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    fn insert_exact(&mut self, filter: &str, value: T) -> Option<T> {
        let hash = self.hasher.hash_one(filter);
        if let Some(at) = self.exact_filter(hash, filter) {
            return self.exact_filters[at].subscribers.insert(&self.hasher, value);
        }
        let filter = ExactFilter { text: filter.into(), subscribers: Subscribers::One(value) };
        self.exact.insert(hash, self.exact_filters.insert(filter));
        None
    }

    fn insert_wild(&mut self, place: Place<'_>, value: T) -> Option<T> {
        let mut at = (ROOT, PathHash::ROOT);
        for level in place.levels() {
            at = self.child_or_insert(at, level);
        }
        match self.link(place, at.0).get() {
            Some(list) => Cell::change(&mut self.cells[list], |list| list.insert(&self.hasher, value)),
            None => {
                *self.link(place, at.0) = Link::to(self.cells.insert(Cell::One(value)));
                None
            }
        }
    }

    /// Ends the subscription of `who` to `filter`, and returns it.
    pub(crate) fn remove(&mut self, filter: &str, who: T::Who) -> Option<T> {
        let place = Place::of(filter);
        let removed = match place {
            Place::Exact => self.remove_exact(filter, who)?,
            Place::Here(_) | Place::Below(_) => self.remove_wild(place, who)?,
        };
        self.len -= 1;
        if self.len == 0 {
            // Gives the memory of a past crowd back.
            *self = Self::new(self.hasher.clone());
        }
        Some(removed)
    }

    fn remove_exact(&mut self, filter: &str, who: T::Who) -> Option<T> {
        let hash = self.hasher.hash_one(filter);
        let at = self.exact_filter(hash, filter)?;
        let (removed, is_empty) = self.exact_filters[at].subscribers.remove(&self.hasher, who)?;
        if is_empty {
            self.exact.remove(hash, at);
            self.exact_filters.remove(at);
        }
        Some(removed)
    }

    fn remove_wild(&mut self, place: Place<'_>, who: T::Who) -> Option<T> {
        let mut at = (ROOT, PathHash::ROOT);
        for level in place.levels() {
            at = self.child(at, level)?;
        }
        let list = self.link(place, at.0).get()?;
        let (removed, is_empty) = Cell::change(&mut self.cells[list], |list| list.remove(&self.hasher, who))?;
        if is_empty {
            self.cells.remove(list);
            *self.link(place, at.0) = Link::NONE;
            self.prune(at);
        }
        Some(removed)
    }

    /// Calls `f` for every subscription that wants `topic`: once for each filter that matches, so a
    /// subscriber with overlapping filters is told several times.
    ///
    /// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1],
    /// [MQTT311-4.7.2-1]; texts are compared byte by byte [MQTT-4.7.3-4], [MQTT311-4.7.3-4].
    pub(crate) fn for_each_match(&self, topic: &str, scratch: &mut Scratch, mut f: impl FnMut(&T)) {
        if self.exact_filters.len() > 0
            && let Some(at) = self.exact_filter(self.hasher.hash_one(topic), topic)
        {
            self.exact_filters[at].subscribers.as_slice().iter().for_each(&mut f);
        }
        if self.cells.len() == 1 {
            return;
        }
        let hidden = topic.starts_with('$');
        scratch.split(topic, &self.hasher);
        // The walk leaves at most one branch behind at each level.
        let Scratch { levels, branches, .. } = scratch;
        let mut next = Some((ROOT, self.node(ROOT), PathHash::ROOT, 0));
        while let Some((id, node, path, depth)) = next {
            let hidden = hidden && id == ROOT;
            if !hidden {
                // `sport/#` matches `sport` too, so this comes before asking whether there is a level.
                self.tell(node.below, &mut f);
            }
            next = match levels.get(depth) {
                None => {
                    self.tell(node.here, &mut f);
                    None
                }
                Some(level) => {
                    let plus = node.plus.get().filter(|_| !hidden);
                    if let Some(plus) = plus {
                        branches.push((plus, path.plus(), depth + 1));
                    }
                    let path = path.child(level.hash());
                    let is = |segment: &Segment| level.is(topic, segment, &self.long_texts);
                    let literal = self.literal_child(id, node.literals, path, is);
                    literal.map(|(id, node)| (id, node, path, depth + 1))
                }
            };
            if next.is_none() {
                next = branches.pop().map(|(id, path, depth)| (id, self.node(id), path, depth));
            }
        }
        scratch.tidy();
    }

    fn tell(&self, list: Link, f: &mut impl FnMut(&T)) {
        match list.get().map(|at| &self.cells[at]) {
            Some(Cell::One(one)) => f(one),
            Some(Cell::Many(crowd)) => crowd.members.iter().for_each(f),
            Some(Cell::Node(_)) | None => {}
        }
    }

    #[inline]
    fn node(&self, id: u32) -> &Node {
        match &self.cells[id] {
            Cell::Node(node) => node,
            Cell::One(_) | Cell::Many(_) => unreachable!("only `here` and `below` of a node lead to lists"),
        }
    }

    fn node_mut(&mut self, id: u32) -> &mut Node {
        match &mut self.cells[id] {
            Cell::Node(node) => node,
            Cell::One(_) | Cell::Many(_) => unreachable!("only `here` and `below` of a node lead to lists"),
        }
    }

    /// Where the subscribers of a filter with wildcards hang, given the node of its levels.
    fn link(&mut self, place: Place<'_>, node: u32) -> &mut Link {
        let node = self.node_mut(node);
        match place {
            Place::Exact | Place::Here(_) => &mut node.here,
            Place::Below(_) => &mut node.below,
        }
    }

    fn exact_filter(&self, hash: u64, topic: &str) -> Option<u32> {
        self.exact.find(hash, |at| *self.exact_filters[at].text == *topic)
    }

    /// A child of a filter's level, with its hash.
    fn child(&self, (parent, path): (u32, PathHash), level: &str) -> Option<(u32, PathHash)> {
        let Node { literals, plus, .. } = *self.node(parent);
        if level == "+" {
            return plus.get().map(|plus| (plus, path.plus()));
        }
        let path = path.child(text_hash(&self.hasher, level.as_bytes()));
        let is = |segment: &Segment| self.long_texts.text(segment) == level.as_bytes();
        self.literal_child(parent, literals, path, is).map(|(child, _)| (child, path))
    }

    /// The child of `parent` with this hash whose segment is the one.
    #[inline]
    fn literal_child(
        &self,
        parent: u32,
        literals: Literals,
        path: PathHash,
        is: impl Fn(&Segment) -> bool,
    ) -> Option<(u32, &Node)> {
        match literals.get() {
            Literal::None => None,
            Literal::One(id) => Some((id, self.node(id))).filter(|(_, node)| is(&node.segment)),
            Literal::Many(_) => self.literal_children.find_value(path.get(), |id| {
                let node = self.node(id);
                (node.parent == parent && is(&node.segment)).then_some((id, node))
            }),
        }
    }

    fn child_or_insert(&mut self, at: (u32, PathHash), level: &str) -> (u32, PathHash) {
        if let Some(child) = self.child(at, level) {
            return child;
        }
        let (parent, path) = at;
        if level == "+" {
            let id = self.cells.insert(Cell::Node(Node::new(parent, Segment::PLUS)));
            self.node_mut(parent).plus = Link::to(id);
            return (id, path.plus());
        }
        let segment = self.long_texts.add(level);
        let id = self.cells.insert(Cell::Node(Node::new(parent, segment)));
        let child = path.child(text_hash(&self.hasher, level.as_bytes()));
        let literals = match self.node(parent).literals.get() {
            Literal::None => Literals::one(id),
            Literal::One(sibling) => {
                let text = self.long_texts.text(&self.node(sibling).segment);
                let hash = path.child(text_hash(&self.hasher, text)).get();
                self.literal_children.insert(hash, sibling);
                self.literal_children.insert(child.get(), id);
                Literals::many(2)
            }
            Literal::Many(count) => {
                self.literal_children.insert(child.get(), id);
                Literals::many(count + 1)
            }
        };
        self.node_mut(parent).literals = literals;
        (id, child)
    }

    /// Removes a node and every ancestor that led nowhere else.
    fn prune(&mut self, (mut id, mut path): (u32, PathHash)) {
        while id != ROOT && self.node(id).is_bare() {
            let Node { parent, segment, .. } = *self.node(id);
            if segment.is_plus() {
                self.node_mut(parent).plus = Link::NONE;
                path = path.without_plus();
            } else {
                let literals = match self.node(parent).literals.get() {
                    Literal::None | Literal::One(_) => Literals::NONE,
                    Literal::Many(count) => {
                        self.literal_children.remove(path.get(), id);
                        if count > 1 { Literals::many(count - 1) } else { Literals::NONE }
                    }
                };
                self.node_mut(parent).literals = literals;
                path = path.without(text_hash(&self.hasher, self.long_texts.text(&segment)));
                self.long_texts.remove(&segment);
            }
            self.cells.remove(id);
            id = parent;
        }
    }
}

/// Where the subscribers of a filter belong.
#[derive(Clone, Copy)]
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
        } else if has_wildcards(filter) {
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
}

/// A filter without wildcards.
struct ExactFilter<T> {
    text: Box<str>,
    subscribers: Subscribers<T>,
}

#[cfg(test)]
mod tests;

//! Which subscriptions want a topic.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;

/// Subscriptions by Topic Filter, found by Topic Name.
///
/// A filter without wildcards is a key of a hash table: one look-up per topic. The others form a trie whose
/// nodes are levels:
///
/// ```text
///              (root)                  filters: sport/+/score, sport/#, +/status
///              /    \
///          sport     +                 a node knows its `+` child; its literal children are in one table of
///         [below]     \                (parent, segment), shared by all nodes
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
/// A change costs the length of the filter plus, for [`insert`](Self::insert) and [`remove`](Self::remove),
/// one look at each subscription of exactly this filter. Nothing here recurses.
pub(crate) struct TopicTree<T> {
    hasher: RandomState,
    /// Subscriptions without wildcards.
    exact: HashMap<Box<str>, Subscribers<T>, RandomState>,
    /// Levels of filters with wildcards. The root is always there.
    nodes: Slab<Node>,
    /// Every node that is a literal child, by parent and segment.
    literal_children: HashTable<u32>,
    /// What [`Node::here`] and [`Node::below`] point to.
    lists: Slab<Subscribers<T>>,
    len: usize,
    generation: u64,
}

const ROOT: u32 = 0;

impl<T: Copy + Eq> TopicTree<T> {
    /// An empty tree. A seed that clients cannot guess keeps them from choosing segments that collide.
    pub(crate) fn new(hasher: RandomState) -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(ROOT, Segment::new("")));
        Self {
            exact: HashMap::with_hasher(hasher.clone()),
            hasher,
            nodes,
            literal_children: HashTable::new(),
            lists: Slab::new(),
            len: 0,
            generation: 0,
        }
    }

    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody subscribed to anything.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Changes whenever a subscription does. What was matched under another generation may be outdated.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Subscribes `value` to `filter`. Takes the place of the subscription to this filter for which `same`
    /// holds, and returns that one.
    pub(crate) fn insert(&mut self, filter: &str, value: T, same: impl Fn(&T) -> bool) -> Option<T> {
        let replaced = match Place::of(filter) {
            Place::Exact => match self.exact.entry(filter.into()) {
                Entry::Occupied(mut found) => found.get_mut().insert(value, same),
                Entry::Vacant(vacant) => {
                    vacant.insert(Subscribers::One(value));
                    None
                }
            },
            place @ (Place::Here(_) | Place::Below(_)) => {
                let node = place.levels().fold(ROOT, |node, level| self.child_or_insert(node, level));
                let list = place.list(&mut self.nodes[node as usize]);
                match list.get() {
                    Some(at) => self.lists[at].insert(value, same),
                    None => {
                        *list = Link::to(self.lists.insert(Subscribers::One(value)));
                        None
                    }
                }
            }
        };
        self.len += usize::from(replaced.is_none());
        self.generation = self.generation.wrapping_add(1);
        replaced
    }

    /// Ends the subscription to `filter` for which `same` holds, and returns it.
    pub(crate) fn remove(&mut self, filter: &str, same: impl Fn(&T) -> bool) -> Option<T> {
        let removed = match Place::of(filter) {
            Place::Exact => {
                let list = self.exact.get_mut(filter)?;
                let (removed, empty) = list.remove(same)?;
                if empty {
                    self.exact.remove(filter);
                }
                removed
            }
            place @ (Place::Here(_) | Place::Below(_)) => {
                let node = place.levels().try_fold(ROOT, |node, level| self.child(node, level))?;
                let list = place.list(&mut self.nodes[node as usize]);
                let at = list.get()?;
                let (removed, empty) = self.lists[at].remove(same)?;
                if empty {
                    *list = Link::NONE;
                    self.lists.remove(at);
                    self.prune(node);
                }
                removed
            }
        };
        self.len -= 1;
        self.generation = self.generation.wrapping_add(1);
        if self.len == 0 {
            // Gives the memory of a past crowd back.
            let generation = self.generation;
            *self = Self::new(self.hasher.clone());
            self.generation = generation;
        }
        Some(removed)
    }

    /// Calls `f` for every subscription that wants `topic`: once for each filter that matches, so a
    /// subscriber with overlapping filters is told several times.
    ///
    /// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1],
    /// [MQTT311-4.7.2-1]; texts are compared byte by byte [MQTT-4.7.3-4], [MQTT311-4.7.3-4].
    pub(crate) fn for_each_match(&self, topic: &str, mut f: impl FnMut(&T)) {
        if let Some(list) = self.exact.get(topic) {
            list.as_slice().iter().for_each(&mut f);
        }
        if self.lists.is_empty() {
            return;
        }
        let hidden = topic.starts_with('$');
        // Branches to be walked later. The walk leaves at most one behind at each level, and allocates only then.
        let mut branches: Vec<(u32, Option<&str>)> = Vec::new();
        let mut next = Some((ROOT, Some(topic)));
        while let Some((id, rest)) = next {
            let node = &self.nodes[id as usize];
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
                    let plus = node.plus.get().filter(|_| !hidden).map(|plus| (plus as u32, rest));
                    let literal = if node.literals == 0 { None } else { self.literal_child(id, level) };
                    match literal {
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

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        match level {
            "+" => self.nodes[parent as usize].plus.get().map(|at| at as u32),
            _ => self.literal_child(parent, level),
        }
    }

    fn literal_child(&self, parent: u32, level: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((parent, level.as_bytes()));
        self.literal_children.find(hash, |&id| self.nodes[id as usize].is(parent, level)).copied()
    }

    fn child_or_insert(&mut self, parent: u32, level: &str) -> u32 {
        if let Some(child) = self.child(parent, level) {
            return child;
        }
        let link = Link::to(self.nodes.insert(Node::new(parent, Segment::new(level))));
        let id = link.0;
        if level == "+" {
            self.nodes[parent as usize].plus = link;
        } else {
            self.nodes[parent as usize].literals += 1;
            let hash = self.hasher.hash_one((parent, level.as_bytes()));
            self.literal_children.insert_unique(hash, id, |&id| self.nodes[id as usize].hash(&self.hasher));
        }
        id
    }

    /// Removes `id` and every ancestor that led nowhere else.
    fn prune(&mut self, mut id: u32) {
        while id != ROOT && self.nodes[id as usize].is_bare() {
            let node = self.nodes.remove(id as usize);
            let parent = &mut self.nodes[node.parent as usize];
            if parent.plus == Link(id) {
                parent.plus = Link::NONE;
            } else {
                parent.literals -= 1;
                if let Ok(entry) =
                    self.literal_children.find_entry(node.hash(&self.hasher), |&other| other == id)
                {
                    entry.remove();
                }
            }
            id = node.parent;
        }
    }
}

/// Where the subscribers of a filter stand.
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

    fn list<'n>(&self, node: &'n mut Node) -> &'n mut Link {
        match self {
            Self::Exact | Self::Here(_) => &mut node.here,
            Self::Below(_) => &mut node.below,
        }
    }
}

/// One level of filters that are equal so far. 48 bytes, whatever hangs on it.
struct Node {
    segment: Segment,
    parent: u32,
    /// How many entries of `literal_children` have this parent.
    literals: u32,
    /// The child `+`.
    plus: Link,
    /// Who subscribed with a filter that ends here.
    here: Link,
    /// Who subscribed with `#` below here.
    below: Link,
}

impl Node {
    fn new(parent: u32, segment: Segment) -> Self {
        Self { segment, parent, literals: 0, plus: Link::NONE, here: Link::NONE, below: Link::NONE }
    }

    fn is(&self, parent: u32, level: &str) -> bool {
        self.parent == parent && self.segment.as_bytes() == level.as_bytes()
    }

    fn hash(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one((self.parent, self.segment.as_bytes()))
    }

    fn is_bare(&self) -> bool {
        self.literals == 0 && [self.plus, self.here, self.below].iter().all(|link| link.get().is_none())
    }
}

/// A place in a slab, or none, in four bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(u32::MAX);

    fn to(at: usize) -> Self {
        Self(u32::try_from(at).expect("2^32 nodes would fill 200 GB before the last one is numbered"))
    }

    fn get(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }
}

/// The text of one level; most are short enough to need no allocation of their own.
enum Segment {
    Short { len: u8, bytes: [u8; Self::SHORT] },
    Long(Box<[u8]>),
}

impl Segment {
    const SHORT: usize = 22;

    fn new(text: &str) -> Self {
        let text = text.as_bytes();
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= Self::SHORT => {
                let mut bytes = [0; Self::SHORT];
                bytes[..text.len()].copy_from_slice(text);
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

/// Who subscribed to one filter: at least one. Most filters have exactly one.
enum Subscribers<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy + Eq> Subscribers<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    fn insert(&mut self, value: T, same: impl Fn(&T) -> bool) -> Option<T> {
        match self {
            Self::One(one) if same(one) => Some(std::mem::replace(one, value)),
            Self::One(one) => {
                *self = Self::Many(vec![*one, value]);
                None
            }
            Self::Many(many) => match many.iter_mut().find(|value| same(value)) {
                Some(found) => Some(std::mem::replace(found, value)),
                None => {
                    many.push(value);
                    None
                }
            },
        }
    }

    /// The one removed, and whether nobody is left. Then the list must go.
    fn remove(&mut self, same: impl Fn(&T) -> bool) -> Option<(T, bool)> {
        match self {
            Self::One(one) => same(one).then_some((*one, true)),
            Self::Many(many) => {
                let removed = many.swap_remove(many.iter().position(same)?);
                match many[..] {
                    [last] => *self = Self::One(last),
                    _ if many.len() < many.capacity() / 4 => many.shrink_to(many.len() * 2),
                    _ => {}
                }
                Some((removed, false))
            }
        }
    }
}

#[cfg(test)]
mod tests;

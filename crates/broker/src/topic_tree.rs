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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree() -> TopicTree<(u32, u8)> {
        TopicTree::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    impl TopicTree<(u32, u8)> {
        fn subscribe(&mut self, filter: &str, who: u32, qos: u8) -> Option<(u32, u8)> {
            self.insert(filter, (who, qos), |&(other, _)| other == who)
        }

        fn unsubscribe(&mut self, filter: &str, who: u32) -> Option<(u32, u8)> {
            self.remove(filter, |&(other, _)| other == who)
        }

        fn matches(&self, topic: &str) -> Vec<(u32, u8)> {
            let mut found = Vec::new();
            self.for_each_match(topic, |&value| found.push(value));
            found
        }
    }

    #[track_caller]
    fn check(filter: &str, matching: &[&str], other: &[&str]) {
        let mut tree = tree();
        tree.subscribe(filter, 1, 0);
        for topic in matching {
            assert_eq!(tree.matches(topic), [(1, 0)], "{filter} matches {topic:?}");
        }
        for topic in other {
            assert_eq!(tree.matches(topic), [], "{filter} does not match {topic:?}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        check(
            "sport/tennis",
            &["sport/tennis"],
            &["sport", "sport/tennis/", "Sport/tennis", "/sport/tennis"],
        );
        // `#` is the level itself and all below.
        check(
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"],
            &["sport/tennis", "sport/tennis/player2", "sport/tennis/player11"],
        );
        check("sport/#", &["sport", "sport/", "sport/tennis"], &["sports", "/sport"]);
        check("#", &["a", "a/b", "/", "/a"], &[]);
        check("/#", &["/", "/a", "/a/b"], &["a", "a/b"]);
        // `+` is exactly one level, an empty one too.
        check("sport/+", &["sport/", "sport/tennis"], &["sport", "sport/tennis/player1"]);
        check("+", &["sport"], &["/finance", "sport/", "a/b"]);
        check("+/+", &["/finance", "a/b", "/"], &["a", "a/b/c"]);
        check("/+", &["/finance", "/"], &["finance", "//"]);
        check("+/tennis/#", &["sport/tennis", "a/tennis/b/c", "/tennis"], &["tennis", "sport/tennisx"]);
        check("a//+", &["a//b", "a//"], &["a/b", "a/b/c"]);
        check("+/x/+/y", &["a/x/b/y", "/x//y"], &["a/x/y", "a/x/b/y/"]);
        // Longer than a short segment.
        check(
            &format!("{}/+", "é".repeat(40)),
            &[&format!("{}/a", "é".repeat(40))],
            &[&format!("{}/a", "é".repeat(39))],
        );
    }

    #[test] // [MQTT-4.7.2-1], [MQTT311-4.7.2-1]
    fn leading_wildcards_do_not_see_reserved_topics() {
        check("#", &["a/$b"], &["$SYS", "$SYS/monitor", "$"]);
        check("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]);
        check("+", &["a"], &["$a"]);
        check("$SYS/#", &["$SYS", "$SYS/monitor"], &["SYS", "$SYSx"]);
        check("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor"]);
        check("a/+", &["a/$b"], &[]);
    }

    #[test]
    fn overlapping_filters_are_told_each_in_a_fixed_order() {
        let mut tree = tree();
        for (who, filter) in ["+/b", "a/#", "a/b", "#", "a/+", "a/b/#", "+/+"].into_iter().enumerate() {
            tree.subscribe(filter, u32::try_from(who).unwrap(), 0);
        }
        let order: Vec<u32> = tree.matches("a/b").into_iter().map(|(who, _)| who).collect();
        assert_eq!(order, [2, 3, 1, 5, 4, 0, 6]);
    }

    #[test]
    fn a_subscription_is_replaced_and_removed_by_who_it_is() {
        for filter in ["a/b", "a/+", "a/#", "#"] {
            let mut tree = tree();
            assert_eq!(tree.subscribe(filter, 1, 0), None);
            assert_eq!(tree.subscribe(filter, 2, 1), None);
            assert_eq!(tree.subscribe(filter, 1, 2), Some((1, 0)));
            assert_eq!(tree.len(), 2);
            assert_eq!(tree.matches("a/b"), [(1, 2), (2, 1)]);
            assert_eq!(tree.unsubscribe(filter, 3), None);
            assert_eq!(tree.unsubscribe(filter, 1), Some((1, 2)));
            assert_eq!(tree.unsubscribe(filter, 1), None);
            assert_eq!(tree.matches("a/b"), [(2, 1)]);
            assert_eq!(tree.unsubscribe(filter, 2), Some((2, 1)));
            assert!(tree.is_empty());
        }
    }

    #[test]
    fn each_change_is_a_new_generation() {
        let mut tree = tree();
        let mut last = tree.generation();
        let mut changed = |tree: &TopicTree<(u32, u8)>| {
            std::mem::replace(&mut last, tree.generation()) != tree.generation()
        };
        tree.subscribe("a/+", 1, 0);
        assert!(changed(&tree));
        tree.subscribe("a/+", 1, 1);
        assert!(changed(&tree));
        tree.unsubscribe("a/+", 2);
        assert!(!changed(&tree));
        tree.unsubscribe("a/+", 1);
        assert!(changed(&tree));
        tree.subscribe("a", 1, 1);
        assert!(changed(&tree));
    }

    #[test]
    fn removed_filters_leave_no_node_behind() {
        let mut tree = tree();
        tree.subscribe("a/b/c/#", 1, 0);
        let nodes = tree.nodes.len();
        for filter in ["a/b/c/+/d", "a/b/c/d/+", "a/+/+/+", "x/y/#", "a/#"] {
            tree.subscribe(filter, 2, 0);
            tree.unsubscribe(filter, 2);
            assert_eq!(tree.nodes.len(), nodes, "{filter}");
            assert_eq!(tree.literal_children.len(), nodes - 1, "{filter}");
            assert_eq!(tree.lists.len(), 1, "{filter}");
        }
    }

    #[test]
    fn the_deepest_filter_is_only_long() {
        let mut tree = tree();
        let deepest = "/".repeat(65533) + "/+";
        tree.subscribe(&deepest, 1, 0);
        assert_eq!(tree.matches(&"/".repeat(65534)), [(1, 0)]);
        tree.unsubscribe(&deepest, 1);
        assert_eq!(tree.nodes.len(), 1);
    }

    #[test] // "≤ 200 B a filter" rests on it
    fn nodes_and_lists_stay_small() {
        assert_eq!(size_of::<Node>(), 48);
        assert_eq!(size_of::<Subscribers<[u64; 2]>>(), 24);
    }

    /// The definition, level by level.
    fn naive_match(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => naive_match(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => level == name && naive_match(filter, topic),
            _ => false,
        }
    }

    fn matches_naively(filter: &str, topic: &str) -> bool {
        let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
        let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        !hidden && naive_match(&filter, &topic)
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just("a".to_owned()),
            2 => Just("b".to_owned()),
            1 => Just(String::new()),
            1 => Just("$s".to_owned()),
            1 => Just("a level too long to be short".to_owned()),
        ]
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![3 => level(), 2 => Just("+".to_owned())];
        (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, multi)| {
            if multi || levels.is_empty() {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Subscribe(String, u32, u8),
        Unsubscribe(String, u32),
        /// Unsubscribes the n-th there is, so that trees shrink again.
        End(prop::sample::Index),
        Publish(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (filter(), 0..4u32, 0..3u8).prop_map(|(filter, who, qos)| Step::Subscribe(filter, who, qos)),
            1 => (filter(), 0..4u32).prop_map(|(filter, who)| Step::Unsubscribe(filter, who)),
            2 => any::<prop::sample::Index>().prop_map(Step::End),
            4 => topic().prop_map(Step::Publish),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_filters(steps in prop::collection::vec(step(), 1..120)) {
            let mut tree = tree();
            let mut model: Vec<(String, (u32, u8))> = Vec::new();
            for step in steps {
                match step {
                    Step::Subscribe(filter, who, qos) => {
                        let old = model.iter().position(|(other, (id, _))| *other == filter && *id == who);
                        let old = old.map(|at| model.swap_remove(at).1);
                        prop_assert_eq!(tree.subscribe(&filter, who, qos), old);
                        model.push((filter, (who, qos)));
                    }
                    Step::Unsubscribe(filter, who) => {
                        let old = model.iter().position(|(other, (id, _))| *other == filter && *id == who);
                        let old = old.map(|at| model.swap_remove(at).1);
                        prop_assert_eq!(tree.unsubscribe(&filter, who), old);
                    }
                    Step::End(index) => if !model.is_empty() {
                        let (filter, old) = model.swap_remove(index.index(model.len()));
                        prop_assert_eq!(tree.unsubscribe(&filter, old.0), Some(old));
                    },
                    Step::Publish(topic) => {
                        let mut found = tree.matches(&topic);
                        let mut expected: Vec<_> =
                            model.iter().filter(|(filter, _)| matches_naively(filter, &topic)).map(|(_, value)| *value).collect();
                        found.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(found, expected, "{}", topic);
                    }
                }
                prop_assert_eq!(tree.len(), model.len());
            }
            for (filter, old) in model {
                prop_assert_eq!(tree.unsubscribe(&filter, old.0), Some(old));
            }
            prop_assert_eq!((tree.nodes.len(), tree.literal_children.len(), tree.lists.len()), (1, 0, 0));
        }
    }
}

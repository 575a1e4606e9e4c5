//! The retained message of each topic.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

/// Retained messages by Topic Name, found by name and by Topic Filter.
///
/// One map, ordered by the bytes of the topic: all topics below a level lie side by side, so a filter is
/// matched by walking the map and jumping over every stretch in which nothing can match. That visits what a
/// trie would visit, needs no nodes to be pruned, has one fixed order, and a walk can stop at any topic and
/// go on behind it later, whatever was changed in between.
///
/// Topics and filters are expected to be well formed, as the protocol crate parses them.
#[derive(Clone, Debug)]
pub(crate) struct Retained<M> {
    by_topic: BTreeMap<Box<str>, M>,
}

/// Neighbours looked at before a jump searches from the root of the map.
const NEIGHBOURS: usize = 4;

impl<M> Retained<M> {
    /// Nothing retained.
    pub(crate) const fn new() -> Self {
        Self { by_topic: BTreeMap::new() }
    }

    /// How many topics have a retained message.
    pub(crate) fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// Whether no topic has one.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// Retains `message` for `topic`, and returns the one it replaces [MQTT-3.3.1-5], [MQTT311-3.3.1-5].
    pub(crate) fn set(&mut self, topic: &str, message: M) -> Option<M> {
        // Most retained topics are set again and again: the key is copied for a new one only.
        match self.by_topic.get_mut(topic) {
            Some(old) => Some(std::mem::replace(old, message)),
            None => self.by_topic.insert(topic.into(), message),
        }
    }

    /// Forgets the message of `topic`, and returns it.
    pub(crate) fn remove(&mut self, topic: &str) -> Option<M> {
        self.by_topic.remove(topic)
    }

    /// The message of `topic`.
    pub(crate) fn get(&self, topic: &str) -> Option<&M> {
        self.by_topic.get(topic)
    }

    /// All topics and their messages, ordered by the bytes of the topic.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &M)> {
        self.by_topic.iter().map(|(topic, message)| (&**topic, message))
    }

    /// Calls `f` for every topic that `filter` matches, ordered by the bytes of the topic.
    ///
    /// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1],
    /// [MQTT311-4.7.2-1].
    #[cfg(test)]
    pub(crate) fn for_each_match(&self, filter: &str, f: impl FnMut(&str, &M)) {
        let mut steps = usize::MAX;
        self.for_some_matches(filter, None, &mut steps, f);
    }

    /// As [`for_each_match`](Self::for_each_match), but ends after looking at `steps` topics, matching or not, at
    /// least one, and returns where to go on: the next call's `from`. `None` means that all is done. What was
    /// looked at is taken off `steps`.
    ///
    /// Topics that are set or removed between two calls are seen if they lie behind the cursor.
    pub(crate) fn for_some_matches(
        &self,
        filter: &str,
        from: Option<&str>,
        steps: &mut usize,
        mut f: impl FnMut(&str, &M),
    ) -> Option<String> {
        *steps = (*steps).max(1);
        if !filter.split('/').any(|level| level == "+" || level == "#") {
            if let Some((topic, message)) = self.by_topic.get_key_value(filter).filter(|_| from.is_none()) {
                f(topic, message);
            }
            *steps -= 1;
            return None;
        }
        let mut target = String::new();
        let mut walk = self.walk_from(from.unwrap_or_default());
        let mut next = walk.next();
        while let Some((topic, message)) = next {
            if *steps == 0 {
                return Some(topic.to_string());
            }
            *steps -= 1;
            match compare(filter, topic, &mut target) {
                Verdict::Match => {
                    f(topic, message);
                    next = walk.next();
                }
                Verdict::Next => next = walk.next(),
                Verdict::End => return None,
                Verdict::Jump => {
                    next = walk.by_ref().take(NEIGHBOURS).find(|(topic, _)| ***topic >= *target);
                    if next.is_none() {
                        walk = self.walk_from(&target);
                        next = walk.next();
                    }
                }
            }
        }
        None
    }

    /// Removes messages that `keep` does not want, looking at `max_steps` topics from `from` on, and returns
    /// where to go on: the next call's `from`. `None` means that the last topic was seen.
    pub(crate) fn sweep(
        &mut self,
        from: Option<String>,
        max_steps: usize,
        mut keep: impl FnMut(&str, &M) -> bool,
    ) -> Option<String> {
        let mut walk = self.walk_from(from.as_deref().unwrap_or_default());
        let unwanted: Vec<Box<str>> = walk
            .by_ref()
            .take(max_steps.max(1))
            .filter(|(topic, message)| !keep(topic, message))
            .map(|(topic, _)| topic.clone())
            .collect();
        let next = walk.next().map(|(topic, _)| topic.to_string());
        for topic in unwanted {
            self.by_topic.remove(&topic);
        }
        next
    }

    fn walk_from(&self, topic: &str) -> btree_map::Range<'_, Box<str>, M> {
        self.by_topic.range::<str, _>((Bound::Included(topic), Bound::Unbounded))
    }
}

impl<M> Default for Retained<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a topic on the walk tells about itself and those behind it.
enum Verdict {
    /// It matches.
    Match,
    /// It does not; its neighbour may.
    Next,
    /// Nothing matches before the text in `target`, which lies behind the topic.
    Jump,
    /// Nothing behind it matches.
    End,
}

fn compare(filter: &str, topic: &str, target: &mut String) -> Verdict {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return jump(target, ["%", "", ""]); // the byte behind `$`
    }
    let mut filter_levels = filter.split('/').peekable();
    // Where the level now looked at begins in `topic`; behind its end when there is none.
    let mut at = 0;
    while let Some(level) = filter_levels.next() {
        if level == "#" && filter_levels.peek().is_none() {
            return Verdict::Match; // this level, its parent and all below
        }
        let Some(rest) = topic.get(at..) else {
            // The levels that are missing may follow, but siblings of the last one lie before them:
            // `a`, `a!/x`, `a/x`.
            return Verdict::Next;
        };
        let name = rest.split_once('/').map_or(rest, |(name, _)| name);
        if level != "+" && level != name {
            // All that begins with `before` lies side by side. In it, what can match begins with `level`.
            let before = &topic[..at];
            return if rest < level {
                jump(target, [before, level, ""])
            } else if rest.strip_prefix(level).is_some_and(|rest| rest < "/") {
                jump(target, [before, level, "/"])
            } else {
                behind(before, target)
            };
        }
        at += name.len() + 1;
    }
    match topic.get(at..) {
        None => Verdict::Match,
        // Too deep, like all its siblings.
        Some(_) => behind(&topic[..at], target),
    }
}

/// Behind all that begins with `before`, which is empty or ends with `/`.
fn behind(before: &str, target: &mut String) -> Verdict {
    match before.strip_suffix('/') {
        Some(levels) => jump(target, [levels, "0", ""]), // the byte behind `/`
        None => Verdict::End,
    }
}

fn jump(target: &mut String, parts: [&str; 3]) -> Verdict {
    target.clear();
    target.extend(parts);
    Verdict::Jump
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retained(topics: &[&str]) -> Retained<usize> {
        let mut retained = Retained::new();
        for (at, topic) in topics.iter().enumerate() {
            retained.set(topic, at);
        }
        retained
    }

    fn matches(retained: &Retained<usize>, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        retained.for_each_match(filter, |topic, _| found.push(topic.to_owned()));
        found
    }

    #[test]
    fn set_get_remove() {
        let mut retained = Retained::default();
        assert_eq!(retained.set("a/b", 1), None);
        assert_eq!(retained.set("a/b", 2), Some(1));
        assert_eq!((retained.get("a/b"), retained.get("a"), retained.len()), (Some(&2), None, 1));
        assert_eq!(retained.remove("a"), None);
        assert_eq!(retained.remove("a/b"), Some(2));
        assert!(retained.is_empty());
    }

    #[test]
    fn filters_find_topics_in_byte_order() {
        let retained =
            retained(&["a", "a/b", "a/b/c", "a!/b", "a/b!/c", "b", "/", "/b", "a/", "$SYS/x", "$SYS", "ab"]);
        assert_eq!(matches(&retained, "a/b"), ["a/b"]);
        assert_eq!(matches(&retained, "a/#"), ["a", "a/", "a/b", "a/b!/c", "a/b/c"]);
        assert_eq!(matches(&retained, "a/+"), ["a/", "a/b"]);
        assert_eq!(matches(&retained, "a/+/c"), ["a/b!/c", "a/b/c"]);
        assert_eq!(matches(&retained, "+/b"), ["/b", "a!/b", "a/b"]);
        assert_eq!(matches(&retained, "+"), ["a", "ab", "b"]);
        assert_eq!(matches(&retained, "/#"), ["/", "/b"]);
        assert_eq!(matches(&retained, "c/#"), [""; 0]);
    }

    #[test] // [MQTT-4.7.2-1], [MQTT311-4.7.2-1]
    fn leading_wildcards_do_not_see_reserved_topics() {
        let retained = retained(&["!", "$", "$SYS", "$SYS/x", "%", "a/$x"]);
        assert_eq!(matches(&retained, "#"), ["!", "%", "a/$x"]);
        assert_eq!(matches(&retained, "+"), ["!", "%"]);
        assert_eq!(matches(&retained, "+/x"), [""; 0]);
        assert_eq!(matches(&retained, "a/+"), ["a/$x"]);
        assert_eq!(matches(&retained, "$SYS/#"), ["$SYS", "$SYS/x"]);
    }

    #[test]
    fn a_walk_jumps_over_what_cannot_match() {
        let mut retained = Retained::new();
        for device in 0..10 {
            for field in 0..1000 {
                retained.set(&format!("d/{device}/{field}"), 0);
            }
        }
        let mut found = 0;
        // 10 hits, and a jump or two around each.
        assert_eq!(retained.for_some_matches("d/+/500", None, &mut 50, |_, _| found += 1), None);
        assert_eq!(found, 10);
        assert_eq!(retained.for_some_matches("d/3/+/x", None, &mut 1010, |_, _| found += 1), None);
        let mut steps = 5;
        assert_eq!(retained.for_some_matches("x/+", None, &mut steps, |_, _| found += 1), None);
        assert_eq!((found, steps), (10, 4));
    }

    #[test]
    fn a_sweep_goes_on_where_it_ended() {
        let mut retained = retained(&["a", "b", "c", "d", "e"]);
        let next = retained.sweep(None, 2, |_, &at| at != 1);
        assert_eq!(next.as_deref(), Some("c"));
        retained.remove("c"); // the cursor outlives its topic
        let mut seen = Vec::new();
        let next = retained.sweep(next, 10, |topic, _| {
            seen.push(topic.to_owned());
            topic != "e"
        });
        assert_eq!((next, seen), (None, vec!["d".to_owned(), "e".to_owned()]));
        assert_eq!(retained.iter().collect::<Vec<_>>(), [("a", &0), ("d", &3)]);
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

    /// Levels with bytes on both sides of `/`, beginnings of one another among them.
    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["", "a", "a!", "a0", "b", "$", "%", "ab", "é"])
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![level(), Just("+")];
        (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, multi)| {
            if multi || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(String, u32),
        Remove(String),
        Subscribe(String, usize),
        Sweep(usize, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (topic(), any::<u32>()).prop_map(|(topic, message)| Step::Set(topic, message)),
            2 => topic().prop_map(Step::Remove),
            4 => (filter(), 1..9usize).prop_map(|(filter, max)| Step::Subscribe(filter, max)),
            1 => (1..9usize, 2..9u32).prop_map(|(max, modulus)| Step::Sweep(max, modulus)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_topics(steps in prop::collection::vec(step(), 1..150)) {
            let mut retained = Retained::new();
            let mut model: Vec<(String, u32)> = Vec::new();
            for step in steps {
                match step {
                    Step::Set(topic, message) => {
                        let old = model.iter().position(|(other, _)| *other == topic).map(|at| model.swap_remove(at).1);
                        prop_assert_eq!(retained.set(&topic, message), old);
                        model.push((topic, message));
                    }
                    Step::Remove(topic) => {
                        let old = model.iter().position(|(other, _)| *other == topic).map(|at| model.swap_remove(at).1);
                        prop_assert_eq!(retained.remove(&topic), old);
                    }
                    Step::Subscribe(filter, max) => {
                        let mut expected: Vec<_> =
                            model.iter().filter(|(topic, _)| matches_naively(&filter, topic)).cloned().collect();
                        expected.sort_unstable();
                        let mut found = Vec::new();
                        retained.for_each_match(&filter, |topic, &message| found.push((topic.to_owned(), message)));
                        prop_assert_eq!(&found, &expected, "{}", filter);
                        // How the walk is cut must not matter.
                        found.clear();
                        let mut from = None;
                        loop {
                            let mut steps = max;
                            from = retained.for_some_matches(&filter, from.as_deref(), &mut steps, |topic, &message| {
                                found.push((topic.to_owned(), message));
                            });
                            if from.is_none() {
                                break;
                            }
                        }
                        prop_assert_eq!(&found, &expected, "{} by {}", filter, max);
                    }
                    Step::Sweep(max, modulus) => {
                        let mut from = retained.sweep(None, max, |_, message| message % modulus != 0);
                        while from.is_some() {
                            from = retained.sweep(from, max, |_, message| message % modulus != 0);
                        }
                        model.retain(|(_, message)| message % modulus != 0);
                    }
                }
                model.sort_unstable();
                let all: Vec<_> = retained.iter().map(|(topic, &message)| (topic.to_owned(), message)).collect();
                prop_assert_eq!(&all, &model);
            }
        }
    }
}

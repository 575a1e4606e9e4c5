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
    #[cfg(test)]
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
mod tests;

//! Topic Filters of rules, level by level.

use super::template::Template;
use super::{Map, Names, Said};

/// A tree of levels. What a topic is asked about costs at most the nodes it meets, each of them once: a client cannot
/// make it more than the file has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterTree(Vec<Node>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    /// What filters say that end here.
    said: Said,
    /// What filters say that end in `#` behind this.
    said_below: Said,
    /// By a level that is written out.
    levels: Map<Box<str>, usize>,
    /// Below `+`.
    any: Option<usize>,
    templates: Vec<(Template, usize)>,
}

const ROOT: usize = 0;

impl Default for FilterTree {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl FilterTree {
    /// Adds a filter; `template` tells which of its levels are templates. `+` and `#` where no Topic Filter has them are
    /// plain characters, and match nothing, since no topic has them.
    pub(super) fn insert(&mut self, filter: &str, said: Said, template: impl Fn(&str) -> Option<Template>) {
        let mut at = ROOT;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            if level == "#" && levels.peek().is_none() {
                return self.0[at].said_below.add(said);
            }
            let new = self.0.len();
            let node = &mut self.0[at];
            at = match template(level) {
                Some(template) => match node.templates.iter().find(|(known, _)| *known == template) {
                    Some((_, next)) => *next,
                    None => {
                        node.templates.push((template, new));
                        new
                    }
                },
                None if level == "+" => *node.any.get_or_insert(new),
                None => *node.levels.entry(level.into()).or_insert(new),
            };
            if at == new {
                self.0.push(Node::default());
            }
        }
        self.0[at].said.add(said);
    }

    /// What all filters that match a topic say.
    pub(super) fn say(&self, topic: &str, names: Names<'_>) -> Said {
        let mut said = Said::NOTHING;
        self.collect(ROOT, Some(topic), topic.starts_with('$'), names, &mut said);
        said
    }

    /// Adds what filters say that go on at a node with `levels`, if there are any left. `apart` is a topic that filters
    /// match only if they begin with `$` themselves [MQTT-4.7.2-1].
    fn collect(&self, at: usize, levels: Option<&str>, apart: bool, names: Names<'_>, said: &mut Said) {
        let node = &self.0[at];
        if !apart {
            said.add(node.said_below);
        }
        let Some(levels) = levels else { return said.add(node.said) };
        if node.levels.is_empty() && node.any.is_none() && node.templates.is_empty() {
            return;
        }
        // Levels are short: looking at their bytes one by one is the quickest.
        let (level, rest) = match levels.bytes().position(|byte| byte == b'/') {
            Some(at) => (&levels[..at], Some(&levels[at + 1..])),
            None => (levels, None),
        };
        if !node.levels.is_empty()
            && let Some(&next) = node.levels.get(level)
        {
            self.collect(next, rest, false, names, said);
        }
        if let (Some(next), false) = (node.any, apart) {
            self.collect(next, rest, false, names, said);
        }
        for (template, next) in &node.templates {
            if let Some(rest) = template.strip(levels, names) {
                self.collect(*next, rest, false, names, said);
            }
        }
    }
}

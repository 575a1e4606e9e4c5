//! Rules of one kind, by what they match.

use super::filter_tree::FilterTree;
use super::template::Template;
use super::{Map, Names, Said};

/// Rules without wildcards are found by the whole topic, the others level by level.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuleSet {
    literal: Map<Box<str>, Said>,
    wildcards: FilterTree,
}

impl RuleSet {
    /// Adds a rule for topics that match a Topic Filter. One that is none matches nothing.
    pub(super) fn insert(&mut self, filter: &str, said: Said) {
        if filter.contains(['+', '#']) {
            self.wildcards.insert(filter, said, |_| None);
        } else {
            self.literal.entry(filter.into()).or_default().add(said);
        }
    }

    /// The same of a filter in which names may have to be put.
    pub(super) fn insert_pattern(&mut self, filter: &str, said: Said) {
        if Template::parse(filter).is_some() {
            self.wildcards.insert(filter, said, Template::parse);
        } else {
            self.insert(filter, said);
        }
    }

    /// What all rules together say about a topic.
    pub(super) fn say(&self, topic: &str, names: Names<'_>) -> Said {
        let mut said = self.literal.get(topic).copied().unwrap_or_default();
        said.add(self.wildcards.say(topic, names));
        said
    }
}

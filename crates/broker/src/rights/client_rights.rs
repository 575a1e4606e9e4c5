//! What one client was allowed last.

use std::sync::Arc;

use super::rule_set::RuleSet;
use super::{AccessRules, Names, Wanted};

/// The rules that are a client's own, and the topics it was asked about last: most clients stay with one for a while.
/// Made when it is needed, from the settings of one generation.
#[derive(Debug)]
pub(crate) struct ClientRights {
    generation: u32,
    own: Option<Arc<RuleSet>>,
    read: Answer,
    write: Answer,
}

/// A topic is remembered up to this length.
const TOPIC_BYTES_MAX: usize = 256;

#[derive(Debug, Default)]
struct Answer {
    /// Empty, which no topic is, before the first question.
    topic: String,
    allowed: bool,
}

impl ClientRights {
    /// Rights under the settings of a generation, of which nothing is known yet.
    pub(crate) fn new(rules: &AccessRules, user_name: Option<&str>, generation: u32) -> Self {
        let own = rules.own(user_name).cloned();
        Self { generation, own, read: Answer::default(), write: Answer::default() }
    }

    /// Whether they were made from the settings of this generation.
    pub(crate) const fn are_of(&self, generation: u32) -> bool {
        self.generation == generation
    }

    /// Whether the client may do what is wanted with a topic.
    #[inline]
    pub(crate) fn allow(
        &mut self,
        rules: &AccessRules,
        names: Names<'_>,
        wanted: Wanted,
        topic: &str,
    ) -> bool {
        let answer = match wanted {
            Wanted::Read => &mut self.read,
            Wanted::Write => &mut self.write,
        };
        if answer.topic != topic {
            let allowed = rules.allow(self.own.as_deref(), names, wanted, topic);
            answer.topic.clear();
            if topic.len() > TOPIC_BYTES_MAX {
                return allowed;
            }
            answer.topic.push_str(topic);
            answer.allowed = allowed;
        }
        answer.allowed
    }
}

impl AccessRules {
    /// The same of a client of which nothing is remembered.
    pub(crate) fn allow_once(&self, names: Names<'_>, wanted: Wanted, topic: &str) -> bool {
        let own = self.own(names.user_name).map(|own| &**own);
        self.allow(own, names, wanted, topic)
    }
}

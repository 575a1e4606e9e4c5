//! What clients may do: the rules of an `acl_file`, with Mosquitto's meaning.
//!
//! A client has the rules of its User Name, or those for clients without one, and the patterns. Each kind is asked in this
//! order: a rule that denies decides, then one that allows what is wanted; where neither matches, the next kind is asked,
//! and at the end nothing is allowed.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use ahash::AHasher;

mod client_rights;
mod filter_tree;
mod rule_set;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use client_rights::ClientRights;
use rule_set::RuleSet;

/// The rules that hold on a listener, compiled: what is asked costs as much with a thousand of them as with ten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessRules {
    anonymous: Arc<RuleSet>,
    users: Map<Box<str>, Arc<RuleSet>>,
    patterns: RuleSet,
}

/// One rule: who may do what with topics that match a filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessRule {
    /// For whom it is.
    pub whom: Whom,
    /// What it says.
    pub access: Access,
    /// Topic Filter, mount point included; in a pattern `%c` stands for the Client Identifier and `%u` for the User Name.
    pub filter: String,
}

/// For whom a rule is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// Clients without User Name: rules before the first `user`.
    Anonymous,
    /// Clients with this User Name.
    User(String),
    /// All clients; each has a filter of its own.
    Pattern,
}

/// What a rule says about messages to its topics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// They may be received.
    Read,
    /// They may be published.
    Write,
    /// Both.
    ReadWrite,
    /// Neither, whatever other rules of the same kind say.
    Deny,
}

impl AccessRules {
    /// Rules in any order: those that deny come first in any case. Without any, nobody may do anything.
    pub fn new(rules: impl IntoIterator<Item = AccessRule>) -> Self {
        let mut compiled = Self::default();
        for AccessRule { whom, access, filter } in rules {
            let access = access.into();
            match whom {
                Whom::Anonymous => Arc::make_mut(&mut compiled.anonymous).insert(&filter, access),
                Whom::User(name) => {
                    let set = compiled.users.entry(name.into()).or_default();
                    Arc::make_mut(set).insert(&filter, access);
                }
                Whom::Pattern => compiled.patterns.insert_pattern(&filter, access),
            }
        }
        compiled
    }

    /// The rules that are a client's own; shared by all of its User Name.
    fn own(&self, user_name: Option<&str>) -> Option<&Arc<RuleSet>> {
        match user_name {
            None => Some(&self.anonymous),
            Some(name) => self.users.get(name),
        }
    }

    /// Whether a client whose own rules are `own` may do what is wanted with a topic.
    fn allow(&self, own: Option<&RuleSet>, names: Names<'_>, wanted: Wanted, topic: &str) -> bool {
        let own = own.map_or(Said::NOTHING, |own| own.say(topic, names));
        own.decide(wanted).unwrap_or_else(|| {
            // A name with a wildcard in it could make a filter that matches the topics of others.
            !names.have_wildcard() && self.patterns.say(topic, names).decide(wanted) == Some(true)
        })
    }
}

/// What is in it stands in the file of an administrator: clients only ask, so that its hashes may be foreseen.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<AHasher>>;

/// What a client wants to do with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// To receive it.
    Read,
    /// To publish it.
    Write,
}

/// What patterns are about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Names<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
}

impl Names<'_> {
    fn have_wildcard(self) -> bool {
        let has_wildcard = |name: &str| name.bytes().any(|byte| matches!(byte, b'+' | b'#'));
        has_wildcard(self.client_id) || self.user_name.is_some_and(has_wildcard)
    }
}

/// What all rules of one kind that match a topic say about it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Said(u8);

impl Said {
    const NOTHING: Self = Self(0);
    const READ: Self = Self(1);
    const WRITE: Self = Self(2);
    const DENY: Self = Self(4);

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// `None` leaves it to other kinds of rules.
    fn decide(self, wanted: Wanted) -> Option<bool> {
        let right = match wanted {
            Wanted::Read => Self::READ,
            Wanted::Write => Self::WRITE,
        };
        match (self.contains(Self::DENY), self.contains(right)) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }
    }
}

impl From<Access> for Said {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::READ,
            Access::Write => Self::WRITE,
            Access::ReadWrite => Self(Self::READ.0 | Self::WRITE.0),
            Access::Deny => Self::DENY,
        }
    }
}

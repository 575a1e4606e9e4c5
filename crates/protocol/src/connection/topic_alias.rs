//! Topic Aliases (section 3.3.2.3.4): numbers that stand for topic names on one connection [MQTT-3.3.2-7].

use std::collections::HashMap;

use crate::{DecodeError, ReasonCode};

/// The aliases that a peer has introduced. Holds at most as many names as this end has announced.
#[derive(Clone, Debug)]
pub struct IncomingAliases {
    maximum: u16,
    names: HashMap<u16, Box<str>>,
}

impl IncomingAliases {
    /// `maximum` is the Topic Alias Maximum that this end has announced; 0 is none.
    pub fn new(maximum: u16) -> Self {
        Self { maximum, names: HashMap::new() }
    }

    /// The topic name of a PUBLISH. With an alias a name is remembered, and an empty name looked up.
    #[inline]
    pub fn resolve<'s>(&'s mut self, topic: &'s str, alias: Option<u16>) -> Result<&'s str, DecodeError> {
        match alias {
            None if topic.is_empty() => Err(DecodeError::protocol("neither a topic name nor a topic alias")),
            None => Ok(topic),
            Some(alias) => self.resolve_alias(topic, alias),
        }
    }

    fn resolve_alias<'s>(&'s mut self, topic: &'s str, alias: u16) -> Result<&'s str, DecodeError> {
        // [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-11]
        if alias == 0 || alias > self.maximum {
            return Err(DecodeError {
                reason: ReasonCode::TopicAliasInvalid,
                what: "topic alias is beyond the topic alias maximum",
            });
        }
        if topic.is_empty() {
            return match self.names.get(&alias) {
                Some(name) => Ok(name),
                None => Err(DecodeError::protocol("topic alias is not known")),
            };
        }
        match self.names.get_mut(&alias) {
            Some(name) if **name == *topic => {}
            Some(name) => *name = topic.into(),
            None => drop(self.names.insert(alias, topic.into())),
        }
        Ok(topic)
    }

    /// Bytes of all names that are remembered.
    pub fn bytes(&self) -> usize {
        self.names.values().map(|name| name.len()).sum()
    }
}

/// The aliases that this end has introduced: first come, first served, as in Mosquitto 2.1.
#[derive(Clone, Debug)]
pub struct OutgoingAliases {
    maximum: u16,
    aliases: HashMap<Box<str>, u16>,
}

/// How to write the topic of a PUBLISH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AliasUse {
    /// The name alone.
    None,
    /// The name and this alias, which stands for it from now on.
    New(u16),
    /// This alias and an empty name.
    Known(u16),
}

impl OutgoingAliases {
    /// `maximum` is the smaller of the peer's Topic Alias Maximum [MQTT-3.1.2-26] [MQTT-3.1.2-27] and what this end cares
    /// to use; 0 is none.
    pub fn new(maximum: u16) -> Self {
        Self { maximum, aliases: HashMap::new() }
    }

    /// How to write this topic. The answer `New` must be followed by a PUBLISH that says so.
    pub fn assign(&mut self, topic: &str) -> AliasUse {
        if self.maximum == 0 {
            return AliasUse::None;
        }
        if let Some(&alias) = self.aliases.get(topic) {
            return AliasUse::Known(alias);
        }
        if self.aliases.len() >= usize::from(self.maximum) {
            return AliasUse::None;
        }
        let alias = self.aliases.len() as u16 + 1;
        self.aliases.insert(topic.into(), alias);
        AliasUse::New(alias)
    }

    /// Bytes of all names that are remembered.
    pub fn bytes(&self) -> usize {
        self.aliases.keys().map(|name| name.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incoming() {
        let mut aliases = IncomingAliases::new(2);
        let mut resolve =
            |topic, alias| aliases.resolve(topic, alias).map(str::to_owned).map_err(|error| error.reason);
        assert_eq!(resolve("a", None), Ok("a".into()));
        assert_eq!(resolve("", None), Err(ReasonCode::ProtocolError));
        assert_eq!(resolve("", Some(1)), Err(ReasonCode::ProtocolError));
        assert_eq!(resolve("a", Some(1)), Ok("a".into()));
        assert_eq!(resolve("", Some(1)), Ok("a".into()));
        assert_eq!(resolve("b", Some(1)), Ok("b".into()));
        assert_eq!(resolve("", Some(1)), Ok("b".into()));
        assert_eq!(resolve("c", Some(2)), Ok("c".into())); // [MQTT-3.3.2-12]
        assert_eq!(resolve("c", Some(3)), Err(ReasonCode::TopicAliasInvalid)); // [MQTT-3.3.2-9]
        assert_eq!(resolve("c", Some(0)), Err(ReasonCode::TopicAliasInvalid)); // [MQTT-3.3.2-8]
        assert_eq!(aliases.bytes(), 2);
    }

    #[test]
    fn outgoing() {
        let mut aliases = OutgoingAliases::new(2);
        let uses: Vec<_> = ["a", "b", "a", "c", "b"].into_iter().map(|topic| aliases.assign(topic)).collect();
        use AliasUse::{Known, New, None};
        assert_eq!(uses, [New(1), New(2), Known(1), None, Known(2)]); // [MQTT-3.1.2-26]
        assert_eq!(OutgoingAliases::new(0).assign("a"), None); // [MQTT-3.1.2-27]
        assert_eq!(aliases.bytes(), 2);
    }
}

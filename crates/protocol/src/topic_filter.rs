//! Topic Filter, Share Name and Shared Subscription (sections 4.7 and 4.8).

use std::fmt;
use std::str::Split;

use crate::topic_name::SEPARATORS_MAX;
use crate::{DecodeError, TopicName};

/// Which topics a subscription covers: 1 to 65535 bytes, without U+0000, at most 201 levels, wildcards only where they
/// may stand.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicFilter<'a>(&'a str);

/// Why a text is no topic filter, or no filter of a shared subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicFilterError {
    /// [MQTT-4.7.3-1]
    #[error("topic filter is empty; it needs at least one character")]
    Empty,
    /// [MQTT-4.7.1-1]
    #[error("'#' at byte {at} of a topic filter must be the whole last level")]
    MultiLevelWildcard {
        /// Where.
        at: usize,
    },
    /// [MQTT-4.7.1-2]
    #[error("'+' at byte {at} of a topic filter must fill a whole level")]
    SingleLevelWildcard {
        /// Where.
        at: usize,
    },
    /// [MQTT-4.7.3-2]
    #[error("topic filter has U+0000 at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// [MQTT-4.7.3-3]
    #[error("topic filter has {bytes} bytes; MQTT allows 65535")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More levels than any walk over them should take.
    #[error("topic filter has more than {SEPARATORS_MAX} separators")]
    TooManyLevels,
    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    #[error("a share name needs at least one character and has no '/', '+' or '#'")]
    ShareName,
    /// [MQTT-4.8.2-2]
    #[error("a shared subscription is written $share/NAME/FILTER")]
    ShareWithoutFilter,
}

impl<'a> TopicFilter<'a> {
    /// Checks a text from a packet, a file or a command line. `$share/…` is a filter like any other here; see
    /// [`SubscriptionFilter`].
    pub fn parse(text: &'a str) -> Result<Self, TopicFilterError> {
        if text.is_empty() {
            return Err(TopicFilterError::Empty);
        }
        if text.len() > usize::from(u16::MAX) {
            return Err(TopicFilterError::TooLong { bytes: text.len() });
        }
        let bytes = text.as_bytes();
        let mut separators = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let starts_level = at == 0 || bytes[at - 1] == b'/';
            match byte {
                b'/' => separators += 1,
                b'#' if !starts_level || at + 1 < bytes.len() => {
                    return Err(TopicFilterError::MultiLevelWildcard { at });
                }
                b'+' if !starts_level || bytes.get(at + 1).is_some_and(|&next| next != b'/') => {
                    return Err(TopicFilterError::SingleLevelWildcard { at });
                }
                0 => return Err(TopicFilterError::Nul { at }),
                _ => {}
            }
        }
        if separators > SEPARATORS_MAX {
            return Err(TopicFilterError::TooManyLevels);
        }
        Ok(Self(text))
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether more than one topic can match.
    pub fn has_wildcards(self) -> bool {
        self.0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// The parts between the separators; they may be empty, `+`, and the last one `#`.
    pub fn levels(self) -> Split<'a, char> {
        self.0.split('/')
    }

    /// Whether messages to `topic` reach a subscription with this filter. Compared byte by byte [MQTT-4.7.3-4].
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        let mut wanted = self.levels();
        let mut levels = topic.levels();
        // [MQTT-4.7.2-1]
        if topic.as_str().starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        loop {
            match (wanted.next(), levels.next()) {
                // `#` stands for the parent level too: `a/#` matches `a`.
                (Some("#"), _) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                (None, None) => return true,
                (Some(_), _) | (None, Some(_)) => return false,
            }
        }
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Names a group of sessions that share one subscription: not empty, without `/`, `+` and `#` [MQTT-4.8.2-2].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShareName<'a>(&'a str);

impl<'a> ShareName<'a> {
    /// Checks a name.
    pub fn parse(text: &'a str) -> Result<Self, TopicFilterError> {
        if text.is_empty() || text.contains(['/', '+', '#', '\0']) {
            return Err(TopicFilterError::ShareName);
        }
        Ok(Self(text))
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for ShareName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What SUBSCRIBE and UNSUBSCRIBE name: a topic filter, or `$share/NAME/FILTER`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SubscriptionFilter<'a> {
    /// The group, if the subscription is shared.
    pub share: Option<ShareName<'a>>,
    /// What messages must match.
    pub filter: TopicFilter<'a>,
    text: &'a str,
}

impl<'a> SubscriptionFilter<'a> {
    /// Checks a text from a packet, a file or a command line.
    pub fn parse(text: &'a str) -> Result<Self, TopicFilterError> {
        let Some(shared) = text.strip_prefix("$share/") else {
            return Ok(Self { share: None, filter: TopicFilter::parse(text)?, text });
        };
        if text.len() > usize::from(u16::MAX) {
            return Err(TopicFilterError::TooLong { bytes: text.len() });
        }
        let (name, filter) = match shared.split_once('/') {
            Some((name, filter)) if !filter.is_empty() => (ShareName::parse(name)?, filter),
            Some(_) | None => return Err(TopicFilterError::ShareWithoutFilter),
        };
        Ok(Self { share: Some(name), filter: TopicFilter::parse(filter)?, text })
    }

    /// The whole text as it was given, `$share/NAME/` included.
    pub const fn as_str(self) -> &'a str {
        self.text
    }
}

impl fmt::Display for SubscriptionFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// As in Mosquitto a filter that cannot be parsed makes the packet malformed; 0x8F is for filters that are well formed
/// and not accepted.
impl From<TopicFilterError> for DecodeError {
    fn from(error: TopicFilterError) -> Self {
        Self::malformed(match error {
            TopicFilterError::Empty => "topic filter is empty",
            TopicFilterError::MultiLevelWildcard { .. } => {
                "'#' is not the whole last level of a topic filter"
            }
            TopicFilterError::SingleLevelWildcard { .. } => "'+' is not a whole level of a topic filter",
            TopicFilterError::Nul { .. } => "string contains U+0000",
            TopicFilterError::TooLong { .. } => "topic filter is too long",
            TopicFilterError::TooManyLevels => "topic filter has too many levels",
            TopicFilterError::ShareName => "share name is not valid",
            TopicFilterError::ShareWithoutFilter => "shared subscription has no topic filter",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for good in ["a", "/", "#", "+", "+/+", "/+", "+/", "a/#", "/#", "+/#", "a/+/b", "$SYS/#", "$share"] {
            assert_eq!(TopicFilter::parse(good).map(TopicFilter::as_str), Ok(good));
        }
        let table = [
            ("", TopicFilterError::Empty), // [MQTT-4.7.3-1]
            // [MQTT-4.7.1-1]
            ("a#", TopicFilterError::MultiLevelWildcard { at: 1 }),
            ("a/#/b", TopicFilterError::MultiLevelWildcard { at: 2 }),
            ("#/", TopicFilterError::MultiLevelWildcard { at: 0 }),
            ("##", TopicFilterError::MultiLevelWildcard { at: 0 }),
            // [MQTT-4.7.1-2]
            ("a+", TopicFilterError::SingleLevelWildcard { at: 1 }),
            ("+a", TopicFilterError::SingleLevelWildcard { at: 0 }),
            ("a/+b/c", TopicFilterError::SingleLevelWildcard { at: 2 }),
            ("+#", TopicFilterError::SingleLevelWildcard { at: 0 }),
            ("a/\0", TopicFilterError::Nul { at: 2 }), // [MQTT-4.7.3-2]
        ];
        for (text, error) in table {
            assert_eq!(TopicFilter::parse(text), Err(error), "{text:?}");
        }
        assert!(TopicFilter::parse(&"/".repeat(200)).is_ok());
        assert_eq!(TopicFilter::parse(&"/".repeat(201)), Err(TopicFilterError::TooManyLevels));
        let long = "a".repeat(65_536); // [MQTT-4.7.3-3]
        assert_eq!(TopicFilter::parse(&long), Err(TopicFilterError::TooLong { bytes: 65_536 }));
    }

    #[test]
    fn matching() {
        let table = [
            ("a", "a", true),
            ("a", "A", false), // [MQTT-4.7.3-4]
            ("a", "a/", false),
            ("a/b", "a", false),
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a/b/c", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("+/a/#", "b/a", true),
            // [MQTT-4.7.2-1]
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("+/#", "$SYS", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/+", "$SYS/uptime", true),
            ("a/+", "a/$b", true),
        ];
        for (filter, topic, expected) in table {
            let matches = TopicFilter::parse(filter).unwrap().matches(TopicName::parse(topic).unwrap());
            assert_eq!(matches, expected, "{filter:?} {topic:?}");
        }
    }

    #[test]
    fn shared() {
        let shared = SubscriptionFilter::parse("$share/g/a/+").unwrap();
        assert_eq!(shared.share.map(ShareName::as_str), Some("g"));
        assert_eq!((shared.filter.as_str(), shared.as_str()), ("a/+", "$share/g/a/+"));
        assert_eq!(SubscriptionFilter::parse("$share/g//").unwrap().filter.as_str(), "/");
        for plain in ["a/#", "$share", "$shared/g/a", "a/$share/b"] {
            let filter = SubscriptionFilter::parse(plain).unwrap();
            assert_eq!((filter.share, filter.filter.as_str(), filter.as_str()), (None, plain, plain));
        }
        let table = [
            ("$share/", TopicFilterError::ShareWithoutFilter),
            ("$share/g", TopicFilterError::ShareWithoutFilter),
            ("$share/g/", TopicFilterError::ShareWithoutFilter),
            ("$share//a", TopicFilterError::ShareName), // [MQTT-4.8.2-1]
            ("$share/+/a", TopicFilterError::ShareName), // [MQTT-4.8.2-2]
            ("$share/g#/a", TopicFilterError::ShareName), // [MQTT-4.8.2-2]
            ("$share/g/a#", TopicFilterError::MultiLevelWildcard { at: 1 }),
        ];
        for (text, error) in table {
            assert_eq!(SubscriptionFilter::parse(text), Err(error), "{text:?}");
        }
    }
}

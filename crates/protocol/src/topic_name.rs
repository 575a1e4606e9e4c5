//! Topic Name: where a message is published (section 4.7).

use std::fmt;
use std::str::Split;

use crate::DecodeError;

/// How many `/` a topic name or filter may have, as in Mosquitto. It bounds every walk over levels.
pub(crate) const SEPARATORS_MAX: usize = 200;

/// A topic without wildcards, 1 to 65535 bytes, without U+0000, at most 201 levels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicName<'a>(&'a str);

/// Why a text is no topic name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicNameError {
    /// [MQTT-4.7.3-1]
    #[error("topic name is empty; it needs at least one character")]
    Empty,
    /// [MQTT-4.7.0-1]
    #[error("topic name has wildcard {found:?} at byte {at}; wildcards belong in topic filters")]
    Wildcard {
        /// `+` or `#`.
        found: char,
        /// Where.
        at: usize,
    },
    /// [MQTT-4.7.3-2]
    #[error("topic name has U+0000 at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// [MQTT-4.7.3-3]
    #[error("topic name has {bytes} bytes; MQTT allows 65535")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More levels than any walk over them should take.
    #[error("topic name has more than {SEPARATORS_MAX} separators")]
    TooManyLevels,
}

impl<'a> TopicName<'a> {
    /// Checks a text from a packet, a file or a command line.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TopicNameError> {
        // One pass without branches, many bytes at a time, answers for every good name; what is wrong with a bad one is
        // asked afterwards.
        let mut forbidden = 0;
        for &byte in text.as_bytes() {
            forbidden |= u8::from(byte == b'+') | u8::from(byte == b'#') | u8::from(byte == 0);
        }
        if forbidden != 0 || text.is_empty() || (text.len() > SEPARATORS_MAX && is_too_large(text)) {
            return Err(Self::mistake(text));
        }
        Ok(Self(text))
    }

    #[cold]
    fn mistake(text: &str) -> TopicNameError {
        let found = text.char_indices().find(|(_, character)| matches!(character, '+' | '#' | '\0'));
        match found {
            _ if text.is_empty() => TopicNameError::Empty,
            _ if text.len() > usize::from(u16::MAX) => TopicNameError::TooLong { bytes: text.len() },
            Some((at, '\0')) => TopicNameError::Nul { at },
            Some((at, found)) => TopicNameError::Wildcard { found, at },
            None => TopicNameError::TooManyLevels,
        }
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The parts between the separators; they may be empty.
    pub fn levels(self) -> Split<'a, char> {
        self.0.split('/')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Asked only when there are enough bytes for it.
#[cold]
fn is_too_large(text: &str) -> bool {
    text.len() > usize::from(u16::MAX) || text.bytes().filter(|&byte| byte == b'/').count() > SEPARATORS_MAX
}

/// As in Mosquitto a name that cannot be parsed makes the packet malformed; 0x90 is for names that are well formed
/// and not accepted.
impl From<TopicNameError> for DecodeError {
    fn from(error: TopicNameError) -> Self {
        Self::malformed(match error {
            TopicNameError::Empty => "topic name is empty",
            TopicNameError::Wildcard { .. } => "topic name contains a wildcard",
            TopicNameError::Nul { .. } => "string contains U+0000",
            TopicNameError::TooLong { .. } => "topic name is too long",
            TopicNameError::TooManyLevels => "topic name has too many levels",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "/", "//", "a/b", "$SYS/x", "a b/é", "\u{FEFF}"] {
            assert_eq!(TopicName::parse(good).map(TopicName::as_str), Ok(good));
        }
        let table = [
            ("", TopicNameError::Empty),                              // [MQTT-4.7.3-1]
            ("a/+", TopicNameError::Wildcard { found: '+', at: 2 }),  // [MQTT-4.7.0-1]
            ("é#/+", TopicNameError::Wildcard { found: '#', at: 2 }), // [MQTT-4.7.0-1]
            ("ab\0", TopicNameError::Nul { at: 2 }),                  // [MQTT-4.7.3-2]
        ];
        for (text, error) in table {
            assert_eq!(TopicName::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(TopicName::parse("a/ /b").unwrap().levels().collect::<Vec<_>>(), ["a", " ", "b"]);
    }

    #[test]
    fn limits() {
        assert!(TopicName::parse(&"/".repeat(200)).is_ok());
        assert_eq!(TopicName::parse(&"/".repeat(201)), Err(TopicNameError::TooManyLevels));
        assert!(TopicName::parse(&"a".repeat(65_535)).is_ok());
        let long = "a".repeat(65_536); // [MQTT-4.7.3-3]
        assert_eq!(TopicName::parse(&long), Err(TopicNameError::TooLong { bytes: 65_536 }));
    }
}

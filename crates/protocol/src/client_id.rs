//! Client Identifier.

use std::fmt;

/// Names a session [MQTT-3.1.3-2]. Never empty: a server gives a name to who brings none [MQTT-3.1.3-6].
///
/// All that a UTF-8 string can hold is accepted, which includes the 1 to 23 alphanumeric bytes of [MQTT-3.1.3-5].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId<'a>(&'a str);

/// Why a text is no client identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientIdError {
    /// It is empty.
    #[error("client identifier is empty")]
    Empty,
    /// A string field ends at 65535 bytes.
    #[error("client identifier has {bytes} bytes; MQTT allows 65535")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// MQTT strings have no U+0000.
    #[error("client identifier has U+0000 at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
}

impl<'a> ClientId<'a> {
    /// Checks a text from CONNECT, a file or a command line.
    pub fn parse(text: &'a str) -> Result<Self, ClientIdError> {
        if text.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if text.len() > usize::from(u16::MAX) {
            return Err(ClientIdError::TooLong { bytes: text.len() });
        }
        match text.find('\0') {
            Some(at) => Err(ClientIdError::Nul { at }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for ClientId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_string_but_the_empty_one() {
        assert_eq!(ClientId::parse("lamp-é").map(ClientId::as_str), Ok("lamp-é"));
        assert_eq!(ClientId::parse(""), Err(ClientIdError::Empty));
        assert_eq!(ClientId::parse("a\0"), Err(ClientIdError::Nul { at: 1 }));
        let long = "a".repeat(65_536);
        assert_eq!(ClientId::parse(&long), Err(ClientIdError::TooLong { bytes: 65_536 }));
        assert!(ClientId::parse(&long[1..]).is_ok());
    }
}

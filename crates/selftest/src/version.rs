//! The two standards.

use std::fmt;

/// A version of MQTT: the byte that names it in CONNECT, and the standard whose statements count.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Version {
    /// Both, in the order of their age.
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];

    /// How statements of this standard are cited: `[MQTT311-3.1.0-2]`, `[MQTT-3.1.0-2]`.
    pub(crate) const fn citation(self) -> &'static str {
        match self {
            Self::V311 => "[MQTT311-",
            Self::V5 => "[MQTT-",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

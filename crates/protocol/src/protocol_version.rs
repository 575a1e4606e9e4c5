//! Protocol Name and Protocol Version.

use std::fmt;

/// The version of MQTT that one connection speaks, as told by its CONNECT.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ProtocolVersion {
    /// Protocol name `MQIsdp`, level 3.
    V31,
    /// Protocol name `MQTT`, level 4.
    V311,
    /// Protocol name `MQTT`, level 5.
    V5,
}

impl ProtocolVersion {
    /// Protocol Level (3.x) or Protocol Version (5.0) as on the wire, without the bridge bit.
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// Protocol Name as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V31 => "MQIsdp",
            Self::V311 | Self::V5 => "MQTT",
        }
    }

    /// Whether packets of this version carry properties and reason codes.
    pub const fn has_properties(self) -> bool {
        matches!(self, Self::V5)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

//! What can be wrong with a packet.

use crate::{ProtocolVersion, ReasonCode};

/// Why bytes are no packet. The connection they came from must be closed [MQTT-4.13.1-1].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}: {what}", reason.describe())]
pub struct DecodeError {
    /// The code a 5.0 peer is told in CONNACK or DISCONNECT: `MalformedPacket`, `ProtocolError`,
    /// `UnsupportedProtocolVersion`, `PacketTooLarge`, `TopicNameInvalid`, `TopicFilterInvalid`, ...
    pub reason: ReasonCode,
    /// What is wrong, for logs and the Reason String: "string is not UTF-8".
    pub what: &'static str,
}

impl DecodeError {
    pub(crate) const ENDS_INSIDE_A_FIELD: Self = Self::malformed("packet ends inside a field");

    /// Bytes that do not follow the packet's format (0x81).
    pub const fn malformed(what: &'static str) -> Self {
        Self { reason: ReasonCode::MalformedPacket, what }
    }

    /// A well-formed packet that the protocol forbids here (0x82).
    pub const fn protocol(what: &'static str) -> Self {
        Self { reason: ReasonCode::ProtocolError, what }
    }
}

/// Why a packet cannot be written. Only callers that build packets from unchecked input can meet it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// A string or binary field is longer than 65535 bytes.
    #[error("a string or binary field has {bytes} bytes; MQTT allows 65535")]
    FieldTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A string contains U+0000, which no MQTT string may.
    #[error("a string contains U+0000")]
    Nul,
    /// The packet exceeds what a Remaining Length can express.
    #[error("the packet has {bytes} bytes; MQTT allows 268435455")]
    PacketTooLong {
        /// Its remaining length.
        bytes: usize,
    },
    /// A Subscription Identifier is larger than a Variable Byte Integer can express.
    #[error("{value} is too large; MQTT allows 268435455")]
    IntegerTooLarge {
        /// What was asked for.
        value: u32,
    },
    /// The version has no such packet, or no words for what it says: AUTH before 5.0, a refusal that 3.x can only
    /// express by closing the connection.
    #[error("MQTT {version} cannot say this with {packet}")]
    NotInVersion {
        /// The standard's name of the packet.
        packet: &'static str,
        /// The version of the connection.
        version: ProtocolVersion,
    },
}

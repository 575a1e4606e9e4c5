//! PUBREL: the answer to PUBREC (section 3.6).

use super::ack;
use crate::frame::{Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, ReasonCode};

/// The sender of a QoS 2 message will not send it again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pubrel<'a> {
    /// Of the PUBLISH [MQTT-2.2.1-5].
    pub packet_id: PacketId,
    /// `Success` or `PacketIdentifierNotFound`. Always `Success` on 3.x.
    pub reason: ReasonCode,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Pubrel<'a> {
    /// The message is released.
    pub const fn new(packet_id: PacketId) -> Self {
        Self { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY }
    }

    /// Reads a frame.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let (packet_id, reason, properties) =
            ack::decode(frame, PacketType::Pubrel, PropertyPlace::Pubrel, version)?;
        Ok(Self { packet_id, reason, properties })
    }

    /// Appends the whole packet in its shortest form. 3.x leaves the reason and the properties out.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        ack::encode(PacketType::Pubrel, self.packet_id, self.reason, &self.properties, version, out)
    }
}

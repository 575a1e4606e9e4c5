//! PUBCOMP: the answer to PUBREL (section 3.7).

use super::ack;
use crate::frame::{Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, ReasonCode};

/// The exchange of a QoS 2 message is complete.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pubcomp<'a> {
    /// Of the PUBLISH [MQTT-2.2.1-5].
    pub packet_id: PacketId,
    /// `Success` or `PacketIdentifierNotFound`. Always `Success` on 3.x.
    pub reason: ReasonCode,
    /// Reason String and User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Pubcomp<'a> {
    /// The exchange is complete.
    pub const fn new(packet_id: PacketId) -> Self {
        Self { packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY }
    }

    /// Reads a frame.
    #[inline]
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let (packet_id, reason, properties) =
            ack::decode(frame, PacketType::Pubcomp, PropertyPlace::Pubcomp, version)?;
        Ok(Self { packet_id, reason, properties })
    }

    /// Appends the whole packet in its shortest form. 3.x leaves the reason and the properties out.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        ack::encode(PacketType::Pubcomp, self.packet_id, self.reason, &self.properties, version, out)
    }
}

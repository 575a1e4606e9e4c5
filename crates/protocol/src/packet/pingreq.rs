//! PINGREQ: a sign of life (section 3.12).

use crate::field::Fields;
use crate::frame::{Frame, PacketType};
use crate::{DecodeError, EncodeError, ProtocolVersion};

/// The client is there, and asks whether the server is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pingreq;

impl Pingreq {
    /// The whole packet.
    pub const BYTES: [u8; 2] = [PacketType::Pingreq.first_byte(), 0];

    /// Reads a frame, which has no body.
    pub fn decode(frame: Frame<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Pingreq, version)?;
        Fields::new(frame.body).finish()?;
        Ok(Self)
    }

    /// Appends the whole packet.
    pub fn encode(self, _version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&Self::BYTES);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::packet::Packet;
    use crate::packet::wire::{ALL, V5, V311, accept, check, malformed};

    #[test]
    fn pingreq() {
        for version in ALL {
            check(version, "C0 00", Packet::Pingreq);
            malformed(version, &["C0 01 00", "C1 00"]); // [MQTT-2.1.3-1]
        }
        malformed(V5, &["C0 8000"]); // [MQTT-1.5.5-1]
        accept(V311, "C0 8000", Packet::Pingreq);
    }
}

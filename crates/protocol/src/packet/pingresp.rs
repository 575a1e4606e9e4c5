//! PINGRESP: the answer to PINGREQ (section 3.13).

use crate::field::Fields;
use crate::frame::{Frame, PacketType};
use crate::{DecodeError, EncodeError, ProtocolVersion};

/// The server is there [MQTT-3.12.4-1].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pingresp;

impl Pingresp {
    /// The whole packet.
    pub const BYTES: [u8; 2] = [PacketType::Pingresp.first_byte(), 0];

    /// Reads a frame, which has no body.
    pub fn decode(frame: Frame<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Pingresp, version)?;
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
    fn pingresp() {
        for version in ALL {
            check(version, "D0 00", Packet::Pingresp);
            malformed(version, &["D0 01 00", "D8 00"]); // [MQTT-2.1.3-1]
        }
        malformed(V5, &["D0 8000"]); // [MQTT-1.5.5-1]
        accept(V311, "D0 8000", Packet::Pingresp);
    }
}

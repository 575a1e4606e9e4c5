//! Bytes to one whole frame (section 2.1): what is on the stream, bounded before it is buffered.

use crate::field::{
    VARIABLE_BYTE_INTEGER_MAX, put_variable_byte_integer, read_variable_byte_integer,
    variable_byte_integer_len,
};
use crate::{DecodeError, EncodeError, ProtocolVersion, ReasonCode, Role};

/// The flag of a packet that was perhaps sent before.
pub(crate) const DUP: u8 = 0x08;

/// One whole control packet, not yet looked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first_byte: u8,
    /// All that follows the Remaining Length.
    pub body: &'a [u8],
    /// Whether the Remaining Length was written with the fewest bytes. 5.0 demands it [MQTT-1.5.5-1]; 3.x does not,
    /// and clients exist that reserve bytes for it.
    pub shortest_length: bool,
}

impl<'a> Frame<'a> {
    /// A frame as it would come from [`next_frame`].
    pub const fn new(first_byte: u8, body: &'a [u8]) -> Self {
        Self { first_byte, body, shortest_length: true }
    }

    /// Which packet this is; type 0 is reserved.
    #[inline]
    pub const fn packet_type(&self) -> Result<PacketType, DecodeError> {
        match PacketType::from_number(self.first_byte >> 4) {
            Some(packet_type) => Ok(packet_type),
            None => Err(DecodeError::malformed("packet type 0 is reserved")),
        }
    }

    /// The lower half of the first byte.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.first_byte & 0x0F
    }

    /// The fixed header of any packet but PUBLISH is determined by its type [MQTT-2.1.3-1] [MQTT311-2.2.2-2]. A 3.1 end
    /// that repeats PUBREL, SUBSCRIBE or UNSUBSCRIBE sets DUP (section 2.1 there).
    pub(crate) fn expect(
        &self,
        packet_type: PacketType,
        version: ProtocolVersion,
    ) -> Result<(), DecodeError> {
        if self.first_byte >> 4 != packet_type as u8 {
            return Err(DecodeError::protocol("another packet was expected"));
        }
        let fixed = packet_type.fixed_flags();
        let repeated = version == ProtocolVersion::V31 && fixed != 0 && self.flags() == fixed | DUP;
        if self.flags() != fixed && !repeated {
            return Err(DecodeError::malformed("reserved flags of the fixed header are wrong"));
        }
        self.check_length(version)
    }

    #[inline]
    pub(crate) const fn check_length(&self, version: ProtocolVersion) -> Result<(), DecodeError> {
        if !self.shortest_length && version.has_properties() {
            return Err(DecodeError::malformed("remaining length is longer than it needs to be"));
        }
        Ok(())
    }
}

/// The control packets by their number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the packet of that name")]
pub enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type for the upper half of a first byte; `None` for 0 and above 15.
    #[inline]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1..=15 => Some(Self::ALL[number as usize - 1]),
            _ => None,
        }
    }

    /// The standard's name: `CONNECT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Whether this end may send the packet at all (table 2-1; 3.x servers send no DISCONNECT, 3.x has no AUTH).
    pub const fn sent_by(self, role: Role, version: ProtocolVersion) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq => {
                matches!(role, Role::Client)
            }
            Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp => matches!(role, Role::Server),
            Self::Publish | Self::Puback | Self::Pubrec | Self::Pubrel | Self::Pubcomp => true,
            Self::Disconnect => matches!(role, Role::Client) || version.has_properties(),
            Self::Auth => version.has_properties(),
        }
    }

    /// The flags of every packet but PUBLISH, which has its own [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1].
    pub(crate) const fn fixed_flags(self) -> u8 {
        match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            Self::Connect
            | Self::Connack
            | Self::Publish
            | Self::Puback
            | Self::Pubrec
            | Self::Pubcomp
            | Self::Suback
            | Self::Unsuback
            | Self::Pingreq
            | Self::Pingresp
            | Self::Disconnect
            | Self::Auth => 0,
        }
    }

    pub(crate) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.fixed_flags()
    }
}

/// Takes the first frame off `input`, and tells how many bytes it was; `None` when more bytes are needed.
///
/// A frame longer than `maximum_packet_size`, header included, is refused once its header is there, before its body
/// arrives. So is a reserved packet type.
#[inline]
pub fn next_frame(input: &[u8], maximum_packet_size: u32) -> Result<Option<(Frame<'_>, usize)>, DecodeError> {
    let Some(header) = Header::read(input)? else { return Ok(None) };
    if header.frame_length() > maximum_packet_size as usize {
        return Err(DecodeError {
            reason: ReasonCode::PacketTooLarge,
            what: "packet is larger than the maximum packet size",
        });
    }
    match input.get(header.length..header.frame_length()) {
        Some(body) => {
            let frame = Frame {
                first_byte: header.first_byte,
                body,
                shortest_length: header.length == 1 + variable_byte_integer_len(header.remaining_length),
            };
            Ok(Some((frame, header.frame_length())))
        }
        None => Ok(None),
    }
}

/// How long the first frame in `input` is, header included, once its header is there.
pub fn frame_length(input: &[u8]) -> Result<Option<usize>, DecodeError> {
    Ok(Header::read(input)?.map(|header| header.frame_length()))
}

struct Header {
    first_byte: u8,
    remaining_length: u32,
    /// Of the header itself: 2 to 5 bytes.
    length: usize,
}

impl Header {
    #[inline]
    fn read(input: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some((&first_byte, rest)) = input.split_first() else { return Ok(None) };
        if first_byte >> 4 == 0 {
            return Err(DecodeError::malformed("packet type 0 is reserved"));
        }
        Ok(read_variable_byte_integer(rest)?.map(|(remaining_length, length)| Self {
            first_byte,
            remaining_length,
            length: 1 + length,
        }))
    }

    const fn frame_length(&self) -> usize {
        self.length + self.remaining_length as usize
    }
}

/// Writes a fixed header and reserves room for the whole packet. Checks the length first, so that on an error `out`
/// is as it was.
#[inline]
pub(crate) fn start(out: &mut Vec<u8>, first_byte: u8, remaining_length: usize) -> Result<(), EncodeError> {
    let length = check_remaining_length(remaining_length)?;
    out.reserve(1 + variable_byte_integer_len(length) + remaining_length);
    out.push(first_byte);
    put_variable_byte_integer(out, length);
    Ok(())
}

/// Writes a fixed header for a body that does not follow as a whole.
pub(crate) fn start_without_room(
    out: &mut Vec<u8>,
    first_byte: u8,
    remaining_length: usize,
) -> Result<(), EncodeError> {
    let length = check_remaining_length(remaining_length)?;
    out.push(first_byte);
    put_variable_byte_integer(out, length);
    Ok(())
}

/// Bytes of a whole packet whose body has `remaining_length`.
pub(crate) fn encoded_len(remaining_length: usize) -> Result<usize, EncodeError> {
    let length = check_remaining_length(remaining_length)?;
    Ok(1 + variable_byte_integer_len(length) + remaining_length)
}

#[inline]
fn check_remaining_length(bytes: usize) -> Result<u32, EncodeError> {
    match u32::try_from(bytes) {
        Ok(length) if length <= VARIABLE_BYTE_INTEGER_MAX => Ok(length),
        _ => Err(EncodeError::PacketTooLong { bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let whole = |bytes, body, shortest_length| {
            let frame = Frame { first_byte: 0x30, body, shortest_length };
            Ok(Some((frame, bytes)))
        };
        let table: [(&[u8], _); 9] = [
            (b"", Ok(None)),
            (b"\x30", Ok(None)),
            (b"\x30\x80", Ok(None)),
            (b"\x30\x02a", Ok(None)),
            (b"\x30\x00", whole(2, b"", true)),
            (b"\x30\x02ab", whole(4, b"ab", true)),
            (b"\x30\x02abc", whole(4, b"ab", true)),
            (b"\x30\x82\x00ab", whole(5, b"ab", false)),
            (b"\x30\x82\x80\x80\x00ab", whole(7, b"ab", false)),
        ];
        for (bytes, expected) in table {
            assert_eq!(next_frame(bytes, u32::MAX), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_from_the_header() {
        let reason = |bytes| next_frame(bytes, 100).map_err(|error| error.reason);
        assert_eq!(reason(b"\x30\x80\x80\x80\x80"), Err(ReasonCode::MalformedPacket));
        assert_eq!(reason(b"\x30\xFF\xFF\xFF\xFF\x01"), Err(ReasonCode::MalformedPacket));
        assert_eq!(reason(b"\x00"), Err(ReasonCode::MalformedPacket)); // type 0 is reserved
        assert_eq!(reason(b"\x0F\x00"), Err(ReasonCode::MalformedPacket));
        // A packet counts whole (section 2.1.4): two bytes of header and 98 others.
        assert_eq!(reason(b"\x30\x62"), Ok(None));
        assert_eq!(reason(b"\x30\x63"), Err(ReasonCode::PacketTooLarge));
        assert_eq!(reason(b"\x30\xFF\xFF\xFF\x7F"), Err(ReasonCode::PacketTooLarge));
    }

    #[test]
    fn lengths() {
        assert_eq!(frame_length(b"\x30"), Ok(None));
        assert_eq!(frame_length(b"\x30\x05"), Ok(Some(7)));
        assert_eq!(frame_length(b"\x30\xFF\xFF\xFF\x7F"), Ok(Some(268_435_460)));
        assert_eq!(
            frame_length(b"\x30\x80\x80\x80\x80").map_err(|error| error.reason),
            Err(ReasonCode::MalformedPacket)
        );
        for length in [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455] {
            let mut out = Vec::new();
            start_without_room(&mut out, 0x30, length).unwrap();
            assert_eq!(frame_length(&out), Ok(Some(out.len() + length)));
            assert_eq!(encoded_len(length), Ok(out.len() + length));
        }
        assert_eq!(encoded_len(268_435_456), Err(EncodeError::PacketTooLong { bytes: 268_435_456 }));
    }
}

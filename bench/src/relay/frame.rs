//! The little that the relay reads of a frame. Offsets that a frame is too short for read as nothing: its clients
//! are the load, which speaks MQTT.

pub(super) const CONNECT: u8 = 1;
pub(super) const PUBLISH: u8 = 3;
pub(super) const PUBREC: u8 = 5;
pub(super) const PUBREL: u8 = 6;
pub(super) const SUBSCRIBE: u8 = 8;
pub(super) const UNSUBSCRIBE: u8 = 10;
pub(super) const PINGREQ: u8 = 12;
pub(super) const DISCONNECT: u8 = 14;

/// A whole frame.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) bytes: &'a [u8],
    body: &'a [u8],
}

/// A topic and the QoS it is wanted at.
pub(super) struct Subscription<'a> {
    pub(super) filter: &'a [u8],
    pub(super) qos: u8,
}

impl<'a> Frame<'a> {
    /// The frame at the start, if all of it is there.
    #[inline]
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut length = 0;
        for place in 1..=4 {
            let byte = *bytes.get(place)?;
            length |= usize::from(byte & 127) << (7 * (place - 1));
            if byte & 128 == 0 {
                let start = place + 1;
                let body = bytes.get(start..start + length)?;
                return Some(Self { bytes: &bytes[..start + length], body });
            }
        }
        None
    }

    pub(super) fn kind(self) -> u8 {
        self.bytes[0] >> 4
    }

    #[inline]
    pub(super) fn topic(self) -> &'a [u8] {
        text(self.body).unwrap_or_default()
    }

    /// PUBACK or PUBREC.
    #[inline]
    pub(super) fn publish_answer(self) -> Option<[u8; 4]> {
        let kind = match self.bytes[0] >> 1 & 3 {
            0 => return None,
            1 => 0x40,
            _ => 0x50,
        };
        let at = 2 + self.topic().len();
        Some([kind, 2, *self.body.get(at)?, *self.body.get(at + 1)?])
    }

    /// PUBREL to PUBREC, PUBCOMP to PUBREL.
    pub(super) fn exchange_answer(self) -> [u8; 4] {
        let kind = if self.kind() == PUBREC { 0x62 } else { 0x70 };
        [kind, 2, self.byte(0), self.byte(1)]
    }

    /// 3, 4 or 5: the byte behind the protocol's name.
    pub(super) fn connect_version(self) -> u8 {
        self.byte(2 + self.topic().len())
    }

    /// SUBACK or UNSUBACK up to its reason codes; the second byte, its length, is to be set.
    pub(super) fn request_answer(self, version: u8) -> Vec<u8> {
        let kind = if self.kind() == SUBSCRIBE { 0x90 } else { 0xB0 };
        let mut answer = vec![kind, 0, self.byte(0), self.byte(1)];
        if version == 5 {
            answer.push(0);
        }
        answer
    }

    pub(super) fn subscriptions(self, version: u8) -> impl Iterator<Item = Subscription<'a>> {
        let mut rest = self.filters(version);
        std::iter::from_fn(move || {
            let filter = text(rest)?;
            let qos = rest.get(2 + filter.len())? & 3;
            rest = &rest[3 + filter.len()..];
            Some(Subscription { filter, qos })
        })
    }

    pub(super) fn unsubscriptions(self, version: u8) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.filters(version);
        std::iter::from_fn(move || {
            let filter = text(rest)?;
            rest = &rest[2 + filter.len()..];
            Some(filter)
        })
    }

    /// What stands behind the Packet Identifier and, in 5.0, the properties. The load sends few, so that one byte
    /// says their length.
    fn filters(self, version: u8) -> &'a [u8] {
        let start = if version == 5 { 3 + usize::from(self.byte(2) & 127) } else { 2 };
        self.body.get(start..).unwrap_or_default()
    }

    fn byte(self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or_default()
    }
}

/// The string at the start.
#[inline]
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    bytes.get(2..2 + usize::from(length))
}

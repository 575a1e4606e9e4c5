//! The pieces that keys and values are made of.

use std::time::Duration;

use noctule_protocol::{PacketId, QoS};

use crate::message::{Sequence, SessionNumber};

/// The format number of every value.
pub(super) const FORMAT: u8 = 3;

/// What was read, or why it cannot be.
pub(super) type Read<T> = Result<T, &'static str>;

pub(super) fn text(bytes: &[u8]) -> Read<Box<str>> {
    std::str::from_utf8(bytes).map(Box::from).map_err(|_| "text is not UTF-8")
}

/// Writes one value, or a key.
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(vec![FORMAT])
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more. Most numbers are small.
    pub(super) fn number(mut self, value: impl Into<u64>) -> Self {
        let mut left = value.into();
        while left > 0x7f {
            self.0.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
        self
    }

    /// A number that goes up or down from another: the lowest bit says which.
    pub(super) fn step(self, from: u64, to: u64) -> Self {
        let step = to.wrapping_sub(from) as i64;
        self.number((step << 1 ^ step >> 63) as u64)
    }

    pub(super) fn sequence(self, sequence: Sequence) -> Self {
        self.number(sequence.source).number(sequence.counter)
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut out = self.number(bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }

    pub(super) fn duration(self, duration: Duration) -> Self {
        self.number(duration.as_secs()).number(duration.subsec_nanos())
    }

    pub(super) fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }
}

/// Reads what [`Writer`] wrote, or anything else, without panic.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("too short")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("too short")?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// As [`Writer::number`] writes it, in so few bytes only that it fits.
    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Read<T> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return T::try_from(value).map_err(|_| "number is too large");
            }
        }
        Err("number is too large")
    }

    /// The number that a step leads to.
    pub(super) fn step(&mut self, from: u64) -> Read<u64> {
        let step: u64 = self.number()?;
        Ok(from.wrapping_add(step >> 1 ^ (step & 1).wrapping_neg()))
    }

    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Read<Box<str>> {
        text(self.bytes()?)
    }

    pub(super) fn qos(&mut self) -> Read<QoS> {
        QoS::from_level(self.u8()?).ok_or("QoS 3")
    }

    pub(super) fn duration(&mut self) -> Read<Duration> {
        let (seconds, nanos) = (self.number()?, self.number()?);
        if nanos < 1_000_000_000 {
            Ok(Duration::new(seconds, nanos))
        } else {
            Err("more nanoseconds than a second has")
        }
    }

    pub(super) fn sequence(&mut self) -> Read<Sequence> {
        Ok(Sequence { source: self.number()?, counter: self.number()? })
    }

    /// Of a key, whose numbers have all their bytes, the highest first.
    pub(super) fn key_session(&mut self) -> Read<SessionNumber> {
        Ok(SessionNumber(u64::from_be_bytes(self.array()?)))
    }

    /// The same of a sequence.
    pub(super) fn key_sequence(&mut self) -> Read<Sequence> {
        let (source, counter) = (u32::from_be_bytes(self.array()?), u64::from_be_bytes(self.array()?));
        Ok(Sequence { source, counter })
    }

    /// The same of an exchange.
    pub(super) fn key_exchange(&mut self) -> Read<(SessionNumber, PacketId)> {
        let (session, packet_id) = (self.key_session()?, u16::from_be_bytes(self.array()?));
        Ok((session, PacketId::new(packet_id).ok_or("Packet Identifier 0")?))
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err("neither some nor none"),
        }
    }
}

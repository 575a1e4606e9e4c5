//! The pieces that keys and values are made of.

use std::time::Duration;

use noctule_protocol::{PacketId, QoS};

use crate::message::{Sequence, SessionNumber};

/// The format number of every value.
pub(super) const FORMAT: u8 = 1;

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

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Nothing in a packet is as long as 4 GiB, so neither is anything that came in one.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut out = self.u32(bytes.len() as u32);
        out.0.extend_from_slice(bytes);
        out
    }

    pub(super) fn duration(self, duration: Duration) -> Self {
        self.u64(duration.as_secs()).u32(duration.subsec_nanos())
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

    pub(super) fn u16(&mut self) -> Read<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Read<Box<str>> {
        text(self.bytes()?)
    }

    pub(super) fn qos(&mut self) -> Read<QoS> {
        QoS::from_level(self.u8()?).ok_or("QoS 3")
    }

    pub(super) fn duration(&mut self) -> Read<Duration> {
        let (seconds, nanos) = (self.u64()?, self.u32()?);
        if nanos < 1_000_000_000 {
            Ok(Duration::new(seconds, nanos))
        } else {
            Err("more nanoseconds than a second has")
        }
    }

    pub(super) fn sequence(&mut self) -> Read<Sequence> {
        Ok(Sequence { source: self.u32()?, counter: self.u64()? })
    }

    pub(super) fn exchange(&mut self) -> Read<(SessionNumber, PacketId)> {
        Ok((SessionNumber(self.u64()?), PacketId::new(self.u16()?).ok_or("Packet Identifier 0")?))
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err("neither some nor none"),
        }
    }
}

//! Bytes one after the other, each with its place.

use std::io::Read;

use crate::Damage;

pub(super) struct Source<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Source<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, at: 0 }
    }

    /// The number of the next byte.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next bytes. Memory is taken as they come, not as many as are asked for.
    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Damage> {
        let bytes = self.up_to(count)?;
        if bytes.len() as u64 == count {
            return Ok(bytes);
        }
        Err(Damage::At { at: self.at, what: "it ends in the middle of an entry: it was cut off" })
    }

    /// The next bytes, or as many as there are.
    pub(super) fn up_to(&mut self, count: u64) -> Result<Vec<u8>, Damage> {
        let mut bytes = Vec::new();
        (&mut self.inner).take(count).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

/// The fields of one chunk.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

/// A field does not fit into its chunk.
pub(super) struct TooShort;

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], TooShort> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(TooShort)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TooShort> {
        let (head, rest) = self.0.split_first_chunk().ok_or(TooShort)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, TooShort> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, TooShort> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, TooShort> {
        self.array().map(u32::from_be_bytes)
    }

    /// In the order of the machine that wrote it.
    pub(super) fn native_u64(&mut self) -> Result<u64, TooShort> {
        self.array().map(u64::from_le_bytes)
    }

    /// In the order of the machine that wrote it.
    pub(super) fn native_i64(&mut self) -> Result<i64, TooShort> {
        self.array().map(i64::from_le_bytes)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// A Variable Byte Integer, and what stands behind it.
pub(super) fn variable_byte_integer(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

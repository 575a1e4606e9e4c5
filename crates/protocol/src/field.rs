//! Data representation (section 1.5): the integers, strings and binary data that packets consist of.

use crate::{DecodeError, EncodeError};

/// The largest Variable Byte Integer, and so the largest Remaining Length.
pub(crate) const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// The fields of one packet that have not been read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left, which becomes a payload.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.0.split_at_checked(count) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(DecodeError::ENDS_INSIDE_A_FIELD),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.0.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(*taken)
            }
            None => Err(DecodeError::malformed("packet ends inside a field")),
        }
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// [`two_byte_integer`](Self::two_byte_integer) where a Result would cost as much as what it holds.
    #[inline]
    pub(crate) fn try_two_byte_integer(&mut self) -> Option<u16> {
        let (integer, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*integer))
    }

    /// The same for [`binary_data`](Self::binary_data).
    #[inline]
    pub(crate) fn try_binary_data(&mut self) -> Option<&'a [u8]> {
        let length = self.try_two_byte_integer()?;
        let (data, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(data)
    }

    #[inline]
    pub(crate) fn two_byte_integer(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn four_byte_integer(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// At most four bytes, and as few as the value needs [MQTT-1.5.5-1].
    #[inline]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, DecodeError> {
        let (value, length) = match read_variable_byte_integer(self.0)? {
            Some(read) => read,
            None => return Err(DecodeError::malformed("packet ends inside a field")),
        };
        if length > variable_byte_integer_len(value) {
            return Err(DecodeError::malformed("variable byte integer is longer than it needs to be"));
        }
        self.take(length)?;
        Ok(value)
    }

    #[inline]
    pub(crate) fn binary_data(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.two_byte_integer()?;
        self.take(usize::from(length))
    }

    pub(crate) fn utf8_string(&mut self) -> Result<&'a str, DecodeError> {
        check_utf8(self.binary_data()?)
    }

    /// A packet says exactly what its fields say: bytes behind the last one make it malformed.
    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::malformed("bytes are left behind the last field"))
        }
    }
}

/// Well-formed UTF-8 without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT311-1.5.3-1] [MQTT311-1.5.3-2]. A leading
/// U+FEFF is a character like any other [MQTT-1.5.4-3].
#[inline]
pub(crate) fn check_utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = str::from_utf8(bytes).map_err(|_| DecodeError::malformed("string is not UTF-8"))?;
    if bytes.contains(&0) {
        return Err(DecodeError::malformed("string contains U+0000"));
    }
    Ok(text)
}

/// The value and how many bytes it took; `None` when more bytes are needed.
#[inline]
pub(crate) fn read_variable_byte_integer(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        return Err(DecodeError::malformed("variable byte integer has more than four bytes"));
    }
    Ok(None)
}

pub(crate) const fn variable_byte_integer_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Writes a value of at most [`VARIABLE_BYTE_INTEGER_MAX`], which the caller has checked.
pub(crate) fn put_variable_byte_integer(out: &mut Vec<u8>, mut value: u32) {
    debug_assert!(value <= VARIABLE_BYTE_INTEGER_MAX, "callers check the maximum");
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The Two Byte Integer in front of a string or binary field.
#[inline]
pub(crate) fn field_len(bytes: &[u8]) -> Result<u16, EncodeError> {
    u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong { bytes: bytes.len() })
}

/// Writes a string or binary field whose length [`field_len`] has allowed.
pub(crate) fn put_binary_data(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    out.extend_from_slice(&field_len(bytes)?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_have_one_form() {
        let table: &[(&[u8], u32)] = &[
            (&[0x00], 0),
            (&[0x7F], 127),
            (&[0x80, 0x01], 128),
            (&[0xFF, 0x7F], 16_383),
            (&[0x80, 0x80, 0x01], 16_384),
            (&[0xFF, 0xFF, 0x7F], 2_097_151),
            (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
            (&[0xFF, 0xFF, 0xFF, 0x7F], VARIABLE_BYTE_INTEGER_MAX),
        ];
        for &(bytes, value) in table {
            assert_eq!(Fields::new(bytes).variable_byte_integer(), Ok(value));
            let mut out = Vec::new();
            put_variable_byte_integer(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(variable_byte_integer_len(value), bytes.len());
        }
        // [MQTT-1.5.5-1]
        for bytes in [&[0x80, 0x00][..], &[0xFF, 0x80, 0x00], &[0xFF, 0xFF, 0x80, 0x00]] {
            assert!(Fields::new(bytes).variable_byte_integer().is_err());
        }
        assert!(Fields::new(&[0xFF; 4]).variable_byte_integer().is_err());
        assert_eq!(read_variable_byte_integer(&[0xFF; 3]), Ok(None));
    }

    #[test]
    fn strings_are_well_formed_utf8_without_nul() {
        let of = |bytes: &'static [u8]| check_utf8(bytes).map_err(|error| error.what);
        assert_eq!(of(b"a\xC3\xA9"), Ok("aé"));
        assert_eq!(of(b"\xEF\xBB\xBFa"), Ok("\u{FEFF}a")); // [MQTT-1.5.4-3]
        assert_eq!(of(b"\xF0\xAA\x9B\x94"), Ok("\u{2A6D4}"));
        assert_eq!(of(b"a\0"), Err("string contains U+0000")); // [MQTT-1.5.4-2]
        // A surrogate, an overlong form, a cut character, beyond U+10FFFF [MQTT-1.5.4-1].
        for bytes in [&b"\xED\xA0\x80"[..], b"\xC0\x80", b"\xE2\x82", b"\xF4\x90\x80\x80"] {
            assert_eq!(of(bytes), Err("string is not UTF-8"));
        }
    }
}

//! The few shapes that MQTT's bytes have, written from the standard and from nothing of ours, so that a mistake of our
//! codec cannot hide behind the same mistake here.

/// A packet of this first byte and body, with the Remaining Length between them.
pub(crate) fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first_byte];
    packet.extend(variable_byte_integer(body.len()));
    packet.extend(body);
    packet
}

/// A length in as few bytes as it needs.
pub(crate) fn variable_byte_integer(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// Bytes behind their length in two bytes: UTF-8 Encoded String, Binary Data. What is longer than such a field can say
/// is cut.
pub(crate) fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// Two Byte Integer.
pub(crate) const fn two(value: u16) -> [u8; 2] {
    value.to_be_bytes()
}

/// Reads what others wrote, from the front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| format!("{count} bytes are announced, {} are there", self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn two(&mut self) -> Result<u16, String> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], String> {
        let length = self.two()?;
        self.take(usize::from(length))
    }

    /// UTF-8, without U+0000.
    pub(crate) fn text(&mut self) -> Result<&'a str, String> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a string is not UTF-8".to_owned())?;
        if text.contains('\0') { Err("a string holds U+0000".to_owned()) } else { Ok(text) }
    }

    /// In the fewest bytes, as the standard wants it.
    pub(crate) fn variable_byte_integer(&mut self) -> Result<usize, String> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err("a Variable Byte Integer has more bytes than it needs".to_owned())
                } else {
                    Ok(value)
                };
            }
        }
        Err("a Variable Byte Integer is longer than four bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 1]),
            (268_435_455, &[0xff, 0xff, 0xff, 0x7f]),
        ] {
            assert_eq!(variable_byte_integer(value), bytes);
            assert_eq!(Reader::new(bytes).variable_byte_integer(), Ok(value));
        }
        for wrong in [&[0x80, 0][..], &[0x80, 0x80, 0x80, 0x80, 1], &[0x80]] {
            assert!(Reader::new(wrong).variable_byte_integer().is_err(), "{wrong:x?}");
        }
    }

    #[test]
    fn strings() {
        assert_eq!(string("ab"), [0, 2, b'a', b'b']);
        assert_eq!(Reader::new(&string("ä")).text(), Ok("ä"));
        for wrong in [&[0, 1, 0][..], &[0, 1, 0xff], &[0, 2, b'a'], &[0]] {
            assert!(Reader::new(wrong).text().is_err(), "{wrong:x?}");
        }
    }
}

//! Bytes of one packet.

/// What is left of a packet. `None` where there is not enough of it.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(*self.take(1)?.first()?)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?.into();
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// A Variable Byte Integer of at most four bytes.
    pub(super) fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The properties of a packet of 5.0.
    pub(super) fn properties(&mut self) -> Option<Reader<'a>> {
        let length = self.variable()?;
        Some(Reader(self.take(length)?))
    }

    /// Reads one property: its identifier, and its value if that is a number.
    pub(super) fn property(&mut self) -> Option<(u8, u32)> {
        let identifier = self.u8()?;
        let value = match identifier {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => self.u8()?.into(),
            0x13 | 0x21 | 0x22 | 0x23 => self.u16()?.into(),
            0x02 | 0x11 | 0x18 | 0x27 => u32::from_be_bytes(self.take(4)?.try_into().ok()?),
            0x0B => self.variable()?.try_into().ok()?,
            0x26 => {
                self.text()?;
                self.text()?;
                0
            }
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => {
                let length = self.u16()?.into();
                self.take(length)?;
                0
            }
            _ => return None,
        };
        Some((identifier, value))
    }
}

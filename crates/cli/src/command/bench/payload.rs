//! What a message says about itself: which run and publisher it is of, which number it has, and when it was due.

/// The first bytes of every payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Tells the messages of this run from those of another one on the same broker.
    pub(super) run: u32,
    pub(super) publisher: u32,
    /// Counted from 0 for each publisher.
    pub(super) sequence: u64,
    /// When it was sent, or should have been in an open loop: nanoseconds since the run began.
    pub(super) due_ns: u64,
}

/// The shortest payload that can be checked.
pub(super) const HEADER_BYTES: usize = 24;

impl Header {
    #[inline]
    pub(super) fn write(self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.run.to_be_bytes());
        payload[4..8].copy_from_slice(&self.publisher.to_be_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        payload[16..24].copy_from_slice(&self.due_ns.to_be_bytes());
    }

    /// `None` for a payload that is none of ours.
    #[inline]
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (header, _) = payload.split_first_chunk::<HEADER_BYTES>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = *header;
        Some(Self {
            run: u32::from_be_bytes([a, b, c, d]),
            publisher: u32::from_be_bytes([e, f, g, h]),
            sequence: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            due_ns: u64::from_be_bytes([q, r, s, t, u, v, w, x]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header { run: 1, publisher: 0x0203_0405, sequence: u64::MAX - 6, due_ns: 7 };
        let mut payload = [b'x'; HEADER_BYTES + 3];
        header.write(&mut payload);
        assert_eq!(Header::read(&payload), Some(header));
        assert_eq!(&payload[HEADER_BYTES..], b"xxx");
        assert_eq!(Header::read(&payload[..HEADER_BYTES - 1]), None);
    }
}

//! What waits to be written to one connection.

/// Bytes above which an empty buffer goes back to the allocator instead of to the pool.
const POOLED_BYTES_MAX: usize = 256 * 1024;
/// Buffers the pool keeps: as many receivers may get something in one turn.
const POOLED_BUFFERS_MAX: usize = 512;
/// Bytes the pool keeps.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes in sending order, contiguous so that one write takes as much as the transport can. An idle outbox
/// holds no buffer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    /// Beyond `outbox_bytes_max` comes one packet at most, so that four bytes count it.
    written: u32,
}

impl Outbox {
    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that waits.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.written as usize..]
    }

    /// Where packets are appended.
    #[inline]
    pub(crate) fn end(&mut self, pool: &mut Pool) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 || self.written > 0 {
            self.make_room(pool);
        }
        &mut self.buffer
    }

    #[cold]
    fn make_room(&mut self, pool: &mut Pool) {
        if self.buffer.capacity() == 0 {
            self.buffer = pool.take();
        } else if self.written as usize > self.buffer.len() / 2 {
            self.buffer.drain(..self.written as usize);
            self.written = 0;
        }
    }

    /// Takes off what was written; `bytes` beyond the end count as the end.
    pub(crate) fn written(&mut self, bytes: usize, pool: &mut Pool) {
        self.written = (self.written as usize + bytes).min(self.buffer.len()) as u32;
        if self.is_empty() {
            pool.give(std::mem::take(&mut self.buffer));
            self.written = 0;
        }
    }

    /// Ends the outbox, giving what waits.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.buffer.drain(..self.written as usize);
        self.buffer
    }
}

/// Empty buffers for the outboxes of one shard.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    buffers: Vec<Vec<u8>>,
    /// What they take.
    bytes: usize,
    /// Bytes of messages that were put into outboxes since somebody asked.
    pub(crate) appended: usize,
}

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        let Some(buffer) = self.buffers.pop() else { return Vec::with_capacity(1024) };
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Gives its buffers back.
    pub(crate) fn clear(&mut self) {
        (self.buffers, self.bytes) = (Vec::new(), 0);
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if self.buffers.len() < POOLED_BUFFERS_MAX
            && bytes <= POOLED_BYTES_MAX
            && self.bytes + bytes <= POOL_BYTES_MAX
        {
            self.bytes += bytes;
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_outbox_holds_no_buffer_and_the_pool_hands_it_on() {
        let (mut pool, mut outbox) = (Pool::default(), Outbox::default());
        outbox.end(&mut pool).extend_from_slice(b"abcdef");
        outbox.written(4, &mut pool);
        assert_eq!(outbox.bytes(), b"ef");
        outbox.end(&mut pool).extend_from_slice(b"gh");
        assert_eq!(outbox.bytes(), b"efgh");
        outbox.written(99, &mut pool);
        assert!(outbox.is_empty());
        assert_eq!((outbox.buffer.capacity(), pool.buffers.len()), (0, 1));
        outbox.end(&mut pool).push(b'x');
        assert_eq!((outbox.into_bytes(), pool.buffers.len()), (b"x".to_vec(), 0));
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        for capacity in [POOLED_BYTES_MAX, 1024].into_iter().cycle().take(4 * POOLED_BUFFERS_MAX) {
            pool.give(Vec::with_capacity(capacity));
        }
        let bytes: usize = pool.buffers.iter().map(Vec::capacity).sum();
        assert!(bytes == pool.bytes && bytes <= POOL_BYTES_MAX && pool.buffers.len() <= POOLED_BUFFERS_MAX);
        pool.give(Vec::with_capacity(POOLED_BYTES_MAX + 1));
        while !pool.buffers.is_empty() {
            assert!(pool.take().capacity() <= POOLED_BYTES_MAX);
        }
        assert_eq!(pool.bytes, 0);
    }
}

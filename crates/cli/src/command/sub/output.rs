//! Standard output, and the messages that are acknowledged once they are written there.

use std::io::{self, Write};

use noctule_client::protocol::PacketId;

use crate::failure::Failure;

/// Collects what one round printed. A message is acknowledged after it was written, never before.
#[derive(Debug)]
pub(super) struct Output<W> {
    sink: W,
    buffer: Vec<u8>,
    printed: Vec<PacketId>,
}

/// Whether there is somebody to print for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Flushed {
    /// These messages are written.
    Written(Vec<PacketId>),
    /// The reader is gone, which is its right.
    Closed,
}

/// Beyond this a round is written before it is over.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

impl<W: Write> Output<W> {
    pub(super) const fn new(sink: W) -> Self {
        Self { sink, buffer: Vec::new(), printed: Vec::new() }
    }

    /// Where to print.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What was printed last, or needed no printing, belongs to this message.
    pub(super) fn done(&mut self, packet_id: Option<PacketId>) {
        self.printed.extend(packet_id);
    }

    pub(super) const fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES_MAX
    }

    pub(super) fn flush(&mut self) -> Result<Flushed, Failure> {
        let written = match self.buffer.is_empty() {
            true => Ok(()),
            false => self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush()),
        };
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        let printed = std::mem::take(&mut self.printed);
        match written {
            Ok(()) => Ok(Flushed::Written(printed)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Flushed::Closed),
            Err(error) => Err(Failure::file(format!(
                "Error: Cannot write to standard output: {}",
                noctule_client::system_text(&error)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sink(Option<io::ErrorKind>, Vec<u8>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0 {
                Some(kind) => Err(kind.into()),
                None => self.1.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn messages_are_done_when_they_are_written() {
        let mut output = Output::new(Sink(None, Vec::new()));
        output.buffer().extend_from_slice(b"one\n");
        output.done(Some(PacketId::FIRST));
        output.buffer().extend_from_slice(b"two\n");
        output.done(None);
        assert_eq!(output.flush().unwrap(), Flushed::Written(vec![PacketId::FIRST]));
        assert_eq!(output.sink.1, b"one\ntwo\n");
        assert_eq!(output.flush().unwrap(), Flushed::Written(Vec::new()));
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
        let flush = |kind| {
            let mut output = Output::new(Sink(Some(kind), Vec::new()));
            output.buffer().push(b'x');
            output.done(Some(PacketId::FIRST));
            output.flush()
        };
        assert_eq!(flush(io::ErrorKind::BrokenPipe), Ok(Flushed::Closed));
        assert!(flush(io::ErrorKind::StorageFull).is_err());
    }
}

//! One client of the load: a socket, the bytes to send, and the piece of a frame that has come so far.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use noctule_client::protocol::frame::{Frame, next_frame};

use super::fault::Fault;

/// Where all connections read to, one after the other.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// A frame that fills this much of the buffer makes it grow.
const ROOM_BYTES_MIN: usize = 64 * 1024;

/// The one buffer that all connections read into.
#[derive(Debug)]
pub(super) struct ReadBuffer(Vec<u8>);

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self(vec![0; READ_BUFFER_BYTES])
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client_id: String,
    pub(super) stream: TcpStream,
    /// The frame that has not wholly come; empty most of the time.
    partial: Vec<u8>,
    pub(super) out: Vec<u8>,
    /// How much of `out` the system has taken.
    written: usize,
    /// The socket took less than it was given, and has not said since that it has room.
    blocked: bool,
    /// It is in the list of those that may have something to read.
    pub(super) is_ready: bool,
    /// It is in the list of those that have something to write.
    pub(super) is_dirty: bool,
    /// The other end is done: only the end of the stream may be left to read.
    pub(super) is_closing: bool,
}

/// Whether a connection may have more to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Drained {
    Yes,
    No,
}

impl Connection {
    pub(super) fn new(client_id: String, stream: TcpStream) -> Self {
        Self {
            client_id,
            stream,
            partial: Vec::new(),
            out: Vec::new(),
            written: 0,
            blocked: false,
            is_ready: false,
            is_dirty: false,
            is_closing: false,
        }
    }

    /// Bytes that the system has not taken yet.
    #[inline]
    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.written
    }

    /// Whether the socket has no room.
    #[inline]
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket says that it has room.
    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Writes once, as much as the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        if self.blocked || self.out.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.out[self.written..]) {
            Ok(taken) => self.written += taken,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // What the broker said before it closed is worth more than that it closed; reading tells.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.is_closing = true;
            }
            Err(source) => return Err(self.broken(source)),
        }
        self.blocked = self.unsent() > 0;
        if !self.blocked {
            self.out.clear();
            self.written = 0;
        } else if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// Reads once, and shows each whole frame together with where an answer is appended.
    #[inline]
    pub(super) fn read(
        &mut self,
        buffer: &mut ReadBuffer,
        mut on_frame: impl FnMut(&mut Vec<u8>, Frame<'_>) -> Result<(), Fault>,
    ) -> Result<Drained, Fault> {
        let buffer = &mut buffer.0;
        let kept = self.partial.len();
        if buffer.len() < kept + ROOM_BYTES_MIN {
            buffer.resize(kept * 2 + ROOM_BYTES_MIN, 0);
        }
        let read = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => {
                return Err(Fault::Closed { client: self.client_id.clone(), during: "while it was in use" });
            }
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Drained::Yes),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Drained::No),
            Err(source) => return Err(self.broken(source)),
        };
        let is_short = kept + read < buffer.len();
        if kept > 0 {
            buffer[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
        }
        let mut bytes = &buffer[..kept + read];
        while let Some((frame, length)) = next_frame(bytes, u32::MAX)
            .map_err(|error| Fault::Malformed { client: self.client_id.clone(), error })?
        {
            on_frame(&mut self.out, frame)?;
            bytes = &bytes[length..];
        }
        if !bytes.is_empty() {
            self.partial.extend_from_slice(bytes);
        }
        // A short read is all there was, unless the end of the stream was there too.
        Ok(if is_short && !self.is_closing { Drained::Yes } else { Drained::No })
    }

    /// Whether the other end has closed. What still came is thrown away.
    pub(super) fn is_at_end(&mut self) -> bool {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    fn broken(&self, source: io::Error) -> Fault {
        Fault::Broken { client: self.client_id.clone(), source }
    }
}

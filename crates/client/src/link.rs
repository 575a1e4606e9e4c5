//! Bytes between one stream and one connection.

use std::io::{self, Read, Write};
use std::time::Duration;

use noctule_protocol::connection::{ClientConnection, ClientError};
use noctule_transport::Stream;

use crate::Error;
use crate::trace::{Direction, Trace, Tracer};

/// One stream and the client's end of the connection on it. Waits for nothing and reads no clock.
///
/// The caller watches the stream and says when it is ready, passes a `now` that never goes back, and takes events from
/// the connection.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    connection: ClientConnection,
    /// What the stream has not taken yet starts at `sent`.
    output: Vec<u8>,
    sent: usize,
    /// Why nothing more can be written. What the server had sent before is still read: it may say why.
    write_error: Option<io::Error>,
    tracer: Option<Tracer>,
}

/// A buffer that has grown beyond this is given back once it is empty.
const OUTPUT_KEPT_BYTES: usize = 64 * 1024;

impl Link {
    /// A connection on a new stream: its CONNECT waits to be [written](Self::write).
    pub fn new(stream: Stream, connection: ClientConnection) -> Self {
        Self { stream, connection, output: Vec::new(), sent: 0, write_error: None, tracer: None }
    }

    /// Goes on with the session on another stream.
    pub fn reconnect(&mut self, stream: Stream, now: Duration) -> Result<(), ClientError> {
        self.connection.reconnect(now)?;
        self.stream = stream;
        self.output.clear();
        self.sent = 0;
        self.write_error = None;
        if let Some(tracer) = &mut self.tracer {
            tracer.start_over();
        }
        Ok(())
    }

    /// Shows every packet of both directions from now on.
    pub fn set_trace(&mut self, trace: Trace) {
        self.tracer = Some(Tracer::new(trace));
    }

    /// The connection.
    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// The connection, to give it something to do. What it then wants to say waits to be [written](Self::write).
    pub fn connection_mut(&mut self) -> &mut ClientConnection {
        &mut self.connection
    }

    /// The stream, to watch it.
    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Bytes that the stream has not taken.
    pub fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Reads once. `Ok(false)` when nothing is there until the stream becomes readable again; an error when the
    /// connection has ended: what happened before are events, and what is still to be written may say why.
    pub fn read(&mut self, buffer: &mut [u8], now: Duration) -> Result<bool, Error> {
        match self.stream.read(buffer) {
            Ok(0) => Err(match self.write_error.take() {
                None => Error::ClosedByServer,
                Some(error) => Error::Lost(error),
            }),
            Ok(length) => {
                if let Some(tracer) = &mut self.tracer {
                    tracer.bytes(Direction::Received, &buffer[..length], &self.connection);
                }
                self.connection.receive(&buffer[..length], now)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.write_error.take() {
                None => Ok(false),
                Some(error) => Err(Error::Lost(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::Lost(error)),
        }
    }

    /// Writes as much as the stream takes. When it takes nothing any more because it broke, the next
    /// [`read`](Self::read) tells, after what the server had sent before.
    pub fn write(&mut self) -> Written {
        let old_length = self.output.len();
        self.connection.take_output(&mut self.output);
        if let Some(tracer) = &mut self.tracer {
            tracer.bytes(Direction::Sent, &self.output[old_length..], &self.connection);
        }
        while self.sent < self.output.len() && self.write_error.is_none() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(0) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.output.drain(..self.sent);
                    self.sent = 0;
                    return Written::Partly;
                }
                Err(error) => self.write_error = Some(error),
            }
        }
        self.sent = 0;
        self.output.clear();
        self.output.shrink_to(OUTPUT_KEPT_BYTES);
        match &self.write_error {
            None => Written::All,
            Some(_) => Written::Broken,
        }
    }

    /// Tells the server that nothing more will come.
    pub fn finish_writing(&mut self) -> io::Result<()> {
        self.stream.finish_writing()
    }
}

/// How far [`Link::write`] came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// Nothing is left.
    All,
    /// The rest waits until the stream becomes writable again.
    Partly,
    /// The stream broke: read what the server had sent before it did.
    Broken,
}

//! One connection: bytes in, bytes out.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A connection, or one that is being made.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// Received, and not taken yet.
    pub incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Whether the kernel said that it is connected, or took or gave bytes.
    is_connected: bool,
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// If the kernel refuses at once.
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, incoming: Vec::new(), outgoing: Vec::new(), is_connected: false })
    }

    /// Queues bytes; [`flush`](Self::flush) sends them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.outgoing.extend_from_slice(bytes);
    }

    /// Bytes that wait for the broker to read.
    pub(super) fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads all there is; false if the connection is over.
    pub(super) fn fill(&mut self) -> bool {
        if !self.is_ready() {
            return true;
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.incoming.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Writes what the kernel takes; false if the connection is over.
    pub(super) fn flush(&mut self) -> bool {
        if !self.is_ready() {
            return true;
        }
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// A refused connection shows as an error when it is read from.
    fn is_ready(&mut self) -> bool {
        if !self.is_connected {
            let is_pending = matches!(self.stream.peer_addr(), Err(error) if error.kind() == io::ErrorKind::NotConnected)
                && matches!(self.stream.take_error(), Ok(None));
            self.is_connected = !is_pending;
            if self.is_connected {
                // Only a delay would be lost.
                let _ = self.stream.set_nodelay(true);
            }
        }
        self.is_connected
    }
}

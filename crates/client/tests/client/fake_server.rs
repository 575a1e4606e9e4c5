//! A server that says what a test tells it to: one connection after the other, blocking, with the real codec.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use noctule_client::Endpoint;
use noctule_client::protocol::connection::ConnectOptions;
use noctule_client::protocol::frame::next_frame;
use noctule_client::protocol::packet::{Connack, ConnackCode, Packet};
use noctule_client::protocol::{ConnectReturnCode, ProtocolVersion, ReasonCode};

/// Long enough for any machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct FakeServer {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl FakeServer {
    /// Runs `script` on a thread, which may accept as many connections as it likes.
    pub(crate) fn start(script: impl FnOnce(&Listener) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || script(&Listener(listener)));
        Self { address, thread }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.address.ip().to_string(), self.address.port())
    }

    /// Passes on what failed in the script.
    pub(crate) fn end(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(crate) struct Listener(TcpListener);

impl Listener {
    /// A connection whose CONNECT is still to be read.
    pub(crate) fn accept(&self, version: ProtocolVersion) -> Peer {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, version, bytes: Vec::new() }
    }

    /// A connection whose CONNECT is accepted.
    pub(crate) fn welcome(&self, version: ProtocolVersion, session_present: bool) -> Peer {
        let mut peer = self.accept(version);
        peer.read(|packet| assert!(matches!(packet, Packet::Connect(_)), "{packet:?}"));
        peer.write(Packet::Connack(Connack::new(session_present, accepted(version))));
        peer
    }
}

fn accepted(version: ProtocolVersion) -> ConnackCode {
    match version {
        ProtocolVersion::V5 => ConnackCode::V5(ReasonCode::Success),
        ProtocolVersion::V31 | ProtocolVersion::V311 => ConnackCode::V3(ConnectReturnCode::Accepted),
    }
}

pub(crate) struct Peer {
    stream: TcpStream,
    version: ProtocolVersion,
    bytes: Vec<u8>,
}

impl Peer {
    /// Waits for the next packet.
    pub(crate) fn read<R>(&mut self, look: impl FnOnce(Packet<'_>) -> R) -> R {
        loop {
            if let Some((frame, length)) = next_frame(&self.bytes, u32::MAX).unwrap() {
                let seen = look(Packet::decode(frame, self.version).unwrap());
                self.bytes.drain(..length);
                return seen;
            }
            let mut buffer = [0; 16 * 1024];
            let length = self.stream.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "the client closed where a packet was expected");
            self.bytes.extend_from_slice(&buffer[..length]);
        }
    }

    pub(crate) fn write(&mut self, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Waits until the client closes, which it must without another packet.
    pub(crate) fn expect_end(mut self) {
        assert_eq!(self.bytes, [], "bytes before the end");
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [], "bytes before the end");
    }
}

pub(crate) fn options(version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions::new(version, "test")
}

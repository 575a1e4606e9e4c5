//! Every packet of a connection, for somebody who wants to watch.

use std::fmt;

use noctule_protocol::ProtocolVersion;
use noctule_protocol::connection::ClientConnection;
use noctule_protocol::frame::next_frame;
use noctule_protocol::packet::Packet;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// To the server.
    Sent,
    /// From the server.
    Received,
}

/// Is called with each packet, when it is given to the stream or has arrived as a whole, before it is acted on.
pub type Trace = Box<dyn FnMut(Direction, &Packet<'_>) + Send>;

/// Cuts the bytes of both directions into packets a second time, so that the connection itself pays nothing for being
/// watched.
pub(crate) struct Tracer {
    trace: Trace,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Tracer {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { trace, sent: Vec::new(), received: Vec::new() }
    }

    /// Half a packet of an old connection has no other half.
    pub(crate) fn start_over(&mut self) {
        self.sent.clear();
        self.received.clear();
    }

    pub(crate) fn bytes(&mut self, direction: Direction, bytes: &[u8], connection: &ClientConnection) {
        let options = connection.options();
        let partial = match direction {
            Direction::Sent => &mut self.sent,
            Direction::Received => &mut self.received,
        };
        partial.extend_from_slice(bytes);
        let consumed =
            show(&mut self.trace, direction, partial, options.version, options.maximum_packet_size);
        partial.drain(..consumed);
    }
}

/// What is no packet is left to the connection to complain about.
fn show(
    trace: &mut Trace,
    direction: Direction,
    bytes: &[u8],
    version: ProtocolVersion,
    maximum_packet_size: u32,
) -> usize {
    let limit = match direction {
        Direction::Sent => u32::MAX,
        Direction::Received => maximum_packet_size,
    };
    let mut consumed = 0;
    loop {
        match next_frame(&bytes[consumed..], limit) {
            Ok(Some((frame, length))) => {
                if let Ok(packet) = Packet::decode(frame, version) {
                    trace(direction, &packet);
                }
                consumed += length;
            }
            Ok(None) => return consumed,
            Err(_) => return bytes.len(),
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

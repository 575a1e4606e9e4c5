//! Why a client cannot go on.

use std::io;
use std::time::Duration;

use noctule_protocol::connection::ClientError;
use noctule_transport::{ResolveError, system_text};

use crate::Endpoint;

/// Why a client cannot go on. After any of them the connection is gone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No address of the host accepted a connection.
    #[error("cannot connect to {endpoint}: {}", system_text(.source))]
    Unreachable {
        /// Where to.
        endpoint: Endpoint,
        /// What the system said about the last address.
        source: io::Error,
    },
    /// Something listens there and does not speak MQTT, or is too busy to.
    #[error("{endpoint} took the connection and did not answer CONNECT within {} s", .after.as_secs())]
    NoAnswer {
        /// Who.
        endpoint: Endpoint,
        /// How long it had.
        after: Duration,
    },
    /// The server closed the connection without a word.
    #[error("the connection was closed by the server")]
    ClosedByServer,
    /// The connection broke.
    #[error("the connection was lost: {}", system_text(.0))]
    Lost(#[source] io::Error),
    /// The server said DISCONNECT, or it refused CONNECT: the event before told why.
    #[error("the connection is over")]
    Over,
    /// The server did not read what was sent before the connection ended.
    #[error("the server did not take the last {bytes} bytes within {} s", .after.as_secs())]
    Unsent {
        /// How much was left.
        bytes: usize,
        /// How long it had.
        after: Duration,
    },
    /// The server broke the protocol, or the connection cannot be begun or ended as asked for.
    #[error(transparent)]
    Protocol(#[from] ClientError),
    /// The system refused what waiting needs.
    #[error("cannot wait for the network: {}", system_text(.0))]
    System(#[source] io::Error),
}

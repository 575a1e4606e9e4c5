//! An MQTT client: [`ClientConnection`](noctule_protocol::connection::ClientConnection) on a real socket.
//!
//! Two layers, so that each caller takes the one that fits its thread:
//!
//! - [`Link`] carries bytes between one stream and one connection. It waits for nothing and reads no clock: whoever has
//!   an event loop already (a bridge in a shard) drives it from there.
//! - [`Client`] is a `Link` with its own small event loop, one blocking call at a time: the commands and the tests.
//!
//! There is no async runtime here. A command speaks over one connection, so a runtime would bring threads, timers and a
//! scheduler for nothing; and the broker's shards are mio loops, which could not drive an async client anyway.

mod client;
mod endpoint;
mod error;
mod link;
mod trace;

pub use client::{Client, Next, Waker};
pub use endpoint::Endpoint;
pub use error::Error;
pub use link::{Link, Written};
pub use trace::{Direction, Trace};

/// The system's text for an error, without a number.
pub use noctule_transport::system_text;

/// MQTT on the wire, in whose words a client is spoken to.
pub use noctule_protocol as protocol;

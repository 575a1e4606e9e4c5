//! Where MQTT's bytes come from and go to: listening sockets, and the byte streams of single connections.
//!
//! A listener kind is a file here. Everything above it sees a [`Stream`]: non-blocking `Read` and `Write` that a
//! mio registry can watch. What wraps bytes in bytes (TLS, WebSocket) is a layer over `Read + Write` and becomes
//! another variant of [`Stream`]; the event loop does not learn of it.

mod error;
mod stream;
pub mod tcp;

pub use error::{ListenError, ResolveError, system_text};
pub use stream::Stream;

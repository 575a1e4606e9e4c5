//! The two ends of a connection.

/// Who sent a packet. Each end may send only some packets, and some of their contents.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// Opened the connection and sent CONNECT.
    Client,
    /// Accepted the connection and answered CONNACK.
    Server,
}

//! What the core asks of its shell. Sending is not among it: outboxes are the core's, see
//! [`Shard::next_dirty`](crate::Shard::next_dirty).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{
    ConnectionKey, ListenerIndex, Parcel, SessionNumber, ShardIndex,
    record::{Operation, ReadError, Wanted},
};

/// Numbers the batches of one shard, from 1, in the order they were handed out. 0 is durable from the start.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// How soon a batch must be in the store.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Urgency {
    /// Nobody waits for it: it may ride along with a later one.
    #[default]
    Lazy,
    /// Somebody waits until the operating system has it. Answered by [`Input::Flushed`](crate::Input::Flushed).
    Flush,
    /// Somebody waits until it is durable. Answered by [`Input::Durable`](crate::Input::Durable).
    Sync,
}

/// One thing the shell must do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Store a batch as one atomic unit, after all batches before it. Answered by [`Input::Durable`](crate::Input::Durable),
    /// and perhaps by [`Input::Flushed`](crate::Input::Flushed) before that.
    Persist {
        /// Its number.
        ticket: Ticket,
        /// What changes.
        operations: Vec<Operation>,
        /// What the acknowledgements wait for that wait for it.
        urgency: Urgency,
    },
    /// Write `farewell` as far as the transport takes it at once, then close. The key is forgotten already.
    Close {
        /// Which.
        connection: ConnectionKey,
        /// All that was still in its outbox; may be empty.
        farewell: Vec<u8>,
    },
    /// Stop reading from this connection: its own answers pile up unread.
    Pause {
        /// Which.
        connection: ConnectionKey,
    },
    /// Read from it again; bytes may be waiting already.
    Resume {
        /// Which.
        connection: ConnectionKey,
    },
    /// Give a parcel to another shard, which gets it as [`Input::Parcel`](crate::Input::Parcel). It comes behind this turn's batch,
    /// which the store must have got before.
    Send {
        /// To whom; never to oneself.
        to: ShardIndex,
        /// What.
        parcel: Parcel,
    },
    /// Give a connection to the shard where its client's session is, which gets it as
    /// [`Input::HandedOver`](crate::Input::HandedOver). The key is forgotten already.
    HandOver {
        /// Which.
        connection: ConnectionKey,
        /// To whom; never to oneself.
        to: ShardIndex,
        /// Where it came in.
        listener: ListenerIndex,
        /// Who is at the other end.
        peer: Option<SocketAddr>,
        /// What was received of it, its CONNECT and all behind that.
        bytes: Vec<u8>,
        /// The [generation](crate::Shard::generation) of the settings by which its client has shown who it is: it is not asked
        /// again where they hold.
        authenticated: Option<u32>,
    },
    /// Check a User Name and a Password, elsewhere: it takes long. Answered by
    /// [`Input::Authenticated`](crate::Input::Authenticated); the connection is not read meanwhile, and it may have ended before the
    /// answer comes.
    Authenticate {
        /// Whose.
        connection: ConnectionKey,
        /// Where it came in: each listener may have a `password_file` of its own.
        listener: ListenerIndex,
        /// User Name of its CONNECT.
        user_name: Arc<str>,
        /// Password of its CONNECT.
        password: Option<Password>,
    },
    /// Read what a session has on disk only, off the shard, from where all that was given to the store before can be seen.
    /// Answered by [`Input::QueueRead`](crate::Input::QueueRead).
    ReadQueue {
        /// Whose place in the shard.
        slot: u32,
        /// Whose.
        session: SessionNumber,
        /// What, in order; at least one. The answer may hold the first part only, if these are long.
        wanted: Vec<Wanted>,
    },
    /// The store lacks what it must have: the broker must end, with this reason.
    StoreIsDamaged(ReadError),
    /// Write a line to the log.
    Log {
        /// Its type, as in `log_type`.
        level: LogLevel,
        /// The line without time stamp, in Mosquitto's words where Mosquitto has them.
        line: String,
        /// What it is about, where that is at hand.
        subject: Option<Box<LogSubject>>,
    },
}

/// What a log line is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogSubject {
    /// Client Identifier.
    pub client: Option<Arc<str>>,
    /// Where the client is.
    pub address: Option<SocketAddr>,
    /// Why something ended.
    pub reason: Option<String>,
}

/// Types of log lines, named as in `log_type`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Something looks wrong.
    Warning,
    /// Life events of clients.
    Notice,
    /// Life events of the broker.
    Information,
    /// Packets.
    Debug,
    /// Subscriptions.
    Subscribe,
    /// Unsubscriptions.
    Unsubscribe,
}

impl LogLevel {
    /// Where lines of this type are published; those of packets are not, since publishing them would make more of them.
    pub const fn topic(self) -> Option<&'static str> {
        Some(match self {
            Self::Error => "$SYS/broker/log/E",
            Self::Warning => "$SYS/broker/log/W",
            Self::Notice => "$SYS/broker/log/N",
            Self::Information => "$SYS/broker/log/I",
            Self::Subscribe => "$SYS/broker/log/M/subscribe",
            Self::Unsubscribe => "$SYS/broker/log/M/unsubscribe",
            Self::Debug => return None,
        })
    }
}

/// Which types of log lines are wanted; lines of other types are never formatted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogLevels(u8);

impl LogLevels {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(0x7F);

    /// These and `level`.
    #[must_use]
    pub const fn with(self, level: LogLevel) -> Self {
        Self(self.0 | 1 << level as u8)
    }

    /// Whether lines of this type are wanted.
    pub const fn contains(self, level: LogLevel) -> bool {
        self.0 & (1 << level as u8) != 0
    }
}

impl Default for LogLevels {
    /// Mosquitto's: error, warning, notice, information.
    fn default() -> Self {
        Self::NONE
            .with(LogLevel::Error)
            .with(LogLevel::Warning)
            .with(LogLevel::Notice)
            .with(LogLevel::Information)
    }
}

/// A Password as it came. `Debug` shows nothing of it.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(pub Box<[u8]>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", Some(Password((*b"geheim").into()))), "Some(Password)");
    }
}

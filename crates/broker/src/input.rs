//! All that can wake the core.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::record::{Found, ReadError};
use crate::{LogLevel, Parcel, SessionNumber, Settings, Ticket};

/// Names one connection of a shard. The shell chooses it: `index` may be used again after the connection
/// ended, then with another `generation`, so that a late event cannot reach its successor.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionKey {
    /// Place in the shell's table; small, so that the core can index by it.
    pub index: u32,
    /// Which use of that place.
    pub generation: u32,
}

/// Names a listener: its place in [`Settings::listeners`](crate::Settings::listeners).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenerIndex(pub u16);

impl ListenerIndex {
    /// Of a client that has not come since the broker started.
    pub(crate) const UNKNOWN: Self = Self(u16::MAX);
}

impl Default for ListenerIndex {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// One thing that happened. See [`Shard::handle`](crate::Shard::handle).
#[derive(Debug)]
pub enum Input<'a> {
    /// A socket was accepted; its CONNECT is awaited until the deadline.
    Connected {
        /// Its new name.
        connection: ConnectionKey,
        /// Where it came in.
        listener: ListenerIndex,
        /// Who is at the other end; `None` for a Unix socket.
        peer: Option<SocketAddr>,
    },
    /// Another shard had [a connection](crate::Effect::HandOver) whose session is here.
    HandedOver {
        /// Its new name.
        connection: ConnectionKey,
        /// Where it came in.
        listener: ListenerIndex,
        /// Who is at the other end.
        peer: Option<SocketAddr>,
        /// What was received of it so far.
        bytes: &'a [u8],
        /// By which settings its client has shown who it is.
        authenticated: Option<u32>,
    },
    /// Another shard has something for this one. A shell reads its mail before its sockets: what a client does after it
    /// was answered by one shard must not overtake what that shard has sent.
    Parcel {
        /// What.
        parcel: Parcel,
    },
    /// A turn begins, and the last one left work: see [`Shard::has_work`](crate::Shard::has_work).
    Continue,
    /// Bytes were read. All of them are consumed; a partial frame is kept inside.
    Received {
        /// From whom.
        connection: ConnectionKey,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// `bytes` of [`Shard::output`](crate::Shard::output) reached the transport.
    Written {
        /// To whom.
        connection: ConnectionKey,
        /// How many, at most what `output` showed; none tells that the transport takes nothing now.
        bytes: usize,
    },
    /// The transport ended by itself; the key is forgotten.
    Closed {
        /// Which.
        connection: ConnectionKey,
        /// How.
        end: TransportEnd<'a>,
    },
    /// A [User Name and Password](crate::Effect::Authenticate) were checked. Too late, it is ignored.
    Authenticated {
        /// Whose.
        connection: ConnectionKey,
        /// What came of it.
        verdict: Verdict,
    },
    /// What [`Effect::ReadQueue`](crate::Effect::ReadQueue) asked for.
    QueueRead {
        /// As asked.
        slot: u32,
        /// As asked; if it has ended meanwhile, this is ignored.
        session: SessionNumber,
        /// In the order asked for. It may be the first part only, but not nothing, unless there is an error.
        found: Vec<Found>,
        /// Why the next one could not be read. Of a session that has ended, everything may be gone.
        error: Option<ReadError>,
    },
    /// [More of what is retained](crate::RetainedLoad) was read from the disk: who waits for it is served.
    RetainedLoaded {
        /// Whether any of it expires.
        some_expire: bool,
    },
    /// A line of the log is to be published too (`log_dest topic`).
    LogLine {
        /// Its type, which says where.
        level: LogLevel,
        /// As it stands in the log.
        line: &'a str,
    },
    /// A deadline of [`Shard::next_timeout`](crate::Shard::next_timeout) has passed.
    TimedOut,
    /// From now on these settings hold; see [`Shard::generation`](crate::Shard::generation). They have as many listeners as those
    /// before, and the same secret.
    Settings(Arc<Settings>),
    /// Too much waits for the store, or no more so: what is persisted is still taken, but who makes more of it is not read
    /// until this changes back.
    StoreQueue {
        /// Which of the two.
        is_full: bool,
    },
    /// The operating system has everything persisted up to and including `ticket`: it would outlive this process. An
    /// acknowledgement that waits for no more ([`Durability::Flush`](crate::Durability::Flush)) goes out.
    Flushed {
        /// The last batch of this shard that was written.
        ticket: Ticket,
    },
    /// Everything persisted up to and including `ticket` is durable, and with the operating system all the more.
    Durable {
        /// The last durable batch of this shard.
        ticket: Ticket,
    },
    /// The broker is about to end: wills are published. When all shards have done so and have read what they sent each
    /// other, [`Shutdown`](Self::Shutdown) follows.
    PublishWills,
    /// The broker ends: clients are told, all connections are closed.
    Shutdown,
}

/// What came of checking a User Name and a Password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// They are right.
    Accepted,
    /// They are not.
    Refused,
    /// They were not checked, since too many others are waiting.
    Busy,
}

/// How a transport ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransportEnd<'a> {
    /// The peer closed its end.
    ClosedByPeer,
    /// Reading or writing failed, with the system's text.
    Failed(&'a str),
}

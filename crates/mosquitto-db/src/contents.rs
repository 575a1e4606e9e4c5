//! What stands in a database of Mosquitto, in its own terms.

use std::collections::BTreeMap;
use std::fmt;

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// How it was written.
    pub format: Format,
    /// Sessions that outlive their connections, in the order of the file.
    pub clients: Vec<Client>,
    /// What they have subscribed to.
    pub subscriptions: Vec<Subscription>,
    /// Each message once, whoever waits for it.
    pub messages: Vec<StoredMessage>,
    /// Who waits for which message, or has sent it: for each client in its order, what is in flight before what is queued.
    pub copies: Vec<Copy>,
    /// Which messages are retained.
    pub retained: Vec<u64>,
    /// Wills of clients that were connected, or whose Will Delay Interval was not over. A `mosquitto.db` has none.
    pub wills: Vec<Will>,
    /// What was there and could not be read, while the rest could.
    pub left_out: LeftOut,
}

/// How a database was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// A `mosquitto.db` with this number.
    Snapshot(u32),
    /// A database of persist-sqlite with this schema, major and minor number.
    Sqlite(i64, i64),
}

impl Contents {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            clients: Vec::new(),
            subscriptions: Vec::new(),
            messages: Vec::new(),
            copies: Vec::new(),
            retained: Vec::new(),
            wills: Vec::new(),
            left_out: LeftOut::default(),
        }
    }
}

/// Entries that were left out, counted by reason.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeftOut(BTreeMap<&'static str, u64>);

impl LeftOut {
    /// Counts one more.
    pub fn count(&mut self, reason: &'static str) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// How many there are for each reason, by reason.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(reason, count)| (*reason, *count))
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// A session that outlives its connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Client {
    /// Client Identifier, never empty.
    pub id: String,
    /// User Name of its last connection.
    pub user_name: Option<String>,
    /// Session Expiry Interval in seconds; `u32::MAX` is never. Formats before 5 do not have it.
    pub expiry_interval: Option<u32>,
    /// When the session ends, in seconds since the Unix epoch; `None` while it is connected, or if it never ends.
    pub expiry_time: Option<u64>,
    /// When its connection ended, in seconds since the Unix epoch, where the format has it: 3 and 4.
    pub disconnected: Option<u64>,
    /// Will Delay Interval in seconds; only persist-sqlite has it.
    pub will_delay_interval: u32,
    /// When its Will is due, in seconds since the Unix epoch; only persist-sqlite has it.
    pub will_delay_time: Option<u64>,
}

/// What a client has subscribed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// Client Identifier.
    pub client: String,
    /// Topic Filter, `$share/` and all.
    pub filter: String,
    /// Maximum QoS, as it stands there.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Subscription Identifier, 0 for none.
    pub identifier: u32,
}

/// A message, whoever waits for it.
#[derive(Clone, PartialEq)]
pub struct StoredMessage {
    /// Its number, which counts up in the order of publication.
    pub id: u64,
    /// Topic Name.
    pub topic: String,
    /// Application Message.
    pub payload: Vec<u8>,
    /// Properties as in a PUBLISH, without their length.
    pub properties: Vec<u8>,
    /// As published, as it stands there.
    pub qos: u8,
    /// As published.
    pub retain: bool,
    /// When it expires, in seconds since the Unix epoch.
    pub expiry_time: Option<u64>,
    /// Client Identifier of its publisher; empty for the broker itself.
    pub publisher: String,
    /// User Name of its publisher.
    pub publisher_user_name: Option<String>,
}

impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StoredMessage {{ id: {}, topic: {:?}, {} bytes }}",
            self.id,
            self.topic,
            self.payload.len()
        )
    }
}

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the client: QoS 2 before PUBREL.
    Incoming,
    /// To the client.
    Outgoing,
}

/// How far the exchange of a copy is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyState {
    /// Not sent yet, or not answered.
    Queued,
    /// PUBLISH was sent, or was about to be: PUBACK or PUBREC is awaited.
    Sent,
    /// PUBREC came, or was sent: PUBREL and PUBCOMP are left, or PUBREL is awaited.
    Received,
    /// PUBREL came: only PUBCOMP is left.
    Released,
}

impl CopyState {
    /// From the number that stands in the file.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            // Queued; QoS 0 about to be sent; PUBREC about to be sent.
            11 | 1 | 10 => Self::Queued,
            2..=5 => Self::Sent,
            6 | 7 | 9 => Self::Received,
            8 => Self::Released,
            _ => return None,
        })
    }
}

/// One client's copy of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copy {
    /// Client Identifier.
    pub client: String,
    /// Number of the message.
    pub message: u64,
    /// Which way.
    pub direction: Direction,
    /// How far.
    pub state: CopyState,
    /// Packet Identifier, 0 for none yet.
    pub packet_id: u16,
    /// QoS of this copy, as it stands there.
    pub qos: u8,
    /// RETAIN flag of this copy.
    pub retain: bool,
    /// Subscription Identifier of this copy, 0 for none.
    pub identifier: u32,
}

/// The Will of a client.
#[derive(Clone, PartialEq)]
pub struct Will {
    /// Client Identifier. Its session need not outlive the connection.
    pub client: String,
    /// Topic Name.
    pub topic: String,
    /// Application Message.
    pub payload: Vec<u8>,
    /// Properties as in a PUBLISH, without their length.
    pub properties: Vec<u8>,
    /// As it stands there.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
}

impl fmt::Debug for Will {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Will {{ client: {:?}, topic: {:?}, {} bytes }}",
            self.client,
            self.topic,
            self.payload.len()
        )
    }
}

//! What is persisted, and its encoding.
//!
//! | table | key | value |
//! |---|---|---|
//! | session | session number | [`SessionRecord`] |
//! | subscription | session number, Topic Filter | options, Subscription Identifier; what of the filter is too long for a key |
//! | message | sequence | message, once |
//! | delivery | sequence | its recipients when it was published, in order: the place is the copy |
//! | recipient | sequence, copy | a recipient that came later |
//! | state | sequence, copy | sent under this identifier, or acknowledged |
//! | released | session number, Packet Identifier | nothing: PUBREC came, PUBCOMP is awaited |
//! | incoming | session number, Packet Identifier | message: PUBLISH came, PUBREL is awaited |
//! | retained | topic | message |
//!
//! Numbers in keys are big-endian, so that keys sort as numbers do.

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::{PacketId, QoS, packet::SubscriptionOptions};

use crate::message::{Message, RetainedMessage, Sequence, SessionNumber};
use crate::session::Identifiers;
use crate::will::Will;

mod encoding;
mod retained_row;

pub use encoding::{Record, RecordError};
pub use retained_row::RetainedRow;

/// One change of what must survive. A batch of them is atomic.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A session was created, resumed, left or given another expiry.
    PutSession(SessionRecord),
    /// A session ended, with its subscriptions.
    DeleteSession(SessionNumber),
    /// A subscription was made or replaced.
    PutSubscription {
        /// Whose.
        session: SessionNumber,
        /// The Topic Filter as sent, `$share/` and all.
        filter: Box<str>,
        /// As granted.
        options: SubscriptionOptions,
        /// Subscription Identifier, 0 for none.
        identifier: u32,
    },
    /// A subscription was removed.
    DeleteSubscription {
        /// Whose.
        session: SessionNumber,
        /// As in `PutSubscription`.
        filter: Box<str>,
    },
    /// A message must reach lasting sessions.
    PutMessage {
        /// The message, stored once.
        message: Message,
        /// For whom.
        recipients: Vec<Recipient>,
    },
    /// A stored message got one more recipient: a shared subscription chose another member, or what is retained
    /// was sent to a new subscription.
    AddRecipient {
        /// Which message.
        sequence: Sequence,
        /// For whom.
        recipient: Recipient,
    },
    /// A recipient that was added is done with the message.
    DeleteRecipient {
        /// Which message.
        sequence: Sequence,
        /// Which of its copies.
        copy: u32,
    },
    /// All recipients have acknowledged; those that were added are deleted already.
    DeleteMessage {
        /// Which message.
        sequence: Sequence,
        /// How many copies its list has.
        copies: u32,
    },
    /// A QoS 2 message goes out under this identifier; durable before it leaves.
    PutSent {
        /// Which message.
        sequence: Sequence,
        /// Which of its copies.
        copy: u32,
        /// Under which identifier.
        packet_id: PacketId,
    },
    /// One recipient of the list is done with a message that others still wait for.
    PutAcknowledged {
        /// Which message.
        sequence: Sequence,
        /// Which of its copies.
        copy: u32,
    },
    /// PUBREC came; only PUBREL and PUBCOMP are left of the exchange.
    PutReleased {
        /// From whom.
        session: SessionNumber,
        /// The exchange.
        packet_id: PacketId,
    },
    /// PUBCOMP came.
    DeleteReleased {
        /// From whom.
        session: SessionNumber,
        /// The exchange.
        packet_id: PacketId,
    },
    /// A QoS 2 message came in and waits for its PUBREL.
    PutIncoming {
        /// From whom.
        session: SessionNumber,
        /// The exchange.
        packet_id: PacketId,
        /// What came.
        message: Message,
    },
    /// Its PUBREL came.
    DeleteIncoming {
        /// From whom.
        session: SessionNumber,
        /// The exchange.
        packet_id: PacketId,
    },
    /// A retained message was set or replaced; what is stored, where shards are many, is a [`RetainedRow`].
    PutRetained(RetainedMessage),
    /// A retained message was cleared or expired.
    DeleteRetained(Box<str>),
}

/// A session that lasts beyond its connection.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Its number, never used for another.
    pub number: SessionNumber,
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// User Name of its last connection.
    pub user_name: Option<Arc<str>>,
    /// Session Expiry Interval, seconds; `u32::MAX` never expires.
    pub expiry: u32,
    /// When its connection ended, since the Unix epoch; `None` while connected.
    pub disconnected_at: Option<Duration>,
    /// Its Will, if it would have to be sent.
    pub will: Option<Will>,
}

/// One lasting session a message is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// Counts the copies of one message.
    pub copy: u32,
    /// Who.
    pub session: SessionNumber,
    /// QoS of the delivery: 1 or 2.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifiers of the delivery.
    pub identifiers: Identifiers,
    /// The shared subscription it came through, `$share/` and all: another member may take it.
    pub group: Option<Arc<str>>,
}

/// A table of the store.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// Sessions that last.
    Session,
    /// Their subscriptions.
    Subscription,
    /// Messages that wait for acknowledgements.
    Message,
    /// Whom they were for when they were published.
    Delivery,
    /// Whom they were given to later.
    Recipient,
    /// How far single copies are.
    State,
    /// Outgoing QoS 2 exchanges behind PUBREC.
    Released,
    /// Incoming QoS 2 exchanges before PUBREL.
    Incoming,
    /// Retained messages.
    Retained,
}

impl Table {
    /// All of them, in the order in which they are restored.
    pub const ALL: [Self; 9] = [
        Self::Session,
        Self::Subscription,
        Self::Released,
        Self::Incoming,
        Self::Retained,
        Self::Message,
        Self::Delivery,
        Self::Recipient,
        Self::State,
    ];
}

/// One change of one row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// Which row.
    pub key: Vec<u8>,
    /// Its new value; `None` deletes it.
    pub value: Option<Vec<u8>>,
}

//! What is persisted, and its encoding.
//!
//! | table | key | value |
//! |---|---|---|
//! | session | session number | [`SessionRecord`] |
//! | subscription | session number, Topic Filter | options, Subscription Identifier; what of the filter is too long for a key |
//! | message | sequence | message, once |
//! | delivery | sequence | its list: the sessions that get it by subscriptions of their own, if they are several; and how long the payload is |
//! | delivery | sequence, copy | one recipient: the only such session, or who has it through a shared subscription; and how long the payload is, if there is nobody else |
//! | cursor | session number | with what of the lists it is done: [`Cursor`] |
//! | outgoing | session number, Packet Identifier | a QoS 2 copy that was sent, or that PUBREC came and PUBCOMP is awaited |
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

mod cursor;
mod encoding;
mod retained_row;
mod rows;

pub use cursor::{Cursor, Lane, List, Place, Track};
pub use encoding::{Record, RecordError};
pub use retained_row::RetainedRow;
#[cfg(test)]
pub(crate) use rows::Stored;
pub use rows::{Found, ReadError, Rows, RowsError, VisitRow, Wanted};
pub(crate) use rows::{Waiting, for_each, for_each_waiting, read_message};

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
        /// Whether those that get it by subscriptions of their own stand in a list, and how their copies come to them.
        list: Option<List>,
    },
    /// A copy that goes through a shared subscription has another place: with a member, or with the group.
    AddRecipient {
        /// Which message.
        sequence: Sequence,
        /// For whom.
        recipient: Recipient,
    },
    /// A recipient with a row of its own is done with the message.
    DeleteRecipient {
        /// Which message.
        sequence: Sequence,
        /// Which of its copies.
        copy: u32,
    },
    /// All recipients are done with it.
    DeleteMessage {
        /// Which message.
        sequence: Sequence,
        /// Whether it has a list.
        has_list: bool,
    },
    /// A session is done with more of the messages that others still wait for.
    PutCursor {
        /// Whose.
        session: SessionNumber,
        /// How far it is.
        cursor: Cursor,
    },
    /// A session is over, or no list is stored any more that its cursor says anything about.
    DeleteCursor(SessionNumber),
    /// A QoS 2 message goes out, durable before it leaves; or PUBREC came for it, durable before PUBREL.
    PutOutgoing {
        /// To whom.
        session: SessionNumber,
        /// The exchange.
        packet_id: PacketId,
        /// How far it is.
        exchange: Exchange,
    },
    /// The exchange is over.
    DeleteOutgoing {
        /// With whom.
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

/// A QoS 2 exchange that this broker began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exchange {
    /// PUBLISH was sent, or will be when this is durable. If the message is gone, PUBREC came.
    Sent {
        /// Which message.
        sequence: Sequence,
        /// Which of its copies.
        copy: u32,
    },
    /// PUBREC came; only PUBREL and PUBCOMP are left of the exchange.
    Released,
}

/// One lasting session a message is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// Numbers the copies of one message; those through shared subscriptions from 2³¹.
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
    /// Whom they are for.
    Delivery,
    /// How far sessions are with them.
    Cursor,
    /// Outgoing QoS 2 exchanges.
    Outgoing,
    /// Incoming QoS 2 exchanges before PUBREL.
    Incoming,
    /// Retained messages.
    Retained,
}

impl Table {
    /// All of them, in the order in which they are restored.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::Subscription,
        Self::Outgoing,
        Self::Incoming,
        Self::Retained,
        Self::Cursor,
        Self::Message,
        Self::Delivery,
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

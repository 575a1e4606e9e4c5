//! What a client learns.

use crate::delivery::UnknownPacketId;
use crate::packet::ConnackCode;
use crate::property::Properties;
use crate::{DecodeError, EncodeError, PacketId, QoS, ReasonCode, TopicNameError};

/// Names one request of the caller in the events that answer it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub(super) u64);

/// What has happened, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientEvent {
    /// The server accepted the connection.
    Connected {
        /// Whether the server goes on with a stored session.
        session_present: bool,
        /// The answer.
        code: ConnackCode,
        /// What the server offers, and what it demands.
        properties: Properties<'static>,
    },
    /// The server refused the connection, which is over.
    Refused {
        /// The answer.
        code: ConnackCode,
        /// Why, or where else to try.
        properties: Properties<'static>,
    },
    /// A message. QoS 2 messages come here at PUBREL.
    Message {
        /// Where it was published, aliases resolved.
        topic: String,
        /// The message.
        payload: Vec<u8>,
        /// How it was delivered.
        qos: QoS,
        /// Whether it was stored by the server.
        retain: bool,
        /// Whether it was perhaps delivered before.
        dup: bool,
        /// As they arrived.
        properties: Properties<'static>,
        /// Of QoS 1 and 2: for [`acknowledge`](super::ClientConnection::acknowledge).
        packet_id: Option<PacketId>,
    },
    /// The delivery of a message has ended: written (QoS 0), acknowledged, or refused with an error.
    PublishDone {
        /// Of the publish.
        token: Token,
        /// Of the acknowledgement. Errors are the server's, or this end's for a message that exceeds what the server
        /// has announced.
        reason: ReasonCode,
        /// Of the acknowledgement.
        properties: Properties<'static>,
    },
    /// The server has lost the session before the delivery of this message ended [MQTT-3.2.2-5]. Publish it again to
    /// insist.
    PublishLost {
        /// Of the publish.
        token: Token,
        /// What was to be sent. `None` if the server had answered PUBREC: it may have passed the message on or not.
        message: Option<Box<OutgoingMessage>>,
    },
    /// SUBACK.
    Subscribed {
        /// Of the request.
        token: Token,
        /// One per filter, in order.
        codes: Vec<u8>,
        /// Of the answer.
        properties: Properties<'static>,
    },
    /// UNSUBACK.
    Unsubscribed {
        /// Of the request.
        token: Token,
        /// One per filter, in order. Empty on 3.x.
        codes: Vec<u8>,
        /// Of the answer.
        properties: Properties<'static>,
    },
    /// AUTH: answer with [`auth`](super::ClientConnection::auth).
    Auth {
        /// `ContinueAuthentication`, or `Success` at the end of a re-authentication.
        reason: ReasonCode,
        /// Method and data.
        properties: Properties<'static>,
    },
    /// The server said DISCONNECT, or was silent for too long (`KeepAliveTimeout`). The connection is over.
    Disconnected {
        /// Why.
        reason: ReasonCode,
        /// Of DISCONNECT.
        properties: Properties<'static>,
    },
}

/// A message that a client sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutgoingMessage {
    /// Where it is published.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    /// How it travels.
    pub qos: QoS,
    /// Whether the server shall store it.
    pub retain: bool,
    /// Empty on 3.x.
    pub properties: Properties<'static>,
}

/// Why a client cannot go on, or cannot do what it was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The server broke the protocol. The connection is over.
    #[error("the server broke the protocol: {0}")]
    Decode(#[from] DecodeError),
    /// The packet cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The topic is none.
    #[error(transparent)]
    Topic(#[from] TopicNameError),
    /// The properties do not belong into the packet.
    #[error("these properties cannot be sent: {0}")]
    Property(DecodeError),
    /// The server has announced that it does not accept this.
    #[error("the server does not accept this: {}", .0.describe())]
    NotAccepted(ReasonCode),
    /// A request without a topic filter.
    #[error("a topic filter is needed")]
    NoFilter,
    /// All packet identifiers are in use.
    #[error("65535 requests are waiting for their answers")]
    TooManyRequests,
    /// No message with this identifier waits for its acknowledgement.
    #[error(transparent)]
    UnknownPacketId(#[from] UnknownPacketId),
    /// There is no connection to say this on.
    #[error("not connected")]
    NotConnected,
}

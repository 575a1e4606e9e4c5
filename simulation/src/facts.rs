//! What happened, as the clients saw it: all that the checks at the end look at.

use std::time::Duration;

use noctule_protocol::QoS;
use noctule_protocol::packet::SubscriptionOptions;

use crate::network::LinkNumber;

/// Numbers the messages of one run.
pub(crate) type MessageNumber = usize;

/// One message a client wanted to publish.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Who.
    pub(crate) publisher: usize,
    /// Where.
    pub(crate) topic: &'static str,
    /// How.
    pub(crate) qos: QoS,
    /// Whether it is to be retained; an empty one takes the retained one back.
    pub(crate) retain: bool,
    /// Bytes of its payload; 0 only for one that takes a retained one back.
    pub(crate) payload_bytes: usize,
    /// Message Expiry Interval.
    pub(crate) expiry: Option<u32>,
    /// When its PUBLISH was written first.
    pub(crate) first_sent: Option<Duration>,
    /// When PUBACK or PUBCOMP came.
    pub(crate) acknowledged: Option<Duration>,
    /// Whether that promises that it is kept whatever happens.
    pub(crate) is_promised: bool,
}

impl Published {
    /// Begins with the message's number, so that a receiver knows what it got.
    pub(crate) fn payload(number: MessageNumber, bytes: usize) -> Vec<u8> {
        let mut payload = format!("{number}:").into_bytes();
        payload.extend((payload.len()..bytes).map(|at| (at * 31 + number) as u8));
        payload
    }

    /// Whether the broker must keep it once it is acknowledged, and a receiver can tell which it is.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_promised && self.qos != QoS::AtMostOnce && self.expiry.is_none() && self.payload_bytes > 0
    }

    /// More than any PUBLISH with it has.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        self.payload_bytes + self.topic.len() + 64
    }
}

/// A Will, one per connection.
#[derive(Clone, Debug)]
pub(crate) struct WillFact {
    /// Where.
    pub(crate) topic: String,
    /// Will Delay Interval.
    pub(crate) delay: u32,
    /// The link of its connection.
    pub(crate) link: LinkNumber,
    /// When CONNACK came.
    pub(crate) connected: Option<Duration>,
    /// When DISCONNECT was written.
    pub(crate) disconnect_sent: Option<Duration>,
    /// When the client gave the connection up without DISCONNECT.
    pub(crate) lost: Option<Duration>,
    /// When the client's next CONNECT was written.
    pub(crate) returned: Option<Duration>,
}

/// What a PUBLISH carried.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Content {
    /// A message of [`Facts::published`].
    Message(MessageNumber),
    /// A Will of [`Facts::wills`].
    Will(usize),
    /// Nothing: a retained message was taken back.
    Nothing,
}

/// A message given to an application; of QoS 2 once per exchange.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// By whom.
    pub(crate) client: usize,
    /// Which of its sessions.
    pub(crate) incarnation: u32,
    /// What.
    pub(crate) content: Content,
    /// How it was delivered.
    pub(crate) qos: QoS,
    /// Its RETAIN flag.
    pub(crate) retain: bool,
    /// Its Subscription Identifiers.
    pub(crate) identifiers: Vec<u32>,
    /// When.
    pub(crate) at: Duration,
}

/// A subscription of one session.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// Whose.
    pub(crate) client: usize,
    /// Which of its sessions.
    pub(crate) incarnation: u32,
    /// The Topic Filter, `$share/` and all.
    pub(crate) filter: &'static str,
    /// How.
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier.
    pub(crate) identifier: Option<u32>,
    /// When each of its SUBSCRIBEs was written.
    pub(crate) requested: Vec<Duration>,
    /// When its first SUBACK came.
    pub(crate) granted: Option<Duration>,
    /// When UNSUBSCRIBE was written.
    pub(crate) removal_requested: Option<Duration>,
    /// When UNSUBACK came.
    pub(crate) removed: Option<Duration>,
}

/// One session of a client, as the client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Incarnation {
    /// Whose.
    pub(crate) client: usize,
    /// Its number among that client's.
    pub(crate) number: u32,
    /// Whether the client still has it.
    pub(crate) alive: bool,
    /// If not: the broker has kept it until then at least.
    pub(crate) kept_until: Option<Duration>,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// By [`MessageNumber`].
    pub(crate) published: Vec<Published>,
    /// By number.
    pub(crate) wills: Vec<WillFact>,
    /// In order.
    pub(crate) received: Vec<Received>,
    /// In order.
    pub(crate) subscribed: Vec<Subscribed>,
    /// In order.
    pub(crate) incarnations: Vec<Incarnation>,
    /// Crashes and stops of the broker.
    pub(crate) restarts: usize,
    /// Clients that asked for what is retained, when all was quiet.
    pub(crate) auditors: Vec<usize>,
}

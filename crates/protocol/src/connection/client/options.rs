//! What a client asks for.

use crate::packet::{Connect, Will};
use crate::property::Properties;
use crate::{EncodeError, ProtocolVersion, QoS, TopicName};

/// What CONNECT says, and how the client behaves afterwards.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Which version to speak.
    pub version: ProtocolVersion,
    /// Whether to tell the server, in Mosquitto's way, that this is a bridge. 3.1 and 3.1.1 only.
    pub bridge: bool,
    /// Empty to let the server choose; what it chose is used from then on.
    pub client_id: String,
    /// Clean Start (5.0) or Clean Session (3.x).
    pub clean_start: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Of CONNECT. Receive Maximum and Topic Alias Maximum are obeyed as announced here. Ignored on 3.x.
    pub properties: Properties<'static>,
    /// What the server shall publish when the connection is lost.
    pub will: Option<WillOptions>,
    /// Who connects.
    pub user_name: Option<String>,
    /// Proof of it.
    pub password: Option<Vec<u8>>,
    /// QoS 1 and 2 messages that may be on the wire; fewer if the server says so. 0 counts as 1.
    pub window: u16,
    /// Topic Aliases to use if the server allows them.
    pub topic_alias_maximum: u16,
    /// Whether [`acknowledge`](super::ClientConnection::acknowledge) answers a message instead of its arrival.
    pub manual_acks: bool,
    /// Largest packet that is accepted, in bytes. Announce it in `properties` on 5.0.
    pub maximum_packet_size: u32,
}

/// An owned [`Will`].
#[derive(Clone, Debug)]
pub struct WillOptions {
    /// Where it is published.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    /// Of the message.
    pub qos: QoS,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Will Delay Interval and the properties of the message. Ignored on 3.x.
    pub properties: Properties<'static>,
}

impl ConnectOptions {
    /// A clean start with a Keep Alive of 60 seconds, twenty messages in flight, no limit on packets.
    pub fn new(version: ProtocolVersion, client_id: impl Into<String>) -> Self {
        Self {
            version,
            bridge: false,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive: 60,
            properties: Properties::EMPTY,
            will: None,
            user_name: None,
            password: None,
            window: 20,
            topic_alias_maximum: 0,
            manual_acks: false,
            maximum_packet_size: u32::MAX,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), super::ClientError> {
        let will = match &self.will {
            None => None,
            Some(will) => Some(Will {
                qos: will.qos,
                retain: will.retain,
                properties: will.properties.borrowed(),
                topic: TopicName::parse(&will.topic)?,
                payload: &will.payload,
            }),
        };
        let connect = Connect {
            version: self.version,
            bridge: self.bridge,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            properties: self.properties.borrowed(),
            client_id: &self.client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
        };
        connect.encode(out).map_err(|error: EncodeError| error.into())
    }
}

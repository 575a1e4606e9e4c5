//! The client's end of a connection, without I/O: bytes and commands in, bytes and events out.

mod event;
mod options;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

pub use event::{ClientError, ClientEvent, OutgoingMessage, Token};
pub use options::{ConnectOptions, WillOptions};

use super::topic_alias::{IncomingAliases, OutgoingAliases};
use crate::delivery::{Incoming, Outgoing, PacketIdHasher, PacketIdMap};
use crate::frame::PacketType;
use crate::packet::{Auth, Disconnect, Pingreq, Publish};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, PacketId, ProtocolVersion, QoS, ReasonCode, Role};

/// A client: one session, over one connection after the other.
///
/// The caller owns the transport and the clock. It passes what it read to [`receive`](Self::receive), writes what
/// [`take_output`](Self::take_output) gives, and calls [`handle_timeout`](Self::handle_timeout) when
/// [`poll_timeout`](Self::poll_timeout) is due. `now` counts from any fixed moment and never goes back. When the
/// transport is gone, [`reconnect`](Self::reconnect) starts over on a new one, with the session as it was.
///
/// ```text
///   new ──▶ connecting ── CONNACK ──▶ connected ──┐
///              ▲   │ refusal                      │ error, DISCONNECT, silence
///    reconnect │   ▼                              │
///              closed ◀───────────────────────────┘
/// ```
///
/// Messages, subscriptions and their answers wait until the connection stands. Queued messages and unread events are
/// the caller's to bound: see [`queued`](Self::queued).
#[derive(Debug)]
pub struct ClientConnection {
    options: ConnectOptions,
    state: State,
    /// The start of a frame whose end has not arrived.
    partial: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<ClientEvent>,
    tokens: u64,

    // The session.
    queue: VecDeque<Queued>,
    outgoing: Outgoing<Queued>,
    /// QoS 2 messages that await PUBCOMP.
    released: PacketIdMap<Token>,
    /// SUBSCRIBE and UNSUBSCRIBE without an answer.
    requests: PacketIdMap<Request>,
    incoming: Incoming<ClientEvent>,
    /// Messages given to a caller that acknowledges by hand.
    unacknowledged: PacketIdMap<QoS>,

    // The connection.
    server: ServerLimits,
    incoming_aliases: IncomingAliases,
    outgoing_aliases: OutgoingAliases,
    /// The aliases that the caller has introduced.
    callers_aliases: HashMap<u16, String>,
    /// What the server has begun on this connection and we have not ended: counts against our Receive Maximum.
    open: HashSet<PacketId, BuildHasherDefault<PacketIdHasher>>,
    now: Duration,
    sent_at: Duration,
    pinged_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Connecting,
    Connected,
    Closed,
}

#[derive(Clone, Debug)]
struct Queued {
    token: Token,
    message: OutgoingMessage,
}

#[derive(Clone, Debug)]
struct Request {
    token: Token,
    kind: RequestKind,
    filters: usize,
    /// The whole packet, which is sent again on a new connection.
    packet: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RequestKind {
    Subscribe,
    Unsubscribe,
}

/// What CONNACK announces; the defaults are those of the standard.
#[derive(Clone, Copy, Debug)]
struct ServerLimits {
    maximum_packet_size: u32,
    maximum_qos: QoS,
    retain_available: bool,
    topic_alias_maximum: u16,
    keep_alive: u16,
}

impl ServerLimits {
    const fn unknown(keep_alive: u16) -> Self {
        Self {
            maximum_packet_size: u32::MAX,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            topic_alias_maximum: 0,
            keep_alive,
        }
    }

    /// Whether a message stays within what the server has announced.
    fn accept(&self, publish: &Publish<'_>, version: ProtocolVersion) -> Result<(), ReasonCode> {
        if publish.qos.qos() > self.maximum_qos {
            return Err(ReasonCode::QoSNotSupported); // [MQTT-3.2.2-11]
        }
        if publish.retain && !self.retain_available {
            return Err(ReasonCode::RetainNotSupported); // [MQTT-3.2.2-14]
        }
        // [MQTT-3.2.2-17] [MQTT-3.2.2-18]
        if publish.properties.topic_alias().is_some_and(|alias| alias > self.topic_alias_maximum) {
            return Err(ReasonCode::TopicAliasInvalid);
        }
        // [MQTT-3.2.2-15]
        match publish.encoded_len(version) {
            Ok(bytes) if bytes <= self.maximum_packet_size as usize => Ok(()),
            Ok(_) | Err(_) => Err(ReasonCode::PacketTooLarge),
        }
    }
}

impl ClientConnection {
    /// Writes CONNECT. Fails if the options cannot be written.
    pub fn new(options: ConnectOptions, now: Duration) -> Result<Self, ClientError> {
        if options.version.has_properties() {
            options.properties.check(PropertyPlace::Connect).map_err(ClientError::Property)?;
            if let Some(will) = &options.will {
                will.properties.check(PropertyPlace::Will).map_err(ClientError::Property)?;
            }
        }
        let mut connection = Self {
            state: State::Closed,
            partial: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            tokens: 0,
            queue: VecDeque::new(),
            outgoing: Outgoing::new(options.window),
            released: HashMap::default(),
            requests: HashMap::default(),
            incoming: Incoming::new(),
            unacknowledged: HashMap::default(),
            server: ServerLimits::unknown(options.keep_alive),
            incoming_aliases: IncomingAliases::new(0),
            outgoing_aliases: OutgoingAliases::new(0),
            callers_aliases: HashMap::new(),
            open: HashSet::default(),
            now,
            sent_at: now,
            pinged_at: None,
            options,
        };
        connection.reconnect(now)?;
        Ok(connection)
    }

    /// Starts over on a new transport: forgets what belonged to the old connection, its unsent output included, and
    /// writes CONNECT. What was not acknowledged is sent again once the server says that it has the session
    /// [MQTT-4.4.0-1].
    pub fn reconnect(&mut self, now: Duration) -> Result<(), ClientError> {
        self.partial = Vec::new();
        self.output.clear();
        self.open.clear();
        self.pinged_at = None;
        self.now = now;
        self.sent_at = now;
        self.server = ServerLimits::unknown(self.options.keep_alive);
        // [MQTT-3.3.2-7]
        let properties = &self.options.properties;
        self.incoming_aliases = IncomingAliases::new(properties.topic_alias_maximum().unwrap_or(0));
        self.outgoing_aliases = OutgoingAliases::new(0);
        self.callers_aliases = HashMap::new();
        self.outgoing.interrupt();
        // A QoS 1 message comes again; a QoS 2 message does not once PUBREL has come.
        self.unacknowledged.retain(|_, qos| *qos == QoS::ExactlyOnce);
        self.options.encode(&mut self.output)?;
        self.state = State::Connecting;
        Ok(())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Appends what must be written to the transport.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            std::mem::swap(out, &mut self.output);
        } else {
            out.append(&mut self.output);
        }
    }

    /// Whether [`take_output`](Self::take_output) would give anything.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether the server has accepted the connection and it is not over.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Whether the connection is over. What is left in the output should still be written before closing.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What was asked for; the client identifier is the one in use.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Messages that wait for a place in the window, or for the connection.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Messages on the wire or interrupted that are not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.outgoing.in_flight()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let keep_alive = self.keep_alive()?;
        Some(self.pinged_at.unwrap_or(self.sent_at) + keep_alive)
    }

    /// Sends PINGREQ when nothing was sent for the Keep Alive [MQTT-3.1.2-20], and gives the connection up when the
    /// answer does not come for as long, as Mosquitto's clients do.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = now;
        let Some(keep_alive) = self.keep_alive() else { return };
        match self.pinged_at {
            Some(pinged_at) if now >= pinged_at + keep_alive => {
                self.close(ReasonCode::KeepAliveTimeout, Properties::EMPTY);
            }
            Some(_) => {}
            None if now >= self.sent_at + keep_alive => {
                self.output.extend_from_slice(&Pingreq::BYTES);
                self.sent_at = now;
                self.pinged_at = Some(now);
            }
            None => {}
        }
    }

    /// The server's word goes before ours [MQTT-3.1.2-21] [MQTT-3.2.2-21].
    fn keep_alive(&self) -> Option<Duration> {
        match (self.state, self.server.keep_alive) {
            (State::Connected, seconds @ 1..) => Some(Duration::from_secs(seconds.into())),
            (State::Connected, 0) | (State::Connecting | State::Closed, _) => None,
        }
    }

    /// Says DISCONNECT, after which nothing may be sent [MQTT-3.14.4-1]: write the output and close [MQTT-3.14.4-2]. 3.x
    /// leaves the reason and the properties out.
    pub fn disconnect(&mut self, reason: ReasonCode, properties: Properties<'_>) -> Result<(), ClientError> {
        if self.state == State::Closed {
            return Err(ClientError::NotConnected);
        }
        if self.options.version.has_properties() {
            properties.check(PropertyPlace::Disconnect).map_err(ClientError::Property)?;
        }
        let disconnect = Disconnect { reason, properties };
        disconnect.check_sender(Role::Client).map_err(ClientError::Property)?;
        self.write(|out, version| disconnect.encode(version, out))?;
        self.state = State::Closed;
        Ok(())
    }

    /// One step of an extended authentication, 5.0 only: with the method that CONNECT has named.
    pub fn auth(&mut self, reason: ReasonCode, properties: Properties<'_>) -> Result<(), ClientError> {
        if self.state == State::Closed {
            return Err(ClientError::NotConnected);
        }
        properties.check(PropertyPlace::Auth).map_err(ClientError::Property)?;
        let refused = |what| Err(ClientError::Property(DecodeError::protocol(what)));
        if !reason.sent_by(Role::Client, PacketType::Auth) {
            return refused("reason code may not be sent by this end"); // [MQTT-3.15.2-1]
        }
        let method = self.options.properties.authentication_method();
        if method.is_none() || properties.authentication_method() != method {
            return refused("AUTH with another authentication method"); // [MQTT-4.12.0-5] [MQTT-4.12.0-7]
        }
        self.write(|out, version| Auth { reason, properties }.encode(version, out))?;
        Ok(())
    }

    fn close(&mut self, reason: ReasonCode, properties: Properties<'static>) {
        self.state = State::Closed;
        self.events.push_back(ClientEvent::Disconnected { reason, properties });
    }

    fn write(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>, ProtocolVersion) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        encode(&mut self.output, self.options.version)?;
        self.sent_at = self.now;
        Ok(())
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }
}

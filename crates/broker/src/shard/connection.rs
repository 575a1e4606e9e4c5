//! One connection: frames in, and how it ends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use noctule_protocol::connection::{IncomingAliases, OutgoingAliases};
use noctule_protocol::frame::{Frame, PacketType, next_frame};
use noctule_protocol::packet::{
    Auth, Disconnect, Packet, Pingreq, Publish, Subscribe, Unsubscribe, acknowledgement,
};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{DecodeError, ProtocolVersion, ReasonCode, Role};

use super::answer::HeldPackets;
use super::memory::Allowance;
use super::peer::Peer;
use super::{Shard, Turn};
use crate::effect::{Effect, LogLevel};
use crate::input::{ConnectionKey, ListenerIndex};
use crate::memory::Pressure;
use crate::metric::Metric;
use crate::moment::{Milliseconds, Moment};
use crate::parcel::ShardIndex;
use crate::session::Outbox;
use crate::timer::Timer;

/// A transport, and since its CONNECT the session it serves.
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    pub(crate) listener: ListenerIndex,
    pub(crate) peer: Peer,
    pub(crate) stage: Stage,
    pub(crate) version: ProtocolVersion,
    /// Mosquitto's bridge bit: no echo, retain as published.
    pub(crate) bridge: bool,
    /// A partial frame: as many bytes as were received of it, never as many as it declares.
    partial: Option<Box<Partial>>,
    pub(crate) outbox: Outbox,
    pub(crate) dirty: bool,
    /// Bytes of answers in the outbox: what the client makes us keep by sending without reading. While it is not read
    /// because of that, how far into the outbox the last of them ends.
    pub(super) answer_bytes: u32,
    /// Its socket did not take all that it was given last.
    pub(super) lags: bool,
    /// The owner of a group on another shard was told that its outbox is full.
    pub(super) told_full: bool,
    /// What it may still take of short memory.
    pub(super) allowance: Allowance,
    /// Why it is not read.
    pub(super) pauses: Pauses,
    /// Packets that wait for a batch to become durable.
    pub(crate) held: HeldPackets,
    /// What its timer is armed for.
    pub(super) deadline: Moment,
    /// One and a half times the Keep Alive [MQTT-3.1.2-22].
    pub(crate) silence_max: Option<Milliseconds>,
    last_received: Moment,
    /// Largest packet the client takes.
    pub(crate) maximum_packet_size: u32,
    /// Whether the client wants Reason Strings [MQTT-3.1.2-29].
    pub(crate) problem_information: bool,
    /// Topic Aliases, where any were agreed upon.
    pub(crate) aliases: Option<Box<Aliases>>,
    /// Whether its session lasted from the beginning: only then may DISCONNECT prolong it.
    pub(crate) had_expiry: bool,
}

// There is one for each client, and the allocator deals in sizes of 128 and 160.
const _: () = assert!(size_of::<Connection>() <= 128);

/// The Topic Aliases of both directions.
#[derive(Default)]
pub(crate) struct Aliases {
    /// In a box, since it is taken out while a PUBLISH with its topic goes round.
    pub(crate) incoming: Option<Box<IncomingAliases>>,
    pub(crate) outgoing: Option<OutgoingAliases>,
}

/// The bytes of a frame whose rest has not come. Few connections have any, so that they stand in a box.
struct Partial(Vec<u8>);

impl Partial {
    fn of(rest: &[u8]) -> Option<Box<Self>> {
        (!rest.is_empty()).then(|| Box::new(Self(rest.to_vec())))
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    AwaitingConnect,
    /// Its client's session lives on another shard.
    Leaving {
        to: ShardIndex,
    },
    /// CONNECT was accepted; its CONNACK may still be held. The session stands in this slot.
    Established {
        slot: u32,
    },
}

/// Reasons for not reading a connection. It is read again when none is left.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Pauses(u8);

impl Pauses {
    /// Its client makes answers pile up that it does not read.
    pub(crate) const UNREAD_ANSWERS: Self = Self(1);
    /// What it publishes is more than another shard keeps up with.
    pub(crate) const BUSY_SHARD: Self = Self(2);
    /// A message it published is still being passed on: the next one waits behind it.
    pub(crate) const OWN_FAN_OUT: Self = Self(4);
    /// It publishes, and memory is short.
    pub(crate) const MEMORY: Self = Self(8);

    pub(crate) const fn contains(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    pub(crate) const fn is_any(self) -> bool {
        self.0 != 0
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending<'a> {
    ClosedByPeer,
    Failed(&'a str),
    /// DISCONNECT came, with this reason code.
    ByClient(ReasonCode),
    /// Another connection took the session over [MQTT-3.1.4-3].
    TakenOver,
    /// The client broke a rule; a 5.0 client is told which.
    Refused(DecodeError),
    /// CONNECT was answered with a refusal already, or needs no answer.
    NotAccepted(&'static str),
    /// Nothing came for too long.
    TimedOut,
    ShuttingDown,
}

impl Connection {
    fn new(
        key: ConnectionKey,
        listener: ListenerIndex,
        peer: Option<SocketAddr>,
        now: Duration,
        deadline: Duration,
    ) -> Self {
        Self {
            key,
            listener,
            peer: peer.into(),
            stage: Stage::AwaitingConnect,
            version: ProtocolVersion::V311,
            bridge: false,
            partial: None,
            outbox: Outbox::default(),
            dirty: false,
            answer_bytes: 0,
            lags: false,
            told_full: false,
            allowance: Allowance::default(),
            pauses: Pauses::default(),
            held: HeldPackets::default(),
            deadline: deadline.into(),
            silence_max: None,
            last_received: now.into(),
            maximum_packet_size: u32::MAX,
            problem_information: true,
            aliases: None,
            had_expiry: false,
        }
    }

    /// Whether deliveries may go out: the CONNACK is not held.
    pub(crate) fn is_ready(&self) -> bool {
        !self.held.begins_with_connack()
    }

    /// Bytes that wait, for the transport or for the disk: what `outbox_bytes_max` limits.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.outbox.len() + self.held.bytes()
    }

    pub(crate) fn slot(&self) -> Option<u32> {
        match self.stage {
            Stage::AwaitingConnect | Stage::Leaving { .. } => None,
            Stage::Established { slot } => Some(slot),
        }
    }

    /// Notes that the last answer stands at the end of the outbox: what comes from now on stands behind it.
    pub(super) fn measure_answers(&mut self) {
        self.answer_bytes = u32::try_from(self.outbox.len()).unwrap_or(u32::MAX);
    }

    /// Notes that its outbox got bytes since it was last shown.
    pub(super) fn mark_dirty(&mut self, dirty: &mut VecDeque<ConnectionKey>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push_back(self.key);
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving { .. })
    }

    pub(crate) fn peer_text(&self) -> String {
        peer_text(self.peer.address())
    }
}

fn peer_text(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "local".to_owned(), |peer| format!("{}:{}", peer.ip(), peer.port()))
}

impl Shard {
    pub(super) fn open(
        &mut self,
        key: ConnectionKey,
        listener: ListenerIndex,
        peer: Option<SocketAddr>,
        turn: &mut Turn<'_>,
    ) {
        self.count(Metric::ConnectionsOpened);
        if self.settings.connection_messages {
            let port =
                self.settings.listeners.get(usize::from(listener.0)).map_or(0, |listener| listener.port);
            self.log(LogLevel::Notice, turn, || {
                format!("New connection from {} on port {port}.", peer_text(peer))
            });
        }
        self.enter(key, listener, peer, turn);
    }

    /// Enters a connection whose CONNECT is awaited.
    pub(super) fn enter(
        &mut self,
        key: ConnectionKey,
        listener: ListenerIndex,
        peer: Option<SocketAddr>,
        turn: &Turn<'_>,
    ) {
        let deadline = turn.now.monotonic + self.settings.connect_timeout;
        let connection = Connection::new(key, listener, peer, turn.now.monotonic, deadline);
        let index = key.index as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, || None);
        }
        self.timers.arm(deadline, Timer::Connection(key));
        self.connections[index] = Some(Box::new(connection));
    }

    pub(super) fn received(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) {
        self.counts.add(Metric::BytesReceived, bytes.len() as u64);
        self.take_bytes(key, bytes, turn);
    }

    /// Handles the whole frames among what was kept and `bytes`, and keeps the rest.
    pub(super) fn take_bytes(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) {
        let Some(connection) = self.connection_mut(key) else { return };
        connection.last_received = turn.now.monotonic.into();
        connection.allowance.next_read();
        let rest = match connection.partial.take() {
            None => {
                let consumed = self.frames(key, bytes, turn);
                Partial::of(&bytes[consumed..])
            }
            Some(mut partial) => {
                let Partial(buffer) = &mut *partial;
                buffer.extend_from_slice(bytes);
                let consumed = self.frames(key, buffer, turn);
                // A small rest does not keep the buffer of a large packet.
                if consumed == 0 { Some(partial) } else { Partial::of(&buffer[consumed..]) }
            }
        };
        let (Some(rest), Some(connection)) = (rest, self.connection_mut(key)) else { return };
        match connection.stage {
            Stage::Leaving { to } => self.let_go(key, to, rest.0, turn),
            Stage::AwaitingConnect | Stage::Established { .. } => connection.partial = Some(rest),
        }
    }

    /// Bytes kept of a packet of this connection that has not come whole: not more than twice what was received
    /// of it, whatever length it declares.
    pub fn partial_bytes(&self, connection: ConnectionKey) -> usize {
        let connection = self.connection(connection);
        connection
            .and_then(|connection| connection.partial.as_ref())
            .map_or(0, |partial| partial.0.capacity())
    }

    /// Handles the whole frames in `bytes`; gives how many bytes they were.
    fn frames(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut consumed = 0;
        while let Some(connection) = self.connection(key) {
            if connection.pauses.contains(Pauses::OWN_FAN_OUT) {
                break;
            }
            let (stage, version) = (connection.stage, connection.version);
            let limit = match stage {
                Stage::AwaitingConnect => {
                    self.settings.connect_packet_size.min(self.settings.maximum_packet_size)
                }
                Stage::Established { .. } => self.settings.maximum_packet_size,
                Stage::Leaving { .. } => break,
            };
            match next_frame(&bytes[consumed..], limit) {
                Ok(Some((frame, length))) => {
                    if self.thrift.pressure >= Pressure::PausePublishers
                        && self.waits_for_memory(key, stage, version, frame, turn)
                    {
                        break;
                    }
                    let result = match stage {
                        Stage::Established { slot } => self.packet(key, slot, version, frame, turn),
                        Stage::AwaitingConnect | Stage::Leaving { .. } => self.first_packet(key, frame, turn),
                    };
                    if stage == Stage::AwaitingConnect
                        && self.connection(key).is_some_and(Connection::is_leaving)
                    {
                        // Its CONNECT goes with it.
                        break;
                    }
                    consumed += length;
                    self.counts.count(Metric::PacketsReceived);
                    if let Err(error) = result {
                        self.close(key, Ending::Refused(error), turn);
                    }
                }
                Ok(None) => break,
                Err(error) => self.close(key, Ending::Refused(error), turn),
            }
        }
        consumed
    }

    fn packet(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        // Each packet is decoded by itself: the way through an enum of all of them costs as much as the packet.
        match frame.packet_type()? {
            PacketType::Publish => {
                let publish = Publish::decode(frame, version)?;
                publish.check_sender(Role::Client)?;
                self.on_publish(key, slot, &publish, turn)?;
            }
            PacketType::Puback => {
                let (packet_id, reason) = acknowledgement(frame, version)?;
                self.on_puback(key, slot, packet_id, reason, turn);
            }
            PacketType::Pubrec => {
                let (packet_id, reason) = acknowledgement(frame, version)?;
                self.on_pubrec(key, slot, packet_id, reason, turn);
            }
            PacketType::Pubrel => {
                let (packet_id, _) = acknowledgement(frame, version)?;
                self.on_pubrel(key, slot, packet_id, turn);
            }
            PacketType::Pubcomp => {
                let (packet_id, _) = acknowledgement(frame, version)?;
                self.on_pubcomp(key, slot, packet_id, turn);
            }
            PacketType::Subscribe => {
                self.on_subscribe(key, slot, &Subscribe::decode(frame, version)?, turn);
            }
            PacketType::Unsubscribe => {
                self.on_unsubscribe(key, slot, &Unsubscribe::decode(frame, version)?, turn);
            }
            PacketType::Pingreq => {
                Pingreq::decode(frame, version)?;
                self.answer(key, false, turn, |out, version| Packet::Pingresp.encode(version, out));
            }
            PacketType::Disconnect => {
                let disconnect = Disconnect::decode(frame, version)?;
                disconnect.check_sender(Role::Client)?;
                self.on_disconnect(key, slot, &disconnect, turn)?;
            }
            PacketType::Connect => return Err(DecodeError::protocol("second CONNECT")),
            PacketType::Auth => {
                Auth::decode(frame, version)?;
                return Err(DecodeError::protocol("AUTH without Authentication Method"));
            }
            PacketType::Connack | PacketType::Suback | PacketType::Unsuback | PacketType::Pingresp => {
                return Err(DecodeError::protocol("packet that only a server sends"));
            }
        }
        Ok(())
    }

    pub(super) fn connection_timed_out(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        let now = turn.now.monotonic;
        let Some(connection) = self.connection_mut(key) else { return };
        let Stage::Established { .. } = connection.stage else {
            return self.close(key, Ending::TimedOut, turn);
        };
        let Some(silence_max) = connection.silence_max else { return };
        if connection.pauses.is_any() {
            // What it sent is not read: its silence is ours.
            connection.last_received = now.into();
        }
        let deadline = connection.last_received.get() + Duration::from(silence_max);
        if deadline <= now {
            return self.close(key, Ending::TimedOut, turn);
        }
        connection.deadline = deadline.into();
        self.timers.arm(deadline, Timer::Connection(key));
    }

    /// From now on the Keep Alive counts instead of the deadline for CONNECT.
    pub(super) fn rearm(&mut self, key: ConnectionKey, turn: &Turn<'_>) {
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else { return };
        self.timers.disarm(connection.deadline, Timer::Connection(key));
        if let Some(silence_max) = connection.silence_max {
            connection.deadline = (turn.now.monotonic + Duration::from(silence_max)).into();
            self.timers.arm(connection.deadline, Timer::Connection(key));
        }
    }

    /// Stops reading a connection, for one more reason.
    pub(super) fn pause(&mut self, key: ConnectionKey, reason: Pauses, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection_mut(key) else { return };
        let was_read = !connection.pauses.is_any();
        if reason == Pauses::UNREAD_ANSWERS {
            connection.measure_answers();
        }
        connection.pauses.0 |= reason.0;
        if was_read {
            turn.effects.push(Effect::Pause { connection: key });
        }
    }

    /// Takes a reason away; without any left, the connection is read again, first what was kept of it.
    pub(super) fn resume_reading(&mut self, key: ConnectionKey, reason: Pauses, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection_mut(key) else { return };
        if !connection.pauses.contains(reason) {
            return;
        }
        connection.pauses.0 &= !reason.0;
        if reason == Pauses::MEMORY {
            connection.allowance = Allowance::default();
        }
        let has_whole_packets = reason == Pauses::OWN_FAN_OUT || reason == Pauses::MEMORY;
        if has_whole_packets && connection.partial.is_some() {
            self.take_bytes(key, &[], turn);
        }
        if let Some(connection) = self.connection_mut(key).filter(|connection| !connection.pauses.is_any()) {
            // Its silence was ours; what it sent meanwhile is read next.
            connection.last_received = turn.now.monotonic.into();
            turn.effects.push(Effect::Resume { connection: key });
        }
    }

    /// Ends a connection: tells a 5.0 client why, hands what is left to the shell, and leaves the session.
    pub(super) fn close(&mut self, key: ConnectionKey, ending: Ending<'_>, turn: &mut Turn<'_>) {
        if self.connection(key).is_none() {
            return;
        }
        let Some(mut connection) = self.connections[key.index as usize].take() else { return };
        self.timers.disarm(connection.deadline, Timer::Connection(key));
        self.count(Metric::ConnectionsClosed);
        if let (Some(reason), ProtocolVersion::V5, Stage::Established { .. }, true) =
            (ending.told(), connection.version, connection.stage, connection.is_ready())
        {
            let why = match ending {
                Ending::Refused(error) if connection.problem_information => Some(error.what),
                _ => None,
            };
            // With its Reason String if it fits [MQTT-3.14.2-3].
            let properties = [Properties::new(why.map(Property::ReasonString)), Properties::EMPTY];
            let end = connection.outbox.end(&mut self.pool);
            let before = end.len();
            for properties in properties {
                let told = Disconnect { reason, properties }.encode(connection.version, end);
                if told.is_ok() && end.len() - before <= connection.maximum_packet_size as usize {
                    break;
                }
                end.truncate(before);
            }
        }
        if !matches!(ending, Ending::ClosedByPeer | Ending::Failed(_)) {
            let farewell = std::mem::take(&mut connection.outbox).into_bytes();
            turn.effects.push(Effect::Close { connection: key, farewell });
        }
        let slot = connection.slot();
        self.log_ending(&connection, ending, turn);
        if let Some(slot) = slot {
            self.leave(slot, ending, turn);
        }
    }

    fn log_ending(&self, connection: &Connection, ending: Ending<'_>, turn: &mut Turn<'_>) {
        if !self.settings.connection_messages {
            return;
        }
        let id = connection.slot().and_then(|slot| self.session(slot));
        let id = id.map_or("<unknown>", |session| &session.publisher.client_id);
        let peer = connection.peer_text();
        self.log(LogLevel::Notice, turn, || match ending.described() {
            None => format!("Client {id} [{peer}] disconnected."),
            Some(why) => format!("Client {id} [{peer}] disconnected: {why}."),
        });
    }
}

impl Ending<'_> {
    /// The reason code of the DISCONNECT a 5.0 client gets.
    fn told(self) -> Option<ReasonCode> {
        match self {
            Self::ClosedByPeer | Self::Failed(_) | Self::ByClient(_) | Self::NotAccepted(_) => None,
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Refused(error) => Some(error.reason),
            Self::TimedOut => Some(ReasonCode::KeepAliveTimeout),
            Self::ShuttingDown => Some(ReasonCode::ServerShuttingDown),
        }
    }

    /// The end of the log line, in Mosquitto's words.
    fn described(self) -> Option<String> {
        Some(match self {
            Self::ByClient(ReasonCode::Success) => return None,
            Self::ByClient(reason) => reason.describe().to_owned(),
            Self::ClosedByPeer => "connection closed by client".to_owned(),
            Self::Failed(text) => format!("bad socket read/write: {text}"),
            Self::TakenOver => "session taken over".to_owned(),
            Self::Refused(error) => format!("{error}"),
            Self::NotAccepted(why) => why.to_owned(),
            Self::TimedOut => "exceeded timeout".to_owned(),
            Self::ShuttingDown => "server shutting down".to_owned(),
        })
    }

    /// Whether the client left as it should, so that its Will is discarded [MQTT-3.14.4-3].
    pub(super) fn discards_will(self) -> bool {
        matches!(self, Self::ByClient(ReasonCode::Success))
    }
}

//! One connection, and whether it is read.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::ProtocolVersion;
use noctule_protocol::connection::{IncomingAliases, OutgoingAliases};

use super::answer::HeldPackets;
use super::ending::Ending;
use super::frames::Partial;
use super::memory::Allowance;
use super::peer::Peer;
use super::{Shard, Turn};
use crate::MountPoint;
use crate::coarse::Coarse;
use crate::effect::{Effect, LogLevel, LogSubject};
use crate::input::{ConnectionKey, ListenerIndex, Verdict};
use crate::metric::{Counts, Gauge, Metric};
use crate::moment::{Milliseconds, Moment};
use crate::parcel::ShardIndex;
use crate::session::Outbox;
use crate::timer::Timer;

/// A transport, and since its CONNECT the session it serves. What each packet touches stands in front, in one cache line.
#[repr(C)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    /// Packets that wait for a batch to become durable.
    pub(crate) held: HeldPackets,
    pub(crate) outbox: Outbox,
    /// Topic Aliases, where any were agreed upon, and a mount point.
    pub(crate) aliases: Option<Box<Aliases>>,
    /// Largest packet the client takes.
    pub(crate) maximum_packet_size: u32,
    pub(crate) version: ProtocolVersion,
    pub(crate) dirty: bool,
    /// The owner of a group on another shard was told that its outbox is full.
    pub(super) told_full: bool,
    /// Why it is not read.
    pub(super) pauses: Pauses,
    pub(crate) stage: Stage,
    pub(super) last_received: Moment,
    /// Bytes of answers in the outbox: what the client makes us keep by sending without reading. While it is not read
    /// because of that, how far into the outbox the last of them ends.
    pub(super) answer_bytes: u32,
    /// One and a half times the Keep Alive [MQTT-3.1.2-22].
    pub(crate) silence_max: Option<Milliseconds>,
    /// A partial frame: as many bytes as were received of it, never as many as it declares.
    pub(super) partial: Option<Box<Partial>>,
    /// What its timer is armed for.
    pub(super) deadline: Moment,
    pub(crate) peer: Peer,
    pub(crate) listener: ListenerIndex,
    /// Bytes in its outbox that its socket did not take when it was last asked, as counted in the metrics.
    unsent: Coarse,
    /// The Receive Maximum that its client was told.
    pub(super) receive_maximum: u16,
    /// What its CONNECT said.
    pub(super) said: Said,
    /// What it may still take of short memory.
    pub(super) allowance: Allowance,
}

// There is one for each client, and the allocator deals in sizes of 128 and 160.
const _: () = assert!(size_of::<Connection>() <= 128);
// Where the first cache line ends.
const _: () = assert!(std::mem::offset_of!(Connection, stage) <= 64);

/// How topics are written that are not written as they are: the Topic Aliases of both directions, and a mount point.
#[derive(Default)]
pub(crate) struct Aliases {
    /// In a box, since it is taken out while a PUBLISH with its topic goes round.
    pub(crate) incoming: Option<Box<IncomingAliases>>,
    pub(crate) outgoing: Option<OutgoingAliases>,
    /// What is taken away from topics before that.
    pub(crate) mount_point: Option<Arc<MountPoint>>,
}

/// Things that a CONNECT says, or does not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Said(u8);

impl Said {
    /// Mosquitto's bridge bit: no echo, retain as published.
    pub(crate) const BRIDGE: Self = Self(1);
    /// No Reason Strings are wanted [MQTT-3.1.2-29].
    pub(crate) const NO_REASONS: Self = Self(2);
    /// The session lasts: only then may DISCONNECT prolong it.
    pub(crate) const LASTS: Self = Self(4);
    /// Nothing of its own: under which settings it came, see [`Expulsions`](super::expulsion::Expulsions).
    pub(crate) const ODD_SETTINGS: Self = Self(8);

    pub(crate) const fn contains(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }

    pub(crate) fn set(&mut self, what: Self, is_so: bool) {
        self.0 = if is_so { self.0 | what.0 } else { self.0 & !what.0 };
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    AwaitingConnect,
    /// The User Name and Password of its CONNECT are being checked.
    Authenticating,
    /// It is known what comes of that: its CONNECT, which was kept, is looked at again.
    Checked {
        verdict: Verdict,
    },
    /// Its client's session lives on another shard.
    Leaving {
        to: ShardIndex,
        authenticated: bool,
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
    /// It is not known yet whether its client may come in.
    pub(crate) const AUTHENTICATION: Self = Self(16);
    /// What it sends needs the store, and the store is behind.
    pub(crate) const STORE: Self = Self(32);
    /// It subscribes to what is still being read from the disk.
    pub(crate) const RETAINED: Self = Self(64);

    pub(crate) const fn contains(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    pub(crate) const fn is_any(self) -> bool {
        self.0 != 0
    }
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
            partial: None,
            outbox: Outbox::default(),
            dirty: false,
            answer_bytes: 0,
            unsent: Coarse::default(),
            told_full: false,
            allowance: Allowance::default(),
            pauses: Pauses::default(),
            held: HeldPackets::default(),
            deadline: deadline.into(),
            silence_max: None,
            last_received: now.into(),
            maximum_packet_size: u32::MAX,
            receive_maximum: u16::MAX,
            said: Said::default(),
            aliases: None,
        }
    }

    /// Whether topics are written to it as they are.
    #[inline]
    pub(super) fn has_plain_topics(&self) -> bool {
        self.aliases
            .as_ref()
            .is_none_or(|aliases| aliases.outgoing.is_none() && aliases.mount_point.is_none())
    }

    /// Whether a topic is none that its client could name.
    fn is_outside(&self, topic: &str) -> bool {
        let mount_point = self.aliases.as_ref().and_then(|aliases| aliases.mount_point.as_ref());
        mount_point.is_some_and(|mount_point| mount_point.strip(topic).is_none())
    }

    /// As what a message on this topic is counted that could not be written to it.
    #[cold]
    pub(super) fn drop_metric(&self, topic: &str) -> Metric {
        if self.is_outside(topic) { Metric::DroppedOutsideMountPoint } else { Metric::DroppedTooLarge }
    }

    /// Whether deliveries may go out: the CONNACK is not held.
    pub(crate) fn is_ready(&self) -> bool {
        !self.held.begins_with_connack()
    }

    /// Bytes that wait, for the transport or for the disk: what `outbox_bytes_max` limits.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.outbox.len() + self.held.bytes()
    }

    /// Whether its socket did not take all that it was given last.
    pub(super) fn lags(&self) -> bool {
        self.unsent != Coarse::default()
    }

    /// Takes notice of how many bytes its socket did not take.
    #[inline]
    pub(super) fn note_unsent(&mut self, bytes: usize, counts: &mut Counts) {
        let unsent = Coarse::new(bytes);
        if self.unsent != unsent {
            counts.change(Gauge::OutboxBytes, self.unsent.get(), unsent.get());
            self.unsent = unsent;
        }
    }

    /// Whether its outbox has room, and owners of groups think that it is full: then they are to be told.
    pub(super) fn has_room_again(&mut self, outbox_bytes_max: usize) -> bool {
        let has_room = self.told_full && self.backlog_bytes() <= outbox_bytes_max / 2;
        self.told_full &= !has_room;
        has_room
    }

    pub(crate) fn slot(&self) -> Option<u32> {
        match self.stage {
            Stage::AwaitingConnect
            | Stage::Authenticating
            | Stage::Checked { .. }
            | Stage::Leaving { .. } => None,
            Stage::Established { slot } => Some(slot),
        }
    }

    /// So many bytes of answers were put into the outbox.
    #[inline]
    pub(super) fn answered(&mut self, bytes: u32) {
        self.answer_bytes += bytes;
        if self.pauses.contains(Pauses::UNREAD_ANSWERS) {
            // They were held until now, or it is read for another reason.
            self.measure_answers();
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

    /// Whether its CONNECT is needed again.
    pub(super) fn keeps_connect(&self) -> bool {
        matches!(self.stage, Stage::Authenticating | Stage::Leaving { .. })
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
            self.log_about(LogLevel::Notice, turn, || {
                let line = format!("New connection from {} on port {port}.", peer_text(peer));
                (LogSubject { address: peer, ..LogSubject::default() }, line)
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
        let mut connection = Connection::new(key, listener, peer, turn.now.monotonic, deadline);
        connection.said.set(Said::ODD_SETTINGS, self.expulsions.is_odd());
        let index = key.index as usize;
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, || None);
        }
        self.timers.arm(deadline, Timer::Connection(key));
        self.connections[index] = Some(Box::new(connection));
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
        let has_whole_packets =
            [Pauses::OWN_FAN_OUT, Pauses::MEMORY, Pauses::AUTHENTICATION, Pauses::RETAINED].contains(&reason);
        if has_whole_packets && connection.partial.is_some() {
            self.take_bytes(key, &[], turn);
        }
        if let Some(connection) = self.connection_mut(key).filter(|connection| !connection.pauses.is_any()) {
            // Its silence was ours; what it sent meanwhile is read next.
            connection.last_received = turn.now.monotonic.into();
            turn.effects.push(Effect::Resume { connection: key });
        }
    }
}

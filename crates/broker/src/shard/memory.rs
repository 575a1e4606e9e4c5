//! What a shard does when memory becomes short, in the order of [`Pressure`].

use std::collections::VecDeque;
use std::time::Duration;

use noctule_protocol::frame::Frame;
use noctule_protocol::packet::{Packet, PublishQoS};
use noctule_protocol::{DecodeError, PacketId, ProtocolVersion, ReasonCode};

use super::connection::{Connection, Pauses, Stage};
use super::{Shard, Turn};
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::metric::Metric;
use crate::timer::Timer;

/// How often it is looked at who may go on.
const PAUSE: Duration = Duration::from_secs(1);

/// A shard's part of it.
#[derive(Debug)]
pub(super) struct Thrift {
    /// The level that was acted upon.
    pub(super) pressure: Pressure,
    /// From which level on it is asked whether a message can be kept: from the first while the store is low.
    pub(super) refuses_from: Pressure,
    /// Publishers that are not read, the first of them first. They may be gone.
    paused: VecDeque<ConnectionKey>,
    is_armed: bool,
}

impl Default for Thrift {
    fn default() -> Self {
        Self {
            pressure: Pressure::None,
            refuses_from: Pressure::RefusePublish,
            paused: VecDeque::new(),
            is_armed: false,
        }
    }
}

/// What a connection may publish while publishers are paused: what comes in one read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Allowance {
    #[default]
    Whole,
    /// By this read.
    Used,
    /// The next message waits, and all behind it.
    Spent,
}

impl Allowance {
    pub(super) fn next_read(&mut self) {
        if *self == Self::Used {
            *self = Self::Spent;
        }
    }
}

/// A message that would have to be kept, and there is no memory for it. 3.x knows no refusal but the end.
const NO_MEMORY: DecodeError =
    DecodeError { reason: ReasonCode::QuotaExceeded, what: "the broker is out of memory" };

impl Shard {
    /// Takes notice of how much memory is used.
    pub(super) fn feel_pressure(&mut self, pressure: Pressure, turn: &mut Turn<'_>) {
        let before = std::mem::replace(&mut self.thrift.pressure, pressure);
        if before < Pressure::ShrinkCaches && pressure >= Pressure::ShrinkCaches {
            self.shrink_caches();
            self.cut_all_queues(turn.shared);
        }
        if pressure < Pressure::DropQos0 {
            self.let_publishers_go_on(usize::MAX, turn);
        }
    }

    fn shrink_caches(&mut self) {
        self.router.forget_routes();
        self.pool.clear();
        self.run_places = Vec::new();
    }

    /// Whether a QoS 0 message to this connection is dropped for want of memory: its client does not keep up.
    pub(super) fn is_spared(pressure: Pressure, connection: Option<&Connection>) -> bool {
        pressure >= Pressure::DropQos0 && connection.is_none_or(|connection| connection.lags())
    }

    /// Whether this packet must wait, because it takes memory and its connection has had its share. What gives memory
    /// back goes on: deleting what is retained, acknowledging, unsubscribing, leaving. A connection with deliveries to
    /// acknowledge is always read: its acknowledgements are what memory is waiting for.
    // Out of the way of those who have memory: they decode a PUBLISH in one place.
    #[cold]
    #[inline(never)]
    pub(super) fn waits_for_memory(
        &mut self,
        key: ConnectionKey,
        stage: Stage,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Stage::Established { slot } = stage else { return false };
        let grows = match Packet::decode(frame, version) {
            Ok(Packet::Publish(publish)) => !(publish.retain && publish.payload.is_empty()), // [MQTT-3.3.1-6]
            Ok(_) | Err(_) => false,
        };
        let acknowledges = self.session(slot).is_some_and(|session| session.outgoing.in_flight() > 0);
        let Some(connection) = self.connection_mut(key) else { return false };
        if !grows || acknowledges {
            return false;
        }
        if connection.allowance != Allowance::Spent {
            connection.allowance = Allowance::Used;
            return false;
        }
        if !connection.pauses.contains(Pauses::MEMORY) {
            self.count(Metric::PublishersPaused);
            self.thrift.paused.push_back(key);
            self.pause(key, Pauses::MEMORY, turn);
            self.arm_thrift(turn);
        }
        true
    }

    fn arm_thrift(&mut self, turn: &Turn<'_>) {
        if !self.thrift.paused.is_empty() && !std::mem::replace(&mut self.thrift.is_armed, true) {
            self.timers.arm(turn.now.monotonic + PAUSE, Timer::Memory);
        }
    }

    /// A second has passed. What the allocator holds back counts as used, and only those who use it can tell: so some
    /// go on for one read, fewer the nearer the limit is. And those do who got deliveries meanwhile.
    pub(super) fn look_at_paused(&mut self, turn: &mut Turn<'_>) {
        self.thrift.is_armed = false;
        if self.thrift.pressure >= Pressure::ShrinkCaches {
            self.shrink_caches();
        }
        let mut acknowledging = Vec::new();
        for key in std::mem::take(&mut self.thrift.paused) {
            let Some(connection) = self.connection(key) else { continue };
            let session = connection.slot().and_then(|slot| self.session(slot));
            if session.is_some_and(|session| session.outgoing.in_flight() > 0) {
                acknowledging.push(key);
            } else {
                self.thrift.paused.push_back(key);
            }
        }
        for key in acknowledging {
            self.resume_reading(key, Pauses::MEMORY, turn);
        }
        let paused = self.thrift.paused.len();
        self.let_publishers_go_on(
            match self.thrift.pressure {
                Pressure::None | Pressure::ShrinkCaches => paused,
                Pressure::DropQos0 | Pressure::PausePublishers => paused.div_ceil(2),
                Pressure::RefuseConnect | Pressure::RefusePublish => 1,
            },
            turn,
        );
        self.arm_thrift(turn);
    }

    fn let_publishers_go_on(&mut self, count: usize, turn: &mut Turn<'_>) {
        for _ in 0..count {
            let Some(key) = self.thrift.paused.pop_front() else { return };
            self.resume_reading(key, Pauses::MEMORY, turn);
        }
    }

    /// Refuses a QoS 1 or 2 message. It is never acknowledged as if it were kept.
    pub(super) fn refuse_publish(
        &mut self,
        key: ConnectionKey,
        version: ProtocolVersion,
        qos: PublishQoS,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        self.count(Metric::RefusedMemory);
        if version != ProtocolVersion::V5 {
            return Err(NO_MEMORY);
        }
        self.answer_refused(key, qos, ReasonCode::QuotaExceeded, turn);
        Ok(())
    }

    /// Whether a repeated QoS 2 PUBLISH: what it would cost is kept already.
    pub(super) fn has_incoming(&self, slot: u32, packet_id: PacketId) -> bool {
        self.session(slot).is_some_and(|session| session.incoming.contains(packet_id))
    }
}

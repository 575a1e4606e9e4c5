//! The event loop of a shard. It decides nothing: it turns readiness into inputs and carries out effects.

mod effects;
mod letters;
mod logins;
mod reading;
mod writing;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token};
use noctule_broker::{ConnectionKey, Effect, Input, Now, Pressure, Shard, ShardIndex, Shared, TransportEnd};

use super::connections::{Connection, Connections};
use super::lingering::Lingering;
use super::{Clock, Durability, Mail, Mailbox, Neighbours, Step};
use crate::auth::{Pending, Verifier};
use crate::log::Log;
use crate::memory::Measurement;

/// Size of the one buffer that all connections are read into.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Events taken from the system at a time.
const EVENTS_PER_TURN: usize = 1024;
/// Deadlines are met at most this often, so that many of them cost few wake-ups. They are in seconds anyway.
const TIMEOUT_INTERVAL: Duration = Duration::from_secs(1);
/// How often memory is measured while nothing happens and much of it is used.
const MEASUREMENT_INTERVAL: Duration = Duration::from_secs(1);
/// How long clients have to take their last bytes when the broker ends, and other shards have to wait for what this one
/// has left to do before.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(1);

/// Token of a shard's mailbox.
pub(crate) const MAILBOX: Token = Token(usize::MAX);
/// Tokens from here on are of lingering streams, below of connections.
const LINGERING: usize = usize::MAX / 2;

/// One shard's sockets around its core.
pub(crate) struct EventLoop {
    poll: Poll,
    /// Which of all shards this is.
    index: ShardIndex,
    neighbours: Arc<Neighbours>,
    /// Taken out of the mailbox.
    mail: VecDeque<Mail>,
    core: Shard,
    shared: Arc<Shared>,
    durability: Durability,
    verifier: Arc<Verifier>,
    /// Log-ins of this shard's connections that are being checked.
    logins: HashMap<ConnectionKey, Arc<Pending>>,
    measurement: Measurement,
    /// When memory was last measured without need, and by this shard.
    measured_at: Duration,
    log: Log,
    clock: Clock,
    connections: Connections,
    lingering: Lingering,
    buffer: Box<[u8]>,
    /// Carried out by [`Self::settle`].
    effects: Vec<Effect>,
    /// To be read in the coming turn.
    to_read: Vec<ConnectionKey>,
    /// To be written in the coming turn.
    to_write: Vec<ConnectionKey>,
    /// Numbers turns, so that a connection knows whether it was written to in this one.
    turn: u32,
    /// When the core was last told of a deadline.
    timed_out_at: Option<Duration>,
    /// The broker ends: what is being done for it, and how long others wait for it.
    step: Option<(Step, Duration)>,
    /// The others were not told that it is done.
    step_unfinished: bool,
    /// Clients are waited for until then.
    ends_at: Option<Duration>,
}

impl EventLoop {
    /// The shard at `index` of `neighbours`, which know its mailbox as [`MAILBOX`] of `poll`; not running yet.
    pub(crate) fn new(
        (poll, index, neighbours): (Poll, ShardIndex, Arc<Neighbours>),
        (core, shared): (Shard, Arc<Shared>),
        durability: Durability,
        verifier: Arc<Verifier>,
        measurement: Measurement,
        clock: Clock,
        log: Log,
    ) -> Self {
        Self {
            poll,
            index,
            neighbours,
            mail: VecDeque::new(),
            core,
            shared,
            durability,
            verifier,
            logins: HashMap::new(),
            measurement,
            measured_at: Duration::ZERO,
            log,
            clock,
            connections: Connections::default(),
            lingering: Lingering::default(),
            buffer: vec![0; READ_BUFFER_BYTES].into(),
            effects: Vec::new(),
            to_read: Vec::new(),
            to_write: Vec::new(),
            turn: 0,
            timed_out_at: None,
            step: None,
            step_unfinished: false,
            ends_at: None,
        }
    }

    /// Effects to begin with, which a restart has brought.
    pub(crate) fn begin_with(&mut self, effects: Vec<Effect>) {
        self.effects = effects;
    }

    /// Runs until the broker was asked to end and all clients have had their last bytes.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut now = self.clock.now();
        // What a restart has left to do.
        self.settle(now)?;
        while !self.has_ended(now) {
            self.sleep(&mut events, now)?;
            now = self.clock.now();
            self.turn = self.turn.wrapping_add(1);
            self.go_on(now);
            for event in &events {
                match event.token() {
                    // The mailbox is looked into anyway.
                    MAILBOX => {}
                    Token(number) if number >= LINGERING => {
                        self.lingering.on_event(number - LINGERING, &mut self.buffer);
                    }
                    Token(index) => self.note(index, event, now),
                }
            }
            // What other shards had sent before a client sent what is read now comes before it.
            self.read_mail(now);
            self.read_all(now);
            self.time_out(now);
            self.settle(now)?;
            self.measure(now);
            self.write_all(now);
            self.settle(now)?;
            self.lingering.expire(now.monotonic);
            self.finish_step(now);
        }
        Ok(())
    }

    /// Waits for events, or for mail, as long as there is nothing else to do.
    fn sleep(&mut self, events: &mut Events, now: Now) -> io::Result<()> {
        let mut timeout = self.timeout(now.monotonic);
        let sleeps = timeout != Some(Duration::ZERO) && self.mailbox().fall_asleep();
        if !sleeps {
            timeout = Some(Duration::ZERO);
        }
        let result = self.poll.poll(events, timeout);
        if sleeps {
            self.mailbox().wake_up();
        }
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            result => result?,
        }
        Ok(())
    }

    /// How long to sleep if nothing happens: not at all with work left over from this turn.
    fn timeout(&self, now: Duration) -> Option<Duration> {
        if !self.to_read.is_empty()
            || !self.to_write.is_empty()
            || self.core.has_dirty()
            || self.core.has_work()
        {
            return Some(Duration::ZERO);
        }
        let step_until = self.step.filter(|_| self.step_unfinished).map(|(_, until)| until);
        [
            self.next_core_timeout(),
            self.lingering.next_timeout(),
            self.ends_at,
            step_until,
            self.next_measurement(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at| at.saturating_sub(now))
    }

    fn next_core_timeout(&self) -> Option<Duration> {
        let at = self.core.next_timeout()?;
        Some(self.timed_out_at.map_or(at, |last| at.max(last + TIMEOUT_INTERVAL)))
    }

    /// Measures memory if this turn makes it necessary, or if it is time to.
    fn measure(&mut self, now: Now) {
        self.measurement.count(self.core.take_appended(), &self.shared);
        if self.next_measurement().is_some_and(|at| at <= now.monotonic) {
            self.measured_at = now.monotonic;
            self.measurement.give_back(&self.shared);
        }
        self.neighbours.note_memory(self.shared.memory_pressure() > Pressure::None);
    }

    fn next_measurement(&self) -> Option<Duration> {
        self.measurement.is_wanted(self.index, &self.shared).then(|| self.measured_at + MEASUREMENT_INTERVAL)
    }

    /// Goes on with what the last turn left.
    fn go_on(&mut self, now: Now) {
        if self.core.has_work() {
            self.handle(Input::Continue, now);
        }
    }

    fn time_out(&mut self, now: Now) {
        if self.next_core_timeout().is_some_and(|at| at <= now.monotonic) {
            self.timed_out_at = Some(now.monotonic);
            // What the core publishes about itself says how much is used.
            if self.index == ShardIndex(0) {
                self.measurement.measure(&self.shared);
                self.durability.measure(&self.shared.metrics);
            }
            self.handle(Input::TimedOut, now);
        }
    }

    /// A connection ended by itself.
    fn end(&mut self, key: ConnectionKey, end: TransportEnd<'_>, now: Now) {
        if self.forget(key).is_some() {
            self.handle(Input::Closed { connection: key, end }, now);
        }
    }

    fn handle(&mut self, input: Input<'_>, now: Now) {
        self.core.handle(&self.shared, input, now, &mut self.effects);
    }

    /// Takes a connection out of the table.
    fn forget(&mut self, key: ConnectionKey) -> Option<Connection> {
        let connection = self.connections.remove(key)?;
        if !self.logins.is_empty() {
            self.logins.remove(&key);
        }
        self.mailbox().connection_ended();
        Some(connection)
    }

    fn mailbox(&self) -> &Mailbox {
        self.neighbours.mailbox(self.index)
    }
}

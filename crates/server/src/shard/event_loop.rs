//! The event loop of a shard. It decides nothing: it turns readiness into inputs and carries out effects.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, LogLevel, Now, Shard, Shared, TransportEnd,
};
use noctule_config::LogType;
use noctule_transport::{Stream, system_text};

use super::connections::{Connection, Connections};
use super::lingering::Lingering;
use super::{Accepted, Clock, Durability, Mail, Mailbox};
use crate::log::Log;

/// Size of the one buffer that all connections are read into.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Reads of a connection per turn; with more to read it has to wait for the others.
const READS_PER_TURN: u32 = 2;
/// Events taken from the system at a time.
const EVENTS_PER_TURN: usize = 1024;
/// Deadlines are met at most this often, so that many of them cost few wake-ups. They are in seconds anyway.
const TIMEOUT_INTERVAL: Duration = Duration::from_secs(1);
/// How long clients have to take their last bytes when the broker ends.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(1);

const MAILBOX: Token = Token(usize::MAX);
/// Tokens from here on are of lingering streams, below of connections.
const LINGERING: usize = usize::MAX / 2;

/// One shard's sockets around its core.
pub(crate) struct EventLoop {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    core: Shard,
    shared: Arc<Shared>,
    durability: Durability,
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
    /// The broker ends, at the latest then.
    ends_at: Option<Duration>,
}

impl EventLoop {
    /// A shard that is not running yet.
    pub(crate) fn new(
        core: Shard,
        shared: Arc<Shared>,
        durability: Durability,
        clock: Clock,
        log: Log,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(poll.registry(), MAILBOX)?);
        Ok(Self {
            poll,
            mailbox,
            core,
            shared,
            durability,
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
            ends_at: None,
        })
    }

    /// Where connections and orders for this shard are put.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// Runs until it was asked to end and all clients have had their last bytes.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut mail = VecDeque::new();
        let mut now = self.clock.now();
        loop {
            match self.poll.poll(&mut events, self.timeout(now.monotonic)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result?,
            }
            now = self.clock.now();
            self.turn = self.turn.wrapping_add(1);
            for event in &events {
                match event.token() {
                    MAILBOX => self.mailbox.take(&mut mail),
                    Token(number) if number >= LINGERING => {
                        self.lingering.on_event(number - LINGERING, &mut self.buffer);
                    }
                    Token(index) => self.note(index, event, now),
                }
            }
            self.read_all(now);
            for letter in mail.drain(..) {
                match letter {
                    Mail::Accepted(accepted) => self.connect(accepted, now),
                    Mail::Shutdown => self.shut_down(now),
                }
            }
            self.time_out(now);
            self.settle(now)?;
            self.write_all(now);
            self.settle(now)?;
            self.lingering.expire(now.monotonic);
            if self.ends_at.is_some_and(|at| self.lingering.is_empty() || at <= now.monotonic) {
                return Ok(());
            }
        }
    }

    /// How long to sleep if nothing happens: not at all with work left over from this turn.
    fn timeout(&self, now: Duration) -> Option<Duration> {
        if !self.to_read.is_empty() || !self.to_write.is_empty() || self.core.has_dirty() {
            return Some(Duration::ZERO);
        }
        [self.next_core_timeout(), self.lingering.next_timeout(), self.ends_at]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.saturating_sub(now))
    }

    fn next_core_timeout(&self) -> Option<Duration> {
        let at = self.core.next_timeout()?;
        Some(self.timed_out_at.map_or(at, |last| at.max(last + TIMEOUT_INTERVAL)))
    }

    fn time_out(&mut self, now: Now) {
        if self.next_core_timeout().is_some_and(|at| at <= now.monotonic) {
            self.timed_out_at = Some(now.monotonic);
            self.handle(Input::TimedOut, now);
        }
    }

    /// Remembers what an event says about a connection.
    fn note(&mut self, index: usize, event: &Event, now: Now) {
        let Some((key, connection)) = self.connections.at(index) else { return };
        connection.hung_up |= event.is_read_closed() || event.is_error();
        if event.is_readable() || connection.hung_up {
            connection.readable = true;
        }
        if event.is_writable() && mem::take(&mut connection.blocked) && !connection.awaits_write {
            connection.awaits_write = true;
            self.to_write.push(key);
        }
        if !connection.paused {
            if connection.readable && !connection.awaits_read {
                connection.awaits_read = true;
                self.to_read.push(key);
            }
        } else if event.is_error() || event.is_write_closed() {
            // Nobody is left to take what it waits for, so it would be paused for ever.
            let error = connection.stream.take_error().ok().flatten();
            match error {
                Some(error) => self.end(key, TransportEnd::Failed(&system_text(&error)), now),
                None => self.end(key, TransportEnd::ClosedByPeer, now),
            }
        }
    }

    fn read_all(&mut self, now: Now) {
        let mut to_read = mem::take(&mut self.to_read);
        for key in to_read.drain(..) {
            if self.read(key, now)
                && let Some(connection) = self.connections.get_mut(key)
            {
                connection.awaits_read = true;
                self.to_read.push(key);
            }
        }
        // Those with more to read go first next time; the list keeps the room it has.
        to_read.append(&mut self.to_read);
        self.to_read = to_read;
    }

    /// Reads what a connection has; tells whether there may be more.
    ///
    /// Events come once per arrival (edge-triggered). A read that does not fill the buffer has taken everything, and
    /// whatever arrives later makes an event. But the end of the stream may have been announced already: then it has
    /// to be read to that end.
    fn read(&mut self, key: ConnectionKey, now: Now) -> bool {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(key) else { return false };
            connection.awaits_read = false;
            if connection.paused {
                return false;
            }
            if connection.ended {
                self.end(key, TransportEnd::ClosedByPeer, now);
                return false;
            }
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) if !connection.blocked && !self.core.output(key).is_empty() => {
                    // It may only have ended its own side, so it gets the answers to its last words first.
                    connection.ended = true;
                    connection.readable = true;
                    return true;
                }
                Ok(0) => {
                    self.end(key, TransportEnd::ClosedByPeer, now);
                    return false;
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.readable = false;
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.end(key, TransportEnd::Failed(&system_text(&error)), now);
                    return false;
                }
            };
            let drained = read < self.buffer.len() && !connection.hung_up;
            connection.readable = !drained;
            let bytes = &self.buffer[..read];
            let effects = self.effects.len();
            let input = Input::Received { connection: key, bytes };
            self.core.handle(&self.shared, input, now, &mut self.effects);
            if drained {
                return false;
            }
            if self.effects.len() > effects {
                // One of them may close or pause this connection, so they come first.
                return true;
            }
        }
        true
    }

    fn connect(&mut self, accepted: Accepted, now: Now) {
        if self.ends_at.is_some() {
            return;
        }
        let Accepted { stream, peer, listener, place } = accepted;
        let key = self.connections.insert(Connection::new(stream, place));
        let Some(connection) = self.connections.get_mut(key) else { return };
        // Registered once and for all; what has arrived already makes an event.
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Token(key.index as usize);
        if let Err(error) = self.poll.registry().register(&mut connection.stream, token, interests) {
            self.connections.remove(key);
            return self.log.warning(format!("Warning: Unable to serve {peer}: {}.", system_text(&error)));
        }
        let listener = ListenerIndex(listener);
        self.handle(Input::Connected { connection: key, listener, peer: Some(peer) }, now);
    }

    fn shut_down(&mut self, now: Now) {
        if self.ends_at.is_none() {
            self.ends_at = Some(now.monotonic + SHUTDOWN_TIME_MAX);
            self.handle(Input::Shutdown, now);
        }
    }

    /// Writes each outbox once.
    fn write_all(&mut self, now: Now) {
        let mut to_write = mem::take(&mut self.to_write);
        for key in to_write.drain(..) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.awaits_write = false;
                self.write(key, now);
            }
        }
        to_write.append(&mut self.to_write);
        self.to_write = to_write;
        while let Some(key) = self.core.next_dirty() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.blocked || connection.awaits_write {
                continue;
            }
            if connection.written_in_turn == self.turn {
                connection.awaits_write = true;
                self.to_write.push(key);
            } else {
                self.write(key, now);
            }
        }
    }

    fn write(&mut self, key: ConnectionKey, now: Now) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let output = self.core.output(key);
        if output.is_empty() || connection.blocked {
            return;
        }
        match connection.stream.write(output) {
            Ok(written) => {
                // The socket takes less only if it is full, and then an event tells when it has room.
                connection.blocked = written < output.len();
                connection.written_in_turn = self.turn;
                self.handle(Input::Written { connection: key, bytes: written }, now);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.blocked = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                connection.awaits_write = true;
                self.to_write.push(key);
            }
            Err(error) => self.end(key, TransportEnd::Failed(&system_text(&error)), now),
        }
    }

    /// A connection ended by itself.
    fn end(&mut self, key: ConnectionKey, end: TransportEnd<'_>, now: Now) {
        if self.connections.remove(key).is_some() {
            self.handle(Input::Closed { connection: key, end }, now);
        }
    }

    fn handle(&mut self, input: Input<'_>, now: Now) {
        self.core.handle(&self.shared, input, now, &mut self.effects);
    }

    /// Ends the turn in the core and carries out its effects, in order, until there are none. Changes are with the
    /// store before any outbox is flushed.
    fn settle(&mut self, now: Now) -> io::Result<()> {
        loop {
            self.core.end_turn(&mut self.effects);
            let mut effects = mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                self.carry_out(effect, now)?;
            }
            self.effects = effects;
            match self.durability.take_durable() {
                Some(ticket) => self.handle(Input::Durable { ticket }, now),
                None => return Ok(()),
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Now) -> io::Result<()> {
        match effect {
            Effect::Persist { ticket, operations, urgent } => {
                self.durability.persist(ticket, &operations, urgent)?;
            }
            Effect::Close { connection, farewell } => {
                if let Some(closed) = self.connections.remove(connection) {
                    self.part(closed.stream, &farewell, now);
                }
            }
            Effect::Pause { connection } => {
                if let Some(connection) = self.connections.get_mut(connection) {
                    connection.paused = true;
                }
            }
            Effect::Resume { connection: key } => {
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.paused = false;
                    if connection.readable && !connection.awaits_read {
                        connection.awaits_read = true;
                        self.to_read.push(key);
                    }
                }
            }
            Effect::Log { level, line } => self.log.write(log_type(level), line),
        }
        Ok(())
    }

    fn part(&mut self, stream: Stream, farewell: &[u8], now: Now) {
        let registry = self.poll.registry();
        let token_of = |number| Token(LINGERING + number);
        self.lingering.part(stream, farewell, registry, token_of, now.monotonic, &mut self.buffer);
    }
}

fn log_type(level: LogLevel) -> LogType {
    match level {
        LogLevel::Error => LogType::Error,
        LogLevel::Warning => LogType::Warning,
        LogLevel::Notice => LogType::Notice,
        LogLevel::Information => LogType::Information,
        LogLevel::Debug => LogType::Debug,
        LogLevel::Subscribe => LogType::Subscribe,
        LogLevel::Unsubscribe => LogType::Unsubscribe,
    }
}

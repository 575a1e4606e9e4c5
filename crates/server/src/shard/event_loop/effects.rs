//! What the core asks for, carried out.

use std::{io, mem};

use mio::Token;
use noctule_broker::{Effect, Input, LogLevel, Now};
use noctule_config::LogType;
use noctule_persistence::Stored;
use noctule_transport::Stream;

use super::{EventLoop, LINGERING};
use crate::shard::connections::Connection;
use crate::shard::{HandedOver, Mail};

impl EventLoop {
    /// Ends the turn in the core and carries out its effects, in order, until there are none. Changes are with the
    /// store before any outbox is flushed.
    pub(super) fn settle(&mut self, now: Now) -> io::Result<()> {
        loop {
            self.core.end_turn(&self.shared, &mut self.effects);
            // Carrying them out may ask for more, which must not get lost.
            while !self.effects.is_empty() {
                let mut effects = mem::take(&mut self.effects);
                for effect in effects.drain(..) {
                    self.carry_out(effect, now)?;
                }
                if self.effects.is_empty() {
                    // The list keeps the room it has.
                    self.effects = effects;
                }
            }
            let stored = self.durability.take_stored();
            let fullness = self.durability.take_fullness();
            if stored == Stored::default() && fullness.is_none() {
                if self.durability.waits() && self.mailbox().await_store() {
                    continue;
                }
                return Ok(());
            }
            if let Some(ticket) = stored.durable {
                self.handle(Input::Durable { ticket }, now);
            }
            if let Some(ticket) = stored.flushed {
                self.handle(Input::Flushed { ticket }, now);
            }
            if let Some(is_full) = fullness {
                self.handle(Input::StoreQueue { is_full }, now);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Now) -> io::Result<()> {
        match effect {
            Effect::Persist { ticket, operations, urgency } => {
                self.durability.persist(ticket, &operations, urgency, &self.shared)?;
            }
            Effect::Close { connection, farewell } => {
                if let Some(closed) = self.forget(connection) {
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
            Effect::Send { to, parcel } => self.neighbours.mailbox(to).send(Mail::Parcel(parcel)),
            Effect::HandOver { connection, to, listener, peer, bytes, authenticated } => {
                if let Some(Connection { mut stream, place, .. }) = self.forget(connection) {
                    // Fails only if it is not registered, and it is.
                    self.poll.registry().deregister(&mut stream)?;
                    let handed_over = HandedOver { stream, peer, listener, place, bytes, authenticated };
                    self.neighbours.mailbox(to).send(Mail::HandedOver(Box::new(handed_over)));
                }
            }
            Effect::Authenticate { connection, listener, user_name, password } => {
                self.ask_who_it_is(connection, listener, user_name, password);
            }
            Effect::ReadQueue { slot, session, wanted } => {
                self.durability.read_queue(self.index, slot, session, wanted)?;
            }
            Effect::StoreIsDamaged(error) => return Err(io::Error::other(error)),
            Effect::Log { level, line, subject } => self.log.write_about(log_type(level), line, subject),
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

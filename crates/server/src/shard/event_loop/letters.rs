//! Mail, read: new connections, parcels, and the steps of the end.

use std::{io, mem};

use mio::{Interest, Token};
use noctule_broker::metric::Metric;
use noctule_broker::{ConnectionKey, Input, ListenerIndex, LogLevel, Now};
use noctule_config::LogType;
use noctule_transport::{Stream, system_text};

use super::{EventLoop, SHUTDOWN_TIME_MAX};
use crate::Notice;
use crate::listener::Place;
use crate::shard::connections::Connection;
use crate::shard::{Accepted, HandedOver, Mail, Step};

impl EventLoop {
    /// Reads all mail; costs next to nothing if there is none.
    pub(super) fn read_mail(&mut self, now: Now) {
        if !self.neighbours.mailbox(self.index).has_letters() {
            return;
        }
        let mut mail = mem::take(&mut self.mail);
        self.neighbours.mailbox(self.index).take(&mut mail);
        for letter in mail.drain(..) {
            match letter {
                Mail::Accepted(accepted) => self.connect(accepted, now),
                Mail::HandedOver(handed_over) => self.take_over(*handed_over, now),
                Mail::Parcel(parcel) => {
                    self.measurement.count(parcel.bytes(), &self.shared);
                    self.handle(Input::Parcel { parcel }, now);
                }
                Mail::Authenticated { connection, verdict } => self.tell_who_it_is(connection, verdict, now),
                Mail::QueueRead { slot, session, found, error } => {
                    self.handle(Input::QueueRead { slot, session, found, error }, now);
                }
                Mail::RetainedLoaded { some_expire } => {
                    self.handle(Input::RetainedLoaded { some_expire }, now);
                }
                Mail::LogLines => {
                    for (kind, line) in self.log.outlet().take() {
                        if let Some(level) = log_level(kind) {
                            self.handle(Input::LogLine { level, line: &line }, now);
                        }
                    }
                }
                // These are looked at in each turn; this makes one.
                Mail::Stored | Mail::MemoryIsShort => {}
                Mail::Settings(settings, notify) => {
                    self.handle(Input::Settings(settings), now);
                    // There may be a limit where there was none.
                    self.measurement.measure(&self.shared);
                    // Nobody listens any more when the broker ends.
                    let _ = notify.send(Notice::SettingsTaken);
                }
                Mail::End(step) => self.begin_step(step, now),
            }
        }
        self.mail = mail;
    }

    fn connect(&mut self, accepted: Accepted, now: Now) {
        let Accepted { stream, peer, listener, place } = accepted;
        if self.step.is_some() {
            return self.mailbox().connection_ended();
        }
        match self.enter(stream, place) {
            Ok(connection) => {
                let listener = ListenerIndex(listener);
                self.handle(Input::Connected { connection, listener, peer: Some(peer) }, now);
            }
            Err(error) => self.log.warning(unable_to_serve(&peer.to_string(), &error)),
        }
    }

    fn take_over(&mut self, handed_over: HandedOver, now: Now) {
        let HandedOver { stream, peer, listener, place, bytes, authenticated } = handed_over;
        if self.step.is_some() {
            // The other core counted it in, and nobody else will count it out.
            self.shared.metrics.count(Metric::ConnectionsClosed);
            return self.mailbox().connection_ended();
        }
        match self.enter(stream, place) {
            Ok(connection) => {
                let bytes = &bytes;
                self.handle(Input::HandedOver { connection, listener, peer, bytes, authenticated }, now);
                // What came meanwhile also makes an event, but that costs a turn.
                self.read_soon(connection);
            }
            Err(error) => {
                self.shared.metrics.count(Metric::ConnectionsClosed);
                let peer = peer.map_or_else(|| "local".to_owned(), |peer| peer.to_string());
                self.log.warning(unable_to_serve(&peer, &error));
            }
        }
    }

    /// Enters a connection that this shard's mailbox has counted.
    fn enter(&mut self, stream: Stream, place: Place) -> io::Result<ConnectionKey> {
        let key = self.connections.insert(Connection::new(stream, place));
        if let Some(connection) = self.connections.get_mut(key) {
            // Registered once and for all; what has arrived already, or its end, makes an event.
            let interests = Interest::READABLE | Interest::WRITABLE;
            let token = Token(key.index as usize);
            if let Err(error) = self.poll.registry().register(&mut connection.stream, token, interests) {
                self.forget(key);
                return Err(error);
            }
        }
        Ok(key)
    }

    fn begin_step(&mut self, step: Step, now: Now) {
        if self.step.is_some_and(|(current, _)| current >= step) {
            return;
        }
        let until = now.monotonic + SHUTDOWN_TIME_MAX;
        self.step = Some((step, until));
        self.step_unfinished = true;
        match step {
            Step::PublishWills => self.handle(Input::PublishWills, now),
            Step::ReadMail | Step::End => {}
            Step::CloseConnections => {
                self.ends_at = Some(until);
                self.handle(Input::Shutdown, now);
            }
        }
    }

    /// Tells the others when this shard is through with a step. What it had for them is in their mailboxes, unless
    /// clients keep it so busy that there is no end to it.
    pub(super) fn finish_step(&mut self, now: Now) {
        if let Some((step, until)) = self.step
            && self.step_unfinished
            && (!self.core.has_work() || until <= now.monotonic)
        {
            self.step_unfinished = false;
            self.neighbours.finished(step);
        }
    }

    /// Whether nothing comes any more, and clients have their last bytes or had the time for it.
    pub(super) fn has_ended(&self, now: Now) -> bool {
        let in_last_step = self.step.is_some_and(|(step, _)| step == Step::End);
        in_last_step && (self.lingering.is_empty() || self.ends_at.is_none_or(|at| at <= now.monotonic))
    }
}

/// As the core calls it; lines of other types are the shell's own affair.
fn log_level(kind: LogType) -> Option<LogLevel> {
    Some(match kind {
        LogType::Error => LogLevel::Error,
        LogType::Warning => LogLevel::Warning,
        LogType::Notice => LogLevel::Notice,
        LogType::Information => LogLevel::Information,
        LogType::Debug => LogLevel::Debug,
        LogType::Subscribe => LogLevel::Subscribe,
        LogType::Unsubscribe => LogLevel::Unsubscribe,
        LogType::Websockets | LogType::Internal => return None,
    })
}

fn unable_to_serve(peer: &str, error: &io::Error) -> String {
    format!("Warning: Unable to serve {peer}: {}.", system_text(error))
}

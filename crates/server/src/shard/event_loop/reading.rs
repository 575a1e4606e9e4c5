//! From readiness to [`Input::Received`].

use std::io::{self, Read};
use std::mem;

use mio::event::Event;
use noctule_broker::{ConnectionKey, Input, Now, TransportEnd};
use noctule_transport::system_text;

use super::EventLoop;

/// Reads of a connection per turn; with more to read it has to wait for the others.
const READS_PER_TURN: u32 = 2;

impl EventLoop {
    /// Remembers what an event says about a connection.
    pub(super) fn note(&mut self, index: usize, event: &Event, now: Now) {
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

    /// Puts a connection on the list of those to be read, whether an event has told of bytes or not.
    pub(super) fn read_soon(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.awaits_read
        {
            connection.readable = true;
            connection.awaits_read = true;
            self.to_read.push(key);
        }
    }

    pub(super) fn read_all(&mut self, now: Now) {
        let mut to_read = mem::take(&mut self.to_read);
        for key in to_read.drain(..) {
            if self.core.has_noted_much() {
                // The store gets that first.
                self.to_read.push(key);
            } else if self.read(key, now)
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
            // What another shard had sent before the client sent these bytes comes before them.
            self.read_mail(now);
            let bytes = &self.buffer[..read];
            let effects = self.effects.len();
            let input = Input::Received { connection: key, bytes };
            self.core.handle(&self.shared, input, now, &mut self.effects);
            self.measurement.count(read + self.core.take_appended(), &self.shared);
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
}

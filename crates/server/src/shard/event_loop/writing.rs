//! From outboxes to sockets.

use std::io::{self, Write};
use std::mem;

use noctule_broker::{ConnectionKey, Input, Now, TransportEnd};
use noctule_transport::system_text;

use super::EventLoop;

impl EventLoop {
    /// Writes each outbox once.
    pub(super) fn write_all(&mut self, now: Now) {
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
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.blocked = true;
                self.handle(Input::Written { connection: key, bytes: 0 }, now);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                connection.awaits_write = true;
                self.to_write.push(key);
            }
            Err(error) => self.end(key, TransportEnd::Failed(&system_text(&error)), now),
        }
    }
}

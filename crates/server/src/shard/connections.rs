//! The table of a shard's connections: their sockets, and what the event loop knows of them.

use noctule_broker::ConnectionKey;
use noctule_transport::Stream;

use crate::listener::Place;

/// One connection. There may be many thousand idle ones, so it holds no buffer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Free for another connection when this one is dropped.
    pub(super) place: Place,
    /// The turn of the last write, since nothing is written twice in a turn.
    pub(super) written_in_turn: u32,
    /// Bytes or the end of the stream may be waiting to be read.
    pub(super) readable: bool,
    /// The peer has ended its side: a short read is no sign that everything was read.
    pub(super) hung_up: bool,
    /// It was read to its end, which the core is told after a last write.
    pub(super) ended: bool,
    /// The core does not want to read from it now.
    pub(super) paused: bool,
    /// It is on the list of those to be read.
    pub(super) awaits_read: bool,
    /// The socket's buffer is full; an event will tell when it has room.
    pub(super) blocked: bool,
    /// It is on the list of those to be written in the next turn.
    pub(super) awaits_write: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, place: Place) -> Self {
        Self {
            stream,
            place,
            written_in_turn: 0,
            readable: false,
            hung_up: false,
            ended: false,
            paused: false,
            awaits_read: false,
            blocked: false,
            awaits_write: false,
        }
    }
}

/// Connections by [`ConnectionKey`]. A place is used again, under another generation.
///
/// The table grows by pieces that stay where they are: one that moves as a whole leaves its old rooms behind, which the
/// allocator keeps for a while.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pieces: Vec<Box<[Slot]>>,
    /// Places that were ever used.
    used: u32,
    free: Vec<u32>,
}

/// Places of one piece.
const PIECE: usize = 256;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

impl Connections {
    /// Takes in a connection and names it. As many fit as there are descriptors in a process.
    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        if index as usize == self.pieces.len() * PIECE {
            self.pieces.push((0..PIECE).map(|_| Slot::default()).collect());
        }
        let slot = &mut self.pieces[index as usize / PIECE][index as usize % PIECE];
        slot.generation = slot.generation.wrapping_add(1);
        slot.connection = Some(connection);
        ConnectionKey { index, generation: slot.generation }
    }

    fn slot(&mut self, index: usize) -> Option<&mut Slot> {
        self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)
    }

    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        let slot = self.slot(key.index as usize)?;
        if slot.generation == key.generation { slot.connection.as_mut() } else { None }
    }

    /// The connection at this place, whatever its generation, and its name.
    ///
    /// For events only: those of one poll are looked at before any of its places is given to another connection, and
    /// a closed socket has no later ones.
    pub(super) fn at(&mut self, index: usize) -> Option<(ConnectionKey, &mut Connection)> {
        let slot = self.slot(index)?;
        let key = ConnectionKey { index: index as u32, generation: slot.generation };
        slot.connection.as_mut().map(|connection| (key, connection))
    }

    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Connection> {
        let slot = self.slot(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        self.free.push(key.index);
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::listener::Places;

    fn connection() -> Connection {
        let (stream, _) = super::super::stream_pair();
        Connection::new(stream, Arc::new(Places::new(None)).take().unwrap())
    }

    #[test]
    fn a_late_key_does_not_reach_the_successor() {
        let mut connections = Connections::default();
        let first = connections.insert(connection());
        assert!(connections.remove(first).is_some());
        let second = connections.insert(connection());
        assert_eq!(second.index, first.index);
        assert_ne!(second.generation, first.generation);
        assert!(connections.get_mut(first).is_none());
        assert!(connections.remove(first).is_none());
        assert!(connections.get_mut(second).is_some());
        assert_eq!(connections.at(0).map(|(key, _)| key), Some(second));
        assert!(connections.at(1).is_none());
    }
}

//! What a shard does while more waits for the store than should: it does not read those who make more of it. Nobody else
//! notices: what needs no store goes on, and what is written meanwhile is acknowledged.

use super::connection::Pauses;
use super::{Shard, Turn};
use crate::input::ConnectionKey;
use crate::metric::Metric;
use crate::record::Operation;

/// Memory of one turn's changes above which no more connections are read in it. What a turn has noted is pushed whole, so
/// this is how far a shard may go beyond the bound of the queue.
const TURN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What one change costs beside its message, roughly.
const CHANGE_BYTES: usize = 128;
/// The same of one recipient.
const RECIPIENT_BYTES: usize = 32;

/// A shard's view of the queue before the store.
#[derive(Debug, Default)]
pub(super) struct StoreQueue {
    is_full: bool,
    /// Connections that are not read because of that. They may be gone.
    parked: Vec<ConnectionKey>,
    /// What this turn's changes keep in memory, roughly.
    turn_bytes: usize,
}

impl StoreQueue {
    pub(super) fn note(&mut self, operation: &Operation) {
        self.turn_bytes += CHANGE_BYTES;
        if let Operation::PutMessage { message, recipients, .. } = operation {
            self.turn_bytes += message.payload_bytes() + recipients.len() * RECIPIENT_BYTES;
        } else if let Operation::PutIncoming { message, .. } = operation {
            self.turn_bytes += message.payload_bytes();
        }
    }

    pub(super) fn end_turn(&mut self) {
        self.turn_bytes = 0;
    }
}

impl Shard {
    /// Whether this turn has noted so much for the store that no more connections should be read in it.
    pub fn has_noted_much(&self) -> bool {
        self.store_queue.turn_bytes > TURN_BYTES_MAX
    }

    pub(super) fn tell_store_queue(&mut self, is_full: bool, turn: &mut Turn<'_>) {
        self.store_queue.is_full = is_full;
        if !is_full {
            for key in std::mem::take(&mut self.store_queue.parked) {
                self.resume_reading(key, Pauses::STORE, turn);
            }
        }
    }

    /// How much there is for the store, to see whether it becomes more.
    pub(super) fn noted(&self) -> usize {
        self.operations.len()
    }

    /// A connection was read when so much was noted: with a full queue, and more noted now, it is not read any more.
    pub(super) fn park_feeder(&mut self, key: ConnectionKey, noted: usize, turn: &mut Turn<'_>) {
        if !self.store_queue.is_full || self.noted() <= noted {
            return;
        }
        let Some(connection) = self.connection(key) else { return };
        if !connection.pauses.contains(Pauses::STORE) {
            self.count(Metric::StoreParked);
            self.store_queue.parked.push(key);
            self.pause(key, Pauses::STORE, turn);
        }
    }
}

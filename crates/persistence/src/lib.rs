//! Where the core and the store meet: the core knows rows and no keyspaces, the store knows bytes and no rows.
//!
//! ```text
//! Operations ─ batch ─▶ Batch ─▶ store ─ StoredRows ─▶ Shard::restore, Wanted::read
//! core's ticket ─ Tickets ─▶ store's ticket … durable up to ─ Tickets ─▶ core's ticket
//! ```
//!
//! Has no thread and no clock, so that the simulation runs what serves: between
//! [`Effect::Persist`](noctule_broker::Effect::Persist) and the disk there is nothing else.

mod batch;
mod rows;
mod tickets;

pub use batch::{RetainedRows, batch};
pub use rows::{StoredRows, keyspace};
pub use tickets::{Stored, Tickets, urgency};

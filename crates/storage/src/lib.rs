//! Durable batches with tickets. Knows bytes only; what they mean is the broker's `record` module.
//!
//! ```text
//! shard ─ push ─┐                                    ┌─ commit, sync ─▶ Store
//! shard ─ push ─┼─▶ CommitQueue ─ all that waits ─▶ storage thread
//! shard ─ push ─┘   (order = ticket)                 └─ durable up to ticket ─▶ shards
//! ```
//!
//! [`Pipeline`] owns the thread; [`CommitQueue`] decides what it writes and when, without thread or clock, so
//! that a simulation can drive it. [`Store`] is what lies below: [`MemoryStore`], [`VolatileStore`] and, for
//! tests, [`FaultyStore`].

mod batch;
mod commit_queue;
mod faulty;
mod keyspace;
mod memory;
mod pipeline;
mod store;
mod volatile;

pub use batch::{Batch, BatchOp};
pub use commit_queue::{Commit, CommitQueue, RIDE_ALONG_MAX, Ticket, Urgency};
pub use faulty::FaultyStore;
pub use keyspace::Keyspace;
pub use memory::MemoryStore;
pub use pipeline::{Pipeline, PushError, Report};
pub use store::{Store, StoreError, Visit};
pub use volatile::VolatileStore;

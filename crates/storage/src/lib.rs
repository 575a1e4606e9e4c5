//! Durable batches with tickets. Knows bytes only; what they mean is the broker's `record` module.
//!
//! ```text
//! shard ─ push ─┐                                    ┌─ commit, sync ─▶ Store
//! shard ─ push ─┼─▶ CommitQueue ─ all that waits ─▶ storage thread
//! shard ─ push ─┘   (order = ticket)                 └─ durable up to ticket ─▶ shards
//! ```
//!
//! [`Pipeline`] owns the thread; [`CommitQueue`] decides what it writes and when, without thread or clock, so
//! that a simulation can drive it. [`Store`] is what lies below: [`FjallStore`] in a [`DataDirectory`],
//! [`MemoryStore`], [`VolatileStore`] and, for tests, [`FaultyStore`]. A [`Reader`] reads it from other threads.

mod batch;
mod commit;
mod commit_queue;
mod data_directory;
mod elision;
mod faulty;
mod fjall_store;
mod keyspace;
mod memory;
mod pipeline;
#[cfg(test)]
mod small_disk;
mod space;
mod statistics;
mod store;
mod volatile;
mod watched;

pub use batch::{Batch, BatchOp};
pub use commit::Commit;
pub use commit_queue::{CommitQueue, RIDE_ALONG_MAX, Ticket, Urgency};
pub use data_directory::{DataDirectory, DataDirectoryError};
pub use faulty::FaultyStore;
pub use fjall_store::{Cut, Damage, FjallStore, Keep, Opening, Salvaged};
pub use keyspace::Keyspace;
pub use memory::MemoryStore;
pub use pipeline::{Closed, Pipeline, Report};
pub use space::{Room, Space, SpaceChange, Watermark};
pub use statistics::{Done, Statistics};
pub use store::{KEY_BYTES_MAX, Reader, Store, StoreError, Visit};
pub use volatile::VolatileStore;
pub use watched::{Health, Watched, WatchedStore};

//! A deterministic simulation of Noctule: clients, shards and a store under one seed, with virtual time.
//!
//! Everything that is chance elsewhere (when bytes arrive and how they are cut, when links are lost, when the disk
//! has synced, when the broker dies) is drawn from one seeded generator, and nothing else decides: no thread, no
//! clock, no hash map's order. So a seed is a history, and a failing one can be replayed:
//!
//! ```text
//! cargo run -p simulation -- --seed 123 --trace
//! ```
//!
//! Between the core's `Effect::Persist` and the disk runs what serves: `noctule-persistence` and the store's queue. The disk is
//! `noctule-storage`'s `FaultyStore`: it fails, and it loses what was not synced. A process dies between any two effects, in the
//! middle of a write, and while it starts.
//!
//! [`Plan`] draws what is fixed for a run; [`run`] lets it happen and then looks at what the clients saw.

pub mod plan;
pub mod random;
mod rights;
pub mod sabotage;

mod broker;
mod check;
mod client;
mod context;
mod disk;
mod facts;
mod network;
mod schedule;
mod trace;
mod world;

pub use context::Violation;
pub use plan::Plan;
pub use sabotage::Sabotage;
pub use trace::Trace;
pub use world::{Outcome, Tally, run};

//! What an MQTT broker decides: `(shared, input, now)` to outboxes and effects.
//!
//! [`Shard`] is the state of one event loop. Its shell feeds it [`Input`]s, carries out [`Effect`]s and flushes
//! outboxes; everything else happens here, without I/O and without a clock, so that it can be tested in
//! microseconds, simulated and replayed.

pub mod metric;
pub mod record;
pub mod sys_topics;

mod arena;
mod authorize;
mod coarse;
mod directory;
mod effect;
mod encoded;
mod generations;
mod group_directory;
mod hash_index;
mod input;
#[cfg(feature = "shuttle")]
#[cfg(test)]
mod interleavings;
mod memory;
mod message;
mod moment;
mod mount_point;
mod now;
mod parcel;
mod retained;
mod rights;
mod route_cache;
mod router;
mod session;
mod settings;
mod shard;
mod shared;
mod subscriber;
mod subscription_tree;
mod sync;
mod text_set;
mod timer;
mod topic_tree;
mod unloaded;
mod will;

pub use effect::{Effect, LogLevel, LogLevels, LogSubject, Password, Ticket, Urgency};
pub use input::{ConnectionKey, Input, ListenerIndex, TransportEnd, Verdict};
pub use memory::Pressure;
pub use message::{Message, MessageView, Publisher, RetainedMessage, Sequence, SessionNumber};
pub use mount_point::MountPoint;
pub use now::Now;
pub use parcel::{Parcel, ShardIndex};
pub use rights::{Access, AccessRule, AccessRules, Whom};
pub use session::{Identifiers, QueueHead};
pub use settings::{Durability, ListenerSettings, Revoked, Settings};
pub use shard::{LoadedPart, RestoreError, Restored, RetainedLoad, Shard};
pub use shared::Shared;
pub use will::Will;

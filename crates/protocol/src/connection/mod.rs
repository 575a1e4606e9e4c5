//! What both ends of a connection keep besides their packets, and the whole of a client's end.

pub mod client;

mod keep_alive;
mod receive_maximum;
mod topic_alias;

pub use client::{ClientConnection, ClientError, ClientEvent, ConnectOptions};
pub use keep_alive::silence_max;
pub use receive_maximum::ReceiveQuota;
pub use topic_alias::{AliasUse, IncomingAliases, OutgoingAliases};

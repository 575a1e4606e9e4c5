//! The QoS 1 and 2 exchanges (section 4.3). Each direction of a connection numbers its own packets, so the two ends of
//! a delivery are two machines: [`Outgoing`] for what this end sends, [`Incoming`] for what it receives.

mod begun;
mod incoming;
mod outgoing;
mod packet_id_window;
mod packet_ids;
mod taken_ids;

pub use incoming::{Incoming, Received};
pub use outgoing::{Outgoing, PubrecOutcome, Resend};
pub use packet_ids::{PacketIdHasher, PacketIdMap, PacketIds};

/// An acknowledgement for an exchange that does not exist, or is not at that point.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("packet identifier is not in use")]
pub struct UnknownPacketId;

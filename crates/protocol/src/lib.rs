//! MQTT on the wire: versions 3.1, 3.1.1 and 5.0, both ends.
//!
//! Bytes become a [`Frame`](frame::Frame), a frame becomes a [`Packet`](packet::Packet) that borrows from it,
//! and a packet becomes bytes again. Beside that stand the machines that both roles share: the QoS 1 and 2
//! deliveries, topic aliases, keep alive and quotas. Nothing here performs I/O or reads a clock.

pub mod connection;
pub mod delivery;
pub mod frame;
pub mod packet;
pub mod property;

mod client_id;
mod decode;
mod field;
mod packet_id;
mod protocol_version;
mod qos;
mod reason_code;
mod role;
mod topic_filter;
mod topic_name;

pub use client_id::{ClientId, ClientIdError};
pub use decode::{DecodeError, EncodeError};
pub use packet_id::PacketId;
pub use protocol_version::ProtocolVersion;
pub use qos::QoS;
pub use reason_code::{ConnectReturnCode, ReasonCode};
pub use role::Role;
pub use topic_filter::{ShareName, SubscriptionFilter, TopicFilter, TopicFilterError};
pub use topic_name::{TopicName, TopicNameError};

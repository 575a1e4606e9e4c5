//! As much of MQTT 3.1.1 and 5.0 as a client needs that keeps books. It is written from the standard and shares nothing
//! with the broker, so that no mistake of the broker's can hide in it.

mod reader;
mod received;
mod writer;

pub use received::{Connack, Kind, Publish, Received, next_frame};
pub use writer::{Connect, Will, acknowledgement, disconnect, pingreq, publish, subscribe};

/// Which standard a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// MQTT 3.1.1
    V311,
    /// MQTT 5.0
    V5,
}

//! What publishers say, and how much of it.

use noctule_client::protocol::QoS;

use super::scenario::End;

/// The same for all publishers of a phase.
pub(super) struct Messages {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Empty, which with `retain` clears what is retained.
    pub(super) is_clearing: bool,
    pub(super) window: Option<u64>,
    pub(super) rate: Option<u64>,
    /// Whether the time of a message is of interest.
    pub(super) is_timed: bool,
    pub(super) amount: Amount,
}

/// How much they say.
pub(super) enum Amount {
    Until(End),
    /// By publisher.
    Each(Vec<u64>),
}

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
    /// What time is of interest.
    pub(super) timed: Timed,
    pub(super) amount: Amount,
}

/// What is timed of each message, from when it was due or published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timed {
    Nothing,
    Delivery,
    Acknowledgement,
}

/// How much they say.
pub(super) enum Amount {
    Until(End),
    /// By publisher.
    Each(Vec<u64>),
}

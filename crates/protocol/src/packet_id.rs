//! Packet Identifier.

use std::num::NonZeroU16;

/// Identifies one unacknowledged exchange of one direction. Never zero [MQTT-2.2.1-3].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier a sender uses.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// `None` for zero, which no packet may carry.
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number on the wire, 1 to 65535.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// How many steps of [`next`](Self::next) lead here from `first`.
    #[inline]
    pub(crate) const fn distance_from(self, first: Self) -> u16 {
        let steps = self.get().wrapping_sub(first.get());
        // Without the step over 0.
        if self.get() >= first.get() { steps } else { steps - 1 }
    }

    /// The identifier after this one; 65535 is followed by 1.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(value) => Self(value),
            None => Self::FIRST,
        }
    }
}

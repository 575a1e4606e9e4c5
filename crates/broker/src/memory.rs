//! How much memory is used against the limit, and from where on which measure is taken.
//!
//! The shell measures, the shards decide. A measure is taken from its level up, with all before it; publishers that were
//! paused go on below the level before theirs, so that they do not start and stop all the time.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// How near the limit is; what each level adds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Pressure {
    /// Below 80 % of the limit, or without one.
    #[default]
    None,
    /// From 80 %: what can be made again is given back.
    ShrinkCaches,
    /// From 85 %: QoS 0 messages are dropped for receivers that do not keep up.
    DropQos0,
    /// From 90 %: connections that publish are not read from.
    PausePublishers,
    /// From 95 %: clients without a session are refused.
    RefuseConnect,
    /// From 97 %: what would have to be kept is refused.
    RefusePublish,
}

/// From how many hundredths of the limit on.
const LEVELS: [(usize, Pressure); 5] = [
    (97, Pressure::RefusePublish),
    (95, Pressure::RefuseConnect),
    (90, Pressure::PausePublishers),
    (85, Pressure::DropQos0),
    (80, Pressure::ShrinkCaches),
];

/// The broker's memory as it was last measured.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes; 0 is no limit.
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0) }
    }

    pub(crate) fn set_used(&self, bytes: usize) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn pressure(&self) -> Pressure {
        let (used, limit) = (self.used(), self.limit());
        // One comparison as long as there is no pressure: this is asked with every input.
        if limit == 0 || used / 4 < limit / 5 {
            return Pressure::None;
        }
        let hundredths = (used as u128 * 100 / limit as u128) as usize;
        let reached = LEVELS.iter().find(|(from, _)| hundredths >= *from);
        reached.map_or(Pressure::None, |(_, pressure)| *pressure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_where_they_say() {
        let memory = Memory::new(1000);
        for (used, pressure) in [
            (0, Pressure::None),
            (799, Pressure::None),
            (800, Pressure::ShrinkCaches),
            (850, Pressure::DropQos0),
            (900, Pressure::PausePublishers),
            (950, Pressure::RefuseConnect),
            (969, Pressure::RefuseConnect),
            (970, Pressure::RefusePublish),
            (5000, Pressure::RefusePublish),
            (usize::MAX, Pressure::RefusePublish),
        ] {
            memory.set_used(used);
            assert_eq!(memory.pressure(), pressure, "{used}");
        }
    }

    #[test]
    fn without_a_limit_there_is_no_pressure() {
        let memory = Memory::new(0);
        memory.set_used(usize::MAX);
        assert_eq!(memory.pressure(), Pressure::None);
    }
}

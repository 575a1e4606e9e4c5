//! Which Packet Identifiers are in use.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::PacketId;

/// A map keyed by Packet Identifier.
pub type PacketIdMap<T> = HashMap<PacketId, T, BuildHasherDefault<PacketIdHasher>>;

/// Spreads a Packet Identifier over the hash. A peer chooses at most 65535 keys and the function is one to one, so
/// nothing can be gained by choosing them badly.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketIdHasher(u64);

impl Hasher for PacketIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8 | u64::from(byte)).wrapping_mul(SPREAD);
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.0 = u64::from(number).wrapping_mul(SPREAD);
    }
}

/// 2^64 divided by the golden ratio, odd.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Deals out Packet Identifiers in a cycle, so that one is not used again soon.
#[derive(Clone, Copy, Debug)]
pub struct PacketIds {
    next: PacketId,
}

impl Default for PacketIds {
    fn default() -> Self {
        Self { next: PacketId::FIRST }
    }
}

impl PacketIds {
    /// The identifier that is next, if it is free.
    #[inline]
    pub(super) const fn peek(&self) -> PacketId {
        self.next
    }

    /// That one was taken.
    #[inline]
    pub(super) fn skip_to_behind(&mut self, taken: PacketId) {
        self.next = taken.next();
    }

    /// The next identifier that is not in use [MQTT-2.2.1-3] [MQTT-2.2.1-4]; `None` when all are. `first_free` gives the
    /// first one from some identifier on that no exchange uses; `is_in_use` tells of other packets, of which there are
    /// few.
    pub fn allocate(
        &mut self,
        mut first_free: impl FnMut(PacketId) -> Option<PacketId>,
        is_in_use: impl Fn(PacketId) -> bool,
    ) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let id = first_free(self.next)?;
            self.next = id.next();
            if !is_in_use(id) {
                return Some(id);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn identifiers_cycle_and_are_never_shared() {
        let mut ids = PacketIds::default();
        let mut used = HashSet::new();
        for expected in 1..=u16::MAX {
            let id = ids.allocate(Some, |id| used.contains(&id)).unwrap();
            assert_eq!(id.get(), expected);
            used.insert(id);
        }
        assert_eq!(ids.allocate(Some, |id| used.contains(&id)), None);
        assert_eq!(ids.allocate(|_| None, |_| false), None);
        let free = PacketId::new(9).unwrap();
        used.remove(&free);
        assert_eq!(ids.allocate(Some, |id| used.contains(&id)), Some(free));
    }
}

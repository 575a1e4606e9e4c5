//! Which session a Client Identifier has, wherever it lives.

use std::sync::Arc;

use ahash::RandomState;

use crate::arena::Arena;
use crate::hash_index::HashIndex;
use crate::router::SessionAddress;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, lock};

/// One session at most for each Client Identifier [MQTT-3.1.4-3]. It is touched when a client connects and when a
/// session ends, each time under one lock of many.
pub(crate) struct Directory {
    hasher: RandomState,
    stripes: Box<[Mutex<Stripe>]>,
    len: AtomicU64,
}

const STRIPE_BITS: u32 = if cfg!(feature = "shuttle") { 1 } else { 6 };

/// What came of asking for a Client Identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Claim {
    /// It was free and belongs to the address now.
    New,
    /// It belongs to this session, which is to be resumed, or ended and released before the next claim.
    Known(SessionAddress),
}

struct Stripe {
    by_client_id: HashIndex,
    entries: Arena<(Arc<str>, SessionAddress), 4>,
}

impl Directory {
    pub(crate) fn new(hasher: RandomState) -> Self {
        let stripe = || Mutex::new(Stripe { by_client_id: HashIndex::new(1), entries: Arena::new() });
        Self { hasher, stripes: (0..1 << STRIPE_BITS).map(|_| stripe()).collect(), len: AtomicU64::new(0) }
    }

    /// How many Client Identifiers have a session.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }

    /// The session of a Client Identifier.
    pub(crate) fn find(&self, client_id: &str) -> Option<SessionAddress> {
        let (stripe, hash) = self.stripe(client_id);
        lock(stripe).find(hash, client_id).map(|(_, address)| address)
    }

    /// Gives a Client Identifier to `address`, unless it has a session. Of two who ask at once, one is told of the other.
    pub(crate) fn claim(&self, client_id: &Arc<str>, address: SessionAddress) -> Claim {
        let (stripe, hash) = self.stripe(client_id);
        let mut stripe = lock(stripe);
        if let Some((_, known)) = stripe.find(hash, client_id) {
            return Claim::Known(known);
        }
        let Stripe { by_client_id, entries } = &mut *stripe;
        by_client_id.insert(hash, entries.insert((Arc::clone(client_id), address)));
        self.len.fetch_add(1, Ordering::Relaxed);
        Claim::New
    }

    /// Frees a Client Identifier, if it belongs to `address`: a session that ends late does no harm to its successor.
    pub(crate) fn release(&self, client_id: &str, address: SessionAddress) -> bool {
        let (stripe, hash) = self.stripe(client_id);
        let mut stripe = lock(stripe);
        let Some((at, _)) = stripe.find(hash, client_id).filter(|(_, known)| *known == address) else {
            return false;
        };
        stripe.by_client_id.remove(hash, at);
        stripe.entries.remove(at);
        self.len.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Calls `f` for some sessions, and says where to go on: a stripe, and a number in it. Looks at about `steps` of them.
    pub(crate) fn walk(
        &self,
        (stripe, from): (usize, u32),
        steps: usize,
        mut f: impl FnMut(&Arc<str>, SessionAddress),
    ) -> Option<(usize, u32)> {
        let entries = &lock(self.stripes.get(stripe)?).entries;
        let to = entries.end().min(from.saturating_add(u32::try_from(steps.max(1)).unwrap_or(u32::MAX)));
        for (client_id, address) in (from..to).filter_map(|at| entries.get(at)) {
            f(client_id, *address);
        }
        Some(if to < entries.end() { (stripe, to) } else { (stripe + 1, 0) })
    }

    fn stripe(&self, client_id: &str) -> (&Mutex<Stripe>, u64) {
        let hash = self.hasher.hash_one(client_id);
        (&self.stripes[(hash >> (u64::BITS - STRIPE_BITS)) as usize], hash)
    }
}

impl Stripe {
    fn find(&self, hash: u64, client_id: &str) -> Option<(u32, SessionAddress)> {
        let is = |at| self.entries.get(at).is_some_and(|(other, _)| **other == *client_id);
        let at = self.by_client_id.find(hash, is)?;
        self.entries.get(at).map(|(_, address)| (at, *address))
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::SessionNumber;
    use crate::parcel::ShardIndex;

    #[test]
    fn a_client_has_one_session_until_that_very_one_is_released() {
        let directory = Directory::new(RandomState::with_seeds(1, 2, 3, 4));
        let shard = ShardIndex(0);
        let address =
            |number: u32| SessionAddress { shard, slot: number, number: SessionNumber(number.into()) };
        let lamp: Arc<str> = "lamp".into();
        assert_eq!(directory.find("lamp"), None);
        assert_eq!(directory.claim(&lamp, address(1)), Claim::New);
        assert_eq!(directory.claim(&lamp, address(2)), Claim::Known(address(1)));
        assert!(!directory.release("lamp", address(2)) && !directory.release("lam", address(1)));
        assert_eq!((directory.find("lamp"), directory.len()), (Some(address(1)), 1));
        assert!(directory.release("lamp", address(1)) && !directory.release("lamp", address(1)));
        assert_eq!(directory.claim(&lamp, address(2)), Claim::New);
        assert_eq!(directory.len(), 1);
    }

    #[test]
    fn a_walk_comes_to_every_session_once() {
        let directory = Directory::new(RandomState::with_seeds(1, 2, 3, 4));
        let mut expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        for (number, client_id) in (0..).zip(&expected) {
            let address = SessionAddress { shard: ShardIndex(0), slot: 0, number: SessionNumber(number) };
            assert_eq!(directory.claim(&client_id.as_str().into(), address), Claim::New);
        }
        let (mut found, mut cursor) = (Vec::new(), Some((0, 0)));
        while let Some(from) = cursor {
            cursor = directory.walk(from, 3, |client_id, _| found.push(client_id.to_string()));
        }
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

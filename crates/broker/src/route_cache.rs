//! Routes that a shard remembers.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::generations::{Stripes, TopicHash};

/// What was resolved for topics, in at most so many bytes.
///
/// Routes are held in two halves. One that is used moves to the young half; when that is full it becomes the old
/// half, and what was not used since the last time is forgotten with the half before.
pub(crate) struct RouteCache<T> {
    young: HashTable<Remembered<T>>,
    old: HashTable<Remembered<T>>,
    young_bytes: usize,
    bytes_max: usize,
    /// Which topics were looked for lately, by a part of their hash.
    seen: Box<[u32]>,
}

/// Slots of the table that tells a topic's second use from its first.
const SEEN_SLOTS: usize = 4096;

struct Remembered<T> {
    topic: Box<str>,
    hash: TopicHash,
    route: Arc<T>,
    /// What the route takes.
    route_bytes: usize,
    stripes: Stripes,
    generation: u64,
}

impl<T> RouteCache<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashTable::new(),
            old: HashTable::new(),
            young_bytes: 0,
            bytes_max,
            seen: vec![0; SEEN_SLOTS].into_boxed_slice(),
        }
    }

    /// The route of `topic` and what it depends on, if it is remembered and nothing has changed since: `generation` tells what the
    /// generation of a topic is now.
    pub(crate) fn get(
        &mut self,
        topic: &str,
        hash: TopicHash,
        generation: impl Fn(Stripes) -> u64,
    ) -> Option<(Arc<T>, Stripes, u64)> {
        let is = |remembered: &Remembered<T>| *remembered.topic == *topic;
        if let Some(remembered) = self.young.find(hash.0, is) {
            let is_current = generation(remembered.stripes) == remembered.generation;
            return is_current.then(|| remembered.found());
        }
        let (remembered, _) = self.old.find_entry(hash.0, is).ok()?.remove();
        if generation(remembered.stripes) != remembered.generation {
            return None;
        }
        let found = remembered.found();
        self.insert(remembered);
        Some(found)
    }

    /// Whether a topic was looked for lately: a route is worth remembering from its second use on.
    pub(crate) fn is_second_use(&mut self, hash: TopicHash) -> bool {
        let mark = (hash.0 >> 32) as u32 | 1;
        let slot = &mut self.seen[hash.0 as usize % SEEN_SLOTS];
        std::mem::replace(slot, mark) == mark
    }

    /// Remembers a route, which takes so many bytes. `generation` was read before it was resolved.
    pub(crate) fn put(
        &mut self,
        topic: &str,
        hash: TopicHash,
        (stripes, generation): (Stripes, u64),
        route: &Arc<T>,
        route_bytes: usize,
    ) {
        let topic = match self.young.find_entry(hash.0, |remembered| *remembered.topic == *topic) {
            Ok(outdated) => {
                let (outdated, _) = outdated.remove();
                self.young_bytes -= outdated.bytes();
                outdated.topic
            }
            Err(_) => topic.into(),
        };
        self.insert(Remembered { topic, hash, route: Arc::clone(route), route_bytes, stripes, generation });
    }

    /// Forgets all of them and gives their memory back.
    pub(crate) fn clear(&mut self) {
        self.young = HashTable::new();
        self.old = HashTable::new();
        self.young_bytes = 0;
    }

    fn insert(&mut self, remembered: Remembered<T>) {
        let bytes = remembered.bytes();
        if bytes > self.bytes_max / 2 {
            return;
        }
        if self.young_bytes + bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert_unique(remembered.hash.0, remembered, |other| other.hash.0);
    }
}

impl<T> Remembered<T> {
    fn found(&self) -> (Arc<T>, Stripes, u64) {
        (Arc::clone(&self.route), self.stripes, self.generation)
    }

    fn bytes(&self) -> usize {
        // With its share of a table that is half full, and the counts of its Arc.
        2 * size_of::<Self>() + self.topic.len() + 2 * size_of::<usize>() + self.route_bytes
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::generations::Generations;
    use ahash::RandomState;

    fn generations() -> Generations {
        Generations::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn a_route_is_remembered_until_something_changes() {
        let generations = generations();
        let mut cache = RouteCache::new(10_000);
        let hash = generations.hash("a/b");
        let stripes = generations.stripes("a/b", hash);
        let now = |stripes| generations.sum(stripes);
        assert_eq!([(); 3].map(|()| cache.is_second_use(hash)), [false, true, true]);
        assert!(cache.get("a/b", hash, now).is_none());
        cache.put("a/b", hash, (stripes, now(stripes)), &vec![1].into(), 8);
        assert_eq!(cache.get("a/b", hash, now).map(|(route, ..)| route).as_deref(), Some(&vec![1]));
        generations.count("a/c");
        assert!(cache.get("a/b", hash, now).is_some());
        let before = now(stripes);
        generations.count("a/+");
        assert!(cache.get("a/b", hash, now).is_none());
        // Resolved before the change, put in after it.
        cache.put("a/b", hash, (stripes, before), &vec![1].into(), 8);
        assert!(cache.get("a/b", hash, now).is_none());
        cache.put("a/b", hash, (stripes, now(stripes)), &vec![1, 2].into(), 16);
        assert_eq!(cache.get("a/b", hash, now).map(|(route, ..)| route).as_deref(), Some(&vec![1, 2]));
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let generations = generations();
        let mut cache = RouteCache::new(100_000);
        let now = |stripes| generations.sum(stripes);
        let put = |cache: &mut RouteCache<Vec<u64>>, topic: &str, targets: usize| {
            let hash = generations.hash(topic);
            let stripes = generations.stripes(topic, hash);
            cache.put(topic, hash, (stripes, 0), &vec![7; targets].into(), targets * 8);
        };
        put(&mut cache, "used", 1);
        for n in 0..10_000 {
            put(&mut cache, &format!("t/{n}"), n % 10);
            assert!(cache.get("used", generations.hash("used"), now).is_some(), "{n}");
            let bytes: usize = cache.young.iter().chain(&cache.old).map(Remembered::bytes).sum();
            assert!(bytes <= 100_000, "{bytes}");
        }
        assert_eq!(
            (
                cache.get("t/1", generations.hash("t/1"), now),
                cache.get("t/9999", generations.hash("t/9999"), now).is_some()
            ),
            (None, true)
        );
        put(&mut cache, "wide", 10_000);
        assert_eq!(cache.get("wide", generations.hash("wide"), now), None);
        put(&mut cache, "used", 10_000);
        let bytes: usize = cache.young.iter().chain(&cache.old).map(Remembered::bytes).sum();
        assert!(bytes <= 100_000, "{bytes}");
    }
}

//! The only state that shards share: the topic tree, retained messages, the directory of clients, numbers
//! and counters. Locks are held for one look-up or change, never across a call out.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use ahash::RandomState;
use noctule_protocol::{QoS, SubscriptionFilter};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::directory::Directory;
use crate::generations::{Generations, Stripes, TopicHash};
use crate::group_directory::{GroupDirectory, Joined};
use crate::memory::{Memory, Pressure};
use crate::message::{RetainedMessage, SessionNumber};
use crate::metric::Metrics;
use crate::parcel::ShardIndex;
use crate::retained::{Retained, Version};
use crate::router::{Destination, GroupAddress};
use crate::settings::Settings;
use crate::subscriber::{PackedSubscriber, Subscriber};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock, lock, read, write};
use crate::topic_tree::{Cursor, Scratch, TopicTree};
use crate::unloaded::Unloaded;

/// What all shards of one broker share.
pub struct Shared {
    /// What is counted.
    pub metrics: Metrics,
    pub(crate) directory: Directory,
    pub(crate) retained: Retained<RetainedMessage>,
    pub(crate) unloaded: Unloaded,
    groups: Mutex<GroupDirectory>,
    subscriptions: RwLock<TopicTree<PackedSubscriber>>,
    /// Change with `subscriptions`; read without the lock.
    generations: Generations,
    next_session: AtomicU64,
    next_client_id: AtomicU64,
    memory: Memory,
    /// The store has little room left.
    store_is_low: AtomicBool,
    secret: [u64; 2],
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Filters that leave the topic tree under one lock: each takes about a microsecond, and others wait at most 100.
const BATCH: usize = 64;

impl Shared {
    /// An empty broker.
    pub fn new(settings: &Settings) -> Self {
        Self {
            metrics: Metrics::default(),
            directory: Directory::new(hasher(settings)),
            retained: Retained::new(hasher(settings)),
            unloaded: Unloaded::new(hasher(settings)),
            groups: Mutex::new(GroupDirectory::new(hasher(settings))),
            subscriptions: RwLock::new(TopicTree::new(hasher(settings))),
            generations: Generations::new(hasher(settings)),
            next_session: AtomicU64::new(1),
            next_client_id: AtomicU64::new(0),
            memory: Memory::new(settings.memory_limit),
            store_is_low: AtomicBool::new(false),
            secret: settings.secret,
        }
    }

    /// Tells how many bytes of memory the broker uses.
    pub fn set_memory_used(&self, bytes: usize) {
        self.memory.set_used(bytes);
    }

    /// How many bytes of memory the broker was last told to use.
    pub fn memory_used(&self) -> usize {
        self.memory.used()
    }

    /// Tells how many it may use from now on; 0 is any number.
    pub(crate) fn set_memory_limit(&self, bytes: usize) {
        self.memory.set_limit(bytes);
    }

    /// How many it may use; 0 is any number.
    pub fn memory_limit(&self) -> usize {
        self.memory.limit()
    }

    /// How near the limit is.
    pub fn memory_pressure(&self) -> Pressure {
        self.memory.pressure()
    }

    /// Tells whether the store has so little room left that nothing more should be kept. What was kept goes on, and so
    /// does what gives room back.
    pub fn set_store_low(&self, is_low: bool) {
        self.store_is_low.store(is_low, Ordering::Relaxed);
    }

    /// Whether the store has little room left.
    pub fn store_is_low(&self) -> bool {
        self.store_is_low.load(Ordering::Relaxed)
    }

    /// How many sessions exist, connected or not.
    pub fn session_count(&self) -> usize {
        self.directory.len()
    }

    /// How many messages are retained.
    pub fn retained_count(&self) -> usize {
        self.retained.len()
    }

    /// How long the payloads of the retained messages are.
    pub fn retained_bytes(&self) -> u64 {
        self.retained.payload_bytes()
    }

    /// How many shared subscriptions exist; one with several members counts once.
    pub fn shared_subscription_count(&self) -> usize {
        lock(&self.groups).len()
    }

    /// How many subscriptions exist; a shared one counts once.
    pub fn subscription_count(&self) -> usize {
        read(&self.subscriptions).len()
    }

    /// Calls `f` for every subscription that wants `topic`, under a lock: it should be quick.
    pub(crate) fn for_each_subscriber(
        &self,
        topic: &str,
        scratch: &mut Scratch,
        mut f: impl FnMut(Subscriber),
    ) {
        read(&self.subscriptions).for_each_match(topic, scratch, |&subscriber| f(subscriber.into()));
    }

    /// Calls `f` for some subscriptions, about `steps`, and says where to go on.
    pub(crate) fn walk_subscriptions(
        &self,
        from: Cursor,
        steps: usize,
        mut f: impl FnMut(&str, Subscriber),
    ) -> Option<Cursor> {
        read(&self.subscriptions).walk(from, steps, |filter, &subscriber| f(filter, subscriber.into()))
    }

    pub(crate) fn topic_hash(&self, topic: &str) -> TopicHash {
        self.generations.hash(topic)
    }

    /// Which changes of subscriptions may change who wants `topic`, which has this hash.
    pub(crate) fn stripes(&self, topic: &str, hash: TopicHash) -> Stripes {
        self.generations.stripes(topic, hash)
    }

    /// What is read here before [`for_each_subscriber`](Self::for_each_subscriber) is called changes when that would
    /// have another result.
    pub(crate) fn generation(&self, stripes: Stripes) -> u64 {
        self.generations.sum(stripes)
    }

    /// Makes or replaces a subscription, which may depend on the newest retained version at that moment; true if it is
    /// new.
    ///
    /// The order matters, see [`Version`]. First the generation: whoever retains a message later and then asks for
    /// the route sees it, and waits for the lock. Then the version.
    pub(crate) fn subscribe(&self, filter: &str, subscriber: impl FnOnce(Version) -> Subscriber) -> bool {
        let mut tree = write(&self.subscriptions);
        self.generations.count(filter);
        tree.insert(filter, subscriber(self.retained.version()).into()).is_none()
    }

    /// Ends a subscription, if there is one.
    pub(crate) fn unsubscribe(&self, filter: &str, to: Destination) {
        let mut tree = write(&self.subscriptions);
        self.generations.count(filter);
        tree.remove(filter, to);
    }

    /// Ends many subscriptions of one session. Whoever waits for the lock gets it every [`BATCH`] filters.
    pub(crate) fn unsubscribe_all<'a>(&self, filters: impl Iterator<Item = Cow<'a, str>>, to: Destination) {
        let mut filters = filters.peekable();
        while filters.peek().is_some() {
            let mut tree = write(&self.subscriptions);
            for filter in filters.by_ref().take(BATCH) {
                self.generations.count(&filter);
                tree.remove(&filter, to);
            }
        }
    }

    /// A session of `shard` joins the group of a shared subscription; `again` if it is in it already.
    pub(crate) fn join(
        &self,
        filter: SubscriptionFilter<'_>,
        again: bool,
        lasts: bool,
        shard: ShardIndex,
    ) -> Joined {
        let mut groups = lock(&self.groups);
        let joined = groups.join(filter.as_str(), again, lasts, shard);
        if joined.is_news {
            // Still under the lock: a group that ends meanwhile must not be entered behind its end.
            let subscriber = Subscriber {
                to: Destination::Group(joined.address),
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                lasts: joined.lasts,
                identifier: 0,
                since: Version::ZERO,
            };
            self.subscribe(filter.filter.as_str(), |_| subscriber);
        }
        joined
    }

    /// The group with this whole filter.
    pub(crate) fn group(&self, filter: &str) -> Option<GroupAddress> {
        lock(&self.groups).find(filter)
    }

    /// The whole filter of a group; empty if it is gone.
    pub(crate) fn group_filter(&self, group: GroupAddress) -> Arc<str> {
        let groups = lock(&self.groups);
        groups.filter(group).unwrap_or_default()
    }

    /// A session leaves the group of a shared subscription; the last one out ends it.
    pub(crate) fn leave(&self, filter: &str, group: GroupAddress) {
        let mut groups = lock(&self.groups);
        if groups.leave(filter)
            && let Ok(filter) = SubscriptionFilter::parse(filter)
        {
            self.unsubscribe(filter.filter.as_str(), Destination::Group(group));
        }
    }

    pub(crate) fn next_session_number(&self) -> SessionNumber {
        SessionNumber(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Numbers up to `number` are taken, by sessions that were restored.
    pub(crate) fn session_numbers_taken(&self, number: SessionNumber) {
        self.next_session.fetch_max(number.0 + 1, Ordering::Relaxed);
    }

    /// A Client Identifier nobody has and nobody can guess: the prefix and 128 bits, shaped as Mosquitto's
    /// [MQTT-3.2.2-16].
    pub(crate) fn new_client_id(&self, prefix: &str) -> String {
        let [key0, key1] = self.secret;
        let mut hasher = SipHasher24::new_with_keys(key0, key1);
        hasher.write_u64(self.next_client_id.fetch_add(1, Ordering::Relaxed));
        let hash = hasher.finish128().as_u128();
        format!(
            "{prefix}{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            hash >> 96,
            hash >> 80 & 0xFFFF,
            hash >> 64 & 0xFFFF,
            hash >> 48 & 0xFFFF,
            hash & 0xFFFF_FFFF_FFFF
        )
    }
}

/// Hashing that nobody outside can foresee and that a simulation can repeat.
pub(crate) fn hasher(settings: &Settings) -> RandomState {
    let [a, b] = settings.secret;
    RandomState::with_seeds(a, b, a.rotate_left(32), b.rotate_left(32))
}

//! The only state that shards share: the topic tree, retained messages, the directory of clients, numbers
//! and counters. Locks are held for one look-up or change, never across a call out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;
use noctule_protocol::{QoS, SubscriptionFilter};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::group_directory::{GroupDirectory, Joined};
use crate::message::{RetainedMessage, SessionNumber};
use crate::metric::Metrics;
use crate::parcel::ShardIndex;
use crate::retained::Retained;
use crate::router::{Destination, GroupAddress, SessionAddress, Subscriber};
use crate::settings::Settings;
use crate::topic_tree::TopicTree;

/// What all shards of one broker share.
pub struct Shared {
    /// What is counted.
    pub metrics: Metrics,
    subscriptions: RwLock<TopicTree<Subscriber>>,
    /// Changes with every change of `subscriptions`; read without the lock.
    generation: AtomicU64,
    retained: RwLock<Retained<(u64, RetainedMessage)>>,
    /// Counts what was retained.
    retained_version: AtomicU64,
    directory: Mutex<HashMap<Arc<str>, SessionAddress, RandomState>>,
    groups: Mutex<GroupDirectory>,
    next_session: AtomicU64,
    next_client_id: AtomicU64,
    secret: [u64; 2],
}

impl Shared {
    /// An empty broker.
    pub fn new(settings: &Settings) -> Self {
        Self {
            metrics: Metrics::default(),
            subscriptions: RwLock::new(TopicTree::new(hasher(settings))),
            generation: AtomicU64::new(0),
            retained: RwLock::new(Retained::new()),
            retained_version: AtomicU64::new(0),
            directory: Mutex::new(HashMap::with_hasher(hasher(settings))),
            groups: Mutex::new(GroupDirectory::new(hasher(settings))),
            next_session: AtomicU64::new(1),
            next_client_id: AtomicU64::new(0),
            secret: settings.secret,
        }
    }

    /// How many sessions exist, connected or not.
    pub fn session_count(&self) -> usize {
        self.directory().len()
    }

    /// How many messages are retained.
    pub fn retained_count(&self) -> usize {
        self.retained().len()
    }

    /// How many subscriptions exist; a shared one counts once.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions().len()
    }

    pub(crate) fn subscriptions(&self) -> RwLockReadGuard<'_, TopicTree<Subscriber>> {
        self.subscriptions.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscriptions_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes or replaces a subscription, which may depend on the newest version that is retained at that moment; true
    /// if it is new.
    pub(crate) fn subscribe(&self, filter: &str, subscriber: impl FnOnce(u64) -> Subscriber) -> bool {
        let mut tree = self.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        let subscriber = subscriber(self.retained_version.load(Ordering::Acquire));
        let replaced = tree.insert(filter, subscriber, |other| other.to == subscriber.to);
        self.generation.store(tree.generation(), Ordering::Release);
        replaced.is_none()
    }

    pub(crate) fn unsubscribe(&self, filter: &str, to: Destination) {
        let mut tree = self.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        tree.remove(filter, |other| other.to == to);
        self.generation.store(tree.generation(), Ordering::Release);
    }

    /// A session of `shard` joins the group of a shared subscription; `again` if it is in it already.
    pub(crate) fn join(
        &self,
        filter: SubscriptionFilter<'_>,
        again: bool,
        lasts: bool,
        shard: ShardIndex,
    ) -> Joined {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
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
                since: 0,
            };
            self.subscribe(filter.filter.as_str(), |_| subscriber);
        }
        joined
    }

    /// The group with this whole filter.
    pub(crate) fn group(&self, filter: &str) -> Option<GroupAddress> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).find(filter)
    }

    /// The whole filter of a group; empty if it is gone.
    pub(crate) fn group_filter(&self, group: GroupAddress) -> Arc<str> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.filter(group).unwrap_or_default()
    }

    /// A session leaves the group of a shared subscription; the last one out ends it.
    pub(crate) fn leave(&self, filter: &str, group: GroupAddress) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.leave(filter)
            && let Ok(filter) = SubscriptionFilter::parse(filter)
        {
            self.unsubscribe(filter.filter.as_str(), Destination::Group(group));
        }
    }

    pub(crate) fn retained(&self) -> RwLockReadGuard<'_, Retained<(u64, RetainedMessage)>> {
        self.retained.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn retained_mut(&self) -> RwLockWriteGuard<'_, Retained<(u64, RetainedMessage)>> {
        self.retained.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Retains a message; gives its version.
    pub(crate) fn retain(&self, message: RetainedMessage) -> u64 {
        let mut retained = self.retained_mut();
        let version = self.retained_version.fetch_add(1, Ordering::AcqRel) + 1;
        let topic: Box<str> = message.message.topic().into();
        retained.set(&topic, (version, message));
        version
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, HashMap<Arc<str>, SessionAddress, RandomState>> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `address` the session of a client that has none; gives the one it has.
    pub(crate) fn claim(&self, client_id: &Arc<str>, address: SessionAddress) -> Option<SessionAddress> {
        match self.directory().entry(Arc::clone(client_id)) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(vacant) => {
                vacant.insert(address);
                None
            }
        }
    }

    /// The session at `address` has ended.
    pub(crate) fn release(&self, client_id: &Arc<str>, address: SessionAddress) {
        let mut directory = self.directory();
        if directory.get(client_id) == Some(&address) {
            directory.remove(client_id);
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

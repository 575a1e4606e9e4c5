//! What is retained on the disk and not in memory yet, while a broker that serves already reads it.
//!
//! It is read in the order of its topics, so all that is not in memory lies behind one topic. What clients retain meanwhile
//! is newer than what the disk has, and stays; what they clear is noted, so that it is not read back.

use std::collections::BTreeSet;

use super::{Entry, Retained, Stripe, Topical, Version};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{RwLock, lock, read, write};

/// How far what is retained was read.
pub(super) struct Loading {
    /// Whether there is more. Read without the lock: a broker that has all pays one look.
    is_under_way: AtomicBool,
    /// All topics before this one are in memory.
    loaded_to: RwLock<String>,
}

/// Topics of a stripe that were cleared and may still be on the disk.
pub(super) type Cleared = Option<Box<BTreeSet<Box<str>>>>;

impl Loading {
    pub(super) fn new() -> Self {
        Self { is_under_way: AtomicBool::new(false), loaded_to: RwLock::new(String::new()) }
    }

    /// Whether the disk may have a message of `topic` that memory has not. To be asked under the lock of its stripe.
    fn may_lack(&self, topic: &str) -> bool {
        self.is_under_way.load(Ordering::Acquire) && topic >= read(&self.loaded_to).as_str()
    }
}

impl<M: Topical> Retained<M> {
    /// From now on the disk has messages that are not here. To be called before anybody is served.
    pub(crate) fn begin_loading(&self) {
        self.loading.is_under_way.store(true, Ordering::Release);
    }

    /// Takes in a message from the disk, unless its topic was changed since. Topics come in the order of their bytes.
    pub(crate) fn load(&self, message: M) {
        let (stripe, hash) = self.stripe(message.topic());
        let mut stripe = lock(stripe);
        let was_cleared = stripe.cleared.as_ref().is_some_and(|cleared| cleared.contains(message.topic()));
        if was_cleared || stripe.find(hash, message.topic().as_bytes()).is_some() {
            return;
        }
        // Older than whatever was retained since the start: it comes to every subscription by its walk.
        self.enter(&message);
        stripe.insert(hash, Entry { message, version: Version::ZERO });
    }

    /// All topics up to and including `topic` were taken in.
    pub(crate) fn loaded_to(&self, topic: &str) {
        *write(&self.loading.loaded_to) = format!("{topic}\0");
    }

    /// Everything was taken in.
    pub(crate) fn end_loading(&self) {
        self.loading.is_under_way.store(false, Ordering::Release);
        // Whoever found it under way held the lock of a stripe, so nothing is noted any more where it was forgotten.
        self.stripes.iter().for_each(|stripe| lock(stripe).cleared = None);
    }

    /// Whether there is a message of `topic`, or may be one on the disk.
    pub(crate) fn may_have(&self, topic: &str) -> bool {
        let (stripe, hash) = self.stripe(topic);
        let stripe = lock(stripe);
        stripe.find(hash, topic.as_bytes()).is_some() || self.lacks(&stripe, topic)
    }

    /// Whether the disk may have messages that are not here.
    pub(crate) fn is_loading(&self) -> bool {
        self.loading.is_under_way.load(Ordering::Acquire)
    }

    /// Whether all that is retained for `filter` is here: what it matches begins with what stands before its first
    /// wildcard.
    pub(crate) fn is_loaded(&self, filter: &str) -> bool {
        let begin = filter.split(['+', '#']).next().unwrap_or_default();
        if begin.len() == filter.len() {
            let (stripe, hash) = self.stripe(filter);
            let stripe = lock(stripe);
            return stripe.find(hash, filter.as_bytes()).is_some() || !self.lacks(&stripe, filter);
        }
        // `a/#` matches `a` too, which comes before all others.
        let loaded_to = read(&self.loading.loaded_to);
        !self.is_loading() || loaded_to.as_bytes().iter().take(begin.len()).gt(begin.as_bytes())
    }

    /// Whether the disk may have a message of a topic of this stripe that has none in memory.
    pub(super) fn lacks(&self, stripe: &Stripe<M>, topic: &str) -> bool {
        let was_cleared = || stripe.cleared.as_ref().is_some_and(|cleared| cleared.contains(topic));
        self.loading.may_lack(topic) && !was_cleared()
    }

    /// Notes that what the disk may have of this topic is not to be read back.
    pub(super) fn note_cleared(&self, stripe: &mut Stripe<M>, topic: &str) {
        if self.loading.may_lack(topic) {
            stripe.cleared.get_or_insert_default().insert(topic.into());
        }
    }
}

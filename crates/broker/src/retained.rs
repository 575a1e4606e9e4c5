//! The retained message of each topic.

use ahash::RandomState;

use crate::arena::Arena;
use crate::hash_index::HashIndex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, RwLock, lock, read, write};
use crate::text_set::{TextSet, Walk, text};

mod loading;

use loading::{Cleared, Loading};

/// Retained messages by Topic Name, found by name and by Topic Filter. All shards use it at once.
///
/// ```text
/// stripes, by the topic's hash, a lock each      index, one lock
/// [ hash → message, version ]                    a/b  a/b/c  a/c  b
/// [ hash → message, version ]                    every topic that has a message, in the order of its bytes
/// ```
///
/// Replacing a message, by far the most frequent change, touches its stripe alone; a topic that comes or goes changes
/// the index too, under the lock of its stripe. All topics below a level lie side by side in the index, so a filter
/// is matched by walking it and jumping over every stretch in which nothing can match. A walk holds the index for a
/// few dozen topics at a time, then looks their messages up; it can stop at any topic and go on behind it later,
/// whatever was changed in between. A topic that has a message all the time is not missed, and the order is fixed.
///
/// Topics and filters are expected to be well formed, as the protocol crate parses them.
pub(crate) struct Retained<M> {
    hasher: RandomState,
    stripes: Box<[Mutex<Stripe<M>>]>,
    index: RwLock<TextSet>,
    version: AtomicU64,
    len: AtomicU64,
    payload_bytes: AtomicU64,
    loading: Loading,
}

const STRIPE_BITS: u32 = if cfg!(feature = "shuttle") { 1 } else { 6 };
/// Topics a walk looks at before it lets others change the index.
const WALK_STEPS: usize = if cfg!(feature = "shuttle") { 1 } else { 64 };
/// Neighbours looked at before a jump searches from the root of the index.
const NEIGHBOURS: usize = 8;

/// What is retained.
pub(crate) trait Topical {
    /// The Topic Name it is retained for.
    fn topic(&self) -> &str;
    /// How long the message is.
    fn payload_bytes(&self) -> usize;
}

/// Counts changes of the retained store. Tells which way a message comes to a subscriber that enters while it is being
/// published: retained first and routed afterwards, it must come once.
///
/// A publisher retains the message, which gives it its version, and then asks for the route. A subscriber enters the
/// topic tree and takes the newest version there is, both under the tree's write lock
/// ([`Shared::subscribe`](crate::Shared)), and then walks the retained messages. So a version that is newer than the
/// subscriber's is routed to somebody who is in the tree already; one that is not newer is found by the walk, unless
/// a newer one has taken its place, which comes live.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version(pub(crate) u64);

impl Version {
    /// Where there is no walk, everything comes live.
    pub(crate) const ZERO: Self = Self(0);

    /// Whether a subscriber that entered at this version gets a message that was retained as `version` when it is
    /// routed. If not, it gets it by walking the retained messages, if it does.
    pub(crate) fn hears_live(self, version: Self) -> bool {
        version > self
    }
}

struct Stripe<M> {
    by_topic: HashIndex,
    entries: Arena<Entry<M>, 8>,
    cleared: Cleared,
}

struct Entry<M> {
    message: M,
    version: Version,
}

impl<M: Topical> Retained<M> {
    /// Nothing retained.
    pub(crate) fn new(hasher: RandomState) -> Self {
        let stripe =
            || Mutex::new(Stripe { by_topic: HashIndex::new(1), entries: Arena::new(), cleared: None });
        Self {
            hasher,
            stripes: (0..1 << STRIPE_BITS).map(|_| stripe()).collect(),
            index: RwLock::new(TextSet::new()),
            version: AtomicU64::new(0),
            len: AtomicU64::new(0),
            payload_bytes: AtomicU64::new(0),
            loading: Loading::new(),
        }
    }

    /// How many topics have a retained message.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }

    /// How long all these messages are.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes.load(Ordering::Relaxed)
    }

    fn count_bytes(&self, before: usize, now: usize) {
        if before != now {
            // A decrease wraps around.
            let change = (now as u64).wrapping_sub(before as u64);
            self.payload_bytes.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// The newest version there is, for a subscriber that enters now.
    ///
    /// Changes read and write the same counter, so they are all in one order with this: whoever gets a newer version
    /// sees all that happened here before, the subscriber's entry above all.
    pub(crate) fn version(&self) -> Version {
        Version(self.version.fetch_add(0, Ordering::AcqRel))
    }

    /// To be called last, when the change can be found: who enters at this version or later walks over it.
    fn next_version(&self) -> Version {
        Version(self.version.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Retains `message` in place of what was retained for its topic [MQTT-3.3.1-5], [MQTT311-3.3.1-5].
    pub(crate) fn set(&self, message: M) -> Version {
        let (stripe, hash) = self.stripe(message.topic());
        let mut stripe = lock(stripe);
        if let Some(entry) = stripe.get_mut(hash, message.topic()) {
            self.count_bytes(entry.message.payload_bytes(), message.payload_bytes());
            entry.message = message;
            entry.version = self.next_version();
            return entry.version;
        }
        self.enter(&message);
        let version = self.next_version();
        stripe.insert(hash, Entry { message, version });
        version
    }

    /// Enters a topic where walks find it, under the lock of its stripe.
    fn enter(&self, message: &M) {
        self.count_bytes(0, message.payload_bytes());
        write(&self.index).insert(message.topic());
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets the message of `topic`. `None` if there is none, and none on the disk either.
    pub(crate) fn remove(&self, topic: &str) -> Option<Version> {
        let (stripe, hash) = self.stripe(topic);
        let mut stripe = lock(stripe);
        self.remove_from(&mut stripe, hash, topic)
    }

    fn remove_from(&self, stripe: &mut Stripe<M>, hash: u64, topic: &str) -> Option<Version> {
        let removed = stripe.remove(hash, topic);
        let was_on_disk = removed.is_none() && self.lacks(stripe, topic);
        self.note_cleared(stripe, topic);
        if let Some(removed) = &removed {
            self.count_bytes(removed.message.payload_bytes(), 0);
            write(&self.index).remove(topic);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        (removed.is_some() || was_on_disk).then(|| self.next_version())
    }

    /// The message of `topic`.
    #[cfg(test)]
    pub(crate) fn get(&self, topic: &str) -> Option<M>
    where
        M: Clone,
    {
        self.find(topic).map(|(_, message)| message)
    }

    /// The message of `topic` and its version.
    pub(crate) fn find(&self, topic: &str) -> Option<(Version, M)>
    where
        M: Clone,
    {
        let (stripe, hash) = self.stripe(topic);
        lock(stripe).get(hash, topic.as_bytes()).map(|entry| (entry.version, entry.message.clone()))
    }

    /// The version of the message of `topic`.
    pub(crate) fn version_of(&self, topic: &str) -> Option<Version> {
        let (stripe, hash) = self.stripe(topic);
        lock(stripe).get(hash, topic.as_bytes()).map(|entry| entry.version)
    }

    /// Calls `f` for topics that `filter` matches, ordered by the bytes of the topic. It is called under a lock: it
    /// may not come back here, and should be quick.
    ///
    /// Ends after looking at `steps` topics, matching or not, at least one, and returns where to go on: the next
    /// call's `from`. `None` means that all is done. What was looked at is taken off `steps`.
    ///
    /// Topics that are set or removed between two calls are seen if they lie behind the cursor.
    ///
    /// A filter that begins with a wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1],
    /// [MQTT311-4.7.2-1].
    pub(crate) fn for_some_matches(
        &self,
        filter: &str,
        from: Option<&str>,
        steps: &mut usize,
        mut f: impl FnMut(Version, &M),
    ) -> Option<String> {
        *steps = (*steps).max(1);
        if !filter.split('/').any(|level| level == "+" || level == "#") {
            if from.is_none() {
                self.look_up(filter.as_bytes(), &mut f);
            }
            *steps -= 1;
            return None;
        }
        let mut cursor = Some(from.unwrap_or_default().as_bytes().to_vec());
        let mut found = Topics::default();
        while *steps > 0
            && let Some(from) = cursor
        {
            found.clear();
            cursor = self.collect(filter.as_bytes(), &from, steps, &mut found);
            found.iter().for_each(|topic| self.look_up(topic, &mut f));
        }
        cursor.as_deref().map(text)
    }

    /// Notes which topics from `from` on match, looking at a few. Gives where to go on.
    fn collect(&self, filter: &[u8], from: &[u8], steps: &mut usize, found: &mut Topics) -> Option<Vec<u8>> {
        let index = read(&self.index);
        let mut target = Vec::new();
        let mut walk = index.walk_from(from);
        let mut left = WALK_STEPS.min(*steps);
        *steps -= left;
        let mut next = walk.next();
        while let Some(topic) = next {
            if left == 0 {
                return Some(topic.to_vec());
            }
            left -= 1;
            match compare(filter, topic, &mut target) {
                Verdict::Match => {
                    found.push(topic);
                    next = walk.next();
                }
                Verdict::Next => next = walk.next(),
                Verdict::End => break,
                Verdict::Jump => {
                    if !near(&mut walk, &target) {
                        walk = index.walk_from(&target);
                    }
                    next = walk.next();
                }
            }
        }
        *steps += left;
        None
    }

    fn look_up(&self, topic: &[u8], f: &mut impl FnMut(Version, &M)) {
        let (stripe, hash) = self.stripe_of(topic);
        if let Some(entry) = lock(stripe).get(hash, topic) {
            f(entry.version, &entry.message);
        }
    }

    /// Removes messages that `keep` does not want, looking at `max_steps` topics from `from` on, and returns
    /// where to go on: the next call's `from`. `None` means that the last topic was seen.
    pub(crate) fn sweep(
        &self,
        from: Option<String>,
        max_steps: usize,
        mut keep: impl FnMut(&M) -> bool,
    ) -> Option<String> {
        let mut steps = max_steps.max(1);
        let mut cursor = Some(from.map_or_else(Vec::new, String::into_bytes));
        let mut found = Topics::default();
        while steps > 0
            && let Some(from) = cursor
        {
            found.clear();
            cursor = self.collect_all(&from, &mut steps, &mut found);
            for topic in found.iter() {
                let (stripe, hash) = self.stripe_of(topic);
                let mut stripe = lock(stripe);
                let Some(entry) = stripe.get(hash, topic) else { continue };
                if !keep(&entry.message) {
                    let topic = entry.message.topic().to_owned();
                    self.remove_from(&mut stripe, hash, &topic);
                }
            }
        }
        cursor.as_deref().map(text)
    }

    fn collect_all(&self, from: &[u8], steps: &mut usize, found: &mut Topics) -> Option<Vec<u8>> {
        let index = read(&self.index);
        let mut walk = index.walk_from(from);
        for _ in 0..WALK_STEPS.min(*steps) {
            found.push(walk.next()?);
            *steps -= 1;
        }
        walk.next().map(<[u8]>::to_vec)
    }

    fn stripe(&self, topic: &str) -> (&Mutex<Stripe<M>>, u64) {
        self.stripe_of(topic.as_bytes())
    }

    fn stripe_of(&self, topic: &[u8]) -> (&Mutex<Stripe<M>>, u64) {
        let hash = self.hasher.hash_one(topic);
        (&self.stripes[(hash >> (u64::BITS - STRIPE_BITS)) as usize], hash)
    }
}

impl<M: Topical> Stripe<M> {
    fn find(&self, hash: u64, topic: &[u8]) -> Option<u32> {
        let is = |at| self.entries.get(at).is_some_and(|entry| entry.message.topic().as_bytes() == topic);
        self.by_topic.find(hash, is)
    }

    fn get(&self, hash: u64, topic: &[u8]) -> Option<&Entry<M>> {
        self.entries.get(self.find(hash, topic)?)
    }

    fn get_mut(&mut self, hash: u64, topic: &str) -> Option<&mut Entry<M>> {
        let at = self.find(hash, topic.as_bytes())?;
        self.entries.get_mut(at)
    }

    fn insert(&mut self, hash: u64, entry: Entry<M>) {
        self.by_topic.insert(hash, self.entries.insert(entry));
    }

    fn remove(&mut self, hash: u64, topic: &str) -> Option<Entry<M>> {
        let at = self.find(hash, topic.as_bytes())?;
        self.by_topic.remove(hash, at);
        self.entries.remove(at)
    }
}

/// Topics found by a walk, in one piece.
#[derive(Default)]
struct Topics {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Topics {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, topic: &[u8]) {
        self.bytes.extend_from_slice(topic);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.bytes[begin..end])
    }
}

/// Passes neighbours by until the next topic is not less than `target`; false if it is not among them.
fn near(walk: &mut Walk<'_>, target: &[u8]) -> bool {
    for _ in 0..NEIGHBOURS {
        match walk.next() {
            Some(topic) if topic < target => {}
            Some(_) => {
                walk.back();
                return true;
            }
            None => return true,
        }
    }
    false
}

/// What a topic on the walk tells about itself and those behind it.
enum Verdict {
    /// It matches.
    Match,
    /// It does not; its neighbour may.
    Next,
    /// Nothing matches before the text in `target`, which lies behind the topic.
    Jump,
    /// Nothing behind it matches.
    End,
}

fn compare(filter: &[u8], topic: &[u8], target: &mut Vec<u8>) -> Verdict {
    if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return jump(target, [b"%", b"", b""]); // the byte behind `$`
    }
    let mut filter_levels = filter.split(|&byte| byte == b'/').peekable();
    // Where the level now looked at begins in `topic`; behind its end when there is none.
    let mut at = 0;
    while let Some(level) = filter_levels.next() {
        if level == b"#" && filter_levels.peek().is_none() {
            return Verdict::Match; // this level, its parent and all below
        }
        let Some(rest) = topic.get(at..) else {
            // The levels that are missing may follow, but siblings of the last one lie before them:
            // `a`, `a!/x`, `a/x`.
            return Verdict::Next;
        };
        let name = rest.iter().position(|&byte| byte == b'/').map_or(rest, |end| &rest[..end]);
        if level != b"+" && level != name {
            // All that begins with `before` lies side by side. In it, what can match begins with `level`.
            let before = &topic[..at];
            return if rest < level {
                jump(target, [before, level, b""])
            } else if rest.strip_prefix(level).is_some_and(|rest| rest < &b"/"[..]) {
                jump(target, [before, level, b"/"])
            } else {
                behind(before, target)
            };
        }
        at += name.len() + 1;
    }
    match topic.get(at..) {
        None => Verdict::Match,
        // Too deep, like all its siblings.
        Some(_) => behind(&topic[..at], target),
    }
}

/// Behind all that begins with `before`, which is empty or ends with `/`.
fn behind(before: &[u8], target: &mut Vec<u8>) -> Verdict {
    match before.strip_suffix(b"/") {
        Some(levels) => jump(target, [levels, b"0", b""]), // the byte behind `/`
        None => Verdict::End,
    }
}

fn jump(target: &mut Vec<u8>, parts: [&[u8]; 3]) -> Verdict {
    target.clear();
    parts.iter().for_each(|part| target.extend_from_slice(part));
    Verdict::Jump
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;

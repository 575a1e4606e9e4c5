//! An application message inside the broker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::QoS;
use triomphe::ThinArc;

use crate::ListenerIndex;
use crate::record::List;
use crate::retained::Topical;
use crate::rights::Names;
use crate::sync::atomic::{AtomicU8, AtomicU32, Ordering};

mod publication;

pub(crate) use publication::Publication;

/// Numbers sessions of one data directory; never used twice. 0 is nobody: the broker itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionNumber(pub u64);

impl SessionNumber {
    /// Stands where a message waits for whichever member of a group takes it.
    pub(crate) const GROUP: Self = Self(0);
}

/// Names a message, and says where it stands in the order of all: by counter. A source is one shard between start and
/// end.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence {
    /// Fresh for each shard and start.
    pub source: u32,
    /// Nanoseconds on the clock that all shards share, and a little more for each message of one moment: so it counts up
    /// with each message of a publisher, whichever shard it comes by.
    pub counter: u64,
}

/// Who published a message: all that a client's rights depend on.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Publisher {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// User Name.
    pub user_name: Option<Arc<str>>,
    /// Where it came in; not stored.
    pub listener: ListenerIndex,
}

impl Publisher {
    pub(crate) fn names(&self) -> Names<'_> {
        Names { client_id: &self.client_id, user_name: self.user_name.as_deref() }
    }
}

/// A message that outlives the turn in which it came: queued, in flight with a session that lasts, retained,
/// or held for PUBREL. Shared by all who hold it, in one piece of memory; a clone is a pointer to it.
#[derive(Clone)]
pub struct Message(ThinArc<Header, u8>);

/// What a [`Message`] is beside its bytes: Topic Name, properties, payload, and the end of one that expires, in this
/// order.
struct Header {
    counter: u64,
    publisher: SessionNumber,
    source: u32,
    properties_bytes: u32,
    /// As in [`Copies`], and [`WATCHED`]. No lock is needed around the three: while a copy is open nobody sets `list` or
    /// takes anything back, and after the last one only who settled it does.
    open: AtomicU32,
    made: AtomicU32,
    /// 0 for none.
    list: AtomicU8,
    topic_bytes: u16,
    qos: QoS,
    flags: u8,
}

/// A topic and a payload up to this length are put together without memory from the allocator.
const SMALL_BYTES_MAX: usize = 192;

/// In the number of a copy that goes through a shared subscription.
pub(crate) const SHARED_COPY: u32 = 1 << 31;
/// Some copies are on disk only, and all are counted where that is known: see [`Unloaded`](crate::unloaded::Unloaded).
const WATCHED: u32 = 1 << 31;

const fn list_number(list: List) -> u8 {
    match list {
        List::Prompt => 1,
        List::Late => 2,
    }
}

/// As published with RETAIN.
const RETAIN: u8 = 1;
/// The last bytes are nanoseconds since the Unix epoch.
const EXPIRES: u8 = 2;

impl Message {
    fn new(view: &MessageView<'_>, sequence: Sequence) -> Self {
        let MessageView { topic, payload, properties, qos, retain, expires, publisher } = *view;
        // Message Expiry Intervals end long before 64 bits do, in the year 2554.
        let end = expires.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).to_ne_bytes());
        let header = Header {
            counter: sequence.counter,
            publisher,
            source: sequence.source,
            properties_bytes: u32::try_from(properties.len()).expect("a packet is shorter than 256 MiB"),
            open: AtomicU32::new(0),
            made: AtomicU32::new(0),
            list: AtomicU8::new(0),
            topic_bytes: u16::try_from(topic.len()).expect("a Topic Name has a length of 16 bits"),
            qos,
            flags: if retain { RETAIN } else { 0 } | if end.is_some() { EXPIRES } else { 0 },
        };
        let end = end.as_ref().map_or(&[][..], |end| end);
        let (head, tail) = (topic.len(), topic.len() + payload.len());
        let mut small = [0; SMALL_BYTES_MAX];
        if tail > small.len() || !properties.is_empty() || !end.is_empty() {
            let content = [topic.as_bytes(), properties, payload, end].concat();
            return Self(ThinArc::from_header_and_slice(header, &content));
        }
        small[..head].copy_from_slice(topic.as_bytes());
        small[head..tail].copy_from_slice(payload);
        Self(ThinArc::from_header_and_slice(header, &small[..tail]))
    }

    fn header(&self) -> &Header {
        &self.0.header.header
    }

    /// Its place in its source's order.
    pub fn sequence(&self) -> Sequence {
        let &Header { source, counter, .. } = self.header();
        Sequence { source, counter }
    }

    /// Topic Name.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).expect("it was made from a str of this length")
    }

    /// Application Message.
    pub fn payload(&self) -> &[u8] {
        let (begin, end) = self.payload_bounds();
        &self.0.slice[begin..end]
    }

    /// Length of the Application Message.
    pub fn payload_bytes(&self) -> usize {
        let (begin, end) = self.payload_bounds();
        end - begin
    }

    fn payload_bounds(&self) -> (usize, usize) {
        let &Header { topic_bytes, properties_bytes, flags, .. } = self.header();
        let behind = if flags & EXPIRES == 0 { 0 } else { size_of::<u64>() };
        (usize::from(topic_bytes) + properties_bytes as usize, self.0.slice.len() - behind)
    }

    /// The properties that are passed on unaltered, encoded, in their order.
    pub fn properties(&self) -> &[u8] {
        &self.0.slice[usize::from(self.header().topic_bytes)..self.payload_bounds().0]
    }

    /// As published.
    pub fn qos(&self) -> QoS {
        self.header().qos
    }

    /// As published.
    pub fn retain(&self) -> bool {
        self.header().flags & RETAIN != 0
    }

    /// Since the Unix epoch.
    pub fn expires(&self) -> Option<Duration> {
        let end = self.0.slice.last_chunk().filter(|_| self.header().flags & EXPIRES != 0)?;
        Some(Duration::from_nanos(u64::from_ne_bytes(*end)))
    }

    /// Whether its Message Expiry Interval has passed [MQTT-3.3.2-5].
    pub fn is_expired(&self, wall: Duration) -> bool {
        self.expires().is_some_and(|expires| expires <= wall)
    }

    /// From whom, for No Local.
    pub fn publisher(&self) -> SessionNumber {
        self.header().publisher
    }

    /// How this message looks to one who passes it on.
    pub fn view(&self) -> MessageView<'_> {
        self.view_with(self.topic())
    }

    /// The same, given its topic: what a message knows of that are bytes, which would have to be checked again.
    pub(crate) fn view_with<'a>(&'a self, topic: &'a str) -> MessageView<'a> {
        MessageView {
            topic,
            payload: self.payload(),
            properties: self.properties(),
            qos: self.qos(),
            retain: self.retain(),
            expires: self.expires(),
            publisher: self.publisher(),
        }
    }

    fn topic_bytes(&self) -> &[u8] {
        &self.0.slice[..usize::from(self.header().topic_bytes)]
    }

    /// Whether this is its topic.
    #[inline]
    pub(crate) fn is_about(&self, topic: &str) -> bool {
        self.topic_bytes() == topic.as_bytes()
    }

    /// Whether it is about the same, and is or is not retained, and expires or does not, as another.
    #[inline]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.header().flags == other.header().flags && self.topic_bytes() == other.topic_bytes()
    }

    /// Whether it passes and leaves no trace: it is not retained and does not expire.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.header().flags == 0
    }

    /// Makes `known` its topic.
    pub(crate) fn learn_topic(&self, known: &mut String) {
        if self.topic_bytes() != known.as_bytes() {
            known.clear();
            known.push_str(self.topic());
        }
    }

    /// Length of topic, properties and payload.
    pub(crate) fn content_bytes(&self) -> usize {
        self.0.slice.len()
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Header>() + 2 * size_of::<usize>() + self.content_bytes()
    }

    /// Adds a copy, whose acknowledgement keeps the stored record alive; gives its number. Only who is making the
    /// record may do so, or who has a copy that is open: a record that is gone must not come back, since its end may
    /// be on its way from another shard.
    pub(crate) fn add_copy(&self, is_shared: bool) -> u32 {
        self.header().open.fetch_add(1, Ordering::Relaxed);
        let number = self.header().made.fetch_add(1, Ordering::Relaxed);
        if is_shared { number | SHARED_COPY } else { number }
    }

    /// The copies made so far, but those through shared subscriptions, stand in the record's list.
    pub(crate) fn list_copies(&self, list: List) {
        self.header().list.store(list_number(list), Ordering::Relaxed);
    }

    /// How a copy that is open came to its session, if it stands in the record's list.
    pub(crate) fn list_of(&self, copy: u32) -> Option<List> {
        if copy & SHARED_COPY == 0 { self.list() } else { None }
    }

    fn list(&self) -> Option<List> {
        let number = self.header().list.load(Ordering::Relaxed);
        [List::Prompt, List::Late].into_iter().find(|list| list_number(*list) == number)
    }

    /// Takes one copy off. `None`, and nothing done, if others are on disk only: then
    /// [`Unloaded::settle`](crate::unloaded::Unloaded::settle) does it.
    pub(crate) fn settle(&self, copy: u32) -> Option<Settled> {
        let Header { open, made, list, .. } = self.header();
        // Read while this copy is open, since whoever settles the last one takes it back.
        let (has_list, listed) = (self.list().is_some(), self.list_of(copy));
        let one_less = |open: u32| (open & WATCHED == 0).then(|| open.saturating_sub(1));
        let was_open = open.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).ok()?;
        let is_last = was_open <= 1;
        if is_last {
            made.store(0, Ordering::Relaxed);
            list.store(0, Ordering::Relaxed);
        }
        Some(Settled { listed, is_last, has_list })
    }

    /// Takes one copy off while the message is watched. It is not the last.
    pub(crate) fn settle_watched(&self) {
        self.header().open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Some copies are on disk only, or none are any more.
    pub(crate) fn set_watched(&self, is_watched: bool) {
        let open = &self.header().open;
        match is_watched {
            true => open.fetch_or(WATCHED, Ordering::AcqRel),
            false => open.fetch_and(!WATCHED, Ordering::AcqRel),
        };
    }

    /// How many there are, as long as one is open.
    pub(crate) fn copies(&self) -> Copies {
        let Header { open, made, .. } = self.header();
        Copies {
            open: open.load(Ordering::Acquire) & !WATCHED,
            made: made.load(Ordering::Relaxed),
            list: self.list(),
        }
    }

    /// As read from the store, with all its copies, of which some are open.
    pub(crate) fn restore_copies(&self, copies: Copies) {
        let Header { open, made, list, .. } = self.header();
        made.store(copies.made, Ordering::Relaxed);
        list.store(copies.list.map_or(0, list_number), Ordering::Relaxed);
        open.store(copies.open, Ordering::Release);
    }

    /// The same message at another place in the order.
    pub(crate) fn renumbered(mut self, sequence: Sequence) -> Self {
        let renumbered = self.0.with_arc_mut(|inner| {
            let Some(inner) = triomphe::Arc::get_mut(inner) else { return false };
            let header = inner.header_mut();
            (header.source, header.counter) = (sequence.source, sequence.counter);
            true
        });
        if renumbered { self } else { self.view().to_message(sequence) }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message")
            .field(&self.sequence())
            .field(&self.view())
            .field(&self.header().open)
            .finish()
    }
}

/// Copies of a message for lasting sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Copies {
    /// Without acknowledgement so far; at 0 the stored record is deleted.
    pub(crate) open: u32,
    /// Since the record was made.
    pub(crate) made: u32,
    /// How the copies in the record's list come to their sessions, if it has one.
    pub(crate) list: Option<List>,
}

/// What became of the record when a copy was settled.
pub(crate) struct Settled {
    /// How the copy came to its session, if it stands in the record's list: else it has a row of its own.
    pub(crate) listed: Option<List>,
    /// Whether no copy is open any more: the record can go.
    pub(crate) is_last: bool,
    /// Whether it has a list.
    pub(crate) has_list: bool,
}

/// What is retained for a topic, with its publisher: its right to publish is asked for again at delivery.
#[derive(Clone, Debug)]
pub struct RetainedMessage {
    /// The message.
    pub message: Message,
    /// Who published it; one for all that a connection publishes.
    pub publisher: Arc<Publisher>,
}

impl Topical for RetainedMessage {
    fn topic(&self) -> &str {
        self.message.topic()
    }

    fn payload_bytes(&self) -> usize {
        self.message.payload_bytes()
    }
}

/// A message in passing: borrowed from the packet it came in, or from a [`Message`].
#[derive(Clone, Copy, Debug)]
pub struct MessageView<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Application Message.
    pub payload: &'a [u8],
    /// The properties that are passed on unaltered, encoded, in their order.
    pub properties: &'a [u8],
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// Since the Unix epoch.
    pub expires: Option<Duration>,
    /// From whom, for No Local.
    pub publisher: SessionNumber,
}

impl MessageView<'_> {
    /// Whether its Message Expiry Interval has passed [MQTT-3.3.2-5].
    pub fn is_expired(&self, wall: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= wall)
    }

    /// The Message Expiry Interval to pass on, in seconds: what is left of it [MQTT-3.3.2-6].
    pub fn expiry_left(&self, wall: Duration) -> Option<u32> {
        let left = self.expires?.saturating_sub(wall);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// A copy that outlives this turn.
    pub fn to_message(&self, sequence: Sequence) -> Message {
        Message::new(self, sequence)
    }
}

#[cfg(test)]
mod tests;

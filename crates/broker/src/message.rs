//! An application message inside the broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use noctule_protocol::QoS;

use crate::retained::Topical;

/// Numbers sessions of one data directory; never used twice. 0 is nobody: the broker itself.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionNumber(pub u64);

/// Where a message stands in the order of its source: a source is one shard between start and end, so that
/// messages of one publisher are counted up by one source at a time.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sequence {
    /// Fresh for each shard and start.
    pub source: u32,
    /// Counts from 1.
    pub counter: u64,
}

/// Who published a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Publisher {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// User Name.
    pub user_name: Option<Arc<str>>,
}

/// A message that outlives the turn in which it came: queued, in flight with a session that lasts, retained,
/// or held for PUBREL. Shared by all who hold it; its payload is in memory once.
#[derive(Debug)]
pub struct Message {
    /// Its place in its source's order.
    pub sequence: Sequence,
    /// Topic Name.
    pub topic: Box<str>,
    /// Application Message.
    pub payload: Box<[u8]>,
    /// The properties that are passed on unaltered, encoded, in their order.
    pub properties: Box<[u8]>,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// Since the Unix epoch.
    pub expires: Option<Duration>,
    /// From whom, for No Local.
    pub publisher: SessionNumber,
    copies: Mutex<Copies>,
}

impl Message {
    /// How this message looks to one who passes it on.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            topic: &self.topic,
            payload: &self.payload,
            properties: &self.properties,
            qos: self.qos,
            retain: self.retain,
            expires: self.expires,
            publisher: self.publisher,
        }
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.topic.len() + self.payload.len() + self.properties.len()
    }

    /// Adds a lasting session's copy, whose acknowledgement keeps the stored record alive. Gives its number and
    /// whether it is the only open one, so that the record must be made.
    pub(crate) fn add_copy(&self) -> (u32, bool) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.open += 1;
        copies.made += 1;
        (copies.made - 1, copies.open == 1)
    }

    /// The copies made so far are those the record is made with.
    pub(crate) fn list_copies(&self) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.listed = copies.made;
    }

    /// Takes one copy off.
    pub(crate) fn settle(&self, copy: u32) -> Settled {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.open = copies.open.saturating_sub(1);
        let is_listed = copy < copies.listed;
        let last = (copies.open == 0).then(|| std::mem::take(&mut *copies).listed);
        Settled { is_listed, last }
    }

    /// Copies without acknowledgement.
    pub(crate) fn open_copies(&self) -> u32 {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    /// As read from the store, with all its copies, of which some are open.
    pub(crate) fn restore_copies(&self, copies: Copies) {
        *self.copies.lock().unwrap_or_else(PoisonError::into_inner) = copies;
    }

    /// The same message at another place in the order.
    pub(crate) fn renumbered(mut self: Arc<Self>, sequence: Sequence) -> Arc<Self> {
        match Arc::get_mut(&mut self) {
            Some(message) => {
                message.sequence = sequence;
                self
            }
            None => Arc::new(self.view().to_message(sequence)),
        }
    }
}

/// Copies of a message for lasting sessions.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Without acknowledgement so far; at 0 the stored record is deleted.
    pub(crate) open: u32,
    /// Since the record was made.
    pub(crate) made: u32,
    /// How many of them stand in the record's list; a later one has a row of its own.
    pub(crate) listed: u32,
}

/// What became of the record when a copy was settled.
pub(crate) struct Settled {
    /// Whether the copy stands in the record's list.
    pub(crate) is_listed: bool,
    /// If no copy is open any more, how many stand in the list: the record can go.
    pub(crate) last: Option<u32>,
}

/// What is retained for a topic, with its publisher: its right to publish is asked for again at delivery.
#[derive(Clone, Debug)]
pub struct RetainedMessage {
    /// The message.
    pub message: Arc<Message>,
    /// Who published it.
    pub publisher: Publisher,
}

impl Topical for RetainedMessage {
    fn topic(&self) -> &str {
        &self.message.topic
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
        Message {
            sequence,
            topic: self.topic.into(),
            payload: self.payload.into(),
            properties: self.properties.into(),
            qos: self.qos,
            retain: self.retain,
            expires: self.expires,
            publisher: self.publisher,
            copies: Mutex::default(),
        }
    }
}

/// A message on its way to its recipients. The copy that outlives the turn is made when the first recipient
/// needs it, and once.
pub(crate) struct Publication<'a> {
    pub(crate) view: MessageView<'a>,
    sequence: Sequence,
    kept: Option<Arc<Message>>,
}

impl<'a> Publication<'a> {
    pub(crate) fn borrowed(view: MessageView<'a>, sequence: Sequence) -> Self {
        Self { view, sequence, kept: None }
    }

    pub(crate) fn kept(message: &'a Arc<Message>) -> Self {
        Self { view: message.view(), sequence: message.sequence, kept: Some(Arc::clone(message)) }
    }

    pub(crate) fn keep(&mut self) -> Arc<Message> {
        let (view, sequence) = (self.view, self.sequence);
        Arc::clone(self.kept.get_or_insert_with(|| Arc::new(view.to_message(sequence))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // [MQTT-3.3.2-6]
    fn the_interval_passed_on_is_what_is_left_rounded_up() {
        let view = MessageView {
            topic: "a",
            payload: b"",
            properties: b"",
            qos: QoS::AtMostOnce,
            retain: false,
            expires: Some(Duration::from_secs(10)),
            publisher: SessionNumber(1),
        };
        for (wall_ms, left, expired) in
            [(0, 10, false), (500, 10, false), (9001, 1, false), (10_000, 0, true)]
        {
            let wall = Duration::from_millis(wall_ms);
            assert_eq!(view.expiry_left(wall), Some(left));
            assert_eq!(view.is_expired(wall), expired);
        }
    }
}

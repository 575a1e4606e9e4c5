//! What the broker keeps for one Client Identifier, connected or not.

use std::num::NonZeroU32;
use std::sync::Arc;

use noctule_protocol::delivery::{Incoming, Outgoing};

use crate::coarse::Coarse;
use crate::input::{ConnectionKey, ListenerIndex};
use crate::message::{Message, Publisher};
use crate::metric::{Counts, Gauge};
use crate::moment::Moment;
use crate::record::SessionRecord;
use crate::router::SessionAddress;

mod client_names;
mod delivery;
mod identifiers;
mod memberships;
mod outbox;
mod pieces;
mod queue;
mod replays;
mod seldom;
mod subscriptions;
mod tail;

pub(crate) use client_names::ClientNames;
pub(crate) use delivery::{Delivery, Queued};
pub use identifiers::Identifiers;
pub(crate) use memberships::{Membership, Memberships};
pub(crate) use outbox::{Outbox, Pool};
pub use queue::QueueHead;
pub(crate) use queue::{Place, Queue};
pub(crate) use replays::Replay;
pub(crate) use seldom::Seldom;
pub(crate) use subscriptions::Subscriptions;
pub(crate) use tail::{First, Stub, Stubs};

/// Session Expiry Interval that never passes.
pub(crate) const NEVER: u32 = u32::MAX;

/// Session state [MQTT-4.1.0-1]. What each packet touches stands in front, in one cache line.
#[repr(C)]
pub(crate) struct Session {
    pub(crate) address: SessionAddress,
    pub(crate) connection: Option<ConnectionKey>,
    /// Session Expiry Interval in seconds; 0 ends with the connection, [`NEVER`] never.
    pub(crate) expiry: u32,
    pub(crate) outgoing: Outgoing<Flight>,
    pub(crate) queue: Queue,
    /// QoS 2 messages between PUBLISH and PUBREL.
    pub(crate) incoming: Incoming<Message>,
    /// Their payload bytes.
    pub(crate) incoming_bytes: usize,
    /// Payload bytes in flight.
    pub(crate) flight_bytes: usize,
    /// Who its client is.
    pub(crate) publisher: ClientNames,
    /// Where its client came in.
    pub(crate) listener: ListenerIndex,
    /// Whether the log has been told that messages are dropped, until its queue is empty again.
    pub(crate) dropping: bool,
    /// Whether the store has a record of it.
    pub(crate) stored: bool,
    /// How many bytes it holds, as counted in the metrics.
    counted_bytes: Coarse,
    /// How many messages they are.
    counted_messages: Coarse,
    /// Its Topic Filters as sent, and where the topic tree leads for each.
    pub(crate) subscriptions: Subscriptions,
    /// Its shared subscriptions.
    pub(crate) memberships: Memberships,
    /// Its Will, and what it has while its client is away.
    pub(crate) seldom: Seldom,
}

/// What is remembered of an unacknowledged delivery, in two words.
pub(crate) struct Flight {
    /// To send it again, or to give it to another member; `None` where neither can happen: the session ends
    /// with its connection.
    pub(crate) delivery: Option<Box<Delivery>>,
    /// And one more, so that an exchange without a message takes no more room.
    payload_bytes: NonZeroU32,
}

impl Flight {
    /// One that is kept.
    pub(crate) fn kept(delivery: Delivery) -> Self {
        let payload_bytes = delivery.message.payload_bytes();
        Self { delivery: Some(Box::new(delivery)), ..Self::passing(payload_bytes) }
    }

    /// One that will never be sent again.
    #[inline]
    pub(crate) fn passing(payload_bytes: usize) -> Self {
        Self { delivery: None, payload_bytes: NonZeroU32::MIN.saturating_add(payload_bytes as u32) }
    }

    #[inline]
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes.get() as usize - 1
    }
}

// There is one for each client, and the allocator deals in sizes of 160 and 192.
const _: () = assert!(size_of::<Session>() <= 160);

// Where the first cache line ends.
const _: () = assert!(std::mem::offset_of!(Session, incoming_bytes) <= 64);

impl Session {
    pub(crate) fn new(address: SessionAddress, publisher: ClientNames, window: u16) -> Self {
        Self {
            address,
            publisher,
            listener: ListenerIndex::UNKNOWN,
            connection: None,
            expiry: 0,
            stored: false,
            counted_bytes: Coarse::default(),
            counted_messages: Coarse::default(),
            subscriptions: Subscriptions::default(),
            memberships: Memberships::default(),
            outgoing: Outgoing::new(window),
            flight_bytes: 0,
            queue: Queue::default(),
            incoming: Incoming::new(),
            incoming_bytes: 0,
            seldom: Seldom::default(),
            dropping: false,
        }
    }

    /// Its client has come with these names, by this listener.
    pub(crate) fn set_publisher(&mut self, publisher: ClientNames, listener: ListenerIndex) {
        (self.publisher, self.listener) = (publisher, listener);
        self.seldom.take(|things| things.retainer.take());
        self.seldom.take(|things| things.rights.take());
    }

    /// Who its client is, in a pointer: every retained message and every group it is a member of has one.
    pub(crate) fn retainer(&mut self) -> Arc<Publisher> {
        let Self { publisher: ClientNames { client_id, user_name }, listener, seldom, .. } = self;
        let made = || {
            let (client_id, user_name) = (Arc::clone(client_id), user_name.clone());
            Arc::new(Publisher { client_id, user_name, listener: *listener })
        };
        seldom.change(|things| Arc::clone(things.retainer.get_or_insert_with(made)))
    }

    /// Whether anything waits to be sent, or to be sent again.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.outgoing.has_resends()
    }

    /// Takes notice of what it holds: queued, in flight where that is kept, or between PUBLISH and PUBREL.
    #[inline]
    pub(crate) fn recount(&mut self, counts: &mut Counts) {
        let messages = self.queue.limited() + self.outgoing.kept() + self.incoming.len();
        let bytes = self.queue.limited_bytes() + self.flight_bytes + self.incoming_bytes;
        self.count(messages, bytes, counts);
    }

    /// It ends, and whatever it holds with it.
    pub(crate) fn hold_nothing(&mut self, counts: &mut Counts) {
        self.count(0, 0, counts);
    }

    #[inline]
    fn count(&mut self, messages: usize, bytes: usize, counts: &mut Counts) {
        let (messages, bytes) = (Coarse::new(messages), Coarse::new(bytes));
        if self.counted_messages != messages || self.counted_bytes != bytes {
            counts.change(Gauge::WaitingMessages, self.counted_messages.get(), messages.get());
            counts.change(Gauge::WaitingBytes, self.counted_bytes.get(), bytes.get());
            (self.counted_messages, self.counted_bytes) = (messages, bytes);
        }
    }

    /// Whether it outlives its connection, so that its state must survive the broker too.
    pub(crate) fn lasts(&self) -> bool {
        self.expiry > 0
    }

    /// Its shared subscription with this whole filter.
    pub(crate) fn membership(&self, filter: &str) -> Option<&Arc<Membership>> {
        self.memberships.get(self.subscriptions.group(filter)?)
    }

    pub(crate) fn record(&self) -> SessionRecord {
        SessionRecord {
            number: self.address.number,
            client_id: Arc::clone(&self.publisher.client_id),
            user_name: self.publisher.user_name.clone(),
            expiry: self.expiry,
            disconnected_at: self.seldom.get().disconnected_at.map(Moment::get),
            will: self.seldom.get().will.as_deref().cloned(),
        }
    }
}

//! What shards have for each other. A shard gathers it during a turn, as one parcel for each other shard, so that a
//! turn wakes each of them once at most.

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::QoS;
use noctule_protocol::packet::{Place, PublishRun, RunShape, SubscriptionOptions};

use crate::input::ConnectionKey;
use crate::message::{Message, MessageView, Publication, Publisher, Sequence, SessionNumber};
use crate::retained::Version;
use crate::router::Target;
use crate::session::{Delivery, Membership};

/// What one delivery costs beside its bytes, in the same measure.
pub(crate) const DELIVERY_OVERHEAD: usize = 64;

/// More is not expected of a parcel.
const EXPECTED_BYTES_MAX: usize = 1 << 20;

/// Names a shard: its place among the shards of its broker, from 0.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShardIndex(pub u16);

impl ShardIndex {
    /// As an index.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// All that one shard had for another in one turn, in order. Parcels from one shard to another must arrive in the
/// order in which they were handed out.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub(crate) from: ShardIndex,
    pub(crate) letters: Vec<Letter>,
    /// Topics of messages that are only passed on.
    topics: String,
    /// Their properties and payloads, and the packets of runs.
    payloads: Vec<u8>,
    /// Where in a run its packets are.
    places: Vec<Place>,
    /// About what the rest takes in memory.
    letter_bytes: usize,
    /// Of properties, payloads and runs, about so many are expected.
    expected_bytes: usize,
}

/// One thing of a [`Parcel`].
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    /// A message for sessions and groups of the addressee.
    Publication(Publishing),
    /// Messages for sessions and groups of the addressee, of which nothing was recorded.
    Run(Box<RunPublishing>),
    /// A message for one session of the addressee, by way of a group of the sender.
    Grouped {
        member: Box<Member>,
        message: Carried,
        /// The copy that was recorded for it.
        copy: Option<u32>,
        /// Whether another member has a connection, so that it may be refused.
        has_others: bool,
        /// What its [`Target`] says of that.
        upgrades: bool,
    },
    /// Messages that a member got from the addressee's group are done with.
    Finished { membership: Arc<Membership>, messages: u32 },
    /// A message that a member got from the addressee's group, and that another member may take.
    Returned(Box<Delivery>),
    /// A message that a member of the addressee's group has no room for, and that another one may have.
    Refused(Box<Delivery>),
    /// A message for a member, let in already when another member, or itself, had it: the bounds of its queue do not
    /// count for it.
    Placed(Box<Delivery>),
    /// A session joined the addressee's group, or changed its options.
    Joined(Box<Member>),
    /// A member got a connection, or lost it.
    Present { membership: Arc<Membership>, client: Arc<Publisher>, lasts: bool, window: Option<u16> },
    /// A member left the addressee's group.
    Left { membership: Arc<Membership> },
    /// The outbox of a member is full, or has room again.
    Full { membership: Arc<Membership>, is_full: bool },
    /// Other members have room for what a member of the addressee has and cannot be sent, since it lost its connection.
    Recalled { membership: Arc<Membership>, room: Room },
    /// The sender has sent much this way and waits to be told that everything before this is dealt with.
    IsThereRoom(Way),
    /// The answer to it.
    ThereIsRoom(Way),
}

/// How a message comes from one shard to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// From its publisher's shard to its recipients', or to the owner of a group.
    Direct,
    /// Between the owner of a group and its members. It goes no further, so nobody has to wait to say that it arrived.
    Grouped,
}

/// A message and for whom it is.
#[derive(Clone, Debug)]
pub(crate) struct Publishing {
    pub(crate) message: Carried,
    pub(crate) targets: Arc<[Target]>,
    /// The first of the copies that were recorded for these targets: each target that is recorded has the next one.
    pub(crate) first_copy: Option<u32>,
    /// Who waits for it, if it is a letter to oneself.
    pub(crate) sender: Option<Sender>,
}

/// Messages that came together, and for whom they are.
#[derive(Clone, Debug)]
pub(crate) struct RunPublishing {
    run: PackedRun,
    pub(crate) targets: Arc<[Target]>,
}

/// A run whose bytes stand in a parcel.
#[derive(Clone, Debug)]
struct PackedRun {
    topic: (usize, u32),
    bytes: (usize, u32),
    places: (usize, u32),
    shape: RunShape,
    publisher: SessionNumber,
    /// Of the first message.
    sequence: Sequence,
}

/// The publisher of a message that is passed on a part at a time.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    /// What it publishes next stands behind this, by whichever connection and session it comes.
    pub(crate) client_id: Arc<str>,
    /// Goes on when this is dealt with; `None` for a Will.
    pub(crate) connection: Option<ConnectionKey>,
}

/// A member of a group as its owner sees it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) membership: Arc<Membership>,
    /// Who it is, to ask what it may receive.
    pub(crate) client: Arc<Publisher>,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, 0 for none.
    pub(crate) identifier: u32,
    /// Whether its session outlives its connection.
    pub(crate) lasts: bool,
    /// How many QoS 1 and 2 messages its connection takes at a time; `None` without one.
    pub(crate) window: Option<u16>,
}

/// What members have room for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    /// Payload bytes; the last message may be longer than what is left.
    pub(crate) bytes: usize,
}

impl Room {
    pub(crate) fn is_none(self) -> bool {
        self.messages == 0 || self.bytes == 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Takes room for a message of so many bytes; false if there is none.
    pub(crate) fn take(&mut self, payload_bytes: usize) -> bool {
        let has_room = !self.is_none();
        if has_room {
            self.messages -= 1;
            self.bytes = self.bytes.saturating_sub(payload_bytes.max(1));
        }
        has_room
    }
}

/// A message within a parcel.
#[derive(Clone, Debug)]
pub(crate) enum Carried {
    /// One that outlives the turn anyway.
    Kept { message: Message, retained_version: Version },
    /// One that is only passed on: its bytes stand in the parcel.
    Passing(Passing),
}

/// A message whose bytes stand in a parcel: properties, then payload.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    topic: (usize, u32),
    payload: (usize, u32),
    properties_length: u32,
    qos: QoS,
    retain: bool,
    expires: Option<Duration>,
    publisher: SessionNumber,
    sequence: Sequence,
    retained_version: Version,
}

impl Carried {
    /// Length of topic, properties and payload.
    pub(crate) fn content_bytes(&self) -> usize {
        match self {
            Self::Kept { message, .. } => message.content_bytes(),
            Self::Passing(Passing { topic, payload, properties_length, .. }) => {
                topic.1 as usize + *properties_length as usize + payload.1 as usize
            }
        }
    }
}

impl Parcel {
    /// An empty one, in which about as much may come as there was in the last.
    pub(crate) fn after(last: &Self) -> Self {
        Self { expected_bytes: last.payloads.len().min(EXPECTED_BYTES_MAX), ..Self::new(last.from) }
    }

    pub(crate) fn new(from: ShardIndex) -> Self {
        Self {
            from,
            letters: Vec::new(),
            topics: String::new(),
            payloads: Vec::new(),
            places: Vec::new(),
            letter_bytes: 0,
            expected_bytes: 0,
        }
    }

    /// About what it takes in memory, shared messages included.
    pub fn bytes(&self) -> usize {
        self.letter_bytes + self.topics.len() + self.payloads.len() + size_of_val(&*self.places)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(crate) fn push(&mut self, letter: Letter) {
        self.letter_bytes += letter.bytes();
        self.letters.push(letter);
    }

    /// A parcel that has none of it yet gets room at once, and does not grow by steps.
    fn make_room(&mut self) {
        if self.payloads.capacity() == 0 {
            self.payloads.reserve(self.expected_bytes);
        }
    }

    /// Packs a message that need not outlive its delivery.
    pub(crate) fn pack(&mut self, publication: &Publication<'_>) -> Carried {
        let MessageView { topic, payload, properties, qos, retain, expires, publisher } = publication.view;
        let passing = Passing {
            topic: (self.topics.len(), topic.len() as u32),
            payload: (self.payloads.len(), payload.len() as u32),
            properties_length: properties.len() as u32,
            qos,
            retain,
            expires,
            publisher,
            sequence: publication.sequence,
            retained_version: publication.retained_version,
        };
        self.topics.push_str(topic);
        self.make_room();
        self.payloads.extend_from_slice(properties);
        self.payloads.extend_from_slice(payload);
        Carried::Passing(passing)
    }

    /// Packs messages that came together, of which `first` is the first one.
    pub(crate) fn pack_run(
        &mut self,
        run: &PublishRun<'_>,
        targets: &Arc<[Target]>,
        first: &Publication<'_>,
    ) -> Letter {
        let packed = PackedRun {
            topic: (self.topics.len(), run.topic().len() as u32),
            bytes: (self.payloads.len(), run.bytes().len() as u32),
            places: (self.places.len(), run.places().len() as u32),
            shape: run.shape(),
            publisher: first.view.publisher,
            sequence: first.sequence,
        };
        self.topics.push_str(run.topic());
        self.make_room();
        self.payloads.extend_from_slice(run.bytes());
        self.places.extend_from_slice(run.places());
        Letter::Run(Box::new(RunPublishing { run: packed, targets: Arc::clone(targets) }))
    }

    /// The messages of a letter of this parcel, with their publisher and the place of the first one in the order.
    pub(crate) fn run(&self, publishing: &RunPublishing) -> (PublishRun<'_>, SessionNumber, Sequence) {
        let PackedRun { topic, bytes, places, shape, publisher, sequence } = publishing.run;
        let run = PublishRun::of_parts(
            &self.payloads[bytes.0..][..bytes.1 as usize],
            &self.topics[topic.0..][..topic.1 as usize],
            &self.places[places.0..][..places.1 as usize],
            shape,
        );
        (run, publisher, sequence)
    }

    /// The message of a letter of this parcel.
    pub(crate) fn publication<'a>(&'a self, carried: &'a Carried) -> Publication<'a> {
        match carried {
            Carried::Kept { message, retained_version } => {
                Publication::kept(message).retained_as(*retained_version)
            }
            Carried::Passing(passing) => {
                let &Passing { topic, payload, properties_length, qos, retain, expires, publisher, .. } =
                    passing;
                let bytes = &self.payloads[payload.0..];
                let (properties, bytes) = bytes.split_at(properties_length as usize);
                let view = MessageView {
                    topic: &self.topics[topic.0..][..topic.1 as usize],
                    payload: &bytes[..payload.1 as usize],
                    properties,
                    qos,
                    retain,
                    expires,
                    publisher,
                };
                Publication::borrowed(view, passing.sequence).retained_as(passing.retained_version)
            }
        }
    }
}

impl Letter {
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::Publication(_) | Self::Run(_) => Way::Direct,
            Self::IsThereRoom(way) | Self::ThereIsRoom(way) => *way,
            Self::Grouped { .. }
            | Self::Finished { .. }
            | Self::Returned(_)
            | Self::Refused(_)
            | Self::Placed(_)
            | Self::Joined(_)
            | Self::Present { .. }
            | Self::Left { .. }
            | Self::Full { .. }
            | Self::Recalled { .. } => Way::Grouped,
        }
    }

    /// About what it takes in memory. Questions and answers about room count nothing, or they would be asked about.
    fn bytes(&self) -> usize {
        match self {
            Self::IsThereRoom(_) | Self::ThereIsRoom(_) => 0,
            _ => size_of::<Self>() + self.message_bytes(),
        }
    }

    /// What it costs to read, in bytes of deliveries. A message for the addressee's own sessions costs as much as it
    /// has recipients, so that is for the reader to say.
    pub(crate) fn cost(&self) -> usize {
        let message = match self {
            Self::Publication(_) | Self::Run(_) | Self::IsThereRoom(_) | Self::ThereIsRoom(_) => return 0,
            Self::Grouped { message, .. } => message.content_bytes(),
            Self::Returned(delivery) | Self::Refused(delivery) | Self::Placed(delivery) => {
                delivery.message.content_bytes()
            }
            Self::Finished { .. }
            | Self::Joined(_)
            | Self::Present { .. }
            | Self::Left { .. }
            | Self::Full { .. }
            | Self::Recalled { .. } => 0,
        };
        DELIVERY_OVERHEAD + message
    }

    /// Whether it tells who is in a group, and how they are.
    pub(crate) fn is_about_members(&self) -> bool {
        match self {
            Self::Joined(_) | Self::Present { .. } | Self::Left { .. } | Self::Full { .. } => true,
            Self::Publication(_)
            | Self::Run(_)
            | Self::Grouped { .. }
            | Self::Finished { .. }
            | Self::Returned(_)
            | Self::Refused(_)
            | Self::Placed(_)
            | Self::Recalled { .. }
            | Self::IsThereRoom(_)
            | Self::ThereIsRoom(_) => false,
        }
    }

    /// Bytes of the message that it shares with others, or of what it says of a member.
    fn message_bytes(&self) -> usize {
        match self {
            Self::Publication(Publishing { message: Carried::Kept { message, .. }, .. })
            | Self::Grouped { message: Carried::Kept { message, .. }, .. } => message.bytes(),
            Self::Returned(delivery) | Self::Refused(delivery) | Self::Placed(delivery) => {
                delivery.message.bytes()
            }
            Self::Publication(_)
            | Self::Grouped { .. }
            | Self::Finished { .. }
            | Self::Present { .. }
            | Self::Full { .. }
            | Self::Recalled { .. }
            | Self::IsThereRoom(_)
            | Self::ThereIsRoom(_) => 0,
            Self::Run(_) => size_of::<RunPublishing>(),
            Self::Joined(member) => size_of::<Member>() + member.membership.bytes(),
            // Its session has forgotten it, so nobody else keeps it.
            Self::Left { membership } => membership.bytes(),
        }
    }
}

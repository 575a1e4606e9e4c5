//! The state of one event loop, and its one entry: [`Shard::handle`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use noctule_protocol::packet::Place;

use crate::effect::{Effect, LogLevel, LogSubject, Ticket, Urgency};
use crate::input::{ConnectionKey, Input, TransportEnd};
use crate::message::{Message, Publisher, Sequence};
use crate::metric::{Counts, Metric};
use crate::moment::Moment;
use crate::now::Now;
use crate::parcel::ShardIndex;
use crate::record::Operation;
use crate::router::Router;
use crate::session::{Pool, Session};
use crate::settings::Settings;
use crate::shared::{self, Shared};
use crate::sys_topics::SysTopics;
use crate::timer::{Timer, Timers};

mod access;
mod acknowledge;
mod admission;
mod answer;
mod authenticate;
mod connect;
mod connection;
mod cursors;
mod deliver;
mod end;
mod ending;
mod envelope;
mod exactly_once;
mod exactly_once_run;
mod expulsion;
mod frames;
mod group;
mod hand_over;
mod loading;
mod mail;
mod membership;
mod memory;
mod packet_log;
mod peer;
mod publish;
mod publish_run;
mod pump;
mod reload;
mod restore;
mod retain;
mod spill;
mod store_queue;
mod store_room;
mod subscribe;
mod sys;

use connection::Connection;
use cursors::Cursors;
pub(crate) use cursors::KeptCursor;
use ending::Ending;
use expulsion::Expulsions;
use group::Groups;
use mail::Mail;
use memory::Thrift;
pub use restore::{LoadedPart, RestoreError, Restored, RetainedLoad};
use retain::WaitingReplays;
use spill::Spill;
use store_queue::StoreQueue;

/// Places for which tables have room from the beginning. Room takes no memory before it is used, and a table that was
/// outgrown stays with the allocator for a while.
const TABLE_ROOM: usize = 64 * 1024;

/// All that one event loop owns: its connections, the sessions that live here, and what waits for the disk.
pub struct Shard {
    index: ShardIndex,
    settings: Arc<Settings>,
    /// How often the settings were changed.
    generation: u32,
    /// Whether there are access rules on any listener.
    restricts: bool,
    expulsions: Expulsions,
    router: Router,
    connections: Vec<Option<Box<Connection>>>,
    sessions: Vec<Option<Box<Session>>>,
    free_sessions: Vec<u32>,
    groups: Groups,
    mail: Mail,
    timers: Timers,
    thrift: Thrift,
    /// What was counted in this turn.
    counts: Counts,
    pool: Pool,
    /// Connections whose outbox got bytes since it was last shown.
    dirty: VecDeque<ConnectionKey>,
    /// Connections that hold packets back until a batch is durable.
    holding: VecDeque<ConnectionKey>,
    sequence: Sequence,
    /// What the monotonic clock shows at 0 in the order of messages, in nanoseconds.
    sequence_base: u64,
    /// Changes of this turn, in order.
    operations: Vec<Operation>,
    cursors: Cursors,
    /// How many changes an acknowledgement waits for, since the start.
    urgent: u64,
    /// `urgent` when the last batch was handed out.
    urgent_handed_out: u64,
    /// What the packets wait for that wait for this turn's batch.
    urgency: Urgency,
    store_queue: StoreQueue,
    /// It has little room left: what would have to be kept anew is refused.
    store_is_low: bool,
    /// The ticket that this turn's batch will have.
    turn: Ticket,
    flushed: Ticket,
    durable: Ticket,
    /// A good Topic Name, of the last PUBLISH or PUBREL if it had one.
    known_topic: String,
    /// Room for a topic behind its mount point.
    mounted_topic: String,
    /// Room for the places of a burst's packets.
    run_places: Vec<Place>,
    /// Room for the messages of a burst's PUBRELs.
    released: Vec<Message>,
    /// Where the sweep for expired retained messages goes on.
    sweep_from: Option<String>,
    /// When it begins or goes on.
    sweep_at: Option<Duration>,
    /// Retained messages that replays may still look at in this turn.
    replay_steps: usize,
    /// Connections that are not read until more of what is retained was. They may be gone.
    awaiting_retained: Vec<ConnectionKey>,
    replays: WaitingReplays,
    spill: Spill,
    /// What was last published about the broker, by the first shard.
    sys_topics: SysTopics,
    /// When its timer is armed for.
    sys_at: Option<Moment>,
    /// The broker itself, where it publishes something.
    broker: Arc<Publisher>,
}

/// What every step of a turn needs.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Shard {
    /// An empty shard, the one at `index` of `shards`. `source` names it in the order of messages and is never used again
    /// for another.
    pub fn new(settings: Arc<Settings>, index: ShardIndex, shards: u16, source: u32) -> Self {
        let hasher = shared::hasher(&settings);
        let mut shard = Self {
            index,
            router: Router::new(&settings, index),
            connections: Vec::with_capacity(TABLE_ROOM),
            sessions: Vec::with_capacity(TABLE_ROOM),
            free_sessions: Vec::new(),
            groups: Groups::new(hasher.clone()),
            mail: Mail::new(index, shards, &settings, hasher),
            restricts: settings.restricts(),
            settings,
            generation: 0,
            expulsions: Expulsions::default(),
            timers: Timers::default(),
            thrift: Thrift::default(),
            counts: Counts::default(),
            pool: Pool::default(),
            dirty: VecDeque::new(),
            holding: VecDeque::new(),
            sequence: Sequence { source, counter: 0 },
            sequence_base: 0,
            operations: Vec::new(),
            cursors: Cursors::default(),
            urgent: 0,
            urgent_handed_out: 0,
            urgency: Urgency::Lazy,
            store_queue: StoreQueue::default(),
            store_is_low: false,
            turn: Ticket(1),
            flushed: Ticket(0),
            durable: Ticket(0),
            known_topic: String::new(),
            mounted_topic: String::new(),
            run_places: Vec::new(),
            released: Vec::new(),
            sweep_from: None,
            sweep_at: None,
            replay_steps: retain::REPLAY_STEPS,
            awaiting_retained: Vec::new(),
            replays: WaitingReplays::default(),
            spill: Spill::default(),
            sys_topics: SysTopics::default(),
            sys_at: None,
            broker: Arc::default(),
        };
        // At once: whoever subscribes finds something.
        shard.arm_sys_topics(Duration::ZERO);
        shard
    }

    /// Decides about one thing that happened. `now` never goes back. Bytes to send are appended to outboxes
    /// ([`next_dirty`](Self::next_dirty)); everything else the shell must do is appended to `effects`.
    pub fn handle(&mut self, shared: &Shared, input: Input<'_>, now: Now, effects: &mut Vec<Effect>) {
        let turn = &mut Turn { shared, now, effects };
        self.tell_sequence(now);
        let pressure = shared.memory_pressure();
        if pressure != self.thrift.pressure {
            self.feel_pressure(pressure, turn);
        }
        if shared.store_is_low() != self.store_is_low {
            self.store_is_low = !self.store_is_low;
            self.choose_refusals();
        }
        match input {
            Input::Connected { connection, listener, peer } => self.open(connection, listener, peer, turn),
            Input::HandedOver { connection, listener, peer, bytes, authenticated } => {
                self.take_over((connection, listener, peer), bytes, authenticated, turn);
            }
            Input::Authenticated { connection, verdict } => self.authenticated(connection, verdict, turn),
            Input::Parcel { parcel } => self.receive(parcel, turn),
            Input::Continue => {
                self.read_mail(turn);
                self.go_on_expelling(turn);
            }
            Input::Received { connection, bytes } => self.received(connection, bytes, turn),
            Input::Written { connection, bytes } => self.written(connection, bytes, turn),
            Input::Closed { connection, end } => {
                let ending = match end {
                    TransportEnd::ClosedByPeer => Ending::ClosedByPeer,
                    TransportEnd::Failed(text) => Ending::Failed(text),
                };
                self.close(connection, ending, turn);
            }
            Input::LogLine { level, line } => {
                if let Some(topic) = level.topic() {
                    self.say(topic, line.as_bytes(), false, turn);
                }
            }
            Input::QueueRead { slot, session, found, error } => {
                self.queue_read((slot, session), found, error, turn);
            }
            Input::RetainedLoaded { some_expire } => self.retained_loaded(some_expire, turn),
            Input::TimedOut => self.timed_out(turn),
            Input::StoreQueue { is_full } => self.tell_store_queue(is_full, turn),
            Input::Flushed { ticket } => self.was_flushed(ticket, turn),
            Input::Durable { ticket } => self.became_durable(ticket, turn),
            Input::Settings(settings) => self.change_settings(settings, turn),
            Input::PublishWills => self.publish_wills(turn),
            Input::Shutdown => self.shut_down(turn),
        }
        self.settle_watched(turn.shared);
        self.arm_cursors(turn);
    }

    /// Ends a turn: hands out its changes as one batch, and behind that what it has for other shards, and adds what it
    /// counted. To be called after the turn's inputs, before any outbox is flushed, and after that for what came of it.
    pub fn end_turn(&mut self, shared: &Shared, effects: &mut Vec<Effect>) {
        self.counts.hand_over(&shared.metrics);
        self.replay_steps = retain::REPLAY_STEPS;
        self.spill(shared);
        self.store_due_cursors();
        if !self.operations.is_empty() {
            effects.push(Effect::Persist {
                ticket: self.turn,
                operations: std::mem::take(&mut self.operations),
                urgency: std::mem::take(&mut self.urgency),
            });
            self.urgent_handed_out = self.urgent;
            self.store_queue.end_turn();
            self.turn.0 += 1;
        }
        self.mail.hand_out(effects);
    }

    /// Bytes of messages that were put into outboxes since the last call.
    pub fn take_appended(&mut self) -> usize {
        std::mem::take(&mut self.pool.appended)
    }

    /// Whether work was left over that must go on without anything happening: then [`Input::Continue`] is due.
    pub fn has_work(&self) -> bool {
        self.mail.has_unread() || self.expulsions.are_under_way() || self.spill.has_work()
    }

    /// A connection with bytes to write. It comes again when it gets new ones, or when
    /// [`Input::Written`] left some.
    pub fn next_dirty(&mut self) -> Option<ConnectionKey> {
        while let Some(key) = self.dirty.pop_front() {
            if let Some(connection) = self.connection_mut(key) {
                connection.dirty = false;
                if !connection.outbox.is_empty() {
                    return Some(key);
                }
            }
        }
        None
    }

    /// Whether [`next_dirty`](Self::next_dirty) may have one.
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// All bytes that wait for this connection; empty if it is gone.
    pub fn output(&self, connection: ConnectionKey) -> &[u8] {
        self.connection(connection).map_or(&[], |connection| connection.outbox.bytes())
    }

    /// When [`Input::TimedOut`] is due, on the monotonic clock.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// How many sessions live here, connected or not.
    pub fn session_count(&self) -> usize {
        self.sessions.iter().flatten().count()
    }

    /// How many groups of shared subscriptions this shard owns.
    pub fn group_count(&self) -> usize {
        self.groups.count()
    }

    fn timed_out(&mut self, turn: &mut Turn<'_>) {
        while let Some(timer) = self.timers.pop_due(turn.now.monotonic) {
            match timer {
                Timer::Connection(key) => self.connection_timed_out(key, turn),
                Timer::SessionExpiry(slot, number) => self.session_expired(slot, number, turn),
                Timer::WillDelay(slot, number) => self.will_due(slot, number, turn),
                Timer::Replay => self.go_on_with_replays(turn),
                Timer::RetainedSweep => self.sweep_retained(turn),
                Timer::Memory => self.look_at_paused(turn),
                Timer::SysTopics => self.publish_sys_topics(turn),
                Timer::Cursors => self.store_cursors(),
            }
        }
    }

    fn publish_wills(&mut self, turn: &mut Turn<'_>) {
        for slot in 0..self.sessions.len() as u32 {
            self.publish_will(slot, turn);
        }
    }

    fn shut_down(&mut self, turn: &mut Turn<'_>) {
        // Of those who came meanwhile.
        self.publish_wills(turn);
        for index in 0..self.connections.len() {
            if let Some(key) = self.connections[index].as_ref().map(|connection| connection.key) {
                self.close(key, Ending::ShuttingDown, turn);
            }
        }
        self.store_cursors();
    }

    fn connection(&self, key: ConnectionKey) -> Option<&Connection> {
        self.connections.get(key.index as usize)?.as_deref().filter(|connection| connection.key == key)
    }

    fn connection_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.connections
            .get_mut(key.index as usize)?
            .as_deref_mut()
            .filter(|connection| connection.key == key)
    }

    fn session(&self, slot: u32) -> Option<&Session> {
        self.sessions.get(slot as usize)?.as_deref()
    }

    fn session_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.sessions.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Messages are numbered by the clock, so that their order holds across shards: a client may publish by way of one,
    /// and when it comes again by way of another.
    fn tell_sequence(&mut self, now: Now) {
        let nanoseconds = u64::try_from(now.monotonic.as_nanos()).unwrap_or(u64::MAX);
        self.sequence.counter = self.sequence.counter.max(self.sequence_base.saturating_add(nanoseconds));
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence.counter += 1;
        self.sequence
    }

    /// Notes a change that an acknowledgement waits for.
    fn persist(&mut self, operation: Operation) {
        self.store_queue.note(&operation);
        self.operations.push(operation);
        self.urgent += 1;
    }

    /// Notes a change that may become durable later.
    fn persist_lazily(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    fn count(&mut self, metric: Metric) {
        self.counts.count(metric);
    }

    fn log(&self, level: LogLevel, turn: &mut Turn<'_>, line: impl FnOnce() -> String) {
        if self.settings.log_levels.contains(level) {
            turn.effects.push(Effect::Log { level, line: line(), subject: None });
        }
    }

    /// The same of a line that is about somebody.
    fn log_about(&self, level: LogLevel, turn: &mut Turn<'_>, about: impl FnOnce() -> (LogSubject, String)) {
        if self.settings.log_levels.contains(level) {
            let (subject, line) = about();
            turn.effects.push(Effect::Log { level, line, subject: Some(Box::new(subject)) });
        }
    }
}

/// A hash map with the shard's seeds.
type Map<K, V> = HashMap<K, V, RandomState>;

//! A broker on a desk: a virtual clock, clients made of the protocol crate's codec, and a store that is durable at
//! once or when the test says so. Only this module knows the broker's API.
//!
//! The broker has one shard, or as many as the variable `NOCTULE_TEST_SHARDS` says; connections are dealt to them in
//! turn, so that nearly every scenario crosses from one to another.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::record::{Operation, Table, Wanted};
use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, LoadedPart, LogLevel, Now, Parcel, QueueHead, RetainedLoad,
    SessionNumber, Settings, Shard, ShardIndex, Shared, Ticket, TransportEnd, Urgency, Verdict,
};
use noctule_protocol::ProtocolVersion;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::packet::RetainHandling;

mod acl;
mod client;
mod disk;
mod hello;
mod packet;

use disk::Disk;

pub(crate) use acl::acl;
pub(crate) use client::Client;
pub(crate) use disk::{Stored, Written};
pub(crate) use hello::{Hello, will};
pub(crate) use packet::{
    Options, Wire, auth, connack, disconnect, pingreq, pingresp, puback, pubcomp, publish, pubrec, pubrel,
    qos, refused, suback, subscribe, unsuback, unsubscribe,
};

pub(crate) const VERSIONS: [ProtocolVersion; 3] = [V31, V311, V5];
pub(crate) const NEVER_AGAIN: RetainHandling = RetainHandling::DoNotSend;
pub(crate) const IF_NEW: RetainHandling = RetainHandling::SendAtNewSubscribe;

/// One broker with its clients. A clone is the same desk.
#[derive(Clone)]
pub(crate) struct Desk(Rc<RefCell<State>>);

struct State {
    settings: Arc<Settings>,
    shards: Vec<Shard>,
    shared: Shared,
    /// Parcels that were not delivered yet.
    mail: VecDeque<(ShardIndex, Parcel)>,
    /// Whether parcels wait until the test says so.
    holds_mail: bool,
    /// The shard whose parcels wait until then.
    holds_mail_to: Option<usize>,
    /// Whether turns go on until the test says that they end.
    holds_turns: bool,
    /// How often the broker asked not to read a connection.
    pauses: usize,
    /// Whether who asks for a User Name waits until the test says so.
    holds_answers: bool,
    /// Who waits for that.
    asked: VecDeque<(usize, ConnectionKey, Verdict)>,
    now: Now,
    lines: Vec<Line>,
    /// Whether a batch is durable as soon as it is handed out.
    at_once: bool,
    /// Handed out, not durable.
    batches: Vec<(usize, Ticket, Vec<Operation>, Urgency)>,
    /// Asked for, and not read before all that was handed out earlier is on the disk.
    reads: VecDeque<(usize, u32, SessionNumber, Vec<Wanted>)>,
    /// Messages read from disk.
    reads_from_disk: usize,
    /// What is retained, after a restart.
    load: Option<RetainedLoad>,
    disk: Disk,
    log: Vec<String>,
}

/// One transport.
struct Line {
    shard: usize,
    key: ConnectionKey,
    version: ProtocolVersion,
    is_open: bool,
    /// Whether the client takes what is written.
    is_reading: bool,
    /// Whether the broker asked not to read.
    is_paused: bool,
    /// Sent by the client and not read because of that.
    unread: Vec<u8>,
    inbox: Vec<u8>,
    /// Largest packet the client takes [MQTT-3.1.2-24].
    packet_max: usize,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::sharded(shard_count(), change)
    }

    /// With so many shards, whatever the variable says.
    pub(crate) fn sharded(shards: u16, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { secret: [3, 5], queue_head: queue_head(), ..Settings::default() };
        change(&mut settings);
        let settings = Arc::new(settings);
        let shared = Shared::new(&settings);
        let wall = Duration::from_secs(1_800_000_000);
        Self(Rc::new(RefCell::new(State {
            shards: new_shards(&settings, shards, 1),
            settings,
            shared,
            mail: VecDeque::new(),
            holds_mail: false,
            holds_mail_to: None,
            holds_turns: false,
            pauses: 0,
            holds_answers: false,
            asked: VecDeque::new(),
            now: Now { monotonic: Duration::from_secs(100), wall },
            lines: Vec::new(),
            at_once: true,
            batches: Vec::new(),
            reads: VecDeque::new(),
            reads_from_disk: 0,
            load: None,
            disk: Disk::default(),
            log: Vec::new(),
        })))
    }

    /// The broker gets other settings: all shards, in turn.
    pub(crate) fn change_settings(&self, change: impl Fn(&mut Settings)) {
        let shards = self.0.borrow().shards.len();
        (0..shards).for_each(|shard| self.change_settings_of(shard, &change));
    }

    /// One shard gets them; the others will later.
    pub(crate) fn change_settings_of(&self, shard: usize, change: impl Fn(&mut Settings)) {
        let mut state = self.0.borrow_mut();
        let mut settings = Settings::clone(&state.settings);
        change(&mut settings);
        let settings = Arc::new(settings);
        if shard + 1 == state.shards.len() {
            state.settings = Arc::clone(&settings);
        }
        state.input(shard, Input::Settings(settings));
        state.run();
    }

    /// From now on a batch becomes durable only by [`durable`](Self::durable).
    pub(crate) fn hold_batches(&self) {
        self.0.borrow_mut().at_once = false;
    }

    /// And again at once.
    pub(crate) fn write_at_once(&self) {
        self.0.borrow_mut().at_once = true;
    }

    /// All that was handed out is on the disk now.
    pub(crate) fn durable(&self) {
        let mut state = self.0.borrow_mut();
        state.write_batches();
        state.run();
    }

    /// All that was handed out is with the operating system now, and not on the disk.
    pub(crate) fn flushed(&self) {
        let mut state = self.0.borrow_mut();
        for shard in 0..state.shards.len() {
            let last = state.batches.iter().rfind(|(of, ..)| *of == shard).map(|(_, ticket, ..)| *ticket);
            if let Some(ticket) = last {
                state.input(shard, Input::Flushed { ticket });
            }
        }
        state.run();
    }

    /// All shards are told whether the queue before the store is full.
    pub(crate) fn store_queue(&self, is_full: bool) {
        let mut state = self.0.borrow_mut();
        for shard in 0..state.shards.len() {
            state.input(shard, Input::StoreQueue { is_full });
        }
        state.run();
    }

    /// How many batches wait for the disk, and whether somebody waits for them.
    pub(crate) fn waiting_batches(&self) -> Vec<bool> {
        self.urgencies().into_iter().map(|urgency| urgency > Urgency::Lazy).collect()
    }

    /// What the batches that wait are waited for.
    pub(crate) fn urgencies(&self) -> Vec<Urgency> {
        self.0.borrow().batches.iter().map(|(.., urgency)| *urgency).collect()
    }

    /// From now on shards get nothing from each other.
    pub(crate) fn hold_mail(&self) {
        self.0.borrow_mut().holds_mail = true;
    }

    /// From now on this shard gets nothing from the others.
    pub(crate) fn hold_mail_to(&self, shard: usize) {
        self.0.borrow_mut().holds_mail_to = Some(shard);
    }

    /// They get all that waited, and what comes.
    pub(crate) fn deliver_mail(&self) {
        let mut state = self.0.borrow_mut();
        (state.holds_mail, state.holds_mail_to) = (false, None);
        state.run();
    }

    /// A shard reads the first parcel that waits for it, as far as one turn goes; clients get what that causes.
    pub(crate) fn read_parcel(&self, shard: usize) {
        let mut state = self.0.borrow_mut();
        let at = state.mail.iter().position(|(to, _)| usize::from(to.0) == shard).expect("a parcel");
        let (to, parcel) = state.mail.remove(at).expect("it stands there");
        state.input(to.0.into(), Input::Parcel { parcel });
        state.flush();
        let mut effects = Vec::new();
        let State { shards, shared, .. } = &mut *state;
        shards[shard].end_turn(shared, &mut effects);
        state.carry_out(shard, effects);
    }

    /// About what the parcels that wait take in memory.
    pub(crate) fn mail_bytes(&self) -> usize {
        self.0.borrow().mail.iter().map(|(_, parcel)| parcel.bytes()).sum()
    }

    /// The shard that the next connection is dealt to.
    pub(crate) fn next_shard(&self) -> usize {
        let state = self.0.borrow();
        state.lines.len() % state.shards.len()
    }

    /// From now on every shard takes what comes in one and the same turn.
    pub(crate) fn hold_turns(&self) {
        self.0.borrow_mut().holds_turns = true;
    }

    /// Turns end again.
    pub(crate) fn end_turns(&self) {
        let mut state = self.0.borrow_mut();
        state.holds_turns = false;
        state.run();
    }

    /// From now on the broker knows that it uses so many bytes of memory; a shard takes notice with its next input.
    pub(crate) fn use_memory(&self, bytes: usize) {
        self.0.borrow().shared.set_memory_used(bytes);
    }

    /// From now on the broker knows whether the store has little room left.
    pub(crate) fn set_store_low(&self, is_low: bool) {
        self.0.borrow().shared.set_store_low(is_low);
    }

    /// From now on nobody is told whether a User Name is right.
    pub(crate) fn hold_answers(&self) {
        self.0.borrow_mut().holds_answers = true;
    }

    /// Those who asked so far are told; gives how many they are.
    pub(crate) fn answer(&self) -> usize {
        let mut state = self.0.borrow_mut();
        let asked = std::mem::take(&mut state.asked);
        let count = asked.len();
        for (shard, connection, verdict) in asked {
            state.input(shard, Input::Authenticated { connection, verdict });
        }
        state.run();
        count
    }

    /// How often the broker asked not to read a connection.
    pub(crate) fn pauses(&self) -> usize {
        self.0.borrow().pauses
    }

    /// Whether the broker has more than one shard.
    pub(crate) fn is_sharded(&self) -> bool {
        self.0.borrow().shards.len() > 1
    }

    /// The broker is killed and comes back with what is on the disk.
    pub(crate) fn restart(&self) {
        self.restart_unloaded();
        self.load_retained(usize::MAX);
    }

    /// The same, but it has read nothing yet of what is retained.
    pub(crate) fn restart_unloaded(&self) {
        let mut state = self.0.borrow_mut();
        state.batches.clear();
        state.reads.clear();
        state.mail.clear();
        state.lines.iter_mut().for_each(|line| line.is_open = false);
        state.shared = Shared::new(&state.settings);
        let State { settings, shards, shared, now, disk, .. } = &mut *state;
        let mut shards = new_shards(settings, shards.len() as u16, 0);
        let mut effects = Vec::new();
        let (_, load) =
            Shard::restore(&mut shards, shared, &*disk, *now, &mut effects).expect("rows that were written");
        state.load = Some(load);
        state.shards = shards;
        state.carry_out(0, effects);
        state.run();
    }

    /// Some of what is retained is read from the disk. Gives whether there is more.
    pub(crate) fn load_retained(&self, messages: usize) -> bool {
        let mut state = self.0.borrow_mut();
        let State { load: Some(load), disk, shared, .. } = &mut *state else { return false };
        let LoadedPart { some_expire, is_last, .. } =
            load.load_some(messages, disk, shared).expect("rows that were written");
        for shard in 0..state.shards.len() {
            state.input(shard, Input::RetainedLoaded { some_expire });
        }
        state.run();
        !is_last
    }

    /// How many queued messages were read from the disk.
    pub(crate) fn reads_from_disk(&self) -> usize {
        self.0.borrow().reads_from_disk
    }

    /// Looks at what is on the disk.
    pub(crate) fn disk<T>(&self, look: impl FnOnce(&Stored) -> T) -> T {
        look(&self.0.borrow().disk.stored())
    }

    /// What was written to it since the last call.
    pub(crate) fn take_written(&self) -> Written {
        self.0.borrow_mut().disk.take_written()
    }

    /// How many rows of these tables are on the disk.
    pub(crate) fn disk_rows(&self, tables: &[Table]) -> usize {
        self.0.borrow().disk.rows().iter().filter(|(table, ..)| tables.contains(table)).count()
    }

    /// How long their values are.
    pub(crate) fn disk_bytes(&self, table: Table) -> usize {
        let state = self.0.borrow();
        let rows = state.disk.rows();
        rows.iter().filter(|(of, ..)| *of == table).map(|(.., value)| value.len()).sum()
    }

    /// Time passes; timers fire when they are due.
    pub(crate) fn sleep(&self, seconds: f64) {
        let mut state = self.0.borrow_mut();
        let until = state.now.monotonic + Duration::from_secs_f64(seconds);
        while let Some((due, shard)) = state.next_timeout().filter(|(due, _)| *due <= until) {
            state.advance_to(due);
            state.input(shard, Input::TimedOut);
            let next = state.shards[shard].next_timeout();
            assert!(next.is_none_or(|next| next > due), "a timer that is due was left");
            state.run();
        }
        state.advance_to(until);
    }

    /// The wall clock is set back by hand.
    pub(crate) fn set_wall_back(&self, seconds: u64) {
        self.0.borrow_mut().now.wall -= Duration::from_secs(seconds);
    }

    /// When the next timer is due, in seconds from now.
    pub(crate) fn next_timeout(&self) -> Option<f64> {
        let state = self.0.borrow();
        state.next_timeout().map(|(due, _)| due.saturating_sub(state.now.monotonic).as_secs_f64())
    }

    pub(crate) fn shut_down(&self) {
        let mut state = self.0.borrow_mut();
        for shard in 0..state.shards.len() {
            state.input(shard, Input::PublishWills);
        }
        state.run();
        for shard in 0..state.shards.len() {
            state.input(shard, Input::Shutdown);
        }
        state.run();
    }

    pub(crate) fn metric(&self, metric: Metric) -> u64 {
        self.0.borrow().shared.metrics.get(metric)
    }

    /// Every reason for which something was dropped, with its count.
    pub(crate) fn drops(&self) -> Vec<(Metric, u64)> {
        let counts = Metric::ALL.iter().map(|&metric| (metric, self.metric(metric)));
        counts.filter(|(metric, n)| metric.name().starts_with("dropped_") && *n > 0).collect()
    }

    pub(crate) fn session_count(&self) -> usize {
        self.0.borrow().shared.session_count()
    }

    pub(crate) fn retained_count(&self) -> usize {
        self.0.borrow().shared.retained_count()
    }

    pub(crate) fn subscription_count(&self) -> usize {
        self.0.borrow().shared.subscription_count()
    }

    /// All subscriptions, as Mosquitto prints them.
    pub(crate) fn subscription_tree(&self) -> String {
        self.0.borrow().shared.subscription_tree()
    }

    /// The log has one more line, which is to be published.
    pub(crate) fn publish_log_line(&self, level: LogLevel, line: &str) {
        let mut state = self.0.borrow_mut();
        state.input(0, Input::LogLine { level, line });
        state.run();
    }

    /// Takes the log lines so far.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    /// A transport without CONNECT, whose answers are read as this version's.
    pub(crate) fn open(&self, version: ProtocolVersion) -> Client {
        self.open_at(0, version)
    }

    /// The same at another listener.
    pub(crate) fn open_at(&self, listener: u16, version: ProtocolVersion) -> Client {
        let line = self.0.borrow_mut().open(listener, version);
        Client::new(self.clone(), line)
    }

    /// A CONNECT to be: 5.0, Clean Start, no Keep Alive, unless changed.
    pub(crate) fn hello(&self, client_id: &str) -> Hello {
        Hello::new(self.clone(), client_id)
    }

    /// An accepted 5.0 client whose session ends with its connection.
    pub(crate) fn client(&self, client_id: &str) -> Client {
        self.hello(client_id).connect()
    }

    /// The same in any version.
    pub(crate) fn client_of(&self, version: ProtocolVersion, client_id: &str) -> Client {
        self.hello(client_id).version(version).connect()
    }
}

/// How many shards a broker has in these tests.
fn shard_count() -> u16 {
    let count = std::env::var("NOCTULE_TEST_SHARDS").map_or(1, |text| text.parse().expect("a number"));
    assert!(count > 0, "NOCTULE_TEST_SHARDS is 0");
    count
}

/// How much of each queue is in memory in these tests: all, or so many messages.
pub(crate) fn queue_head() -> QueueHead {
    std::env::var("NOCTULE_TEST_QUEUE_HEAD").map_or(QueueHead::ALL, |text| QueueHead {
        messages: text.parse().expect("a number"),
        bytes: 1 << 20,
    })
}

fn new_shards(settings: &Arc<Settings>, count: u16, first_source: u32) -> Vec<Shard> {
    let shard =
        |index| Shard::new(Arc::clone(settings), ShardIndex(index), count, first_source + u32::from(index));
    (0..count).map(shard).collect()
}

impl State {
    fn open(&mut self, listener: u16, version: ProtocolVersion) -> usize {
        let shard = self.lines.len() % self.shards.len();
        let key = self.free_key(shard);
        self.lines.push(Line {
            shard,
            key,
            version,
            is_open: true,
            is_reading: true,
            is_paused: false,
            unread: Vec::new(),
            inbox: Vec::new(),
            packet_max: usize::MAX,
        });
        let peer = Some(([127, 0, 0, 1], 50_000).into());
        self.input(shard, Input::Connected { connection: key, listener: ListenerIndex(listener), peer });
        self.run();
        self.lines.len() - 1
    }

    /// Places are used again, as a shell would.
    fn free_key(&self, shard: usize) -> ConnectionKey {
        let of_shard = || self.lines.iter().filter(|line| line.shard == shard);
        let taken = |index: u32| of_shard().any(|line| line.is_open && line.key.index == index);
        let index = (0..).find(|&index| !taken(index)).expect("a place");
        let last = of_shard().map(|line| line.key.generation).max().unwrap_or(0);
        ConnectionKey { index, generation: last + 1 }
    }

    fn received(&mut self, line: usize, bytes: &[u8]) {
        let line = &mut self.lines[line];
        if !line.is_open || bytes.is_empty() {
            return;
        }
        if line.is_paused {
            line.unread.extend_from_slice(bytes);
            return;
        }
        let (shard, connection) = (line.shard, line.key);
        self.input(shard, Input::Received { connection, bytes });
        self.run();
    }

    fn closed(&mut self, line: usize, end: TransportEnd<'_>) {
        let line = &mut self.lines[line];
        if std::mem::replace(&mut line.is_open, false) {
            let (shard, connection) = (line.shard, line.key);
            self.input(shard, Input::Closed { connection, end });
            self.run();
        }
    }

    fn next_timeout(&self) -> Option<(Duration, usize)> {
        let due = |(index, shard): (usize, &Shard)| Some((shard.next_timeout()?, index));
        self.shards.iter().enumerate().filter_map(due).min()
    }

    fn advance_to(&mut self, monotonic: Duration) {
        let step = monotonic.saturating_sub(self.now.monotonic);
        self.now.monotonic += step;
        self.now.wall += step;
    }

    fn input(&mut self, shard: usize, input: Input<'_>) {
        let mut effects = Vec::new();
        self.shards[shard].handle(&self.shared, input, self.now, &mut effects);
        self.carry_out(shard, effects);
    }

    /// Turns, until nothing is left to do.
    fn run(&mut self) {
        loop {
            if self.holds_turns {
                return;
            }
            for shard in 0..self.shards.len() {
                let mut effects = Vec::new();
                self.shards[shard].end_turn(&self.shared, &mut effects);
                self.carry_out(shard, effects);
            }
            let mut moved = false;
            while !self.holds_mail
                && let Some((to, parcel)) = self.next_parcel()
            {
                self.input(to.0.into(), Input::Parcel { parcel });
                moved = true;
            }
            for shard in 0..self.shards.len() {
                if self.shards[shard].has_work() {
                    self.input(shard, Input::Continue);
                    moved = true;
                }
            }
            let wrote = self.at_once && self.write_batches();
            let read = self.batches.is_empty() && self.read_queues();
            if !self.flush() && !wrote && !moved && !read {
                return;
            }
        }
    }

    fn next_parcel(&mut self) -> Option<(ShardIndex, Parcel)> {
        let is_held = |to: ShardIndex| self.holds_mail_to == Some(to.0.into());
        let at = self.mail.iter().position(|(to, _)| !is_held(*to))?;
        self.mail.remove(at)
    }

    fn read_queues(&mut self) -> bool {
        let Some((shard, slot, session, wanted)) = self.reads.pop_front() else { return false };
        // Not always all of them.
        let (found, error) = Wanted::read_some(&wanted, &self.disk, 2_000);
        self.reads_from_disk += found.len();
        self.input(shard, Input::QueueRead { slot, session, found, error });
        true
    }

    fn write_batches(&mut self) -> bool {
        let batches = std::mem::take(&mut self.batches);
        let mut durable = vec![None; self.shards.len()];
        for (shard, ticket, operations, _) in batches {
            operations.iter().for_each(|operation| self.disk.apply(operation));
            durable[shard] = Some(ticket);
        }
        for (shard, ticket) in durable.iter().enumerate() {
            if let Some(ticket) = *ticket {
                self.input(shard, Input::Durable { ticket });
            }
        }
        durable.iter().any(Option::is_some)
    }

    fn flush(&mut self) -> bool {
        let mut wrote = false;
        for shard in 0..self.shards.len() {
            while let Some(key) = self.shards[shard].next_dirty() {
                let bytes = self.shards[shard].output(key).to_vec();
                assert!(!bytes.is_empty(), "a dirty connection has something to write");
                let line = self.line_mut(shard, key);
                if line.is_reading {
                    line.inbox.extend_from_slice(&bytes);
                    self.input(shard, Input::Written { connection: key, bytes: bytes.len() });
                    wrote = true;
                }
            }
        }
        wrote
    }

    fn line_mut(&mut self, shard: usize, key: ConnectionKey) -> &mut Line {
        let line = self.lines.iter_mut().find(|line| line.shard == shard && line.key == key);
        line.expect("a known connection")
    }

    fn carry_out(&mut self, shard: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist { ticket, operations, urgency } => {
                    assert!(!operations.is_empty());
                    self.batches.push((shard, ticket, operations, urgency));
                }
                Effect::ReadQueue { slot, session, wanted } => {
                    assert!(!wanted.is_empty());
                    self.reads.push_back((shard, slot, session, wanted));
                }
                Effect::StoreIsDamaged(error) => panic!("{error}"),
                Effect::Send { to, parcel } => {
                    assert_ne!(usize::from(to.0), shard, "a parcel to oneself");
                    self.mail.push_back((to, parcel));
                }
                Effect::HandOver { connection, to, listener, peer, bytes, authenticated } => {
                    let to = usize::from(to.0);
                    assert_ne!(to, shard, "a connection to oneself");
                    let key = self.free_key(to);
                    let line = self.line_mut(shard, connection);
                    (line.shard, line.key) = (to, key);
                    let (connection, bytes) = (key, &bytes);
                    self.input(to, Input::HandedOver { connection, listener, peer, bytes, authenticated });
                }
                Effect::Close { connection, farewell } => {
                    let line = self.line_mut(shard, connection);
                    assert!(std::mem::replace(&mut line.is_open, false), "closed once");
                    line.inbox.extend_from_slice(&farewell);
                }
                Effect::Pause { connection } => {
                    self.pauses += 1;
                    self.line_mut(shard, connection).is_paused = true;
                }
                Effect::Resume { connection } => {
                    let line = self.line_mut(shard, connection);
                    line.is_paused = false;
                    let unread = std::mem::take(&mut line.unread);
                    if !unread.is_empty() {
                        self.input(shard, Input::Received { connection, bytes: &unread });
                    }
                }
                Effect::Authenticate { connection, user_name, .. } => {
                    let verdict = match &*user_name {
                        "stranger" => Verdict::Refused,
                        "late" => Verdict::Busy,
                        _ => Verdict::Accepted,
                    };
                    if self.holds_answers {
                        self.asked.push_back((shard, connection, verdict));
                    } else {
                        self.input(shard, Input::Authenticated { connection, verdict });
                    }
                }
                Effect::Log { line, .. } => self.log.push(line),
            }
        }
    }
}

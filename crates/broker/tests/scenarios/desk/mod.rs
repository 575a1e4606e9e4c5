//! A shard on a desk: a virtual clock, clients made of the protocol crate's codec, and a store that is durable at
//! once or when the test says so. Only this module knows the broker's API.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::record::{Operation, Table};
use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, Now, Settings, Shard, Shared, Ticket, TransportEnd,
};
use noctule_protocol::ProtocolVersion;
use noctule_protocol::ProtocolVersion::{V5, V31, V311};
use noctule_protocol::packet::RetainHandling;

mod client;
mod disk;
mod hello;
mod packet;

use disk::Disk;

pub(crate) use client::Client;
pub(crate) use disk::Stored;
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
    shard: Shard,
    shared: Shared,
    now: Now,
    lines: Vec<Line>,
    /// Whether a batch is durable as soon as it is handed out.
    at_once: bool,
    /// Handed out, not durable.
    batches: Vec<(Ticket, Vec<Operation>, bool)>,
    disk: Disk,
    log: Vec<String>,
}

/// One transport.
struct Line {
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
        let mut settings = Settings { secret: [3, 5], ..Settings::default() };
        change(&mut settings);
        let settings = Arc::new(settings);
        let shared = Shared::new(&settings);
        let wall = Duration::from_secs(1_800_000_000);
        Self(Rc::new(RefCell::new(State {
            shard: Shard::new(Arc::clone(&settings), 1),
            settings,
            shared,
            now: Now { monotonic: Duration::from_secs(100), wall },
            lines: Vec::new(),
            at_once: true,
            batches: Vec::new(),
            disk: Disk::default(),
            log: Vec::new(),
        })))
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

    /// How many batches wait for the disk, and whether somebody waits for them.
    pub(crate) fn waiting_batches(&self) -> Vec<bool> {
        self.0.borrow().batches.iter().map(|(_, _, urgent)| *urgent).collect()
    }

    /// The broker is killed and comes back with what is on the disk.
    pub(crate) fn restart(&self) {
        let mut state = self.0.borrow_mut();
        state.batches.clear();
        state.lines.iter_mut().for_each(|line| line.is_open = false);
        state.shared = Shared::new(&state.settings);
        let State { settings, shared, now, disk, .. } = &mut *state;
        let mut shard = Shard::new(Arc::clone(settings), 0);
        let mut effects = Vec::new();
        shard.restore(shared, disk.rows(), *now, &mut effects).expect("rows that were written");
        state.shard = shard;
        state.carry_out(effects);
        state.run();
    }

    /// Looks at what is on the disk.
    pub(crate) fn disk<T>(&self, look: impl FnOnce(&Stored) -> T) -> T {
        look(&self.0.borrow().disk.stored())
    }

    /// How many rows of these tables are on the disk.
    pub(crate) fn disk_rows(&self, tables: &[Table]) -> usize {
        self.0.borrow().disk.rows().iter().filter(|(table, ..)| tables.contains(table)).count()
    }

    /// Time passes; timers fire when they are due.
    pub(crate) fn sleep(&self, seconds: f64) {
        let mut state = self.0.borrow_mut();
        let until = state.now.monotonic + Duration::from_secs_f64(seconds);
        while let Some(due) = state.shard.next_timeout().filter(|due| *due <= until) {
            state.advance_to(due);
            state.input(Input::TimedOut);
            let next = state.shard.next_timeout();
            assert!(next.is_none_or(|next| next > due), "a timer that is due was left");
            state.run();
        }
        state.advance_to(until);
    }

    /// When the next timer is due, in seconds from now.
    pub(crate) fn next_timeout(&self) -> Option<f64> {
        let state = self.0.borrow();
        state.shard.next_timeout().map(|due| due.saturating_sub(state.now.monotonic).as_secs_f64())
    }

    pub(crate) fn shut_down(&self) {
        let mut state = self.0.borrow_mut();
        state.input(Input::Shutdown);
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

    /// Takes the log lines so far.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    /// A transport without CONNECT, whose answers are read as this version's.
    pub(crate) fn open(&self, version: ProtocolVersion) -> Client {
        let line = self.0.borrow_mut().open(version);
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

impl State {
    fn open(&mut self, version: ProtocolVersion) -> usize {
        // Places are used again, as a shell would.
        let taken = |index: u32| self.lines.iter().any(|line| line.is_open && line.key.index == index);
        let index = (0..).find(|&index| !taken(index)).expect("a place");
        let key = ConnectionKey { index, generation: self.lines.len() as u32 };
        self.lines.push(Line {
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
        self.input(Input::Connected { connection: key, listener: ListenerIndex(0), peer });
        self.run();
        self.lines.len() - 1
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
        let connection = line.key;
        self.input(Input::Received { connection, bytes });
        self.run();
    }

    fn closed(&mut self, line: usize, end: TransportEnd<'_>) {
        let line = &mut self.lines[line];
        if std::mem::replace(&mut line.is_open, false) {
            let connection = line.key;
            self.input(Input::Closed { connection, end });
            self.run();
        }
    }

    fn advance_to(&mut self, monotonic: Duration) {
        let step = monotonic.saturating_sub(self.now.monotonic);
        self.now.monotonic += step;
        self.now.wall += step;
    }

    fn input(&mut self, input: Input<'_>) {
        let mut effects = Vec::new();
        self.shard.handle(&self.shared, input, self.now, &mut effects);
        self.carry_out(effects);
    }

    /// Turns, until nothing is left to do.
    fn run(&mut self) {
        loop {
            let mut effects = Vec::new();
            self.shard.end_turn(&mut effects);
            self.carry_out(effects);
            let wrote = self.at_once && self.write_batches();
            if !self.flush() && !wrote {
                return;
            }
        }
    }

    fn write_batches(&mut self) -> bool {
        let batches = std::mem::take(&mut self.batches);
        let Some(&(ticket, ..)) = batches.last() else { return false };
        for operation in batches.into_iter().flat_map(|(_, operations, _)| operations) {
            self.disk.apply(&operation);
        }
        self.input(Input::Durable { ticket });
        true
    }

    fn flush(&mut self) -> bool {
        let mut wrote = false;
        while let Some(key) = self.shard.next_dirty() {
            let bytes = self.shard.output(key).to_vec();
            assert!(!bytes.is_empty(), "a dirty connection has something to write");
            let line = self.line_mut(key);
            if line.is_reading {
                line.inbox.extend_from_slice(&bytes);
                self.input(Input::Written { connection: key, bytes: bytes.len() });
                wrote = true;
            }
        }
        wrote
    }

    fn line_mut(&mut self, key: ConnectionKey) -> &mut Line {
        self.lines.iter_mut().find(|line| line.key == key).expect("a known connection")
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist { ticket, operations, urgent } => {
                    assert!(!operations.is_empty());
                    self.batches.push((ticket, operations, urgent));
                }
                Effect::Close { connection, farewell } => {
                    let line = self.line_mut(connection);
                    assert!(std::mem::replace(&mut line.is_open, false), "closed once");
                    line.inbox.extend_from_slice(&farewell);
                }
                Effect::Pause { connection } => self.line_mut(connection).is_paused = true,
                Effect::Resume { connection } => {
                    let line = self.line_mut(connection);
                    line.is_paused = false;
                    let unread = std::mem::take(&mut line.unread);
                    if !unread.is_empty() {
                        self.input(Input::Received { connection, bytes: &unread });
                    }
                }
                Effect::Log { line, .. } => self.log.push(line),
            }
        }
    }
}

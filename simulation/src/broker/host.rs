//! The shell around one shard: turns, effects, writes. Between any two tasks of a turn other shards may have theirs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::record::Wanted;
use noctule_broker::{
    ConnectionKey, Effect, Input, ListenerIndex, SessionNumber, Shard, TransportEnd, Verdict,
};

use noctule_persistence::Stored;

use super::connection::Connection;
use super::mailbox::{HandedOver, Letter};
use super::{Around, Step, step};
use crate::network::{End, Found, LinkNumber};
use crate::sabotage::Sabotage;

pub(super) struct Host {
    index: usize,
    pub(super) shard: Shard,
    /// Generations by place.
    places: Vec<u32>,
    free: Vec<u32>,
    connections: BTreeMap<ConnectionKey, Connection>,
    by_link: BTreeMap<LinkNumber, ConnectionKey>,
    /// Links with something to look at.
    to_read: BTreeSet<LinkNumber>,
    /// To be written in the coming turn.
    to_write: BTreeSet<ConnectionKey>,
    /// What the disk has reported.
    stored: Stored,
    /// What the core was told about the queue before the store.
    is_full: bool,
    effects: VecDeque<Effect>,
    /// Who waits to hear whether its User Name is right.
    asked: Vec<ConnectionKey>,
    /// What is to be read from disk, when all that was pushed up to a ticket is written.
    reads: VecDeque<Read>,
    /// What is left of this turn.
    agenda: VecDeque<Task>,
}

/// Deliveries of a session that are on disk only.
struct Read {
    slot: u32,
    session: SessionNumber,
    wanted: Vec<Wanted>,
    behind: noctule_storage::Ticket,
}

/// One thing to do in a turn.
enum Task {
    ReadQueues,
    Continue,
    Settings,
    Answer(ConnectionKey),
    Mail,
    Read(LinkNumber),
    TimeOut,
    Settle,
    WriteAll,
}

impl Host {
    pub(super) fn new((index, shard): (usize, Shard)) -> Self {
        Self {
            index,
            shard,
            places: Vec::new(),
            free: Vec::new(),
            connections: BTreeMap::new(),
            by_link: BTreeMap::new(),
            to_read: BTreeSet::new(),
            to_write: BTreeSet::new(),
            stored: Stored::default(),
            is_full: false,
            effects: VecDeque::new(),
            asked: Vec::new(),
            reads: VecDeque::new(),
            agenda: VecDeque::new(),
        }
    }

    /// Effects to carry out in the next turn.
    pub(super) fn owe(&mut self, effects: Vec<Effect>) {
        self.effects.extend(effects);
    }

    pub(super) fn look(&mut self, link: LinkNumber) {
        self.to_read.insert(link);
    }

    pub(super) fn stored(&mut self, Stored { flushed, durable }: Stored) {
        self.stored.flushed = self.stored.flushed.max(flushed);
        self.stored.durable = self.stored.durable.max(durable);
    }

    /// Whether its core waits to hear that the queue before the store has room.
    pub(super) fn knows_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn has_work(&self) -> bool {
        self.shard.has_work()
    }

    /// Links that are not read.
    pub(super) fn paused(&self) -> impl Iterator<Item = LinkNumber> {
        self.connections.values().filter(|connection| connection.paused).map(|connection| connection.link)
    }

    /// Goes on with a turn, or begins one, and plans the next.
    pub(super) fn turn(&mut self, around: &mut Around<'_>) -> Step {
        if self.agenda.is_empty() {
            self.begin_turn(around);
        }
        while let Some(task) = self.agenda.pop_front() {
            self.carry(&task, around)?;
            let Around { commons, context, .. } = &mut *around;
            if !self.agenda.is_empty() && context.random.percent(context.plan.interleave_percent) {
                let after = context.random.time(Duration::ZERO..=Duration::from_micros(300));
                commons.plan_turn(self.index, after, context);
                return Ok(());
            }
        }
        self.plan_next(around);
        Ok(())
    }

    /// A turn without a break.
    pub(super) fn turn_whole(&mut self, around: &mut Around<'_>) -> Step {
        if self.agenda.is_empty() {
            self.begin_turn(around);
        }
        while let Some(task) = self.agenda.pop_front() {
            self.carry(&task, around)?;
        }
        Ok(())
    }

    fn plan_next(&self, around: &mut Around<'_>) {
        let Around { commons, context, .. } = around;
        let has_mail = !commons.mailboxes[self.index].is_empty();
        let has_more = !self.to_read.is_empty()
            || !self.to_write.is_empty()
            || self.stored != Stored::default()
            || !self.asked.is_empty();
        if has_mail || has_more || self.shard.has_dirty() || self.shard.has_work() {
            commons.plan_turn(self.index, Duration::from_micros(20), context);
        } else if !self.reads.is_empty() {
            let after = context.random.millis(1..=5);
            commons.plan_turn(self.index, after, context);
        } else if let Some(at) = self.shard.next_timeout() {
            commons.plan_turn_at(self.index, at, context);
        }
    }

    /// One pass of the event loop, in the order of the real one.
    fn begin_turn(&mut self, around: &mut Around<'_>) {
        for connection in self.connections.values_mut() {
            connection.written_in_turn = false;
        }
        if self.shard.has_work() {
            self.agenda.push_back(Task::Continue);
        }
        if around.context.plan.has_rules() && around.context.random.percent(1) {
            self.agenda.push_back(Task::Settings);
        }
        let asked = std::mem::take(&mut self.asked);
        self.agenda.extend(asked.into_iter().map(Task::Answer));
        if !self.reads.is_empty() && around.context.random.percent(70) {
            self.agenda.push_back(Task::ReadQueues);
        }
        self.agenda.push_back(Task::Mail);
        let mut links: Vec<LinkNumber> = std::mem::take(&mut self.to_read).into_iter().collect();
        around.context.random.shuffle(&mut links);
        for link in links {
            self.agenda.push_back(Task::Read(link));
            if around.context.plan.eager {
                self.agenda.push_back(Task::Settle);
            }
        }
        self.agenda.extend([Task::TimeOut, Task::Settle, Task::WriteAll, Task::Settle]);
    }

    fn carry(&mut self, task: &Task, around: &mut Around<'_>) -> Step {
        match *task {
            Task::Continue => {
                step(around.countdown)?;
                self.handle(Input::Continue, around);
            }
            Task::Settings => {
                step(around.countdown)?;
                let settings = around.context.plan.reworded(&mut around.context.random);
                self.handle(Input::Settings(Arc::new(settings)), around);
            }
            Task::Answer(connection) => {
                step(around.countdown)?;
                let verdict = Verdict::Accepted;
                self.handle(Input::Authenticated { connection, verdict }, around);
            }
            Task::ReadQueues => self.read_queues(around)?,
            Task::Mail => self.read_mail(around)?,
            Task::Read(link) => {
                step(around.countdown)?;
                self.read(link, around)?;
            }
            Task::TimeOut => {
                let now = around.commons.now(around.context);
                if self.shard.next_timeout().is_some_and(|at| at <= now.monotonic) {
                    step(around.countdown)?;
                    self.handle(Input::TimedOut, around);
                }
            }
            Task::Settle => self.settle(around)?,
            Task::WriteAll => self.write_all(around)?,
        }
        Ok(())
    }

    pub(super) fn handle(&mut self, input: Input<'_>, around: &mut Around<'_>) {
        let Around { commons, context, .. } = around;
        let now = commons.now(context);
        let mut effects = Vec::new();
        self.shard.handle(&commons.shared, input, now, &mut effects);
        self.effects.extend(effects);
        if context.trace.is_on() {
            commons.trace_drops(context);
        }
    }

    /// What the reader thread has read.
    fn read_queues(&mut self, around: &mut Around<'_>) -> Step {
        while let Some(Read { slot, session, wanted, behind }) = self.reads.pop_front() {
            let Some(rows) = around.disk.rows_behind(behind) else {
                self.reads.push_front(Read { slot, session, wanted, behind });
                return Ok(());
            };
            step(around.countdown)?;
            let bytes_max = around.context.random.between(1..=2_000);
            let (found, error) = Wanted::read_some(&wanted, &rows, bytes_max);
            self.handle(Input::QueueRead { slot, session, found, error }, around);
        }
        Ok(())
    }

    fn read_mail(&mut self, around: &mut Around<'_>) -> Step {
        for letter in around.commons.mailboxes[self.index].take(around.context) {
            step(around.countdown)?;
            match letter {
                Letter::Parcel(parcel) => self.handle(Input::Parcel { parcel }, around),
                Letter::Loaded(some_expire) => self.handle(Input::RetainedLoaded { some_expire }, around),
                Letter::Connection(HandedOver { link, listener, peer, bytes, authenticated }) => {
                    let connection = self.enter(link);
                    let bytes = &bytes;
                    let input = Input::HandedOver { connection, listener, peer, bytes, authenticated };
                    self.handle(input, around);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, link: LinkNumber, around: &mut Around<'_>) -> Step {
        let context = &mut *around.context;
        let Some(&key) = self.by_link.get(&link) else {
            self.accept(link, around);
            return Ok(());
        };
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        if connection.blocked && context.has_room(link, End::Broker) {
            connection.blocked = false;
            self.to_write.insert(key);
        }
        let found = context.look(link, End::Broker);
        match found {
            // A paused connection is not read; an error is noticed all the same.
            Found::Bytes | Found::End if connection.paused => {}
            Found::Bytes => {
                let most = context.random.between(1..=context.plan.read_bytes_max);
                let bytes = context.read_link(link, End::Broker, most);
                self.to_read.insert(link);
                // Mail that came meanwhile goes before what a client sent perhaps because of it.
                self.read_mail(around)?;
                self.handle(Input::Received { connection: key, bytes: &bytes }, around);
            }
            Found::End | Found::Reset => {
                let end = match found {
                    Found::Reset => TransportEnd::Failed("Connection reset by peer"),
                    Found::End | Found::Bytes | Found::Nothing => TransportEnd::ClosedByPeer,
                };
                self.forget(key);
                self.read_mail(around)?;
                self.handle(Input::Closed { connection: key, end }, around);
                around.context.finish_link(link, End::Broker);
            }
            Found::Nothing => {}
        }
        Ok(())
    }

    fn accept(&mut self, link: LinkNumber, around: &mut Around<'_>) {
        // One that is being handed over comes by mail.
        if around.context.accept_link(link) {
            let connection = self.enter(link);
            let client = around.context.links[link].client;
            let listener = ListenerIndex(around.context.plan.clients[client].listener);
            self.handle(Input::Connected { connection, listener, peer: None }, around);
        }
    }

    fn enter(&mut self, link: LinkNumber) -> ConnectionKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(0);
            self.places.len() as u32 - 1
        });
        self.places[index as usize] += 1;
        let key = ConnectionKey { index, generation: self.places[index as usize] };
        self.connections.insert(key, Connection::new(link));
        self.by_link.insert(link, key);
        self.to_read.insert(link);
        key
    }

    fn forget(&mut self, key: ConnectionKey) -> Option<Connection> {
        let connection = self.connections.remove(&key)?;
        self.free.push(key.index);
        Some(connection)
    }

    /// Ends the turn in the core and carries out what it asks for, until it asks for nothing.
    pub(super) fn settle(&mut self, around: &mut Around<'_>) -> Step {
        loop {
            let mut effects = Vec::new();
            self.shard.end_turn(&around.commons.shared, &mut effects);
            self.effects.extend(effects);
            while let Some(effect) = self.effects.pop_front() {
                step(around.countdown)?;
                self.carry_out(effect, around);
            }
            let stored = std::mem::take(&mut self.stored);
            let flushed = stored.flushed.filter(|flushed| Some(*flushed) > stored.durable);
            if let Some(ticket) = stored.durable {
                step(around.countdown)?;
                self.handle(Input::Durable { ticket }, around);
            }
            if let Some(ticket) = flushed {
                step(around.countdown)?;
                self.handle(Input::Flushed { ticket }, around);
            }
            let is_full = around.disk.is_full();
            let is_news = std::mem::replace(&mut self.is_full, is_full) != is_full;
            if is_news && (is_full || around.context.plan.sabotage != Some(Sabotage::StayFull)) {
                step(around.countdown)?;
                self.handle(Input::StoreQueue { is_full }, around);
            }
            if stored == Stored::default() && !is_news {
                return Ok(());
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, around: &mut Around<'_>) {
        let Around { commons, disk, context, .. } = around;
        match effect {
            Effect::Persist { ticket, operations, urgency } => {
                disk.persist((self.index, ticket), &operations, urgency, &commons.shared, context);
                if context.plan.sabotage == Some(Sabotage::DurableTooEarly) {
                    self.stored.durable = Some(ticket);
                }
            }
            Effect::Close { connection, farewell } => {
                if let Some(closed) = self.forget(connection) {
                    context.write_link(closed.link, End::Broker, &farewell);
                    context.finish_link(closed.link, End::Broker);
                }
            }
            Effect::Pause { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.paused = true;
                }
            }
            Effect::Resume { connection } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.paused = false;
                    self.to_read.insert(connection.link);
                }
            }
            Effect::Send { to, parcel } => {
                let from = self.index;
                context.trace(|| format!("shard {from}: parcel to {} of {} bytes", to.get(), parcel.bytes()));
                commons.send(from, to.get(), Letter::Parcel(parcel), context);
            }
            Effect::HandOver { connection, to, listener, peer, bytes, authenticated } => {
                let Some(handed) = self.forget(connection) else { return };
                let link = handed.link;
                self.by_link.remove(&link);
                commons.links.insert(link, to.get());
                let from = self.index;
                context.trace(|| {
                    format!("shard {from}: link {link} to {} with {} bytes", to.get(), bytes.len())
                });
                let handed_over = HandedOver { link, listener, peer, bytes, authenticated };
                let letter = Letter::Connection(handed_over);
                commons.send(from, to.get(), letter, context);
            }
            Effect::Authenticate { connection, .. } => {
                // The answer comes in another turn, or the connection ends before.
                self.asked.push(connection);
                let after = context.random.millis(0..=30);
                commons.plan_turn(self.index, after, context);
            }
            Effect::ReadQueue { slot, session, wanted } => {
                let behind = disk.hurry(context);
                self.reads.push_back(Read { slot, session, wanted, behind });
                let after = context.random.millis(0..=30);
                commons.plan_turn(self.index, after, context);
            }
            Effect::StoreIsDamaged(error) => context.violation("damage", error.to_string()),
            Effect::Log { line, .. } => context.broker_log(&line),
        }
    }

    /// Writes each outbox once.
    fn write_all(&mut self, around: &mut Around<'_>) -> Step {
        for key in std::mem::take(&mut self.to_write) {
            self.write(key, around)?;
        }
        while let Some(key) = self.shard.next_dirty() {
            match self.connections.get(&key) {
                Some(connection) if connection.written_in_turn => drop(self.to_write.insert(key)),
                Some(connection) if connection.blocked => {}
                Some(_) => self.write(key, around)?,
                None => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, key: ConnectionKey, around: &mut Around<'_>) -> Step {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        let output = self.shard.output(key);
        if output.is_empty() || connection.blocked {
            return Ok(());
        }
        step(around.countdown)?;
        connection.check_output(output, around.context);
        let written = around.context.write_link(connection.link, End::Broker, output);
        connection.written_in_turn = true;
        connection.blocked = written < output.len();
        connection.written += written;
        if written > 0 {
            self.handle(Input::Written { connection: key, bytes: written }, around);
        }
        Ok(())
    }
}

//! The shell around the shard: turns, effects, writes, and crashes between any two of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_broker::{ConnectionKey, Effect, Input, ListenerIndex, Now, Shard, Shared, Ticket, TransportEnd};
use noctule_protocol::frame::{PacketType, next_frame};

use crate::context::Context;
use crate::disk::Disk;
use crate::network::{End, Found, LinkNumber};
use crate::sabotage::Sabotage;
use crate::schedule::Event;

/// What the wall clock showed when the run began.
const WALL_START: Duration = Duration::from_secs(1_700_000_000);

/// A broker process, or the lack of one.
#[derive(Default)]
pub(crate) struct Broker {
    process: Option<Process>,
    /// Processes so far; each is a source of messages.
    started: u32,
    /// Steps until it crashes.
    crashes_in: Option<usize>,
    /// What processes before this one counted.
    counted: BTreeMap<&'static str, u64>,
}

struct Process {
    shared: Shared,
    shard: Shard,
    started_at: Duration,
    /// Generations by place.
    places: Vec<u32>,
    free: Vec<u32>,
    connections: BTreeMap<ConnectionKey, Connection>,
    by_link: BTreeMap<LinkNumber, ConnectionKey>,
    /// Links with something to look at.
    to_read: BTreeSet<LinkNumber>,
    /// To be written in the coming turn.
    to_write: BTreeSet<ConnectionKey>,
    /// Tickets the disk has reported.
    durable: Option<Ticket>,
    turn_planned: Option<Duration>,
    effects: VecDeque<Effect>,
    /// What the history says was dropped.
    dropped: BTreeMap<&'static str, u64>,
}

struct Connection {
    link: LinkNumber,
    paused: bool,
    blocked: bool,
    written_in_turn: bool,
    /// Bytes the broker ever appended to its outbox, and those of them that were written.
    appended: usize,
    written: usize,
    /// The longest PUBLISH so far: the limit may be passed by one packet.
    longest: usize,
}

/// The process died within a turn.
struct Crashed;

type Step = Result<(), Crashed>;

impl Broker {
    /// Whether clients can reach it.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Dies after so many more steps: inputs, effects, writes.
    pub(crate) fn crash_in(&mut self, steps: usize) {
        self.crashes_in.get_or_insert(steps);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&mut self) {
        self.crashes_in = None;
    }

    /// What all processes counted together.
    pub(crate) fn counted(&self, metric: Metric) -> u64 {
        let now = self.process.as_ref().map_or(0, |process| process.shared.metrics.get(metric));
        self.counted.get(metric.name()).copied().unwrap_or_default() + now
    }

    /// Begins a process with what the disk holds.
    pub(crate) fn start(&mut self, disk: &mut Disk, context: &mut Context) {
        self.started += 1;
        let settings = Arc::new(context.plan.settings.clone());
        let mut process = Process {
            shared: Shared::new(&settings),
            shard: Shard::new(settings, self.started),
            started_at: context.now,
            places: Vec::new(),
            free: Vec::new(),
            connections: BTreeMap::new(),
            by_link: BTreeMap::new(),
            to_read: BTreeSet::new(),
            to_write: BTreeSet::new(),
            durable: None,
            turn_planned: None,
            effects: VecDeque::new(),
            dropped: BTreeMap::new(),
        };
        if context.plan.sabotage == Some(Sabotage::ForgetSession) && self.started == 2 {
            disk.forget_session();
        }
        let rows = disk.rows();
        context.trace(|| format!("broker: start {} from {} rows", self.started, rows.len()));
        let mut effects = Vec::new();
        let now = process.now(context);
        if let Err(error) = process.shard.restore(&process.shared, rows, now, &mut effects) {
            context.violation("restore", error.to_string());
        }
        process.effects.extend(effects);
        process.plan_turn(Duration::ZERO, context);
        self.process = Some(process);
    }

    /// Something waits at the broker's end of a link.
    pub(crate) fn look(&mut self, link: LinkNumber, context: &mut Context) {
        if let Some(process) = &mut self.process {
            process.to_read.insert(link);
            let after = context.random.time(Duration::ZERO..=Duration::from_micros(300));
            process.plan_turn(after, context);
        }
    }

    /// The disk reports.
    pub(crate) fn durable(&mut self, ticket: Ticket, context: &mut Context) {
        if let Some(process) = &mut self.process {
            process.durable = process.durable.max(Some(ticket));
            process.plan_turn(Duration::ZERO, context);
        }
    }

    /// Takes a turn if one is due.
    pub(crate) fn turn(&mut self, disk: &mut Disk, context: &mut Context) {
        let Some(process) = &mut self.process else { return };
        if process.turn_planned.is_none_or(|at| at > context.now) {
            return; // an event of a process before this one, or one that was brought forward
        }
        process.turn_planned = None;
        match process.turn(&mut self.crashes_in, disk, context) {
            Ok(()) => process.plan_next(context),
            Err(Crashed) => self.crash(disk, context),
        }
    }

    /// The process is gone at once, with all that it held.
    pub(crate) fn crash(&mut self, disk: &mut Disk, context: &mut Context) {
        self.crashes_in = None;
        let Some(process) = self.process.take() else { return };
        context.trace(|| "broker: crash".to_owned());
        disk.crash(context);
        self.bury(&process, context);
    }

    /// The process is asked to end, and ends well.
    pub(crate) fn stop(&mut self, disk: &mut Disk, context: &mut Context) {
        let Some(mut process) = self.process.take() else { return };
        context.trace(|| "broker: stop".to_owned());
        process.handle(Input::Shutdown, context);
        // Without steps to count there is no crash.
        let ended = process.settle(&mut None, disk, context);
        debug_assert!(ended.is_ok(), "nothing crashes without a countdown");
        disk.close(context);
        self.bury(&process, context);
    }

    fn bury(&mut self, process: &Process, context: &mut Context) {
        for metric in Metric::ALL {
            *self.counted.entry(metric.name()).or_default() += process.shared.metrics.get(*metric);
        }
        context.orphan_links();
        let after = context.random.millis(1..=2000);
        context.schedule.plan(context.now + after, Event::Start);
    }
}

impl Process {
    fn now(&self, context: &Context) -> Now {
        Now { monotonic: context.now - self.started_at, wall: WALL_START + context.now }
    }

    fn plan_turn(&mut self, after: Duration, context: &mut Context) {
        let at = context.now + after;
        if self.turn_planned.is_none_or(|planned| planned > at) {
            self.turn_planned = Some(at);
            context.schedule.plan(at, Event::Turn);
        }
    }

    fn plan_next(&mut self, context: &mut Context) {
        if !self.to_read.is_empty() || !self.to_write.is_empty() || self.shard.has_dirty() {
            self.plan_turn(Duration::from_micros(20), context);
        } else if let Some(at) = self.shard.next_timeout() {
            let at = (self.started_at + at).max(context.now + Duration::from_millis(1));
            self.plan_turn(at - context.now, context);
        }
    }

    /// One pass of the event loop, in the order of the real one.
    fn turn(&mut self, countdown: &mut Option<usize>, disk: &mut Disk, context: &mut Context) -> Step {
        for connection in self.connections.values_mut() {
            connection.written_in_turn = false;
        }
        let mut links: Vec<LinkNumber> = std::mem::take(&mut self.to_read).into_iter().collect();
        context.random.shuffle(&mut links);
        for link in links {
            step(countdown)?;
            self.read(link, context);
            if context.plan.eager {
                self.settle(countdown, disk, context)?;
            }
        }
        let now = self.now(context);
        if self.shard.next_timeout().is_some_and(|at| at <= now.monotonic) {
            step(countdown)?;
            self.handle(Input::TimedOut, context);
        }
        self.settle(countdown, disk, context)?;
        self.write_all(countdown, context)?;
        self.settle(countdown, disk, context)
    }

    fn handle(&mut self, input: Input<'_>, context: &mut Context) {
        let now = self.now(context);
        let mut effects = Vec::new();
        self.shard.handle(&self.shared, input, now, &mut effects);
        self.effects.extend(effects);
        if context.trace.is_on() {
            self.trace_drops(context);
        }
    }

    fn trace_drops(&mut self, context: &mut Context) {
        for metric in Metric::ALL.iter().filter(|metric| metric.name().starts_with("dropped")) {
            let now = self.shared.metrics.get(*metric);
            let before = self.dropped.insert(metric.name(), now).unwrap_or_default();
            if now > before {
                context.trace(|| format!("broker: {} {}", metric.name(), now - before));
            }
        }
    }

    fn read(&mut self, link: LinkNumber, context: &mut Context) {
        let Some(&key) = self.by_link.get(&link) else {
            return self.accept(link, context);
        };
        let Some(connection) = self.connections.get_mut(&key) else { return };
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
                self.handle(Input::Received { connection: key, bytes: &bytes }, context);
            }
            Found::End | Found::Reset => {
                self.forget(key);
                let end = match found {
                    Found::Reset => TransportEnd::Failed("Connection reset by peer"),
                    Found::End | Found::Bytes | Found::Nothing => TransportEnd::ClosedByPeer,
                };
                self.handle(Input::Closed { connection: key, end }, context);
                context.finish_link(link, End::Broker);
            }
            Found::Nothing => {}
        }
    }

    fn accept(&mut self, link: LinkNumber, context: &mut Context) {
        if !context.accept_link(link) {
            return;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(0);
            self.places.len() as u32 - 1
        });
        self.places[index as usize] += 1;
        let key = ConnectionKey { index, generation: self.places[index as usize] };
        let connection = Connection {
            link,
            paused: false,
            blocked: false,
            written_in_turn: false,
            appended: 0,
            written: 0,
            longest: 0,
        };
        self.connections.insert(key, connection);
        self.by_link.insert(link, key);
        self.to_read.insert(link);
        let input = Input::Connected { connection: key, listener: ListenerIndex(0), peer: None };
        self.handle(input, context);
    }

    fn forget(&mut self, key: ConnectionKey) -> Option<Connection> {
        let connection = self.connections.remove(&key)?;
        self.free.push(key.index);
        Some(connection)
    }

    /// Ends the turn in the core and carries out what it asks for, until it asks for nothing.
    fn settle(&mut self, countdown: &mut Option<usize>, disk: &mut Disk, context: &mut Context) -> Step {
        loop {
            let mut effects = Vec::new();
            self.shard.end_turn(&mut effects);
            self.effects.extend(effects);
            while let Some(effect) = self.effects.pop_front() {
                step(countdown)?;
                self.carry_out(effect, disk, context);
            }
            let Some(ticket) = self.durable.take() else { return Ok(()) };
            step(countdown)?;
            self.handle(Input::Durable { ticket }, context);
        }
    }

    fn carry_out(&mut self, effect: Effect, disk: &mut Disk, context: &mut Context) {
        match effect {
            Effect::Persist { ticket, operations, urgent } => {
                disk.persist(ticket, &operations, urgent, context);
                if context.plan.sabotage == Some(Sabotage::DurableTooEarly) {
                    self.durable = Some(ticket);
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
            Effect::Log { line, .. } => context.broker_log(&line),
        }
    }

    /// Writes each outbox once.
    fn write_all(&mut self, countdown: &mut Option<usize>, context: &mut Context) -> Step {
        for key in std::mem::take(&mut self.to_write) {
            self.write(key, countdown, context)?;
        }
        while let Some(key) = self.shard.next_dirty() {
            match self.connections.get(&key) {
                Some(connection) if connection.written_in_turn => drop(self.to_write.insert(key)),
                Some(connection) if connection.blocked => {}
                Some(_) => self.write(key, countdown, context)?,
                None => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, key: ConnectionKey, countdown: &mut Option<usize>, context: &mut Context) -> Step {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        let output = self.shard.output(key);
        if output.is_empty() || connection.blocked {
            return Ok(());
        }
        step(countdown)?;
        connection.check_output(output, context);
        let written = context.write_link(connection.link, End::Broker, output);
        connection.written_in_turn = true;
        connection.blocked = written < output.len();
        connection.written += written;
        if written > 0 {
            self.handle(Input::Written { connection: key, bytes: written }, context);
        }
        Ok(())
    }
}

impl Connection {
    /// Looks at the packets that were appended since the last write.
    fn check_output(&mut self, output: &[u8], context: &mut Context) {
        let mut limit = context.plan.settings.outbox_bytes_max;
        if context.plan.sabotage == Some(Sabotage::StingyOutbox) {
            limit /= 2;
        }
        let mut at = self.appended - self.written;
        self.appended = self.written + output.len();
        while at < output.len() {
            let Ok(Some((frame, length))) = next_frame(&output[at..], u32::MAX) else {
                return context.violation("protocol", "the outbox does not end with a packet".to_owned());
            };
            at += length;
            if frame.packet_type() == Ok(PacketType::Publish) {
                self.longest = self.longest.max(length);
                if at > limit + self.longest {
                    context
                        .violation("outbox", format!("{at} bytes wait, {limit} and a packet are the limit"));
                }
            }
        }
    }
}

fn step(countdown: &mut Option<usize>) -> Step {
    match countdown {
        Some(0) => Err(Crashed),
        Some(steps) => {
            *steps -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

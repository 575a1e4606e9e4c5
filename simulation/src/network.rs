//! Byte streams between clients and the broker: delayed, cut anywhere, full, half closed, lost.

use std::collections::VecDeque;
use std::time::Duration;

use crate::context::Context;
use crate::schedule::Event;

/// Bytes a direction of a link holds at least when nothing goes wrong any more.
const CALM_CAPACITY: usize = 8192;

/// Numbers the links of one run; never used twice.
pub(crate) type LinkNumber = usize;

/// Who is at an end of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The broker.
    Broker,
    /// A client.
    Client,
}

impl End {
    const fn other(self) -> Self {
        match self {
            Self::Broker => Self::Client,
            Self::Client => Self::Broker,
        }
    }
}

/// A connection as TCP offers it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Who opened it.
    pub(crate) client: usize,
    to_broker: Pipe,
    to_client: Pipe,
    /// When it broke.
    lost_at: Option<Duration>,
    accepted: bool,
    orphaned: bool,
    /// The client is gone: what is sent to it is answered by a reset.
    abandoned: bool,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    latency: Duration,
    /// Bytes that fit between writer and reader.
    capacity: usize,
    /// What is under way, and when it arrives; an empty piece is the end of the stream.
    flying: VecDeque<(Duration, Vec<u8>)>,
    flying_bytes: usize,
    arrived: Vec<u8>,
    ended: bool,
    /// When the reader learns that the link is lost.
    reset_at: Option<Duration>,
    /// The writer has bytes that did not fit.
    writer_waits: bool,
}

/// What an end finds when it looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// Bytes to read.
    Bytes,
    /// The other end has finished writing, and all was read.
    End,
    /// The link is lost.
    Reset,
    /// Nothing.
    Nothing,
}

impl Pipe {
    fn new(latency: Duration, capacity: usize) -> Self {
        Self {
            latency,
            capacity,
            flying: VecDeque::new(),
            flying_bytes: 0,
            arrived: Vec::new(),
            ended: false,
            reset_at: None,
            writer_waits: false,
        }
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.flying_bytes + self.arrived.len())
    }

    fn land(&mut self, now: Duration) {
        while let Some((_, piece)) = self.flying.pop_front_if(|(at, _)| *at <= now) {
            self.flying_bytes -= piece.len();
            self.ended |= piece.is_empty();
            self.arrived.extend_from_slice(&piece);
        }
    }
}

impl Link {
    /// When it broke.
    pub(crate) fn lost_at(&self) -> Option<Duration> {
        self.lost_at
    }

    fn pipe(&mut self, to: End) -> &mut Pipe {
        match to {
            End::Broker => &mut self.to_broker,
            End::Client => &mut self.to_client,
        }
    }
}

impl Context {
    /// Opens a link; the broker sees it a moment later.
    pub(crate) fn open_link(&mut self, client: usize) -> LinkNumber {
        let latency = self.random.time(Duration::from_micros(50)..=self.plan.latency_max);
        let mut pipe = || {
            let capacity = *self.random.pick(&self.plan.link_capacities);
            Pipe::new(latency, if self.calm { capacity.max(CALM_CAPACITY) } else { capacity })
        };
        let link = Link {
            client,
            to_broker: pipe(),
            to_client: pipe(),
            lost_at: None,
            accepted: false,
            orphaned: false,
            abandoned: false,
        };
        self.links.push(link);
        let number = self.links.len() - 1;
        self.schedule.plan(self.now + latency, Event::Look(number, End::Broker));
        number
    }

    /// Links are wide now, so that what has piled up arrives soon.
    pub(crate) fn widen_links(&mut self) {
        for link in &mut self.links {
            for pipe in [&mut link.to_broker, &mut link.to_client] {
                pipe.capacity = pipe.capacity.max(CALM_CAPACITY);
            }
        }
    }

    /// Writes as much as fits; gives how many bytes that were. They arrive in pieces.
    pub(crate) fn write_link(&mut self, number: LinkNumber, from: End, bytes: &[u8]) -> usize {
        let link = &mut self.links[number];
        let (lost, abandoned) = (link.lost_at.is_some(), link.abandoned);
        let pipe = link.pipe(from.other());
        let taken = bytes.len().min(pipe.room());
        let is_refused = abandoned && from == End::Broker && taken > 0;
        pipe.writer_waits = taken < bytes.len();
        let mut rest = &bytes[..taken];
        let mut latest = pipe.flying.back().map_or(self.now, |(at, _)| *at);
        while !rest.is_empty() {
            let piece =
                if self.random.percent(70) { rest.len() } else { self.random.between(1..=rest.len()) };
            let jitter = self.random.time(Duration::ZERO..=pipe.latency / 2);
            latest = latest.max(self.now + pipe.latency + jitter);
            let (first, others) = rest.split_at(piece);
            if !lost {
                pipe.flying.push_back((latest, first.to_vec()));
                self.schedule.plan(latest, Event::Look(number, from.other()));
            }
            // What is written into a lost link fills the writer's own buffer.
            pipe.flying_bytes += piece;
            rest = others;
        }
        if is_refused {
            self.reset_link(number);
        }
        taken
    }

    /// Ends one direction behind all that was written.
    pub(crate) fn finish_link(&mut self, number: LinkNumber, from: End) {
        let link = &mut self.links[number];
        if link.lost_at.is_some() {
            return;
        }
        let pipe = link.pipe(from.other());
        let at = pipe.flying.back().map_or(self.now + pipe.latency, |(at, _)| *at);
        pipe.flying.push_back((at, Vec::new()));
        self.schedule.plan(at, Event::Look(number, from.other()));
    }

    /// The client closes its end. What it has not read, and what still comes, is answered by a reset, which destroys
    /// what the broker has not read.
    pub(crate) fn close_link(&mut self, number: LinkNumber) {
        self.finish_link(number, End::Client);
        let link = &mut self.links[number];
        link.abandoned = true;
        if link.to_client.flying_bytes + link.to_client.arrived.len() > 0 {
            self.reset_link(number);
        }
    }

    fn reset_link(&mut self, number: LinkNumber) {
        let now = self.now;
        let link = &mut self.links[number];
        if link.lost_at.replace(now).is_some() {
            return;
        }
        let at = self.now + link.to_broker.latency * 2;
        link.to_broker.reset_at = Some(at);
        self.schedule.plan(at, Event::Look(number, End::Broker));
    }

    /// What this end would find now.
    pub(crate) fn look(&mut self, number: LinkNumber, end: End) -> Found {
        let now = self.now;
        let pipe = self.links[number].pipe(end);
        pipe.land(now);
        if pipe.reset_at.is_some_and(|at| at <= now) {
            Found::Reset
        } else if !pipe.arrived.is_empty() {
            Found::Bytes
        } else if pipe.ended {
            Found::End
        } else {
            Found::Nothing
        }
    }

    /// Takes at most so many bytes off what has arrived, and wakes a writer that waits for room.
    pub(crate) fn read_link(&mut self, number: LinkNumber, end: End, most: usize) -> Vec<u8> {
        let now = self.now;
        let pipe = self.links[number].pipe(end);
        pipe.land(now);
        let bytes: Vec<u8> = pipe.arrived.drain(..most.min(pipe.arrived.len())).collect();
        if !bytes.is_empty() && std::mem::take(&mut pipe.writer_waits) {
            self.schedule.plan(now, Event::Look(number, end.other()));
        }
        bytes
    }

    /// Whether the link broke.
    pub(crate) fn is_lost(&self, number: LinkNumber) -> bool {
        self.links[number].lost_at.is_some()
    }

    /// Whether a write would take a byte.
    pub(crate) fn has_room(&mut self, number: LinkNumber, from: End) -> bool {
        self.links[number].pipe(from.other()).room() > 0
    }

    /// The link breaks: what is under way is lost. Each end learns of it later, or (`None`) never.
    pub(crate) fn lose_link(
        &mut self,
        number: LinkNumber,
        client_learns: Option<Duration>,
        broker_learns: Option<Duration>,
    ) {
        let now = self.now;
        let link = &mut self.links[number];
        if link.lost_at.is_some() {
            return;
        }
        link.lost_at = Some(now);
        for (end, learns) in [(End::Client, client_learns), (End::Broker, broker_learns)] {
            let pipe = link.pipe(end);
            pipe.land(now);
            pipe.flying.clear();
            if let Some(after) = learns {
                pipe.reset_at = Some(now + after);
                self.schedule.plan(now + after, Event::Look(number, end));
            }
        }
    }

    /// Whether the broker may accept this link: it was not accepted before, and no process died since it was opened.
    pub(crate) fn accept_link(&mut self, number: LinkNumber) -> bool {
        let link = &mut self.links[number];
        !std::mem::replace(&mut link.accepted, true) && !link.orphaned
    }

    /// The broker's process is gone: its kernel may still send what it took, then ends the streams.
    pub(crate) fn orphan_links(&mut self) {
        let power_fails = self.random.percent(30);
        for number in 0..self.links.len() {
            if std::mem::replace(&mut self.links[number].orphaned, true) {
                continue;
            }
            if power_fails {
                let learns = self.random.millis(0..=300);
                self.lose_link(number, Some(learns), None);
            } else {
                self.finish_link(number, End::Broker);
            }
        }
    }
}

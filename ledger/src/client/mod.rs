//! A client that keeps to the standard and writes down what happens to it.

mod incoming;
mod link;
mod outgoing;
mod probe;
mod publisher;
mod receiver;
mod willed;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use link::Link;
pub use probe::Probe;
pub use publisher::Publisher;
pub use receiver::{Receiver, Wish};
pub use willed::Willed;

use crate::history::{History, Incident};
use crate::random::Random;
use crate::wire::{Connack, Connect, Received, Version, disconnect, next_frame};
use crate::world::Strike;

/// What all clients use, for the time of one call.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The books.
    pub history: &'a mut History,
    /// Chance.
    pub random: &'a mut Random,
    /// The time.
    pub now: Instant,
    /// Where sockets are watched.
    pub registry: &'a Registry,
    /// Where the broker listens.
    pub address: SocketAddr,
    /// How often the broker was struck.
    pub strikes: u32,
}

/// Whether a client stays connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// As long as it can.
    Steady,
    /// It comes and goes.
    Flapping,
    /// It is away while there is load, and comes to drain.
    Away,
    /// It is away until the last round of its world.
    Asleep,
}

/// What a client is there for.
#[derive(Debug)]
pub enum Part {
    /// It publishes.
    Publisher(Publisher),
    /// It subscribes.
    Receiver(Receiver),
    /// It has a Will.
    Willed(Willed),
    /// It looks at what is retained.
    Probe(Probe),
}

/// One client, with a connection or without.
#[derive(Debug)]
pub struct Client {
    /// Its Client Identifier.
    pub name: String,
    /// What it speaks.
    pub version: Version,
    /// Whether its session outlives its connections.
    pub lasting: bool,
    /// In 5.0; 0 leaves it unsaid.
    pub receive_maximum: u16,
    /// How it comes and goes.
    pub habit: Habit,
    /// Whether it is to be connected now.
    pub wanted: bool,
    /// What it does.
    pub part: Part,
    token: Token,
    link: Option<Link>,
    /// When it connects next, or when one that flaps leaves.
    next: Instant,
    is_open: bool,
    /// Its session was acknowledged once, so it must be there ever after.
    has_session: bool,
    /// A connection that the broker must find out about by itself.
    forgotten: Option<(Instant, Link)>,
}

impl Client {
    /// A client without a connection.
    pub fn new(token: Token, name: &str, version: Version, lasting: bool, habit: Habit, part: Part) -> Self {
        Self {
            name: name.to_owned(),
            version,
            lasting,
            receive_maximum: 0,
            habit,
            wanted: true,
            part,
            token,
            link: None,
            next: Instant::now(),
            is_open: false,
            has_session: false,
            forgotten: None,
        }
    }

    /// Whether CONNACK came.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Its socket can be read or written.
    pub fn ready(&mut self, desk: &mut Desk<'_>) {
        let Some(link) = &mut self.link else { return };
        // What came before the end counts.
        let goes_on = link.fill();
        let bytes = std::mem::take(&mut link.incoming);
        let mut used = 0;
        while self.link.is_some() {
            match next_frame(self.version, &bytes[used..]) {
                Ok(Some((received, length))) => {
                    used += length;
                    self.receive(received, desk);
                }
                Ok(None) => break,
                Err(error) => {
                    desk.history.incident(Incident::Refused, format!("{}: {error:#}", self.name));
                    self.lose(desk);
                }
            }
        }
        if let Some(link) = &mut self.link {
            link.incoming = bytes[used..].to_vec();
        }
        if !goes_on && self.link.is_some() {
            self.lose(desk);
        }
        self.turn(desk);
    }

    fn receive(&mut self, received: Received<'_>, desk: &mut Desk<'_>) {
        let Some(link) = &mut self.link else { return };
        match received {
            Received::Connack(Connack { session_present, code, receive_maximum }) => {
                if code != 0 {
                    desk.history
                        .incident(Incident::Refused, format!("{}: CONNECT, reason {code:#04x}", self.name));
                    self.lose(desk);
                    return;
                }
                self.is_open = true;
                if self.habit == Habit::Flapping {
                    self.next = desk.now + desk.random.millis(20..=400);
                }
                if self.lasting && self.has_session && !session_present {
                    desk.history.incident(Incident::Session, format!("{}: the session is gone", self.name));
                }
                self.has_session = self.lasting;
                match &mut self.part {
                    Part::Publisher(part) => {
                        part.opened(self.version, session_present, receive_maximum, link);
                    }
                    Part::Receiver(part) => part.opened(session_present),
                    Part::Willed(part) => part.opened(&self.name, desk),
                    Part::Probe(_) => {}
                }
            }
            Received::Publish(publish) => match &mut self.part {
                Part::Receiver(part) => part.publish(&self.name, &publish, desk),
                Part::Probe(part) => part.publish(&publish, link, desk.now),
                Part::Publisher(_) | Part::Willed(_) => desk.history.incident(
                    Incident::Mangled,
                    format!("{} has no subscription and got a message", self.name),
                ),
            },
            Received::Acknowledgement(kind, id, reason) => match &mut self.part {
                Part::Publisher(part) => part.acknowledge(&self.name, kind, id, reason, link, desk),
                Part::Receiver(part) => part.release(id, desk),
                Part::Willed(_) | Part::Probe(_) => {}
            },
            Received::Suback(id, is_granted) => {
                if !is_granted {
                    desk.history.incident(Incident::Refused, format!("{}: SUBSCRIBE {id}", self.name));
                }
                match &mut self.part {
                    Part::Receiver(part) if is_granted => part.granted(id, desk),
                    Part::Probe(part) => part.granted(desk.now),
                    Part::Receiver(_) | Part::Publisher(_) | Part::Willed(_) => {}
                }
            }
            Received::Pingresp => {}
            Received::Disconnect(reason) => {
                // 0x8B: the broker shuts down, 0x8E: another connection took the session over.
                if !matches!(reason, 0x8B | 0x8E) {
                    desk.history
                        .incident(Incident::Refused, format!("{}: DISCONNECT {reason:#04x}", self.name));
                }
                self.lose(desk);
            }
        }
    }

    /// Does what is due.
    pub fn turn(&mut self, desk: &mut Desk<'_>) {
        if self.forgotten.as_ref().is_some_and(|(until, _)| *until <= desk.now) {
            self.forgotten = None;
        }
        if self.link.is_none() && self.wanted && self.next <= desk.now {
            self.connect(desk);
        }
        if self.is_open
            && let Some(link) = &mut self.link
        {
            match &mut self.part {
                Part::Publisher(part) => part.turn(self.version, link, desk),
                Part::Receiver(part) => part.turn(self.version, link, desk),
                Part::Probe(part) => part.turn(self.version, link),
                Part::Willed(_) => {}
            }
        }
        if self.link.as_mut().is_some_and(|link| !link.flush()) {
            self.lose(desk);
        }
        if self.habit == Habit::Flapping && self.is_open && self.next <= desk.now {
            self.cut(desk);
            self.next = desk.now + desk.random.millis(5..=300);
        }
    }

    fn connect(&mut self, desk: &mut Desk<'_>) {
        self.next = desk.now + Duration::from_millis(10);
        let Ok(mut link) = Link::open(desk.address, desk.registry, self.token) else { return };
        let mut payload = String::new();
        let will = match &mut self.part {
            Part::Willed(part) => Some(part.will(&self.name, &mut payload)),
            Part::Publisher(_) | Part::Receiver(_) | Part::Probe(_) => None,
        };
        let connect = Connect {
            client: &self.name,
            lasting: self.lasting,
            receive_maximum: self.receive_maximum,
            will,
        };
        link.send(&connect.encode(self.version));
        self.link = Some(link);
        if let Part::Willed(part) = &mut self.part {
            part.attempted(desk);
        }
    }

    /// The connection is over, whoever ended it.
    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Link> {
        let link = self.link.take()?;
        let was_open = std::mem::take(&mut self.is_open);
        self.next = desk.now + desk.random.millis(2..=15);
        match &mut self.part {
            Part::Publisher(part) => part.lost(self.lasting),
            Part::Receiver(part) => part.lost(self.lasting),
            Part::Willed(part) if was_open => self.next = part.lost(desk),
            Part::Willed(_) | Part::Probe(_) => {}
        }
        Some(link)
    }

    /// Cuts the connection. Sometimes it is only left alone, and the next one takes the session over.
    pub fn cut(&mut self, desk: &mut Desk<'_>) {
        let may_linger = desk.random.percent(25);
        if let Some(link) = self.lose(desk)
            && may_linger
        {
            self.forgotten = Some((desk.now + Duration::from_millis(200), link));
        }
    }

    /// The broker was struck. What it sent before it died counts, unless its machine lost power: nothing leaves a machine
    /// after that, and a sync that the kernel was at when it shut the file system down is sometimes told to be done though
    /// it is not.
    pub fn struck(&mut self, strike: Strike, desk: &mut Desk<'_>) {
        self.forgotten = None;
        match strike {
            Strike::Kill => self.ready(desk),
            Strike::Power => {}
        }
        self.lose(desk);
    }

    /// Ends the connection with DISCONNECT, and stays away.
    pub fn leave(&mut self, desk: &mut Desk<'_>) {
        self.wanted = false;
        if let Some(link) = &mut self.link
            && self.is_open
        {
            if let Part::Willed(part) = &mut self.part {
                part.leave(desk);
            }
            link.send(&disconnect());
            link.flush();
        }
        self.lose(desk);
    }
}

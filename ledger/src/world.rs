//! One broker with its data, and everybody around it, in one loop.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Poll, Token};
use tempfile::TempDir;

use crate::broker::{Broker, Limits};
use crate::check::{Due, Finding, check};
use crate::client::{Client, Desk, Habit, Part};
use crate::history::{History, Incident};
use crate::paho::Paho;
use crate::power::Disk;
use crate::random::Random;

/// How the broker is struck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strike {
    /// kill -9.
    Kill,
    /// Its disk loses power, and it with it.
    Power,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// Everybody.
    pub clients: Vec<Client>,
    /// The books.
    pub history: History,
    /// Chance.
    pub random: Random,
    /// How often connections are cut, in milliseconds.
    pub cuts: Option<(u64, u64)>,
    /// How many were cut.
    pub cut_count: u64,
    /// How often the broker was struck.
    pub strikes: u32,
    /// The longest time from a start to the first CONNACK.
    pub restart_max: Duration,
    /// Foreign clients, if they take part.
    pub paho: Option<Paho>,
    next_reading: Instant,
    /// Longest time in which nothing goes on before that is a fault.
    patience: Duration,
    broker: Broker,
    disk: Option<Disk>,
    poll: Poll,
    next_cut: Instant,
    started: Option<Instant>,
    /// Last, so that it goes after what is in it.
    directory: TempDir,
}

impl World {
    /// A world whose broker is started.
    ///
    /// # Errors
    /// If the machine does not let us.
    pub fn new(
        program: &Path,
        limits: Limits,
        with_disk: bool,
        patience: Duration,
        mut random: Random,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("ledger-")
            .tempdir()
            .context("there is no directory to work in")?;
        let disk = with_disk.then(|| Disk::new(directory.path())).transpose()?;
        let data = disk.as_ref().map_or(directory.path(), Disk::path).join("data");
        std::fs::create_dir(&data)?;
        // Mosquitto gives up root's rights, and writes there.
        let mut permissions = std::fs::metadata(&data)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o777);
        std::fs::set_permissions(&data, permissions)?;
        let inflight_max = random.pick([0, 20, 4]);
        let mut broker = Broker::new(program, directory.path(), &data, limits, inflight_max)?;
        broker.start()?;
        Ok(Self {
            clients: Vec::new(),
            history: History::default(),
            random,
            cuts: None,
            cut_count: 0,
            strikes: 0,
            restart_max: Duration::ZERO,
            paho: None,
            next_reading: Instant::now(),
            patience,
            broker,
            disk,
            poll: Poll::new()?,
            next_cut: Instant::now(),
            started: Some(Instant::now()),
            directory,
        })
    }

    /// Lets everybody act once, or until something happens.
    ///
    /// # Errors
    /// If the kernel does not tell what happens.
    pub fn turn(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(64);
        match self.poll.poll(&mut events, Some(Duration::from_millis(1))) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => other.context("cannot wait for sockets")?,
        }
        let ready: Vec<Token> = events.iter().map(mio::event::Event::token).collect();
        let now = Instant::now();
        if let Some((least, most)) = self.cuts
            && self.next_cut <= now
        {
            self.next_cut = now + self.random.millis(least..=most);
            self.cut_one();
        }
        for token in ready {
            self.with(token.0, Client::ready);
        }
        for number in 0..self.clients.len() {
            self.with(number, Client::turn);
        }
        if let Some(started) = self.started
            && self.clients.iter().any(Client::is_open)
        {
            self.restart_max = self.restart_max.max(started.elapsed());
            self.started = None;
            self.restarted(now);
        }
        if let Some(paho) = &mut self.paho
            && self.next_reading <= now
        {
            self.next_reading = now + Duration::from_millis(20);
            paho.read(&mut self.history)?;
        }
        if let Some(status) = self.broker.ended() {
            let what = format!("it ended by itself, {status}: {}", self.broker.last_words());
            self.history.incident(Incident::Broker, what);
            self.broker.kill();
        }
        Ok(())
    }

    /// Lets paho's clients take part.
    ///
    /// # Errors
    /// If Python cannot be run.
    pub fn add_paho(&mut self, python: &Path) -> Result<()> {
        let port = self.broker.address.port();
        self.paho = Some(Paho::start(python, port, self.directory.path(), &mut self.history)?);
        Ok(())
    }

    fn with(&mut self, number: usize, act: impl FnOnce(&mut Client, &mut Desk<'_>)) {
        let Some(client) = self.clients.get_mut(number) else { return };
        let desk = &mut Desk {
            history: &mut self.history,
            random: &mut self.random,
            now: Instant::now(),
            registry: self.poll.registry(),
            address: self.broker.address,
            strikes: self.strikes,
        };
        act(client, desk);
    }

    fn cut_one(&mut self) {
        let last = self.clients.len().saturating_sub(1) as u64;
        let number = self.random.between(0..=last) as usize;
        let may_cut = self.clients.get(number).is_some_and(|client| {
            client.is_open() && !matches!(client.part, Part::Probe(_)) && client.name != "wills"
        });
        if may_cut {
            self.cut_count += 1;
            self.with(number, Client::cut);
        }
    }

    /// A delay may begin anew: the broker may not have been told of the loss.
    fn restarted(&mut self, now: Instant) {
        for will in self.history.wills.iter_mut().filter(|will| will.resumed.is_none()) {
            will.restarted = Some(now);
        }
    }

    /// Goes on for so long.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Goes on until this is so, or nothing changes any more in what `progress` counts.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn run_until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Self) -> bool,
        mut progress: impl FnMut(&Self) -> usize,
    ) -> Result<bool> {
        let (mut last, mut since) = (progress(self), Instant::now());
        while !is_done(self) {
            self.turn()?;
            let now = progress(self);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > self.patience {
                let open: Vec<&str> = self
                    .clients
                    .iter()
                    .filter(|client| !client.is_open())
                    .map(|client| &*client.name)
                    .collect();
                let what =
                    format!("{what}: nothing went on for {:?}; not connected: {open:?}", self.patience);
                self.history.incident(Incident::Stuck, what);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Strikes the broker and starts it again at once.
    ///
    /// # Errors
    /// If the disk or the program fails us.
    pub fn strike(&mut self, strike: Strike) -> Result<()> {
        self.strikes += 1;
        if let (Strike::Power, Some(disk)) = (strike, &mut self.disk) {
            // Nobody reads from here on, so all that is in the books was sent before.
            disk.cut()?;
        }
        self.broker.kill();
        for number in 0..self.clients.len() {
            self.with(number, |client, desk| client.struck(strike, desk));
        }
        if let (Strike::Power, Some(disk)) = (strike, &mut self.disk) {
            disk.restore()?;
        }
        self.broker.start()?;
        self.started = Some(Instant::now());
        Ok(())
    }

    /// Whether nobody has been answered since the last start.
    pub fn is_starting(&self) -> bool {
        self.started.is_some()
    }

    /// Who is to be connected, by habit.
    pub fn want(&mut self, who: impl Fn(Habit) -> bool) {
        for number in 0..self.clients.len() {
            self.with(number, |client, desk| {
                let wanted = who(client.habit);
                if client.wanted && !wanted {
                    client.wanted = false;
                    client.cut(desk);
                }
                client.wanted = wanted;
            });
        }
    }

    /// Ends the connection of a client with DISCONNECT.
    pub fn leave(&mut self, name: &str) {
        if let Some(number) = self.clients.iter().position(|client| client.name == name) {
            self.with(number, Client::leave);
        }
    }

    /// Whether all open exchanges of publishers are over.
    pub fn is_flushed(&self) -> bool {
        self.paho.as_ref().is_none_or(Paho::is_flushed)
            && self.clients.iter().all(|client| match &client.part {
                Part::Publisher(part) => part.open_exchanges() == 0 && part.budget == 0,
                Part::Receiver(_) | Part::Willed(_) | Part::Probe(_) => true,
            })
    }

    /// How many messages are missing at those who are to be connected.
    pub fn missing(&self, due: &mut [Due]) -> usize {
        let is_here = |due: &Due| {
            due.members.iter().all(|member| {
                let is_foreign = |paho: &Paho| paho.receivers().any(|number| number == *member);
                self.paho.as_ref().is_some_and(is_foreign)
                    || self.clients.iter().any(|client| {
                        client.wanted
                            && matches!(&client.part, Part::Receiver(part) if part.number == *member)
                    })
            })
        };
        due.iter_mut().filter(|due| is_here(due)).map(|due| due.missing(&self.history).len()).sum()
    }

    /// Judges the books.
    pub fn judge(&mut self) -> Vec<Finding> {
        for client in &self.clients {
            if let Part::Receiver(part) = &client.part {
                self.history.receivers[part.number].drained = client.wanted;
            }
        }
        for number in self.paho.iter().flat_map(Paho::receivers) {
            self.history.receivers[number].drained = true;
        }
        check(&self.history)
    }

    /// Adds a client for a time; the others keep their numbers.
    pub fn add(&mut self, make: impl FnOnce(Token) -> Client) -> usize {
        let number = self.clients.len();
        self.clients.push(make(Token(number)));
        number
    }

    /// Takes the last client away.
    pub fn remove_last(&mut self) -> Option<Client> {
        self.clients.pop()
    }

    /// Keeps the directory for whoever looks for the cause.
    pub fn keep(self) -> PathBuf {
        let Self { directory, disk, mut broker, .. } = self;
        broker.kill();
        if let Some(disk) = &disk {
            // The mount ends with this process.
            let _ = std::process::Command::new("cp")
                .arg("-a")
                .arg(disk.path().join("data"))
                .arg(directory.path().join("data-of-disk"))
                .status();
        }
        drop(disk);
        directory.keep()
    }
}

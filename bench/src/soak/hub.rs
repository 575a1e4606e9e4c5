//! The clients of the soak: their sockets in one event loop. What happens to them is told to the part they belong to.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token as Watched};
use noctule_client::protocol::ReasonCode;
use noctule_client::protocol::connection::{ClientConnection, ClientEvent, ConnectOptions};
use noctule_client::protocol::property::Properties;
use noctule_client::{Endpoint, Link, Written};

/// Opening a connection on this machine.
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
/// What is read at once, and of one client in one turn.
const READ_BYTES: usize = 64 * 1024;

/// Names a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ClientIndex(usize);

/// Something that happened to a client.
pub(crate) enum Happening {
    Event(ClientEvent),
    /// Its connection has ended, by the broker's doing.
    Ended(String),
}

/// All clients.
pub(crate) struct Hub {
    endpoint: Endpoint,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    started: Instant,
    /// The part that opens clients now.
    owner: usize,
}

struct Client {
    link: Link,
    owner: usize,
    readable: bool,
    /// Reads nothing for now.
    is_paused: bool,
    /// Has left, or was cut off; may come back.
    is_away: bool,
}

impl Hub {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            endpoint: Endpoint::new(address.ip().to_string(), address.port()),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BYTES],
            clients: Vec::new(),
            free: Vec::new(),
            started: Instant::now(),
            owner: 0,
        })
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Who owns the clients that are opened from now on.
    pub(crate) fn set_owner(&mut self, owner: usize) {
        self.owner = owner;
    }

    /// Opens a connection and sends CONNECT.
    pub(crate) fn open(&mut self, options: ConnectOptions) -> Result<ClientIndex> {
        let client_id = options.client_id.clone();
        let connection = ClientConnection::new(options, self.now())?;
        let stream = self.endpoint.open(OPEN_TIME_MAX).with_context(|| format!("open {client_id}"))?;
        let link = Link::new(stream, connection);
        let client = Client { link, owner: self.owner, readable: false, is_paused: false, is_away: false };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.clients.push(None);
                self.clients.len() - 1
            }
        };
        self.clients[index] = Some(client);
        self.watch(index)?;
        Ok(ClientIndex(index))
    }

    /// Comes back with its session.
    pub(crate) fn reopen(&mut self, index: ClientIndex) -> Result<()> {
        let stream = self.endpoint.open(OPEN_TIME_MAX)?;
        let now = self.now();
        let client = self.client(index);
        client.link.reconnect(stream, now)?;
        client.is_away = false;
        client.readable = false;
        self.watch(index.0)
    }

    /// Comes back while the broker still believes in the old connection, which stays open until the new one has sent its
    /// CONNECT.
    pub(crate) fn take_over(&mut self, index: ClientIndex) -> Result<()> {
        // Only a place holder, so that the old stream can be taken out.
        let idle = self.endpoint.open(OPEN_TIME_MAX)?;
        let mut old = std::mem::replace(self.client(index).link.stream_mut(), idle);
        self.poll.registry().deregister(&mut old)?;
        self.reopen(index)?;
        self.write(index.0);
        drop(old);
        Ok(())
    }

    /// The connection breaks: the broker reads its end without a DISCONNECT, and what it sends is never read.
    pub(crate) fn cut(&mut self, index: ClientIndex) {
        let client = self.client(index);
        client.is_away = true;
        // Whoever is gone already needs no cutting.
        let _ = client.link.finish_writing();
    }

    /// Says DISCONNECT.
    pub(crate) fn leave(&mut self, index: ClientIndex) -> Result<()> {
        let client = self.client(index);
        client.link.connection_mut().disconnect(ReasonCode::Success, Properties::EMPTY)?;
        client.link.write();
        client.is_away = true;
        let _ = client.link.finish_writing();
        Ok(())
    }

    /// Forgets a client; its connection, if there is one, breaks.
    pub(crate) fn remove(&mut self, index: ClientIndex) {
        self.clients[index.0] = None;
        self.free.push(index.0);
    }

    pub(crate) fn pause(&mut self, index: ClientIndex, is_paused: bool) {
        self.client(index).is_paused = is_paused;
    }

    /// To say something; it is sent in this turn.
    pub(crate) fn connection(&mut self, index: ClientIndex) -> &mut ClientConnection {
        self.client(index).link.connection_mut()
    }

    /// Carries bytes for at most `wait`, and tells what came of it: owner, client, happening.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<Vec<(usize, ClientIndex, Happening)>> {
        for index in 0..self.clients.len() {
            self.write(index);
        }
        let more = self.clients.iter().flatten().any(|client| client.readable && client.is_attentive());
        let wait = if more { Duration::ZERO } else { wait };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &self.events {
            if let Some(client) = &mut self.clients[event.token().0] {
                client.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            }
        }
        let now = self.now();
        let mut happenings = Vec::new();
        for (index, client) in self.clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            if client.is_away {
                continue;
            }
            if client.link.connection().poll_timeout().is_some_and(|due| due <= now) {
                client.link.connection_mut().handle_timeout(now);
            }
            let mut ended = None;
            if client.readable && client.is_attentive() {
                match client.link.read(&mut self.buffer, now) {
                    Ok(more) => client.readable = more,
                    Err(error) => ended = Some(error.to_string()),
                }
            }
            while let Some(event) = client.link.connection_mut().poll_event() {
                happenings.push((client.owner, ClientIndex(index), Happening::Event(event)));
            }
            if let Some(why) = ended {
                client.is_away = true;
                happenings.push((client.owner, ClientIndex(index), Happening::Ended(why)));
            }
        }
        Ok(happenings)
    }

    fn write(&mut self, index: usize) {
        if let Some(client) = &mut self.clients[index]
            && !client.is_away
            && (client.link.connection().has_output() || client.link.unsent() > 0)
            && client.link.write() == Written::Broken
        {
            // The next read tells how it ended.
            client.readable = true;
        }
    }

    fn watch(&mut self, index: usize) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let Some(client) = &mut self.clients[index] else { return Ok(()) };
        Ok(self.poll.registry().register(client.link.stream_mut(), Watched(index), interest)?)
    }

    fn client(&mut self, index: ClientIndex) -> &mut Client {
        self.clients[index.0].as_mut().expect("a part names only clients that it opened and has not removed")
    }
}

impl Client {
    fn is_attentive(&self) -> bool {
        !self.is_paused && !self.is_away
    }
}

//! A link with its own small event loop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token as Watched};
use noctule_protocol::connection::client::Token;
use noctule_protocol::connection::{ClientConnection, ClientError, ClientEvent, ConnectOptions};
use noctule_protocol::packet::SubscriptionOptions;
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, QoS, ReasonCode, SubscriptionFilter};

use crate::link::{Link, Written};
use crate::{Endpoint, Error, Trace};

/// A client on a thread of its own: every call does its work at once, and [`next`](Self::next) alone waits.
///
/// What is asked for is written by `next`, so a client that stops calling it stops speaking. While events are waiting to
/// be taken nothing more is read, so a slow caller slows the server down instead of filling memory.
///
/// Dropping it closes the connection without DISCONNECT: the server publishes the Will.
#[derive(Debug)]
pub struct Client {
    link: Link,
    endpoint: Endpoint,
    /// For the connection to be opened, and again for CONNACK.
    patience: Duration,
    connack_deadline: Option<Instant>,
    /// Why it is over, told once the events before are taken.
    end: Option<Error>,
    readable: bool,
    woken: bool,
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    /// The connection's clock counts from here.
    started: Instant,
    buffer: Box<[u8]>,
}

/// What [`Client::next`] waited for.
#[derive(Debug)]
pub enum Next {
    /// Something has happened on the connection.
    Event(ClientEvent),
    /// [`Waker::wake`] was called, once or more.
    Woken,
    /// The deadline has passed.
    TimedOut,
}

/// Wakes a [`Client`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Makes [`Client::next`] return [`Next::Woken`], now or at its next call.
    pub fn wake(&self) {
        // Fails only without a descriptor or memory left, and then the client's next deadline wakes it.
        let _ = self.0.wake();
    }
}

const SOCKET: Watched = Watched(0);
const WAKER: Watched = Watched(1);

/// As much as is read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Above this a publisher should wait: see [`Client::has_room`].
const UNSENT_BYTES_MAX: usize = 256 * 1024;
/// How long a server may take to read the last bytes before DISCONNECT.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a server may take to close after it has them.
const LINGER: Duration = Duration::from_secs(1);

impl Client {
    /// Opens a connection and begins CONNECT, whose answer is the first event. `patience` is how long opening may take,
    /// and then how long the answer may.
    pub fn connect(endpoint: Endpoint, options: ConnectOptions, patience: Duration) -> Result<Self, Error> {
        let started = Instant::now();
        let connection = ClientConnection::new(options, Duration::ZERO)?;
        let poll = Poll::new().map_err(Error::System)?;
        let waker = mio::Waker::new(poll.registry(), WAKER).map_err(Error::System)?;
        let mut link = Link::new(endpoint.open(patience)?, connection);
        watch(&poll, &mut link)?;
        Ok(Self {
            link,
            endpoint,
            patience,
            connack_deadline: Some(Instant::now() + patience),
            end: None,
            readable: true,
            woken: false,
            poll,
            events: Events::with_capacity(4),
            waker: Arc::new(waker),
            started,
            buffer: vec![0; BUFFER_BYTES].into(),
        })
    }

    /// Opens a connection again after an error, and goes on with the session: what is not acknowledged is sent again if
    /// the server has kept the session too [MQTT-4.4.0-1].
    pub fn reconnect(&mut self) -> Result<(), Error> {
        let stream = self.endpoint.open(self.patience)?;
        self.link.reconnect(stream, self.started.elapsed())?;
        watch(&self.poll, &mut self.link)?;
        self.connack_deadline = Some(Instant::now() + self.patience);
        self.end = None;
        self.readable = true;
        Ok(())
    }

    /// Shows every packet from now on; the first one is CONNECT.
    pub fn set_trace(&mut self, trace: Trace) {
        self.link.set_trace(trace);
    }

    /// Something that wakes this client from another thread.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.waker))
    }

    /// The connection, to look at.
    pub fn connection(&self) -> &ClientConnection {
        self.link.connection()
    }

    /// Whether another message would be sent soon: none waits for the window, and the server reads what it is sent.
    pub fn has_room(&self) -> bool {
        self.connection().queued() == 0 && self.link.unsent() < UNSENT_BYTES_MAX
    }

    /// Whether everything that was asked for so far is written to the socket.
    pub fn is_flushed(&self) -> bool {
        !self.connection().has_output() && self.link.unsent() == 0
    }

    /// See [`ClientConnection::publish`].
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        self.link.connection_mut().publish(topic, payload, qos, retain, properties)
    }

    /// See [`ClientConnection::subscribe`].
    pub fn subscribe<'f>(
        &mut self,
        filters: impl IntoIterator<Item = (SubscriptionFilter<'f>, SubscriptionOptions)>,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        self.link.connection_mut().subscribe(filters, properties)
    }

    /// See [`ClientConnection::unsubscribe`].
    pub fn unsubscribe<'f>(
        &mut self,
        filters: impl IntoIterator<Item = SubscriptionFilter<'f>>,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        self.link.connection_mut().unsubscribe(filters, properties)
    }

    /// See [`ClientConnection::acknowledge`].
    pub fn acknowledge(&mut self, packet_id: PacketId, reason: ReasonCode) -> Result<(), ClientError> {
        self.link.connection_mut().acknowledge(packet_id, reason)
    }

    /// See [`ClientConnection::auth`].
    pub fn auth(&mut self, reason: ReasonCode, properties: Properties<'_>) -> Result<(), ClientError> {
        self.link.connection_mut().auth(reason, properties)
    }

    /// What has happened already, without looking at the network.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.link.connection_mut().poll_event()
    }

    /// Waits for the next thing to happen, until the deadline if there is one, and carries bytes meanwhile. What has
    /// happened already is told at once, even after the deadline; an error comes after all events before it.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Next, Error> {
        loop {
            if std::mem::take(&mut self.woken) {
                return Ok(Next::Woken);
            }
            if let Some(event) = self.poll_event() {
                return Ok(Next::Event(event));
            }
            self.write();
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            if self.connection().is_closed() && self.is_flushed() {
                return Err(Error::Over);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(Next::TimedOut);
            }
            self.wait([deadline, self.connack_deadline, self.keep_alive_deadline()], now)?;
            self.read();
            self.look_at_the_clock();
        }
    }

    /// Says DISCONNECT after all that was asked for, and closes once the server has taken it.
    pub fn disconnect(mut self, reason: ReasonCode, properties: Properties<'_>) -> Result<(), Error> {
        self.link.connection_mut().disconnect(reason, properties)?;
        self.close()
    }

    fn write(&mut self) {
        match self.link.write() {
            Written::All | Written::Partly => {}
            // The next read tells how it ended.
            Written::Broken => self.readable = true,
        }
    }

    fn read(&mut self) {
        if !self.readable || self.end.is_some() {
            return;
        }
        match self.link.read(&mut self.buffer, self.started.elapsed()) {
            Ok(more) => self.readable = more,
            Err(error) => self.end = Some(error),
        }
        if self.connection().is_connected() || self.connection().is_closed() {
            self.connack_deadline = None;
        }
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if self.keep_alive_deadline().is_some_and(|deadline| now >= deadline) {
            let now = self.started.elapsed();
            self.link.connection_mut().handle_timeout(now);
        }
        if self.connack_deadline.is_some_and(|deadline| now >= deadline) {
            self.connack_deadline = None;
            self.end.get_or_insert(Error::NoAnswer { endpoint: self.endpoint.clone(), after: self.patience });
        }
    }

    fn keep_alive_deadline(&self) -> Option<Instant> {
        self.connection().poll_timeout().and_then(|timeout| self.started.checked_add(timeout))
    }

    /// Waits for the socket, the waker or the first deadline; not at all if there is something to read already.
    fn wait(&mut self, deadlines: [Option<Instant>; 3], now: Instant) -> Result<(), Error> {
        let first = deadlines.into_iter().flatten().min();
        let timeout = match self.readable {
            true => Some(Duration::ZERO),
            false => first.map(|deadline| deadline.saturating_duration_since(now)),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Error::System(error)),
        }
        for event in &self.events {
            match event.token() {
                WAKER => self.woken = true,
                // Writing is tried in every round, so that only reading needs to be remembered.
                _ => {
                    self.readable |= event.is_readable()
                        || event.is_read_closed()
                        || event.is_error()
                        || event.is_write_closed();
                }
            }
        }
        Ok(())
    }

    /// Closes in a way that loses nothing: a socket that is closed while the server's bytes wait in it resets the
    /// connection, and the server may then never read our last ones. So its bytes are read, and thrown away, until it
    /// closes too [MQTT-3.14.4-2].
    fn close(mut self) -> Result<(), Error> {
        let mut deadline = Instant::now() + FAREWELL;
        let mut finished = false;
        loop {
            match self.link.write() {
                Written::All if !finished => {
                    finished = true;
                    deadline = Instant::now() + LINGER;
                    if self.link.finish_writing().is_err() {
                        // It is closed already, after it took everything.
                        return Ok(());
                    }
                }
                Written::All | Written::Partly => {}
                Written::Broken => self.readable = true,
            }
            let now = Instant::now();
            match (now >= deadline, finished) {
                (true, true) => return Ok(()),
                (true, false) => return Err(Error::Unsent { bytes: self.link.unsent(), after: FAREWELL }),
                (false, _) => {}
            }
            self.wait([Some(deadline), None, None], now)?;
            if !self.readable {
                continue;
            }
            match self.link.read(&mut self.buffer, self.started.elapsed()) {
                Ok(more) => self.readable = more,
                Err(_) if finished => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn watch(poll: &Poll, link: &mut Link) -> Result<(), Error> {
    poll.registry()
        .register(link.stream_mut(), SOCKET, Interest::READABLE | Interest::WRITABLE)
        .map_err(Error::System)
}

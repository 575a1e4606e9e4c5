//! The one thread that accepts connections and deals them to the shards.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use noctule_transport::{Stream, system_text, tcp};

use crate::listener::OpenListener;
use crate::log::Log;
use crate::shard::{Accepted, Neighbours};

/// Connections taken from one listener before the others have their turn.
const ACCEPTS_PER_TURN: u32 = 64;
/// How long nothing is accepted after the system had no descriptor or memory left for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(250);
/// How long nothing is accepted while all shards have enough to do with new connections.
const FULL_PAUSE: Duration = Duration::from_millis(5);
/// The same trouble is told at most this often.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

const STOP: Token = Token(usize::MAX);

/// Accepts until it is told to stop.
#[derive(Debug)]
pub(crate) struct Acceptor {
    poll: Poll,
    stop: Arc<AtomicBool>,
    listeners: Vec<Watched>,
    shards: Arc<Neighbours>,
    log: Log,
    connection_messages: Arc<AtomicBool>,
    /// Accepted, while every mailbox was full.
    undealt: Option<Accepted>,
    complained_at: Option<Instant>,
}

#[derive(Debug)]
struct Watched {
    listener: OpenListener,
    /// Connections may be waiting.
    ready: bool,
}

/// Stops an [`Acceptor`].
#[derive(Debug)]
pub(crate) struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // An eventfd can only overflow, and then it is awake anyway.
        let _ = self.waker.wake();
    }
}

impl Acceptor {
    pub(crate) fn new(
        listeners: Vec<OpenListener>,
        shards: Arc<Neighbours>,
        log: Log,
        connection_messages: Arc<AtomicBool>,
    ) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopper = Stopper { stop: Arc::clone(&stop), waker: Waker::new(poll.registry(), STOP)? };
        let listeners = listeners.into_iter().map(|listener| Watched { listener, ready: true }).collect();
        let acceptor = Self {
            poll,
            stop,
            listeners,
            shards,
            log,
            connection_messages,
            undealt: None,
            complained_at: None,
        };
        Ok((acceptor, stopper))
    }

    /// Accepts until it is stopped; then the listening sockets are closed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        self.watch()?;
        while !self.stop.load(Ordering::Acquire) {
            if let Some(pause) = self.accept_all() {
                // Unwatched, so that arriving connections do not keep the thread awake.
                self.unwatch()?;
                self.wait(&mut events, Some(pause))?;
                self.watch()?;
                continue;
            }
            let left_over = self.listeners.iter().any(|watched| watched.ready);
            self.wait(&mut events, left_over.then_some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn watch(&mut self) -> io::Result<()> {
        for (index, watched) in self.listeners.iter_mut().enumerate() {
            self.poll.registry().register(&mut watched.listener.socket, Token(index), Interest::READABLE)?;
            watched.ready = true;
        }
        Ok(())
    }

    fn unwatch(&mut self) -> io::Result<()> {
        for watched in &mut self.listeners {
            self.poll.registry().deregister(&mut watched.listener.socket)?;
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &*events {
            if let Some(watched) = self.listeners.get_mut(event.token().0) {
                watched.ready = true;
            }
        }
        Ok(())
    }

    /// Gives each listener a turn; tells how long to pause if accepting makes no sense now.
    fn accept_all(&mut self) -> Option<Duration> {
        if let Some(accepted) = self.undealt.take()
            && let Err(accepted) = self.shards.deal(accepted)
        {
            self.undealt = Some(accepted);
            return Some(FULL_PAUSE);
        }
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let watched = &mut self.listeners[index];
                if !watched.ready {
                    break;
                }
                match tcp::accept(&watched.listener.socket) {
                    Ok((stream, peer)) => {
                        if let Err(accepted) = self.admit(index, stream, peer) {
                            self.undealt = Some(accepted);
                            return Some(FULL_PAUSE);
                        }
                    }
                    Err(error) => match Trouble::of(&error) {
                        Trouble::Nothing => watched.ready = false,
                        Trouble::Connection => {}
                        Trouble::System => {
                            self.complain(&error);
                            return Some(EXHAUSTED_PAUSE);
                        }
                    },
                }
            }
        }
        None
    }

    /// Lets a connection in if its listener has a place. Given back if no shard can take it now.
    fn admit(&mut self, index: usize, stream: Stream, peer: SocketAddr) -> Result<(), Accepted> {
        let listener = &self.listeners[index].listener;
        let Some(place) = listener.places.take() else {
            if self.connection_messages.load(Ordering::Relaxed) {
                let ip = peer.ip();
                self.log.notice(format!("Client connection from {ip} denied: max_connections exceeded."));
            }
            return Ok(());
        };
        let listener = listener.index;
        self.shards.deal(Accepted { stream, peer, listener, place })
    }

    fn complain(&mut self, error: &io::Error) {
        if self.complained_at.is_some_and(|at| at.elapsed() < COMPLAINT_INTERVAL) {
            return;
        }
        self.complained_at = Some(Instant::now());
        let text = system_text(error);
        self.log.warning(format!(
            "Unable to accept new connection, system socket count has been exceeded ({text}). Try increasing \"ulimit -n\" or equivalent."
        ));
    }
}

/// What an error of `accept` is about.
enum Trouble {
    /// Nobody waits.
    Nothing,
    /// The connection that waited is gone; the next one may be well.
    Connection,
    /// The system cannot make a socket now.
    System,
}

impl Trouble {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            _ if error.kind() == io::ErrorKind::WouldBlock => Self::Nothing,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::System,
            // accept(2): errors already pending on the new connection are told here and mean no harm to others.
            Some(
                libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::ETIMEDOUT,
            ) => Self::Connection,
            // Unknown, so there is no telling that the next try fares better.
            _ => Self::System,
        }
    }
}

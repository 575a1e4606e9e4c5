//! What other threads have for a shard.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::{Registry, Token, Waker};
use noctule_transport::Stream;

use crate::listener::Place;

/// Letters that may wait. Above it the acceptor keeps its connections in the system's queue.
const LETTERS_MAX: usize = 1024;

/// A letter to a shard.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A connection to serve.
    Accepted(Accepted),
    /// End all connections, then the thread.
    Shutdown,
}

/// A connection on its way from the acceptor to its shard.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// Place of its listener in the configuration.
    pub(crate) listener: u16,
    pub(crate) place: Place,
}

/// A bounded queue into one shard. Sending never waits, and wakes the shard only if it may be asleep.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Mutex<VecDeque<Mail>>,
    letters_max: usize,
    waker: Waker,
}

impl Mailbox {
    /// A mailbox that announces itself as `token` to the poll of `registry`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Self::bounded(registry, token, LETTERS_MAX)
    }

    fn bounded(registry: &Registry, token: Token, letters_max: usize) -> io::Result<Self> {
        Ok(Self { letters: Mutex::default(), letters_max, waker: Waker::new(registry, token)? })
    }

    /// Puts in a connection; gives it back if the mailbox is full.
    pub(crate) fn send_connection(&self, accepted: Accepted) -> Result<(), Accepted> {
        let mut letters = self.lock();
        if letters.len() >= self.letters_max {
            return Err(accepted);
        }
        letters.push_back(Mail::Accepted(accepted));
        self.wake_for_first(letters);
        Ok(())
    }

    /// Asks the shard to end; there is always room for that.
    pub(crate) fn send_shutdown(&self) {
        let mut letters = self.lock();
        letters.push_back(Mail::Shutdown);
        self.wake_for_first(letters);
    }

    /// Moves all letters to `to`.
    pub(crate) fn take(&self, to: &mut VecDeque<Mail>) {
        to.append(&mut self.lock());
    }

    /// Whoever puts the first letter into an empty box wakes; the shard takes all at once.
    fn wake_for_first(&self, letters: MutexGuard<'_, VecDeque<Mail>>) {
        let first = letters.len() == 1;
        drop(letters);
        if first {
            // An eventfd can only overflow, and then it is awake anyway.
            let _ = self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;
    use crate::listener::Places;

    fn accepted() -> Accepted {
        let (stream, _) = super::super::stream_pair();
        let place = Arc::new(Places::new(None)).take().unwrap();
        Accepted { stream, peer: ([127, 0, 0, 1], 1).into(), listener: 0, place }
    }

    #[test]
    fn a_full_box_gives_connections_back_but_takes_an_order() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Mailbox::bounded(poll.registry(), Token(7), 1).unwrap();
        assert!(mailbox.send_connection(accepted()).is_ok());
        assert!(mailbox.send_connection(accepted()).is_err());
        mailbox.send_shutdown();

        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.iter().any(|event| event.token() == Token(7)));
        let mut mail = VecDeque::new();
        mailbox.take(&mut mail);
        assert!(matches!(mail.make_contiguous(), [Mail::Accepted(_), Mail::Shutdown]));
        assert!(mailbox.send_connection(accepted()).is_ok());
    }
}

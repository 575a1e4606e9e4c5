//! What other threads have for a shard.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Registry, Token, Waker};
use noctule_broker::record::{Found, ReadError};
use noctule_broker::{ConnectionKey, ListenerIndex, Parcel, SessionNumber, Settings, Verdict};
use noctule_transport::Stream;

use super::Step;
use crate::Notice;
use crate::listener::Place;

/// Letters that may wait. Above it the acceptor keeps its connections in the system's queue.
const LETTERS_MAX: usize = 1024;

/// A letter to a shard.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A connection to serve.
    Accepted(Accepted),
    /// A connection that another shard has begun with.
    HandedOver(Box<HandedOver>),
    /// What another shard's core has for this one's.
    Parcel(Parcel),
    /// A log-in was checked.
    Authenticated { connection: ConnectionKey, verdict: Verdict },
    /// The store has news for those that wait for it.
    Stored,
    /// What a session had on disk only, as [`Effect::ReadQueue`](noctule_broker::Effect::ReadQueue) asked.
    QueueRead { slot: u32, session: SessionNumber, found: Vec<Found>, error: Option<ReadError> },
    /// More of what is retained was read from the store; whether any of it expires.
    RetainedLoaded { some_expire: bool },
    /// Memory became short, so that those who sleep have something to give back.
    MemoryIsShort,
    /// Log lines are to be published; they wait in the log's outlet.
    LogLines,
    /// New settings, and who is told when they are obeyed.
    Settings(Arc<Settings>, Sender<Notice>),
    /// The broker ends; this is what is to be done next for it.
    End(Step),
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

/// A connection on its way to the shard where its client's session is.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) stream: Stream,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) listener: ListenerIndex,
    pub(crate) place: Place,
    /// What was read of it so far.
    pub(crate) bytes: Vec<u8>,
    /// By which settings its client has shown who it is.
    pub(crate) authenticated: Option<u32>,
}

/// A queue into one shard. Sending never waits for the shard, and wakes it only if it sleeps.
///
/// Only connections from the acceptor are refused above a number of letters. Parcels are bounded by the cores, which
/// stop reading those who feed a shard that lags behind.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Mutex<VecDeque<Mail>>,
    letters_max: usize,
    /// There are letters. Changed under the lock, read without it.
    has_letters: AtomicBool,
    /// The shard sleeps, or is about to: whoever sets it to false has to wake it. A shard that is awake looks into its
    /// box in any case.
    sleeps: AtomicBool,
    waker: Waker,
    /// The shard waits for the store: whoever sets it to false has to tell it.
    awaits_store: AtomicBool,
    /// Connections that the shard has or is about to get.
    connections: AtomicU32,
}

impl Mailbox {
    /// A mailbox that announces itself as `token` to the poll of `registry`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Self::bounded(registry, token, LETTERS_MAX)
    }

    fn bounded(registry: &Registry, token: Token, letters_max: usize) -> io::Result<Self> {
        Ok(Self {
            letters: Mutex::default(),
            letters_max,
            has_letters: AtomicBool::new(false),
            sleeps: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
            awaits_store: AtomicBool::new(false),
            connections: AtomicU32::new(0),
        })
    }

    /// Puts in a connection; gives it back if the mailbox is full.
    pub(crate) fn send_accepted(&self, accepted: Accepted) -> Result<(), Accepted> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        match self.put(Mail::Accepted(accepted), self.letters_max) {
            Ok(()) => Ok(()),
            Err(Mail::Accepted(accepted)) => {
                self.connection_ended();
                Err(accepted)
            }
            Err(
                Mail::HandedOver(_)
                | Mail::QueueRead { .. }
                | Mail::RetainedLoaded { .. }
                | Mail::Parcel(_)
                | Mail::Authenticated { .. }
                | Mail::Stored
                | Mail::MemoryIsShort
                | Mail::LogLines
                | Mail::Settings(..)
                | Mail::End(_),
            ) => Ok(()),
        }
    }

    /// Puts in anything else, for which there is always room. Letters of one sender are read in their order.
    pub(crate) fn send(&self, mail: Mail) {
        if let Mail::HandedOver(_) = mail {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        // Never given back: there are fewer letters than addresses.
        let _ = self.put(mail, usize::MAX);
    }

    fn put(&self, mail: Mail, letters_max: usize) -> Result<(), Mail> {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() >= letters_max {
            return Err(mail);
        }
        letters.push_back(mail);
        // Either this store is seen by a shard that falls asleep, or its sleep is seen here: both sides write, then read
        // what the other one writes, in one order of all.
        self.has_letters.store(true, Ordering::SeqCst);
        drop(letters);
        if self.sleeps.load(Ordering::SeqCst) && self.sleeps.swap(false, Ordering::SeqCst) {
            // An eventfd can only overflow, and then it is awake anyway.
            let _ = self.waker.wake();
        }
        Ok(())
    }

    /// Whether letters wait. What was sent before something that the caller has seen is never missed.
    pub(crate) fn has_letters(&self) -> bool {
        self.has_letters.load(Ordering::Acquire)
    }

    /// Moves all letters to `to`.
    pub(crate) fn take(&self, to: &mut VecDeque<Mail>) {
        if self.has_letters() {
            let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            self.has_letters.store(false, Ordering::SeqCst);
            to.append(&mut letters);
        }
    }

    /// The shard is about to sleep, and is woken from now on; false if it must not sleep, since letters wait.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeps.store(true, Ordering::SeqCst);
        let may_sleep = !self.has_letters.load(Ordering::SeqCst);
        if !may_sleep {
            self.wake_up();
        }
        may_sleep
    }

    /// The shard waits for the store, and is told its news from now on; true if it was not before, and so has to look
    /// once more for what it was not told.
    pub(crate) fn await_store(&self) -> bool {
        let begins = !self.awaits_store.swap(true, Ordering::SeqCst);
        // Either the news are seen by the look that follows, or this is seen by who has them.
        fence(Ordering::SeqCst);
        begins
    }

    /// The store has news, which the shard can see.
    pub(crate) fn tell_stored(&self) {
        fence(Ordering::SeqCst);
        if self.awaits_store.load(Ordering::SeqCst) && self.awaits_store.swap(false, Ordering::SeqCst) {
            self.send(Mail::Stored);
        }
    }

    /// The shard is awake.
    pub(crate) fn wake_up(&self) {
        self.sleeps.store(false, Ordering::SeqCst);
    }

    /// Connections that the shard has or is about to get.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// One of them is gone.
    pub(crate) fn connection_ended(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;
    use crate::listener::Places;

    const MAILBOX: Token = Token(7);

    fn accepted() -> Accepted {
        let (stream, _) = super::super::stream_pair();
        let place = Arc::new(Places::new(None)).take().unwrap();
        Accepted { stream, peer: ([127, 0, 0, 1], 1).into(), listener: 0, place }
    }

    /// Whether the poll is woken up within no time.
    fn is_woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().any(|event| event.token() == MAILBOX)
    }

    #[test]
    fn a_full_box_gives_connections_back_but_takes_an_order() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::bounded(poll.registry(), MAILBOX, 1).unwrap();
        assert!(mailbox.send_accepted(accepted()).is_ok());
        assert!(mailbox.send_accepted(accepted()).is_err());
        mailbox.send(Mail::End(Step::PublishWills));
        assert_eq!(mailbox.connections(), 1);

        let mut mail = VecDeque::new();
        mailbox.take(&mut mail);
        assert!(matches!(mail.make_contiguous(), [Mail::Accepted(_), Mail::End(Step::PublishWills)]));
        assert!(!mailbox.has_letters());
        assert!(mailbox.send_accepted(accepted()).is_ok());
    }

    #[test]
    fn only_a_sleeping_shard_is_woken_and_only_once() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.registry(), MAILBOX).unwrap();
        mailbox.send(Mail::End(Step::PublishWills));
        assert!(!is_woken(&mut poll), "it looks into its box anyway");
        assert!(!mailbox.fall_asleep(), "there is a letter");
        mailbox.take(&mut VecDeque::new());

        assert!(mailbox.fall_asleep());
        mailbox.send(Mail::End(Step::ReadMail));
        assert!(is_woken(&mut poll));
        mailbox.send(Mail::End(Step::CloseConnections));
        assert!(!is_woken(&mut poll), "it was woken already");
    }

    #[test]
    fn no_letter_is_slept_through() {
        const LETTERS: u32 = 20_000;
        let mut polls = [Poll::new().unwrap(), Poll::new().unwrap()];
        let boxes: Arc<[Mailbox]> =
            polls.iter().map(|poll| Mailbox::new(poll.registry(), MAILBOX).unwrap()).collect();
        // Two shards send one letter to and fro, and sleep as long as there is none.
        let shard = |index: usize, mut poll: Poll, boxes: Arc<[Mailbox]>| {
            let mut events = Events::with_capacity(4);
            let mut mail = VecDeque::new();
            for _ in 0..LETTERS {
                while mail.is_empty() {
                    if boxes[index].fall_asleep() {
                        poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
                        let woken = events.iter().next().is_some();
                        assert!(woken || boxes[index].has_letters(), "nobody has woken it");
                    }
                    boxes[index].wake_up();
                    boxes[index].take(&mut mail);
                }
                mail.clear();
                boxes[1 - index].send(Mail::End(Step::ReadMail));
            }
        };
        boxes[0].send(Mail::End(Step::ReadMail));
        let [first, second] = &mut polls;
        let (first, second) =
            (std::mem::replace(first, Poll::new().unwrap()), std::mem::replace(second, Poll::new().unwrap()));
        let other = thread::spawn({
            let boxes = Arc::clone(&boxes);
            move || shard(1, second, boxes)
        });
        shard(0, first, boxes);
        other.join().unwrap();
    }
}

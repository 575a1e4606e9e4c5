//! Log-ins that wait to be checked.
//!
//! Each origin has a queue of its own, and they take turns: whoever floods the broker with log-ins waits for himself.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use noctule_broker::{ConnectionKey, ListenerIndex, Password, ShardIndex};

/// What may wait in all.
const IN_ALL: Bound = Bound { logins: 65_536, bytes: 16 << 20 };
/// What may wait of one origin.
const OF_ORIGIN: Bound = Bound { logins: IN_ALL.logins / 4, bytes: IN_ALL.bytes / 4 };

/// One User Name and Password to be checked.
#[derive(Debug)]
pub(crate) struct Login {
    /// Whom to tell.
    pub(crate) shard: ShardIndex,
    pub(crate) connection: ConnectionKey,
    pub(crate) listener: ListenerIndex,
    pub(crate) origin: Origin,
    pub(crate) user_name: Arc<str>,
    pub(crate) password: Option<Password>,
    /// Whether anybody still waits for it.
    pub(crate) pending: Weak<Pending>,
}

/// Held by the connection that a [`Login`] is of. When it is dropped, nobody computes for it any more.
#[derive(Debug)]
pub(crate) struct Pending;

impl Login {
    fn bytes(&self) -> usize {
        self.user_name.len() + self.password.as_ref().map_or(0, |password| password.0.len())
    }
}

/// Where a client comes from: its IPv4 address, or the network of its IPv6 address, as each customer has 2^64 of them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin(Option<IpAddr>);

impl Origin {
    /// Of the other end of a connection, if it is known.
    pub(crate) fn new(peer: Option<SocketAddr>) -> Self {
        Self(peer.map(|peer| match peer.ip().to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            address @ IpAddr::V4(_) => address,
        }))
    }
}

/// How much may wait: log-ins, and bytes of their names and passwords.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    logins: usize,
    bytes: usize,
}

impl Bound {
    /// `Some` with one log-in more of so many bytes, if this bounds it.
    fn room(self, waiting: Self, bytes: usize) -> Option<Self> {
        let more = Self { logins: waiting.logins + 1, bytes: waiting.bytes + bytes };
        (more.logins <= self.logins && more.bytes <= self.bytes).then_some(more)
    }

    fn without(self, login: &Login) -> Self {
        Self { logins: self.logins - 1, bytes: self.bytes - login.bytes() }
    }
}

/// A bounded queue into the threads that check.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    in_all: Bound,
    of_origin: Bound,
}

#[derive(Debug, Default)]
struct State {
    /// Never an empty one.
    origins: HashMap<Origin, Waiting>,
    /// Each of `origins` once, the next one first.
    turns: VecDeque<Origin>,
    in_all: Bound,
    closed: bool,
}

/// The log-ins of one origin.
#[derive(Debug, Default)]
struct Waiting {
    logins: VecDeque<Login>,
    bound: Bound,
}

impl State {
    fn next(&mut self) -> Option<Login> {
        let origin = self.turns.pop_front()?;
        let waiting = self.origins.get_mut(&origin)?;
        let login = waiting.logins.pop_front()?;
        waiting.bound = waiting.bound.without(&login);
        if waiting.logins.is_empty() {
            self.origins.remove(&origin);
        } else {
            self.turns.push_back(origin);
        }
        self.in_all = self.in_all.without(&login);
        Some(login)
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self::bounded(IN_ALL, OF_ORIGIN)
    }

    fn bounded(in_all: Bound, of_origin: Bound) -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), in_all, of_origin }
    }

    /// One in which nothing has room.
    #[cfg(test)]
    pub(super) fn full() -> Self {
        Self::bounded(Bound::default(), Bound::default())
    }

    /// Puts one in; false if there is no room.
    pub(super) fn put(&self, login: Login) -> bool {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        let (origin, bytes) = (login.origin, login.bytes());
        let known = state.origins.get(&origin).map(|waiting| waiting.bound);
        let in_all = self.in_all.room(state.in_all, bytes);
        let of_origin = self.of_origin.room(known.unwrap_or_default(), bytes);
        let (Some(in_all), Some(of_origin)) = (in_all, of_origin) else { return false };
        state.in_all = in_all;
        let waiting = state.origins.entry(origin).or_default();
        waiting.bound = of_origin;
        waiting.logins.push_back(login);
        if known.is_none() {
            state.turns.push_back(origin);
        }
        drop(guard);
        self.news.notify_one();
        true
    }

    /// Waits for the next one that somebody still waits for; `None` when the queue was closed.
    pub(super) fn take(&self) -> Option<Login> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            match state.next() {
                Some(login) if login.pending.strong_count() > 0 => return Some(login),
                Some(_) => {}
                None => state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Nothing is given out any more.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(index: u32, origin: u8, password: usize, pending: &Arc<Pending>) -> Login {
        Login {
            shard: ShardIndex(0),
            connection: ConnectionKey { index, generation: 0 },
            listener: ListenerIndex(0),
            origin: Origin::new(Some(([10, 0, 0, origin], 1).into())),
            user_name: "user".into(),
            password: Some(Password(vec![b'x'; password].into())),
            pending: Arc::downgrade(pending),
        }
    }

    fn taken(queue: &Queue) -> Option<u32> {
        queue.take().map(|login| login.connection.index)
    }

    #[test]
    fn it_is_bounded_by_number_and_by_bytes() {
        let here = Arc::new(Pending);
        let bound = Bound { logins: 2, bytes: 100 };
        let queue = Queue::bounded(bound, bound);
        assert!(queue.put(login(0, 1, 1, &here)) && queue.put(login(1, 1, 1, &here)));
        assert!(!queue.put(login(2, 2, 1, &here)));
        assert_eq!(taken(&queue), Some(0));
        assert!(!queue.put(login(3, 1, 100, &here)));
        assert!(queue.put(login(4, 1, 90, &here)));
        assert_eq!((taken(&queue), taken(&queue)), (Some(1), Some(4)));
        assert!(queue.put(login(5, 1, 96, &here)));
        assert!(!Queue::full().put(login(6, 1, 0, &here)));
    }

    #[test]
    fn origins_take_turns_and_none_takes_all() {
        let here = Arc::new(Pending);
        let queue = Queue::bounded(Bound { logins: 9, bytes: 900 }, Bound { logins: 3, bytes: 300 });
        for index in 0..3 {
            assert!(queue.put(login(index, 1, 1, &here)));
        }
        assert!(!queue.put(login(3, 1, 1, &here)), "that is its share");
        assert!(!queue.put(login(4, 2, 400, &here)));
        assert!(queue.put(login(5, 2, 1, &here)) && queue.put(login(6, 3, 1, &here)));
        let order: Vec<_> = (0..5).filter_map(|_| taken(&queue)).collect();
        assert_eq!(order, [0, 5, 6, 1, 2]);
        assert!(queue.state.lock().unwrap().origins.is_empty() && queue.put(login(7, 1, 1, &here)));
    }

    #[test]
    fn an_origin_is_an_address_or_a_network() {
        let origin = |ip: &str| Origin::new(Some((ip.parse::<IpAddr>().unwrap(), 1).into()));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:0:0:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_ne!(origin("192.0.2.1"), Origin::new(None));
    }

    #[test]
    fn who_went_away_is_passed_over() {
        let (here, gone) = (Arc::new(Pending), Arc::new(Pending));
        let queue = Queue::new();
        assert!(queue.put(login(0, 1, 1, &gone)) && queue.put(login(1, 1, 1, &here)));
        drop(gone);
        assert_eq!(taken(&queue), Some(1));
    }

    #[test]
    fn a_closed_queue_gives_nothing() {
        let here = Arc::new(Pending);
        let queue = Queue::new();
        assert!(queue.put(login(0, 1, 1, &here)));
        queue.close();
        assert_eq!(taken(&queue), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let password = Some(Password((*b"geheim").into()));
        let login = Login { password, ..login(0, 1, 0, &Arc::new(Pending)) };
        let shown = format!("{login:?}");
        assert!(!shown.contains("geheim") && !shown.contains("103, 101"), "{shown}");
    }
}

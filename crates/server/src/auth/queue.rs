//! Log-ins that wait to be checked.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use noctule_broker::{ConnectionKey, ListenerIndex, ShardIndex};

/// Log-ins that may wait.
const LOGINS_MAX: usize = 65_536;
/// Bytes of their names and passwords.
const BYTES_MAX: usize = 16 << 20;

/// One User Name and Password to be checked.
#[derive(Debug)]
pub(crate) struct Login {
    /// Whom to tell.
    pub(crate) shard: ShardIndex,
    pub(crate) connection: ConnectionKey,
    pub(crate) listener: ListenerIndex,
    pub(crate) user_name: Arc<str>,
    pub(crate) password: Option<Password>,
    /// Whether anybody still waits for it.
    pub(crate) pending: Weak<Pending>,
}

/// Held by the connection that a [`Login`] is of. When it is dropped, nobody computes for it any more.
#[derive(Debug)]
pub(crate) struct Pending;

/// A Password as it came. `Debug` shows nothing of it.
pub(crate) struct Password(pub(crate) Box<[u8]>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl Login {
    fn bytes(&self) -> usize {
        self.user_name.len() + self.password.as_ref().map_or(0, |password| password.0.len())
    }
}

/// A bounded queue into the threads that check.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    logins_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    logins: VecDeque<Login>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self::bounded(LOGINS_MAX, BYTES_MAX)
    }

    fn bounded(logins_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), logins_max, bytes_max }
    }

    /// Puts one in; false if there is no room.
    pub(super) fn put(&self, login: Login) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = state.bytes + login.bytes();
        if state.logins.len() >= self.logins_max || bytes > self.bytes_max {
            return false;
        }
        state.bytes = bytes;
        state.logins.push_back(login);
        drop(state);
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
            match state.logins.pop_front() {
                Some(login) => {
                    state.bytes -= login.bytes();
                    if login.pending.strong_count() > 0 {
                        return Some(login);
                    }
                }
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

    fn login(index: u32, password: &[u8], pending: &Arc<Pending>) -> Login {
        Login {
            shard: ShardIndex(0),
            connection: ConnectionKey { index, generation: 0 },
            listener: ListenerIndex(0),
            user_name: "user".into(),
            password: Some(Password(password.into())),
            pending: Arc::downgrade(pending),
        }
    }

    fn taken(queue: &Queue) -> Option<u32> {
        queue.take().map(|login| login.connection.index)
    }

    #[test]
    fn it_is_bounded_by_number_and_by_bytes() {
        let here = Arc::new(Pending);
        let queue = Queue::bounded(2, 100);
        assert!(queue.put(login(0, b"x", &here)) && queue.put(login(1, b"x", &here)));
        assert!(!queue.put(login(2, b"x", &here)));
        assert_eq!(taken(&queue), Some(0));
        assert!(!queue.put(login(3, &[0; 100], &here)));
        assert!(queue.put(login(4, &[0; 90], &here)));
        assert_eq!((taken(&queue), taken(&queue)), (Some(1), Some(4)));
        assert!(queue.put(login(5, &[0; 96], &here)));
    }

    #[test]
    fn who_went_away_is_passed_over() {
        let (here, gone) = (Arc::new(Pending), Arc::new(Pending));
        let queue = Queue::new();
        assert!(queue.put(login(0, b"x", &gone)) && queue.put(login(1, b"x", &here)));
        drop(gone);
        assert_eq!(taken(&queue), Some(1));
    }

    #[test]
    fn a_closed_queue_gives_nothing() {
        let here = Arc::new(Pending);
        let queue = Queue::new();
        assert!(queue.put(login(0, b"x", &here)));
        queue.close();
        assert_eq!(taken(&queue), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = login(0, b"geheim", &Arc::new(Pending));
        let shown = format!("{login:?}");
        assert!(!shown.contains("geheim") && !shown.contains("103, 101"), "{shown}");
    }
}

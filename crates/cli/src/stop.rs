//! Ctrl-C and SIGTERM for a command that has something to finish first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use noctule_client::Waker;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// Takes SIGINT and SIGTERM over. The first asks to stop; a second ends the process at once, because whoever sends it
/// sees that the first did not help.
#[derive(Debug)]
pub(crate) struct Stop {
    requested: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Stop {
    /// From now on a signal wakes this client. Until [`may_finish`](Self::may_finish) it ends the process at once.
    pub(crate) fn on_signals(waker: Waker) -> io::Result<Self> {
        let stop = Self { requested: Arc::default(), at_once: Arc::new(AtomicBool::new(true)) };
        // These must come before the iterator, which lets the process live.
        flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, Arc::clone(&stop.at_once))?;
        flag::register_conditional_shutdown(SIGTERM, 128 + SIGTERM, Arc::clone(&stop.at_once))?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (requested, at_once) = (Arc::clone(&stop.requested), Arc::clone(&stop.at_once));
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                at_once.store(true, Ordering::SeqCst);
                requested.store(true, Ordering::SeqCst);
                waker.wake();
            }
        })?;
        Ok(stop)
    }

    /// Whether there is something to finish when a signal comes: a connection to say goodbye on.
    pub(crate) fn may_finish(&self, may: bool) {
        self.at_once.store(!may || self.requested(), Ordering::SeqCst);
    }

    /// Whether a signal has come.
    pub(crate) fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

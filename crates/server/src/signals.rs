//! Signals, as values.

use std::ffi::c_int;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::Notice;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// SIGTERM, SIGINT: end.
    Terminate,
    /// SIGHUP: read the configuration again and open log files anew.
    Reload,
    /// SIGRTMIN: open log files anew, nothing else.
    RotateLog,
    /// SIGUSR1: save the database.
    Save,
    /// SIGUSR2: print the subscription tree.
    PrintTree,
}

/// The signals that would otherwise end a process that is starting, though they ask it for something: they wait. Those
/// that ask it to end still do so at once, until [`Waiting::hold_back_end`].
pub(crate) struct Waiting {
    signals: Signals,
    rotate: c_int,
}

impl Waiting {
    /// To be called before anybody can see that this process runs.
    pub(crate) fn begin() -> io::Result<Self> {
        let rotate = libc::SIGRTMIN();
        Ok(Self { signals: Signals::new([SIGHUP, SIGUSR1, SIGUSR2, rotate])?, rotate })
    }

    /// From now on those that ask to end wait too: there is something to clear away.
    pub(crate) fn hold_back_end(&self) -> io::Result<()> {
        [SIGTERM, SIGINT].into_iter().try_for_each(|number| self.signals.add_signal(number))
    }

    /// Sends all signals on from a thread of their own, those first that waited.
    pub(crate) fn watch(self, to: Sender<Notice>) -> io::Result<()> {
        let Self { mut signals, rotate } = self;
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                let signal = match number {
                    SIGTERM | SIGINT => Signal::Terminate,
                    SIGHUP => Signal::Reload,
                    SIGUSR1 => Signal::Save,
                    SIGUSR2 => Signal::PrintTree,
                    number if number == rotate => Signal::RotateLog,
                    _ => continue,
                };
                if to.send(Notice::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }
}

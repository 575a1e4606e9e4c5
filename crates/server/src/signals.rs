//! Signals, as values.

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

/// Takes over the signals of this process and sends them on from a thread of their own.
pub(crate) fn watch(to: Sender<Notice>) -> io::Result<()> {
    let rotate = libc::SIGRTMIN();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, rotate])?;
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

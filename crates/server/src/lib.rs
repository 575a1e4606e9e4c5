//! What a broker does: it owns threads, sockets, clocks, logs and signals. What it decides is in `noctule-broker`.
//!
//! [`run`] is the whole life of a broker process. [`Broker`] is the part of it that could run many times in one
//! process: listening sockets, one acceptor thread, and one thread per shard.

pub mod log;

mod acceptor;
mod auth;
mod broker;
mod checkpoint;
mod data;
mod descriptor_limit;
mod error;
mod greeting;
pub mod import;
mod listener;
mod memory;
mod network_device;
mod panic;
mod pid_file;
mod program;
mod reload;
mod retained_loader;
mod run;
mod settings;
mod shard;
mod signals;
pub mod store;
mod store_room;
mod surprises;
mod user;

pub use broker::Broker;
pub use error::StartError;
pub use listener::Listeners;
pub use network_device::DeviceError;
pub use program::Program;
pub use run::{Options, run};

use std::io;

use noctule_storage::StoreError;
use signals::Signal;

/// Name of the thread that writes log lines.
const LOG_THREAD: &str = "log";

/// What the thread that watches over the others is told.
#[derive(Debug)]
enum Notice {
    /// The process got a signal.
    Signal(Signal),
    /// A shard obeys the settings it was told last.
    SettingsTaken,
    /// All that was to be kept when that was asked for is on the disk.
    Saved,
    /// Nothing can be kept any more.
    StoreFailed(StoreError),
    /// What is kept cannot be read any further.
    Unreadable(StartError),
    /// A thread is done.
    ThreadEnded {
        /// Its name.
        thread: String,
        /// How.
        result: io::Result<()>,
    },
}

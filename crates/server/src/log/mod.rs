//! Log lines, off the threads that make them.
//!
//! [`Log`] puts a line into a bounded queue and never waits, so that a blocked pipe or a slow disk blocks no client.
//! One [`Writer`] takes the lines out, stamps them and writes them to every destination. What does not fit is
//! counted, and the count is written when there is room again.

mod destination;
mod line;
mod outlet;
mod queue;
mod stamp;
mod strftime;
mod syslog;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noctule_broker::LogSubject;
use noctule_config::{LogType, LogTypes};

use destination::Destinations;
use line::LineFormat;
use queue::{Entry, Queue};

pub use destination::Unopened;
pub use outlet::Outlet;
pub use writer::Writer;

/// Bytes of lines that may wait for the writer.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Longest wait for a destination that takes nothing, when the process is about to end.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

/// Takes log lines; cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    /// As bits; a reload changes them for all.
    types: Arc<AtomicU16>,
    queue: Arc<Queue>,
    outlet: Arc<Outlet>,
}

/// Destinations that are open, and what goes there: for [`Log::switch`].
#[derive(Debug)]
pub struct Prepared {
    types: LogTypes,
    format: LineFormat,
    destinations: Destinations,
}

impl Prepared {
    /// Opens what the configuration names.
    pub fn open(config: &noctule_config::Log) -> Result<Self, Unopened> {
        let (destinations, unopened) = Destinations::open(config);
        match unopened {
            Some(unopened) => Err(unopened),
            None => Ok(Self::new(config, destinations)),
        }
    }

    fn new(config: &noctule_config::Log, destinations: Destinations) -> Self {
        let types = if destinations.is_empty() { LogTypes::NONE } else { config.types };
        Self { types, format: LineFormat::new(config), destinations }
    }

    /// Which lines will be taken.
    pub fn types(&self) -> LogTypes {
        self.types
    }
}

impl Log {
    /// Opens the destinations. The lines wait in the queue until [`Writer::run`] or [`Writer::drain`] writes them.
    ///
    /// As in Mosquitto a log file that cannot be opened is no reason not to start: errors, this one first, then
    /// go to standard error.
    pub fn open(config: &noctule_config::Log) -> (Self, Writer) {
        let (destinations, unopened) = Destinations::open(config);
        let prepared = Prepared::new(config, destinations);
        let types = if unopened.is_some() { LogTypes::NONE.with(LogType::Error) } else { prepared.types };
        let queue = Arc::new(Queue::new(QUEUE_BYTES_MAX));
        let outlet = Arc::<Outlet>::default();
        let log = Self {
            types: Arc::new(AtomicU16::new(types.bits())),
            queue: Arc::clone(&queue),
            outlet: Arc::clone(&outlet),
        };
        for line in unopened.iter().flat_map(Unopened::log_lines) {
            log.error(line);
        }
        (log, Writer::new(queue, outlet, prepared))
    }

    /// Writes what comes from now on to other destinations, and only lines of their types.
    pub fn switch(&self, prepared: Prepared) {
        self.types.store(prepared.types.bits(), Ordering::Relaxed);
        self.queue.switch(prepared);
    }

    /// A log that takes nothing.
    pub fn none() -> Self {
        Self {
            types: Arc::new(AtomicU16::new(LogTypes::NONE.bits())),
            queue: Arc::new(Queue::new(0)),
            outlet: Arc::default(),
        }
    }

    /// Where lines that are to be published wait.
    pub fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Which lines are taken; others need not be formatted.
    pub fn types(&self) -> LogTypes {
        LogTypes::from_bits(self.types.load(Ordering::Relaxed))
    }

    /// Takes a line of the given type, without time stamp and line end.
    pub fn write(&self, kind: LogType, line: impl Into<String>) {
        self.write_about(kind, line, None);
    }

    /// The same of a line that is about somebody.
    pub fn write_about(&self, kind: LogType, line: impl Into<String>, subject: Option<Box<LogSubject>>) {
        if self.types().contains(kind) {
            self.queue.push(Entry { subject, ..Entry::now(kind, line) });
        }
    }

    /// Somebody must act.
    pub fn error(&self, line: impl Into<String>) {
        self.write(LogType::Error, line);
    }

    /// Something is odd.
    pub fn warning(&self, line: impl Into<String>) {
        self.write(LogType::Warning, line);
    }

    /// A client came or went.
    pub fn notice(&self, line: impl Into<String>) {
        self.write(LogType::Notice, line);
    }

    /// The broker did something.
    pub fn information(&self, line: impl Into<String>) {
        self.write(LogType::Information, line);
    }

    /// An error after which the process ends: it finds room in a full queue, and this returns when it is written,
    /// or after two seconds.
    pub fn fatal(&self, line: impl Into<String>) {
        if self.types().contains(LogType::Error) {
            self.queue.push_always(Entry::now(LogType::Error, line));
            self.flush();
        }
    }

    /// Waits until all lines so far are written, at most two seconds; tells whether they are.
    pub fn flush(&self) -> bool {
        self.queue.wait_written(FLUSH_TIME_MAX)
    }

    /// Opens the log file anew after the lines so far, because it was rotated.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Ends the writer after the lines so far; later lines are lost. Waits for it at most two seconds.
    pub fn close(&self) {
        self.queue.close();
        self.flush();
    }
}

impl Entry {
    fn now(kind: LogType, line: impl Into<String>) -> Self {
        Self { seconds: seconds_now(), kind, line: line.into(), subject: None }
    }
}

/// Seconds since 1970 by the wall clock.
fn seconds_now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}

/// One line for standard error before there is a log, stamped as Mosquitto stamps it.
pub fn early_line(line: &str) -> String {
    format!("{}: {line}", seconds_now())
}

//! The thread that reads what is retained while clients are served already.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use noctule_broker::{RestoreError, RetainedLoad, Shared};
use noctule_persistence::StoredRows;

use crate::Notice;
use crate::error::StartError;
use crate::log::Log;
use crate::shard::Neighbours;

/// Retained messages that are read before those who wait for them are told.
const PART: usize = 16_384;

/// What was begun at the start and is to be gone on with.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) load: RetainedLoad,
    /// Messages that were read.
    pub(crate) messages: u64,
    pub(crate) begun: Instant,
    /// The data directory.
    pub(crate) directory: PathBuf,
}

/// Reads on until all is there, or this is dropped.
#[derive(Debug)]
pub(crate) struct RetainedLoader {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RetainedLoader {
    /// Starts the thread. What cannot be read is a [`Notice::Unreadable`].
    pub(crate) fn start(
        mut rest: Rest,
        rows: StoredRows,
        shared: Arc<Shared>,
        shards: Arc<Neighbours>,
        log: Log,
        notify: Sender<Notice>,
    ) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("noctule-retained".to_owned()).spawn(move || {
            match rest.read(&rows, &shared, &shards, &told) {
                Ok(false) => {}
                Ok(true) => log.information(format!(
                    "All {} retained messages are restored, in {:.2} s.",
                    rest.messages,
                    rest.begun.elapsed().as_secs_f64()
                )),
                Err(error) => {
                    let reason = error.to_string();
                    let unreadable = StartError::Unreadable { path: rest.directory, reason };
                    // Nobody listens any more when the broker was dropped.
                    drop(notify.send(Notice::Unreadable(unreadable)));
                }
            }
        })?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for RetainedLoader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Rest {
    /// False if the broker ended before all was read.
    fn read(
        &mut self,
        rows: &StoredRows,
        shared: &Shared,
        shards: &Neighbours,
        is_over: &AtomicBool,
    ) -> Result<bool, RestoreError> {
        while !is_over.load(Ordering::Relaxed) {
            let part = self.load.load_some(PART, rows, shared)?;
            self.messages += part.messages;
            shards.tell_retained_loaded(part.some_expire);
            if part.is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

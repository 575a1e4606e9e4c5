//! What is kept across restarts: the directory it is in, what a start finds there, and how a broker leaves it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use noctule_broker::{Effect, Input, LoadedPart, Now, Restored, Shard, Shared};
use noctule_config::Persistence;
use noctule_persistence::StoredRows;
use noctule_storage::{Cut, DataDirectory, FjallStore, Opening, Store};

use crate::error::StartError;
use crate::log::Log;
use crate::retained_loader::Rest;
use crate::store::BackupService;

/// Retained messages that are read before anybody is served: so few cost no time that is noticed, and most brokers have
/// no more.
const RETAINED_AT_ONCE: usize = 10_000;

/// The data directory of a broker that keeps something, as long as it runs.
#[derive(Debug)]
pub(crate) struct Data {
    directory: DataDirectory,
}

impl Data {
    /// Takes the directory for this process, where the configuration asks for one. To be called as the user that the
    /// broker runs as.
    pub(crate) fn open(persistence: &Persistence) -> Result<Option<Self>, StartError> {
        if !persistence.enabled {
            return Ok(None);
        }
        if persistence.data.is_none() {
            look_at(persistence.location())?;
        }
        let directory = DataDirectory::open(&persistence.data_directory())?;
        Ok(Some(Self { directory }))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Opens the store in it.
    pub(crate) fn store(&self) -> Result<FjallStore, StartError> {
        Ok(self.directory.open_store()?)
    }

    /// Answers who asks for a backup. A broker can do without.
    pub(crate) fn serve_backups(&self, store: &FjallStore, log: &Log) -> Option<BackupService> {
        let service = BackupService::start(self.path(), store.reader());
        let told = |error| {
            log.warning(format!("Warning: No backup can be asked for while this broker runs: {error}."))
        };
        service.map_err(told).ok()
    }

    /// Fills the empty shards with what the store has.
    pub(crate) fn restore(
        &self,
        store: &FjallStore,
        shards: &mut [Shard],
        shared: &Shared,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<Found, StartError> {
        let begun = Instant::now();
        let damaged = |reason: String| StartError::Unreadable { path: self.path().to_owned(), reason };
        let rows = StoredRows::new(store.reader());
        let opening = store.opening().clone();
        let mut found = Found { directory: self.path().to_owned(), opening, ..Found::default() };
        let (restored, mut load) = Shard::restore(shards, shared, &rows, now, effects)
            .map_err(|error| damaged(error.to_string()))?;
        found.restored = restored;
        let LoadedPart { messages, some_expire, is_last } =
            load.load_some(RETAINED_AT_ONCE, &rows, shared).map_err(|error| damaged(error.to_string()))?;
        for shard in shards {
            shard.handle(shared, Input::RetainedLoaded { some_expire }, now, effects);
        }
        found.retained = messages;
        let directory = self.path().to_owned();
        found.rest = (!is_last).then_some(Rest { load, messages, begun, directory });
        found.seconds = begun.elapsed().as_secs_f64();
        Ok(found)
    }
}

/// The directory that an operator named must be there: one that was misspelt, or is on a disk that was not mounted, is
/// not to be taken for an empty one.
fn look_at(location: &Path) -> Result<(), StartError> {
    let refuse = |source| StartError::Location { path: location.to_owned(), source };
    let metadata = std::fs::metadata(location).map_err(refuse)?;
    if metadata.is_dir() { Ok(()) } else { Err(refuse(io::Error::from(io::ErrorKind::NotADirectory))) }
}

/// What a start found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    directory: PathBuf,
    opening: Opening,
    restored: Restored,
    /// Retained messages that were read so far.
    retained: u64,
    seconds: f64,
    /// What is read while clients are served already.
    pub(crate) rest: Option<Rest>,
}

impl Found {
    /// What is told of it.
    pub(crate) fn tell(&self, log: &Log) {
        let Self { directory, opening, restored, retained, seconds, rest } = self;
        let Restored { sessions, subscriptions, messages } = restored;
        let so_far = if rest.is_some() { " so far" } else { "" };
        let directory = directory.display();
        if opening.is_new {
            return log.information(format!("Everything is kept in {directory}, which is new."));
        }
        if let Some(Cut { journal, at, bytes, kept }) = &opening.cut {
            log.warning(format!(
                "Warning: The broker before ended in the middle of writing: {bytes} bytes at {at} of {}, which nobody was \
                 told were kept, were cut off; they are in {}.",
                journal.display(),
                kept.display()
            ));
        }
        let end = if opening.is_clean { "was ended in good order" } else { "ended unexpectedly" };
        log.information(format!(
            "Restored from {directory}: {}, {}, {}, {}{so_far}, in {seconds:.2} s; the broker before {end}.",
            counted(*sessions, "session"),
            counted(*subscriptions, "subscription"),
            counted(*messages, "queued message"),
            counted(*retained, "retained message"),
        ));
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(location: &Path) -> Result<Option<Data>, StartError> {
        let location = Some(location.to_owned());
        Data::open(&Persistence { enabled: true, location, ..Persistence::default() })
    }

    #[test]
    fn a_location_must_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(
            open(&missing).unwrap_err().to_string(),
            format!("persistence_location {} cannot be used: No such file or directory", missing.display())
        );
        assert!(!missing.exists());
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(open(&file).unwrap_err().to_string().ends_with("not a directory"));
        let data = open(directory.path()).unwrap().unwrap();
        assert_eq!(data.path(), directory.path().join("noctule"));
        assert!(open(directory.path()).unwrap_err().to_string().contains("in use"));
    }

    #[test]
    fn a_data_directory_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/noctule");
        let persistence = Persistence { enabled: true, data: Some(path.clone()), ..Persistence::default() };
        assert_eq!(Data::open(&persistence).unwrap().unwrap().path(), path);
        assert!(Data::open(&Persistence::default()).unwrap().is_none());
    }
}

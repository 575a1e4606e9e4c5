//! What can be done with a data directory beside serving from it: `noctule store`.

mod backup;
mod check;
mod export;
mod repair;
mod service;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noctule_storage::{DataDirectory, DataDirectoryError, Store, StoreError};

use crate::import::{Import, ImportError, Summary};

pub use backup::backup;
pub use check::{Checked, check};
pub use export::{Exported, export};
pub use repair::{Repaired, repair};
pub(crate) use service::BackupService;

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum StoreToolError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DataDirectoryError),
    /// Its store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of Mosquitto cannot be imported.
    #[error("{0}; nothing was imported")]
    Import(#[from] ImportError),
    /// There is no data directory.
    #[error("{} is no data directory: name the one that the broker was started with, or DIR/noctule for persistence_location DIR", path.display())]
    NotThere {
        /// What was named.
        path: PathBuf,
    },
    /// Something is there already.
    #[error("{} is not empty; name a directory that is not there yet", path.display())]
    Occupied {
        /// What was named.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The broker that serves from the directory refused.
    #[error("the broker refused: {0}")]
    Refused(String),
}

impl StoreToolError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Imports a file of Mosquitto into a data directory without a broker. The directory is made if it is not there.
pub fn import(data: &Path, file: &Path) -> Result<Summary, StoreToolError> {
    let directory = DataDirectory::open(data)?;
    let mut store = directory.open_store()?;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let summary = Import::asked_for(&mut store, file, data, wall)?;
    store.close()?;
    Ok(summary)
}

/// Takes a data directory that is there.
fn open(data: &Path) -> Result<DataDirectory, StoreToolError> {
    if !data.join("lock").exists() {
        return Err(StoreToolError::NotThere { path: data.to_owned() });
    }
    Ok(DataDirectory::open(data)?)
}

//! The directory that one broker keeps everything in.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::{FjallStore, StoreError};

const LOCK: &str = "lock";
const STORE: &str = "store";

/// A data directory that this process holds, until it is dropped or the process ends in any way.
///
/// ```text
/// lock    held while in use; the process id of who holds it
/// store/  the store
/// ```
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "{path} is in use by {holder}; a data directory belongs to one broker: stop that one, or give \
         this one another directory"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who uses it.
        holder: String,
    },
    /// The store in it does not open.
    #[error("{path}: {source}")]
    Store {
        /// Where the store is.
        path: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
}

impl DataDirectory {
    /// Takes a directory for this process, and makes it if it is not there. What holds it lies in the directory
    /// above.
    pub fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        fs::create_dir_all(path).map_err(|source| io_error("make the data directory", path, source))?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store in it, or makes an empty one at the first time.
    pub fn open_store(&self) -> Result<FjallStore, DataDirectoryError> {
        let path = self.path.join(STORE);
        FjallStore::open(&path).map_err(|source| DataDirectoryError::Store { path, source })
    }
}

/// The lock goes with the process, however it ends; the file stays.
fn lock(directory: &Path) -> Result<File, DataDirectoryError> {
    let path = directory.join(LOCK);
    let failed = |action| {
        let path = path.clone();
        move |source| io_error(action, &path, source)
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The lock says that it is in use; who it is helps, but may not be readable yet.
            let known = (&file).take(20).read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let holder = if known { format!("process {}", pid.trim()) } else { "another process".to_owned() };
            return Err(DataDirectoryError::InUse { path: directory.to_owned(), holder });
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed("write"))?;
    Ok(file)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataDirectoryError {
    DataDirectoryError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Keyspace, Store};

    #[test]
    fn a_store_is_made_once_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("lib/noctule");
        let directory = DataDirectory::open(&path).unwrap();
        assert_eq!(directory.path(), path);
        let mut batch = Batch::new();
        batch.put(Keyspace::Meta, "key", "value");
        directory.open_store().unwrap().commit(&[batch], true).unwrap();
        drop(directory);
        let store = DataDirectory::open(&path).unwrap().open_store().unwrap();
        assert_eq!(store.get(Keyspace::Meta, b"key").unwrap().as_deref(), Some(&b"value"[..]));
    }

    #[test]
    fn it_belongs_to_one_process() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("noctule");
        let first = DataDirectory::open(&path).unwrap();
        let error = DataDirectory::open(&path).unwrap_err().to_string();
        let expected = format!(
            "{} is in use by process {}; a data directory belongs to one broker: stop that one, or give this one \
             another directory",
            path.display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(first);
        DataDirectory::open(&path).unwrap();
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        File::create(&file).unwrap();
        let path = file.join("noctule");
        let error = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot make the data directory {}: ", path.display())),
            "{error}"
        );
    }
}

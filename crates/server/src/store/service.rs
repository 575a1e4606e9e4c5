//! How a broker that serves is asked for a backup: by a Unix socket in its data directory.
//!
//! ```text
//! ▶ the path of the backup, up to the end of what is sent
//! ◀ `ok ROWS`, or `error REASON`
//! ```
//!
//! Only who may use the data directory may use the socket. One is answered after the other.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use noctule_storage::Reader;

use super::StoreToolError;
use super::backup::copy;

const SOCKET: &str = "backup.sock";
/// No path is longer on Linux.
const PATH_BYTES_MAX: u64 = 4096;
/// Who connects and says nothing is not waited for any longer.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Makes backups when asked to, until it is dropped.
#[derive(Debug)]
pub(crate) struct BackupService {
    socket: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BackupService {
    /// Listens in a data directory that this process holds.
    pub(crate) fn start(data: &Path, reader: Arc<dyn Reader>) -> io::Result<Self> {
        let socket = data.join(SOCKET);
        // Whoever left it there is gone: the directory is ours.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("noctule-backup".to_owned()).spawn(move || {
            for connection in listener.incoming() {
                if told.load(Ordering::Acquire) {
                    return;
                }
                // Who asked and went away misses nothing but the answer.
                let _ = connection.and_then(|connection| answer(connection, &*reader, &told));
            }
        })?;
        Ok(Self { socket, is_over, thread: Some(thread) })
    }
}

impl Drop for BackupService {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // It wakes by being connected to.
        let woken = UnixStream::connect(&self.socket).is_ok();
        let _ = fs::remove_file(&self.socket);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn answer(mut connection: UnixStream, reader: &dyn Reader, is_over: &AtomicBool) -> io::Result<()> {
    connection.set_read_timeout(Some(SILENCE_MAX))?;
    connection.set_write_timeout(Some(SILENCE_MAX))?;
    let mut path = Vec::new();
    (&connection).take(PATH_BYTES_MAX).read_to_end(&mut path)?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    let answer = if !path.is_absolute() {
        "error a backup needs an absolute path".to_owned()
    } else {
        match copy(reader, &path, || is_over.load(Ordering::Acquire)) {
            Ok(rows) => format!("ok {rows}"),
            Err(error) => format!("error {error}"),
        }
    };
    connection.write_all(answer.as_bytes())
}

/// Asks the broker that serves from a data directory. The outer error means that there is nobody to ask.
pub(super) fn ask(data: &Path, target: &Path) -> io::Result<Result<u64, StoreToolError>> {
    let mut connection = UnixStream::connect(data.join(SOCKET))?;
    connection.write_all(target.as_os_str().as_bytes())?;
    connection.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    connection.take(PATH_BYTES_MAX * 4).read_to_string(&mut answer)?;
    let refused = |reason: &str| Err(StoreToolError::Refused(reason.to_owned()));
    Ok(match answer.split_once(' ') {
        Some(("ok", rows)) => rows.parse().or_else(|_| refused("its answer is not understood")),
        Some(("error", reason)) => refused(reason),
        _ => refused("it ended before the backup was whole"),
    })
}

#[cfg(test)]
mod tests {
    use noctule_storage::{Batch, DataDirectory, Keyspace, Store};

    use super::super::backup;
    use super::*;

    #[test]
    fn a_backup_is_made_while_the_directory_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let directory = DataDirectory::open(&data).unwrap();
        let mut store = directory.open_store().unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::Retained, "topic", "kept");
        batch.put(Keyspace::Meta, "fact", "too");
        store.commit(&[batch], true).unwrap();
        let target = parent.path().join("backup");

        // Nobody answers yet: the directory is in use, that is all.
        let refused = backup(&data, &target).unwrap_err().to_string();
        assert!(refused.contains("in use"), "{refused}");

        let service = BackupService::start(&data, store.reader()).unwrap();
        assert_eq!(backup(&data, &target).unwrap(), 2);
        let refused = backup(&data, &target).unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
        drop(service);
        assert!(!data.join(SOCKET).exists());

        let copy = DataDirectory::open(&target).unwrap().open_store().unwrap();
        assert_eq!(copy.get(Keyspace::Retained, b"topic").unwrap().as_deref(), Some(&b"kept"[..]));
        assert_eq!(copy.get(Keyspace::Meta, b"fact").unwrap().as_deref(), Some(&b"too"[..]));
    }

    #[test]
    fn a_directory_without_a_broker_is_copied_too() {
        let parent = tempfile::tempdir().unwrap();
        let (data, target) = (parent.path().join("data"), parent.path().join("backup"));
        let refused = backup(&data, &target).unwrap_err().to_string();
        assert!(refused.contains("no data directory"), "{refused}");
        let directory = DataDirectory::open(&data).unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::Retained, "topic", "kept");
        directory.open_store().unwrap().commit(&[batch], true).unwrap();
        drop(directory);
        assert_eq!(backup(&data, &target).unwrap(), 1);
        let left: Vec<_> =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

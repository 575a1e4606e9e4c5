//! A copy of a data directory, which is one itself.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use noctule_storage::{Batch, DataDirectory, DataDirectoryError, Keyspace, Reader, Store};

use super::{StoreToolError, open, service};

/// How many bytes are copied at a time.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Copies a data directory to `target`, which must not be there yet, or be empty; gives the number of rows. If a broker
/// serves from it, that broker is asked to.
pub fn backup(data: &Path, target: &Path) -> Result<u64, StoreToolError> {
    let target = std::path::absolute(target).map_err(StoreToolError::io("find", target))?;
    match open(data) {
        Ok(directory) => {
            let mut store = directory.open_store()?;
            let rows = copy(&*store.reader(), &target, || false)?;
            store.close()?;
            Ok(rows)
        }
        Err(StoreToolError::Directory(DataDirectoryError::InUse { path, holder })) => {
            service::ask(data, &target)
                .unwrap_or_else(|_unreachable| Err(DataDirectoryError::InUse { path, holder }.into()))
        }
        Err(error) => Err(error),
    }
}

/// Copies what a reader sees at this moment. It appears under its name when it is whole. `is_over` is asked now and then.
pub(super) fn copy(
    reader: &dyn Reader,
    target: &Path,
    is_over: impl Fn() -> bool,
) -> Result<u64, StoreToolError> {
    match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
        Ok(false) => {}
        Ok(true) => return Err(StoreToolError::Occupied { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(StoreToolError::io("read", target)(source)),
    }
    let unfinished = beside(target);
    if unfinished.exists() {
        return Err(StoreToolError::Occupied { path: unfinished });
    }
    let rows = fill(&*reader.snapshot(), &unfinished, is_over).inspect_err(|_| {
        // It is of no use to anybody, and was made here.
        let _ = fs::remove_dir_all(&unfinished);
    })?;
    fs::rename(&unfinished, target).map_err(StoreToolError::io("name the copy", target))?;
    Ok(rows)
}

fn beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(".unfinished");
    name.into()
}

fn fill(reader: &dyn Reader, target: &Path, is_over: impl Fn() -> bool) -> Result<u64, StoreToolError> {
    let directory = DataDirectory::open(target)?;
    let mut store = directory.open_store()?;
    let mut rows = 0;
    for keyspace in Keyspace::ALL {
        let mut trouble = None;
        let mut batch = Batch::new();
        reader.scan(keyspace, b"", &mut |key, value| {
            batch.put(keyspace, key, value);
            rows += 1;
            if batch.bytes() < BATCH_BYTES_MAX {
                return ControlFlow::Continue(());
            }
            if is_over() {
                trouble = Some(StoreToolError::Refused("it ends".to_owned()));
            } else if let Err(error) = store.commit(&[std::mem::take(&mut batch)], false) {
                trouble = Some(error.into());
            }
            if trouble.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        store.commit(&[batch], false)?;
    }
    store.close()?;
    Ok(rows)
}

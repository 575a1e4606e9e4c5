//! The directory that one broker keeps everything in.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::fjall_store::salvage;
use crate::{Damage, FjallStore, Keep, Salvaged, StoreError};

const LOCK: &str = "lock";
const FORMAT: &str = "format";
/// What this broker reads and writes. It rises when an older one could not read what this one writes.
const FORMAT_NUMBER: u32 = 1;
const FORMAT_INTRODUCTION: &str = "noctule data directory, format ";
const STORE: &str = "store";
/// What is to take the place of a damaged store.
const REPAIRED: &str = "repair.new";
/// What a damaged store is called once it was repaired, with a number.
const DAMAGED: &str = "store.damaged-";

/// A data directory that this process holds, until it is dropped or the process ends in any way.
///
/// ```text
/// format  what kind of data directory this is
/// lock    held while in use; the process id of who holds it
/// store/  the store
/// store.damaged-1/  one that was repaired, as it was
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
    #[error("cannot {action} {path}: {source}{}", hint(source))]
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
    /// A newer broker made it.
    #[error(
        "{path} has format {found}, and this broker knows formats up to {FORMAT_NUMBER}: start it with the \
         noctule that used it last or a newer one, or let that one `noctule store export` it; nothing was changed"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not known to be a data directory.
    #[error(
        "{file} does not tell the format of the data directory: {what}; nothing was changed: if no newer noctule than this \
         one has used it, write the line `{FORMAT_INTRODUCTION}{FORMAT_NUMBER}` into that file, or put a copy that \
         `noctule store backup` made in the place of the directory"
    )]
    Format {
        /// The file that should tell.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store in it is damaged.
    #[error(
        "{file} is damaged: {what}; nothing was changed: put a copy that `noctule store backup` made in the place of {path}, \
         or let `noctule store repair --data {path}` save what can be read"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The damaged file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store in it does not open.
    #[error("{path}: {source}{}", hint_of(source))]
    Store {
        /// Where the store is.
        path: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
}

impl DataDirectory {
    /// Takes a directory for this process, and makes it if it is not there. What holds it lies in the directory
    /// above. What is made is for its user only, as there are messages in it.
    pub fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(path).map_err(|source| io_error("make the data directory", path, source))?;
        let lock = lock(path)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store in it, or makes an empty one at the first time.
    pub fn open_store(&self) -> Result<FjallStore, DataDirectoryError> {
        let path = self.store()?;
        FjallStore::open(&path).map_err(|error| match error {
            StoreError::Damaged { file, what } => {
                DataDirectoryError::Damaged { path: self.path.clone(), file, what }
            }
            source => DataDirectoryError::Store { path, source },
        })
    }

    /// Every file of the store in it that is not as it was written. Nothing is changed.
    pub fn damages(&self) -> Result<Vec<Damage>, DataDirectoryError> {
        let path = self.store()?;
        FjallStore::damages(&path).map_err(|source| io_error("read", &path, source))
    }

    /// Puts a new store in the place of the one in it, with all rows that can be read of that and that `keep` wants. The old
    /// one stays beside it, as it was, under the name that is given back.
    pub fn repair(&self, keep: &mut Keep<'_>) -> Result<(Salvaged, PathBuf), DataDirectoryError> {
        let store = self.store()?;
        let (scratch, new) = (self.path.join("repair.scratch"), self.path.join(REPAIRED));
        // What a repair that was cut short has left has nothing that the store has not.
        for left in [&scratch, &new] {
            match fs::remove_dir_all(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", left, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let salvaged = salvage(&store, &scratch, &new, keep)
            .map_err(|source| DataDirectoryError::Store { path: store.clone(), source })?;
        let damaged = self.free_name();
        fs::rename(&store, &damaged).map_err(|source| io_error("rename", &store, source))?;
        self.store()?;
        Ok((salvaged, damaged))
    }

    /// Where the store is. A repair that was cut short between taking the damaged one away and putting the repaired one in its
    /// place is finished first.
    fn store(&self) -> Result<PathBuf, DataDirectoryError> {
        let (store, repaired) = (self.path.join(STORE), self.path.join(REPAIRED));
        if !store.exists() && repaired.exists() {
            fs::rename(repaired, &store)
                .and_then(|()| File::open(&self.path)?.sync_all())
                .map_err(|source| io_error("put the repaired store in the place of", &store, source))?;
        }
        Ok(store)
    }

    /// A name for a damaged store that no other one has.
    fn free_name(&self) -> PathBuf {
        let mut names = (1u64..).map(|number| self.path.join(format!("{DAMAGED}{number}")));
        names.find(|name| !name.exists()).unwrap_or_else(|| self.path.join(DAMAGED))
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

/// Reads the format, or writes it where there is nothing yet.
fn check_format(directory: &Path) -> Result<(), DataDirectoryError> {
    let file = directory.join(FORMAT);
    let wrong = |what| DataDirectoryError::Format { file: file.clone(), what };
    let mut text = String::new();
    match File::open(&file) {
        Ok(opened) => {
            opened.take(200).read_to_string(&mut text).map_err(|source| io_error("read", &file, source))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if directory.join(STORE).exists() {
                return Err(wrong("it is missing, and a store is there"));
            }
            return write_format(directory).map_err(|source| io_error("write", &file, source));
        }
        Err(source) => return Err(io_error("read", &file, source)),
    }
    let number = text.strip_prefix(FORMAT_INTRODUCTION).and_then(|rest| rest.trim_end().parse().ok());
    match number {
        None | Some(0) => Err(wrong("it is not as a broker writes it")),
        Some(found) if found > FORMAT_NUMBER => {
            Err(DataDirectoryError::Newer { path: directory.to_owned(), found })
        }
        Some(_) => Ok(()),
    }
}

fn write_format(directory: &Path) -> io::Result<()> {
    let new = directory.join("format.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{FORMAT_INTRODUCTION}{FORMAT_NUMBER}")?;
    file.sync_all()?;
    fs::rename(&new, directory.join(FORMAT))?;
    File::open(directory)?.sync_all()
}

/// What to do where the system's answer alone does not tell.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; the broker must be able to write there: mend the rights of the directory or its file system, or \
             choose another one"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room there, or choose another one"
        }
        _ => "",
    }
}

fn hint_of(source: &StoreError) -> &'static str {
    match source {
        StoreError::Io { source, .. } => hint(source),
        StoreError::Damaged { .. }
        | StoreError::Stray { .. }
        | StoreError::Key { .. }
        | StoreError::FailedBefore => "",
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataDirectoryError {
    DataDirectoryError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::small_disk::SmallDisk;
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
    fn what_is_made_is_for_its_user_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("lib/noctule");
        drop(DataDirectory::open(&path).unwrap());
        for made in [path.as_path(), path.parent().unwrap()] {
            assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
        }
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

    #[test]
    fn a_newer_format_is_refused_with_instructions_and_left_as_it_is() {
        let parent = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(parent.path()).unwrap());
        let file = parent.path().join("format");
        assert_eq!(fs::read_to_string(&file).unwrap(), "noctule data directory, format 1\n");
        fs::write(&file, "noctule data directory, format 2\n").unwrap();
        let expected = format!(
            "{} has format 2, and this broker knows formats up to 1: start it with the noctule that used it last or \
             a newer one, or let that one `noctule store export` it; nothing was changed",
            parent.path().display()
        );
        assert_eq!(DataDirectory::open(parent.path()).unwrap_err().to_string(), expected);
        for text in
            ["", "noctule data directory, format 0\n", "noctule data directory, format x\n", "format 1"]
        {
            fs::write(&file, text).unwrap();
            assert!(
                matches!(DataDirectory::open(parent.path()), Err(DataDirectoryError::Format { .. })),
                "{text}"
            );
        }
        fs::write(&file, "noctule data directory, format 1\n").unwrap();
        DataDirectory::open(parent.path()).unwrap().open_store().unwrap();
        fs::remove_file(&file).unwrap();
        let error = DataDirectory::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("it is missing, and a store is there; nothing was changed"), "{error}");
        assert!(
            error.contains("write the line `noctule data directory, format 1` into that file"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_store_is_told_with_its_file_and_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(parent.path()).unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::Meta, "key", "value");
        directory.open_store().unwrap().commit(&[batch], true).unwrap();
        let journal = parent.path().join("store/0.jnl");
        let mut bytes = fs::read(&journal).unwrap();
        bytes[40] ^= 4;
        fs::write(&journal, &bytes).unwrap();
        let error = directory.open_store().err().unwrap().to_string();
        let (journal, path) = (journal.display(), parent.path().display());
        assert!(error.starts_with(&format!("{journal} is damaged: the batch there ")), "{error}");
        assert!(
            error.ends_with(&format!("made in the place of {path}, or let `noctule store repair --data {path}` save what can be read")),
            "{error}"
        );
    }

    #[test]
    fn a_read_only_directory_is_refused_with_what_to_mend() {
        let Some(disk) = SmallDisk::of(8 << 20) else { return };
        let path = disk.path().join("noctule");
        drop(DataDirectory::open(&path).unwrap());
        disk.make_read_only();
        let error = DataDirectory::open(&path).unwrap_err().to_string();
        let expected = format!(
            "cannot open {}/lock: Read-only file system (os error 30); the broker must be able to write there: mend \
             the rights of the directory or its file system, or choose another one",
            path.display()
        );
        assert_eq!(error, expected);
    }
}

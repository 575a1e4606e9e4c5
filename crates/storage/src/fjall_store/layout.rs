//! Which files a store has. fjall believes their names, and ends the process where one is none of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Damage;
use super::tables::{self, KEYSPACES, TABLES};
use crate::Keyspace;

pub(super) const VERSION: &str = "version";
const VERSION_CONTENT: [u8; 4] = *b"FJL\x03";
/// Ours, that of the marks, and one in which fjall keeps what it knows of the others.
const KEYSPACE_COUNT: usize = Keyspace::ALL.len() + 2;

/// A file whose name no store gives.
pub(super) fn stray(store: &Path) -> io::Result<Option<PathBuf>> {
    let is_journal = |path: &Path| is_number(path, ".jnl") && path.is_file();
    for path in entries(store)? {
        let extension = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jnl"));
        let is_text = path.file_name().is_some_and(|name| name.to_str().is_some());
        if !is_text || extension && !is_journal(&path) {
            return Ok(Some(path));
        }
    }
    for keyspace in entries(&store.join(KEYSPACES))? {
        // Files there are passed over.
        if keyspace.is_file() && !keyspace.is_symlink() {
            continue;
        }
        if !is_number(&keyspace, "") || keyspace.is_symlink() {
            return Ok(Some(keyspace));
        }
        let is_table = |path: &PathBuf| is_number(path, "") && path.is_file();
        if let Some(stray) = entries(&keyspace.join(TABLES))?.into_iter().find(|path| !is_table(path)) {
            return Ok(Some(stray));
        }
    }
    Ok(None)
}

/// Whether a store was begun.
pub(super) fn has_version(store: &Path) -> io::Result<bool> {
    match fs::read(store.join(VERSION)) {
        Ok(content) => Ok(content == VERSION_CONTENT),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is missing of a store to which something may have been committed.
pub(super) fn damage(store: &Path, is_made: bool) -> io::Result<Option<Damage>> {
    let version = store.join(VERSION);
    match fs::read(&version) {
        Ok(content) if content == VERSION_CONTENT => {}
        Ok(_) => return Ok(Some(Damage::new(&version, "it does not tell the version of the store"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Damage::new(&version, "it is missing")));
        }
        Err(error) => return Err(error),
    }
    let made = match tables::keyspaces(store) {
        Ok(keyspaces) => keyspaces.iter().filter(|(_, path)| path.join("current").exists()).count(),
        // Told with the tables.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // fjall would make a missing one anew, and pass over what its journals have for the one that was.
    let is_whole = made == KEYSPACE_COUNT || !is_made;
    let what = format!("{made} of its folders are whole, and a store has {KEYSPACE_COUNT}");
    Ok((!is_whole).then(|| Damage { file: store.join(KEYSPACES), what }))
}

/// Whether a name is a number and a suffix.
fn is_number(path: &Path, suffix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(suffix));
    name.is_some_and(|name| name.parse::<u64>().is_ok())
}

/// What is in a folder, in order; nothing, if it is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

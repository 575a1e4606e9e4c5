//! What a damaged store still offers: every block of its tables and every batch of its journals that is as it was
//! written. Of each key the newest change counts. The damaged store is only read.

pub(super) mod blocks;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use self::blocks::rows;
use super::tables::{self, Listed, TABLES};
use super::{Damage, FjallStore, MARK_KEYSPACE, journal};
use crate::{Batch, Keyspace, Store, StoreError};

/// How many bytes are written at a time.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The keyspace in which fjall keeps what it knows of the others.
const NAMES: u64 = 0;
/// Behind which letter it keeps their names.
const NAME: u8 = b'n';
/// In front of what is gathered: when it was written, and whether it is there.
const STAMP_BYTES: usize = 9;

/// What was saved.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Salvaged {
    /// Rows that are in the new store.
    pub rows: u64,
    /// Rows that nobody wanted.
    pub refused: u64,
    /// Stretches of journals and files that gave less than they had.
    pub damages: Vec<Damage>,
}

/// Which rows of a damaged store are worth keeping.
pub type Keep<'a> = dyn FnMut(Keyspace, &[u8], &[u8]) -> bool + 'a;

/// Fills the store at `target`, which is made, with what can be read of the one at `store`. `scratch` is made and
/// removed.
pub(crate) fn salvage(
    store: &Path,
    scratch: &Path,
    target: &Path,
    keep: &mut Keep<'_>,
) -> Result<Salvaged, StoreError> {
    let mut salvaged = Salvaged::default();
    let mut gathered = Gathered::new(FjallStore::open(scratch)?);
    gather(store, &mut gathered, &mut salvaged.damages)?;
    gathered.commit()?;
    let mut new = FjallStore::open(target)?;
    for keyspace in Keyspace::ALL {
        let mut batch = Batch::new();
        let mut failed = None;
        gathered.store.scan(keyspace, b"", &mut |key, stamped| {
            let (stamp, value) = stamped.split_at(STAMP_BYTES.min(stamped.len()));
            if stamp.last() != Some(&1) {
                return ControlFlow::Continue(());
            }
            if !keep(keyspace, key, value) {
                salvaged.refused += 1;
                return ControlFlow::Continue(());
            }
            salvaged.rows += 1;
            batch.put(keyspace, key, value);
            if batch.bytes() >= BATCH_BYTES_MAX {
                failed = new.commit(&[std::mem::take(&mut batch)], false).err();
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        new.commit(&[batch], false)?;
    }
    new.close()?;
    drop(gathered);
    fs::remove_dir_all(scratch).map_err(|source| StoreError::Io { action: "tidy up", source })?;
    Ok(salvaged)
}

/// The newest change of each key, with its stamp.
struct Gathered {
    store: FjallStore,
    /// Not yet committed: the stamps, as the store does not know them, and the changes.
    stamps: HashMap<(Keyspace, Vec<u8>), u64>,
    batch: Batch,
}

impl Gathered {
    fn new(store: FjallStore) -> Self {
        Self { store, stamps: HashMap::new(), batch: Batch::new() }
    }

    fn add(
        &mut self,
        keyspace: Keyspace,
        key: &[u8],
        value: Option<&[u8]>,
        sequence: u64,
    ) -> Result<(), StoreError> {
        let place = (keyspace, key.to_vec());
        let known = match self.stamps.get(&place) {
            Some(known) => Some(*known),
            None => self
                .store
                .get(keyspace, key)?
                .and_then(|stamped| stamped.first_chunk().copied())
                .map(u64::from_be_bytes),
        };
        // In a batch the later change counts.
        if known.is_some_and(|known| known > sequence) {
            return Ok(());
        }
        let mut stamped = Vec::with_capacity(STAMP_BYTES + value.map_or(0, <[u8]>::len));
        stamped.extend_from_slice(&sequence.to_be_bytes());
        stamped.push(u8::from(value.is_some()));
        stamped.extend_from_slice(value.unwrap_or_default());
        self.batch.put(keyspace, key, stamped);
        self.stamps.insert(place, sequence);
        if self.batch.bytes() >= BATCH_BYTES_MAX { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.stamps.clear();
        self.store.commit(&[std::mem::take(&mut self.batch)], false)
    }
}

fn gather(store: &Path, gathered: &mut Gathered, damages: &mut Vec<Damage>) -> Result<(), StoreError> {
    let reading = |source| StoreError::Io { action: "read", source };
    let keyspaces = match tables::keyspaces(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        keyspaces => keyspaces.map_err(reading)?,
    };
    let names = names(&keyspaces).map_err(reading)?;
    for (number, folder) in &keyspaces {
        let Some(keyspace) = names.get(number).copied() else { continue };
        for table in listed(folder, damages).map_err(reading)? {
            match fs::read(&table) {
                Ok(bytes) => rows(&bytes, |row| gathered.add(keyspace, row.key, row.value, row.sequence))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(reading(error)),
            }
        }
    }
    let mut last = 0;
    for path in journal::paths(store).map_err(reading)? {
        let bytes = fs::read(&path).map_err(reading)?;
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut expected = 0;
        // A batch ends with a byte that is not zero.
        for (place, entry) in journal::whole_entries(&bytes[..end]) {
            gap(&path, expected, place, damages);
            expected = place + entry.length;
            // No checksum guards it.
            let follows =
                entry.sequence > last && (last == 0 || entry.sequence - last <= journal::SEQUENCE_GAP_MAX);
            last = if follows { entry.sequence } else { last + 1 };
            for change in journal::changes(&bytes[place..expected]) {
                if let Some(keyspace) = names.get(&change.keyspace) {
                    gathered.add(*keyspace, change.key, change.value, last)?;
                }
            }
        }
        gap(&path, expected, end, damages);
    }
    Ok(())
}

fn gap(journal: &Path, from: usize, to: usize, damages: &mut Vec<Damage>) {
    if from < to {
        let what = format!("bytes {from} to {to} are no whole batch");
        damages.push(Damage { file: journal.to_owned(), what });
    }
}

/// The tables of a keyspace: those that count, or all that are there if nothing tells.
fn listed(keyspace: &Path, damages: &mut Vec<Damage>) -> io::Result<Vec<PathBuf>> {
    match Listed::read(keyspace)? {
        Listed::Nothing => Ok(Vec::new()),
        Listed::Tables(tables) => {
            for (table, checksum) in &tables {
                damages.extend(tables::mismatch(table, *checksum)?);
            }
            Ok(tables.into_iter().map(|(table, _)| table).collect())
        }
        Listed::Damaged(damage) => {
            damages.push(damage);
            all(&keyspace.join(TABLES))
        }
    }
}

fn all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

/// Which keyspace has which number. Where that cannot be read, it is the order in which a store makes them.
fn names(keyspaces: &[(u64, PathBuf)]) -> io::Result<HashMap<u64, Keyspace>> {
    let made = [MARK_KEYSPACE].into_iter().chain(Keyspace::ALL.map(Keyspace::name));
    let mut names: HashMap<u64, String> = (NAMES + 1..).zip(made.map(str::to_owned)).collect();
    if let Some((_, folder)) = keyspaces.iter().find(|(number, _)| *number == NAMES) {
        for table in listed(folder, &mut Vec::new())? {
            let bytes = match fs::read(&table) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            let Ok(()) = rows(&bytes, |row| {
                let number = row.key.strip_prefix(&[NAME]).and_then(|number| number.try_into().ok());
                let name = row.value.and_then(|name| String::from_utf8(name.to_vec()).ok());
                if let (Some(number), Some(name)) = (number, name) {
                    names.insert(u64::from_be_bytes(number), name);
                }
                Ok::<_, std::convert::Infallible>(())
            });
        }
    }
    let ours = |name: &str| Keyspace::ALL.into_iter().find(|keyspace| keyspace.name() == name);
    Ok(names.into_iter().filter_map(|(number, name)| Some((number, ours(&name)?))).collect())
}

//! The tables and their manifests, read as they lie on the disk.
//!
//! ```text
//! keyspaces/<n>/current        which manifest holds, and its checksum
//! keyspaces/<n>/v<m>           the manifest: which tables there are, and their checksums
//! keyspaces/<n>/tables/<t>     the tables
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::Damage;

pub(super) const KEYSPACES: &str = "keyspaces";
pub(super) const TABLES: &str = "tables";

/// Reads every manifest, and with `whole` every table too. Gives what is not as it was written.
pub(super) fn verify(store: &Path, whole: bool) -> io::Result<Vec<Damage>> {
    let mut damages = Vec::new();
    let keyspaces = match keyspaces(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(vec![Damage::new(&store.join(KEYSPACES), "it is missing")]);
        }
        keyspaces => keyspaces?,
    };
    for (_, keyspace) in keyspaces {
        match Listed::read(&keyspace)? {
            Listed::Nothing => {}
            Listed::Damaged(damage) => damages.push(damage),
            Listed::Tables(tables) => {
                for (table, checksum) in tables.into_iter().filter(|_| whole) {
                    damages.extend(mismatch(&table, checksum)?);
                }
            }
        }
    }
    Ok(damages)
}

/// The folders of keyspaces with their numbers, in order.
pub(super) fn keyspaces(store: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut keyspaces = Vec::new();
    for entry in fs::read_dir(store.join(KEYSPACES))? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.is_dir()) {
            keyspaces.push((number, path));
        }
    }
    keyspaces.sort();
    Ok(keyspaces)
}

/// What a keyspace tells of its tables.
pub(super) enum Listed {
    /// It was never finished: it has none. A crash while it was made; it is made again.
    Nothing,
    /// Files and their checksums.
    Tables(Vec<(PathBuf, u128)>),
    /// It cannot tell.
    Damaged(Damage),
}

impl Listed {
    pub(super) fn read(keyspace: &Path) -> io::Result<Self> {
        let current = keyspace.join("current");
        let damaged = |file: &Path, what| Ok(Self::Damaged(Damage::new(file, what)));
        let told = match fs::read(&current) {
            Ok(told) => told,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_fresh(keyspace)? => {
                return Ok(Self::Nothing);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return damaged(&current, "it is missing");
            }
            Err(error) => return Err(error),
        };
        let (Some(version), Some(checksum), 25) = (told.first_chunk(), chunk(&told, 8), told.len()) else {
            return damaged(&current, "it is not 25 bytes long");
        };
        let manifest = keyspace.join(format!("v{}", u64::from_le_bytes(*version)));
        if let Some(damage) = mismatch(&manifest, u128::from_le_bytes(checksum))? {
            return Ok(Self::Damaged(damage));
        }
        let folder = keyspace.join(TABLES);
        let path = |(table, checksum): (u64, u128)| (folder.join(table.to_string()), checksum);
        match tables(&manifest) {
            Some(tables) => Ok(Self::Tables(tables.into_iter().map(path).collect())),
            None => damaged(&manifest, "it has no list of tables"),
        }
    }
}

/// What is wrong with a file that should have a checksum.
pub(super) fn mismatch(path: &Path, checksum: u128) -> io::Result<Option<Damage>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Damage::new(path, "it is missing")));
        }
        Err(error) => return Err(error),
    };
    let mut hasher = Xxh3Default::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let is_same = hasher.digest128() == checksum;
    Ok((!is_same).then(|| Damage::new(path, "it does not match its checksum")))
}

/// Whether a keyspace was never finished: it has no tables.
fn is_fresh(keyspace: &Path) -> io::Result<bool> {
    match fs::read_dir(keyspace.join(TABLES)) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Tables and their checksums, of a manifest that is as it was written.
fn tables(manifest: &Path) -> Option<Vec<(u64, u128)>> {
    let reader = sfa::Reader::new(manifest).ok()?;
    let mut bytes = Vec::new();
    reader.toc().section(b"tables")?.buf_reader(manifest).ok()?.read_to_end(&mut bytes).ok()?;
    let mut at = 0;
    let mut tables = Vec::new();
    let levels = take::<1>(&bytes, &mut at)?[0];
    for _ in 0..levels {
        let runs = take::<1>(&bytes, &mut at)?[0];
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(take(&bytes, &mut at)?) {
                let table = u64::from_le_bytes(take(&bytes, &mut at)?);
                take::<1>(&bytes, &mut at)?; // the kind of checksum; there is one only
                let checksum = u128::from_le_bytes(take(&bytes, &mut at)?);
                take::<8>(&bytes, &mut at)?; // added to its sequence numbers
                tables.push((table, checksum));
            }
        }
    }
    Some(tables)
}

fn take<const N: usize>(bytes: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let taken = chunk(bytes, *at)?;
    *at += N;
    Some(taken)
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

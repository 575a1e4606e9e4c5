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

/// Reads every manifest, and with `whole` every table too. Returns how many files were read.
pub(super) fn verify(store: &Path, whole: bool) -> Result<Verified, io::Error> {
    let mut verified = Verified::default();
    let folder = store.join("keyspaces");
    let mut keyspaces = match fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            verified.damages.push(Damage::new(&folder, "it is missing"));
            return Ok(verified);
        }
        Err(error) => return Err(error),
    };
    keyspaces.sort();
    for keyspace in keyspaces.iter().filter(|path| path.is_dir()) {
        verified.keyspace(keyspace, whole)?;
    }
    Ok(verified)
}

/// What was read, and what of it is not as it was written.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// How many files were read.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    pub(super) damages: Vec<Damage>,
}

impl Verified {
    fn keyspace(&mut self, keyspace: &Path, whole: bool) -> io::Result<()> {
        let current = keyspace.join("current");
        let told = match fs::read(&current) {
            Ok(told) => told,
            // A crash while it was made; fjall makes it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_fresh(keyspace)? => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.damages.push(Damage::new(&current, "it is missing"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.read(told.len() as u64);
        let (Some(version), Some(checksum), 25) = (told.first_chunk(), chunk(&told, 8), told.len()) else {
            self.damages.push(Damage::new(&current, "it is not 25 bytes long"));
            return Ok(());
        };
        let manifest = keyspace.join(format!("v{}", u64::from_le_bytes(*version)));
        if !self.matches(&manifest, u128::from_le_bytes(checksum))? || !whole {
            return Ok(());
        }
        let Some(tables) = tables(&manifest) else {
            self.damages.push(Damage::new(&manifest, "it has no list of tables"));
            return Ok(());
        };
        for (table, checksum) in tables {
            self.matches(&keyspace.join("tables").join(table.to_string()), checksum)?;
        }
        Ok(())
    }

    /// Whether a file is there and has a checksum.
    fn matches(&mut self, path: &Path, checksum: u128) -> io::Result<bool> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.damages.push(Damage::new(path, "it is missing"));
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let mut hasher = Xxh3Default::new();
        let mut buffer = vec![0; 64 << 10];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
        self.read(bytes);
        let is_same = hasher.digest128() == checksum;
        if !is_same {
            self.damages.push(Damage::new(path, "it does not match its checksum"));
        }
        Ok(is_same)
    }

    fn read(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Whether a keyspace was never finished: it has no tables.
fn is_fresh(keyspace: &Path) -> io::Result<bool> {
    match fs::read_dir(keyspace.join("tables")) {
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

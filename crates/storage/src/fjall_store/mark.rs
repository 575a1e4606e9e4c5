//! How far the store is known to be on the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

/// The key of the mark in its keyspace. No other key is like it.
pub(super) const MARK_KEY: &[u8] = b"\0noctule mark";
const MARK_BYTES: usize = 16;
/// The file beside the journals.
pub(super) const MARK_FILE: &str = "mark";

/// Goes with each commit, as its last change. Marks are numbered without a gap, so a commit that is missing is
/// missed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mark {
    /// The number of the commit, from 1.
    pub(super) number: u64,
    /// The last commit that was synced before this one was written.
    pub(super) synced: u64,
}

impl Mark {
    pub(super) fn encode(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.synced.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; MARK_BYTES] = bytes.try_into().ok()?;
        let (number, synced) = bytes.split_first_chunk()?;
        let synced = synced.first_chunk()?;
        Some(Self { number: u64::from_be_bytes(*number), synced: u64::from_be_bytes(*synced) })
    }
}

/// The file that tells which commit was synced last, and whether the store was closed well.
///
/// It is written after each sync and not synced itself, except at the end: what it tells may be old after a
/// loss of power, and is never too much. Text, so that a person can read it.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: File,
}

/// What the file told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Known {
    /// The last commit known to be synced.
    pub(super) synced: u64,
    /// Whether everything was synced and closed.
    pub(super) is_clean: bool,
}

impl MarkFile {
    /// Reads it. `None` if there is none, or none that is whole.
    pub(super) fn read(store: &Path) -> io::Result<Option<Known>> {
        let mut text = String::new();
        match File::open(store.join(MARK_FILE)) {
            Ok(file) => match file.take(1000).read_to_string(&mut text) {
                Ok(_) => Ok(parse(&text)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
                Err(error) => Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn open(store: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(store.join(MARK_FILE))?;
        Ok(Self { file })
    }

    pub(super) fn write(&self, known: Known) -> io::Result<()> {
        let text = line(known);
        self.file.write_all_at(text.as_bytes(), 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn line(known: Known) -> String {
    let state = if known.is_clean { "closed" } else { "open  " };
    let told = format!("synced {:020} {state}", known.synced);
    format!("{told} {:016x}\n", xxh3_64(told.as_bytes()))
}

fn parse(text: &str) -> Option<Known> {
    let synced = text.get(7..27)?.parse().ok()?;
    let known = Known { synced, is_clean: text.get(28..34)? == "closed" };
    (line(known) == text).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_tells_what_was_written_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(MarkFile::read(directory.path()).unwrap(), None);
        let file = MarkFile::open(directory.path()).unwrap();
        for known in [Known { synced: 7, is_clean: false }, Known { synced: u64::MAX, is_clean: true }] {
            file.write(known).unwrap();
            assert_eq!(MarkFile::read(directory.path()).unwrap(), Some(known));
        }
        let path = directory.path().join(MARK_FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x41;
            std::fs::write(&path, flipped).unwrap();
            assert_eq!(MarkFile::read(directory.path()).unwrap(), None, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(MarkFile::read(directory.path()).unwrap(), None, "length {at}");
        }
    }

    #[test]
    fn a_mark_is_read_as_written() {
        let mark = Mark { number: 258, synced: 257 };
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        assert_eq!(Mark::decode(b"short"), None);
    }
}

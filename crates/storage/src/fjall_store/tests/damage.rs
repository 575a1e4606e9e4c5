//! Stores that are damaged at random: never a panic, and nothing that was kept is missed in silence.

use std::collections::BTreeMap;

use super::{files, tables_and_journal};
use crate::{DataDirectory, FjallStore, Keyspace, Store, StoreError};

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

type Rows = BTreeMap<(Keyspace, Vec<u8>), Vec<u8>>;

fn all_rows(store: &FjallStore) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for keyspace in Keyspace::ALL {
        store.reader().scan(keyspace, b"", &mut |key, value| {
            rows.insert((keyspace, key.to_vec()), value.to_vec());
            std::ops::ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

/// Does something to one file, and says what.
fn damage(path: &std::path::Path, other: &std::path::Path, random: &mut Random) -> String {
    let mut bytes = std::fs::read(path).expect("a file");
    let length = bytes.len();
    let what = match random.below(7) {
        0 | 1 if length > 0 => {
            let at = random.below(length);
            bytes[at] ^= 1 << random.below(8);
            format!("a bit at {at} of {length}")
        }
        2 if length > 0 => {
            let at = random.below(length);
            let end = (at + 1 + random.below(9000)).min(length);
            bytes[at..end].fill(if random.below(2) == 0 { 0 } else { 0xa5 });
            format!("{at}..{end} of {length} overwritten")
        }
        3 if length > 0 => {
            bytes.truncate(random.below(length));
            format!("cut to {} of {length}", bytes.len())
        }
        4 => {
            let count = 1 + random.below(5000);
            bytes.extend((0..count).map(|_| random.below(256) as u8));
            format!("{count} bytes longer than {length}")
        }
        5 => {
            bytes = std::fs::read(other).expect("a file");
            format!("replaced by {}", other.display())
        }
        _ => {
            std::fs::remove_file(path).expect("a file");
            return format!("{}: removed", path.display());
        }
    };
    std::fs::write(path, bytes).expect("a file");
    format!("{}: {what}", path.display())
}

/// Folders and files, but for the locks.
fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            std::fs::create_dir(&to).expect("a folder");
            copy_all(&from, &to);
        } else if !from.ends_with("lock") {
            std::fs::copy(from, to).expect("a copy");
        }
    }
}

#[test]
fn whatever_is_damaged_is_noticed_or_does_no_harm() {
    let rounds = variable("NOCTULE_DAMAGE_ROUNDS", 10);
    let mut random = Random(variable("NOCTULE_DAMAGE_SEED", 1));
    let (_parent, whole) = tables_and_journal(60);
    let written = all_rows(&whole.open_store().expect("whole")).expect("whole");
    for round in 0..rounds {
        let copy = tempfile::tempdir().expect("a directory");
        copy_all(whole.path(), copy.path());
        let directory = DataDirectory::open(copy.path()).expect("a data directory");
        let store = directory.path().join("store");
        let mut told = Vec::new();
        for _ in 0..=random.below(2) {
            let files = files(&store);
            let (path, other) = (&files[random.below(files.len())], &files[random.below(files.len())]);
            told.push(damage(path, other, &mut random));
        }
        let told = format!("round {round}: {}", told.join("; "));
        let looked = directory.damages();
        // Tables are not read before something of them is asked for.
        let read = directory.open_store().map_err(|error| error.to_string()).and_then(|opened| {
            let rows = all_rows(&opened).map_err(|error| error.to_string())?;
            Ok((opened.opening().cut.clone(), rows))
        });
        match read {
            Ok((cut, rows)) => {
                let is_known = rows.iter().all(|(key, value)| written.get(key) == Some(value));
                assert!(is_known, "{told}: rows that nobody wrote");
                assert!(rows == written || cut.is_some(), "{told}: rows are missed in silence");
            }
            Err(error) => {
                assert!(error.contains(&*store.to_string_lossy()), "{told}: {error} names no file");
                assert!(
                    looked.is_ok_and(|found| !found.is_empty()),
                    "{told}: {error}, and `check` finds nothing"
                );
            }
        }
        let Ok((_, original)) = directory.repair(&mut |_, _, _| true) else { continue };
        assert!(original.exists(), "{told}");
        let repaired = directory.open_store().unwrap_or_else(|error| panic!("{told}: {error}"));
        let rows = all_rows(&repaired).unwrap_or_else(|error| panic!("{told}: {error}"));
        // An older value of a key can be all that is left of it.
        assert!(rows.keys().all(|key| written.contains_key(key) || key.0 == Keyspace::Incoming), "{told}");
    }
}

/// Between its two renames there is no store under its name.
#[test]
fn a_repair_that_was_cut_short_is_finished() {
    let (_parent, directory) = tables_and_journal(10);
    let path = directory.path();
    let cut_short = || {
        directory.repair(&mut |_, _, _| true).expect("a repair");
        std::fs::rename(path.join("store"), path.join("repair.new")).expect("as it was between them");
    };
    let count =
        |directory: &DataDirectory| all_rows(&directory.open_store().expect("a store")).expect("rows").len();
    let rows = count(&directory);
    cut_short();
    assert_eq!(count(&directory), rows);
    cut_short();
    assert_eq!(directory.damages().expect("a look"), []);
    cut_short();
    directory.repair(&mut |_, _, _| true).expect("once more");
    assert_eq!(count(&directory), rows);
}

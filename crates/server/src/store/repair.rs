//! What a damaged data directory offers, in a new store.

use std::path::{Path, PathBuf};

use noctule_broker::record::{Record, Table};
use noctule_persistence::keyspace;
use noctule_storage::{Keyspace, Salvaged};

use super::check::examine;
use super::{StoreToolError, open};

/// What a repair did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Repaired {
    /// Nothing: all of so many rows can be read.
    Whole(u64),
    /// It put a new store in the place of the damaged one.
    Salvaged {
        /// What is in the new one, and what is not.
        salvaged: Salvaged,
        /// Where the damaged one is.
        original: PathBuf,
    },
}

/// Puts a new store in the place of a damaged one, with all rows that can be read. The damaged one is kept beside it. No
/// broker may serve from it.
pub fn repair(data: &Path) -> Result<Repaired, StoreToolError> {
    let directory = open(data)?;
    // An error to read a row is one more reason.
    if let Ok(checked) = examine(&directory)
        && checked.is_whole()
    {
        return Ok(Repaired::Whole(checked.rows.rows));
    }
    let (salvaged, original) = directory.repair(&mut is_readable)?;
    Ok(Repaired::Salvaged { salvaged, original })
}

/// Whether a broker can start with a row. Facts about the store itself are in no table.
fn is_readable(of: Keyspace, key: &[u8], value: &[u8]) -> bool {
    let table = Table::ALL.into_iter().find(|&table| keyspace(table) == of);
    table.is_none_or(|table| Record::decode(table, key, value).is_ok())
}

#[cfg(test)]
mod tests {
    use noctule_storage::{Batch, DataDirectory, Store};

    use super::super::check;
    use super::*;

    #[test]
    fn a_row_that_nobody_can_read_is_left_behind_and_counted() {
        let data = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(data.path()).unwrap();
        let mut batch = Batch::new();
        batch.put(Keyspace::Session, "damaged", "row");
        batch.put(Keyspace::Meta, "fact", "kept");
        directory.open_store().unwrap().commit(&[batch], true).unwrap();
        drop(directory);
        let checked = check(data.path()).unwrap();
        assert_eq!((checked.is_whole(), checked.rows.unreadable, &checked.damages[..]), (false, 1, &[][..]));
        let Repaired::Salvaged { salvaged, original } = repair(data.path()).unwrap() else {
            panic!("damaged")
        };
        assert_eq!(salvaged, Salvaged { rows: 1, refused: 1, damages: Vec::new() });
        assert!(original.join("mark").exists());
        assert!(check(data.path()).unwrap().is_whole());
        assert_eq!(repair(data.path()).unwrap(), Repaired::Whole(0));
    }
}

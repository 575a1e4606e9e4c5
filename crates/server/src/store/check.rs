//! Whether a data directory is as it was written.

use std::io;
use std::path::Path;

use noctule_storage::{Damage, DataDirectory, DataDirectoryError, Store};

use super::export::rows;
use super::{Exported, StoreToolError, open};

/// What was found in a data directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checked {
    /// Files that are not as they were written.
    pub damages: Vec<Damage>,
    /// Its rows; none was read if a file is damaged.
    pub rows: Exported,
}

impl Checked {
    /// Whether a broker would start with it and have everything.
    pub fn is_whole(&self) -> bool {
        self.damages.is_empty() && self.rows.unreadable == 0
    }
}

/// Reads every file of a data directory, and if all are whole opens its store as a broker does and reads every row. No
/// broker may serve from it.
pub fn check(data: &Path) -> Result<Checked, StoreToolError> {
    examine(&open(data)?)
}

pub(super) fn examine(directory: &DataDirectory) -> Result<Checked, StoreToolError> {
    let damages = directory.damages()?;
    if !damages.is_empty() {
        return Ok(Checked { damages, ..Checked::default() });
    }
    let mut store = match directory.open_store() {
        Ok(store) => store,
        Err(DataDirectoryError::Damaged { file, what, .. }) => {
            return Ok(Checked { damages: vec![Damage { file, what }], ..Checked::default() });
        }
        Err(error) => return Err(error.into()),
    };
    let rows = rows(&*store.reader(), &mut io::sink())?;
    store.close()?;
    Ok(Checked { rows, ..Checked::default() })
}

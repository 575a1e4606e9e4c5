//! What the first start of a broker takes over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use noctule_config::Persistence;
use noctule_storage::Store;

use super::{Import, ImportError};
use crate::log::Log;

/// What persist-sqlite calls its database if it is not told otherwise.
const SQLITE_FILE: &str = "mosquitto.sqlite3";

/// Imports what Mosquitto kept, if this is the first start, and tells of it. `data` is the data directory.
pub(crate) fn take_over(
    store: &mut dyn Store,
    data: &Path,
    persistence: &Persistence,
    wall: Duration,
    log: &Log,
) -> Result<(), ImportError> {
    match Import::at_start(store, &candidates(persistence), data, wall)? {
        Import::Nothing => {}
        Import::Done { path, summary } => {
            log.information(format!("Imported {}: {summary}.", path.display()));
        }
        Import::Changed { path } => log.warning(format!(
            "Warning: {} was changed after it was imported. It is not imported again: `noctule store import` does so into \
             another data directory.",
            path.display()
        )),
        Import::Late { path } => log.warning(format!(
            "Warning: {} is not imported, since there is something in the store already: `noctule store import` does so into \
             another data directory.",
            path.display()
        )),
    }
    Ok(())
}

/// Where Mosquitto would keep its database. Who names a data directory, and no `persistence_location`, does not mean the
/// current directory.
fn candidates(persistence: &Persistence) -> Vec<PathBuf> {
    if let Some(named) = &persistence.sqlite_file {
        // The plugin that it is for kept everything there, and wrote no other one.
        return vec![named.clone()];
    }
    if persistence.data.is_some() && persistence.location.is_none() {
        return Vec::new();
    }
    [persistence.file.as_str(), SQLITE_FILE].map(|name| persistence.location().join(name)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_where_mosquitto_would_have_them() {
        let mut persistence =
            Persistence { enabled: true, file: "my.db".to_owned(), ..Persistence::default() };
        let names = |persistence: &Persistence| {
            candidates(persistence).iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&persistence), ["./my.db", "./mosquitto.sqlite3"]);
        persistence.data = Some("data".into());
        assert!(names(&persistence).is_empty());
        persistence.location = Some("/var/lib/mosquitto".into());
        assert_eq!(names(&persistence), ["/var/lib/mosquitto/my.db", "/var/lib/mosquitto/mosquitto.sqlite3"]);
        persistence.sqlite_file = Some("/srv/my.sqlite3".into());
        assert_eq!(names(&persistence), ["/srv/my.sqlite3"]);
    }
}

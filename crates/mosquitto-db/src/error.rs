//! Why a file cannot be read.

use std::io;
use std::path::{Path, PathBuf};

/// Why a database of Mosquitto cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Nothing is in it.
    #[error("{} is empty: Mosquitto never finished writing it", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// It begins otherwise.
    #[error("{} is no database of Mosquitto: it begins neither as a mosquitto.db nor as a database of SQLite", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// It says of itself that it is in a format that is not known here.
    #[error("{} has format {version}; the formats 2 to 6 of mosquitto.db, and schema 1 of persist-sqlite, are known", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its number.
        version: String,
    },
    /// It contradicts itself.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where, and what is wrong there.
        what: String,
    },
}

/// What is wrong with a `mosquitto.db`, wherever its bytes come from.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read on.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it does not begin as a mosquitto.db does")]
    Foreign,
    /// A format that is not known.
    #[error("unknown format {0}")]
    Version(u32),
    /// The number of a byte, and what is wrong behind it.
    #[error("at byte {at}, {what}")]
    At {
        /// Where it begins.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl Damage {
    pub(crate) fn of(self, path: &Path) -> ReadError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => ReadError::Io { path, source },
            Self::Foreign => ReadError::Foreign { path },
            Self::Version(version) => ReadError::Version { path, version: version.to_string() },
            damage @ Self::At { .. } => ReadError::Damaged { path, what: damage.to_string() },
        }
    }
}

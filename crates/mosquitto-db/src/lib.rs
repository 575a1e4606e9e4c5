//! What Mosquitto keeps on disk, as values: `mosquitto.db`, and the databases of its persist-sqlite plugin.
//!
//! | format | written by | file |
//! |---|---|---|
//! | 2, 3, 4 | Mosquitto before 1.6 | `mosquitto.db` |
//! | 5 | Mosquitto 1.6 | `mosquitto.db` |
//! | 6 | Mosquitto 2.0 and 2.1 | `mosquitto.db` |
//! | SQLite, schema 1.0 and 1.1 | persist-sqlite of Mosquitto 2.1 | `mosquitto.sqlite3` |
//!
//! [`read`] looks at the first bytes of a file and reads all of it. Nothing is ever written to the file, nor beside it.
//! What it finds is told as it stands there; what that means for a broker is the broker's matter.

mod contents;
mod error;
mod snapshot;
mod sqlite;

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

pub use contents::{
    Client, Contents, Copy, CopyState, Direction, Format, LeftOut, StoredMessage, Subscription, Will,
};
pub use error::{Damage, ReadError};
pub use snapshot::read as read_snapshot;

/// A `mosquitto.db` begins with it, behind comes a check sum that is always 0, and the number of its format.
const SNAPSHOT_MAGIC: &[u8; 15] = b"\x00\xB5\x00mosquitto db";
/// A database of SQLite begins with it.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Reads a file in any of the formats. A database of SQLite is copied into a directory of its own below `scratch`, which
/// goes away again: SQLite writes where it reads.
pub fn read(path: &Path, scratch: &Path) -> Result<Contents, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let mut head = [0; 16];
    let have = fill(&mut file, &mut head).map_err(io)?;
    let head = &head[..have];
    if head.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    if head == SQLITE_MAGIC {
        drop(file);
        return sqlite::read(path, scratch);
    }
    let source = BufReader::new(head.chain(file));
    snapshot::read(source).map_err(|damage| damage.of(path))
}

/// Reads until `buffer` is full, or there is nothing more.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match source.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

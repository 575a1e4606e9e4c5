//! `mosquitto.db`.
//!
//! ```text
//! 15 bytes magic, 4 bytes check sum (always 0), 4 bytes format
//! chunk*     formats 5, 6:     4 bytes kind, 4 bytes length, content
//!            formats 2, 3, 4:  2 bytes kind, 4 bytes length, content
//! ```
//!
//! Messages come first, then each client with its copies of them, then subscriptions, and at last what is retained.
//! There is no end mark: a file that was cut between two chunks cannot be told from a whole one.
//! Most numbers are big-endian. Message numbers and times are in the order of the machine that wrote them: they are read
//! as little-endian here, as on every machine that Mosquitto is commonly built for.

mod current;
mod early;
mod source;
#[cfg(test)]
mod tests;

use std::io::Read;

use crate::contents::{Contents, Format};
use crate::{Damage, SNAPSHOT_MAGIC};
use source::Source;

/// What a chunk is about, by its number.
const CONFIGURATION: u32 = 1;
const MESSAGE: u32 = 2;
const COPY: u32 = 3;
const RETAINED: u32 = 4;
const SUBSCRIPTION: u32 = 5;
const CLIENT: u32 = 6;

/// The largest payload of MQTT.
const PAYLOAD_BYTES_MAX: u32 = 268_435_455;
/// No chunk is longer: a payload, properties of the same length at most, topic, names, and fixed fields.
const CHUNK_BYTES_MAX: u64 = 2 * PAYLOAD_BYTES_MAX as u64 + 4 * 65_536;
/// Mosquitto numbers messages with 64 bits, and says so.
const MESSAGE_NUMBER_BYTES: u8 = 8;

const NOT_UTF8: &str = "text that is not UTF-8";
const UNKNOWN_CHUNK: &str = "chunks of an unknown kind";
const NO_CLIENT: &str = "entries without a Client Identifier";
const UNKNOWN_STATE: &str = "messages in an unknown state";

/// Reads a `mosquitto.db`. Takes no more memory than the source has bytes, whatever lengths stand in it.
pub fn read(source: impl Read) -> Result<Contents, Damage> {
    let mut source = Source::new(source);
    if source.bytes(SNAPSHOT_MAGIC.len() as u64).map_err(foreign)? != SNAPSHOT_MAGIC {
        return Err(Damage::Foreign);
    }
    let head = source.bytes(8)?;
    let version = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let mut contents = Contents::new(Format::Snapshot(version));
    match version {
        2..=4 => early::read(&mut source, version, &mut contents)?,
        5 | 6 => current::read(&mut source, version, &mut contents)?,
        _ => return Err(Damage::Version(version)),
    }
    Ok(contents)
}

/// What ends within the magic is not damaged, but something else.
fn foreign(damage: Damage) -> Damage {
    match damage {
        Damage::At { .. } => Damage::Foreign,
        Damage::Io(_) | Damage::Foreign | Damage::Version(_) => damage,
    }
}

/// A time in seconds; 0 and what lies before the epoch is none.
fn time(seconds: i64) -> Option<u64> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

//! Databases of persist-sqlite.
//!
//! SQLite does not read without writing: what another process wrote lately stands in a file beside the database, and
//! reading that takes a third file. So the database is copied with the files beside it, and the copy is read.
//!
//! Topic names and client identifiers of publishers stand in columns to which SQLite gives the type of numbers: what reads as
//! a number came in as text and is one in the file. `CAST` gives the text of that number, which is what persist-sqlite itself
//! would give: of a topic `007` nothing but `7` is left.

mod properties;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use crate::ReadError;
use crate::contents::{
    Client, Contents, Copy, CopyState, Direction, Format, LeftOut, StoredMessage, Subscription, Will,
};

const NOT_UTF8: &str = "text that is not UTF-8";
const NOT_A_NUMBER: &str = "entries whose numbers are none";
const NO_CLIENT: &str = "entries without a Client Identifier";
const UNKNOWN_STATE: &str = "messages in an unknown state";
const BAD_PROPERTIES: &str = "properties that are not understood";

pub(super) fn read(path: &Path, scratch: &Path) -> Result<Contents, ReadError> {
    let directory = tempfile::Builder::new()
        .prefix("noctule-import-")
        .tempdir_in(scratch)
        .map_err(|source| ReadError::Io { path: scratch.to_owned(), source })?;
    let copy = directory.path().join("copy.sqlite3");
    copy_with_journals(path, &copy)?;
    contents(&copy).map_err(|trouble| match trouble {
        Trouble::Sqlite(error) => ReadError::Damaged { path: path.to_owned(), what: error.to_string() },
        Trouble::Check(what) => ReadError::Damaged { path: path.to_owned(), what },
        Trouble::Version(version) => ReadError::Version { path: path.to_owned(), version },
    })
}

enum Trouble {
    Sqlite(rusqlite::Error),
    Check(String),
    Version(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The database, and what stands beside it and not yet in it.
fn copy_with_journals(from: &Path, to: &Path) -> Result<(), ReadError> {
    for suffix in ["", "-wal", "-journal"] {
        let from = with_suffix(from, suffix);
        match fs::copy(&from, with_suffix(to, suffix)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(source) => return Err(ReadError::Io { path: from, source }),
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn contents(copy: &Path) -> Result<Contents, Trouble> {
    let database = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let check: String = database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(Trouble::Check(check));
    }
    let version = "SELECT major, minor FROM version_info WHERE component = 'database_schema'";
    let (major, minor) = database.query_row(version, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if major != 1 {
        return Err(Trouble::Version(format!("schema {major}.{minor}")));
    }
    let mut contents = Contents::new(Format::Sqlite(major, minor));
    let left_out = &mut contents.left_out;
    contents.messages = rows(
        &database,
        "SELECT store_id, expiry_time, CAST(topic AS TEXT), payload, CAST(source_id AS TEXT), \
         CAST(source_username AS TEXT), qos, retain, CAST(properties AS TEXT) FROM base_msgs ORDER BY store_id",
        left_out,
        message,
    )?;
    contents.retained =
        rows(&database, "SELECT store_id FROM retains ORDER BY topic", left_out, |row, _| unsigned(row, 0))?;
    contents.clients = rows(
        &database,
        "SELECT client_id, username, session_expiry_time, session_expiry_interval, will_delay_time, \
         will_delay_interval FROM clients ORDER BY rowid",
        left_out,
        client,
    )?;
    contents.subscriptions = rows(
        &database,
        "SELECT client_id, topic, subscription_options, subscription_identifier FROM subscriptions ORDER BY rowid",
        left_out,
        subscription,
    )?;
    contents.copies = rows(
        &database,
        "SELECT client_id, store_id, direction, mid, qos, retain, state, subscription_identifier FROM client_msgs \
         ORDER BY rowid",
        left_out,
        client_copy,
    )?;
    if minor >= 1 {
        contents.wills = rows(
            &database,
            "SELECT client_id, CAST(topic AS TEXT), payload, qos, retain, CAST(properties AS TEXT) FROM wills \
             ORDER BY rowid",
            left_out,
            will,
        )?;
    }
    Ok(contents)
}

/// Each row as `read` makes it, without those for which it gives a reason.
fn rows<T>(
    database: &Connection,
    query: &str,
    left_out: &mut LeftOut,
    mut read: impl FnMut(&Row<'_>, &mut LeftOut) -> Result<T, &'static str>,
) -> Result<Vec<T>, rusqlite::Error> {
    let mut statement = database.prepare(query)?;
    let mut found = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        match read(row, left_out) {
            Ok(value) => all.push(value),
            Err(reason) => left_out.count(reason),
        }
    }
    Ok(all)
}

fn message(row: &Row<'_>, left_out: &mut LeftOut) -> Result<StoredMessage, &'static str> {
    Ok(StoredMessage {
        id: unsigned(row, 0)?,
        expiry_time: time(row, 1)?,
        topic: text(row, 2)?.ok_or("messages without a topic")?,
        payload: blob(row, 3)?,
        publisher: text(row, 4)?.unwrap_or_default(),
        publisher_user_name: text(row, 5)?,
        qos: small(row, 6)?,
        retain: number(row, 7)? != 0,
        properties: all_properties(row, 8, left_out)?,
    })
}

fn client(row: &Row<'_>, _left_out: &mut LeftOut) -> Result<Client, &'static str> {
    Ok(Client {
        id: client_id(row)?,
        user_name: text(row, 1)?,
        expiry_time: time(row, 2)?,
        // Written with 32 bits and a sign.
        expiry_interval: Some(number(row, 3)? as u32),
        disconnected: None,
        will_delay_time: time(row, 4)?,
        will_delay_interval: number(row, 5)? as u32,
    })
}

fn subscription(row: &Row<'_>, _left_out: &mut LeftOut) -> Result<Subscription, &'static str> {
    let options = small(row, 2)?;
    Ok(Subscription {
        client: client_id(row)?,
        filter: text(row, 1)?.ok_or("subscriptions without a Topic Filter")?,
        qos: options & 3,
        no_local: options & 0x04 != 0,
        retain_as_published: options & 0x08 != 0,
        identifier: number(row, 3)? as u32,
    })
}

fn client_copy(row: &Row<'_>, _left_out: &mut LeftOut) -> Result<Copy, &'static str> {
    Ok(Copy {
        client: client_id(row)?,
        message: unsigned(row, 1)?,
        direction: match number(row, 2)? {
            0 => Direction::Incoming,
            1 => Direction::Outgoing,
            _ => return Err(UNKNOWN_STATE),
        },
        packet_id: u16::try_from(number(row, 3)?).map_err(|_| NOT_A_NUMBER)?,
        qos: small(row, 4)?,
        retain: number(row, 5)? != 0,
        state: CopyState::from_number(small(row, 6)?).ok_or(UNKNOWN_STATE)?,
        identifier: number(row, 7)? as u32,
    })
}

fn will(row: &Row<'_>, left_out: &mut LeftOut) -> Result<Will, &'static str> {
    Ok(Will {
        client: client_id(row)?,
        topic: text(row, 1)?.ok_or("Wills without a topic")?,
        payload: blob(row, 2)?,
        qos: small(row, 3)?,
        retain: number(row, 4)? != 0,
        properties: all_properties(row, 5, left_out)?,
    })
}

fn all_properties(row: &Row<'_>, index: usize, left_out: &mut LeftOut) -> Result<Vec<u8>, &'static str> {
    let Some(json) = text(row, index)? else { return Ok(Vec::new()) };
    let (properties, refused) = properties::from_json(&json);
    (0..refused).for_each(|_| left_out.count(BAD_PROPERTIES));
    Ok(properties)
}

fn client_id(row: &Row<'_>) -> Result<String, &'static str> {
    text(row, 0)?.filter(|id| !id.is_empty()).ok_or(NO_CLIENT)
}

/// Nothing is 0, as the plugin reads it.
fn number(row: &Row<'_>, index: usize) -> Result<i64, &'static str> {
    match row.get_ref(index) {
        Ok(ValueRef::Integer(number)) => Ok(number),
        Ok(ValueRef::Null) => Ok(0),
        Ok(_) | Err(_) => Err(NOT_A_NUMBER),
    }
}

/// Numbers of messages are written as if they had a sign.
fn unsigned(row: &Row<'_>, index: usize) -> Result<u64, &'static str> {
    number(row, index).map(i64::cast_unsigned)
}

fn small(row: &Row<'_>, index: usize) -> Result<u8, &'static str> {
    u8::try_from(number(row, index)?).map_err(|_| NOT_A_NUMBER)
}

fn time(row: &Row<'_>, index: usize) -> Result<Option<u64>, &'static str> {
    Ok(u64::try_from(number(row, index)?).ok().filter(|seconds| *seconds > 0))
}

fn text(row: &Row<'_>, index: usize) -> Result<Option<String>, &'static str> {
    match row.get_ref(index) {
        Ok(ValueRef::Text(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(NOT_UTF8),
        },
        Ok(ValueRef::Null) => Ok(None),
        Ok(_) | Err(_) => Err(NOT_UTF8),
    }
}

fn blob(row: &Row<'_>, index: usize) -> Result<Vec<u8>, &'static str> {
    match row.get_ref(index) {
        Ok(ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => Ok(bytes.to_vec()),
        Ok(ValueRef::Null) => Ok(Vec::new()),
        Ok(_) | Err(_) => Err("messages whose payload is none"),
    }
}

//! The journals, read as they lie on the disk.
//!
//! fjall cuts a journal where it stops making sense and says nothing. So it is looked at before: a tear that a
//! crash left is told apart from damage, and nothing is cut that is not kept and reported.
//!
//! ```text
//! journal = batch … batch, then zeros or the end
//! batch   = 1, changes u32, sequence u64 | change … change | 3, checksum of the changes u64, "FJL" 3
//! change  = 2, kind u8, compression u8, keyspace u64, key u16, value u32, stored u32 | key | value
//! ```
//!
//! All numbers are little-endian. The last change of each batch is a [`Mark`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::mark::{MARK_KEY, Mark};

const START: u8 = 1;
const CHANGE: u8 = 2;
const END: u8 = 3;
const START_BYTES: usize = 13;
const CHANGE_BYTES: usize = 21;
const END_BYTES: usize = 13;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// How far sequence numbers may run ahead of commits at once. A start uses a dozen.
pub(super) const SEQUENCE_GAP_MAX: u64 = 1 << 20;
/// Read at a time; more only where one batch is larger.
const WINDOW_BYTES: usize = 256 << 10;

/// One whole batch.
#[derive(Debug)]
pub(super) struct Entry {
    /// From its first byte to the next batch.
    pub(super) length: usize,
    pub(super) sequence: u64,
    pub(super) mark: Mark,
}

/// Where a journal stops making sense before it ends.
#[derive(Debug)]
pub(super) struct Break {
    /// The end of the last whole batch, and the place of the first byte that is none.
    pub(super) at: u64,
    /// The end of what is not zero behind that place.
    pub(super) until: u64,
    pub(super) why: &'static str,
    /// It is a whole batch that does not follow the one before. No crash leaves that.
    pub(super) is_misplaced: bool,
    /// Marks of whole batches behind it.
    pub(super) behind: Vec<Mark>,
}

/// What is in all journals of a store, from the oldest to the newest.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// The mark of the last whole batch before any break.
    pub(super) last: Option<Mark>,
    /// How many whole batches there are before any break.
    pub(super) entries: u64,
    /// The first break: which journal, whether it is the newest.
    pub(super) broken: Option<(PathBuf, bool, Break)>,
}

impl Journals {
    /// Reads them all, up to the first break.
    pub(super) fn read(store: &Path) -> io::Result<Self> {
        let mut journals = Self::default();
        let paths = paths(store)?;
        let mut order = Order::default();
        for (index, path) in paths.iter().enumerate() {
            let broken = read(path, &mut order, |_, _| journals.entries += 1)?;
            journals.last = order.0.map(|(_, mark)| mark);
            if let Some(broken) = broken {
                journals.broken = Some((path.clone(), index + 1 == paths.len(), broken));
                break;
            }
        }
        Ok(journals)
    }
}

/// Journals of a store, from the oldest to the newest.
pub(super) fn paths(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        if let Some(number) = number {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// What the next batch must follow.
#[derive(Debug, Default)]
pub(super) struct Order(Option<(u64, Mark)>);

impl Order {
    /// Whether a batch may be the next one. Its sequence number is outside of its checksum, so the marks, which
    /// are inside, have to vouch for it.
    fn follow(&mut self, entry: &Entry) -> Result<(), &'static str> {
        if let Some((sequence, mark)) = self.0 {
            if entry.mark.number != mark.number + 1 {
                return Err("the commit there is not the next one");
            }
            if entry.sequence <= sequence || entry.sequence - sequence > SEQUENCE_GAP_MAX {
                return Err("the sequence number there is not the next one");
            }
        }
        self.0 = Some((entry.sequence, entry.mark));
        Ok(())
    }
}

/// Visits the whole batches of a journal, up to the first break.
pub(super) fn read(
    path: &Path,
    order: &mut Order,
    mut visit: impl FnMut(&[u8], &Entry),
) -> io::Result<Option<Break>> {
    let mut window = Window::open(path)?;
    loop {
        let mut is_misplaced = false;
        let why = match parse(window.bytes()) {
            Parsed::Entry(entry) => match order.follow(&entry) {
                Ok(()) => {
                    visit(&window.bytes()[..entry.length], &entry);
                    window.advance(entry.length);
                    continue;
                }
                Err(why) => {
                    is_misplaced = true;
                    why
                }
            },
            Parsed::Incomplete => {
                if window.grow()? {
                    continue;
                }
                if window.bytes().is_empty() {
                    return Ok(None);
                }
                "the batch there has no end"
            }
            Parsed::Broken(why) => why,
        };
        return find_break(window, why, is_misplaced);
    }
}

/// What lies behind the end of the whole batches. Zeros are room that was set apart.
fn find_break(mut window: Window, why: &'static str, is_misplaced: bool) -> io::Result<Option<Break>> {
    let at = window.position;
    let Some(until) = window.end_of_content()? else { return Ok(None) };
    // Now it is worth its memory: what is left is the tail that a crash left, or damage.
    let mut rest = vec![0; usize::try_from(until - at).map_err(io::Error::other)?];
    let mut file = File::open(&window.path)?;
    io::copy(&mut (&mut file).take(at), &mut io::sink())?;
    file.read_exact(&mut rest)?;
    let behind = whole_entries(&rest).map(|(_, entry)| entry.mark).collect();
    Ok(Some(Break { at, until, why, is_misplaced, behind }))
}

/// Whole batches in a stretch of a journal, wherever they start, with their places.
pub(super) fn whole_entries(bytes: &[u8]) -> impl Iterator<Item = (usize, Entry)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if let Parsed::Entry(entry) = parse(&bytes[at..]) {
                let place = at;
                at += entry.length;
                return Some((place, entry));
            }
            at += 1;
        }
        None
    })
}

/// One change of a batch.
pub(super) struct Change<'a> {
    /// fjall's number of the keyspace.
    pub(super) keyspace: u64,
    pub(super) key: &'a [u8],
    /// `None` if the key was deleted.
    pub(super) value: Option<&'a [u8]>,
}

/// The changes of a whole batch.
pub(super) fn changes(batch: &[u8]) -> impl Iterator<Item = Change<'_>> {
    let mut at = START_BYTES;
    std::iter::from_fn(move || {
        let header = batch.get(at..at + CHANGE_BYTES)?;
        if header[0] != CHANGE {
            return None;
        }
        let key_bytes = usize::from(u16::from_le_bytes([header[11], header[12]]));
        let key_at = at + CHANGE_BYTES;
        let value_at = key_at + key_bytes;
        at = value_at + u32_at(header, 17)? as usize;
        let value = batch.get(value_at..at)?;
        Some(Change {
            keyspace: u64_at(header, 3)?,
            key: &batch[key_at..value_at],
            value: (header[1] == 0).then_some(value),
        })
    })
}

enum Parsed {
    Entry(Entry),
    /// More bytes are needed to tell.
    Incomplete,
    Broken(&'static str),
}

/// Reads the batch at the start of `bytes`. Lengths are believed only as far as there are bytes.
fn parse(bytes: &[u8]) -> Parsed {
    match bytes.first() {
        None => return Parsed::Incomplete,
        Some(&START) => {}
        Some(_) => return Parsed::Broken("no batch starts there"),
    }
    let (Some(changes), Some(sequence)) = (u32_at(bytes, 1), u64_at(bytes, 5)) else {
        return Parsed::Incomplete;
    };
    if changes == 0 {
        return Parsed::Broken("the batch there has no changes");
    }
    let mut at = START_BYTES;
    let mut mark = None;
    for _ in 0..changes {
        match bytes.get(at) {
            None => return Parsed::Incomplete,
            Some(&CHANGE) => {}
            Some(_) => return Parsed::Broken("the batch there has less changes than it tells"),
        }
        let Some(header) = bytes.get(at..at + CHANGE_BYTES + 4) else { return Parsed::Incomplete };
        let (kind, compression) = (header[1], header[2]);
        if kind > 1 || compression != 0 {
            return Parsed::Broken("a change there is of no known kind");
        }
        let key_bytes = usize::from(u16::from_le_bytes([header[11], header[12]]));
        let (Some(value_bytes), Some(stored_bytes)) = (u32_at(header, 13), u32_at(header, 17)) else {
            return Parsed::Incomplete;
        };
        if value_bytes != stored_bytes {
            return Parsed::Broken("a value there has two lengths");
        }
        let key_at = at + CHANGE_BYTES;
        let value_at = key_at + key_bytes;
        let next = value_at + value_bytes as usize;
        let (Some(key), Some(value)) = (bytes.get(key_at..value_at), bytes.get(value_at..next)) else {
            return Parsed::Incomplete;
        };
        mark = if key == MARK_KEY { Mark::decode(value) } else { None };
        at = next;
    }
    let (Some(checksum), Some(end)) = (u64_at(bytes, at + 1), bytes.get(at..at + END_BYTES)) else {
        return match bytes.get(at) {
            Some(&tag) if tag != END => Parsed::Broken("the batch there has more changes than it tells"),
            _ => Parsed::Incomplete,
        };
    };
    if end[0] != END || end[9..] != TRAILER {
        return Parsed::Broken("the batch there does not end as it should");
    }
    if checksum != xxh3_64(&bytes[START_BYTES..at]) {
        return Parsed::Broken("the batch there does not match its checksum");
    }
    match mark {
        Some(mark) => Parsed::Entry(Entry { length: at + END_BYTES, sequence, mark }),
        None => Parsed::Broken("the batch there is not of this store"),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The part of a journal that is in memory.
struct Window {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    /// How much of `buffer` is used.
    used: usize,
    /// Where in the file the first unused byte is.
    position: u64,
}

impl Window {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { path: path.to_owned(), file, buffer: Vec::new(), used: 0, position: 0 })
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    fn advance(&mut self, bytes: usize) {
        self.used += bytes;
        self.position += bytes as u64;
    }

    /// Reads on; as much again as there is, so that a large batch is not looked at too often. Whether there
    /// was more.
    fn grow(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let more = self.buffer.len().max(WINDOW_BYTES) as u64;
        Ok((&mut self.file).take(more).read_to_end(&mut self.buffer)? > 0)
    }

    /// Where in the file the last byte behind the window's start is that is not zero.
    fn end_of_content(&mut self) -> io::Result<Option<u64>> {
        let mut end = None;
        loop {
            if let Some(last) = self.bytes().iter().rposition(|&byte| byte != 0) {
                end = Some(self.position + last as u64 + 1);
            }
            self.advance(self.bytes().len());
            if !self.grow()? {
                return Ok(end);
            }
        }
    }
}

//! What is looked at, and made right, before fjall may open its files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::journal::{Break, Journals};
use super::mark::{Known, MARK_FILE, MarkFile};
use super::{Damage, layout, tables};
use crate::StoreError;

/// How many cut pieces are kept; the oldest go first.
const PIECES_MAX: usize = 4;

/// What fjall locks.
const LOCK: &str = "lock";

/// How a store was found when it was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Opening {
    /// It was made just now.
    pub is_new: bool,
    /// It was closed well the last time. Otherwise the broker or the machine ended in the middle of something.
    pub is_clean: bool,
    /// A commit that a crash had cut short, and that was cut off.
    pub cut: Option<Cut>,
    /// The last commit that must be there.
    pub(super) synced: u64,
    /// Why the cut was none, if that commit is not there.
    pub(super) doubt: Option<Damage>,
}

/// The end of a journal that was never written whole, so that nobody was told it was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The journal.
    pub journal: PathBuf,
    /// Where it was cut.
    pub at: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Where they are kept.
    pub kept: PathBuf,
}

impl Opening {
    /// Looks through the files of a store. A tear at the end is cut; all else that is not as it was written is an
    /// error, and nothing is changed.
    pub(super) fn prepare(store: &Path) -> Result<Self, StoreError> {
        let reading = |source| StoreError::Io { action: "read", source };
        let known = MarkFile::read(store).map_err(reading)?;
        if is_new(store, known).map_err(reading)? {
            return Ok(Self { is_new: true, is_clean: true, ..Self::default() });
        }
        let found = Found::read(store, known.unwrap_or_default(), false).map_err(reading)?;
        if let Some(stray) = found.stray {
            return Err(StoreError::Stray { file: stray });
        }
        if let Some(damage) = found.damages.into_iter().next() {
            return Err(damage.into());
        }
        let mut opening = found.opening;
        if let Some((journal, broken)) = &found.torn {
            let cut = cut(journal, broken).map_err(|source| StoreError::Io { action: "cut", source })?;
            opening.cut = Some(cut);
        }
        // It holds nothing, and fjall only opens it.
        let made = OpenOptions::new().write(true).create(true).truncate(false).open(store.join(LOCK));
        made.map_err(|source| StoreError::Io { action: "open the lock of", source })?;
        Ok(opening)
    }

    /// What it means that, now that it is open, the last commit is older than one that was synced.
    pub(super) fn lost(&self, store: &Path, last: u64) -> StoreError {
        // Only the open store could tell, so what was cut goes back to where it was.
        match self.cut.as_ref().map(Cut::undo) {
            Some(Err(source)) => StoreError::Io { action: "write to", source },
            None | Some(Ok(())) => {
                self.doubt.clone().unwrap_or_else(|| short(store, last, self.synced)).into()
            }
        }
    }
}

impl Cut {
    fn undo(&self) -> io::Result<()> {
        let mut journal = OpenOptions::new().write(true).open(&self.journal)?;
        journal.seek(SeekFrom::Start(self.at))?;
        io::copy(&mut File::open(&self.kept)?, &mut journal)?;
        journal.sync_all()?;
        fs::remove_file(&self.kept)
    }
}

/// What is in the files of a store, nothing of them changed.
struct Found {
    opening: Opening,
    /// A file that no store has.
    stray: Option<PathBuf>,
    damages: Vec<Damage>,
    /// The end that a crash left.
    torn: Option<(PathBuf, Break)>,
}

impl Found {
    /// Reads them: the tables too, if `whole`.
    fn read(store: &Path, known: Known, whole: bool) -> io::Result<Self> {
        let journals = Journals::read(store)?;
        let opening = Opening { is_clean: known.is_clean, synced: known.synced, ..Opening::default() };
        let mut found = Self { opening, stray: layout::stray(store)?, damages: Vec::new(), torn: None };
        if let Some((journal, is_newest, broken)) = &journals.broken {
            match damage(&journals, known, journal, *is_newest, broken) {
                Some(damage) => found.damages.push(damage),
                None => found.opening.doubt = Some(told(journal, broken)),
            }
        } else if let Some(last) = journals.last.filter(|last| last.number < known.synced) {
            found.damages.push(short(store, last.number, known.synced));
        }
        // Nothing is committed before all is made.
        let is_made = known.synced > 0 || known.is_clean || journals.entries > 0 || journals.broken.is_some();
        found.damages.extend(layout::damage(store, is_made)?);
        found.damages.extend(tables::verify(store, whole)?);
        if found.opening.doubt.is_some() {
            found.torn = journals.broken.map(|(journal, _, broken)| (journal, broken));
        }
        Ok(found)
    }
}

/// All that is not as it was written, by every file of a store.
pub(super) fn damages(store: &Path) -> io::Result<Vec<Damage>> {
    let known = MarkFile::read(store)?;
    if is_new(store, known)? {
        return Ok(Vec::new());
    }
    Ok(Found::read(store, known.unwrap_or_default(), true)?.damages)
}

/// Why a break is damage and not what a crash left. A sealed journal was synced whole before the next was
/// begun; in the newest one the marks tell.
fn damage(
    journals: &Journals,
    known: Known,
    journal: &Path,
    is_newest: bool,
    broken: &Break,
) -> Option<Damage> {
    let synced = broken.behind.iter().map(|mark| mark.synced).max().unwrap_or(0).max(known.synced);
    // Without a single whole commit before it, only the open store can tell which one was the last.
    let before = journals.last.map(|last| last.number);
    let before = before.or_else(|| Some(broken.behind.first()?.number.saturating_sub(2)));
    let is_lost = before.is_some_and(|before| before < synced);
    (known.is_clean || !is_newest || broken.is_misplaced || is_lost).then(|| told(journal, broken))
}

fn told(journal: &Path, broken: &Break) -> Damage {
    let Break { why, at, until, .. } = broken;
    let what = format!("{why} (byte {at}), but the file goes on to byte {until}, and it was synced");
    Damage { file: journal.to_owned(), what }
}

fn short(store: &Path, last: u64, synced: u64) -> Damage {
    Damage {
        file: store.to_owned(),
        what: format!(
            "its journals end with commit {last}, but commit {synced} was synced; a file is missing or cut short"
        ),
    }
}

/// Whether nothing was ever stored. What a start that was cut short has left is removed: it holds nothing.
fn is_new(store: &Path, known: Option<Known>) -> io::Result<bool> {
    let entries = match fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if known.is_some() || layout::has_version(store)? || store.join(MARK_FILE).try_exists()? {
        return Ok(false);
    }
    let mut left = Vec::new();
    for entry in entries {
        let path = entry?.path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(LOCK) => {}
            Some("keyspaces") if fs::read_dir(&path)?.next().is_none() => {}
            Some("0.jnl") if is_zero(&path)? => left.push(path),
            // Its content never came to the disk.
            Some(layout::VERSION) if is_zero(&path)? => left.push(path),
            _ => return Ok(false),
        }
    }
    left.into_iter().try_for_each(fs::remove_file)?;
    Ok(true)
}

fn is_zero(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(true),
            read if buffer[..read].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Moves the torn end of a journal into a file of its own, which is on the disk before the journal is cut.
fn cut(journal: &Path, broken: &Break) -> io::Result<Cut> {
    let bytes = broken.until - broken.at;
    let kept = PathBuf::from(format!("{}.cut-at-{}", journal.display(), broken.at));
    let mut from = OpenOptions::new().read(true).write(true).open(journal)?;
    from.seek(SeekFrom::Start(broken.at))?;
    let mut piece = File::create(&kept)?;
    io::copy(&mut (&mut from).take(bytes), &mut piece)?;
    piece.sync_all()?;
    from.set_len(broken.at)?;
    from.sync_all()?;
    if let Some(store) = journal.parent() {
        File::open(store)?.sync_all()?;
        forget_old_pieces(store)?;
    }
    Ok(Cut { journal: journal.to_owned(), at: broken.at, bytes, kept })
}

fn forget_old_pieces(store: &Path) -> io::Result<()> {
    let mut pieces = Vec::new();
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".jnl.cut-at-") {
            pieces.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    pieces.sort();
    let surplus = pieces.len().saturating_sub(PIECES_MAX);
    pieces.into_iter().take(surplus).try_for_each(|(_, piece)| fs::remove_file(piece))
}

//! Room on the disk: watched, so that a full one is refused work early and not found by a write that fails.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

const RESERVE: &str = "reserve";

/// What is free on a file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Bytes that this process may still take.
    pub free: u64,
    /// The size of the file system in bytes.
    pub total: u64,
}

impl Room {
    /// Of the file system that a path lies on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let answer = statvfs(path)?;
        let block = answer.fragment_size() as u64;
        Ok(Self {
            free: block.saturating_mul(answer.blocks_available() as u64),
            total: block.saturating_mul(answer.blocks() as u64),
        })
    }
}

/// From where on room is low, and when it is enough again.
///
/// What was accepted before has to be written still, tables are written anew beside the old ones, and
/// acknowledgements need room before they give some: all of that must fit below the watermark.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watermark {
    /// Below so many free bytes nothing more is to be kept.
    pub low: u64,
    /// From so many on it may be again; a little more, so that it does not change all the time.
    pub enough: u64,
    /// Below so many the reserve is given up.
    pub critical: u64,
    /// The size of the reserve.
    pub reserve: u64,
}

impl Watermark {
    /// A tenth of the file system, at most 256 MiB.
    pub fn of(total: u64) -> Self {
        let low = (total / 10).min(256 << 20);
        Self { low, enough: low + low / 4, critical: low / 4, reserve: low / 4 }
    }
}

/// What changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpaceChange {
    /// There is little room: refuse what would have to be kept.
    Low {
        /// What is free.
        room: Room,
        /// Below which it is little.
        watermark: u64,
    },
    /// There is enough again.
    Enough {
        /// What is free.
        room: Room,
    },
    /// There was nearly none, and the reserve was given up.
    ReserveGivenUp {
        /// How many bytes that gave.
        bytes: u64,
    },
}

/// Looks at the room of one data directory, and keeps a reserve in it: a file that holds nothing, and is deleted
/// when others have filled the disk, so that what was accepted can still be written.
#[derive(Debug)]
pub struct Space {
    directory: PathBuf,
    watermark: Watermark,
    is_low: bool,
    has_reserve: bool,
}

impl Space {
    /// Begins with enough room; the first [`look`](Self::look) tells.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let watermark = Watermark::of(Room::of(directory)?.total);
        let has_reserve = directory.join(RESERVE).try_exists()?;
        Ok(Self { directory: directory.to_owned(), watermark, is_low: false, has_reserve })
    }

    /// Whether there is little room.
    pub fn is_low(&self) -> bool {
        self.is_low
    }

    /// Looks how much room there is, and tells what changed by that.
    pub fn look(&mut self) -> io::Result<Vec<SpaceChange>> {
        let room = Room::of(&self.directory)?;
        let mut changes = Vec::new();
        if !self.is_low && room.free < self.watermark.low {
            self.is_low = true;
            changes.push(SpaceChange::Low { room, watermark: self.watermark.low });
        } else if self.is_low && room.free >= self.watermark.enough {
            self.is_low = false;
            changes.push(SpaceChange::Enough { room });
        }
        if self.has_reserve && room.free < self.watermark.critical {
            let bytes = fs::metadata(self.directory.join(RESERVE))?.len();
            fs::remove_file(self.directory.join(RESERVE))?;
            self.has_reserve = false;
            changes.push(SpaceChange::ReserveGivenUp { bytes });
        } else if !self.has_reserve && room.free >= self.watermark.enough + self.watermark.reserve {
            self.keep_reserve()?;
        }
        Ok(changes)
    }

    /// Not every file system can set room apart; without, there is none.
    fn keep_reserve(&mut self) -> io::Result<()> {
        self.has_reserve = true;
        let path = self.directory.join(RESERVE);
        let length = i64::try_from(self.watermark.reserve).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(());
        }
        let file = File::create(&path)?;
        if fallocate(file.as_fd(), FallocateFlags::empty(), 0, length).is_err() {
            fs::remove_file(&path)?;
            self.has_reserve = false;
            self.watermark.reserve = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_disk::SmallDisk;

    #[test]
    fn the_watermark_grows_with_the_disk_up_to_a_quarter_gibibyte() {
        assert_eq!(Watermark::of(100 << 20).low, 10 << 20);
        assert_eq!(Watermark::of(1 << 40).low, 256 << 20);
        let Watermark { low, enough, critical, reserve } = Watermark::of(1 << 30);
        assert!(enough > low && critical + reserve < low);
    }

    #[test]
    fn the_reserve_is_given_up_when_others_fill_the_disk_and_kept_again_afterwards() {
        let Some(disk) = SmallDisk::of(8 << 20) else { return };
        let mut space = Space::new(disk.path()).unwrap();
        assert_eq!(space.look().unwrap(), []);
        let reserve = fs::metadata(disk.path().join(RESERVE)).unwrap().len();
        assert_eq!(reserve, space.watermark.reserve);
        disk.fill(100 << 10);
        let changes = space.look().unwrap();
        assert!(
            matches!(changes[..], [SpaceChange::Low { .. }, SpaceChange::ReserveGivenUp { bytes }] if bytes == reserve),
            "{changes:?}"
        );
        assert!(space.is_low());
        assert!(Room::of(disk.path()).unwrap().free >= reserve);
        assert_eq!(space.look().unwrap(), [], "told once");
        disk.empty();
        assert!(matches!(space.look().unwrap()[..], [SpaceChange::Enough { .. }]));
        assert!(disk.path().join(RESERVE).exists());
        drop(space);
        assert!(Space::new(disk.path()).unwrap().has_reserve, "found again");
    }
}

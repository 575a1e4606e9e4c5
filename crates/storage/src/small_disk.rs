//! A file system of a few megabytes, for tests that fill one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Room;

/// Mounted at a temporary directory until it is dropped.
pub(crate) struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// `None`, said aloud, where this process may not mount.
    pub(crate) fn of(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "noctule-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { directory }),
            other => {
                let why = other.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
                // Past the capture of the test harness: a skipped test must not look like a passed one.
                let _ = writeln!(io::stderr(), "SKIPPED: this machine mounts no small disk: {why:?}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fills it up to so many free bytes.
    pub(crate) fn fill(&self, left: u64) {
        let free = Room::of(self.path()).unwrap().free;
        let mut file = File::create(self.path().join("filler")).unwrap();
        file.write_all(&vec![1; usize::try_from(free - left).unwrap()]).unwrap();
    }

    /// Gives back what was filled.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }

    /// Nothing can be written to it any more.
    pub(crate) fn make_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

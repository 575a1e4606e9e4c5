//! Disks of a test's own: one that is small, one that fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The ioctl EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from then on nothing is written, and all that tries to
/// is told so.
const SHUTDOWN: &str = "import fcntl,os,struct,sys\n\
    fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack('I',2))";

/// A file system that is mounted until it is dropped.
#[derive(Debug)]
pub struct Disk {
    mount_point: PathBuf,
    _directory: TempDir,
}

impl Disk {
    /// In memory, of 64 MB; `None`, said aloud, where this machine mounts none.
    pub fn small() -> Option<Self> {
        Self::new(|directory| {
            let mount_point = directory.join("disk");
            fs::create_dir(&mount_point).map_err(|error| error.to_string())?;
            run(Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64m", "noctule-test"])
                .arg(&mount_point))?;
            Ok(mount_point)
        })
    }

    /// An ext4 file system of 256 MB on a loop device; `None`, said aloud, where this machine mounts none.
    pub fn ext4() -> Option<Self> {
        Self::new(|directory| {
            let (image, mount_point) = (directory.join("image"), directory.join("disk"));
            let made = fs::create_dir(&mount_point).and_then(|()| File::create(&image)?.set_len(256 << 20));
            made.map_err(|error| error.to_string())?;
            run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
            run(Command::new("python3").args(["-c", "import fcntl"]))?;
            run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount_point))?;
            Ok(mount_point)
        })
    }

    fn new(make: impl FnOnce(&Path) -> Result<PathBuf, String>) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory of its own");
        match make(directory.path()) {
            Ok(mount_point) => Some(Self { mount_point, _directory: directory }),
            Err(why) => {
                // Past the capture of the test harness: a skipped test must not look like a passed one.
                let _ = writeln!(io::stderr(), "SKIPPED: this machine lends no disk: {why}");
                None
            }
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Fills it as far as it goes.
    pub fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).expect("its name");
        while file.write_all(&[1; 64 << 10]).is_ok() {}
    }

    /// Gives back what was filled.
    pub fn empty(&self) {
        fs::remove_file(self.path().join("filler")).expect("the file that fills it");
    }

    /// Nothing can be written to it any more, as it was mounted so.
    pub fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path())).expect("it is mounted anew");
    }

    /// Nothing can be written to it any more, as it failed. Only an ext4 file system can.
    pub fn fail(&self) {
        run(Command::new("python3").args(["-c", SHUTDOWN]).arg(self.path())).expect("it can be shut down");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.path()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{:?}: {}", command.get_program(), said.trim()))
    }
}

//! Loss of power: an ext4 file system of its own, in an image on a loop device, that is shut down under load. All that
//! was not written through to the device is gone, its journal included; what was, stays. A device's own cache is not
//! part of it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Room for a world's data and a store's journals.
const IMAGE_BYTES: u64 = 1 << 30;

/// The ioctl EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH. It waits for a line: starting Python takes longer than
/// many a fault is to.
const SHUTDOWN: &str = "import fcntl,os,struct,sys\nsys.stdin.readline()\n\
    fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack('I',2))";

/// A mounted image.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
    shutdown: Option<Child>,
}

impl Disk {
    /// Makes a file system and mounts it.
    ///
    /// # Errors
    /// If this machine does not let us: that needs root, loop devices and ext4's tools.
    pub fn new(directory: &Path) -> Result<Self> {
        let image = directory.join("disk.image");
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let mount_point = directory.join("disk");
        fs::create_dir_all(&mount_point)?;
        let mut disk = Self { image, mount_point, shutdown: None };
        disk.mount()?;
        Ok(disk)
    }

    /// Why there can be no loss of power on this machine; `None` if there can.
    pub fn missing(directory: &Path) -> Option<String> {
        let attempt = Self::new(directory).and_then(|mut disk| {
            disk.cut()?;
            disk.restore()
        });
        attempt.err().map(|error| format!("{error:#}"))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }

    fn mount(&mut self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point))?;
        let child = Command::new("python3")
            .args(["-c", SHUTDOWN])
            .arg(&self.mount_point)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run python3, which shuts the file system down")?;
        self.shutdown = Some(child);
        Ok(())
    }

    /// The power goes.
    ///
    /// # Errors
    /// If the file system cannot be shut down.
    pub fn cut(&mut self) -> Result<()> {
        let mut child = self.shutdown.take().context("the power is off already")?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(b"\n")?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("cannot shut the file system down: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// The power comes back: the file system is checked, and mounted again. Nobody may have a file of it open.
    ///
    /// # Errors
    /// If it is damaged beyond what its journal mends, or cannot be mounted.
    pub fn restore(&mut self) -> Result<()> {
        run(Command::new("umount").arg(&self.mount_point))?;
        run(Command::new("fsck.ext4").arg("-p").arg(&self.image))?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mut child) = self.shutdown.take() {
            // It waits for a line that will not come.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Where it cannot be unmounted, the mount ends with this process's namespace.
        let _ = Command::new("umount").arg("-l").arg(&self.mount_point).stderr(Stdio::null()).status();
    }
}

/// Runs a program that says nothing unless it fails. What fsck mended by the journal is success.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let has_mended = name.starts_with("fsck") && output.status.code() == Some(1);
    if !output.status.success() && !has_mended {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{name} failed, {}: {} {}", output.status, out.trim(), err.trim());
    }
    Ok(())
}

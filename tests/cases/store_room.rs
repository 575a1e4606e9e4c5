//! A disk that fills up: refused early, told, and gone on from by itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use e2e::packet::{self, Version};
use e2e::{Broker, Wire, eventually};

/// A file system of 64 MB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, where this machine mounts none.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory of its own");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "noctule-test"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(directory)),
            other => {
                let why = other.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
                // Past the capture of the test harness: a skipped test must not look like a passed one.
                let _ = writeln!(io::stderr(), "SKIPPED: this machine mounts no small disk: {why:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it as far as it goes.
    fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).expect("its name");
        while file.write_all(&[1; 64 << 10]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).expect("the file that fills it");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The reason code of a QoS 1 message to the session that is away.
fn publish(publisher: &mut Wire, id: u16) -> u8 {
    publisher.send(&packet::publish(Version::V5, "kept", 1, id, b"payload"));
    let (first_byte, body) = publisher.packet();
    assert_eq!((first_byte, &body[..2]), (0x40, &id.to_be_bytes()[..]));
    body.get(2).copied().unwrap_or(0)
}

#[test]
fn a_full_disk_is_refused_and_told_and_gone_on_from() {
    let Some(disk) = SmallDisk::mount() else { return };
    let location = disk.path().display();
    let mut broker = Broker::start(&format!("persistence true\npersistence_location {location}\n"));
    broker.mosquitto_sub("-c -i away -t kept -q 1 -E").run().succeeds();
    let mut publisher = Wire::connect(&broker, Version::V5, "publisher");
    assert_eq!(publish(&mut publisher, 1), 0);
    disk.fill();
    // It looks after each commit, and once a second while there are some.
    let mut id = 1;
    let mut accepted = 1;
    eventually("a refusal", || {
        id += 1;
        let code = publish(&mut publisher, id);
        accepted += usize::from(code == 0);
        (code == 0x97).then_some(())
    });
    // What was kept is read, and delivered, though the disk is full.
    let lines = broker.mosquitto_sub(&format!("-c -i away -t kept -q 1 -C {accepted}")).run().lines();
    assert_eq!(lines.len(), accepted);
    disk.empty();
    eventually("room again", || {
        id += 1;
        (publish(&mut publisher, id) == 0).then_some(())
    });
    let said = String::from_utf8(broker.stop().stderr).unwrap();
    for words in ["is nearly full", "was given up", "has room again"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

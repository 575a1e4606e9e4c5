//! What a broker does when its data directory or its disk is not as it should be: each with what it says.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::broker::command;
use e2e::packet::{self, Version, connect};
use e2e::port::Port;
use e2e::{Broker, Disk, Finished, Wire, environment};
use rustix::process::geteuid;

/// A data directory with a session that a message waits for and retained messages of so many bytes each, and what the
/// broker that made it said at its end.
struct Made {
    directory: tempfile::TempDir,
    location: PathBuf,
}

impl Made {
    fn new(retained: usize, bytes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory of its own");
        let location = directory.path().to_owned();
        let mut broker =
            Broker::start(&format!("persistence true\npersistence_location {}", location.display()));
        broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
        broker.mosquitto_pub("-t news -q 1 -m waits").run().succeeds();
        let mut wire = Wire::connect(&broker, Version::V4, "publisher");
        for number in 0..retained {
            let topic = format!("retained/{number}");
            let mut publish = packet::publish(Version::V4, &topic, 1, 1, &vec![b'x'; bytes]);
            publish[0] |= 1;
            wire.send(&publish);
            wire.receives_hex("40 02 00 01");
        }
        if bytes > 1 << 16 {
            // What is being written to tables is finished.
            broker.stop();
        } else {
            // Not in good order: what is torn and what is damaged is told apart then.
            broker.crash();
        }
        Self { directory, location }
    }

    fn data(&self) -> PathBuf {
        self.location.join("noctule")
    }

    fn journal(&self) -> PathBuf {
        self.data().join("store/0.jnl")
    }

    fn config(&self) -> String {
        format!("persistence true\npersistence_location {}", self.location.display())
    }

    /// A broker that starts from it, and gives the session its message.
    fn is_served(&self) -> Finished {
        let mut broker = Broker::start(&self.config());
        let mut wire = Wire::open(&broker, Version::V4, &connect(Version::V4, "reader", false, 60));
        wire.receives_hex("20 02 01 00");
        wire.receives(b"waits");
        broker.stop()
    }

    /// A broker that does not start from it.
    #[track_caller]
    fn is_refused(&self, message: &str) {
        let port = Port::reserve();
        let finished = command(environment::broker())
            .args(&format!("-p {} --data {}", port.number(), self.data().display()))
            .env("XDG_STATE_HOME", self.directory.path())
            .run();
        finished.exits_with(1).complains(message);
    }

    fn tool(&self, command: &str) -> Finished {
        let data = self.data().display().to_string();
        e2e::Program::new(environment::broker()).args(&format!("store {command} --data {data}")).run()
    }
}

/// Where the last byte of a file is that is not zero.
fn end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).expect("there is something in it")
}

fn flip(file: &Path, at: impl FnOnce(&[u8]) -> usize) {
    let mut bytes = fs::read(file).expect("it is there");
    let at = at(&bytes);
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("it can be written");
}

#[test]
fn a_flipped_byte_in_a_journal_is_named_and_repaired_around() {
    let made = Made::new(3, 100);
    // In the last but one message that was retained, long after the session was kept.
    flip(&made.journal(), |bytes| end(bytes) - 300);
    let journal = made.journal().display().to_string();
    let mends = format!("noctule store repair --data {}", made.data().display());
    made.is_refused(&format!("{journal} is damaged: the batch there "));
    made.is_refused(&mends);
    made.tool("check").exits_with(1).complains(&format!("error: {journal} is damaged: ")).complains(&mends);
    made.tool("export").exits_with(1).complains(&mends);
    let whole = fs::read(made.journal()).expect("it was not touched");
    let original = made.data().join("store.damaged-1");
    let repaired = made.tool("repair");
    repaired.complains(&format!("lost: a part of {journal}: bytes ")).succeeds();
    assert!(
        repaired.lines()[0].ends_with(&format!("The damaged store is {}.", original.display())),
        "{repaired:?}"
    );
    assert_eq!(fs::read(original.join("0.jnl")).expect("it is kept"), whole);
    made.tool("check").succeeds();
    let twice = made.tool("repair");
    assert!(twice.lines()[0].starts_with("Nothing is damaged: "), "{twice:?}");
    made.is_served();
}

#[test]
fn a_flipped_byte_in_a_table_is_named_and_repaired_around() {
    // More than is gathered before a table is written.
    let made = Made::new(20, 1 << 20);
    // One that was being written when the broker was killed does not count, and is gone after a start.
    made.is_served();
    let table = largest_table(&made.data().join("store/keyspaces")).expect("one was written");
    flip(&table, |bytes| bytes.len() / 2);
    let message = format!("{} is damaged: it does not match its checksum", table.display());
    made.tool("check").exits_with(1).complains(&message);
    made.is_refused(&message);
    made.tool("repair").complains(&format!("lost: a part of {}", table.display())).succeeds();
    made.tool("check").succeeds();
    made.is_served();
}

fn largest_table(keyspaces: &Path) -> Option<PathBuf> {
    let entries =
        |folder: &Path| fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("a name").path());
    let tables =
        entries(keyspaces).flat_map(|keyspace| entries(&keyspace.join("tables")).collect::<Vec<_>>());
    tables.max_by_key(|table| table.metadata().expect("it is there").len())
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let made = Made::new(0, 0);
    let mut bytes = fs::read(made.journal()).expect("it is there");
    // What a commit begins with, and not more of it.
    let at = end(&bytes) + 1;
    let torn = bytes[..40].to_vec();
    bytes.splice(at..(at + torn.len()).min(bytes.len()), torn);
    fs::write(made.journal(), bytes).expect("it can be written");
    let kept = made.data().join(format!("store/0.jnl.cut-at-{at}"));
    made.is_served()
        .complains("Warning: The broker before ended in the middle of writing: ")
        .complains(&format!("were cut off; they are in {}.", kept.display()));
    assert!(kept.exists());
    made.is_served();
}

#[test]
fn a_newer_format_is_refused() {
    let made = Made::new(0, 0);
    let format = made.data().join("format");
    let own = fs::read_to_string(&format).expect("it is text");
    fs::write(&format, "noctule data directory, format 99\n").expect("it can be written");
    let message = format!("{} has format 99, and this broker knows formats up to ", made.data().display());
    made.is_refused(&message);
    made.is_refused("start it with the noctule that used it last or a newer one");
    for command in ["check", "repair", "export"] {
        made.tool(command).exits_with(1).complains(&message);
    }
    fs::write(&format, own).expect("it can be written");
    made.is_served();
}

#[test]
fn a_file_that_is_not_the_stores_is_refused_by_name() {
    let made = Made::new(0, 0);
    let stray = made.data().join("store/keyspaces/lost+found");
    fs::create_dir(&stray).expect("it can be made");
    let message =
        format!("{} does not belong there: move it elsewhere; nothing was changed", stray.display());
    made.is_refused(&message);
    made.tool("check").exits_with(1).complains(&message);
    fs::remove_dir(&stray).expect("nothing was put into it");
    made.is_served();
}

#[test]
fn what_another_broker_uses_is_left_alone() {
    let made = Made::new(0, 0);
    let broker = Broker::start(&made.config());
    let message = format!("{} is in use by process {}", made.data().display(), broker.process().pid());
    made.is_refused(&message);
    for command in ["check", "repair", "export"] {
        made.tool(command).exits_with(1).complains(&message);
    }
}

#[test]
fn a_read_only_directory_is_refused_with_what_to_mend() {
    let Some(disk) = Disk::small() else { return };
    let mut made = Made::new(0, 0);
    made.location = disk.path().to_owned();
    let mut broker = Broker::start(&made.config());
    broker.stop();
    disk.make_read_only();
    made.is_refused(
        "Read-only file system (os error 30); the broker must be able to write there: mend the rights of",
    );
    made.tool("repair").exits_with(1).complains("Read-only file system");
}

#[test]
fn a_disk_that_fails_ends_the_broker_and_nothing_is_acknowledged_after_it() {
    let Some(disk) = Disk::ext4() else { return };
    assert!(geteuid().is_root(), "it was mounted");
    let location = disk.path().display().to_string();
    let mut broker = Broker::start(&format!("persistence true\npersistence_location {location}"));
    broker.mosquitto_sub("-c -i reader -t news -q 1 -E").run().succeeds();
    let mut publisher = Wire::connect(&broker, Version::V5, "publisher");
    publisher.send(&packet::publish(Version::V5, "news", 1, 1, b"kept"));
    assert_eq!(publisher.packet().0, 0x40);
    disk.fail();
    publisher.send(&packet::publish(Version::V5, "news", 1, 2, b"lost"));
    // Its connection ends, and that is all it is told: with a word, if there was still time for it.
    const SERVER_SHUTTING_DOWN: [u8; 3] = [0xe0, 1, 0x8b];
    let told = publisher.is_closed();
    assert!(told.is_empty() || told == SERVER_SHUTTING_DOWN, "{told:02x?}");
    broker
        .ended()
        .exits_with(1)
        .complains("the store: ")
        .complains("what was acknowledged is kept; see to the disk, then start the broker again");
}

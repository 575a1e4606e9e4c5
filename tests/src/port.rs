//! A TCP port that no other test uses, in this process or in another that runs at the same time.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process;

/// Below the ports that the kernel gives to outgoing connections, of which these tests make thousands.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A reserved port; it is free again when this value goes.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked while the port is reserved. The lock ends with the process, so that nothing is left behind.
    _lock: File,
}

impl Port {
    /// Reserves a port on which nobody listens.
    ///
    /// # Panics
    /// If there is none.
    pub fn reserve() -> Self {
        let directory = std::env::temp_dir().join("noctule-e2e-ports");
        fs::create_dir_all(&directory).expect("the directory for temporary files can be written to");
        // Other programs look for free ports too, and often from the first one of a range.
        let count = u32::from(LAST - FIRST);
        let start = process::id().wrapping_mul(7919);
        for offset in 0..count {
            let number = FIRST + (start.wrapping_add(offset) % count) as u16;
            let lock = File::create(directory.join(number.to_string()))
                .expect("the directory for temporary files can be written to");
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {LAST}");
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whether this process listens on it, on 127.0.0.1 or everywhere. That somebody answers there says less:
    /// it may be another program that was quicker.
    pub fn is_listened_on_by(&self, pid: u32) -> bool {
        let Ok(table) = fs::read_to_string("/proc/net/tcp") else { return false };
        let inodes: Vec<String> = table.lines().filter_map(|line| self.listening_inode(line)).collect();
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
            let target = target.to_string_lossy();
            inodes.iter().any(|inode| *target == format!("socket:[{inode}]"))
        })
    }

    /// The socket of a row of /proc/net/tcp, if it listens on this port:
    /// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
    fn listening_inode(&self, row: &str) -> Option<String> {
        const LISTEN: &str = "0A";
        let columns: Vec<&str> = row.split_whitespace().collect();
        let listens =
            columns.get(1)?.ends_with(&format!(":{:04X}", self.number)) && *columns.get(3)? == LISTEN;
        columns.get(9).filter(|_| listens).map(|inode| (*inode).to_owned())
    }
}

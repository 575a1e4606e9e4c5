//! A TCP port that no other test uses, in this process or in another that runs at the same time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{IpAddr, TcpListener};
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
        listening(pid).iter().any(|(_, number)| *number == self.number)
    }
}

/// The addresses and ports on which this process listens.
pub fn listening(pid: u32) -> Vec<(IpAddr, u16)> {
    const LISTEN: &str = "0A";
    sockets(pid, LISTEN).into_iter().map(|(_, address)| address).collect()
}

/// The descriptors of the TCP connections that this process has.
pub fn connected(pid: u32) -> Vec<u32> {
    const ESTABLISHED: &str = "01";
    sockets(pid, ESTABLISHED).into_iter().map(|(descriptor, _)| descriptor).collect()
}

/// The descriptors and local addresses of this process's TCP sockets in this state of /proc/net/tcp.
fn sockets(pid: u32, state: &str) -> Vec<(u32, (IpAddr, u16))> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let descriptors: HashMap<String, u32> = files
        .flatten()
        .filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some((inode.to_owned(), file.file_name().to_str()?.parse().ok()?))
        })
        .collect();
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|row| socket(row, state)).collect::<Vec<_>>())
        .filter_map(|(inode, address)| Some((*descriptors.get(&inode)?, address)))
        .collect()
}

/// The socket of a row of /proc/net/tcp or tcp6, and its address, if it is in this state:
/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn socket(row: &str, state: &str) -> Option<(String, (IpAddr, u16))> {
    let columns: Vec<&str> = row.split_whitespace().collect();
    if *columns.get(3)? != state {
        return None;
    }
    let (host, port) = columns.get(1)?.split_once(':')?;
    // Words of four bytes as this machine has them in memory.
    let bytes: Vec<u8> = (0..host.len() / 8)
        .filter_map(|word| u32::from_str_radix(host.get(8 * word..8 * word + 8)?, 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(((*columns.get(9)?).to_owned(), (address, u16::from_str_radix(port, 16).ok()?)))
}

//! The system's log: datagrams to its socket, each one line, as the C library sends them.

use std::ffi::CStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use noctule_config::LogType;

use super::strftime::local_time;

/// Where it listens.
pub(super) const SOCKET: &str = "/dev/log";
/// The time in front of a message, as in RFC 3164.
const TIME: &CStr = c"%b %e %H:%M:%S";
/// How long it is left alone after it could not be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// LOG_DAEMON of syslog(3), and LOG_LOCAL0, whose successors follow it.
const DAEMON: u8 = 3;
const LOCAL_0: u8 = 16;

/// A way to the system's log. It never waits: what is not taken is counted, and that is told when it takes something.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    /// Name and number of this process.
    tag: String,
    facility: u8,
    socket: Option<UnixDatagram>,
    failed_at: Option<Instant>,
    lost: u64,
}

impl Syslog {
    /// `facility` is a local one, or none for that of daemons.
    pub(super) fn new(path: &Path, facility: Option<u8>) -> Self {
        let facility = facility.map_or(DAEMON, |local| LOCAL_0 + local.min(7));
        let path = path.to_owned();
        Self { path, tag: String::new(), facility, socket: None, failed_at: None, lost: 0 }
    }

    /// Sends one line. Gives what is wrong, when that is news.
    pub(super) fn send(&mut self, kind: LogType, seconds: i64, line: &str) -> Option<io::Error> {
        if self.tag.is_empty() {
            // Not before the process is in the background, where it has its number.
            self.tag = tag();
        }
        if self.lost > 0 {
            let told =
                format!("Warning: {} log lines were lost because syslog did not take them.", self.lost);
            if self.try_to_send(LogType::Warning, seconds, &told).is_ok() {
                self.lost = 0;
            }
        }
        let was_reached = self.lost == 0;
        let error = self.try_to_send(kind, seconds, line).err()?;
        self.lost += 1;
        was_reached.then_some(error)
    }

    fn try_to_send(&mut self, kind: LogType, seconds: i64, line: &str) -> io::Result<()> {
        let priority = self.facility << 3 | severity(kind);
        let time = local_time(TIME, seconds).unwrap_or_default();
        let message = format!("<{priority}>{time} {}: {line}", self.tag);
        // The daemon may have been started anew, and then there is another one behind the same name.
        if let Some(socket) = &self.socket {
            match socket.send(message.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => self.socket = None,
            }
        }
        if self.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let sent = self.connect().and_then(|socket| {
            socket.send(message.as_bytes())?;
            Ok(socket)
        });
        self.failed_at = sent.is_err().then(Instant::now);
        self.socket = Some(sent?);
        Ok(())
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}

fn tag() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = called.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{name}[{}]", std::process::id())
}

/// As Mosquitto tells syslog.
const fn severity(kind: LogType) -> u8 {
    match kind {
        LogType::Error => 3,
        LogType::Warning => 4,
        LogType::Notice | LogType::Subscribe | LogType::Unsubscribe => 5,
        LogType::Information => 6,
        LogType::Debug | LogType::Websockets | LogType::Internal => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(daemon: &UnixDatagram) -> String {
        let mut bytes = [0; 2000];
        let length = daemon.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_a_datagram_with_its_priority_time_and_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Some(5));
        assert!(syslog.send(LogType::Notice, 1_688_212_800, "a client came").is_none());
        let line = received(&daemon);
        // local5 is 21, and a notice 5.
        let rest = line.strip_prefix("<173>Jul  1 ").unwrap_or_else(|| panic!("{line}"));
        let (time, rest) = rest.split_once(' ').unwrap();
        assert!(time.len() == 8 && time.matches(':').count() == 2, "{line}");
        assert!(rest.ends_with(&format!("[{}]: a client came", std::process::id())), "{line}");
        assert!(Syslog::new(&path, None).send(LogType::Error, 0, "x").is_none());
        assert!(received(&daemon).starts_with("<27>"));
    }

    #[test]
    fn what_it_does_not_take_is_told_once_and_again_when_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut syslog = Syslog::new(&path, None);
        assert!(syslog.send(LogType::Error, 0, "one").is_some());
        assert!(syslog.send(LogType::Error, 0, "two").is_none(), "that is no news");
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.failed_at = None;
        assert!(syslog.send(LogType::Error, 0, "three").is_none());
        assert!(
            received(&daemon).ends_with("Warning: 2 log lines were lost because syslog did not take them.")
        );
        assert!(received(&daemon).ends_with(": three"));

        // Nobody reads: it fills up, and nothing blocks.
        let news = (0..10_000).filter(|_| syslog.send(LogType::Error, 0, &"x".repeat(900)).is_some()).count();
        assert_eq!(news, 1);

        // Another daemon under the same name.
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.lost = 0;
        assert!(syslog.send(LogType::Error, 0, "four").is_none());
        assert!(received(&daemon).ends_with(": four"));
    }
}

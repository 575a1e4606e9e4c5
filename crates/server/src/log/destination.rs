//! Where lines end up.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use noctule_config::LogType;
use noctule_transport::system_text;

use super::syslog::{self, Syslog};

/// A log file that cannot be opened.
#[derive(Debug)]
pub struct Unopened {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl Unopened {
    /// What Mosquitto says, and why it is so.
    pub fn log_lines(&self) -> [String; 2] {
        let path = self.path.display();
        let reason = match self.source.raw_os_error() {
            Some(libc::ENXIO) => "it is a pipe that nobody reads, or no file at all".to_owned(),
            _ => system_text(&self.source),
        };
        [
            format!("Error: Unable to open log file {path} for writing."),
            format!("Error: The log file {path} cannot be opened: {reason}."),
        ]
    }
}

/// All destinations of `log_dest`.
#[derive(Debug)]
pub(super) struct Destinations {
    /// They get many lines at a time.
    streams: Vec<Stream>,
    /// It gets each line by itself, as [`Destinations::topic`] does.
    syslog: Option<Syslog>,
    /// Whether lines are published too.
    pub(super) topic: bool,
}

#[derive(Debug)]
enum Stream {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Destinations {
    /// Opens what the configuration names. If its file cannot be opened there is only standard error, and the
    /// file is told.
    pub(super) fn open(config: &noctule_config::Log) -> (Self, Option<Unopened>) {
        // The file first: it takes everything, while the others may block.
        let mut all = Vec::new();
        if let Some(path) = &config.file {
            match open_file(path) {
                Ok(file) => all.push(Stream::File { path: path.clone(), file }),
                Err(source) => {
                    let stderr = Self { streams: vec![Stream::Stderr], syslog: None, topic: false };
                    return (stderr, Some(Unopened { path: path.clone(), source }));
                }
            }
        }
        if config.stdout {
            all.push(Stream::Stdout);
        }
        if config.stderr {
            all.push(Stream::Stderr);
        }
        let syslog = config.syslog.then(|| Syslog::new(Path::new(syslog::SOCKET), config.facility));
        (Self { streams: all, syslog, topic: config.topic }, None)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.syslog.is_none() && !self.topic
    }

    /// Sends one line to the system's log, if that is wanted. Gives what is wrong with that, when it is news.
    pub(super) fn send(&mut self, kind: LogType, seconds: i64, line: &str) -> Option<io::Error> {
        self.syslog.as_mut()?.send(kind, seconds, line)
    }

    /// Writes whole lines to every stream; tells whether all took them.
    pub(super) fn write(&mut self, lines: &[u8]) -> bool {
        let mut taken = true;
        for stream in &mut self.streams {
            let result = match stream {
                Stream::Stdout => write_through(io::stdout().lock(), lines),
                Stream::Stderr => write_through(io::stderr().lock(), lines),
                Stream::File { file, .. } => file.write_all(lines),
            };
            taken &= result.is_ok();
        }
        taken
    }

    /// Opens the file again by its name. If that fails the old one stays in use.
    pub(super) fn reopen(&mut self) -> Result<(), Unopened> {
        for stream in &mut self.streams {
            if let Stream::File { path, file } = stream {
                *file = open_file(path).map_err(|source| Unopened { path: path.clone(), source })?;
            }
        }
        Ok(())
    }
}

/// Logs name clients and topics, so the file is the owner's alone.
///
/// A pipe that nobody reads is an error: waiting for a reader would keep the broker from starting, or from obeying
/// signals. Writing to a pipe whose reader is slow waits like writing to standard error does, on the writer's thread.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}

fn write_through(mut to: impl Write, lines: &[u8]) -> io::Result<()> {
    to.write_all(lines)?;
    to.flush()
}

//! Where lines end up.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use noctule_config::LogType;

use super::syslog::{self, Syslog};

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
    /// path is told.
    pub(super) fn open(config: &noctule_config::Log) -> (Self, Option<PathBuf>) {
        // The file first: it takes everything, while the others may block.
        let mut all = Vec::new();
        if let Some(path) = &config.file {
            match open_file(path) {
                Ok(file) => all.push(Stream::File { path: path.clone(), file }),
                Err(_) => {
                    let stderr = Self { streams: vec![Stream::Stderr], syslog: None, topic: false };
                    return (stderr, Some(path.clone()));
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

    /// Opens the file again by its name. If that fails the old one stays in use, and the name is told.
    pub(super) fn reopen(&mut self) -> Result<(), (PathBuf, io::Error)> {
        for stream in &mut self.streams {
            if let Stream::File { path, file } = stream {
                *file = open_file(path).map_err(|error| (path.clone(), error))?;
            }
        }
        Ok(())
    }
}

/// Logs name clients and topics, so the file is the owner's alone.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn write_through(mut to: impl Write, lines: &[u8]) -> io::Result<()> {
    to.write_all(lines)?;
    to.flush()
}

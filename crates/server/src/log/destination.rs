//! Where lines end up.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// All destinations of `log_dest`.
#[derive(Debug)]
pub(super) struct Destinations(Vec<Destination>);

#[derive(Debug)]
enum Destination {
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
                Ok(file) => all.push(Destination::File { path: path.clone(), file }),
                Err(_) => return (Self(vec![Destination::Stderr]), Some(path.clone())),
            }
        }
        if config.stdout {
            all.push(Destination::Stdout);
        }
        if config.stderr {
            all.push(Destination::Stderr);
        }
        (Self(all), None)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes whole lines to every destination; tells whether all took them.
    pub(super) fn write(&mut self, lines: &[u8]) -> bool {
        let mut taken = true;
        for destination in &mut self.0 {
            let result = match destination {
                Destination::Stdout => write_through(io::stdout().lock(), lines),
                Destination::Stderr => write_through(io::stderr().lock(), lines),
                Destination::File { file, .. } => file.write_all(lines),
            };
            taken &= result.is_ok();
        }
        taken
    }

    /// Opens the file again by its name. If that fails the old one stays in use, and the name is told.
    pub(super) fn reopen(&mut self) -> Result<(), (PathBuf, io::Error)> {
        for destination in &mut self.0 {
            if let Destination::File { path, file } = destination {
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

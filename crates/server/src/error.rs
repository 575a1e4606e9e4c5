//! Why a broker did not start, or ended by itself.

use std::io;
use std::path::PathBuf;

use noctule_storage::{DataDirectoryError, StoreError};
use noctule_transport::{ListenError, ResolveError, system_text};

use crate::DeviceError;
use crate::import::ImportError;

/// The broker could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is taken, forbidden or absent.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A listener's host has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A listener's network device is absent, or has no such address.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The configuration has no listener.
    #[error("there is nothing to listen on")]
    NoListener,
    /// More listeners than can be numbered.
    #[error("more than 65535 listeners are configured")]
    TooManyListeners,
    /// `pid_file` cannot be written.
    #[error("cannot write the pid file {}: {}", path.display(), system_text(source))]
    PidFile {
        /// Its name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user named by `user` cannot be become.
    #[error("{0}")]
    User(String),
    /// `persistence_location` is not there, or is no directory.
    #[error("persistence_location {} cannot be used: {}", path.display(), system_text(source))]
    Location {
        /// Its name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirectoryError),
    /// What is in the data directory cannot be read back.
    #[error("what is kept in {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The data directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What Mosquitto kept cannot be taken over.
    #[error("{0}; nothing was imported")]
    Import(#[from] ImportError),
    /// The store cannot keep anything any more.
    #[error("{0}; nothing more was acknowledged")]
    StoreFailed(StoreError),
    /// The system refused something that every broker needs.
    #[error("cannot {what}: {}", system_text(source))]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// A thread ended though nobody asked it to.
    #[error("thread '{thread}' ended: {}", system_text(source))]
    ThreadEnded {
        /// Its name.
        thread: String,
        /// Why.
        source: io::Error,
    },
    /// Connections were still open when the time for ending was over.
    #[error("the broker did not end in time")]
    NotEnded,
}

impl StartError {
    /// An adapter for `map_err`: the system refused to do `what`.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// The lines for the log, in Mosquitto's words where Mosquitto has them.
    pub(crate) fn log_lines(&self, executable: &str) -> Vec<String> {
        match self {
            Self::Listen(error) => {
                let mut lines = Vec::new();
                if error.source.kind() == io::ErrorKind::PermissionDenied {
                    lines.push(
                        "If you are trying to bind to a privileged port (<1024), try using setcap and do not start the broker as root:"
                            .to_owned(),
                    );
                    lines.push(format!("    sudo setcap 'CAP_NET_BIND_SERVICE=+ep {executable}'"));
                }
                lines.push(format!("Error: {}", system_text(&error.source)));
                lines
            }
            Self::Resolve(error) => vec![format!("Error creating listener: {}.", error.text)],
            Self::Device(error) => vec![format!("Error: {error}.")],
            Self::NoListener => vec!["Error: Unable to start any listening sockets, exiting.".to_owned()],
            Self::PidFile { .. } => vec!["Error: Unable to write pid file.".to_owned()],
            Self::User(text) => vec![text.clone()],
            Self::TooManyListeners
            | Self::Location { .. }
            | Self::Data(_)
            | Self::Unreadable { .. }
            | Self::Import(_)
            | Self::StoreFailed(_)
            | Self::System { .. }
            | Self::ThreadEnded { .. }
            | Self::NotEnded => vec![format!("Error: {self}.")],
        }
    }

    /// How to mend it, for people.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen(error) => match error.source.kind() {
                io::ErrorKind::AddrInUse => Some("stop the other broker, or choose another port with -p"),
                io::ErrorKind::PermissionDenied => Some("choose a port above 1023"),
                io::ErrorKind::AddrNotAvailable => Some("`ip address` lists the addresses this machine has"),
                _ => None,
            },
            Self::Resolve(_) => Some("check the host of the listener"),
            Self::Device(_) => {
                Some("`ip address` lists the network devices of this machine and their addresses")
            }
            Self::PidFile { .. } => Some("check that its directory exists and may be written"),
            Self::Location { .. } => {
                Some("make that directory, for the user that the broker runs as, or name another one")
            }
            Self::Import(_) => {
                Some("put a good file in its place, or move it away to begin without what was in it")
            }
            Self::Unreadable { .. } => Some(
                "nothing was changed there: put a copy that `noctule store backup` made in its place, or let `noctule store \
                 repair` save what can be read",
            ),
            Self::StoreFailed(_) => {
                Some("what was acknowledged is kept; see to the disk, then start the broker again")
            }
            Self::Data(_)
            | Self::NoListener
            | Self::TooManyListeners
            | Self::User(_)
            | Self::System { .. }
            | Self::ThreadEnded { .. }
            | Self::NotEnded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(kind: i32) -> StartError {
        let address = ([127, 0, 0, 1], 883).into();
        ListenError { address, source: io::Error::from_raw_os_error(kind) }.into()
    }

    #[test]
    fn a_taken_port_is_told_in_the_systems_words() {
        let error = listen(98);
        assert_eq!(error.log_lines("/usr/bin/noctule"), ["Error: Address already in use"]);
        assert_eq!(error.to_string(), "cannot listen on 127.0.0.1:883: Address already in use");
    }

    #[test]
    fn a_privileged_port_comes_with_mosquittos_advice() {
        let lines = listen(13).log_lines("/usr/bin/noctule");
        assert_eq!(lines[1], "    sudo setcap 'CAP_NET_BIND_SERVICE=+ep /usr/bin/noctule'");
        assert_eq!(lines[2], "Error: Permission denied");
    }
}

//! The server under test, and how patient to be with it.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Where the server is, as whom to connect, and how long to wait.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Sent in every CONNECT that is meant to be accepted.
    pub user_name: Option<String>,
    /// The same.
    pub password: Option<Vec<u8>>,
    /// How long something may take that must come.
    pub patience: Duration,
    /// How long nothing must have come where no later packet can prove it.
    pub silence: Duration,
}

impl Target {
    /// How long something may take that must come, if nobody says otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(2);
    /// How long to listen into silence, if nobody says otherwise.
    pub const SILENCE: Duration = Duration::from_millis(300);

    /// A server that lets everybody in.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            user_name: None,
            password: None,
            patience: Self::PATIENCE,
            silence: Self::SILENCE,
        }
    }

    /// A new connection, that never waits longer than [`Target::patience`] to write.
    pub(crate) fn dial(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.patience.max(Duration::from_secs(1))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(self.patience.max(Duration::from_secs(1))))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

//! Where a server is.

use std::fmt;
use std::time::Duration;

use noctule_transport::Stream;
use noctule_transport::tcp::{self, AddressFamily};

use crate::Error;

/// A host and a port, as the user wrote them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// MQTT's port without TLS.
    pub const DEFAULT_PORT: u16 = 1883;

    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Resolves the name and opens a connection to the first address that answers. May ask a name server, whose
    /// patience is its own; afterwards it waits for at most `timeout`.
    pub fn open(&self, timeout: Duration) -> Result<Stream, Error> {
        let addresses = tcp::resolve(Some(&self.host), self.port, AddressFamily::Any)?;
        tcp::connect(&addresses, timeout)
            .map_err(|source| Error::Unreachable { endpoint: self.clone(), source })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        assert_eq!(Endpoint::new("localhost", 1883).to_string(), "localhost:1883");
        assert_eq!(Endpoint::new("::1", 1883).to_string(), "[::1]:1883");
    }

    #[test]
    fn a_name_without_an_address_is_told_apart_from_a_host_without_a_server() {
        let error = Endpoint::new("no such host", 1883).open(Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, Error::Resolve(_)), "{error}");
        // A listener that is closed again leaves a port where nobody listens.
        let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let error = Endpoint::new("127.0.0.1", closed.port()).open(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot connect to {closed}: Connection refused"));
    }
}

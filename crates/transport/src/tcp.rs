//! TCP: which addresses a listener means, listening on one, and accepting from it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{ListenError, ResolveError, Stream};

/// Connections that may wait to be accepted; the system has its own, usually lower, limit.
const BACKLOG: i32 = 4096;

/// Which kind of addresses is wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddressFamily {
    /// Both.
    #[default]
    Any,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

/// The addresses that `host` stands for, each once, in the resolver's order; no host is every address of the
/// machine. Never empty. May ask a name server, so it can take seconds.
pub fn resolve(
    host: Option<&str>,
    port: u16,
    family: AddressFamily,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut addresses: Vec<SocketAddr> = match host {
        None => [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)]
            .map(|ip| SocketAddr::new(ip, port))
            .into(),
        Some(host) => (host, port)
            .to_socket_addrs()
            .map_err(|error| ResolveError { host: host.to_owned(), text: resolver_text(&error) })?
            .collect(),
    };
    let mut seen = Vec::with_capacity(addresses.len());
    addresses.retain(|address| {
        let wanted = family.includes(address.ip()) && !seen.contains(address);
        seen.push(*address);
        wanted
    });
    match (addresses.is_empty(), host) {
        (true, host) => Err(ResolveError {
            host: host.unwrap_or_default().to_owned(),
            text: "Address family for hostname not supported".to_owned(),
        }),
        (false, _) => Ok(addresses),
    }
}

/// What `gai_strerror` says; the standard library puts its own words before it.
fn resolver_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// Listens on one address, without blocking.
///
/// An address somebody listens on is refused (there is no `SO_REUSEPORT`), one that is only waiting for the last
/// packets of old connections is not. An IPv6 socket takes IPv6 only.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    };
    open().map_err(|source| ListenError { address, source })
}

/// Takes one waiting connection. It never blocks and never waits to fill a packet (`TCP_NODELAY`).
pub fn accept(listener: &TcpListener) -> io::Result<(Stream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    // Fails only for a connection that is reset already; reading from it will tell.
    let _ = stream.set_nodelay(true);
    Ok((Stream::Tcp(stream), peer))
}

/// Opens a connection to the first address that answers, and tells what the last one said if none does. Blocks for at
/// most `timeout`, of which each address gets its share; the connection itself never blocks.
pub fn connect(addresses: &[SocketAddr], timeout: Duration) -> io::Result<Stream> {
    let deadline = Instant::now() + timeout;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let addresses_left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        // A time-out of zero is a mistake to the standard library.
        let share = (left / addresses_left).max(Duration::from_millis(1));
        match std::net::TcpStream::connect_timeout(address, share).and_then(prepare) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// It never blocks and never waits to fill a packet (`TCP_NODELAY`).
fn prepare(stream: std::net::TcpStream) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(Stream::Tcp(mio::net::TcpStream::from_std(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn loopback() -> TcpListener {
        listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
    }

    #[test]
    fn no_host_is_every_address_of_the_machine() {
        let all = resolve(None, 1883, AddressFamily::Any).unwrap();
        assert_eq!(all, ["0.0.0.0:1883".parse().unwrap(), "[::]:1883".parse().unwrap()]);
        let ipv6 = resolve(None, 1883, AddressFamily::Ipv6).unwrap();
        assert_eq!(ipv6, ["[::]:1883".parse().unwrap()]);
    }

    #[test]
    fn a_host_may_lack_the_wanted_family() {
        let error = resolve(Some("127.0.0.1"), 1883, AddressFamily::Ipv6).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot resolve '127.0.0.1': Address family for hostname not supported"
        );
    }

    #[test]
    fn an_unknown_host_is_told_in_the_resolvers_words() {
        let error = resolve(Some("no such host"), 1883, AddressFamily::Any).unwrap_err();
        assert!(!error.text.contains("failed to lookup"), "{error}");
        assert_eq!(error.host, "no such host");
    }

    #[test]
    fn a_second_listener_on_the_same_address_is_refused() {
        let first = loopback();
        let error = listen(first.local_addr().unwrap()).unwrap_err();
        assert_eq!(crate::system_text(&error.source), "Address already in use");
        assert!(!error.is_missing_address());
    }

    #[test]
    fn an_address_of_another_machine_is_missing() {
        // 192.0.2.0/24 is reserved for documentation.
        let error = listen(SocketAddr::from(([192, 0, 2, 1], 0))).unwrap_err();
        assert!(error.is_missing_address(), "{error}");
    }

    #[test]
    fn connecting_takes_the_first_address_that_answers() {
        let (closed, open) = (loopback().local_addr().unwrap(), loopback());
        let timeout = Duration::from_secs(5);
        let Stream::Tcp(stream) = connect(&[closed, open.local_addr().unwrap()], timeout).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        let refused = connect(&[closed], timeout).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect(&[], timeout).is_err());
    }

    #[test]
    fn an_accepted_stream_does_not_delay_and_does_not_block() {
        let listener = loopback();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = loop {
            match accept(&listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.unwrap(),
            }
        };
        assert_eq!(peer, client.local_addr().unwrap());
        let Stream::Tcp(mut tcp) = stream;
        assert!(tcp.nodelay().unwrap());
        let error = io::Read::read(&mut tcp, &mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

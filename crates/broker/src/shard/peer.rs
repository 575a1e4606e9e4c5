//! Who is at the other end.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// The address of a connection's other end, in two words: it is for the log, so the longer kind stands apart.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A Unix socket.
    Local,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Peer {
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Local => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((**address).into()),
        }
    }
}

impl From<Option<SocketAddr>> for Peer {
    fn from(address: Option<SocketAddr>) -> Self {
        match address {
            None => Self::Local,
            Some(SocketAddr::V4(address)) => Self::V4(address),
            Some(SocketAddr::V6(address)) => Self::V6(Box::new(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_and_gives_back_what_it_was_made_of() {
        assert_eq!(size_of::<Peer>(), 16);
        for address in [None, Some("192.0.2.1:1"), Some("[2001:db8::1]:2")] {
            let address = address.map(|text| text.parse().unwrap());
            assert_eq!(Peer::from(address).address(), address);
        }
    }
}

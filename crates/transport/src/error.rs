//! Why a socket could not be opened, in the system's own words.

use std::io;
use std::net::SocketAddr;

/// A listener's host has no address.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve '{host}': {text}")]
pub struct ResolveError {
    /// The host as it was written.
    pub host: String,
    /// The resolver's text, as `gai_strerror` gives it.
    pub text: String,
}

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", system_text(.source))]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl ListenError {
    /// The machine has no such address, or does not speak its family at all: an IPv4 machine asked for `::1`.
    pub fn is_missing_address(&self) -> bool {
        use io::ErrorKind::{AddrNotAvailable, Unsupported};
        // EAFNOSUPPORT has no stable `ErrorKind`, so its number is asked too.
        matches!(self.source.kind(), AddrNotAvailable | Unsupported)
            || self.source.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 47;

/// The system's text for an error as `strerror` gives it: `Address already in use`, without Rust's
/// ` (os error 98)`, because scripts match on it.
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error().and_then(|number| text.strip_suffix(&format!(" (os error {number})"))) {
        Some(text) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_text_has_no_number() {
        assert_eq!(system_text(&io::Error::from_raw_os_error(98)), "Address already in use");
        assert_eq!(system_text(&io::Error::other("no disk")), "no disk");
    }
}

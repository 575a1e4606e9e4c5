//! The addresses of a network device (`bind_interface`).
//!
//! Binding a socket to a device itself is for root only, so its addresses are listened on instead, as Mosquitto does.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;

/// Why a listener cannot be on a device, in Mosquitto's words.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is no such device, or it has no such address.
    #[error("Interface {device} does not support {family} configuration")]
    NoAddress {
        /// Its name.
        device: String,
        /// Which kind of address was looked for.
        family: &'static str,
    },
    /// The listener names another address than the device has.
    #[error("Interface address for {device} does not match specified listener address ({host})")]
    OtherAddress {
        /// Its name.
        device: String,
        /// The listener's host.
        host: String,
    },
    /// The system does not tell.
    #[error("Interfaces cannot be listed: {0}")]
    Unlisted(&'static str),
}

/// The address of the device that is of the same kind as `address`, which is of `host` if there is one.
pub(crate) fn address_on(
    device: &str,
    address: SocketAddr,
    host: Option<&str>,
) -> Result<SocketAddr, DeviceError> {
    let all = getifaddrs().map_err(|error| DeviceError::Unlisted(error.desc()))?;
    let own = all.filter(|own| own.interface_name.eq_ignore_ascii_case(device));
    let own = own.filter_map(|own| {
        let own = own.address?;
        let ip = match (own.as_sockaddr_in(), own.as_sockaddr_in6()) {
            (Some(own), _) => IpAddr::V4(own.ip()),
            (None, Some(own)) => IpAddr::V6(own.ip()),
            (None, None) => return None,
        };
        // A link-local address is none without its link.
        let is_usable = match ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        };
        (is_usable && ip.is_ipv4() == address.is_ipv4()).then_some(ip)
    });
    let own: Vec<IpAddr> = own.collect();
    let device = device.to_owned();
    match (own.first(), host) {
        (None, _) => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            Err(DeviceError::NoAddress { device, family })
        }
        (Some(&ip), None) => Ok(SocketAddr::new(ip, address.port())),
        (Some(_), Some(_)) if own.contains(&address.ip()) => Ok(address),
        (Some(_), Some(host)) => Err(DeviceError::OtherAddress { device, host: host.to_owned() }),
    }
}

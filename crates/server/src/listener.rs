//! The listening sockets of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mio::net::TcpListener;
use noctule_config::{Config, Listener, Protocol, SocketDomain};
use noctule_transport::system_text;
use noctule_transport::tcp::{self, AddressFamily};

use crate::error::StartError;
use crate::log::Log;

/// All listening sockets, open. What comes in waits until a broker accepts it.
#[derive(Debug)]
pub struct Listeners(pub(crate) Vec<OpenListener>);

/// One listening socket.
#[derive(Debug)]
pub(crate) struct OpenListener {
    /// Place of its listener in the configuration.
    pub(crate) index: u16,
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    /// Shared by all sockets of one listener.
    pub(crate) places: Arc<Places>,
}

impl Listeners {
    /// Opens every listener of the configuration, in order, and says so as Mosquitto does.
    ///
    /// A host may have several addresses, and an address that this machine does not have is only told about, as long
    /// as the listener has another one. In local only mode the listeners stand for each other.
    pub fn open(config: &Config, log: &Log) -> Result<Self, StartError> {
        if config.local_only {
            log.warning(
                "Starting in local only mode. Connections will only be possible from clients running on this machine.",
            );
            log.warning("Create a configuration file which defines a listener to allow remote access.");
        }
        let mut open = Vec::new();
        let mut missing = None;
        for (index, listener) in config.listeners.iter().enumerate() {
            let index = u16::try_from(index).map_err(|_| StartError::TooManyListeners)?;
            let before = open.len();
            match listener.protocol {
                Protocol::Mqtt => open_tcp(index, listener, log, &mut open, &mut missing)?,
            }
            if open.len() == before && !config.local_only {
                return Err(missing.take().unwrap_or(StartError::NoListener));
            }
        }
        if open.is_empty() { Err(missing.unwrap_or(StartError::NoListener)) } else { Ok(Self(open)) }
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|listener| listener.address)
    }
}

fn open_tcp(
    index: u16,
    listener: &Listener,
    log: &Log,
    open: &mut Vec<OpenListener>,
    missing: &mut Option<StartError>,
) -> Result<(), StartError> {
    let family = match listener.address.domain {
        SocketDomain::Any => AddressFamily::Any,
        SocketDomain::Ipv4 => AddressFamily::Ipv4,
        SocketDomain::Ipv6 => AddressFamily::Ipv6,
    };
    let places = Arc::new(Places::new(listener.max_connections));
    for address in tcp::resolve(listener.address.host.as_deref(), listener.address.port, family)? {
        let name = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        log.information(format!("Opening {name} listen socket on port {}.", address.port()));
        match tcp::listen(address) {
            Ok(socket) => {
                // Differs from what was asked for if that was port 0.
                let address = socket.local_addr().unwrap_or(address);
                open.push(OpenListener { index, socket, address, places: Arc::clone(&places) });
            }
            Err(error) if error.is_missing_address() => {
                log.warning(format!("Warning: {}", system_text(&error.source)));
                *missing = Some(error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The connections that one listener may have at a time (`max_connections`).
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicU32,
    max: u32,
}

impl Places {
    pub(crate) fn new(max: Option<u32>) -> Self {
        Self { taken: AtomicU32::new(0), max: max.unwrap_or(u32::MAX) }
    }

    /// A place, if one is free.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let add = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_config::ListenAddress;

    fn config(hosts: &[&str]) -> Config {
        let listener = |host: &&str| {
            Listener::new(ListenAddress {
                host: Some((*host).to_owned()),
                port: 0,
                domain: SocketDomain::Any,
            })
        };
        Config { listeners: hosts.iter().map(listener).collect(), ..Config::default() }
    }

    // 192.0.2.0/24 is reserved for documentation, so no machine has such an address.
    const NOWHERE: &str = "192.0.2.1";

    #[test]
    fn local_listeners_stand_for_each_other() {
        for hosts in [["127.0.0.1", NOWHERE], [NOWHERE, "127.0.0.1"]] {
            let listeners = Listeners::open(&config(&hosts), &Log::none()).unwrap();
            assert_eq!(listeners.addresses().count(), 1);
        }
        let error = Listeners::open(&config(&[NOWHERE, NOWHERE]), &Log::none()).unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
    }

    #[test]
    fn a_defined_listener_must_listen() {
        let config = Config { local_only: false, ..config(&["127.0.0.1", NOWHERE]) };
        assert!(matches!(Listeners::open(&config, &Log::none()), Err(StartError::Listen(_))));
    }

    #[test]
    fn places_come_back() {
        let places = Arc::new(Places::new(Some(1)));
        let place = places.take().unwrap();
        assert!(places.take().is_none());
        drop(place);
        assert!(places.take().is_some());
    }
}

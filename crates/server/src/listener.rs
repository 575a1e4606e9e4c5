//! The listening sockets of the configuration.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mio::net::TcpListener;
use noctule_config::{Config, Listener, Protocol, SocketDomain};
use noctule_transport::system_text;
use noctule_transport::tcp::{self, AddressFamily};

use crate::error::StartError;
use crate::log::Log;
use crate::network_device;

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
        let all = Arc::new(Places::new(config.global_max_connections.map(NonZeroU32::get)));
        let mut open = Vec::new();
        let mut missing = None;
        for (index, listener) in config.listeners.iter().enumerate() {
            let index = u16::try_from(index).map_err(|_| StartError::TooManyListeners)?;
            let before = open.len();
            match listener.protocol {
                Protocol::Mqtt => open_tcp((index, listener), &all, log, &mut open, &mut missing)?,
            }
            if open.len() == before && !config.local_only {
                return Err(missing.take().unwrap_or(StartError::NoListener));
            }
        }
        if open.is_empty() { Err(missing.unwrap_or(StartError::NoListener)) } else { Ok(Self(open)) }
    }

    /// What all of them may have at a time.
    pub(crate) fn places(&self) -> Arc<Places> {
        let all = self.0.first().and_then(|listener| listener.places.all.clone());
        all.unwrap_or_else(|| Arc::new(Places::new(None)))
    }

    /// Where clients can connect.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|listener| listener.address)
    }
}

fn open_tcp(
    (index, listener): (u16, &Listener),
    all: &Arc<Places>,
    log: &Log,
    open: &mut Vec<OpenListener>,
    missing: &mut Option<StartError>,
) -> Result<(), StartError> {
    let family = match listener.address.domain {
        SocketDomain::Any => AddressFamily::Any,
        SocketDomain::Ipv4 => AddressFamily::Ipv4,
        SocketDomain::Ipv6 => AddressFamily::Ipv6,
    };
    let places = Arc::new(Places::within(listener.max_connections, all));
    for mut address in tcp::resolve(listener.address.host.as_deref(), listener.address.port, family)? {
        let name = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        log.information(format!("Opening {name} listen socket on port {}.", address.port()));
        if let Some(device) = &listener.bind_interface {
            match network_device::address_on(device, address, listener.address.host.as_deref()) {
                Ok(own) => address = own,
                Err(error) => {
                    log.warning(format!("Warning: {error}."));
                    *missing = Some(error.into());
                    continue;
                }
            }
        }
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

/// The connections that one listener may have at a time (`max_connections`), or all of them (`global_max_connections`).
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicU32,
    max: AtomicU32,
    /// What a place of these takes too.
    all: Option<Arc<Places>>,
}

impl Places {
    pub(crate) fn new(max: Option<u32>) -> Self {
        let places = Self { taken: AtomicU32::new(0), max: AtomicU32::default(), all: None };
        places.set_max(max);
        places
    }

    /// So many of all.
    fn within(max: Option<u32>, all: &Arc<Self>) -> Self {
        Self { all: Some(Arc::clone(all)), ..Self::new(max) }
    }

    /// From now on there are so many. Who has one keeps it.
    pub(crate) fn set_max(&self, max: Option<u32>) {
        self.max.store(max.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A place, if one is free.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        self.enter().then(|| Place(Arc::clone(self)))
    }

    fn enter(&self) -> bool {
        let add = |taken| (taken < self.max.load(Ordering::Relaxed)).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        let enters_all = self.all.as_ref().is_none_or(|all| all.enter());
        if !enters_all {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        enters_all
    }

    fn leave(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.leave();
        }
    }
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
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

    #[test]
    fn a_place_is_one_of_all() {
        let all = Arc::new(Places::new(Some(2)));
        let [one, other] = [(); 2].map(|()| Arc::new(Places::within(Some(2), &all)));
        let places = [one.take().unwrap(), other.take().unwrap()];
        assert!(one.take().is_none() && other.take().is_none());
        all.set_max(Some(3));
        let third = one.take().unwrap();
        assert!(other.take().is_none());
        all.set_max(Some(1));
        drop((places, third));
        let last = other.take().unwrap();
        assert!(one.take().is_none());
        all.set_max(None);
        assert!(one.take().is_some());
        drop(last);
        assert_eq!((all.taken.load(Ordering::Relaxed), one.taken.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_device_gives_its_own_addresses() {
        let on = |device: &str, host: Option<&str>| {
            let address =
                ListenAddress { host: host.map(str::to_owned), port: 0, domain: SocketDomain::Ipv4 };
            let listener = Listener { bind_interface: Some(device.to_owned()), ..Listener::new(address) };
            let config = Config { listeners: vec![listener], local_only: false, ..Config::default() };
            let opened = Listeners::open(&config, &Log::none());
            opened.map(|open| open.addresses().map(|address| address.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(on("lo", None).unwrap(), ["127.0.0.1"]);
        assert_eq!(on("lo", Some("127.0.0.1")).unwrap(), ["127.0.0.1"]);
        for (device, host, told) in [
            ("nope0", Some("127.0.0.1"), "Interface nope0 does not support IPv4 configuration"),
            ("nope0", None, "Interface nope0 does not support IPv4 configuration"),
            (
                "lo",
                Some("127.0.0.2"),
                "Interface address for lo does not match specified listener address (127.0.0.2)",
            ),
        ] {
            let error = on(device, host).unwrap_err();
            assert!(matches!(error, StartError::Device(_)) && error.to_string() == told, "{error}");
        }
    }
}

//! Opening connections: some hundred at a time, each until CONNACK and, if it has a filter, SUBACK.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use noctule_client::Endpoint;
use noctule_client::protocol::frame::{Frame, PacketType};
use noctule_client::protocol::packet::{
    Connack, ConnackCode, Connect, Filters, Suback, Subscribe, SubscriptionOptions,
};
use noctule_client::protocol::property::{Properties, Property};
use noctule_client::protocol::{
    ConnectReturnCode, PacketId, ProtocolVersion, QoS, ReasonCode, SubscriptionFilter,
};

use super::fault::Fault;
use super::fleet::Fleet;
use super::stop::Stop;

/// Handshakes under way at the same time; a listener's queue is longer.
const IN_PROGRESS_MAX: usize = 256;
/// The longest that MQTT knows, so that pings are no part of what is measured; a broker may ask for less.
const KEEP_ALIVE_SECONDS: u16 = 65_535;
/// Files besides connections: standard streams, the poll, the timer, /proc, and some more.
const OTHER_FILES: u64 = 32;

/// How this run speaks to the broker.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) endpoint: Endpoint,
    pub(super) version: ProtocolVersion,
    pub(super) user_name: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) stall_max: Duration,
}

/// One who comes in.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    /// The broker keeps its session when it is gone.
    pub(super) is_kept: bool,
    pub(super) subscription: Option<(String, QoS)>,
}

/// Connections that were opened together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew {
    /// The number of the first; the others follow.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Messages that the broker takes from each before it acknowledges one.
    pub(super) receive_maximum: u16,
}

impl Crew {
    /// Which of them this connection is.
    #[inline]
    pub(super) const fn place(&self, connection: usize) -> Option<usize> {
        match connection.checked_sub(self.first) {
            Some(place) if place < self.count => Some(place),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Connack,
    Suback,
    Done,
}

/// Makes room for so many connections.
pub(super) fn raise_descriptor_limit(connections: u64) -> Result<(), Fault> {
    let wanted = connections + OTHER_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    if wanted > hard {
        return Err(Fault::Descriptors { wanted, limit: hard });
    }
    if wanted > soft {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io::Error::from)?;
    }
    Ok(())
}

impl Door {
    /// The first address of the endpoint that takes a connection.
    pub(super) fn resolve(&self) -> Result<SocketAddr, Fault> {
        let Endpoint { host, port } = &self.endpoint;
        let addresses = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|source| Fault::Lookup { host: host.clone(), source })?;
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in addresses {
            match std::net::TcpStream::connect_timeout(&address, self.stall_max) {
                Ok(_) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(Fault::Unreachable { endpoint: self.endpoint.clone(), source: last })
    }

    /// Opens connections for `count` clients. What comes on them besides the handshake, `on_frame` gets: the place of
    /// the client, where to answer, and the frame. Ends early, with fewer, when it is asked to stop.
    pub(super) fn open(
        &self,
        fleet: &mut Fleet,
        address: SocketAddr,
        count: usize,
        client: impl Fn(usize) -> Client,
        stop: &Stop,
        mut on_frame: impl FnMut(usize, &mut Vec<u8>, Frame<'_>) -> Result<(), Fault>,
    ) -> Result<Crew, Fault> {
        let mut crew = Crew { first: fleet.connections.len(), count: 0, receive_maximum: u16::MAX };
        let mut steps: Vec<Step> = Vec::with_capacity(count);
        let mut done = 0;
        let mut progress_at = Instant::now();
        while done < count && !stop.is_requested() {
            while steps.len() < count && steps.len() - done < IN_PROGRESS_MAX {
                let client = client(steps.len());
                let index = self.connect(fleet, address, &client)?;
                self.append_connect(&client, fleet.out(index))?;
                steps.push(Step::Connack);
            }
            fleet.flush().map_err(|fault| self.at_the_door(fault))?;
            fleet.wait(Duration::from_millis(100)).map_err(|fault| self.at_the_door(fault))?;
            let mut ready = fleet.take_ready();
            let before = done;
            for index in ready.drain(..) {
                let Some(place) = index.checked_sub(crew.first) else {
                    fleet.read_unasked(index)?;
                    continue;
                };
                let step = &mut steps[place];
                let keep_alive = &mut fleet.keep_alive.take();
                let read = fleet.read(index, |out, frame| match (*step, frame.packet_type()) {
                    (Step::Connack, Ok(PacketType::Connack)) => {
                        let client = client(place);
                        let announced = self.on_connack(&client, frame)?;
                        crew.receive_maximum = crew.receive_maximum.min(announced.receive_maximum);
                        let shorter = keep_alive.unwrap_or(announced.keep_alive).min(announced.keep_alive);
                        *keep_alive = Some(shorter);
                        *step = match &client.subscription {
                            Some((filter, qos)) => {
                                append_subscribe(
                                    self.version,
                                    PacketId::FIRST,
                                    &[filter.as_str()],
                                    *qos,
                                    out,
                                )?;
                                Step::Suback
                            }
                            None => Step::Done,
                        };
                        done += usize::from(*step == Step::Done);
                        Ok(())
                    }
                    (Step::Suback, Ok(PacketType::Suback)) => {
                        let client = client(place);
                        if let Some((filter, qos)) = &client.subscription {
                            check_suback(self.version, &client.id, |_| filter.clone(), *qos, frame)?;
                        }
                        *step = Step::Done;
                        done += 1;
                        Ok(())
                    }
                    (Step::Connack, _) => Err(Fault::Unexpected {
                        client: client(place).id,
                        what: "something else than CONNACK".to_owned(),
                    }),
                    (Step::Suback | Step::Done, _) => on_frame(place, out, frame),
                });
                fleet.keep_alive = *keep_alive;
                read.map_err(
                    |fault| if steps[place] == Step::Connack { self.at_the_door(fault) } else { fault },
                )?;
            }
            fleet.give_back(ready);
            if done > before {
                progress_at = Instant::now();
            } else if progress_at.elapsed() > self.stall_max {
                let seconds = self.stall_max.as_secs();
                return Err(Fault::OpeningStalled { opened: done, wanted: count, seconds });
            }
        }
        crew.count = done;
        Ok(crew)
    }

    fn connect(&self, fleet: &mut Fleet, address: SocketAddr, client: &Client) -> Result<usize, Fault> {
        let unreachable = |source| Fault::Unreachable { endpoint: self.endpoint.clone(), source };
        let stream = TcpStream::connect(address).map_err(unreachable)?;
        stream.set_nodelay(true)?;
        Ok(fleet.add(client.id.clone(), stream)?)
    }

    fn append_connect(&self, client: &Client, out: &mut Vec<u8>) -> Result<(), Fault> {
        let properties = match client.is_kept {
            // For ever: until this run ends it.
            true => Properties::new([Property::SessionExpiryInterval(u32::MAX)]),
            false => Properties::EMPTY,
        };
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: !client.is_kept,
            keep_alive: KEEP_ALIVE_SECONDS,
            properties,
            client_id: &client.id,
            will: None,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
        };
        Ok(connect.encode(out)?)
    }

    /// Brokers take liberties with CONNACK; one that says yes is believed.
    fn on_connack(&self, client: &Client, frame: Frame<'_>) -> Result<Announced, Fault> {
        let defaults = Announced {
            receive_maximum: u16::MAX,
            keep_alive: Duration::from_secs(KEEP_ALIVE_SECONDS.into()),
        };
        let connack = match Connack::decode(frame, self.version) {
            Ok(connack) => connack,
            Err(_) if frame.body.get(1) == Some(&0) => return Ok(defaults),
            // Who does not know MQTT 5 says so in the words of 3.1.1 [MQTT311-3.1.2-2].
            Err(_) if Connack::decode(frame, ProtocolVersion::V311).is_ok() => {
                let code = ConnackCode::V3(ConnectReturnCode::UnacceptableProtocolVersion);
                return Err(Fault::Refused { client: client.id.clone(), code, reason: None });
            }
            Err(error) => return Err(Fault::Malformed { client: client.id.clone(), error }),
        };
        if connack.code != ConnackCode::V3(ConnectReturnCode::Accepted)
            && connack.code != ConnackCode::V5(ReasonCode::Success)
        {
            return Err(Fault::Refused {
                client: client.id.clone(),
                code: connack.code,
                reason: connack.properties.reason_string().map(str::to_owned),
            });
        }
        let asked = connack.properties.server_keep_alive().filter(|seconds| *seconds > 0);
        Ok(Announced {
            receive_maximum: connack.properties.receive_maximum().unwrap_or(u16::MAX),
            keep_alive: asked.map_or(defaults.keep_alive, |seconds| Duration::from_secs(seconds.into())),
        })
    }

    /// A socket that breaks before CONNACK was never connected, or not to a broker.
    fn at_the_door(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Broken { source, .. } => Fault::Unreachable { endpoint: self.endpoint.clone(), source },
            Fault::Closed { client, .. } => Fault::Closed { client, during: "instead of answering CONNECT" },
            fault => fault,
        }
    }
}

struct Announced {
    receive_maximum: u16,
    keep_alive: Duration,
}

/// What a client gets that waits for nothing: at most the answer to its ping.
#[inline]
pub(super) fn unasked(client: impl Fn() -> String, frame: Frame<'_>) -> Result<(), Fault> {
    match frame.packet_type() {
        Ok(PacketType::Pingresp) => Ok(()),
        Ok(PacketType::Disconnect) => {
            Err(Fault::Disconnected { client: client(), code: frame.body.first().copied().unwrap_or(0) })
        }
        Ok(PacketType::Publish) => Err(Fault::Unexpected { client: client(), what: "a message".to_owned() }),
        _ => Err(Fault::Unexpected {
            client: client(),
            what: format!("a packet that begins with {:#04x}", frame.first_byte),
        }),
    }
}

/// Appends a SUBSCRIBE for these filters; each must be valid.
pub(super) fn append_subscribe(
    version: ProtocolVersion,
    packet_id: PacketId,
    filters: &[&str],
    qos: QoS,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let options = SubscriptionOptions::new(qos);
    let parsed =
        filters.iter().map(|filter| SubscriptionFilter::parse(filter).map(|filter| (filter, options)));
    let parsed: Vec<_> = parsed.collect::<Result<_, _>>().map_err(|error| Fault::Usage(error.to_string()))?;
    let filters = Filters::from_pairs(parsed)
        .ok_or_else(|| Fault::Usage("there is nothing to subscribe to".to_owned()))?;
    Ok(Subscribe { packet_id, properties: Properties::EMPTY, filters }.encode(version, out)?)
}

/// Everything asked for must have been granted. Tells how many answers there were; `filter` tells which one was asked
/// for at a place.
pub(super) fn check_suback(
    version: ProtocolVersion,
    client: &str,
    filter: impl Fn(usize) -> String,
    asked: QoS,
    frame: Frame<'_>,
) -> Result<usize, Fault> {
    let suback = Suback::decode(frame, version)
        .map_err(|error| Fault::Malformed { client: client.to_owned(), error })?;
    for (place, code) in suback.codes.iter().enumerate() {
        if *code >= 0x80 {
            let (client, filter) = (client.to_owned(), filter(place));
            return Err(Fault::NotSubscribed { client, filter, code: *code });
        }
        if *code < asked.level() {
            let (client, filter) = (client.to_owned(), filter(place));
            return Err(Fault::LowerQoS { client, filter, granted: *code, asked: asked.level() });
        }
    }
    Ok(suback.codes.len())
}

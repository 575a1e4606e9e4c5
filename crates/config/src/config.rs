//! What the broker is told: plain values with defaults, built once and passed down.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::{AclFile, PasswordFile};
use crate::diagnostic::Position;
use crate::log::Log;

/// Everything a configuration file and the command line say. [`Config::default`] is what an empty file gives:
/// loopback only, anonymous clients welcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where to listen. Never empty.
    pub listeners: Vec<Listener>,
    /// No `listener`, `port` or `bind_address` was given: `listeners` are loopback ones, and the broker should
    /// say that only this machine can connect. A loopback address that the machine lacks is then no error.
    pub local_only: bool,
    /// What one client may ask of the broker.
    pub limits: ClientLimits,
    /// Sessions at a time, connected or not; `None` is any number.
    pub global_max_clients: Option<NonZeroU32>,
    /// Connections at a time at all listeners; `None` is any number.
    pub global_max_connections: Option<NonZeroU32>,
    /// How often expired retained messages are looked for; `None` leaves it to the broker.
    pub retain_expiry_interval: Option<Duration>,
    /// Retained messages are kept and delivered; if not, a retained publish disconnects.
    pub retain_available: bool,
    /// Deliver at the subscription's QoS even if the message was published with a lower one.
    pub upgrade_outgoing_qos: bool,
    /// One copy for each matching subscription; if false, one copy for all of them.
    pub allow_duplicate_messages: bool,
    /// A durable session whose client was not seen for this long ends; `None` is never.
    pub persistent_client_expiration: Option<Duration>,
    /// How often `$SYS` is published; `None` is never.
    pub sys_interval: Option<Duration>,
    /// What client identifiers must begin with; `None` is anything.
    pub clientid_prefixes: Option<String>,
    /// A retained message is delivered only while its publisher may still write to its topic.
    pub check_retain_source: bool,
    /// What survives a restart.
    pub persistence: Persistence,
    /// Where log lines go and which of them.
    pub log: Log,
    /// Receives the process number; removed at exit.
    pub pid_file: Option<PathBuf>,
    /// The user to become when started as root, as written in the file.
    pub user: Option<String>,
    /// Event loops, each on its own thread; `None` is one for each core that the process may use.
    pub worker_threads: Option<NonZeroU16>,
    /// Connections that an event loop gets before the next one is given any.
    pub worker_connections_min: u32,
    /// What the broker may use in all.
    pub memory_limit: MemoryLimit,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: Listener::loopback(1883).into(),
            local_only: true,
            limits: ClientLimits::default(),
            global_max_clients: None,
            global_max_connections: None,
            retain_expiry_interval: None,
            retain_available: true,
            upgrade_outgoing_qos: false,
            allow_duplicate_messages: true,
            persistent_client_expiration: None,
            sys_interval: Some(Duration::from_secs(10)),
            clientid_prefixes: None,
            check_retain_source: true,
            persistence: Persistence::default(),
            log: Log::default(),
            pid_file: None,
            user: None,
            worker_threads: None,
            worker_connections_min: 32,
            memory_limit: MemoryLimit::default(),
        }
    }
}

/// How much memory the broker may use before it takes measures.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MemoryLimit {
    /// 80 % of what the machine has, or of what its control group may use.
    #[default]
    OfMachine,
    /// As much as there is.
    Unlimited,
    /// So many bytes.
    Bytes(NonZeroU64),
}

/// What one client may ask of the broker. Nothing here is unbounded unless it says `None`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientLimits {
    /// QoS 1 and 2 messages in flight towards one client, and the Receive Maximum told to it.
    /// `None` is no limit but the protocol's (65535).
    pub max_inflight_messages: Option<NonZeroU16>,
    /// Payload bytes of QoS 1 and 2 messages in flight towards one client; one message is always allowed.
    pub max_inflight_bytes: Option<NonZeroU64>,
    /// Messages queued for one session beyond those in flight; when full, the new message is dropped.
    pub max_queued_messages: Option<NonZeroU32>,
    /// The same in bytes; the first limit reached wins.
    pub max_queued_bytes: Option<NonZeroU64>,
    /// Queue QoS 0 messages too for durable sessions whose client is away.
    pub queue_qos0_messages: bool,
    /// Longest Keep Alive granted, in seconds: 5.0 clients are told, 3.x clients that ask for more are refused.
    pub max_keepalive: Option<NonZeroU16>,
    /// Largest packet accepted, in bytes; told to 5.0 clients.
    pub max_packet_size: u32,
    /// Largest payload accepted, in bytes; a larger message is acknowledged and dropped.
    pub message_size_limit: Option<NonZeroU32>,
    /// Bytes that may wait in one connection's outgoing buffer before QoS 0 messages to it are dropped.
    pub outbox_bytes_max: u32,
    /// How long a new connection may take until its CONNECT is accepted.
    pub connect_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_inflight_messages: NonZeroU16::new(20),
            max_inflight_bytes: None,
            max_queued_messages: NonZeroU32::new(1000),
            max_queued_bytes: None,
            queue_qos0_messages: false,
            max_keepalive: None,
            max_packet_size: 2_000_000,
            message_size_limit: None,
            outbox_bytes_max: 1 << 20,
            connect_timeout: Duration::from_secs(30),
        }
    }
}

/// One place to accept clients at, and what holds for those who come in there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// Where to listen.
    pub address: ListenAddress,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The network device whose addresses are listened on.
    pub bind_interface: Option<String>,
    /// What stands in front of every topic of its clients.
    pub mount_point: Option<String>,
    /// Connections at a time, never 0; `None` is any number.
    pub max_connections: Option<u32>,
    /// Highest QoS that clients may publish with: 0, 1 or 2.
    pub max_qos: u8,
    /// Topic aliases that a client may use towards the broker; 0 is none.
    pub max_topic_alias: u16,
    /// Topic aliases that the broker may use towards a client; 0 is none.
    pub max_topic_alias_broker: u16,
    /// Accept clients that give no user name, unless [`listener_allow_anonymous`](Self::listener_allow_anonymous) says
    /// otherwise: see [`accepts_anonymous`](Self::accepts_anonymous).
    pub allow_anonymous: bool,
    /// What its own directive says about that.
    pub listener_allow_anonymous: Option<bool>,
    /// Make an identifier for clients that send an empty one.
    pub allow_zero_length_clientid: bool,
    /// What made identifiers begin with, unless [`listener_auto_id_prefix`](Self::listener_auto_id_prefix) says otherwise:
    /// see [`id_prefix`](Self::id_prefix). At most 50 bytes.
    pub auto_id_prefix: String,
    /// What its own directive says about that.
    pub listener_auto_id_prefix: Option<String>,
    /// What acknowledgements to its clients wait for.
    pub durability: Durability,
    /// Versions of the protocol that are accepted: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0.
    pub accept_protocol_versions: Vec<u8>,
    /// The user name is the client identifier.
    pub use_username_as_clientid: bool,
    /// Who may come in with a user name; `None` is everybody that `allow_anonymous` lets in.
    pub password_file: Option<Arc<PasswordFile>>,
    /// Who may do what; `None` is everybody everything.
    pub acl_file: Option<Arc<AclFile>>,
    /// The line that opened this listener, for messages about it. `None` for loopback listeners nobody asked for.
    pub defined_at: Option<Position>,
}

impl Listener {
    /// A listener with every option at its default. Anonymous clients are refused.
    pub fn new(address: ListenAddress) -> Self {
        Self {
            address,
            protocol: Protocol::Mqtt,
            bind_interface: None,
            mount_point: None,
            max_connections: None,
            max_qos: 2,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            allow_anonymous: false,
            listener_allow_anonymous: None,
            allow_zero_length_clientid: true,
            auto_id_prefix: "auto-".to_owned(),
            listener_auto_id_prefix: None,
            durability: Durability::Sync,
            accept_protocol_versions: vec![3, 4, 5],
            use_username_as_clientid: false,
            password_file: None,
            acl_file: None,
            defined_at: None,
        }
    }

    /// Whether clients that give no user name are accepted.
    pub fn accepts_anonymous(&self) -> bool {
        self.listener_allow_anonymous.unwrap_or(self.allow_anonymous)
    }

    /// What made identifiers begin with.
    pub fn id_prefix(&self) -> &str {
        self.listener_auto_id_prefix.as_deref().unwrap_or(&self.auto_id_prefix)
    }

    /// The two listeners of local only mode: 127.0.0.1 and ::1, anonymous clients welcome.
    pub fn loopback(port: u16) -> [Self; 2] {
        ["127.0.0.1", "::1"].map(|host| {
            let address = ListenAddress { host: Some(host.to_owned()), port, domain: SocketDomain::Any };
            Self { allow_anonymous: true, ..Self::new(address) }
        })
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenAddress {
    /// A host name or address as written; it may resolve to several. `None` is every address of the machine.
    pub host: Option<String>,
    /// TCP port, never 0.
    pub port: u16,
    /// Which of the host's addresses to take.
    pub domain: SocketDomain,
}

/// Which kind of address a listener takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SocketDomain {
    /// Both kinds.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// What a listener's clients speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// MQTT over TCP.
    Mqtt,
}

/// What must be so before clients of a listener are told that something is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// It is on the disk.
    #[default]
    Sync,
    /// The operating system has it.
    Flush,
    /// Nothing.
    Memory,
}

/// What is kept on disk. While `enabled` is false the rest has no effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Persistence {
    /// Sessions, queues and retained messages survive a restart.
    pub enabled: bool,
    /// The directory that the data directory is in; `None` is the current one.
    pub location: Option<PathBuf>,
    /// The data directory itself, made if it is not there: the command line named it.
    pub data: Option<PathBuf>,
    /// The name of Mosquitto's database in `location`.
    pub file: String,
    /// Mosquitto's database in SQLite, where `plugin_opt_db_file` names one.
    pub sqlite_file: Option<PathBuf>,
    /// Seconds, or changes if `autosave_on_changes`, between two saves in Mosquitto. Everything is saved at once here.
    pub autosave_interval: u32,
    /// `autosave_interval` counts changes.
    pub autosave_on_changes: bool,
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            enabled: false,
            location: None,
            data: None,
            file: "mosquitto.db".to_owned(),
            sqlite_file: None,
            autosave_interval: 1800,
            autosave_on_changes: false,
        }
    }
}

impl Persistence {
    /// The name of the data directory in `location`.
    const DIRECTORY: &str = "noctule";

    /// Where `location` is.
    pub fn location(&self) -> &Path {
        self.location.as_deref().unwrap_or(Path::new("."))
    }

    /// Where everything is kept.
    pub fn data_directory(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.location().join(Self::DIRECTORY))
    }
}

//! What a broker is told about how to decide. Names, defaults and meanings are Mosquitto's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::{ProtocolVersion, QoS};

use crate::{AccessRules, ListenerIndex, LogLevels, MountPoint, QueueHead};

/// Limits and choices of one broker. The defaults are safe on an open network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By [`ListenerIndex`](crate::ListenerIndex).
    pub listeners: Vec<ListenerSettings>,
    /// Largest packet accepted, in bytes; announced in CONNACK 5.0 (`max_packet_size`).
    pub maximum_packet_size: u32,
    /// Largest payload accepted, in bytes, 0 for any; a larger message is acknowledged and dropped (`message_size_limit`).
    pub message_size_limit: usize,
    /// Sessions at a time, connected or not, 0 for any number (`global_max_clients`).
    pub global_max_clients: usize,
    /// How often expired retained messages are looked for (`retain_expiry_interval`).
    pub retain_expiry_interval: Duration,
    /// Largest frame accepted before CONNECT, in bytes.
    pub connect_packet_size: u32,
    /// How long a connection may take to send its CONNECT.
    pub connect_timeout: Duration,
    /// Outgoing QoS 1 and 2 messages one client may have in flight, 0 for 65535; also the Receive Maximum
    /// announced in CONNACK 5.0 (`max_inflight_messages`).
    pub max_inflight_messages: u16,
    /// Payload bytes of outgoing QoS 1 and 2 messages in flight per client, 0 for no limit; one message may
    /// always be in flight (`max_inflight_bytes`).
    pub max_inflight_bytes: usize,
    /// Messages queued per session beyond those in flight, 0 for no limit; the new one is dropped
    /// (`max_queued_messages`).
    pub max_queued_messages: usize,
    /// The same in payload bytes, 0 for no limit (`max_queued_bytes`).
    pub max_queued_bytes: usize,
    /// How much of each queue may be in memory, where it is on disk too. Without a store, all of it.
    pub queue_head: QueueHead,
    /// Whether QoS 0 messages are queued for absent sessions (`queue_qos0_messages`).
    pub queue_qos0_messages: bool,
    /// Longest Keep Alive granted, in seconds, 0 for any (`max_keepalive`).
    pub max_keepalive: u16,
    /// Whether retained messages are accepted (`retain_available`).
    pub retain_available: bool,
    /// Whether a client gets a copy for each of its matching subscriptions (`allow_duplicate_messages`).
    pub allow_duplicate_messages: bool,
    /// Whether messages are delivered at the subscription's QoS even if published lower
    /// (`upgrade_outgoing_qos`).
    pub upgrade_outgoing_qos: bool,
    /// Longest life of a session without connection (`persistent_client_expiration`).
    pub persistent_client_expiration: Option<Duration>,
    /// Whether clients' comings and goings are logged (`connection_messages`).
    pub connection_messages: bool,
    /// Bytes one connection's outgoing buffer may hold. Above it QoS 0 is dropped, QoS 1 and 2 wait in the
    /// session, and a client whose own answers fill it is not read from (`outbox_bytes_max`).
    pub outbox_bytes_max: usize,
    /// Bytes under way from one shard to another, in memory, above which clients that feed that shard are not read until
    /// it has caught up (`mail_bytes_max`).
    pub mail_bytes_max: usize,
    /// Bytes of deliveries that one message may cause at once, and that mail from other shards may cause in one turn:
    /// with more, the deliveries go out a part a turn, and the publisher's next message waits (`fan_out_bytes_max`).
    pub fan_out_bytes_max: usize,
    /// Bytes of memory near which less is taken in, 0 for no limit (`memory_limit`).
    pub memory_limit: usize,
    /// What Client Identifiers must begin with; empty for anything (`clientid_prefixes`).
    pub clientid_prefixes: String,
    /// Whether a retained message is delivered only while its publisher may still write to its topic (`check_retain_source`).
    pub check_retain_source: bool,
    /// How often `$SYS` is published, zero for never (`sys_interval`).
    pub sys_interval: Duration,
    /// Name and version of the program, as `$SYS/broker/version` tells them.
    pub version: String,
    /// Which log lines are wanted.
    pub log_levels: LogLevels,
    /// Random 128 bits that make assigned client identifiers unguessable.
    pub secret: [u64; 2],
}

/// The rules for clients of some listener.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rules<'a> {
    /// They may do everything.
    None,
    Some(&'a AccessRules),
    /// It is not known which listener it is, and they have different ones: such a client publishes nothing, and what is
    /// queued for it is asked about again when it has come.
    Unknown,
}

impl Settings {
    /// Whether there are rules anywhere.
    pub(crate) fn restricts(&self) -> bool {
        self.listeners.iter().any(|listener| listener.access.is_some())
    }

    /// The rules for clients of a listener.
    pub(crate) fn rules(&self, listener: ListenerIndex) -> Rules<'_> {
        let found = self.listeners.get(usize::from(listener.0));
        let Some(listener) = found.or_else(|| self.any_listener()) else { return Rules::Unknown };
        listener.access.as_deref().map_or(Rules::None, Rules::Some)
    }

    /// One listener, if all have the same rules.
    fn any_listener(&self) -> Option<&ListenerSettings> {
        let rules = |listener: &ListenerSettings| listener.access.as_ref().map(Arc::as_ptr);
        let first = self.listeners.first()?;
        self.listeners.iter().all(|other| rules(other) == rules(first)).then_some(first)
    }

    /// The Receive Maximum that is announced, and our own limit on messages in flight: `max_inflight_messages`, where 0
    /// stands for the most there can be.
    pub(crate) fn receive_maximum(&self) -> u16 {
        match self.max_inflight_messages {
            0 => u16::MAX,
            limit => limit,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerSettings::default()],
            maximum_packet_size: 2_000_000,
            message_size_limit: 0,
            global_max_clients: 0,
            retain_expiry_interval: Duration::from_secs(60),
            connect_packet_size: 128 * 1024,
            connect_timeout: Duration::from_secs(30),
            max_inflight_messages: 20,
            max_inflight_bytes: 0,
            max_queued_messages: 1000,
            max_queued_bytes: 0,
            queue_head: QueueHead::ALL,
            queue_qos0_messages: false,
            max_keepalive: 0,
            retain_available: true,
            allow_duplicate_messages: true,
            upgrade_outgoing_qos: false,
            persistent_client_expiration: None,
            connection_messages: true,
            outbox_bytes_max: 1024 * 1024,
            mail_bytes_max: 4 * 1024 * 1024,
            fan_out_bytes_max: 4 * 1024 * 1024,
            memory_limit: 0,
            clientid_prefixes: String::new(),
            check_retain_source: true,
            sys_interval: Duration::ZERO,
            version: concat!("noctule version ", env!("CARGO_PKG_VERSION")).to_owned(),
            log_levels: LogLevels::default(),
            secret: [0; 2],
        }
    }
}

/// What differs between listeners.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Port as the log names it; 0 for a Unix socket.
    pub port: u16,
    /// Whether clients without user name may connect (`allow_anonymous`).
    pub allow_anonymous: bool,
    /// Whether a User Name is checked, with its Password (`password_file`). If not, any name is taken.
    pub authenticates: bool,
    /// Whose Password held under the settings before and does not any more. They are closed.
    pub revoked: Revoked,
    /// What its clients may publish and receive; everything without it (`acl_file`). Listeners with the same file share the
    /// rules: a client that has not come since the broker started has those that all listeners share.
    pub access: Option<Arc<AccessRules>>,
    /// Whether the User Name is the Client Identifier (`use_username_as_clientid`).
    pub use_username_as_clientid: bool,
    /// Versions of the protocol that are accepted (`accept_protocol_versions`).
    pub protocol_versions: Vec<ProtocolVersion>,
    /// Whether the broker invents an identifier for clients that send none (`allow_zero_length_clientid`).
    pub allow_zero_length_clientid: bool,
    /// What invented identifiers start with (`auto_id_prefix`).
    pub auto_id_prefix: String,
    /// What stands in front of every topic of its clients (`mount_point`).
    pub mount_point: Option<Arc<MountPoint>>,
    /// Highest QoS accepted from clients (`max_qos`).
    pub maximum_qos: QoS,
    /// Topic aliases accepted from clients (`max_topic_alias`).
    pub max_topic_alias: u16,
    /// Topic aliases made towards clients (`max_topic_alias_broker`).
    pub max_topic_alias_broker: u16,
    /// What acknowledgements to its clients wait for (`durability`).
    pub durability: Durability,
}

/// What must be so before a client is told that something is kept. It decides when clients of a listener are answered; what
/// is written is the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// It is on the disk: it outlives a loss of power.
    #[default]
    Sync,
    /// The operating system has it: it outlives the broker, however that ends, but not a loss of power.
    Flush,
    /// Nothing: what the last second brought may be lost when the broker ends unexpectedly.
    Memory,
}

/// User Names whose Password does not hold any more.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Revoked {
    /// None.
    #[default]
    Nobody,
    /// These.
    Users(Arc<HashSet<Box<str>>>),
    /// All: nobody has checked them.
    Everybody,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            port: 1883,
            allow_anonymous: true,
            authenticates: false,
            revoked: Revoked::Nobody,
            access: None,
            use_username_as_clientid: false,
            protocol_versions: vec![ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5],
            allow_zero_length_clientid: true,
            auto_id_prefix: "auto-".to_owned(),
            mount_point: None,
            maximum_qos: QoS::ExactlyOnce,
            max_topic_alias: 10,
            max_topic_alias_broker: 10,
            durability: Durability::Sync,
        }
    }
}

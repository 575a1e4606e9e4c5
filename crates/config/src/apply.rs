//! What each supported directive does to the configuration.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Durability, ListenAddress, MemoryLimit, Protocol, SocketDomain};
use crate::diagnostic::Position;
use crate::directive::{Directive, Status};
use crate::draft::{Block, Draft, ListenerDraft};
use crate::log::{LogFormat, LogTypes};
use crate::problem::{Problem, block, bridge, setting};
use crate::value::{ListenPlace, ListenerArguments, LogDestination, LogTypeArgument, Value};

impl Draft {
    /// Puts a well-formed value into its place. `before` is where the same block said the same directive.
    pub(crate) fn apply(
        &mut self,
        directive: &Directive,
        block: Block,
        value: Value,
        before: Option<&Position>,
        notes: &mut Vec<Problem>,
    ) -> Result<(), Problem> {
        if let Some(draft) = self.listener(block)
            && let Some(result) = apply_to_listener(draft, directive, &value, before, notes)
        {
            return result;
        }
        if let Some(result) = self.apply_to_log(directive, &value) {
            return result;
        }
        let limits = &mut self.config.limits;
        let persistence = &mut self.config.persistence;
        match (directive.name, value) {
            ("allow_anonymous", Value::Flag(on)) => {
                if self.per_listener_settings {
                    notes.push(block::allow_anonymous_per_listener());
                }
                self.security(block).allow_anonymous = Some(on);
            }
            ("allow_zero_length_clientid", Value::Flag(on)) => {
                self.security(block).allow_zero_length_clientid = Some(on);
            }
            ("auto_id_prefix", Value::Text(prefix)) => self.security(block).auto_id_prefix = Some(prefix),
            ("acl_file", Value::Text(path)) => self.security(block).acl_file = Some(path),
            ("password_file", Value::Text(path)) => self.security(block).password_file = Some(path),
            ("clientid_prefixes", Value::Text(prefix)) => self.config.clientid_prefixes = Some(prefix),
            ("check_retain_source", Value::Flag(on)) => self.config.check_retain_source = on,
            ("per_listener_settings", Value::Flag(on)) => return self.per_listener_settings(on),

            ("max_inflight_messages", Value::Number(count)) => {
                // 65535 is what the protocol allows, so it is no limit of ours.
                limits.max_inflight_messages =
                    NonZeroU16::new(narrow(count)).filter(|count| count.get() != u16::MAX);
            }
            ("max_inflight_bytes", Value::Number(bytes)) => {
                limits.max_inflight_bytes = NonZeroU64::new(narrow(bytes))
            }
            ("max_queued_messages", Value::Number(count)) => {
                limits.max_queued_messages = NonZeroU32::new(narrow(count))
            }
            ("max_queued_bytes", Value::Number(bytes)) => {
                limits.max_queued_bytes = NonZeroU64::new(narrow(bytes))
            }
            ("max_keepalive", Value::Number(seconds)) => {
                limits.max_keepalive = NonZeroU16::new(narrow(seconds))
            }
            ("max_packet_size", Value::Number(bytes)) => limits.max_packet_size = narrow(bytes),
            ("message_size_limit", Value::Number(bytes)) => {
                limits.message_size_limit = NonZeroU32::new(narrow(bytes))
            }
            ("outbox_bytes_max", Value::Number(bytes)) => limits.outbox_bytes_max = narrow(bytes),
            ("connect_timeout", Value::Number(seconds)) => {
                limits.connect_timeout = Duration::from_secs(narrow(seconds))
            }
            ("queue_qos0_messages", Value::Flag(on)) => limits.queue_qos0_messages = on,

            ("persistent_client_expiration", Value::Span(span)) => {
                self.config.persistent_client_expiration = Some(span)
            }
            ("global_max_clients", Value::Number(count)) => {
                self.config.global_max_clients = NonZeroU32::new(narrow(count));
            }
            ("global_max_connections", Value::Number(count)) => {
                self.config.global_max_connections = NonZeroU32::new(narrow(count));
            }
            ("retain_expiry_interval", Value::Number(minutes)) => {
                self.config.retain_expiry_interval = Some(Duration::from_secs(narrow::<u64>(minutes) * 60));
            }
            ("retain_available", Value::Flag(on)) => self.config.retain_available = on,
            ("upgrade_outgoing_qos", Value::Flag(on)) => self.config.upgrade_outgoing_qos = on,
            ("allow_duplicate_messages", Value::Flag(on)) => self.config.allow_duplicate_messages = on,
            ("set_tcp_nodelay", Value::Flag(true)) => {}
            ("set_tcp_nodelay", Value::Flag(false)) => notes.push(setting::delay_is_gone()),
            ("worker_threads", Value::Number(count)) => {
                self.config.worker_threads = NonZeroU16::new(narrow(count));
            }
            ("worker_connections_min", Value::Number(count)) => {
                self.config.worker_connections_min = narrow(count);
            }
            ("memory_limit", Value::Number(bytes)) => {
                let bytes = NonZeroU64::new(narrow(bytes));
                self.config.memory_limit = bytes.map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes);
            }
            ("sys_interval", Value::Number(0)) => self.config.sys_interval = None,
            ("sys_interval", Value::Number(seconds)) => {
                self.config.sys_interval = Some(Duration::from_secs(narrow(seconds)));
            }

            ("persistence", Value::Flag(on)) => persistence.enabled = on,
            ("persistence_file", Value::Text(name)) => persistence.file = name,
            ("persistence_location", Value::Text(path)) => persistence.location = Some(PathBuf::from(path)),
            ("autosave_interval", Value::Number(count)) => persistence.autosave_interval = narrow(count),
            ("autosave_on_changes", Value::Flag(on)) => persistence.autosave_on_changes = on,

            ("pid_file", Value::Text(path)) => self.config.pid_file = Some(PathBuf::from(path)),
            ("user", Value::Text(user)) => self.config.user = Some(user),
            (name, value) => return Err(not_yet(directive.status, name, &value)),
        }
        Ok(())
    }

    /// Keeps what must be unique of blocks that nothing obeys yet.
    pub(crate) fn note(
        &mut self,
        name: &str,
        block: Block,
        value: &Value,
        before: Option<&Position>,
    ) -> Result<(), Problem> {
        if let Some(listener) = self.listener(block) {
            match (name, value) {
                ("enable_proxy_protocol", Value::Number(version)) => listener.proxy_v2 = *version == 2,
                ("use_subject_as_username", Value::Flag(on)) => listener.subject_is_username = *on,
                _ => {}
            }
        }
        let bridge = match block {
            Block::Bridge(index) => self.bridges.get_mut(index),
            Block::Broker | Block::Listener(_) | Block::Plugin(_) => None,
        };
        match (name, value, bridge) {
            ("psk_file", Value::Text(path), _) => self.security(block).psk_file = Some(path.clone()),
            ("connection", Value::Text(connection), _) => {
                if self.bridges.iter().any(|bridge| bridge.name == *connection) {
                    return Err(bridge::name_taken(connection));
                }
                if let Some(bridge) = self.bridges.last_mut() {
                    bridge.name.clone_from(connection);
                }
            }
            ("local_clientid", Value::Text(id), Some(bridge)) => bridge.local_clientid = Some(id.clone()),
            ("remote_clientid", Value::Text(id), Some(bridge)) => bridge.remote_clientid = Some(id.clone()),
            ("address", ..) if before.is_some() => return Err(bridge::address_twice()),
            ("plugin_load", Value::PluginLoad { name, .. }, _) => {
                if self.plugin_names.contains(name) {
                    return Err(block::plugin_name_taken(name));
                }
                self.plugin_names.push(name.clone());
            }
            ("plugin_use", Value::Text(name), _) if !self.plugin_names.contains(name) => {
                return Err(block::plugin_not_loaded(name));
            }
            _ => {}
        }
        Ok(())
    }

    /// Once it is true it stays so.
    fn per_listener_settings(&mut self, on: bool) -> Result<(), Problem> {
        if let (true, false, Some(first)) = (on, self.per_listener_settings, self.first_security) {
            return Err(block::per_listener_settings_too_late(first));
        }
        self.per_listener_settings |= on;
        Ok(())
    }

    /// `None` if the directive is not for the log.
    fn apply_to_log(&mut self, directive: &Directive, value: &Value) -> Option<Result<(), Problem>> {
        let types = self.log.types.unwrap_or(LogTypes::NONE);
        match (directive.name, value) {
            ("log_dest", Value::LogDestination(destination)) => {
                let destinations = self.log.destinations.get_or_insert_default();
                match destination {
                    LogDestination::None => destinations.clear(),
                    LogDestination::File(_) if std::mem::replace(&mut self.log.has_file, true) => {
                        return Some(Err(setting::log_file_twice()));
                    }
                    destination => destinations.push(destination.clone()),
                }
            }
            ("log_facility", Value::Number(local)) => self.config.log.facility = Some(narrow(*local)),
            ("log_format", Value::Word("text")) => self.config.log.format = LogFormat::Text,
            ("log_format", Value::Word("json")) => self.config.log.format = LogFormat::Json,
            ("log_type", Value::LogType(LogTypeArgument::None)) => self.log.types = Some(LogTypes::NONE),
            ("log_type", Value::LogType(LogTypeArgument::All)) => self.log.types = Some(LogTypes::ALL),
            ("log_type", Value::LogType(LogTypeArgument::One(kind))) => {
                self.log.types = Some(types.with(*kind))
            }
            ("log_timestamp", Value::Flag(on)) => self.log.without_timestamp = !on,
            ("log_timestamp_format", Value::Text(format)) => self.log.timestamp_format = Some(format.clone()),
            ("connection_messages", Value::Flag(on)) => self.config.log.connection_messages = *on,
            _ => return None,
        }
        Some(Ok(()))
    }
}

/// `None` if the directive is not for a listener.
fn apply_to_listener(
    ListenerDraft { listener, .. }: &mut ListenerDraft,
    directive: &Directive,
    value: &Value,
    before: Option<&Position>,
    notes: &mut Vec<Problem>,
) -> Option<Result<(), Problem>> {
    match (directive.name, value) {
        ("listener", Value::Listener(ListenerArguments { port, place })) => {
            let host = match place {
                ListenPlace::Everywhere => None,
                ListenPlace::Host(host) => Some(host.clone()),
                ListenPlace::UnixSocket(_) => return Some(Err(setting::not_yet_unix_socket())),
            };
            listener.address = ListenAddress { host, port: *port, domain: SocketDomain::Any };
        }
        ("port", Value::Number(port)) => {
            notes.extend(before.map(block::default_port_again));
            listener.address.port = narrow(*port);
        }
        ("bind_address", Value::Text(host)) => listener.address.host = Some(host.clone()),
        ("socket_domain", Value::Word("ipv4")) => listener.address.domain = SocketDomain::Ipv4,
        ("socket_domain", Value::Word("ipv6")) => listener.address.domain = SocketDomain::Ipv6,
        ("protocol", Value::Word("mqtt")) => listener.protocol = Protocol::Mqtt,
        ("bind_interface", Value::Text(device)) => listener.bind_interface = Some(device.clone()),
        ("mount_point", Value::Text(prefix)) => listener.mount_point = Some(prefix.clone()),
        ("max_connections", Value::Number(count)) => {
            listener.max_connections = u32::try_from(*count).ok().filter(|count| *count > 0);
        }
        ("max_qos", Value::Number(qos)) => listener.max_qos = narrow(*qos),
        ("max_topic_alias", Value::Number(count)) => listener.max_topic_alias = narrow(*count),
        ("max_topic_alias_broker", Value::Number(count)) => listener.max_topic_alias_broker = narrow(*count),
        ("listener_allow_anonymous", Value::Flag(on)) => listener.listener_allow_anonymous = Some(*on),
        ("listener_auto_id_prefix", Value::Text(prefix)) => {
            listener.listener_auto_id_prefix = Some(prefix.clone());
        }
        ("accept_protocol_versions", Value::ProtocolVersions(versions)) => {
            listener.accept_protocol_versions.clone_from(versions);
        }
        ("durability", Value::Word("sync")) => listener.durability = Durability::Sync,
        ("durability", Value::Word("flush")) => listener.durability = Durability::Flush,
        ("durability", Value::Word("memory")) => listener.durability = Durability::Memory,
        ("use_username_as_clientid", Value::Flag(on)) => listener.use_username_as_clientid = *on,
        _ => return None,
    }
    Some(Ok(()))
}

/// A number that the table bounds to what fits.
fn narrow<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// A value that waits for a feature.
fn not_yet(status: Status, name: &str, value: &Value) -> Problem {
    let written = match value {
        Value::Flag(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Word(word) => (*word).to_owned(),
        other => format!("{other:?}"),
    };
    match status {
        Status::Only { accepted, waits_for } => setting::not_yet_with(name, &written, waits_for, accepted),
        Status::NotYet(waits_for) | Status::Removed(waits_for) => setting::not_yet(name, waits_for),
        Status::Supported => setting::not_yet(name, "its place in the configuration"),
    }
}

//! From what the configuration says to what the core is told.

use std::sync::Arc;
use std::time::Duration;

use noctule_broker::{
    Access, AccessRule, AccessRules, Durability, ListenerSettings, LogLevel, LogLevels, MountPoint,
    QueueHead, Revoked, Settings, Whom,
};
use noctule_config::{AclAccess, AclFile, AclSubject, Config, LogType, LogTypes};
use noctule_protocol::{ProtocolVersion, QoS};

use crate::listener::Listeners;
use crate::memory;

/// How often expired retained messages are looked for if nothing is said about that.
const RETAIN_EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// What of each queue is in memory, where it is on disk too: more than is in flight by default, and enough to go on while
/// the next part is read.
const QUEUE_HEAD: QueueHead = QueueHead { messages: 1_000, bytes: 256 * 1024 };

/// The core's settings. Lines that no destination takes are not asked for, so they are never formatted.
pub(crate) fn of_broker(
    config: &Config,
    listeners: &Listeners,
    log_types: LogTypes,
    secret: [u64; 2],
) -> Settings {
    let limits = &config.limits;
    let mut rules = Rules::default();
    Settings {
        listeners: config
            .listeners
            .iter()
            .enumerate()
            .map(|(index, listener)| {
                let open = listeners.0.iter().find(|open| usize::from(open.index) == index);
                ListenerSettings {
                    port: open.map_or(listener.address.port, |open| open.address.port()),
                    allow_anonymous: listener.accepts_anonymous(),
                    allow_zero_length_clientid: listener.allow_zero_length_clientid,
                    auto_id_prefix: listener.id_prefix().to_owned(),
                    mount_point: listener.mount_point.as_deref().map(|text| Arc::new(MountPoint::new(text))),
                    maximum_qos: QoS::from_level(listener.max_qos).unwrap_or(QoS::ExactlyOnce),
                    max_topic_alias: listener.max_topic_alias,
                    max_topic_alias_broker: listener.max_topic_alias_broker,
                    authenticates: listener.password_file.is_some(),
                    // Known only where the settings before are.
                    revoked: Revoked::Nobody,
                    access: listener.acl_file.as_ref().map(|file| rules.of(file)),
                    durability: match listener.durability {
                        noctule_config::Durability::Sync => Durability::Sync,
                        noctule_config::Durability::Flush => Durability::Flush,
                        noctule_config::Durability::Memory => Durability::Memory,
                    },
                    use_username_as_clientid: listener.use_username_as_clientid,
                    protocol_versions: protocol_versions(&listener.accept_protocol_versions),
                }
            })
            .collect(),
        maximum_packet_size: limits.max_packet_size,
        message_size_limit: limits.message_size_limit.map_or(0, |bytes| saturating_usize(bytes.get().into())),
        global_max_clients: config.global_max_clients.map_or(0, |count| saturating_usize(count.get().into())),
        connect_timeout: limits.connect_timeout,
        max_inflight_messages: limits.max_inflight_messages.map_or(0, Into::into),
        max_inflight_bytes: limits.max_inflight_bytes.map_or(0, |bytes| saturating_usize(bytes.get())),
        queue_head: if config.persistence.enabled { QUEUE_HEAD } else { QueueHead::ALL },
        max_queued_messages: limits
            .max_queued_messages
            .map_or(0, |count| saturating_usize(count.get().into())),
        max_queued_bytes: limits.max_queued_bytes.map_or(0, |bytes| saturating_usize(bytes.get())),
        queue_qos0_messages: limits.queue_qos0_messages,
        max_keepalive: limits.max_keepalive.map_or(0, Into::into),
        retain_available: config.retain_available,
        retain_expiry_interval: config.retain_expiry_interval.unwrap_or(RETAIN_EXPIRY_INTERVAL),
        allow_duplicate_messages: config.allow_duplicate_messages,
        upgrade_outgoing_qos: config.upgrade_outgoing_qos,
        persistent_client_expiration: config.persistent_client_expiration,
        clientid_prefixes: config.clientid_prefixes.clone().unwrap_or_default(),
        check_retain_source: config.check_retain_source,
        connection_messages: config.log.connection_messages,
        outbox_bytes_max: saturating_usize(limits.outbox_bytes_max.into()),
        log_levels: log_levels(log_types),
        sys_interval: config.sys_interval.unwrap_or_default(),
        memory_limit: memory::limit(config.memory_limit),
        secret,
        ..Settings::default()
    }
}

/// The rules of each `acl_file`, once for all listeners that name it.
#[derive(Default)]
struct Rules(Vec<(Arc<AclFile>, Arc<AccessRules>)>);

impl Rules {
    fn of(&mut self, file: &Arc<AclFile>) -> Arc<AccessRules> {
        if let Some((_, rules)) = self.0.iter().find(|(known, _)| Arc::ptr_eq(known, file)) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(AccessRules::new(file.rules().iter().map(|rule| AccessRule {
            whom: match &rule.subject {
                AclSubject::Anonymous => Whom::Anonymous,
                AclSubject::User(name) => Whom::User(name.clone()),
                AclSubject::Pattern => Whom::Pattern,
            },
            access: match rule.access {
                AclAccess::Read => Access::Read,
                AclAccess::Write => Access::Write,
                AclAccess::ReadWrite => Access::ReadWrite,
                AclAccess::Deny => Access::Deny,
            },
            filter: rule.filter.clone(),
        })));
        self.0.push((Arc::clone(file), Arc::clone(&rules)));
        rules
    }
}

fn protocol_versions(accepted: &[u8]) -> Vec<ProtocolVersion> {
    let all = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];
    all.into_iter().filter(|version| accepted.contains(&version.level())).collect()
}

fn saturating_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn log_levels(types: LogTypes) -> LogLevels {
    let levels = [
        (LogType::Error, LogLevel::Error),
        (LogType::Warning, LogLevel::Warning),
        (LogType::Notice, LogLevel::Notice),
        (LogType::Information, LogLevel::Information),
        (LogType::Debug, LogLevel::Debug),
        (LogType::Subscribe, LogLevel::Subscribe),
        (LogType::Unsubscribe, LogLevel::Unsubscribe),
    ];
    let wanted = levels.into_iter().filter(|(kind, _)| types.contains(*kind));
    wanted.fold(LogLevels::NONE, |all, (_, level)| all.with(level))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use noctule_config::directive::{CHANGE_FILES, CHANGES, Reload, find};
    use noctule_config::{CommandLine, MemoryLimit, parse};

    use super::*;

    #[test]
    fn an_empty_configuration_gives_the_cores_defaults() {
        let config = Config { memory_limit: MemoryLimit::Unlimited, ..Config::default() };
        let told = of_broker(&config, &Listeners(Vec::new()), config.log.types, [1, 2]);
        let expected = Settings {
            listeners: vec![ListenerSettings::default(); 2],
            secret: [1, 2],
            sys_interval: Duration::from_secs(10),
            ..Settings::default()
        };
        assert_eq!(format!("{told:?}"), format!("{expected:?}"));
    }

    /// What a reload takes, and the core need not know: the log's own affairs, and what waits for the durable store.
    const ELSEWHERE: [&str; 11] = [
        "global_max_connections",
        "log_dest",
        "log_facility",
        "log_format",
        "log_timestamp",
        "log_timestamp_format",
        "log_type",
        "persistence_file",
        "persistence_location",
        "autosave_interval",
        "autosave_on_changes",
    ];

    #[test]
    fn what_a_reload_takes_arrives_in_the_core() {
        let files = |text: &'static str| -> Vec<(PathBuf, &[u8])> {
            let named = CHANGE_FILES.iter().map(|(name, content)| (name.into(), *content));
            std::iter::once(("m.conf".into(), text.as_bytes())).chain(named).collect()
        };
        let config = |text| parse(&files(text), &CommandLine::default()).unwrap().config;
        let told = |config: &Config| {
            format!("{:?}", of_broker(config, &Listeners(Vec::new()), LogTypes::NONE, [1, 2]))
        };
        for change in CHANGES {
            let row = find(change.directive).unwrap();
            let (old, new) = (config(change.before), config(change.after));
            if row.reload == Reload::Ignored || old == new {
                continue;
            }
            let reloaded = old.reloaded(new).unwrap().config;
            let arrives = told(&old) != told(&reloaded);
            assert_eq!(arrives, !ELSEWHERE.contains(&change.directive), "{}", change.directive);
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let mut config = Config::default();
        config.limits.max_inflight_messages = None;
        config.limits.max_queued_messages = None;
        let told = of_broker(&config, &Listeners(Vec::new()), LogTypes::NONE, [0; 2]);
        assert_eq!((told.max_inflight_messages, told.max_queued_messages), (0, 0));
        assert_eq!(told.log_levels, LogLevels::NONE);
    }
}

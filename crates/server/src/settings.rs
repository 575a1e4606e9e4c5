//! From what the configuration says to what the core is told.

use noctule_broker::{ListenerSettings, LogLevel, LogLevels, Settings};
use noctule_config::{Config, LogType, LogTypes};
use noctule_protocol::QoS;

use crate::listener::Listeners;
use crate::memory;

/// The core's settings. Lines that no destination takes are not asked for, so they are never formatted.
pub(crate) fn of_broker(
    config: &Config,
    listeners: &Listeners,
    log_types: LogTypes,
    secret: [u64; 2],
) -> Settings {
    let limits = &config.limits;
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
                    maximum_qos: QoS::from_level(listener.max_qos).unwrap_or(QoS::ExactlyOnce),
                    max_topic_alias: listener.max_topic_alias,
                    max_topic_alias_broker: listener.max_topic_alias_broker,
                    ..ListenerSettings::default()
                }
            })
            .collect(),
        maximum_packet_size: limits.max_packet_size,
        connect_timeout: limits.connect_timeout,
        max_inflight_messages: limits.max_inflight_messages.map_or(0, Into::into),
        max_inflight_bytes: limits.max_inflight_bytes.map_or(0, |bytes| saturating_usize(bytes.get())),
        max_queued_messages: limits
            .max_queued_messages
            .map_or(0, |count| saturating_usize(count.get().into())),
        max_queued_bytes: limits.max_queued_bytes.map_or(0, |bytes| saturating_usize(bytes.get())),
        queue_qos0_messages: limits.queue_qos0_messages,
        max_keepalive: limits.max_keepalive.map_or(0, Into::into),
        retain_available: config.retain_available,
        allow_duplicate_messages: config.allow_duplicate_messages,
        upgrade_outgoing_qos: config.upgrade_outgoing_qos,
        persistent_client_expiration: config.persistent_client_expiration,
        connection_messages: config.log.connection_messages,
        outbox_bytes_max: saturating_usize(limits.outbox_bytes_max.into()),
        log_levels: log_levels(log_types),
        sys_interval: config.sys_interval.unwrap_or_default(),
        memory_limit: memory::limit(config.memory_limit),
        secret,
        ..Settings::default()
    }
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
    use std::time::Duration;

    use noctule_config::directive::{CHANGES, Reload, find};
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
    const ELSEWHERE: [&str; 8] = [
        "log_dest",
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
        let files = |text: &'static str| {
            [("m.conf".into(), text.as_bytes()), ("d/a.conf".into(), b"max_keepalive 9".as_slice())]
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

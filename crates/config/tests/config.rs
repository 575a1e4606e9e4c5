//! From the lines of a file to the typed configuration.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use noctule_config::directive::{Directive, Scope, Status, all};
use noctule_config::value::Takes;
use noctule_config::{
    ClientLimits, CommandLine, Config, ListenAddress, Listener, Loaded, Log, LogFormat, LogType, LogTypes,
    MemoryLimit, Persistence, SocketDomain, Timestamp, load, parse,
};

fn loaded_with(main: &str, command_line: &CommandLine) -> Loaded {
    let sources: [(PathBuf, &[u8]); 2] =
        [("m.conf".into(), main.as_bytes()), ("sample".into(), b"# nothing")];
    let result = parse(&sources, command_line);
    result.unwrap_or_else(|diagnostics| panic!("{main:?}: {diagnostics}"))
}

fn config(main: &str) -> Config {
    loaded_with(main, &CommandLine::default()).config
}

fn address(host: Option<&str>, port: u16) -> ListenAddress {
    ListenAddress { host: host.map(str::to_owned), port, domain: SocketDomain::Any }
}

fn addresses(config: &Config) -> Vec<ListenAddress> {
    config.listeners.iter().map(|listener| listener.address.clone()).collect()
}

fn anonymous(main: &str) -> Vec<bool> {
    config(main).listeners.iter().map(|listener| listener.accepts_anonymous()).collect()
}

#[test]
fn nothing_said_is_local_only_mode() {
    for config in [config(""), load(None, &CommandLine::default()).unwrap().config] {
        assert_eq!(config, Config::default());
        assert!(config.local_only);
        assert_eq!(addresses(&config), [address(Some("127.0.0.1"), 1883), address(Some("::1"), 1883)]);
        assert!(config.listeners.iter().all(|listener| listener.accepts_anonymous()));
    }
}

#[test]
fn ports_of_the_command_line_are_loopback_ports() {
    let command_line = CommandLine { ports: vec![1884, 1885], ..CommandLine::default() };
    let expected = [
        address(Some("127.0.0.1"), 1884),
        address(Some("::1"), 1884),
        address(Some("127.0.0.1"), 1885),
        address(Some("::1"), 1885),
    ];
    for loaded in [load(None, &command_line).unwrap(), loaded_with("max_keepalive 60", &command_line)] {
        assert_eq!(addresses(&loaded.config), expected);
        assert!(
            loaded.config.local_only
                && loaded.config.listeners.iter().all(|listener| listener.accepts_anonymous())
        );
    }
    let with_listener = loaded_with("listener 1886", &command_line).config;
    assert_eq!(addresses(&with_listener), [address(None, 1886)]);
}

#[test]
fn options_without_a_listener_are_for_local_only_mode() {
    let config = config("max_connections 5\nsocket_domain ipv6\nallow_anonymous false");
    assert!(config.local_only);
    assert_eq!(addresses(&config), [address(Some("::1"), 1883)]);
    assert_eq!(config.listeners[0].max_connections, Some(5));
    assert!(!config.listeners[0].allow_anonymous);
}

#[test]
fn a_listener_opens_a_block() {
    let config = config(
        "listener 1883\nmax_connections 10\nmax_qos 1\n\
         listener 1884 127.0.0.1 # inside\nmax_topic_alias 0\nmax_topic_alias_broker 3\nsocket_domain ipv4\n",
    );
    assert!(!config.local_only);
    let [first, second] = &config.listeners[..] else { panic!("{config:?}") };
    assert_eq!(first.address, address(None, 1883));
    assert_eq!((first.max_connections, first.max_qos, first.max_topic_alias), (Some(10), 1, 10));
    assert_eq!(
        second.address,
        ListenAddress { domain: SocketDomain::Ipv4, ..address(Some("127.0.0.1"), 1884) }
    );
    assert_eq!((second.max_connections, second.max_qos), (None, 2));
    assert_eq!((second.max_topic_alias, second.max_topic_alias_broker), (0, 3));
    let lines: Vec<_> =
        config.listeners.iter().map(|listener| listener.defined_at.as_ref().unwrap().to_string()).collect();
    assert_eq!(lines, ["m.conf:1", "m.conf:4"]);
}

#[test]
fn port_and_bind_address_are_for_the_default_listener() {
    assert_eq!(addresses(&config("port 1884")), [address(None, 1884)]);
    assert_eq!(addresses(&config("bind_address localhost")), [address(Some("localhost"), 1883)]);
    let mixed = config("max_connections 2\nlistener 1885\nport 1884\nmax_qos 0\nbind_address ::1\n");
    assert_eq!(addresses(&mixed), [address(Some("::1"), 1884), address(None, 1885)]);
    // `port` makes the default listener the open block again.
    assert_eq!((mixed.listeners[0].max_connections, mixed.listeners[0].max_qos), (Some(2), 0));
    assert_eq!((mixed.listeners[1].max_connections, mixed.listeners[1].max_qos), (None, 2));
}

#[test]
fn a_listener_makes_anonymous_clients_unwelcome() {
    for main in ["listener 1", "port 1", "bind_address ::"] {
        assert_eq!(anonymous(main), [false], "{main}");
    }
    assert_eq!(anonymous("listener 1\nlistener 2\nallow_anonymous true"), [true, true]);
    assert_eq!(
        anonymous("allow_anonymous true\nlistener 1\nlistener_allow_anonymous false\nlistener 2"),
        [false, true]
    );
    assert_eq!(anonymous("listener 1\nlistener_allow_anonymous true\nlistener 2"), [true, false]);
}

#[test]
fn security_is_for_one_listener_with_per_listener_settings() {
    let config = config(
        "per_listener_settings true\nper_listener_settings false\n\
         listener 1\nallow_anonymous true\nauto_id_prefix a-\n\
         listener 2\nallow_zero_length_clientid false\n",
    );
    let [first, second] = &config.listeners[..] else { panic!("{config:?}") };
    assert!(first.allow_anonymous && first.allow_zero_length_clientid);
    assert_eq!(first.auto_id_prefix, "a-");
    assert!(!second.allow_anonymous && !second.allow_zero_length_clientid);
    assert_eq!(second.auto_id_prefix, "auto-");
}

#[test]
fn prefixes_are_inherited() {
    let config = config(
        "auto_id_prefix a-\nlistener 1\nlistener 2\nlistener_auto_id_prefix b-\nallow_zero_length_clientid 0",
    );
    let prefixes: Vec<_> = config.listeners.iter().map(|listener| listener.id_prefix()).collect();
    assert_eq!(prefixes, ["a-", "b-"]);
    assert!(config.listeners.iter().all(|listener| !listener.allow_zero_length_clientid));
}

#[test]
fn limits_of_a_client() {
    let config = config(
        "max_inflight_messages 5\nmax_inflight_bytes 6\nmax_queued_messages 7\nmax_queued_bytes 8\nmax_keepalive 9\n\
         max_packet_size 20\nqueue_qos0_messages true\noutbox_bytes_max 2048\nconnect_timeout 11\n",
    );
    let limits = &config.limits;
    assert_eq!(limits.max_inflight_messages.unwrap().get(), 5);
    assert_eq!(limits.max_inflight_bytes.unwrap().get(), 6);
    assert_eq!(limits.max_queued_messages.unwrap().get(), 7);
    assert_eq!(limits.max_queued_bytes.unwrap().get(), 8);
    assert_eq!(limits.max_keepalive.unwrap().get(), 9);
    assert_eq!((limits.max_packet_size, limits.outbox_bytes_max), (20, 2048));
    assert_eq!(limits.connect_timeout, Duration::from_secs(11));
    assert!(limits.queue_qos0_messages);
}

#[test]
fn zero_is_no_limit() {
    let unlimited = config(
        "max_inflight_messages 0\nmax_inflight_bytes -1\nmax_queued_messages -5\nmax_queued_bytes 0\nmax_keepalive 0\n\
         listener 1\nmax_connections -9\n",
    );
    let expected =
        ClientLimits { max_inflight_messages: None, max_queued_messages: None, ..ClientLimits::default() };
    assert_eq!(unlimited.limits, expected);
    assert_eq!(unlimited.listeners[0].max_connections, None);
    assert_eq!(config("listener 1\nmax_connections 0").listeners[0].max_connections, None);
    assert_eq!(config("max_inflight_messages 65535").limits.max_inflight_messages, None);
    assert_eq!(config("max_inflight_messages 65534").limits.max_inflight_messages, NonZeroU16::new(65534));
}

#[test]
fn the_log() {
    assert_eq!(config("").log, Log::default());
    let log = config(
        "log_dest file /var/log/a b.log\nlog_type error\nlog_type debug\nlog_timestamp_format %H:%M\n",
    )
    .log;
    assert_eq!((log.stdout, log.stderr, log.file), (false, false, Some(PathBuf::from("/var/log/a b.log"))));
    assert_eq!(log.types, LogTypes::NONE.with(LogType::Error).with(LogType::Debug));
    assert_eq!(log.timestamp, Timestamp::Format("%H:%M".to_owned()));

    let log = config(
        "log_dest stdout unbuffered\nlog_dest stderr # both\nlog_timestamp 0\nconnection_messages 0\n",
    )
    .log;
    assert_eq!((log.stdout, log.stderr, log.file), (true, true, None));
    assert_eq!((log.timestamp, log.connection_messages), (Timestamp::None, false));

    let log = config("log_dest stdout\nlog_dest file a\nlog_dest none\nlog_type error\nlog_type none").log;
    assert_eq!((log.stdout, log.stderr, log.file), (false, false, None));
    assert_eq!(log.types, LogTypes::NONE);
    assert_eq!(config("log_type all").log.types, LogTypes::ALL);

    let log = config("log_dest syslog\nlog_dest topic\nlog_facility 5\nlog_format json").log;
    assert_eq!((log.stderr, log.syslog, log.topic), (false, true, true));
    assert_eq!((log.facility, log.format), (Some(5), LogFormat::Json));
}

#[test]
fn verbose_and_quiet_win_over_the_file() {
    let types = |verbose, quiet| {
        loaded_with("log_type error", &CommandLine { verbose, quiet, ..CommandLine::default() })
            .config
            .log
            .types
    };
    assert_eq!(types(false, false), LogTypes::NONE.with(LogType::Error));
    assert_eq!(types(true, false), LogTypes::ALL);
    assert_eq!(types(false, true), LogTypes::NONE);
    assert_eq!(types(true, true), LogTypes::NONE);
}

#[test]
fn persistence_directives_are_kept() {
    let config = config(
        "persistence true\npersistence_location /var/lib/x/\npersistence_file a.db\nautosave_interval -1\n\
         autosave_on_changes true\n",
    );
    let expected = Persistence {
        enabled: true,
        location: Some(PathBuf::from("/var/lib/x/")),
        data: None,
        file: "a.db".to_owned(),
        sqlite_file: None,
        autosave_interval: 0,
        autosave_on_changes: true,
    };
    assert_eq!(config.persistence, expected);
    assert_eq!(config.persistence.data_directory(), PathBuf::from("/var/lib/x/noctule"));
    assert_eq!(Persistence::default().data_directory(), PathBuf::from("./noctule"));
    let named = CommandLine { data: Some(PathBuf::from("d")), ..CommandLine::default() };
    let persistence = loaded_with("persistence false\npersistence_location /a", &named).config.persistence;
    assert_eq!((persistence.enabled, persistence.data_directory()), (true, PathBuf::from("d")));
    let environment =
        CommandLine { persistence_location: Some(PathBuf::from("/data")), ..CommandLine::default() };
    let location = loaded_with("persistence_location /a", &environment).config.persistence.location;
    assert_eq!(location, Some(PathBuf::from("/data")));
}

#[test]
fn mosquittos_store_in_sqlite_selects_the_built_in_one() {
    for (lines, told) in [
        ("global_plugin /usr/lib/mosquitto_persist_sqlite.so\n", vec![]),
        (
            "plugin /usr/lib/mosquitto_persist_sqlite.so\nplugin_opt_sync full\nplugin_opt_page_size 4096\n",
            vec![2, 3],
        ),
        ("plugin_load store /usr/lib/mosquitto_persist_sqlite.so\nplugin_opt_flush_period 1\n", vec![2]),
        ("persistence false\nglobal_plugin C:/mosquitto_persist_sqlite.dll\n", vec![]),
    ] {
        let loaded = parse(&[("m.conf".into(), lines.as_bytes())], &CommandLine::default());
        let loaded = loaded.unwrap_or_else(|mistakes| panic!("{lines}: {mistakes}"));
        assert!(loaded.config.persistence.enabled, "{lines}");
        let lines: Vec<_> =
            loaded.warnings.iter().map(|warning| warning.at.as_ref().map_or(0, |at| at.line)).collect();
        assert_eq!(lines, told);
    }
    for other in ["plugin /usr/lib/persist_sqlite/other.so\n", "plugin /usr/lib/mosquitto_acl_file.so\n"] {
        assert!(parse(&[("m.conf".into(), other.as_bytes())], &CommandLine::default()).is_err(), "{other}");
    }
}

#[test]
fn the_database_of_mosquittos_store_in_sqlite_is_known() {
    for option in ["plugin_opt_db_file", "auth_opt_db_file"] {
        let lines =
            format!("plugin /usr/lib/mosquitto_persist_sqlite.so\n{option} /srv/my.sqlite3\nlistener 1883\n");
        let loaded = parse(&[("m.conf".into(), lines.as_bytes())], &CommandLine::default()).unwrap();
        assert_eq!(loaded.config.persistence.sqlite_file, Some(PathBuf::from("/srv/my.sqlite3")), "{option}");
        let told: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(told.iter().all(|warning| !warning.contains("has no effect")), "{told:?}");
    }
}

#[test]
fn debians_file_is_obeyed() {
    let debian = "pid_file /run/mosquitto/mosquitto.pid\n\npersistence true\npersistence_location /var/lib/mosquitto/\n\n\
                  log_dest file /var/log/mosquitto/mosquitto.log\n\ninclude_dir /etc/mosquitto/conf.d\n";
    let included: &[u8] = b"listener 1883\nallow_anonymous true\n";
    let sources = |main| {
        [(PathBuf::from("mosquitto.conf"), main), (PathBuf::from("/etc/mosquitto/conf.d/a.conf"), included)]
    };
    let loaded = parse(&sources(debian.as_bytes()), &CommandLine::default()).unwrap();
    assert!(loaded.config.persistence.enabled);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.pid_file, Some(PathBuf::from("/run/mosquitto/mosquitto.pid")));
    assert_eq!(addresses(&loaded.config), [address(None, 1883)]);
    assert!(loaded.config.listeners[0].allow_anonymous);
    assert_eq!(
        loaded.files,
        [PathBuf::from("mosquitto.conf"), PathBuf::from("/etc/mosquitto/conf.d/a.conf")]
    );
}

#[test]
fn included_files_are_read_in_order_and_where_they_are_named() {
    let sources: Vec<(PathBuf, &[u8])> = vec![
        ("m.conf".into(), b"listener 1\ninclude_dir d\nmax_qos 1\n"),
        ("d/b.conf".into(), b"max_keepalive 3\n"),
        ("d/A.conf".into(), b"max_keepalive 1\nlistener 2\nmax_qos 0\n"),
        ("d/a.conf".into(), b"max_keepalive 2\n"),
        ("d/a.conf.bak".into(), b"max_keepalive 4\n"),
        ("e/z.conf".into(), b"max_keepalive 5\n"),
    ];
    let loaded = parse(&sources, &CommandLine::default()).unwrap();
    assert_eq!(loaded.files, ["m.conf", "d/A.conf", "d/a.conf", "d/b.conf"].map(PathBuf::from));
    assert_eq!(loaded.config.limits.max_keepalive, NonZeroU16::new(3));
    // The included file's block does not reach into the main file, nor the other way round.
    let qos: Vec<_> =
        loaded.config.listeners.iter().map(|listener| (listener.address.port, listener.max_qos)).collect();
    assert_eq!(qos, [(1, 1), (2, 0)]);
    let outside: Vec<(PathBuf, &[u8])> =
        vec![("m.conf".into(), b"listener 1\ninclude_dir d\n"), ("d/a.conf".into(), b"max_topic_alias 1\n")];
    assert!(parse(&outside, &CommandLine::default()).is_err());
}

#[test]
fn files_come_from_the_disk() {
    let directory = std::env::temp_dir().join(format!("noctule-config-{}", std::process::id()));
    let included = directory.join("conf.d");
    std::fs::create_dir_all(&included).unwrap();
    let main = directory.join("m.conf");
    std::fs::write(&main, format!("include_dir {}\r\n", included.display())).unwrap();
    for (name, content) in
        [("b.conf", "max_keepalive 2\n"), ("a.conf", "listener 1\nmax_keepalive 1\n"), ("c.txt", "x\n")]
    {
        std::fs::write(included.join(name), content).unwrap();
    }
    let loaded = load(Some(&main), &CommandLine::default());
    std::fs::remove_dir_all(&directory).unwrap();
    let loaded = loaded.unwrap();
    assert_eq!(loaded.files, [main, included.join("a.conf"), included.join("b.conf")]);
    assert_eq!(loaded.config.limits.max_keepalive, NonZeroU16::new(2));
    assert_eq!(addresses(&loaded.config), [address(None, 1)]);
}

#[test]
fn what_is_the_case_anyway_may_be_said() {
    let config = config(
        "listener 1\nrequire_certificate false\nuse_identity_as_username 0\nglobal_max_clients -1\nmessage_size_limit 0\n\
         check_retain_source true\nenable_control_api false\nsys_interval 10\nprotocol mqtt\n\
         set_tcp_nodelay true\npersistence 0\nlog_dest stderr\n",
    );
    let listener =
        Listener { defined_at: config.listeners[0].defined_at.clone(), ..Listener::new(address(None, 1)) };
    assert_eq!(config, Config { listeners: vec![listener], local_only: false, ..Config::default() });
}

#[test]
fn threads_and_memory_go_by_the_machine_unless_they_are_told() {
    let told = |text: &str| {
        let config = config(text);
        (config.worker_threads.map(NonZeroU16::get), config.memory_limit)
    };
    assert_eq!(told(""), (None, MemoryLimit::OfMachine));
    let bytes = NonZeroU64::new(64_000_000).unwrap();
    let expected = (Some(3), MemoryLimit::Bytes(bytes));
    assert_eq!(told("worker_threads 3\nmemory_limit 64000000\n"), expected);
    assert_eq!(told("worker_threads 256\nmemory_limit 0\n"), (Some(256), MemoryLimit::Unlimited));
}

/// A value that is not the default.
fn sample(directive: &Directive) -> String {
    match directive.takes {
        Takes::Flag if directive.default == "true" => "false".to_owned(),
        Takes::Flag => "true".to_owned(),
        Takes::Number { min, max, .. } => {
            let default: i64 = directive.default.parse().unwrap_or(min);
            if default == max { min } else { (default + 3).clamp(min, max) }.to_string()
        }
        Takes::Word([first, ..]) if directive.default != *first => (*first).to_owned(),
        Takes::Word(words) => words[1].to_owned(),
        Takes::Span => "3d".to_owned(),
        Takes::Listener => "1884".to_owned(),
        Takes::LogTypeName => "debug".to_owned(),
        Takes::LogDestination => "stdout".to_owned(),
        Takes::ProtocolVersions => "5".to_owned(),
        _ => "sample".to_owned(),
    }
}

#[test]
fn every_supported_directive_changes_the_configuration() {
    // Nodelay is always on; the others only say how the rest is read.
    let without_effect = ["set_tcp_nodelay", "per_listener_settings", "include_dir"];
    let mut changed = 0;
    for directive in all().filter(|directive| !without_effect.contains(&directive.name)) {
        let value = match (directive.name, directive.status) {
            ("listener" | "log_dest" | "user", _) | (_, Status::Supported) => sample(directive),
            (_, Status::Only { .. } | Status::NotYet(_) | Status::Removed(_)) => continue,
        };
        let block = match directive.scope {
            Scope::Listener | Scope::InListener | Scope::InOwnListener | Scope::Security => "listener 1885\n",
            _ => "",
        };
        for name in std::iter::once(&directive.name).chain(directive.aliases) {
            assert_ne!(config(&format!("{block}{name} {value}\n")), config(block), "{name} {value}");
            changed += 1;
        }
    }
    assert!(changed >= 38, "only {changed}");
}

#[test]
fn every_other_directive_is_refused() {
    for directive in all() {
        let (name, value) = (directive.name.replace('*', "name"), sample(directive));
        let value = match (directive.takes, directive.status) {
            (_, Status::Supported | Status::Removed(_)) => continue,
            _ if matches!(directive.name, "listener" | "user") => continue,
            (Takes::PluginLoad, _) => "name path".to_owned(),
            (Takes::RestartTimeout, _) => "7".to_owned(),
            (Takes::TcpKeepalive, _) => "1 2 3".to_owned(),
            _ => value,
        };
        let block = match directive.scope {
            Scope::Bridge => "connection c\n",
            Scope::Plugin => "plugin p\n",
            _ => "listener 1885\n",
        };
        let main = format!("{block}{name} {value}\n");
        let diagnostics =
            parse(&[(PathBuf::from("m.conf"), main.as_bytes())], &CommandLine::default()).unwrap_err();
        let told = diagnostics.to_string();
        // A plugin must be loaded before it can be used.
        assert!(told.contains("is not supported yet") || told.contains("no plugin named"), "{main}{told}");
    }
}

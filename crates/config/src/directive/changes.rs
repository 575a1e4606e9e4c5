//! Two files for each directive that is obeyed, which differ in its value: for tests of what a change does.

/// What a file says of a directive, and what it says later.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Its name.
    pub directive: &'static str,
    /// A whole configuration file.
    pub before: &'static str,
    /// The same with another value.
    pub after: &'static str,
}

const fn of(directive: &'static str, before: &'static str, after: &'static str) -> Change {
    Change { directive, before, after }
}

/// Files that the files of [`CHANGES`] name.
pub const CHANGE_FILES: [(&str, &[u8]); 3] =
    [("d/a.conf", b"max_keepalive 9"), ("acl", b"topic read a"), ("passwords", b"# nobody")];

/// One for each directive that is obeyed; a test holds that none is missing.
pub const CHANGES: &[Change] = &[
    of("acl_file", "listener 1", "listener 1\nacl_file acl"),
    of("password_file", "listener 1", "listener 1\npassword_file passwords"),
    of("clientid_prefixes", "", "clientid_prefixes a-"),
    of("check_retain_source", "", "check_retain_source false"),
    of("accept_protocol_versions", "listener 1", "listener 1\naccept_protocol_versions 5"),
    of("use_username_as_clientid", "listener 1", "listener 1\nuse_username_as_clientid true"),
    of("allow_anonymous", "listener 1", "listener 1\nallow_anonymous true"),
    of("listener_allow_anonymous", "listener 1", "listener 1\nlistener_allow_anonymous true"),
    of("allow_zero_length_clientid", "", "allow_zero_length_clientid false"),
    of("auto_id_prefix", "", "auto_id_prefix a-"),
    of("listener_auto_id_prefix", "listener 1", "listener 1\nlistener_auto_id_prefix a-"),
    of(
        "per_listener_settings",
        "listener 1\nallow_anonymous true\nlistener 2",
        "per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2",
    ),
    of("connection_messages", "", "connection_messages false"),
    of("max_inflight_messages", "", "max_inflight_messages 5"),
    of("max_inflight_bytes", "", "max_inflight_bytes 5"),
    of("max_queued_messages", "", "max_queued_messages 5"),
    of("max_queued_bytes", "", "max_queued_bytes 5"),
    of("max_keepalive", "", "max_keepalive 60"),
    of("max_packet_size", "", "max_packet_size 100"),
    of("outbox_bytes_max", "", "outbox_bytes_max 2000"),
    of("connect_timeout", "", "connect_timeout 5"),
    of("worker_threads", "", "worker_threads 2"),
    of("worker_connections_min", "", "worker_connections_min 1"),
    of("memory_limit", "", "memory_limit 100000000"),
    of("persistent_client_expiration", "", "persistent_client_expiration 1h"),
    of("queue_qos0_messages", "", "queue_qos0_messages true"),
    of("retain_available", "", "retain_available false"),
    of("set_tcp_nodelay", "", "set_tcp_nodelay true"),
    of("upgrade_outgoing_qos", "", "upgrade_outgoing_qos true"),
    of("allow_duplicate_messages", "", "allow_duplicate_messages false"),
    of("user", "", "user somebody"),
    of("pid_file", "", "pid_file /run/broker.pid"),
    of("include_dir", "", "include_dir d"),
    of("persistence", "", "persistence true"),
    of("persistence_file", "", "persistence_file a.db"),
    of("persistence_location", "", "persistence_location /var"),
    of("autosave_interval", "", "autosave_interval 5"),
    of("autosave_on_changes", "", "autosave_on_changes true"),
    of("sys_interval", "", "sys_interval 0"),
    of("log_dest", "", "log_dest stdout"),
    of("log_facility", "", "log_facility 5"),
    of("log_format", "", "log_format json"),
    of("log_timestamp", "", "log_timestamp false"),
    of("log_timestamp_format", "", "log_timestamp_format %H"),
    of("log_type", "", "log_type all"),
    of("listener", "listener 1", "listener 2"),
    of("port", "port 1", "port 2"),
    of("bind_address", "bind_address a", "bind_address b"),
    of("socket_domain", "listener 1", "listener 1\nsocket_domain ipv4"),
    of("protocol", "listener 1", "listener 1\nprotocol mqtt"),
    of("message_size_limit", "", "message_size_limit 100"),
    of("global_max_clients", "", "global_max_clients 5"),
    of("global_max_connections", "", "global_max_connections 5"),
    of("retain_expiry_interval", "", "retain_expiry_interval 5"),
    of("bind_interface", "listener 1", "listener 1\nbind_interface lo"),
    of("mount_point", "listener 1", "listener 1\nmount_point a/"),
    of("max_connections", "listener 1", "listener 1\nmax_connections 5"),
    of("durability", "listener 1", "listener 1\ndurability flush"),
    of("max_qos", "listener 1", "listener 1\nmax_qos 1"),
    of("max_topic_alias", "listener 1", "listener 1\nmax_topic_alias 5"),
    of("max_topic_alias_broker", "listener 1", "listener 1\nmax_topic_alias_broker 5"),
];

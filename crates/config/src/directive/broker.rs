//! What is for the whole broker: security, sessions and limits, files and threads.

use super::Directive;
use super::Scope::{Global, InListener, InOwnListener, Plugin, Security};
use crate::value::Outside::{LowerAndTell, Raise, Refuse};
use crate::value::Repeat::{self, Replace};
use crate::value::Takes::{self, Flag, IdPrefix, Ignored, Path, PluginLoad, PluginOption, Span, Text};

/// Mosquitto holds its numbers in a C `int`.
pub(super) const INT_MAX: i64 = i32::MAX as i64;

pub(super) const fn number(min: i64, max: i64) -> Takes {
    Takes::Number { min, max, outside: Refuse }
}

/// A number where all below `min` means the same.
pub(super) const fn at_least(min: i64, max: i64) -> Takes {
    Takes::Number { min, max, outside: Raise }
}

const fn of(name: &'static str, scope: super::Scope, takes: Takes, default: &'static str) -> Directive {
    Directive::new(name, scope, takes, default)
}

const PLUGINS: &str = "the plugins that Mosquitto ships";

pub(super) const DIRECTIVES: &[Directive] = &[
    of("acl_file", Security, Path(Replace), "")
        .help("Rules: who may read and write which topics")
        .reads_file_again(),
    of("allow_anonymous", Security, Flag, "false")
        .help("Accept clients that give no user name; without any listener the default is true"),
    of("listener_allow_anonymous", InListener, Flag, "false")
        .help("The same for one listener; the default is what `allow_anonymous` says")
        .needs_restart(),
    of("allow_zero_length_clientid", Security, Flag, "true")
        .help("Make an identifier for clients that send an empty one"),
    of("auto_id_prefix", Security, IdPrefix, "auto-")
        .help("What identifiers made by the broker begin with")
        .deprecated("write `listener_auto_id_prefix` for each listener"),
    of("listener_auto_id_prefix", InListener, IdPrefix, "auto-")
        .help("The same for one listener; the default is what `auto_id_prefix` says")
        .needs_restart(),
    of("clientid_prefixes", Global, Text(Replace), "")
        .help("Refuse clients whose identifier begins otherwise")
        .deprecated("use access control"),
    of("check_retain_source", Global, Flag, "true")
        .help("Deliver a retained message only while its publisher may still write its topic")
        .needs_restart(),
    of("password_file", Security, Path(Replace), "")
        .help("User names and hashed passwords")
        .reads_file_again(),
    of("psk_file", Security, Path(Replace), "")
        .help("Identities and their pre-shared keys")
        .reads_file_again()
        .waits_for("TLS with pre-shared keys"),
    of("per_listener_settings", Global, Flag, "false")
        .help("The security directives are for one listener each; must stand before them")
        .deprecated("write `listener_allow_anonymous` and `listener_auto_id_prefix` instead"),
    of("plugin", Security, Path(Replace), "")
        .help("Load a plugin; `mosquitto_persist_sqlite.so` selects the built-in store, as `persistence true`")
        .aliases(&["auth_plugin"])
        .needs_restart()
        .waits_for(PLUGINS),
    of("global_plugin", Global, Path(Replace), "")
        .help("The same, asked before all others, for all listeners")
        .needs_restart()
        .waits_for(PLUGINS),
    of("plugin_load", Global, PluginLoad, "")
        .help("Load a plugin under a name")
        .needs_restart()
        .waits_for(PLUGINS),
    of("plugin_use", InOwnListener, Text(Replace), "")
        .help("Use a loaded plugin for this listener")
        .needs_restart()
        .waits_for(PLUGINS),
    of("plugin_opt_*", Plugin, PluginOption, "")
        .help("Option of the plugin above")
        .aliases(&["auth_opt_*"])
        .needs_restart()
        .waits_for(PLUGINS),
    of("auth_plugin_deny_special_chars", Plugin, Flag, "true")
        .help("Names with `+` or `#` have no rights, without asking the plugin")
        .needs_restart()
        .waits_for(PLUGINS),
    of("connection_messages", Global, Flag, "true").help("Log each connect and disconnect"),
    of("enable_control_api", Global, Flag, "false")
        .help("Answer on `$CONTROL/broker/v1`")
        .waits_for("the control API"),
    of("max_inflight_messages", Global, at_least(0, 65535), "20")
        .help("QoS 1 and 2 messages in flight towards one client, and its Receive Maximum; 0 is any"),
    of("max_inflight_bytes", Global, at_least(0, INT_MAX), "0")
        .help("The same in payload bytes; one message is always allowed; 0 is any"),
    of("max_queued_messages", Global, at_least(0, INT_MAX), "1000")
        .help("Messages queued beyond those for one session; when full, new ones are dropped; 0 is any"),
    of("max_queued_bytes", Global, at_least(0, INT_MAX), "0")
        .help("The same in bytes; the first limit reached wins; 0 is any"),
    of("max_keepalive", Global, number(0, 65535), "0")
        .help("Longest Keep Alive in seconds: MQTT 5 clients are told, others refused; 0 is any"),
    of("max_packet_size", Global, number(20, INT_MAX), "2000000")
        .help("Largest packet accepted, in bytes; a larger one disconnects"),
    of("message_size_limit", Global, number(0, 268_435_455), "0")
        .help("Largest payload accepted, in bytes; a larger one is acknowledged and dropped; 0 is any")
        .deprecated("write `max_packet_size`"),
    of("outbox_bytes_max", Global, number(1024, INT_MAX), "1048576")
        .help("Bytes that may wait to be sent to one client; more drops QoS 0 messages to it"),
    of("connect_timeout", Global, number(1, 3600), "30")
        .help("Seconds that a new connection may take until its CONNECT is accepted"),
    of("worker_threads", Global, number(1, 256), "")
        .help("Event loops, each on its own thread; without it one for each core that the process may use")
        .needs_restart(),
    of("worker_connections_min", Global, number(1, INT_MAX), "32")
        .help("Connections that an event loop gets before the next one is given any: few clients are quickest side by side")
        .needs_restart(),
    of("memory_limit", Global, number(0, i64::MAX), "")
        .help("Bytes of memory near which less is taken in; without it 80 % of the machine's or control group's; 0 is any"),
    of("persistent_client_expiration", Global, Span, "")
        .help("End a durable session whose client was not seen for so long"),
    of("queue_qos0_messages", Global, Flag, "false")
        .help("Queue QoS 0 messages too for durable sessions whose client is away"),
    of("retain_available", Global, Flag, "true")
        .help("Keep and deliver retained messages; if not, a retained message disconnects"),
    of(
        "retain_expiry_interval",
        Global,
        Takes::Number { min: 1, max: 10_000_000, outside: LowerAndTell },
        "",
    )
    .help("Minutes between two searches for expired retained messages; without it they are searched for each minute"),
    of("set_tcp_nodelay", Global, Flag, "true").help("Accepted: small packets are always sent at once"),
    of("upgrade_outgoing_qos", Global, Flag, "false")
        .help("Deliver at the subscription's QoS even if the message was published with a lower one"),
    of("allow_duplicate_messages", Global, Flag, "true")
        .help("One copy for each matching subscription; if not, one for all of them")
        .deprecated("leave it at true"),
    of("global_max_clients", Global, number(-INT_MAX, INT_MAX), "-1")
        .help("Sessions at a time, connected or not; 0 and below is any number"),
    of("global_max_connections", Global, number(-INT_MAX, INT_MAX), "-1")
        .help("Connections at a time, of all listeners; 0 and below is any number"),
    of("packet_buffer_size", Global, number(0, 65535), "4096")
        .help("Largest header of a WebSocket handshake, in bytes")
        .aliases(&["websockets_headers_size"])
        .waits_for("WebSocket listeners"),
    of("retry_interval", Global, Ignored, "")
        .help("Once the time before a message was sent again")
        .removed("messages are sent again only after a reconnect"),
    of("user", Global, Text(Replace), "").help("The user to become when started as root").needs_restart(),
    of("pid_file", Global, Path(Repeat::Refuse), "")
        .help("Receives the process number; removed at exit")
        .needs_restart(),
    of("include_dir", Global, Path(Repeat::Add), "")
        .help("Read all `*.conf` files of a directory here; only in the main file"),
];

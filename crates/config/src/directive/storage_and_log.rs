//! What is kept on disk, what is logged, what is published about the broker itself.

use super::Directive;
use super::Scope::Global;
use super::broker::{INT_MAX, at_least, number};
use crate::value::Repeat::Refuse;
use crate::value::Takes::{Flag, LogDestination, LogTypeName, Path, Text, Word};

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::new("persistence", Global, Flag, "false")
        .help("What was acknowledged survives restarts and crashes: sessions, queues, retained messages")
        .aliases(&["retained_persistence"])
        .needs_restart(),
    Directive::new("persistence_file", Global, Text(Refuse), "mosquitto.db")
        .help("The name of Mosquitto's database"),
    Directive::new("persistence_location", Global, Path(Refuse), "")
        .help("An existing directory; data is in `noctule` there; the default is the current one")
        .needs_restart(),
    Directive::new("autosave_interval", Global, at_least(0, INT_MAX), "1800")
        .help("Seconds between two saves in Mosquitto; here all is saved when it is acknowledged, whatever this says"),
    Directive::new("autosave_on_changes", Global, Flag, "false")
        .help("`autosave_interval` counts changes in Mosquitto; here all is saved when it is acknowledged"),
    Directive::new("sys_interval", Global, number(0, 65535), "10")
        .help("Seconds between two publications of [`$SYS`](sys-topics.md); 0 is never"),
    Directive::new("log_dest", Global, LogDestination, "stderr")
        .help("Where log lines go; may be written several times, but only with one file. `topic` is below `$SYS/broker/log`"),
    Directive::new("log_facility", Global, number(0, 7), "")
        .help("The local facility of syslog; without it `daemon`"),
    Directive::new("log_format", Global, Word(&["text", "json"]), "text")
        .help("Lines as Mosquitto writes them, or [JSON objects](log.md), one a line"),
    Directive::new("log_timestamp", Global, Flag, "true").help("Write the time in front of each log line"),
    Directive::new("log_timestamp_format", Global, Text(Refuse), "")
        .help("The time's format, as of strftime; the default is seconds since 1970"),
    Directive::new("log_type", Global, LogTypeName, "")
        .help("Lines to log; repeatable; the default is error, warning, notice and information"),
    Directive::new("websockets_log_level", Global, number(-INT_MAX, INT_MAX), "0")
        .help("Once the level of a WebSocket library")
        .removed("that library is not used"),
];

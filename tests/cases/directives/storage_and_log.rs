//! What is stored, what is logged, what is published about the broker itself.

use super::matrix;
use super::row::{bad, file, file_and, removed, seen, unseen};
use super::view;

macro_rules! open {
    ($lines:literal) => {
        concat!("listener PORT 127.0.0.1\nallow_anonymous true\n", $lines)
    };
}

const ALL_IS_SAVED: &str = "all is saved when it is acknowledged, whatever this says";

matrix! {
    persistence:
        seen(
            view::data_directory,
            file(open!("persistence_location DIR"), "none"),
            file(open!("persistence_location DIR\npersistence true"), "noctule"),
        ),
        [bad("persistence perhaps", "`persistence` cannot be `perhaps`")];

    persistence_file:
        unseen(open!("persistence_file broker.db"), "nothing of that name is written here"),
        [bad("persistence_file", "`persistence_file` has no value")];

    persistence_location:
        seen(
            view::data_directory,
            file_and(
                open!("persistence true\npersistence_location DIR/a"),
                &[("a/here", ""), ("b/here", "")],
                "a/noctule",
            ),
            file_and(
                open!("persistence true\npersistence_location DIR/b"),
                &[("a/here", ""), ("b/here", "")],
                "b/noctule",
            ),
        ),
        [bad("persistence_location", "`persistence_location` has no value")];

    autosave_interval:
        unseen(open!("autosave_interval 10"), ALL_IS_SAVED),
        [bad("autosave_interval often", "`autosave_interval` takes a number, not `often`")];

    autosave_on_changes:
        unseen(open!("autosave_on_changes true"), ALL_IS_SAVED),
        [bad("autosave_on_changes often", "`autosave_on_changes` cannot be `often`")];

    sys_interval:
        seen(
            view::uptime_is_published,
            file(open!("sys_interval 0"), "nothing"),
            file(open!("sys_interval 1"), "uptime"),
        ),
        [bad("sys_interval 65536", "`sys_interval` cannot be 65536; write a number between 0 and 65535")];

    log_dest:
        seen(
            view::where_it_is_logged,
            file(open!("log_dest stderr"), "stderr"),
            file(open!("log_dest stdout\nlog_dest topic\nlog_dest file DIR/broker.log"), "stdout file topic"),
        ),
        [bad("log_dest printer", "`log_dest` cannot be `printer`")];

    log_facility:
        unseen(
            open!("log_facility 3"),
            "the system's log has one socket for all programs; the tests of syslog.rs read what is sent to one of their own",
        ),
        [bad("log_facility 8", "`log_facility` cannot be 8; write a number between 0 and 7")];

    log_format:
        seen(view::line_begins, file(open!(""), "time"), file(open!("log_format json"), "json")),
        [bad("log_format xml", "`log_format` cannot be `xml`; write `text` or `json`")];

    log_timestamp:
        seen(view::time_stamp, file(open!(""), "9999999999: "), file(open!("log_timestamp false"), "")),
        [bad("log_timestamp no", "`log_timestamp` cannot be `no`")];

    log_timestamp_format:
        seen(
            view::time_stamp,
            file(open!(""), "9999999999: "),
            file(open!("log_timestamp_format %Y-%m-%d %H:%M:%S"), "9999-99-99 99:99:99: "),
        ),
        [bad("log_timestamp_format", "`log_timestamp_format` has no value")];

    log_type:
        seen(
            view::kinds_of_lines,
            file(open!(""), "notice"),
            file(open!("log_type subscribe\nlog_type debug"), "debug subscribe"),
        ),
        [bad("log_type verbose", "`log_type` cannot be `verbose`")];

    connection_messages:
        seen(view::visit_is_logged, file(open!(""), "logged"), file(open!("connection_messages false"), "not logged")),
        [bad("connection_messages few", "`connection_messages` cannot be `few`")];

    websockets_log_level:
        removed(open!("websockets_log_level 255")),
        [bad("websockets_log_level all", "`websockets_log_level` takes a number, not `all`")];
}

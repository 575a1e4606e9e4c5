//! Values that are not what their directive takes.

use super::{Problem, shown};

/// The name in Mosquitto's messages where it is another one than in the file.
pub(super) fn mosquitto_name(name: &str) -> &str {
    match name {
        "listener" => "listener port",
        "bind_address" => "default listener bind_address",
        "clientid" | "remote_clientid" => "bridge remote clientid",
        "local_clientid" => "bridge local clientd",
        "local_password" => "bridge local_password",
        "local_username" => "bridge local_username",
        "password" | "remote_password" => "bridge remote_password",
        "username" | "remote_username" => "bridge remote_username",
        "socket_domain" => "start_type",
        option => {
            option.strip_prefix("plugin_opt_").or_else(|| option.strip_prefix("auth_opt_")).unwrap_or(option)
        }
    }
}

pub(crate) fn empty(name: &str) -> Problem {
    Problem::error(format!("`{name}` has no value"), "write one behind it, or remove the line")
        .originally(format!("Error: Empty '{}' value in configuration.", mosquitto_name(name)))
}

pub(crate) fn empty_log_file() -> Problem {
    Problem::error("`log_dest file` names no file".to_owned(), "write its path behind it")
        .originally("Error: Empty \"log_dest file\" value in configuration.")
}

/// Mosquitto knows these two only if it was built for them.
pub(crate) fn log_of_another_system(system: &str) -> Problem {
    let what = match system {
        "dlt" => "`log_dest dlt` is the log daemon of cars, which this broker is not built for",
        _ => "`log_dest android` is Android's log, and this is not Android",
    };
    Problem::error(what.to_owned(), "write `stdout`, `stderr`, `file PATH`, `syslog`, `topic` or `none`")
        .originally(format!("Error: Invalid 'log_dest' value ({system})."))
}

pub(crate) fn invalid(name: &str, value: &str, allowed: &str) -> Problem {
    let mend = if value.contains('\t') {
        format!("write {allowed}, and blanks instead of tabs")
    } else {
        format!("write {allowed}")
    };
    let original = match name {
        "start_type" | "bridge_reload_type" => {
            format!("Error: Invalid '{name}' value in configuration ({value}).")
        }
        "socket_domain" => format!("Error: Invalid '{name}' value '{value}' in configuration."),
        _ => format!("Error: Invalid '{name}' value ({value})."),
    };
    Problem::error(format!("`{name}` cannot be `{}`", shown(value)), mend).originally(original)
}

pub(crate) fn manual_start() -> Problem {
    Problem::error("`start_type` cannot be `manual`".to_owned(), "write `automatic`, `lazy` or `once`")
        .originally("Error: Manual start_type not supported.")
}

pub(crate) fn not_a_number(name: &str, value: &str) -> Problem {
    Problem::error(
        format!("`{name}` takes a number, not `{}`", shown(value)),
        "write digits only, followed by a blank or the end of the line",
    )
    .originally(format!("Error: '{}' value not a number.", mosquitto_name(name)))
}

pub(crate) fn too_large_a_number(name: &str, value: &str) -> Problem {
    Problem::error(
        format!("`{name}` cannot be `{}`", shown(value)),
        "write a number between -2147483648 and 2147483647",
    )
    .originally(format!("Error: '{}' value out of range.", mosquitto_name(name)))
}

pub(crate) fn outside(name: &str, number: i64, min: i64, max: i64) -> Problem {
    let mend = match max {
        i64::MAX => format!("write a number of at least {min}"),
        _ => format!("write a number between {min} and {max}"),
    };
    let original = match name {
        "listener" => format!("Error: Invalid 'port' value ({number})."),
        "max_qos" | "maximum_qos" => "Error: 'max_qos' must be between 0 and 2 inclusive.".to_owned(),
        "max_packet_size" => "Error: 'max_packet_size' must be >= 20.".to_owned(),
        "max_inflight_messages" => "Error: 'max_inflight_messages' must be <= 65535.".to_owned(),
        "max_topic_alias" | "max_topic_alias_broker" => {
            format!("Error: Invalid '{name}' value in configuration.")
        }
        "packet_buffer_size" | "websockets_headers_size" => {
            "Error: Packet buffer size must be between 0 and 65535 inclusive.".to_owned()
        }
        "enable_proxy_protocol" => "Error: enable_proxy_protocol must be 1 or 2.".to_owned(),
        "retain_expiry_interval" => "Error: retain_expiry_interval must be >= 1.".to_owned(),
        "keepalive_interval" => "Error: Bridge keepalive value too high.".to_owned(),
        "bridge_max_topic_alias" => "Error: bridge_max_topic_alias must be > 0 and <= 65535.".to_owned(),
        "bridge_receive_maximum" if number < min => {
            "Error: bridge_receive_maximum must be greater than 0.".to_owned()
        }
        "bridge_receive_maximum" => "Error: bridge_receive_maximum must be lower than 65535.".to_owned(),
        "bridge_session_expiry_interval" => {
            "Error: bridge_session_expiry_interval must not be negative.".to_owned()
        }
        "bridge_tcp_user_timeout" => "Error: invalid TCP user timeout value.".to_owned(),
        _ => format!("Error: Invalid '{name}' value ({number})."),
    };
    Problem::error(format!("`{name}` cannot be {number}"), mend).originally(original)
}

pub(crate) fn too_low(name: &str, number: i64, used: i64) -> Problem {
    let original = match name {
        "keepalive_interval" => "keepalive interval too low, using 5 seconds.".to_owned(),
        "threshold" => "threshold too low, using 1 message.".to_owned(),
        _ => format!("{name} interval too low, using {used} second."),
    };
    Problem::notice(
        format!("`{name}` is {number}, which is too low: {used} is used"),
        format!("write at least {used}"),
    )
    .originally(original)
}

pub(crate) fn too_high(name: &str, number: i64, used: i64) -> Problem {
    let what = format!("`{name}` is {number}, which is too high: {used} is used");
    let mend = format!("write at most {used}");
    match name {
        "retain_expiry_interval" => Problem::warning(what, mend)
            .originally("Warning: retain_expiry_interval being capped at 19 years."),
        _ => {
            Problem::notice(what, mend).originally(format!("{name} interval too high, using {used} seconds."))
        }
    }
}

pub(crate) fn not_a_span(name: &str, value: &str) -> Problem {
    Problem::error(
        format!("`{name}` takes a length of time, not `{}`", shown(value)),
        "write a number from 1 and its unit without a blank: s, h, d, w, m or y, as in `14d`",
    )
    .originally(format!("Error: Invalid '{name}' duration in configuration."))
}

pub(crate) fn too_long(name: &str, bytes: usize, bytes_max: usize) -> Problem {
    let problem = Problem::error(
        format!("the value of `{name}` has {bytes} bytes; {bytes_max} are allowed"),
        "write a shorter one",
    );
    match name {
        "auto_id_prefix" => problem.originally("Error: auto_id_prefix length must be <= 50."),
        "listener_auto_id_prefix" => {
            problem.originally("Error: 'listener_auto_id_prefix' length must be <= 50.")
        }
        _ => problem,
    }
}

pub(crate) fn control_character(name: &str, value: &str) -> Problem {
    Problem::error(
        format!("the value of `{name}` holds a control character: `{}`", shown(value)),
        "remove it; tabs are control characters too",
    )
    .originally("Error: Malformed UTF-8 in configuration.")
}

pub(crate) fn mount_point(value: &str) -> Problem {
    Problem::error(
        format!("`mount_point` cannot be `{}`", shown(value)),
        "write a topic without `+` and `#`, of at most 201 levels",
    )
    .originally(format!(
        "Error: Invalid 'mount_point' value ({value}). Does it contain a wildcard character?"
    ))
}

pub(crate) fn unix_socket_without_path() -> Problem {
    Problem::error(
        "`listener 0` names no Unix socket".to_owned(),
        "write the socket's path behind it, or a port between 1 and 65535",
    )
    .originally("Error: A listener with port 0 must provide a Unix socket path.")
}

pub(crate) fn left_over(name: &str, text: &str) -> Problem {
    Problem::warning(
        format!("nothing reads `{}` behind the value of `{name}`", shown(text)),
        "remove it, or put `#` in front to make it a comment",
    )
}

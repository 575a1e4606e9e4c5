//! Settings that are unknown, not there yet, said twice, or better said otherwise.

use super::word::mosquitto_name;
use super::{Problem, shown};
use crate::diagnostic::Position;
use crate::directive::{self, Directive};

pub(crate) fn unknown(name: &str) -> Problem {
    let mend = if name.starts_with('#') {
        "a comment's `#` must be the first character of its line".to_owned()
    } else if name.starts_with('\u{feff}') {
        "save the file without a byte order mark".to_owned()
    } else if name.contains('\t') {
        "separate name and value by blanks, not by tabs".to_owned()
    } else if let Some(nearest) = directive::nearest(name) {
        format!("did you mean `{nearest}`?")
    } else {
        "remove it; docs/configuration.md lists all directives".to_owned()
    };
    Problem::error(format!("unknown directive `{}`", shown(name)), mend)
        .originally(format!("Error: Unknown configuration variable '{name}'."))
}

pub(crate) fn not_utf8(line: &[u8]) -> Problem {
    let line = String::from_utf8_lossy(line);
    Problem::error(format!("the line `{}` is not UTF-8", shown(&line)), "save the file as UTF-8")
        .originally("Error: Malformed UTF-8 in configuration.")
}

pub(crate) fn not_yet(name: &str, waits_for: &str) -> Problem {
    let mend = match name {
        "connection" => "remove the line and its block to start without it",
        "plugin" | "auth_plugin" | "global_plugin" | "plugin_load" => {
            "remove the line and the plugin's options to start without it"
        }
        _ => "remove the line to start without it",
    };
    Problem::error(format!("`{name}` is not supported yet: it waits for {waits_for}"), mend)
}

pub(crate) fn not_yet_with(name: &str, value: &str, waits_for: &str, accepted: &str) -> Problem {
    Problem::error(
        format!("`{name} {}` is not supported yet: it waits for {waits_for}", shown(value)),
        format!("write {accepted}, or remove the line"),
    )
}

pub(crate) fn not_yet_unix_socket() -> Problem {
    Problem::error(
        "`listener 0` is not supported yet: it waits for Unix sockets".to_owned(),
        "write a port between 1 and 65535",
    )
}

pub(crate) fn duplicate(name: &str, first: &Position) -> Problem {
    Problem::error(format!("`{name}` was said before, at {first}"), "remove one of the two")
        .originally(format!("Error: Duplicate '{}' value in configuration.", mosquitto_name(name)))
}

pub(crate) fn log_file_twice() -> Problem {
    Problem::error("`log_dest file` was said before".to_owned(), "remove one of the two")
        .originally("Error: Duplicate \"log_dest file\" value.")
}

pub(crate) fn removed(directive: &Directive, instead: &str) -> Problem {
    let name = directive.name;
    let problem = Problem::warning(format!("`{name}` has no effect: {instead}"), "remove the line");
    match name {
        "dhparamfile" => problem.originally("Warning: dhparamfile is no longer required."),
        _ => problem.originally(format!("Warning: The '{name}' option is no longer available.")),
    }
}

pub(crate) fn deprecated(directive: &Directive, instead: &str) -> Problem {
    let name = directive.name;
    let advice = match name {
        "allow_duplicate_messages" => "The behaviour will default to true.",
        "auto_id_prefix" => "Please use 'listener_auto_id_prefix' instead.",
        "per_listener_settings" => "Please see the documentation for how to achieve the same effect.",
        "port" => "Please use 'listener' instead.",
        _ => "",
    };
    let problem = Problem::notice(format!("`{name}` is deprecated"), instead);
    match name {
        "message_size_limit" => problem
            .originally("Note: It is recommended to replace `message_size_limit` with `max_packet_size`."),
        _ => problem.originally(format!(
            "The '{name}' option is now deprecated and will be removed in version 3.0. {advice}"
        )),
    }
}

pub(crate) fn delay_is_gone() -> Problem {
    Problem::notice(
        "`set_tcp_nodelay false` has no effect: small packets are always sent at once".to_owned(),
        "remove the line",
    )
}

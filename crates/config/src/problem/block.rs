//! Settings in the wrong block, and blocks that do not fit together.

use super::{Problem, shown};
use crate::diagnostic::Position;

pub(crate) fn needs_listener(name: &str) -> Problem {
    Problem::error(
        format!("`{name}` stands before any `listener`"),
        "move it below the `listener` line that it is for; every file starts without one",
    )
    .originally(format!("Error: The '{name}' option requires a listener to be defined first."))
}

pub(crate) fn needs_bridge(name: &str) -> Problem {
    Problem::error(
        format!("`{name}` stands before any `connection`"),
        "move it below the `connection` line that it is for; every file starts without one",
    )
    .originally(format!("Error: The '{name}' option requires a bridge to be defined first."))
}

pub(crate) fn needs_plugin(name: &str) -> Problem {
    let original = match name {
        "auth_plugin_deny_special_chars" => {
            "Error: An auth_plugin_deny_special_chars option exists in the config file without a plugin."
                .to_owned()
        }
        _ => format!(
            "Error: The '{name}' option requires plugin/global_plugin/plugin_load to be defined first."
        ),
    };
    Problem::error(
        format!("`{name}` stands before any `plugin`"),
        "move it below the `plugin`, `global_plugin` or `plugin_load` line that it is for",
    )
    .originally(original)
}

pub(crate) fn per_listener_settings_too_late(first: &str) -> Problem {
    Problem::error(
        format!("`per_listener_settings true` stands behind `{first}`"),
        "move it to the first line of the file",
    )
    .originally("Error: per_listener_settings must be set before any other security settings.")
}

pub(crate) fn default_listener(name: &str) -> Problem {
    Problem::notice(
        format!("`{name}` stands before any `listener`, so it is for a listener on port 1883 that no line asks for"),
        "write `listener 1883` above it",
    )
    .originally(format!("Creating default listener due to '{name}' option."))
}

pub(crate) fn default_port_again(first: &Position) -> Problem {
    Problem::warning(
        format!("`port` was said before, at {first}: only this one counts"),
        "write `listener` for each port",
    )
    .originally("Warning: Default listener port specified multiple times. Only the latest will be used.")
}

pub(crate) fn allow_anonymous_per_listener() -> Problem {
    Problem::notice(
        "`allow_anonymous` is for one listener here".to_owned(),
        "write `listener_allow_anonymous`, which needs no `per_listener_settings`",
    )
    .originally(
        "You are using the 'allow_anonymous' option with 'per_listener_settings true'. \
         Please replace this with 'listener_allow_anonymous'.",
    )
}

pub(crate) fn ports_without_effect() -> Problem {
    Problem::warning(
        "the ports of the command line have no effect: the file says where to listen".to_owned(),
        "remove `-p`, or write `listener` for each port",
    )
}

pub(crate) fn certificate_and_psk() -> Problem {
    Problem::error(
        "this listener has both a certificate and pre-shared keys".to_owned(),
        "write two listeners, one with each",
    )
    .originally("Error: Cannot use both certificate and psk encryption in a single listener.")
}

pub(crate) fn half_a_certificate() -> Problem {
    Problem::error(
        "this listener has only one of `certfile` and `keyfile`".to_owned(),
        "write both for TLS, or none",
    )
    .originally("Error: Both certfile and keyfile must be provided to enable a TLS listener.")
    .without_line()
}

pub(crate) fn authority_without_certificate(name: &str) -> Problem {
    Problem::error(
        format!("this listener has `{name}` but no certificate of its own"),
        "write `certfile` and `keyfile` too",
    )
    .originally(format!("Error: {name} specified without certfile and keyfile."))
    .without_line()
}

pub(crate) fn proxy_and_certificate() -> Problem {
    Problem::error(
        "`enable_proxy_protocol 2` and a certificate exclude each other: the proxy ends TLS".to_owned(),
        "remove `certfile` and `keyfile`",
    )
    .originally("Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.")
    .without_line()
}

pub(crate) fn proxy_and_subject() -> Problem {
    Problem::error(
        "`enable_proxy_protocol 2` and `use_subject_as_username` exclude each other: the proxy tells no subject"
            .to_owned(),
        "write `use_identity_as_username`",
    )
    .originally("Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.")
    .without_line()
}

pub(crate) fn plugin_name_taken(name: &str) -> Problem {
    Problem::error(
        format!("a plugin named `{}` was loaded before", shown(name)),
        "give each `plugin_load` its own name",
    )
    .originally(format!("Error: Duplicate plugin name '{name}'."))
}

pub(crate) fn plugin_not_loaded(name: &str) -> Problem {
    Problem::error(
        format!("no plugin named `{}` was loaded", shown(name)),
        "write `plugin_load` with this name above",
    )
    .originally(format!("Error: Plugin '{name}' not previously loaded."))
}

pub(crate) fn store_plugin_option(name: &str) -> Problem {
    Problem::warning(
        format!("`{name}` has no effect: the built-in store stands in for persist_sqlite"),
        "remove the line; `durability` of a listener says what acknowledgements wait for",
    )
}

pub(crate) fn plugin_option_without_name(name: &str) -> Problem {
    Problem::error(
        format!("`{name}` names no option"),
        format!("write the option's name right behind it: `{name}NAME value`"),
    )
    .originally("Error: Invalid 'plugin_opt_' config option.")
}

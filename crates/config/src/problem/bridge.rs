//! Bridges that cannot be built.

use super::{Problem, shown};

pub(crate) fn name_taken(name: &str) -> Problem {
    Problem::error(
        format!("a bridge named `{}` was opened before", shown(name)),
        "give each `connection` its own name",
    )
    .originally(format!("Error: Duplicate bridge name '{name}'."))
}

pub(crate) fn address_twice() -> Problem {
    Problem::error(
        "this bridge has its address already".to_owned(),
        "write all addresses behind one `address`",
    )
    .originally("Error: Invalid bridge configuration, 'address' only allowed once.")
}

pub(crate) fn empty_address() -> Problem {
    Problem::error("`address` has no value".to_owned(), "write the other broker's host, or `host:port`")
        .originally("Error: Empty address value in configuration.")
}

pub(crate) fn address_without_host(address: &str) -> Problem {
    Problem::error(format!("the address `{}` has no host", shown(address)), "write `host:port`")
}

pub(crate) fn invalid_port(port: &str) -> Problem {
    // Mosquitto shows what C's atoi makes of it.
    let digits = port.len() - port.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: i32 = port[..digits].parse().unwrap_or(0);
    Problem::error(
        format!("`{}` is no port", shown(port)),
        "write a number between 1 and 65535; behind an IPv6 address the port is needed",
    )
    .originally(format!("Error: Invalid bridge port value ({number})."))
}

pub(crate) fn missing_quote(topic: &str) -> Problem {
    // Mosquitto shows what it did not take yet: all behind the first word.
    let left = topic.split_once(' ').map_or("", |(_, left)| left);
    Problem::error(format!("the topic `\"{}` does not end", shown(topic)), "write the second quote")
        .originally(format!("Error: Missing closing quote in topic value ({left})."))
}

pub(crate) fn invalid_direction(direction: &str) -> Problem {
    Problem::error(
        format!("`{}` is no direction of a topic", shown(direction)),
        "write `out`, `in` or `both`",
    )
    .originally(format!("Error: Invalid bridge topic direction '{direction}'."))
}

pub(crate) fn invalid_qos(qos: &str) -> Problem {
    Problem::error(format!("`{}` is no QoS", shown(qos)), "write `0`, `1` or `2`")
        .originally(format!("Error: Invalid bridge QoS level '{qos}'."))
}

pub(crate) fn nothing_to_map() -> Problem {
    Problem::error(
        "an empty topic needs a local and a remote prefix".to_owned(),
        "write both prefixes, or a topic",
    )
    .originally("Error: Invalid bridge remapping.")
}

pub(crate) fn invalid_prefix(side: &str, prefix: &str) -> Problem {
    Problem::error(
        format!("`{}` is no {side} prefix", shown(prefix)),
        "write a topic without `+` and `#`, of at most 201 levels",
    )
    .originally(format!("Error: Invalid bridge topic {side} prefix '{prefix}'."))
}

pub(crate) fn invalid_pattern(side: &str, pattern: &str) -> Problem {
    Problem::error(
        format!("{side} prefix and topic give `{}`, which is no topic filter", shown(pattern)),
        "wildcards must be whole levels, and `#` the last one; a prefix mostly ends with `/`",
    )
    .originally(format!("Error: Invalid bridge topic {side} prefix and pattern combination '{pattern}'."))
}

pub(crate) fn backoff_cap_below_base(cap: i64, base: i64) -> Problem {
    Problem::error(
        format!("the longest wait of `restart_timeout`, {cap}, is below the first one, {base}"),
        "write the first wait first",
    )
    .originally("Error: backoff cap is lower than the base in restart_timeout.")
}

pub(crate) fn backoff_cap_too_high(cap: i64, used: i64) -> Problem {
    Problem::notice(
        format!("the longest wait of `restart_timeout` is {cap}, which is too high: {used} is used"),
        format!("write at most {used}"),
    )
    .originally(format!("Error: backoff cap too high, using {used} seconds."))
}

pub(crate) fn negative_stable(stable: i64) -> Problem {
    Problem::error(
        format!("the stable period of `restart_timeout` cannot be {stable}"),
        "write a number of seconds from 0",
    )
    .originally("Error: stable connection period cannot be negative.")
}

pub(crate) fn invalid_tcp_keepalive(what: &str, number: i64) -> Problem {
    Problem::error(
        format!("the {what} of `bridge_tcp_keepalive` cannot be {number}"),
        "write three numbers from 1: idle seconds, seconds between probes, probes",
    )
    .originally(format!("Error: invalid TCP keepalive {what} value."))
}

pub(crate) fn without_address(name: &str) -> Problem {
    Problem::error(format!("the bridge `{}` has no address", shown(name)), "write `address` below it")
        .originally("Error: Invalid bridge configuration: no remote addresses defined.")
        .without_line()
}

pub(crate) fn without_topic(name: &str) -> Problem {
    Problem::error(
        format!("the bridge `{}` has no topic", shown(name)),
        "write `topic` below it for all that shall pass",
    )
    .originally("Error: Invalid bridge configuration: no topics defined.")
    .without_line()
}

pub(crate) fn half_a_psk(missing: &str) -> Problem {
    Problem::error(
        format!("this bridge has a pre-shared key without its `{missing}`"),
        "write both `bridge_identity` and `bridge_psk`, or none",
    )
    .originally(format!("Error: Invalid bridge configuration: missing {missing}."))
    .without_line()
}

pub(crate) fn certificate_and_psk(name: &str) -> Problem {
    Problem::error(
        format!("`{name}` stands in a bridge that has both certificates and a pre-shared key"),
        "use one of the two",
    )
    .originally(format!(
        "Error: '{name}': Cannot use both certificate and psk encryption in a single bridge."
    ))
}

pub(crate) fn local_clientid_taken(client_id: &str) -> Problem {
    Problem::error(
        format!("another bridge has the `local_clientid` `{}` too", shown(client_id)),
        "give each bridge its own",
    )
    .originally(format!(
        "Error: Bridge local_clientid '{client_id}' is not unique. Try changing or setting the \
         local_clientid value for one of the bridges."
    ))
    .without_line()
}

//! What a person at a terminal is told when the broker runs.

use std::net::SocketAddr;

use noctule_config::{Config, Listener};

/// Where it listens, who may connect, where data goes, and what to type next.
pub(crate) fn text(config: &Config, addresses: &[SocketAddr]) -> String {
    let listening = join(addresses.iter().map(ToString::to_string));
    let who = match (config.local_only, config.listeners.iter().any(Listener::accepts_anonymous)) {
        (true, true) => "Programs on this machine may connect, without a password.",
        (true, false) => "Only programs on this machine could connect, but anonymous clients are refused.",
        (false, true) => "Everybody who reaches this address may connect, without a password.",
        (false, false) => {
            "Clients without a user name are refused; `allow_anonymous true` in the file would let them in."
        }
    };
    let port = match addresses.first().map(SocketAddr::port) {
        None | Some(1883) => String::new(),
        Some(port) => format!(" -p {port}"),
    };
    format!(
        "\nNoctule {version} listens on {listening}.\n\
         {who}\n\
         Messages and sessions are kept in memory and end with the broker. Ctrl-C ends it.\n\
         Try in two other terminals:\n    \
             noctule sub{port} -t 'hello/#' -v\n    \
             noctule pub{port} -t hello/world -m 'good evening'\n\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn join(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<_> = parts.collect();
    match parts.pop() {
        None => "no address".to_owned(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_addresses_people_and_commands() {
        let addresses = ["127.0.0.1:1884".parse().unwrap(), "[::1]:1884".parse().unwrap()];
        let text = text(&Config::default(), &addresses);
        for part in ["127.0.0.1:1884 and [::1]:1884", "on this machine", "memory", "noctule sub -p 1884 -t"] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn the_usual_port_need_not_be_typed() {
        let text = text(&Config::default(), &["127.0.0.1:1883".parse().unwrap()]);
        assert!(text.contains("noctule sub -t"), "{text}");
    }
}

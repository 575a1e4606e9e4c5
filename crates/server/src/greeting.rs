//! What a person at a terminal is told when the broker runs.

use std::net::SocketAddr;
use std::path::Path;

use noctule_config::{Config, Listener};

/// Where it listens, who may connect, where data goes, and what to type next.
pub(crate) fn text(config: &Config, addresses: &[SocketAddr], data: Option<&Path>) -> String {
    let listening = join(addresses.iter().map(ToString::to_string));
    let from_where =
        if config.local_only { "Programs on this machine" } else { "All who reach this address" };
    let anonymous = config.listeners.iter().any(Listener::accepts_anonymous);
    let named = config.listeners.iter().any(|listener| listener.password_file.is_some());
    let who = match (anonymous, named) {
        (true, _) => format!("{from_where} may connect, without a password."),
        (false, true) => format!("{from_where} may connect, with a user name and password of the password_file."),
        (false, false) => {
            "All clients are refused; `allow_anonymous true` in the file, or a `password_file`, would let some in."
                .to_owned()
        }
    };
    let kept = match data {
        Some(directory) => format!("Sessions and messages are kept in {}.", directory.display()),
        None => "Messages and sessions are kept in memory and end with the broker.".to_owned(),
    };
    let port = match addresses.first().map(SocketAddr::port) {
        None | Some(1883) => String::new(),
        Some(port) => format!(" -p {port}"),
    };
    format!(
        "\nNoctule {version} listens on {listening}.\n\
         {who}\n\
         {kept} Ctrl-C ends it.\n\
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
    use noctule_config::{ListenAddress, SocketDomain};

    use super::*;

    #[test]
    fn it_names_addresses_people_and_commands() {
        let addresses = ["127.0.0.1:1884".parse().unwrap(), "[::1]:1884".parse().unwrap()];
        let text = text(&Config::default(), &addresses, None);
        for part in ["127.0.0.1:1884 and [::1]:1884", "on this machine", "memory", "noctule sub -p 1884 -t"] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn it_tells_who_may_come_in() {
        let told = |config: &Config| text(config, &[], None);
        let address = ListenAddress { host: None, port: 1883, domain: SocketDomain::Any };
        let mut config =
            Config { listeners: vec![Listener::new(address)], local_only: false, ..Config::default() };
        assert!(told(&config).contains("All clients are refused"));
        config.listeners[0].allow_anonymous = true;
        assert!(told(&config).contains("All who reach this address may connect, without a password"));
    }

    #[test]
    fn the_usual_port_need_not_be_typed() {
        let data = Path::new("/state/noctule");
        let text = text(&Config::default(), &["127.0.0.1:1883".parse().unwrap()], Some(data));
        assert!(text.contains("kept in /state/noctule."), "{text}");
        assert!(text.contains("noctule sub -t"), "{text}");
    }
}

//! `-L`: `mqtt://[user[:password]@]host[:port]/topic`.

use noctule_client::Endpoint;

use crate::failure::Failure;

/// What a URL says. Nothing in it is percent-decoded, as in Mosquitto.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Url {
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) topic: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let url = Self::parse_server(text)?;
        if url.topic.is_empty() {
            return Err(Failure::usage("Error: Invalid URL for -L argument specified - topic missing."));
        }
        Ok(url)
    }

    /// The same, for who needs no topic.
    pub(crate) fn parse_server(text: &str) -> Result<Self, Failure> {
        let rest = text.strip_prefix("mqtt://").ok_or_else(|| {
            Failure::usage_with_hint(
                "Error: unsupported URL scheme.",
                "a URL reads mqtt://[user[:password]@]host[:port]/topic",
            )
        })?;
        let (server, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, address) = match server.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, server),
        };
        let (user_name, password) = match credentials.map(|both| both.split_once(':').ok_or(both)) {
            None => (None, None),
            Some(Ok((user_name, password))) => (Some(user_name), Some(password)),
            Some(Err(user_name)) => (Some(user_name), None),
        };
        let (host, port) = split_address(address).ok_or_else(|| {
            Failure::usage(format!("Error: Invalid URL for -L argument specified - '{address}' is no host."))
        })?;
        Ok(Self {
            user_name: user_name.map(str::to_owned),
            password: password.map(str::to_owned),
            host: host.to_owned(),
            port: port.map(parse_port).transpose()?,
            topic: topic.to_owned(),
        })
    }
}

/// A host, an IPv6 address in brackets too, and what stands behind the colon.
fn split_address(address: &str) -> Option<(&str, Option<&str>)> {
    let (host, rest) = match address.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    if host.is_empty() {
        return None;
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        None => None,
        Some(port) => Some((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, Failure> {
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Failure::usage(format!("Error: Invalid port given: {text}")))
}

impl Url {
    /// Where to connect.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.host.clone(), self.port.unwrap_or(Endpoint::DEFAULT_PORT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, Option<String>, String, String) {
        let url = Url::parse(text).unwrap();
        let endpoint = url.endpoint().to_string();
        (url.user_name, url.password, endpoint, url.topic)
    }

    #[test]
    fn all_forms() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("mqtt://here/a/b"), (None, None, "here:1883".into(), "a/b".into()));
        assert_eq!(parts("mqtt://here:1884//a"), (None, None, "here:1884".into(), "/a".into()));
        assert_eq!(parts("mqtt://joe@here/a"), (some("joe"), None, "here:1883".into(), "a".into()));
        assert_eq!(
            parts("mqtt://joe:s:e@c@[::1]:1/a"),
            (some("joe"), some("s:e@c"), "[::1]:1".into(), "a".into())
        );
        assert_eq!(parts("mqtt://joe:@here/a"), (some("joe"), some(""), "here:1883".into(), "a".into()));
    }

    #[test]
    fn mistakes() {
        for text in
            ["", "here/a", "mqtts://here/a", "mqtt://here", "mqtt://here/", "mqtt:///a", "mqtt://joe@/a"]
        {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        for address in ["here:", "here:0", "here:65536", "here:http", "[::1", "[::1]1883", ":1883"] {
            assert!(Url::parse(&format!("mqtt://{address}/a")).is_err(), "{address}");
        }
    }
}

//! Where the broker is, and as whom to connect.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, value_parser};
use noctule_client::Endpoint;

use super::url::Url;
use super::{text, value};
use crate::failure::Failure;

/// For a command that has connections but no single client.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
}

impl Server {
    /// The flags that say it; `-P` may be bytes, so its reader is the command.
    pub(crate) fn args() -> [Arg; 5] {
        [
            host(),
            port(),
            value("url", Some('L'), "URL", "mqtt://[USER[:PASSWORD]@]HOST[:PORT], instead of -h -p -u -P")
                .conflicts_with_all(["host", "port"]),
            user_name(),
            password(),
        ]
    }

    pub(crate) fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let url = matches.get_one::<String>("url").map(|text| Url::parse_server(text)).transpose()?;
        Ok(Self {
            endpoint: endpoint(matches, url.as_ref()),
            user_name: text(matches, "username").or(url.as_ref().and_then(|url| url.user_name.clone())),
            password: url.and_then(|url| url.password),
        })
    }
}

pub(super) fn host() -> Arg {
    value("host", Some('h'), "HOST", "Host of the broker [default: localhost]")
}

pub(super) fn port() -> Arg {
    value("port", Some('p'), "PORT", "Port of the broker [default: 1883]")
        .value_parser(value_parser!(u16).range(1..))
}

pub(super) fn user_name() -> Arg {
    value("username", Some('u'), "NAME", "User name").allow_hyphen_values(true)
}

pub(super) fn password() -> Arg {
    value("pw", Some('P'), "PASSWORD", "Password; other users of this machine can see it in the process list")
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(true)
}

pub(super) fn endpoint(matches: &ArgMatches, url: Option<&Url>) -> Endpoint {
    match url {
        Some(url) => url.endpoint(),
        None => Endpoint::new(
            text(matches, "host").unwrap_or_else(|| "localhost".to_owned()),
            matches.get_one("port").copied().unwrap_or(Endpoint::DEFAULT_PORT),
        ),
    }
}

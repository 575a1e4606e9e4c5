//! The arguments of `listener`.

use super::{number, text};
use crate::lexer::Words;
use crate::problem::{Problem, word};

/// The arguments of `listener`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerArguments {
    /// 0 exactly if `place` is a Unix socket.
    pub port: u16,
    /// Where, if it is said.
    pub place: ListenPlace,
}

/// Where a listener listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenPlace {
    /// On every address of the machine.
    Everywhere,
    /// On this host name or address.
    Host(String),
    /// On a Unix socket with this path.
    UnixSocket(String),
}

/// `port [address or path]`.
pub(super) fn parse(name: &str, words: &mut Words<'_>) -> Result<ListenerArguments, Problem> {
    let found = number::parse(name, text::word(name, words)?)?;
    let port = u16::try_from(found).map_err(|_| word::outside(name, found, 1, 65535))?;
    let place = match (port, words.next_or_comment()) {
        (0, None) => return Err(word::unix_socket_without_path()),
        (0, Some(path)) => ListenPlace::UnixSocket(path.to_owned()),
        (_, Some(host)) => ListenPlace::Host(host.to_owned()),
        (_, None) => ListenPlace::Everywhere,
    };
    Ok(ListenerArguments { port, place })
}

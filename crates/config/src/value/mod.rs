//! What stands behind a directive's name: the types, and how text becomes a value of one.

mod address;
mod bridge;
mod duration;
mod number;
mod text;

use std::time::Duration;

pub use address::{ListenPlace, ListenerArguments};
pub(crate) use text::is_topic_filter;

pub use bridge::{BridgeAddress, BridgeTopic, Direction, RestartTimeout, TcpKeepalive};

use crate::lexer::Words;
use crate::log::LogType;
use crate::problem::{Problem, word};

/// The type of a directive's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Takes {
    /// `true`, `false`, `1` or `0`.
    Flag,
    /// A number as C writes it: decimal, `0x` or octal.
    Number {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
        /// What becomes of a number that is not.
        outside: Outside,
    },
    /// The rest of the line.
    Text(Repeat),
    /// The rest of the line, at most 50 bytes: what made client identifiers begin with.
    IdPrefix,
    /// The rest of the line: a topic without wildcards.
    TopicPrefix,
    /// The rest of the line: a file or directory.
    Path(Repeat),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any one word.
    Name,
    /// Some of the protocol versions 3, 4 and 5.
    ProtocolVersions,
    /// A number and its unit: s, h, d, w, m (30 days) or y (365 days).
    Span,
    /// Port, and an address or the path of a Unix socket.
    Listener,
    /// A destination of the log.
    LogDestination,
    /// A type of log lines, `all` or `none`.
    LogTypeName,
    /// A name and the path of a shared object.
    PluginLoad,
    /// The text for a plugin's option, whose name is part of the directive's.
    PluginOption,
    /// One or several `host[:port]`.
    BridgeAddresses,
    /// `pattern [direction [qos [local-prefix [remote-prefix]]]]`.
    BridgeTopic,
    /// `seconds`, or `base cap [stable]`.
    RestartTimeout,
    /// `idle interval count`.
    TcpKeepalive,
    /// Anything: nobody reads it.
    Ignored,
}

/// What becomes of a number outside its bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outside {
    /// An error.
    Refuse,
    /// Below is the smallest, above an error.
    Raise,
    /// The same, and it is told.
    RaiseAndTell,
    /// Below is an error, above is the largest, and it is told.
    LowerAndTell,
}

/// What becomes of a second value for the same place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// An error.
    Refuse,
    /// It replaces the first.
    Replace,
    /// It is added to the first.
    Add,
}

/// A value, well formed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// See [`Takes::Flag`].
    Flag(bool),
    /// See [`Takes::Number`]; within the bounds.
    Number(i64),
    /// See [`Takes::Text`], [`Takes::IdPrefix`], [`Takes::TopicPrefix`], [`Takes::Path`], [`Takes::Name`] and
    /// [`Takes::PluginOption`]; not empty.
    Text(String),
    /// See [`Takes::Word`].
    Word(&'static str),
    /// See [`Takes::ProtocolVersions`]; in the file's order.
    ProtocolVersions(Vec<u8>),
    /// See [`Takes::Span`].
    Span(Duration),
    /// See [`Takes::Listener`].
    Listener(ListenerArguments),
    /// See [`Takes::LogDestination`].
    LogDestination(LogDestination),
    /// See [`Takes::LogTypeName`].
    LogType(LogTypeArgument),
    /// See [`Takes::PluginLoad`].
    PluginLoad {
        /// The plugin's name in `plugin_use`.
        name: String,
        /// Its shared object.
        path: String,
    },
    /// See [`Takes::BridgeAddresses`]; at least one.
    BridgeAddresses(Vec<BridgeAddress>),
    /// See [`Takes::BridgeTopic`].
    BridgeTopic(BridgeTopic),
    /// See [`Takes::RestartTimeout`].
    RestartTimeout(RestartTimeout),
    /// See [`Takes::TcpKeepalive`].
    TcpKeepalive(TcpKeepalive),
    /// See [`Takes::Ignored`].
    Ignored,
}

/// The value of a `log_dest`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogDestination {
    /// `none`: forget the others.
    None,
    /// `stdout`
    Stdout,
    /// `stderr`
    Stderr,
    /// `file PATH`
    File(String),
    /// `syslog`
    Syslog,
    /// `topic`
    Topic,
}

/// The value of a `log_type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogTypeArgument {
    /// `none`: forget the others.
    None,
    /// `all`
    All,
    /// One type more.
    One(LogType),
}

impl Takes {
    /// Parses the text behind `name`. What is odd but no mistake is pushed to `notes`.
    pub fn parse(self, name: &str, rest: &str, notes: &mut Vec<Problem>) -> Result<Value, Problem> {
        let mut words = Words::new(rest);
        let value = match self {
            Self::Flag => flag(name, &mut words)?,
            Self::Number { min, max, outside } => {
                Value::Number(number::bounded(name, &mut words, (min, max), outside, notes)?)
            }
            Self::Word(allowed) => Value::Word(one_of(name, &mut words, allowed)?),
            Self::Name => Value::Text(text::word(name, &mut words)?.to_owned()),
            Self::ProtocolVersions => return protocol_versions(name, rest),
            Self::Span => Value::Span(duration::parse(name, &mut words)?),
            Self::Listener => Value::Listener(address::parse(name, &mut words)?),
            Self::LogDestination => return log_destination(name, words, notes),
            Self::LogTypeName => log_type(name, &mut words)?,
            Self::BridgeAddresses => Value::BridgeAddresses(bridge::addresses(&mut words)?),
            Self::BridgeTopic => Value::BridgeTopic(bridge::topic(name, &mut words)?),
            Self::RestartTimeout => Value::RestartTimeout(bridge::restart_timeout(name, &mut words, notes)?),
            Self::TcpKeepalive => Value::TcpKeepalive(bridge::tcp_keepalive(&mut words)?),
            Self::Text(_) | Self::Path(_) => {
                return Ok(Value::Text(text::rest(name, rest, text::BYTES_MAX)?));
            }
            Self::IdPrefix => return Ok(Value::Text(text::rest(name, rest, text::ID_PREFIX_BYTES_MAX)?)),
            Self::TopicPrefix => return Ok(Value::Text(text::topic_prefix(name, rest)?)),
            Self::PluginLoad => {
                let plugin = text::word(name, &mut words)?.to_owned();
                let path = text::rest(name, words.rest(), text::BYTES_MAX)?;
                return Ok(Value::PluginLoad { name: plugin, path });
            }
            Self::PluginOption => return Ok(Value::Text(text::plugin_option(name, rest)?)),
            Self::Ignored => return Ok(Value::Ignored),
        };
        tell_left_over(name, words, notes);
        Ok(value)
    }

    /// Whether a second value for the same place is an error.
    pub fn refuses_repetition(self) -> bool {
        matches!(self, Self::Text(Repeat::Refuse) | Self::Path(Repeat::Refuse) | Self::IdPrefix)
    }
}

fn tell_left_over(name: &str, words: Words<'_>, notes: &mut Vec<Problem>) {
    if let Some(left_over) = words.left_over() {
        notes.push(word::left_over(name, left_over));
    }
}

fn flag(name: &str, words: &mut Words<'_>) -> Result<Value, Problem> {
    match text::word(name, words)? {
        "true" | "1" => Ok(Value::Flag(true)),
        "false" | "0" => Ok(Value::Flag(false)),
        other => Err(word::invalid(name, other, "`true` or `false`")),
    }
}

fn one_of(name: &str, words: &mut Words<'_>, allowed: &[&'static str]) -> Result<&'static str, Problem> {
    let found = text::word(name, words)?;
    match allowed.iter().find(|word| **word == found) {
        Some(word) => Ok(word),
        None if (name, found) == ("start_type", "manual") => Err(word::manual_start()),
        None => Err(word::invalid(name, found, &listed(allowed))),
    }
}

fn listed(words: &[&str]) -> String {
    let mut list = String::new();
    for (index, word) in words.iter().enumerate() {
        let between = match index {
            0 => "",
            _ if index + 1 == words.len() => " or ",
            _ => ", ",
        };
        list.extend([between, "`", word, "`"]);
    }
    list
}

fn protocol_versions(name: &str, rest: &str) -> Result<Value, Problem> {
    let mut versions = Vec::new();
    for version in rest.split([',', ' ', '\t']).filter(|version| !version.is_empty()) {
        match version {
            "3" => versions.push(3),
            "4" => versions.push(4),
            "5" => versions.push(5),
            comment if comment.starts_with('#') => break,
            other => return Err(word::invalid(name, other, "some of `3`, `4` and `5`, separated by commas")),
        }
    }
    if versions.is_empty() {
        return Err(word::empty(name));
    }
    Ok(Value::ProtocolVersions(versions))
}

fn log_destination(name: &str, mut words: Words<'_>, notes: &mut Vec<Problem>) -> Result<Value, Problem> {
    let destination = match text::word(name, &mut words)? {
        "none" => LogDestination::None,
        "stdout" => {
            // Lines are always written at once, so `unbuffered` is the case anyway.
            let mut ahead = words;
            if ahead.next() == Some("unbuffered") {
                words = ahead;
            }
            LogDestination::Stdout
        }
        "stderr" => LogDestination::Stderr,
        "syslog" => LogDestination::Syslog,
        "topic" => LogDestination::Topic,
        system @ ("dlt" | "android") => return Err(word::log_of_another_system(system)),
        "file" => {
            let path = words.rest().trim_start_matches('\t');
            if path.is_empty() {
                return Err(word::empty_log_file());
            }
            return Ok(Value::LogDestination(LogDestination::File(text::rest(name, path, text::BYTES_MAX)?)));
        }
        other => {
            let allowed = listed(&["none", "stdout", "stderr", "file PATH", "syslog", "topic"]);
            return Err(word::invalid(name, other, &allowed));
        }
    };
    tell_left_over(name, words, notes);
    Ok(Value::LogDestination(destination))
}

fn log_type(name: &str, words: &mut Words<'_>) -> Result<Value, Problem> {
    let found = text::word(name, words)?;
    let argument = match found {
        "none" => LogTypeArgument::None,
        "all" => LogTypeArgument::All,
        _ => match LogType::NAMES.iter().find(|(name, _)| *name == found) {
            Some((_, kind)) => LogTypeArgument::One(*kind),
            None => {
                let mut allowed: Vec<_> = LogType::NAMES.iter().map(|(name, _)| *name).collect();
                allowed.extend(["all", "none"]);
                return Err(word::invalid(name, found, &listed(&allowed)));
            }
        },
    };
    Ok(Value::LogType(argument))
}

//! Why a load cannot be run, and how to mend it.

use std::io;

use noctule_client::Endpoint;
use noctule_client::protocol::packet::ConnackCode;
use noctule_client::protocol::{DecodeError, EncodeError, ReasonCode};

use super::EXIT_COULD_NOT_RUN;
use crate::command::EXIT_WRONG_FLAGS;
use crate::reason_text::{connack_text, reason_text};

/// What ends a run without figures.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error("cannot resolve '{host}': {source}; check the name behind -h")]
    Lookup { host: String, source: io::Error },
    #[error("{}", unreachable(endpoint, source))]
    Unreachable { endpoint: Endpoint, source: io::Error },
    #[error(
        "the broker refused client {client}: {}{}{}",
        connack_text(*code),
        with_reason(reason),
        connack_hint(*code)
    )]
    Refused { client: String, code: ConnackCode, reason: Option<String> },
    #[error("the broker refused client {client} the subscription '{filter}': {}", suback_text(*code))]
    NotSubscribed { client: String, filter: String, code: u8 },
    #[error(
        "the broker granted client {client} QoS {granted} for '{filter}', and QoS {asked} is to be measured; \
         ask for less with -q or --subscribe-qos, or configure the broker for more"
    )]
    LowerQoS { client: String, filter: String, granted: u8, asked: u8 },
    #[error("the broker refused a message of client {client}: {}", byte_text(*code))]
    NotPublished { client: String, code: u8 },
    #[error("the broker closed the connection of client {client} {during}; its log may say why")]
    Closed { client: String, during: &'static str },
    #[error("the broker ended the connection of client {client}: {}", byte_text(*code))]
    Disconnected { client: String, code: u8 },
    #[error(
        "the connection of client {client} broke: {}; the log of the broker may say why",
        noctule_client::system_text(source)
    )]
    Broken { client: String, source: io::Error },
    #[error("client {client} cannot understand the broker: {error}")]
    Malformed { client: String, error: DecodeError },
    #[error("the broker sent client {client} {what}, which is no answer to anything it asked")]
    Unexpected { client: String, what: String },
    #[error(
        "{opened} of {wanted} connections were opened, then nothing came for {seconds} s; the broker does not keep up, or a limit of it is reached"
    )]
    OpeningStalled { opened: usize, wanted: usize, seconds: u64 },
    #[error("{what} stalled: {done} of {wanted} done, then nothing came for {seconds} s")]
    Stalled { what: &'static str, done: u64, wanted: u64, seconds: u64 },
    #[error(
        "so many connections need {wanted} open files, and the hard limit of this process (RLIMIT_NOFILE) is {limit}; \
         raise it with `ulimit -Hn {wanted}` as root, or LimitNOFILE= in a unit, or ask for fewer connections"
    )]
    Descriptors { wanted: u64, limit: u64 },
    #[error(
        "cannot read {path} of the broker: {source}; is --broker-pid the number of a running process of yours?"
    )]
    Process { path: String, source: io::Error },
    #[error("what is to be sent cannot be said in MQTT: {0}")]
    Encode(#[from] EncodeError),
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl Fault {
    /// How the command ends.
    pub(super) const fn exit(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_WRONG_FLAGS,
            _ => EXIT_COULD_NOT_RUN,
        }
    }
}

fn unreachable(endpoint: &Endpoint, source: &io::Error) -> String {
    let text = noctule_client::system_text(source);
    let hint = match source.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; start a broker with `noctule broker`, or name another one with -h and -p"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no free port for one more connection there; ask for fewer connections, or widen \
             net.ipv4.ip_local_port_range"
        }
        _ => "check -h and -p",
    };
    format!("cannot connect to {endpoint}: {text}; {hint}")
}

fn with_reason(reason: &Option<String>) -> String {
    reason.as_ref().map(|text| format!(" ({})", crate::failure::printable(text))).unwrap_or_default()
}

fn connack_hint(code: ConnackCode) -> &'static str {
    match code.reason_code() {
        ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword => {
            "; give -u and -P, or let the broker accept anybody (`allow_anonymous true`)"
        }
        ReasonCode::UnsupportedProtocolVersion => "; choose another version with -V",
        _ => "",
    }
}

fn byte_text(code: u8) -> String {
    ReasonCode::from_u8(code)
        .map_or_else(|| format!("code {code:#04x}"), |reason| reason_text(reason).to_owned())
}

fn suback_text(code: u8) -> String {
    match code {
        // All that 3.1.1 can say.
        0x80 => "it does not say why; perhaps the client may not read there".to_owned(),
        _ => byte_text(code),
    }
}

//! Why a client command ends without success: Mosquitto's text and number first, because scripts match on them, then
//! what to do about it.

use std::io;
use std::process::ExitCode;

use noctule_client::protocol::connection::ClientError;
use noctule_client::protocol::packet::ConnackCode;
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{ConnectReturnCode, ProtocolVersion, ReasonCode};
use noctule_client::{Endpoint, Error};

use crate::reason_text::{connack_number, connack_text, reason_text};
use crate::say::complain;

/// How a client command failed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    exit: u8,
    /// What Mosquitto's clients say.
    lines: Vec<String>,
    /// How to mend it.
    hint: Option<String>,
    /// Even `--quiet` does not hide that a command line is wrong.
    is_usage: bool,
}

/// The numbers of Mosquitto's client library, of which CONNACK codes are the other half.
pub(crate) mod exit {
    /// Wrong usage, or the server cannot be reached.
    pub(crate) const OTHER: u8 = 1;
    pub(super) const PROTOCOL: u8 = 2;
    pub(super) const CONNECTION_LOST: u8 = 7;
    pub(super) const SYSTEM: u8 = 14;
    pub(super) const KEEP_ALIVE: u8 = 19;
    pub(super) const QOS_NOT_SUPPORTED: u8 = 24;
    pub(super) const PACKET_TOO_LARGE: u8 = 25;
    pub(super) const TIMED_OUT: u8 = 27;
}

const LOST: &str = "Error: The connection was lost";
const PROTOCOL: &str = "Error: A network protocol error occurred when communicating with the broker";

impl Failure {
    fn new(exit: u8, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()], hint: None, is_usage: false }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The command line is wrong.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self { is_usage: true, ..Self::new(exit::OTHER, line) }
    }

    /// The command line is wrong in a way that can be mended with these words.
    pub(crate) fn usage_with_hint(line: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::usage(line).hint(hint)
    }

    /// A file, or standard input or output.
    pub(crate) fn file(line: impl Into<String>) -> Self {
        Self::new(exit::OTHER, line)
    }

    /// `-W` ran out.
    pub(crate) fn timed_out() -> Self {
        Self::new(exit::TIMED_OUT, "Timed out")
    }

    /// There was no connection to begin with, or there is none any more.
    pub(crate) fn connection(error: &Error, endpoint: &Endpoint, was_connected: bool) -> Self {
        match error {
            Error::Resolve(resolve) => Self::new(exit::OTHER, "Unable to connect (Lookup error).")
                .hint(format!("{resolve}; check the name behind -h")),
            Error::Unreachable { source, .. } => {
                let text = noctule_client::system_text(source);
                let hint = match source.kind() {
                    io::ErrorKind::ConnectionRefused => format!(
                        "nothing listens on {endpoint}; start a broker with `noctule broker`, or name another one with -h and -p"
                    ),
                    io::ErrorKind::TimedOut => format!(
                        "{endpoint} does not answer; check -h and -p, and whether a firewall stands between"
                    ),
                    _ => format!("cannot connect to {endpoint}; check -h and -p"),
                };
                Self::new(exit::OTHER, format!("Error: {text}")).hint(hint)
            }
            Error::NoAnswer { .. } => Self::new(exit::CONNECTION_LOST, LOST)
                .hint(format!("{error}; is it an MQTT listener without TLS and WebSocket?")),
            Error::ClosedByServer | Error::Lost(_) | Error::Over if was_connected => {
                Self::new(exit::CONNECTION_LOST, LOST)
                    .hint(format!("{error}; the log of the broker at {endpoint} says why"))
            }
            Error::ClosedByServer | Error::Lost(_) | Error::Over => Self::new(exit::CONNECTION_LOST, LOST).hint(
                format!("{endpoint} closed the connection instead of answering; is it an MQTT listener without TLS, and does it speak the version of -V?"),
            ),
            Error::Unsent { .. } => Self::new(exit::CONNECTION_LOST, LOST).hint(error.to_string()),
            Error::Protocol(error) => Self::new(exit::PROTOCOL, PROTOCOL).hint(error.to_string()),
            Error::System(_) => Self::new(exit::SYSTEM, format!("Error: {error}")),
        }
    }

    /// The server answered CONNECT with a refusal.
    pub(crate) fn refused(code: ConnackCode, properties: &Properties<'_>) -> Self {
        let mut first = format!("Connection error: {}", connack_text(code));
        if code == ConnackCode::V5(ReasonCode::UnsupportedProtocolVersion) {
            first.push_str(". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.");
        }
        let second = match code {
            ConnackCode::V3(_) => "Error: The connection was refused",
            ConnackCode::V5(_) => PROTOCOL,
        };
        Self {
            exit: connack_number(code),
            lines: vec![first, second.to_owned()],
            hint: refusal_hint(code, properties),
            is_usage: false,
        }
    }

    /// The server ended the connection with a reason, or was silent for too long.
    pub(crate) fn disconnected(reason: ReasonCode, properties: &Properties<'_>, endpoint: &Endpoint) -> Self {
        if reason == ReasonCode::KeepAliveTimeout {
            return Self::new(exit::KEEP_ALIVE, "Error: Keepalive exceeded").hint(format!(
                "{endpoint} and this client did not hear from each other; a longer -k bears more"
            ));
        }
        let mut hint = format!("the broker said: {}", reason_text(reason));
        if let Some(more) = properties.reason_string().or(properties.server_reference()) {
            hint.push_str(&format!(" ({})", printable(more)));
        }
        if reason == ReasonCode::SessionTakenOver {
            hint.push_str("; another client connected with the same identifier: give each its own -i");
        }
        Self::new(exit::CONNECTION_LOST, LOST).hint(hint)
    }

    /// What was asked for cannot be said in MQTT, or not to this server.
    pub(crate) fn request(error: &ClientError) -> Self {
        match error {
            ClientError::NotAccepted(ReasonCode::QoSNotSupported) => Self::new(
                exit::QOS_NOT_SUPPORTED,
                "Error: Message QoS not supported on broker, try a lower QoS.",
            ),
            ClientError::NotAccepted(ReasonCode::PacketTooLarge) => {
                Self::new(exit::PACKET_TOO_LARGE, "Error: Packet larger than supported by the server.")
            }
            ClientError::Decode(_) => Self::new(exit::PROTOCOL, PROTOCOL).hint(error.to_string()),
            ClientError::NotAccepted(_)
            | ClientError::Encode(_)
            | ClientError::Topic(_)
            | ClientError::Property(_)
            | ClientError::NoFilter
            | ClientError::TooManyRequests
            | ClientError::UnknownPacketId(_)
            | ClientError::NotConnected => Self::new(exit::OTHER, format!("Error: {error}")),
        }
    }

    /// On one line, for a command that has words of its own around it.
    pub(crate) fn sentence(&self) -> String {
        let lines =
            self.lines.iter().map(|line| line.strip_prefix("Error: ").unwrap_or(line).trim_end_matches('.'));
        lines.chain(self.hint.as_deref()).collect::<Vec<_>>().join("; ")
    }

    /// Says so on standard error, unless it is not to.
    pub(crate) fn report(&self, command: &str, quiet: bool) -> ExitCode {
        if !quiet || self.is_usage {
            let mut text = self.lines.join("\n");
            if let Some(hint) = &self.hint {
                text.push_str(&format!("\nhint: {hint}"));
            }
            if self.is_usage {
                text.push_str(&format!("\n\nUse 'noctule {command} --help' to see usage."));
            }
            complain(&text);
        }
        ExitCode::from(self.exit)
    }
}

fn refusal_hint(code: ConnackCode, properties: &Properties<'_>) -> Option<String> {
    if let Some(reason) = properties.reason_string() {
        return Some(format!("the broker says: {}", printable(reason)));
    }
    if let Some(server) = properties.server_reference() {
        return Some(format!("the broker refers to {}", printable(server)));
    }
    let hint = match code {
        ConnackCode::V3(ConnectReturnCode::UnacceptableProtocolVersion) => "choose another version with -V",
        ConnackCode::V3(ConnectReturnCode::IdentifierRejected)
        | ConnackCode::V5(ReasonCode::ClientIdentifierNotValid) => "choose another client identifier with -i",
        ConnackCode::V3(ConnectReturnCode::BadUserNameOrPassword | ConnectReturnCode::NotAuthorised)
        | ConnackCode::V5(ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized) => {
            "the broker wants a user name and password it knows (-u and -P); one that shall accept anybody \
             needs `allow_anonymous true`"
        }
        ConnackCode::V3(_) | ConnackCode::V5(_) => return None,
    };
    Some(hint.to_owned())
}

/// Text of a server on its way to a terminal: control characters would be obeyed there.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Flags that only MQTT 5 has were given together with an older version.
pub(crate) fn needs_v5(flag: &str, version: ProtocolVersion) -> Failure {
    Failure::usage_with_hint(
        format!("Error: {flag} needs MQTT 5, and -V asks for {version}."),
        format!("leave {flag} or -V away: {flag} alone chooses MQTT 5"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::property::Property;

    fn check(failure: Failure, exit: u8, lines: &[&str], hint_part: &str) {
        assert_eq!(failure.exit, exit);
        assert_eq!(failure.lines, lines);
        let hint = failure.hint.unwrap_or_default();
        assert!(hint.contains(hint_part), "{hint}");
    }

    #[test]
    fn refusals_have_mosquittos_texts_and_numbers() {
        let none = Properties::EMPTY;
        check(
            Failure::refused(ConnackCode::V3(ConnectReturnCode::NotAuthorised), &none),
            5,
            &["Connection error: Connection Refused: not authorised", "Error: The connection was refused"],
            "-u and -P",
        );
        check(
            Failure::refused(ConnackCode::V5(ReasonCode::NotAuthorized), &none),
            135,
            &["Connection error: Not authorized", PROTOCOL],
            "-u and -P",
        );
        check(
            Failure::refused(ConnackCode::V5(ReasonCode::UnsupportedProtocolVersion), &none),
            132,
            &[
                "Connection error: Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use \
                 MQTT v3.x mode.",
                PROTOCOL,
            ],
            "",
        );
        let why = Properties::new([Property::ReasonString("come \x1b[2Jback")]);
        let failure = Failure::refused(ConnackCode::V5(ReasonCode::ServerBusy), &why);
        check(failure, 137, &["Connection error: Server busy", PROTOCOL], "come \u{fffd}[2Jback");
    }

    #[test]
    fn a_lost_connection_is_seven() {
        let endpoint = Endpoint::new("here", 1883);
        let lost = |was_connected| Failure::connection(&Error::ClosedByServer, &endpoint, was_connected);
        check(lost(true), 7, &["Error: The connection was lost"], "log of the broker at here:1883");
        check(lost(false), 7, &["Error: The connection was lost"], "instead of answering");
        let taken_over = Failure::disconnected(ReasonCode::SessionTakenOver, &Properties::EMPTY, &endpoint);
        check(taken_over, 7, &["Error: The connection was lost"], "Session taken over; another client");
    }

    #[test]
    fn nobody_there_is_one() {
        let endpoint = Endpoint::new("here", 1883);
        let unreachable =
            Error::Unreachable { endpoint: endpoint.clone(), source: io::Error::from_raw_os_error(111) };
        let failure = Failure::connection(&unreachable, &endpoint, false);
        check(failure, 1, &["Error: Connection refused"], "nothing listens on here:1883");
    }
}

//! Why a connection ends, and what is still said to its client.

use std::sync::Arc;

use noctule_protocol::packet::Disconnect;
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{DecodeError, ProtocolVersion, ReasonCode};

use super::connection::{Connection, Said, Stage};
use super::{Shard, Turn};
use crate::effect::{Effect, LogLevel, LogSubject};
use crate::input::ConnectionKey;
use crate::metric::{Gauge, Metric};
use crate::timer::Timer;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending<'a> {
    ClosedByPeer,
    Failed(&'a str),
    /// DISCONNECT came, with this reason code.
    ByClient(ReasonCode),
    /// Another connection took the session over [MQTT-3.1.4-3].
    TakenOver,
    /// The client broke a rule; a 5.0 client is told which.
    Refused(DecodeError),
    /// The CONNECT of this client, empty if that is not known, was answered with a refusal already, or needs no answer.
    NotAccepted {
        client_id: &'a str,
        why: &'static str,
    },
    /// The settings changed, so that it could not come in any more.
    NotAllowedAnyMore,
    /// Nothing came for too long.
    TimedOut,
    ShuttingDown,
}

impl Shard {
    /// Ends a connection: tells a 5.0 client why, hands what is left to the shell, and leaves the session.
    pub(super) fn close(&mut self, key: ConnectionKey, ending: Ending<'_>, turn: &mut Turn<'_>) {
        if self.connection(key).is_none() {
            return;
        }
        let Some(mut connection) = self.connections[key.index as usize].take() else { return };
        self.timers.disarm(connection.deadline, Timer::Connection(key));
        self.count(Metric::ConnectionsClosed);
        connection.note_unsent(0, &mut self.counts);
        if connection.slot().is_some() {
            self.counts.change(Gauge::ConnectedClients, 1, 0);
        }
        if let (Some(reason), ProtocolVersion::V5, Stage::Established { .. }, true) =
            (ending.told(), connection.version, connection.stage, connection.is_ready())
        {
            let why = match ending {
                Ending::Refused(error) if !connection.said.contains(Said::NO_REASONS) => Some(error.what),
                _ => None,
            };
            // With its Reason String if it fits [MQTT-3.14.2-3].
            let properties = [Properties::new(why.map(Property::ReasonString)), Properties::EMPTY];
            let end = connection.outbox.end(&mut self.pool);
            let before = end.len();
            for properties in properties {
                let told = Disconnect { reason, properties }.encode(connection.version, end);
                if told.is_ok() && end.len() - before <= connection.maximum_packet_size as usize {
                    self.counts.count(Metric::AnswersSent);
                    break;
                }
                end.truncate(before);
            }
        }
        if !matches!(ending, Ending::ClosedByPeer | Ending::Failed(_)) {
            let farewell = std::mem::take(&mut connection.outbox).into_bytes();
            turn.effects.push(Effect::Close { connection: key, farewell });
        }
        let slot = connection.slot();
        self.log_ending(&connection, ending, turn);
        if let Some(slot) = slot {
            self.leave(slot, ending, turn);
        }
    }

    fn log_ending(&self, connection: &Connection, ending: Ending<'_>, turn: &mut Turn<'_>) {
        if !self.settings.connection_messages {
            return;
        }
        let session = connection.slot().and_then(|slot| self.session(slot));
        self.log_about(LogLevel::Notice, turn, || {
            let client = match (session, ending) {
                (Some(session), _) => Some(Arc::clone(&session.publisher.client_id)),
                (None, Ending::NotAccepted { client_id, .. }) if !client_id.is_empty() => {
                    Some(client_id.into())
                }
                (None, _) => None,
            };
            let id = client.as_deref().unwrap_or("<unknown>").escape_debug();
            let peer = connection.peer_text();
            let reason = ending.described();
            let line = match &reason {
                None => format!("Client {id} [{peer}] disconnected."),
                Some(why) => format!("Client {id} [{peer}] disconnected: {why}."),
            };
            (LogSubject { client, address: connection.peer.address(), reason }, line)
        });
    }
}

impl Ending<'_> {
    /// The reason code of the DISCONNECT a 5.0 client gets.
    fn told(self) -> Option<ReasonCode> {
        match self {
            Self::ClosedByPeer | Self::Failed(_) | Self::ByClient(_) | Self::NotAccepted { .. } => None,
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Refused(error) => Some(error.reason),
            Self::NotAllowedAnyMore => Some(ReasonCode::NotAuthorized),
            Self::TimedOut => Some(ReasonCode::KeepAliveTimeout),
            Self::ShuttingDown => Some(ReasonCode::ServerShuttingDown),
        }
    }

    /// The end of the log line, in Mosquitto's words.
    fn described(self) -> Option<String> {
        Some(match self {
            // As Mosquitto, to whom it is as good a farewell.
            Self::ByClient(ReasonCode::Success | ReasonCode::DisconnectWithWillMessage) => return None,
            Self::ByClient(reason) => reason.describe().to_owned(),
            Self::ClosedByPeer => "connection closed by client".to_owned(),
            Self::Failed(text) => format!("bad socket read/write: {text}"),
            Self::TakenOver => "session taken over".to_owned(),
            Self::Refused(error) => refused(error),
            Self::NotAccepted { why, .. } => why.to_owned(),
            Self::NotAllowedAnyMore => "not authorised".to_owned(),
            Self::TimedOut => "exceeded timeout".to_owned(),
            Self::ShuttingDown => "server shutting down".to_owned(),
        })
    }

    /// Whether the client left as it should, so that its Will is discarded [MQTT-3.14.4-3].
    pub(super) fn discards_will(self) -> bool {
        matches!(self, Self::ByClient(ReasonCode::Success))
    }
}

/// What a client did that it may not, in Mosquitto's words where it has them, and what exactly.
fn refused(DecodeError { reason, what }: DecodeError) -> String {
    let words = match reason {
        ReasonCode::QoSNotSupported => return "used disallowed feature (QoS too high)".to_owned(),
        ReasonCode::RetainNotSupported => return "used disallowed feature (retain not available)".to_owned(),
        ReasonCode::PacketTooLarge => "oversize packet",
        ReasonCode::NotAuthorized => "not authorised",
        ReasonCode::BadUserNameOrPassword => "bad username or password",
        ReasonCode::Banned => "client banned",
        other => other.describe(),
    };
    format!("{words}: {what}")
}

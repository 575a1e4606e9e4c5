//! What the client commands share besides their flags.

use std::time::{Duration, Instant};

use noctule_client::protocol::ReasonCode;
use noctule_client::{Client, Error};

use crate::connect_args::ConnectArgs;
use crate::failure::Failure;
use crate::packet_text::PacketText;
use crate::say::complain;

/// How long a broker may take to accept a connection, and then to answer CONNECT.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a connection and begins CONNECT. Messages are acknowledged by hand, so that none is that was not dealt with.
pub(crate) fn connect(args: &ConnectArgs, patience: Duration) -> Result<Client, Failure> {
    let mut options = args.options.clone();
    options.manual_acks = true;
    let mut text = PacketText::new(&options.client_id);
    let mut client =
        Client::connect(args.endpoint.clone(), options, patience).map_err(|error| match &error {
            // It was not even written: something on the command line is too long for MQTT.
            Error::Protocol(mistake) => Failure::request(mistake),
            _ => Failure::connection(&error, &args.endpoint, false),
        })?;
    if args.debug {
        client.set_trace(Box::new(move |direction, packet| {
            for line in text.lines(direction, packet) {
                complain(&line);
            }
        }));
    }
    Ok(client)
}

/// When to try again after a connection was lost: after one second, then twice as long each time, up to half a minute.
/// A connection that lasted makes the next loss a first one; one that did not does not, so that two clients with one
/// identifier, who throw each other out for ever, do it ever more slowly.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    connected_at: Option<Instant>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(30);
    const LASTED: Duration = Duration::from_secs(60);

    pub(crate) const fn new() -> Self {
        Self { next: Self::FIRST, connected_at: None }
    }

    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        if self.connected_at.take().is_some_and(|since| now.duration_since(since) >= Self::LASTED) {
            self.next = Self::FIRST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait
    }
}

/// Whether the same client may have more luck later, when the broker ended or refused a connection with this reason.
pub(crate) const fn may_pass(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::Success
            | ReasonCode::UnspecifiedError
            | ReasonCode::ImplementationSpecificError
            | ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::KeepAliveTimeout
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::QuotaExceeded
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::MaximumConnectTime
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_a_connection_lasts() {
        let mut backoff = Backoff::new();
        let start = Instant::now();
        let waits: Vec<_> = (0..7).map(|_| backoff.wait(start).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        backoff.connected(start);
        assert_eq!(backoff.wait(start + Duration::from_secs(59)).as_secs(), 30);
        backoff.connected(start);
        assert_eq!(backoff.wait(start + Duration::from_secs(60)).as_secs(), 1);
        assert_eq!(backoff.wait(start).as_secs(), 2);
    }
}

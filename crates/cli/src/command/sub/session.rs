//! From the first connection to the last message.

use std::io::{self, Stdout};
use std::thread;
use std::time::Instant;

use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{PacketId, QoS, ReasonCode};
use noctule_client::{Client, Error, Next};

use super::output::{Flushed, Output};
use super::request::{Request, Retained};
use crate::client_command::{Backoff, PATIENCE, connect, may_pass};
use crate::failure::{Failure, printable};
use crate::message_format::{InvalidJson, Message, Moment};
use crate::reason_text::{connack_text, reason_text};
use crate::say::complain;
use crate::stop::Stop;

/// Subscribes, and prints until there is a reason to end.
pub(super) fn run(request: &Request) -> Result<(), Failure> {
    let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
    let patience = request.timeout.unwrap_or(PATIENCE).min(PATIENCE);
    let client = connect(&request.connect, patience)
        .map_err(|failure| if is_due(deadline) { Failure::timed_out() } else { failure })?;
    let stop = Stop::on_signals(client.waker())
        .map_err(|error| Failure::file(format!("Error: Cannot watch for signals: {error}")))?;
    let session = Session {
        client,
        request,
        stop,
        deadline,
        output: Output::new(io::stdout()),
        backoff: Backoff::new(),
        was_connected: false,
        unanswered: 0,
        printed: 0,
        removals: 0,
        left_retained: false,
        ending: None,
    };
    session.run()
}

struct Session<'r> {
    client: Client,
    request: &'r Request,
    stop: Stop,
    /// Of `-W`.
    deadline: Option<Instant>,
    output: Output<Stdout>,
    backoff: Backoff,
    was_connected: bool,
    /// SUBSCRIBE and UNSUBSCRIBE that wait for their answers.
    unanswered: usize,
    printed: u64,
    /// Retained messages whose removal is not acknowledged.
    removals: usize,
    /// There were too many at once to remove them all.
    left_retained: bool,
    ending: Option<Ending>,
}

/// Removals that may wait for their acknowledgements: a broker sends retained messages as fast as we read them.
const REMOVALS_MAX: usize = 10_000;

/// Why no more messages are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// All that was asked for is there.
    Complete,
    /// Nobody reads what is printed.
    OutputClosed,
    /// A signal.
    Stopped,
    /// `-W`
    TimedOut,
}

/// Why the connection is gone, in words, when it may be opened again.
type Lost = String;

impl Session<'_> {
    fn run(mut self) -> Result<(), Failure> {
        loop {
            if let Err(lost) = self.round()? {
                self.flush()?;
                self.reconnect(lost)?;
            }
            if let Some(ending) = self.ending
                && (self.removals == 0 || ending != Ending::Complete)
            {
                return self.leave(ending);
            }
        }
    }

    /// Deals with what has happened, writes it out, and waits for more.
    fn round(&mut self) -> Result<Result<(), Lost>, Failure> {
        while let Some(event) = self.client.poll_event() {
            if let Err(lost) = self.handle(event)? {
                return Ok(Err(lost));
            }
            if self.output.is_full() {
                self.flush()?;
            }
        }
        self.flush()?;
        if self.ending.is_some() && self.removals == 0 {
            return Ok(Ok(()));
        }
        match self.client.next(self.deadline) {
            Ok(Next::Event(event)) => return self.handle(event),
            Ok(Next::Woken | Next::TimedOut) => {}
            Err(error @ (Error::ClosedByServer | Error::Lost(_))) if self.was_connected => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(self.connection_failure(&error)),
        }
        if self.stop.requested() {
            self.ending = Some(Ending::Stopped);
        } else if is_due(self.deadline) {
            self.ending = Some(Ending::TimedOut);
        }
        Ok(Ok(()))
    }

    fn handle(&mut self, event: ClientEvent) -> Result<Result<(), Lost>, Failure> {
        match event {
            ClientEvent::Connected { .. } => self.connected()?,
            ClientEvent::Refused { code, .. } if self.was_connected && may_pass(code.reason_code()) => {
                return Ok(Err(connack_text(code).to_owned()));
            }
            ClientEvent::Refused { code, properties } => return Err(Failure::refused(code, &properties)),
            ClientEvent::Disconnected { reason, .. } if may_pass(reason) => {
                return Ok(Err(format!("the broker said: {}", reason_text(reason))));
            }
            ClientEvent::Disconnected { reason, properties } => {
                return Err(Failure::disconnected(reason, &properties, &self.request.connect.endpoint));
            }
            ClientEvent::Message { topic, payload, qos, retain, properties, packet_id, .. } => {
                self.message(&topic, &payload, qos, retain, &properties, packet_id);
            }
            ClientEvent::Subscribed { codes, .. } => self.subscribed(&codes),
            ClientEvent::Unsubscribed { .. } => self.answered(),
            // Only retained messages are ever published, to clear them.
            ClientEvent::PublishDone { .. } | ClientEvent::PublishLost { .. } => {
                self.removals = self.removals.saturating_sub(1);
            }
            // Asked for by an authentication method, which no flag can choose without `-D`.
            ClientEvent::Auth { .. } => {}
        }
        Ok(Ok(()))
    }

    fn connected(&mut self) -> Result<(), Failure> {
        self.was_connected = true;
        self.backoff.connected(Instant::now());
        self.stop.may_finish(true);
        if self.unanswered > 0 {
            // The connection asks again by itself.
            return Ok(());
        }
        let Request { connect, options, .. } = self.request;
        let mut requests = 0;
        if self.request.subscribe().next().is_some() {
            let filters = self.request.subscribe().map(|filter| (filter, *options));
            self.client
                .subscribe(filters, connect.properties.subscribe.borrowed())
                .map_err(|error| Failure::request(&error))?;
            requests += 1;
        }
        if self.request.unsubscribe().next().is_some() {
            self.client
                .unsubscribe(self.request.unsubscribe(), connect.properties.unsubscribe.borrowed())
                .map_err(|error| Failure::request(&error))?;
            requests += 1;
        }
        self.unanswered = requests;
        Ok(())
    }

    fn subscribed(&mut self, codes: &[u8]) {
        let quiet = self.request.connect.quiet;
        if self.request.connect.debug && !quiet {
            let codes: Vec<_> = codes.iter().map(u8::to_string).collect();
            let line = format!("Subscribed (mid: 1): {}\n", codes.join(", "));
            self.output.buffer().extend_from_slice(line.as_bytes());
        }
        let is_refused = |code: &u8| *code >= 0x80;
        if codes.iter().all(is_refused) {
            if !quiet {
                complain("All subscription requests were denied.");
            }
            self.ending = Some(Ending::Complete);
        }
        if !quiet {
            for (filter, code) in self.request.subscribe().zip(codes).filter(|(_, code)| is_refused(code)) {
                // 3.1.1 knows this one code, and no reasons.
                let reason =
                    ReasonCode::from_u8(*code).filter(|reason| *reason != ReasonCode::UnspecifiedError);
                let why = reason.map_or("the broker gives no reason", reason_text);
                complain(&format!("Warning: Subscription to {} failed: {why}.", filter.as_str()));
            }
        }
        self.answered();
    }

    fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 && self.request.exit_after_sub {
            self.ending = Some(Ending::Complete);
        }
    }

    fn message(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: &Properties<'_>,
        packet_id: Option<PacketId>,
    ) {
        // What comes after the end is not acknowledged, so a session that is kept has it the next time.
        if self.ending.is_some() {
            return;
        }
        if self.request.retained == Retained::Only && !retain {
            self.ending = Some(Ending::Complete);
            return;
        }
        if retain && self.request.retained == Retained::NotPrinted || self.request.filters_out(topic) {
            self.output.done(packet_id);
            return;
        }
        if retain && self.request.remove_retained && self.removals == REMOVALS_MAX {
            self.left_retained = true;
        } else if retain && self.request.remove_retained {
            match self.client.publish(topic, b"", QoS::AtLeastOnce, true, Properties::EMPTY) {
                Ok(_) => self.removals += 1,
                Err(error) if !self.request.connect.quiet => complain(&format!("Error: {error}")),
                Err(_) => {}
            }
        }
        let packet_number = packet_id.map_or(0, PacketId::get);
        let message = Message { topic, payload, qos, retain, packet_id: packet_number, properties };
        let printed = self.request.format.print(&message, &Moment::now(), self.output.buffer());
        if let Err(InvalidJson) = printed
            && !self.request.connect.quiet
        {
            complain(&format!("Error: Message payload is not valid JSON on topic {}.", printable(topic)));
        }
        self.output.done(packet_id);
        self.printed += 1;
        if self.request.count == Some(self.printed) {
            self.ending = Some(Ending::Complete);
        }
    }

    /// Writes what was printed, and acknowledges it.
    fn flush(&mut self) -> Result<(), Failure> {
        match self.output.flush()? {
            Flushed::Closed => self.ending = Some(Ending::OutputClosed),
            Flushed::Written(messages) => {
                for packet_id in messages {
                    // Fails only for a message of a connection that is lost, which will come again.
                    let _ = self.client.acknowledge(packet_id, ReasonCode::Success);
                }
            }
        }
        Ok(())
    }

    /// Opens the connection again, as long as that takes.
    fn reconnect(&mut self, mut lost: Lost) -> Result<(), Failure> {
        // Nobody can be told goodbye now, so a signal just ends.
        self.stop.may_finish(false);
        while self.ending.is_none() {
            let wait = self.backoff.wait(Instant::now());
            if !self.request.connect.quiet {
                let endpoint = &self.request.connect.endpoint;
                complain(&format!(
                    "Connection to {endpoint} lost: {lost}; trying again in {} s",
                    wait.as_secs()
                ));
            }
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            thread::sleep(left.map_or(wait, |left| wait.min(left)));
            if is_due(self.deadline) {
                return Err(Failure::timed_out());
            }
            match self.client.reconnect() {
                Ok(()) => return Ok(()),
                Err(error) => lost = error.to_string(),
            }
        }
        Ok(())
    }

    fn leave(mut self, ending: Ending) -> Result<(), Failure> {
        self.flush()?;
        if self.left_retained && !self.request.connect.quiet {
            complain(
                "Warning: There were more retained messages than could be cleared at once; run this again.",
            );
        }
        if self.client.connection().is_connected() {
            let reason = match ending {
                Ending::Complete | Ending::OutputClosed => ReasonCode::Success,
                // As Mosquitto's clients do: this one was stopped, so those who watch it are told.
                Ending::Stopped | Ending::TimedOut => ReasonCode::DisconnectWithWillMessage,
            };
            let properties = self.request.connect.properties.disconnect.borrowed();
            // All that was wanted is printed; whether the broker heard the goodbye changes nothing for the caller.
            let _ = self.client.disconnect(reason, properties);
        }
        match ending {
            Ending::Complete | Ending::OutputClosed | Ending::Stopped => Ok(()),
            Ending::TimedOut => Err(Failure::timed_out()),
        }
    }

    fn connection_failure(&self, error: &Error) -> Failure {
        match is_due(self.deadline) {
            true => Failure::timed_out(),
            false => Failure::connection(error, &self.request.connect.endpoint, self.was_connected),
        }
    }
}

fn is_due(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

//! One connection to the server under test, and what a case may expect of it.

mod request;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::exchange::{Exchange, What, described};
use crate::leftovers::Leftovers;
use crate::limits::{Amount, Limits};
use crate::received::{self, Packet, Publish, Received};
use crate::target::Target;
use crate::verdict::{Step, deviates, not_applicable};
use crate::version::Version;
use crate::written::{DISCONNECT, PINGREQ};

/// What any connection may be closed with, when the standard names nothing better: unspecified, malformed, protocol
/// error, implementation specific.
const GENERAL: [u8; 4] = [0x80, 0x81, 0x82, 0x83];

/// A connection. When it goes, it says goodbye.
#[derive(Debug)]
pub(crate) struct Client {
    name: &'static str,
    version: Version,
    stream: TcpStream,
    patience: Duration,
    silence: Duration,
    exchange: Exchange,
    leftovers: Leftovers,
    limits: Limits,
    /// Read and not yet a whole packet.
    buffer: Vec<u8>,
    came: Amount,
    /// Messages that came while a case waited for an answer: a server may send them in between.
    messages: VecDeque<Received>,
    next_id: u16,
    is_over: bool,
}

/// What can come next.
enum Next {
    Packet(Received),
    Closed,
    Nothing,
    /// A packet that no server may send, or something that has no end.
    Wrong(String),
}

impl Client {
    pub(crate) fn new(
        name: &'static str,
        version: Version,
        stream: TcpStream,
        target: &Target,
        exchange: Exchange,
        leftovers: Leftovers,
        limits: Limits,
    ) -> Self {
        exchange.note(name, What::Opened);
        Self {
            name,
            version,
            stream,
            patience: target.patience,
            silence: target.silence,
            exchange,
            leftovers,
            limits,
            buffer: Vec::new(),
            came: Amount::default(),
            messages: VecDeque::new(),
            next_id: 100,
            is_over: false,
        }
    }

    /// Sends bytes. That the server does not take them shows in what comes.
    pub(crate) fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.limits.sent(&bytes);
        self.send_of_any_size(bytes);
    }

    /// [`Client::send`] for a case that is about packets larger than the server takes.
    pub(crate) fn send_of_any_size(&mut self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.leftovers.sent(&bytes);
        let mut rest = bytes.as_slice();
        // A server may also take so little at a time that it never has all.
        while !rest.is_empty() && self.limits.left(self.patience).is_ok() {
            match self.stream.write(rest) {
                Ok(count @ 1..) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Bytes that are not taken are not a deviation by themselves.
                Ok(_) | Err(_) => break,
            }
        }
        self.exchange.note(self.name, What::Sent(bytes));
    }

    /// A Packet Identifier that this client has not used.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    fn next(&mut self, within: Duration) -> Next {
        let deadline = match self.came.check().and_then(|()| self.limits.left(within)) {
            Ok(deadline) => deadline,
            Err(without_end) => return Next::Wrong(without_end),
        };
        loop {
            match received::take(&mut self.buffer) {
                Err(error) => return Next::Wrong(error),
                Ok(Some(bytes)) => {
                    self.came.add_packet();
                    self.exchange.note(self.name, What::Came(bytes.clone()));
                    return match received::read(bytes, self.version) {
                        Ok(received) => Next::Packet(received),
                        Err(error) => Next::Wrong(error),
                    };
                }
                Ok(None) => {}
            }
            if let Err(without_end) = self.came.check() {
                return Next::Wrong(without_end);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.set_read_timeout(Some(left)).is_err() {
                return self.nothing();
            }
            let mut piece = [0; 65_536];
            match self.stream.read(&mut piece) {
                Ok(0) => return self.closed(),
                Ok(count) => {
                    self.came.add_bytes(count);
                    self.buffer.extend(&piece[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return self.nothing();
                }
                Err(_) => return self.closed(),
            }
        }
    }

    /// Nothing came in time. When it was the time of the case that ended, that says nothing about the server's silence.
    fn nothing(&self) -> Next {
        self.limits.left(self.patience).map_or_else(Next::Wrong, |_| Next::Nothing)
    }

    fn closed(&mut self) -> Next {
        if !self.is_over {
            self.exchange.note(self.name, What::ClosedByServer);
        }
        self.is_over = true;
        Next::Closed
    }

    /// The next packet, whatever it is.
    pub(crate) fn packet(&mut self, expected: &str) -> Step<Received> {
        match self.next(self.patience) {
            Next::Packet(received) => Ok(received),
            Next::Closed => deviates(expected, format!("{} is closed", self.name)),
            Next::Nothing => {
                deviates(expected, format!("nothing on {} within {:?}", self.name, self.patience))
            }
            Next::Wrong(error) => deviates(expected, error),
        }
    }

    /// The next packet that is not a message.
    pub(crate) fn answer(&mut self, expected: &str) -> Step<Received> {
        loop {
            let received = self.packet(expected)?;
            if matches!(received.packet, Packet::Publish(_)) {
                self.messages.push_back(received);
            } else {
                return Ok(received);
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Step<Publish> {
        self.message_of("a PUBLISH")
    }

    /// The next message, with words for what it should be.
    pub(crate) fn message_of(&mut self, expected: &str) -> Step<Publish> {
        let received = match self.messages.pop_front() {
            Some(received) => received,
            None => self.packet(expected)?,
        };
        match received.packet {
            Packet::Publish(message) => Ok(message),
            _ => deviates(expected, described(&received.bytes)),
        }
    }

    /// The next message is on this topic, with this payload.
    pub(crate) fn receives(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Step<Publish> {
        let payload = payload.as_ref();
        let expected = format!("a PUBLISH on {topic} with {}", String::from_utf8_lossy(payload));
        let message = self.message_of(&expected)?;
        message.check(message.topic == topic && message.payload == payload, &expected)?;
        Ok(message)
    }

    /// [`Client::receives`] while `in_flight` messages are not acknowledged. A server may have fewer in flight than the
    /// client allows.
    pub(crate) fn receives_beside(
        &mut self,
        in_flight: usize,
        topic: &str,
        payload: impl AsRef<[u8]>,
    ) -> Step<Publish> {
        if in_flight > 0 && self.messages.is_empty() {
            match self.next(self.patience) {
                Next::Packet(received) => self.messages.push_back(received),
                Next::Nothing => {
                    return not_applicable(format!(
                        "the server has not more than {in_flight} messages in flight"
                    ));
                }
                Next::Closed => return deviates("a PUBLISH", format!("{} is closed", self.name)),
                Next::Wrong(error) => return deviates("a PUBLISH", error),
            }
        }
        self.receives(topic, payload)
    }

    /// Nothing has come, and nothing comes before the answer to a PINGREQ.
    pub(crate) fn hears_nothing(&mut self, expected: &str) -> Step {
        self.send(PINGREQ);
        let answer = self.answer("PINGRESP")?;
        if answer.packet != Packet::Pingresp {
            return deviates(expected, described(&answer.bytes));
        }
        match self.messages.front() {
            Some(message) => deviates(expected, described(&message.bytes)),
            None => Ok(()),
        }
    }

    /// Nothing comes for a while. For what no later packet can prove.
    pub(crate) fn stays_silent(&mut self, expected: &str) -> Step {
        match self.next(self.silence) {
            Next::Nothing => Ok(()),
            Next::Packet(received) => deviates(expected, described(&received.bytes)),
            Next::Closed => deviates(expected, format!("{} is closed", self.name)),
            Next::Wrong(error) => deviates(expected, error),
        }
    }

    /// PINGREQ is answered: what was sent before has been dealt with, and the connection lives.
    pub(crate) fn ping(&mut self) -> Step {
        self.send(PINGREQ);
        let answer = self.answer("PINGRESP")?;
        if answer.packet == Packet::Pingresp {
            Ok(())
        } else {
            deviates("PINGRESP", described(&answer.bytes))
        }
    }

    /// The server closes the connection. In 5.0 it may say why in DISCONNECT, with one of these codes or a general one.
    pub(crate) fn is_closed(&mut self, codes: &[u8]) -> Step {
        self.is_closed_within(self.patience, codes)
    }

    /// [`Client::is_closed`], but only after so many milliseconds, and then when the server next looks: the standard does
    /// not say how often that is.
    pub(crate) fn is_closed_after(&mut self, milliseconds: u64, codes: &[u8]) -> Step {
        const LOOKS: Duration = Duration::from_secs(6);
        self.is_closed_within(Duration::from_millis(milliseconds) + self.patience.max(LOOKS), codes)
    }

    fn is_closed_within(&mut self, within: Duration, codes: &[u8]) -> Step {
        let expected = match self.version {
            Version::V311 => "the connection is closed".to_owned(),
            Version::V5 => {
                let codes = one_of(&[codes, &GENERAL].concat());
                format!("the connection is closed, with DISCONNECT {codes} or without")
            }
        };
        match self.next(within) {
            Next::Closed => Ok(()),
            Next::Packet(received) => match received.packet {
                Packet::Disconnect { code, .. } if codes.contains(&code) || GENERAL.contains(&code) => {
                    self.is_closed_now("the connection is closed behind DISCONNECT")
                }
                _ => deviates(expected, described(&received.bytes)),
            },
            Next::Nothing => deviates(expected, format!("{} is open after {within:?}", self.name)),
            Next::Wrong(error) => deviates(expected, error),
        }
    }

    /// The server closes the connection, and says nothing any more.
    pub(crate) fn is_closed_now(&mut self, expected: &str) -> Step {
        match self.next(self.patience) {
            Next::Closed => Ok(()),
            Next::Packet(received) => deviates(expected, described(&received.bytes)),
            Next::Nothing => deviates(expected, format!("{} is open after {:?}", self.name, self.patience)),
            Next::Wrong(error) => deviates(expected, error),
        }
    }

    /// The server refuses CONNECT: it closes the connection, perhaps after CONNACK with one of these codes.
    pub(crate) fn is_refused(&mut self, v5: &[u8], v311: &[u8]) -> Step {
        let codes: Vec<u8> = match self.version {
            Version::V5 => v5.iter().chain(&GENERAL).copied().collect(),
            Version::V311 => v311.to_vec(),
        };
        let expected = match codes.as_slice() {
            [] => "the connection is closed without CONNACK".to_owned(),
            _ => format!("the connection is closed, with CONNACK {} or without", one_of(&codes)),
        };
        match self.next(self.patience) {
            Next::Closed => Ok(()),
            Next::Packet(received) => match received.packet {
                Packet::Connack { code, .. } if codes.contains(&code) => {
                    // [MQTT-3.2.2-7], [MQTT311-3.2.2-5]
                    self.is_closed_now("the connection is closed behind CONNACK that refuses")
                }
                _ => deviates(expected, described(&received.bytes)),
            },
            Next::Nothing => deviates(expected, format!("{} is open after {:?}", self.name, self.patience)),
            Next::Wrong(error) => deviates(expected, error),
        }
    }

    /// DISCONNECT; the server has dealt with it, for it has closed the connection.
    pub(crate) fn disconnect(self) -> Step {
        self.disconnect_with(DISCONNECT)
    }

    /// [`Client::disconnect`] with this packet.
    pub(crate) fn disconnect_with(mut self, packet: impl Into<Vec<u8>>) -> Step {
        self.send(packet);
        // The client closes its half, as it must [MQTT-3.14.4-2]; the server need not be first.
        let _ = self.stream.shutdown(Shutdown::Write);
        let expected = "the connection is closed after DISCONNECT";
        loop {
            match self.next(self.patience) {
                Next::Closed => return Ok(()),
                // On their way already.
                Next::Packet(_) => {}
                Next::Nothing => return deviates(expected, format!("it is open after {:?}", self.patience)),
                Next::Wrong(error) => return deviates(expected, error),
            }
        }
    }

    /// The network connection is lost without DISCONNECT.
    pub(crate) fn vanish(mut self) {
        self.exchange.note(self.name, What::Closed);
        self.is_over = true;
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.is_over {
            // Best effort: nobody looks at the connection any more.
            let _ = self.stream.write_all(&DISCONNECT);
        }
    }
}

fn one_of(codes: &[u8]) -> String {
    let mut all: Vec<u8> = codes.to_vec();
    all.sort_unstable();
    all.dedup();
    let words: Vec<String> = all.iter().map(|code| format!("{code:#04x}")).collect();
    words.join(", ")
}

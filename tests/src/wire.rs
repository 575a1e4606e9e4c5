//! A bare socket to the broker: what a client library would never send, and every byte that comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::packet::{self, Version};
use crate::patience::PATIENCE;
use crate::{hex, patience};

/// A connection. It never blocks for more than [`PATIENCE`].
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    version: Version,
    next_packet_id: u16,
}

impl Wire {
    /// Opens a connection and sends nothing.
    ///
    /// # Panics
    /// If nobody listens.
    #[track_caller]
    pub fn dial(broker: &Broker) -> Self {
        Self::dial_at("127.0.0.1", broker)
    }

    /// [`Wire::dial`] to another address of this machine.
    #[track_caller]
    pub fn dial_at(host: &str, broker: &Broker) -> Self {
        let stream = TcpStream::connect((host, broker.port())).expect("the broker listens");
        stream.set_nodelay(true).expect("a TCP socket has this option");
        stream.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("the limit is not zero");
        Self { stream, version: Version::V4, next_packet_id: 1 }
    }

    /// Opens a connection and sends this CONNECT of this version, and no more.
    #[track_caller]
    pub fn open(broker: &Broker, version: Version, connect: &[u8]) -> Self {
        let mut wire = Self::dial_as(broker, version);
        wire.send(connect);
        wire
    }

    /// [`Wire::dial`] for who will speak this version.
    #[track_caller]
    pub fn dial_as(broker: &Broker, version: Version) -> Self {
        Self { version, ..Self::dial(broker) }
    }

    /// A client of a clean session, accepted by the broker.
    #[track_caller]
    pub fn connect(broker: &Broker, version: Version, client_id: &str) -> Self {
        let mut wire = Self::open(broker, version, &packet::connect(version, client_id, true, 60));
        let (first_byte, body) = wire.packet();
        assert!(first_byte == 0x20 && body[1] == 0, "CONNACK refuses: {}", hex::text(&body));
        wire
    }

    /// This connection, for who speaks this version.
    #[must_use]
    pub fn speaking(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("the broker does not take {} bytes: {error}", bytes.len());
        }
    }

    /// Sends bytes that the broker may refuse by closing.
    pub fn send_or_be_cut(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Subscribes and waits for the acknowledgement.
    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, options: u8) {
        self.send(&packet::subscribe(self.version, self.next_packet_id, filter, options));
        self.next_packet_id += 1;
        let (first_byte, body) = self.packet();
        assert!(first_byte == 0x90 && body.last() < Some(&0x80), "SUBACK refuses: {}", hex::text(&body));
    }

    /// Publishes at QoS 0.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&packet::publish(self.version, topic, 0, 0, payload));
    }

    /// Sends PINGREQ and waits for the answer: all that was sent before has been handled.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(&packet::PINGREQ);
        assert_eq!(self.packet(), (0xd0, vec![]), "the answer to PINGREQ");
    }

    /// The next packet: first byte and body.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn packet(&mut self) -> (u8, Vec<u8>) {
        self.try_packet().unwrap_or_else(|error| panic!("no packet from the broker: {error}"))
    }

    /// The next packet is a PUBLISH with this payload.
    #[track_caller]
    pub fn receives(&mut self, payload: &[u8]) {
        let (first_byte, body) = self.packet();
        assert!(
            first_byte >> 4 == 3 && body.ends_with(payload),
            "expected a PUBLISH of {} bytes, found {first_byte:02x} with {} bytes",
            payload.len(),
            body.len()
        );
    }

    /// The next bytes are these.
    #[track_caller]
    pub fn receives_hex(&mut self, expected: &str) {
        let expected = hex::bytes(expected);
        let (first_byte, body) = self.packet();
        let found = packet::packet(first_byte, &body);
        assert!(
            found == expected,
            "the broker sent\n{}\nexpected\n{}",
            hex::text(&found),
            hex::text(&expected)
        );
    }

    /// The broker says exactly this and closes the connection.
    #[track_caller]
    pub fn is_closed_with_hex(&mut self, expected: &str) {
        assert_eq!(hex::text(&self.is_closed()), expected, "the last words before the connection was closed");
    }

    /// The broker says DISCONNECT with this reason code and perhaps a Reason String, and closes.
    #[track_caller]
    pub fn is_closed_with_reason(&mut self, code: u8) {
        let said = self.is_closed();
        let exact = said.get(..3) == Some(&[0xe0, 1, code]) && said.len() == 3;
        // DISCONNECT, its length, the code, and of properties 0x1f alone.
        let explained = said.len() > 5 && said[0] == 0xe0 && said[2] == code && said[4] == 0x1f;
        assert!(exact || explained, "expected DISCONNECT with {code:#x}, found {}", hex::text(&said));
    }

    /// The broker closes the connection; what it says before is returned.
    #[track_caller]
    pub fn is_closed(&mut self) -> Vec<u8> {
        self.is_closed_within(patience::PATIENCE)
    }

    /// The broker closes the connection within this time.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn is_closed_within(&mut self, limit: Duration) -> Vec<u8> {
        self.stream.set_read_timeout(Some(limit)).expect("the limit is not zero");
        let mut said = Vec::new();
        match self.stream.read_to_end(&mut said) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection is still open after {limit:?}")
            }
            // Closed, or reset because the broker had not read all that it was sent.
            Ok(_) | Err(_) => said,
        }
    }

    /// Waits this long for the broker to say something or to close the connection; gives what it did, if anything.
    pub fn hears_within(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("the limit is not zero");
            return match self.stream.read(&mut [0; 1]) {
                Ok(0) => Some("closed".to_owned()),
                Ok(_) => Some("said something".to_owned()),
                // A machine that slept interrupts reads that have a time limit, see signal(7).
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
                Err(error) => Some(error.to_string()),
            };
        }
    }

    /// Whether a packet comes within this time; it is read.
    pub fn is_told_within(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).expect("the limit is not zero");
        self.try_packet().is_ok()
    }

    /// The next packet, if the connection has not ended.
    ///
    /// # Errors
    /// If it has, or nothing comes within [`PATIENCE`].
    pub fn try_packet(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        let first_byte = byte[0];
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first_byte, body))
    }
}

//! What was sent and what came, on all connections of a case in the order of time.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that happened on one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Which connection, by the name the case gives it.
    pub connection: &'static str,
    /// What happened.
    pub what: What,
}

/// What can happen on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// It was opened.
    Opened,
    /// The case wrote these bytes.
    Sent(Vec<u8>),
    /// The server wrote this packet.
    Came(Vec<u8>),
    /// The server closed it.
    ClosedByServer,
    /// The case closed it.
    Closed,
    /// So many events, on any connection, that are not told: there were too many.
    LeftOut(usize),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.connection;
        match &self.what {
            What::Opened => write!(f, "{name} opens"),
            What::Sent(bytes) => write!(f, "{name} > {}", described(bytes)),
            What::Came(bytes) => write!(f, "{name} < {}", described(bytes)),
            What::ClosedByServer => write!(f, "{name} is closed by the server"),
            What::Closed => write!(f, "{name} closes"),
            What::LeftOut(count) => write!(f, "[{count} more]"),
        }
    }
}

/// The record of a case; its connections share it. Of very many events the middle is left out: a case that subscribes
/// to everything may hear much.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange(Arc<Mutex<Vec<Event>>>);

/// Events that are kept of the beginning, and at least as many of the end.
const KEPT: usize = 100;

impl Exchange {
    pub(crate) fn note(&self, connection: &'static str, what: What) {
        self.events_mut(|events| {
            events.push(Event { connection, what });
            if events.len() > 3 * KEPT {
                let told = events.drain(KEPT..2 * KEPT).map(|event| match event.what {
                    What::LeftOut(count) => count,
                    _ => 1,
                });
                let what = What::LeftOut(told.sum());
                events.insert(KEPT, Event { connection: "", what });
            }
        });
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        self.events_mut(std::mem::take)
    }

    fn events_mut<T>(&self, change: impl FnOnce(&mut Vec<Event>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The name of the packet that begins with this byte.
pub(crate) const fn name_of(first_byte: u8) -> &'static str {
    match first_byte >> 4 {
        1 => "CONNECT",
        2 => "CONNACK",
        3 => "PUBLISH",
        4 => "PUBACK",
        5 => "PUBREC",
        6 => "PUBREL",
        7 => "PUBCOMP",
        8 => "SUBSCRIBE",
        9 => "SUBACK",
        10 => "UNSUBSCRIBE",
        11 => "UNSUBACK",
        12 => "PINGREQ",
        13 => "PINGRESP",
        14 => "DISCONNECT",
        15 => "AUTH",
        _ => "a reserved packet type",
    }
}

/// Bytes with the name of their packet; the middle of many is left out.
pub(crate) fn described(bytes: &[u8]) -> String {
    const WHOLE: usize = 96;
    const PART: usize = 40;
    let Some(first) = bytes.first() else { return "nothing".to_owned() };
    let mut text = format!("{}:", name_of(*first));
    if bytes.len() <= WHOLE {
        write_hex(&mut text, bytes);
    } else {
        write_hex(&mut text, &bytes[..PART]);
        let _ = write!(text, " [{} bytes]", bytes.len() - 2 * PART);
        write_hex(&mut text, &bytes[bytes.len() - PART..]);
    }
    text
}

fn write_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, " {byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_does_not_grow_for_ever() {
        let exchange = Exchange::default();
        for number in 0..10_000_u32 {
            exchange.note("client", What::Sent(number.to_be_bytes().to_vec()));
        }
        let events = exchange.take();
        assert!(events.len() <= 3 * KEPT, "{}", events.len());
        let What::LeftOut(count) = events[KEPT].what else { panic!("{:?}", events[KEPT]) };
        assert_eq!(count + events.len() - 1, 10_000);
        assert_eq!(
            events.last().map(|event| &event.what),
            Some(&What::Sent(9_999_u32.to_be_bytes().to_vec()))
        );
    }

    #[test]
    fn bytes_have_names() {
        assert_eq!(described(&[0xe0, 1, 0x82]), "DISCONNECT: e0 01 82");
        assert_eq!(described(&[]), "nothing");
        let long = described(&[0x30; 1000]);
        assert!(long.starts_with("PUBLISH: 30 30") && long.contains("[920 bytes]"), "{long}");
    }
}

//! A sender's side of QoS 1 and 2: what it must keep until the exchange is over, and send again after a loss.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::payload;
use crate::wire::{Kind, Version, acknowledgement, publish};

/// Exchanges that are open, in the order in which they were begun.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    last_id: u16,
    flights: VecDeque<Flight>,
}

/// One open exchange.
#[derive(Clone, Debug)]
struct Flight {
    id: u16,
    message: Outbound,
    /// PUBREC came; PUBLISH must not be sent again [MQTT-4.3.3-6].
    is_released: bool,
}

/// A message to send.
#[derive(Clone, Debug)]
pub(super) struct Outbound {
    /// Whose.
    pub publisher: usize,
    /// Its number.
    pub sequence: usize,
    /// Its topic.
    pub topic: Rc<str>,
    /// 1 or 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// At least how long its payload is; `None` is empty.
    pub size: Option<usize>,
}

impl Outbound {
    /// The packet.
    pub(super) fn encode(&self, version: Version, id: u16, dup: bool) -> Vec<u8> {
        let payload = self.size.map(|size| payload::write(self.publisher, self.sequence, size));
        publish(version, &self.topic, &payload.unwrap_or_default(), self.qos, id, dup, self.retain)
    }
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The exchange is over, and the broker has the message with this number.
    Over(usize),
    /// The broker refused it, with this reason.
    Refused(u8),
    /// PUBREL is to be sent.
    Release(u16),
    /// It belongs to no open exchange.
    Unknown,
}

impl Outgoing {
    /// How many exchanges are open.
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Begins an exchange; its PUBLISH.
    pub(super) fn begin(&mut self, version: Version, message: Outbound) -> Vec<u8> {
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.flights.iter().any(|flight| flight.id == self.last_id) {
                break self.last_id;
            }
        };
        let bytes = message.encode(version, id, false);
        self.flights.push_back(Flight { id, message, is_released: false });
        bytes
    }

    /// An acknowledgement came. One that belongs to the other QoS changes nothing.
    pub(super) fn acknowledge(&mut self, kind: Kind, id: u16, reason: u8) -> Step {
        let Some(place) = self.flights.iter().position(|flight| flight.id == id) else {
            // 5.0 lets the receiver answer any PUBREC with PUBREL.
            return if kind == Kind::Pubrec { Step::Release(id) } else { Step::Unknown };
        };
        let Flight { is_released, message: Outbound { sequence, qos, .. }, .. } = self.flights[place];
        match (kind, qos, is_released) {
            (Kind::Puback, 1, _) | (Kind::Pubrec, 2, false) if reason >= 0x80 => {
                self.flights.remove(place);
                Step::Refused(reason)
            }
            (Kind::Puback, 1, _) => {
                self.flights.remove(place);
                Step::Over(sequence)
            }
            (Kind::Pubrec, 2, _) => {
                self.flights[place].is_released = true;
                Step::Release(id)
            }
            // That the identifier was not found ends it as well: the broker had said that it has the message.
            (Kind::Pubcomp, 2, true) => {
                self.flights.remove(place);
                Step::Over(sequence)
            }
            (Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp, ..) => Step::Unknown,
        }
    }

    /// All that must be sent again when the session is taken up: each PUBLISH with DUP, or PUBREL, in the first order
    /// [MQTT-4.4.0-1] [MQTT-4.6.0-1].
    pub(super) fn again(&self, version: Version) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Flight { id, message, is_released } in &self.flights {
            if *is_released {
                bytes.extend(acknowledgement(Kind::Pubrel, *id));
            } else {
                bytes.extend(message.encode(version, *id, true));
            }
        }
        bytes
    }

    /// The session is gone, and its exchanges with it.
    pub(super) fn abandon(&mut self) {
        self.flights.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(sequence: usize, qos: u8) -> Outbound {
        Outbound { publisher: 0, sequence, topic: "t".into(), qos, retain: false, size: Some(0) }
    }

    #[test]
    fn an_exchange_is_kept_until_it_is_over_and_repeated_in_order() {
        let mut outgoing = Outgoing::default();
        let first = outgoing.begin(Version::V311, outbound(0, 2));
        let second = outgoing.begin(Version::V311, outbound(1, 1));
        let third = outgoing.begin(Version::V311, outbound(2, 2));
        assert_eq!([first[0], second[0], third[0]], [0x34, 0x32, 0x34]);
        assert_eq!(outgoing.acknowledge(Kind::Pubrec, 1, 0), Step::Release(1));
        assert_eq!(outgoing.acknowledge(Kind::Puback, 3, 0), Step::Unknown);
        let mut dup = [second, third].concat();
        dup[0] |= 8;
        let length = dup.len() / 2;
        dup[length] |= 8;
        assert_eq!(outgoing.again(Version::V311), [&[0x62, 2, 0, 1], &dup[..]].concat());
        assert_eq!(outgoing.acknowledge(Kind::Pubcomp, 1, 0x92), Step::Over(0));
        assert_eq!(outgoing.acknowledge(Kind::Puback, 2, 0x97), Step::Refused(0x97));
        assert_eq!(outgoing.acknowledge(Kind::Pubrec, 3, 0), Step::Release(3));
        assert_eq!(outgoing.acknowledge(Kind::Pubcomp, 3, 0), Step::Over(2));
        assert_eq!(outgoing.len(), 0);
    }
}

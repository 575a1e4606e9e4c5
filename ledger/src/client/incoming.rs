//! A receiver's side of QoS 1 and 2.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::wire::{Kind, Publish, acknowledgement};

/// Exchanges that are open, and answers that are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// From PUBLISH to PUBREL: a PUBLISH with such an identifier is no new message [MQTT-4.3.3-10].
    unreleased: HashMap<u16, Vec<u8>>,
    /// In the order of what they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    answers: VecDeque<(Instant, [u8; 4])>,
}

/// What a PUBLISH is to its receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrival {
    /// To be passed on.
    New,
    /// It was passed on before.
    Again,
    /// Not told from one that was passed on, though it is another: this client, and any other, takes it for that one.
    Confused,
}

impl Incoming {
    /// A message came; it is answered after `delay`.
    pub(super) fn publish(&mut self, publish: &Publish<'_>, now: Instant, delay: Duration) -> Arrival {
        let due = now + delay;
        match publish.qos {
            0 => Arrival::New,
            1 => {
                self.answers.push_back((due, acknowledgement(Kind::Puback, publish.id)));
                Arrival::New
            }
            _ => {
                self.answers.push_back((due, acknowledgement(Kind::Pubrec, publish.id)));
                match self.unreleased.get(&publish.id) {
                    Some(payload) if payload == publish.payload => Arrival::Again,
                    Some(_) => Arrival::Confused,
                    None => {
                        self.unreleased.insert(publish.id, publish.payload.to_vec());
                        Arrival::New
                    }
                }
            }
        }
    }

    /// PUBREL came.
    pub(super) fn release(&mut self, id: u16, now: Instant, delay: Duration) {
        self.unreleased.remove(&id);
        self.answers.push_back((now + delay, acknowledgement(Kind::Pubcomp, id)));
    }

    /// The next answer that is due.
    pub(super) fn answer(&mut self, now: Instant) -> Option<[u8; 4]> {
        self.answers.pop_front_if(|(due, _)| *due <= now).map(|(_, bytes)| bytes)
    }

    /// Whether all is answered, and all exchanges are over.
    pub(super) fn is_idle(&self) -> bool {
        self.answers.is_empty() && self.unreleased.is_empty()
    }

    /// The connection is lost, and what was not answered is not: the broker sends again.
    pub(super) fn cut(&mut self) {
        self.answers.clear();
    }

    /// The session is gone.
    pub(super) fn forget(&mut self) {
        self.answers.clear();
        self.unreleased.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_known_until_pubrel() {
        let now = Instant::now();
        let mut incoming = Incoming::default();
        let mut publish = Publish { topic: "t", payload: b"a", qos: 2, id: 1, dup: false, retain: false };
        let mut arrive = |incoming: &mut Incoming, payload| {
            publish.payload = payload;
            incoming.publish(&publish, now, Duration::ZERO)
        };
        assert_eq!(arrive(&mut incoming, b"a"), Arrival::New);
        incoming.cut();
        assert_eq!(incoming.answer(now), None);
        assert_eq!(arrive(&mut incoming, b"a"), Arrival::Again);
        assert_eq!(arrive(&mut incoming, b"b"), Arrival::Confused);
        assert_eq!(incoming.answer(now), Some([0x50, 2, 0, 1]));
        assert_eq!(incoming.answer(now), Some([0x50, 2, 0, 1]));
        incoming.release(1, now, Duration::ZERO);
        assert_eq!(incoming.answer(now), Some([0x70, 2, 0, 1]));
        assert!(incoming.is_idle());
        assert_eq!(arrive(&mut incoming, b"a"), Arrival::New);
    }
}

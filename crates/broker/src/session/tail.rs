//! What of a queue is on disk only.

use std::collections::VecDeque;

use noctule_protocol::QoS;

use super::delivery::Delivery;
use crate::message::Sequence;

/// A delivery that waits without its message, which is read when its turn comes nearer. A few bytes each, see [`Chunk`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stub {
    /// Its message.
    pub(crate) sequence: Sequence,
    /// Which of that message's copies it is.
    pub(crate) copy: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Whether it travels with Subscription Identifiers, which are on disk too.
    pub(crate) has_identifiers: bool,
    /// Whether no other copy of its message was ever made, and so nobody else knows that message.
    pub(crate) is_only: bool,
}

const QOS2: u8 = 1;
const RETAIN: u8 = 1 << 1;
const IDENTIFIERS: u8 = 1 << 2;
const ONLY: u8 = 1 << 3;
/// Of another source than the one before it: that follows.
const SOURCE: u8 = 1 << 4;
/// Not copy 0: its number follows.
const COPY: u8 = 1 << 5;
/// Its counter is less than that of the one before it.
const BACK: u8 = 1 << 6;

/// Bytes of one piece of [`Chunk`]s: what is worked off is given back in such pieces.
const CHUNK_BYTES: usize = 4096;

/// Stubs in a row, each told by how it differs from the one before it: 3 to 6 bytes for messages that came soon after each
/// other.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    len: usize,
    /// What was written last,
    last: Sequence,
    /// and which of its copies.
    last_copy: u32,
    /// How far it was read.
    at: usize,
    /// What was read last.
    read: Sequence,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    fn push(&mut self, stub: Stub) {
        let Stub { sequence, copy, qos, retain, has_identifiers, is_only } = stub;
        let mut flags = 0;
        for (flag, is_set) in [
            (QOS2, qos == QoS::ExactlyOnce),
            (RETAIN, retain),
            (IDENTIFIERS, has_identifiers),
            (ONLY, is_only),
            (SOURCE, sequence.source != self.last.source),
            (COPY, copy != 0),
            (BACK, sequence.counter < self.last.counter),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        if self.bytes.capacity() == 0 {
            // Most sessions that have any have few.
            self.bytes.reserve_exact(24);
        }
        self.bytes.push(flags);
        write_number(&mut self.bytes, sequence.counter.abs_diff(self.last.counter));
        if flags & SOURCE != 0 {
            write_number(&mut self.bytes, sequence.source.into());
        }
        if flags & COPY != 0 {
            write_number(&mut self.bytes, copy.into());
        }
        self.last = sequence;
        self.last_copy = copy;
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Stub> {
        let flags = *self.bytes.get(self.at)?;
        self.at += 1;
        let apart = read_number(&self.bytes, &mut self.at);
        let Sequence { source, counter } = self.read;
        let is_back = flags & BACK != 0;
        let counter = if is_back { counter.wrapping_sub(apart) } else { counter.wrapping_add(apart) };
        let mut number =
            |flag| if flags & flag != 0 { Some(read_number(&self.bytes, &mut self.at)) } else { None };
        let source = number(SOURCE).map_or(source, |source| source as u32);
        let copy = number(COPY).map_or(0, |copy| copy as u32);
        self.read = Sequence { source, counter };
        self.len -= 1;
        Some(Stub {
            sequence: self.read,
            copy,
            qos: if flags & QOS2 != 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
            retain: flags & RETAIN != 0,
            has_identifiers: flags & IDENTIFIERS != 0,
            is_only: flags & ONLY != 0,
        })
    }
}

/// Seven bits a byte, the lowest first.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_number(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some(&byte) = bytes.get(*at) {
        *at += 1;
        number |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 || shift > 63 {
            break;
        }
    }
    number
}

/// Deliveries in their order, stored ones as stubs, and between them those that are not stored or that others may take away.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    segments: VecDeque<Segment>,
    stubs: usize,
    held: usize,
}

#[derive(Debug)]
enum Segment {
    Stubs(Chunk),
    Held(VecDeque<Delivery>),
}

/// What stands first.
pub(crate) enum First {
    Stub(Stub),
    Held(Delivery),
}

impl Stubs {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many deliveries stand here.
    pub(crate) fn len(&self) -> usize {
        self.stubs + self.held
    }

    pub(crate) fn push(&mut self, stub: Stub) {
        self.stubs += 1;
        match self.segments.back_mut() {
            Some(Segment::Stubs(chunk)) if !chunk.is_full() => chunk.push(stub),
            _ => {
                let mut chunk = Chunk::default();
                chunk.push(stub);
                self.segments.push_back(Segment::Stubs(chunk));
            }
        }
    }

    pub(crate) fn hold(&mut self, delivery: Delivery) {
        self.held += 1;
        match self.segments.back_mut() {
            Some(Segment::Held(held)) => held.push_back(delivery),
            _ => self.segments.push_back(Segment::Held(VecDeque::from([delivery]))),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<First> {
        loop {
            let first = match self.segments.front_mut()? {
                Segment::Stubs(chunk) => chunk.pop().map(First::Stub),
                Segment::Held(held) => held.pop_front().map(First::Held),
            };
            let is_spent = match self.segments.front()? {
                Segment::Stubs(chunk) => chunk.len == 0,
                Segment::Held(held) => held.is_empty(),
            };
            if is_spent {
                self.segments.pop_front();
            }
            match first {
                Some(First::Stub(_)) => self.stubs -= 1,
                Some(First::Held(_)) => self.held -= 1,
                None => continue,
            }
            return first;
        }
    }

    /// Which copy of which message stands last, `None` for one that is not stored.
    pub(crate) fn last(&self) -> Option<(Sequence, Option<u32>)> {
        match self.segments.back()? {
            Segment::Stubs(chunk) => Some((chunk.last, Some(chunk.last_copy))),
            Segment::Held(held) => held.back().map(|last| (last.message.sequence(), last.copy())),
        }
    }

    /// Whether the first is a stub; `None` if there is nothing.
    pub(crate) fn begins_with_stub(&self) -> Option<bool> {
        self.segments.front().map(|segment| matches!(segment, Segment::Stubs(_)))
    }

    /// All of `other` behind what is here.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.segments.append(&mut other.segments);
        self.stubs += other.stubs;
        self.held += other.held;
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = &Delivery> {
        self.segments.iter().flat_map(|segment| {
            match segment {
                Segment::Stubs(_) => None,
                Segment::Held(held) => Some(held.iter()),
            }
            .into_iter()
            .flatten()
        })
    }

    pub(crate) fn held_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.segments.iter_mut().flat_map(|segment| {
            match segment {
                Segment::Stubs(_) => None,
                Segment::Held(held) => Some(held.iter_mut()),
            }
            .into_iter()
            .flatten()
        })
    }

    /// Takes out those that are held here and that `wanted` picks, each with its place among all that stand here.
    pub(crate) fn extract(&mut self, mut wanted: impl FnMut(&Delivery) -> bool) -> Vec<(usize, Delivery)> {
        let mut taken = Vec::new();
        let mut place = 0;
        for segment in &mut self.segments {
            match segment {
                Segment::Stubs(chunk) => place += chunk.len,
                Segment::Held(held) => {
                    for delivery in std::mem::take(held) {
                        match wanted(&delivery) {
                            true => taken.push((place, delivery)),
                            false => held.push_back(delivery),
                        }
                        place += 1;
                    }
                }
            }
        }
        self.segments.retain(|segment| !matches!(segment, Segment::Held(held) if held.is_empty()));
        self.held -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stubs() -> impl Strategy<Value = Vec<Stub>> {
        let sequence = (0..3_u32, prop_oneof![0..9_u64, any::<u64>()]);
        let stub = (sequence, prop_oneof![3 => Just(0), 1 => any::<u32>()], any::<[bool; 4]>());
        let stub =
            stub.prop_map(|((source, counter), copy, [qos2, retain, has_identifiers, is_only])| Stub {
                sequence: Sequence { source, counter },
                copy,
                qos: if qos2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
                retain,
                has_identifiers,
                is_only,
            });
        prop::collection::vec(stub, 0..2_000)
    }

    fn next(line: &mut Stubs) -> Option<Stub> {
        line.pop().map(|first| match first {
            First::Stub(stub) => stub,
            First::Held(delivery) => panic!("{delivery:?}"),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_goes_in_comes_out(stubs in stubs(), early in 0..500_usize) {
            let mut line = Stubs::default();
            let mut out = Vec::new();
            for (number, stub) in stubs.iter().enumerate() {
                line.push(*stub);
                if number < early {
                    out.extend(next(&mut line));
                }
            }
            prop_assert_eq!(line.len(), stubs.len() - out.len());
            out.extend(std::iter::from_fn(|| next(&mut line)));
            prop_assert_eq!(out, stubs);
            prop_assert!(line.is_empty());
            prop_assert_eq!(line.len(), 0);
        }
    }

    #[test]
    fn a_message_that_came_a_moment_later_takes_few_bytes() {
        let mut line = Stubs::default();
        let mut stub = Stub {
            sequence: Sequence { source: 7, counter: 1 << 60 },
            copy: 0,
            qos: QoS::AtLeastOnce,
            retain: false,
            has_identifiers: false,
            is_only: true,
        };
        for _ in 0..100_000 {
            line.push(stub);
            stub.sequence.counter += 5_000; // 200 000 a second
        }
        let bytes: usize = line
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Stubs(chunk) => size_of::<Segment>() + chunk.bytes.capacity(),
                Segment::Held(_) => 0,
            })
            .sum();
        assert!(bytes < 500_000, "{bytes}");
    }
}

//! Accounts for every message of a stream: what one publisher sends to one topic, numbered from 0.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use noctule_client::protocol::QoS;

/// What a message says: its stream and its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) stream: u32,
    pub(crate) number: u64,
}

const MARK_BYTES: usize = 12;

impl Mark {
    /// A payload of at least this many bytes.
    pub(crate) fn payload(self, bytes: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(bytes.max(MARK_BYTES));
        payload.extend_from_slice(&self.stream.to_be_bytes());
        payload.extend_from_slice(&self.number.to_be_bytes());
        payload.resize(bytes.max(MARK_BYTES), b'x');
        payload
    }

    pub(crate) fn read(payload: &[u8]) -> Result<Self> {
        let stream = payload.first_chunk::<4>().context("a payload without its mark")?;
        let number = payload[4..].first_chunk::<8>().context("a payload without its mark")?;
        Ok(Self { stream: u32::from_be_bytes(*stream), number: u64::from_be_bytes(*number) })
    }
}

/// How far back a broker may begin again after a lost connection: it sends no more than this at a time.
const UNDER_WAY_MAX: u64 = 100;

/// A stream as one receiver sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    next: u64,
    /// What may come next if it may come again: as `next`, but behind it after a connection was lost.
    again: u64,
    pub(crate) received: u64,
    /// Passed over. Only of QoS 0, and only by who reads slowly.
    pub(crate) missed: u64,
    /// Sent again after a connection was lost, as QoS 1 may.
    pub(crate) repeated: u64,
    /// Came twice or out of order without a right to.
    pub(crate) astray: u64,
}

impl Track {
    /// This receiver lost its connection: at QoS 1, what was under way may come again, each message once, in order and
    /// before all that is new.
    pub(crate) fn connection_lost(&mut self) {
        self.again = self.next.saturating_sub(UNDER_WAY_MAX);
    }

    pub(crate) fn take(&mut self, number: u64, qos: QoS) {
        self.received += 1;
        if number >= self.next {
            self.missed += number - self.next;
            self.next = number + 1;
            self.again = self.next;
        } else if qos == QoS::AtLeastOnce && number >= self.again {
            self.repeated += 1;
            self.again = number + 1;
        } else {
            self.astray += 1;
        }
    }

    /// Whether everything below `sent` has passed.
    pub(crate) fn is_complete(&self, sent: u64) -> bool {
        self.next >= sent
    }

    /// What is wrong at the end, if nothing may be missed.
    pub(crate) fn faults(&self, who: &str, sent: u64) -> Option<String> {
        let missing = self.missed + sent.saturating_sub(self.next);
        if missing == 0 {
            return self.faults_of_order(who);
        }
        Some(format!("{who}: {missing} of {sent} messages lost, {} doubled or out of order", self.astray))
    }

    /// What is wrong if messages may be missed.
    pub(crate) fn faults_of_order(&self, who: &str) -> Option<String> {
        (self.astray > 0).then(|| format!("{who}: {} messages doubled or out of order", self.astray))
    }
}

/// What is wrong if too little was done of what was due. Half of it must be: a machine that is busy with other things is
/// late too, and then what was due is left out.
pub(crate) fn shortfall(who: &str, done: u64, due: u64) -> Option<String> {
    (done < due / 2).then(|| format!("{who}: only {done} of {due} that were due, and half must be"))
}

/// A stream as a group of receivers sees it together, in any order.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// All below have come.
    complete: u64,
    ahead: BTreeSet<u64>,
    pub(crate) repeated: u64,
}

impl Pool {
    pub(crate) fn take(&mut self, number: u64) {
        if number < self.complete || !self.ahead.insert(number) {
            self.repeated += 1;
            return;
        }
        while self.ahead.remove(&self.complete) {
            self.complete += 1;
        }
    }

    /// How many of so many have not come.
    pub(crate) fn missing(&self, sent: u64) -> u64 {
        (sent - self.complete).saturating_sub(self.ahead.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        let mark = Mark { stream: 7, number: 1 << 40 };
        assert_eq!(Mark::read(&mark.payload(64)).unwrap(), mark);
        assert_eq!(mark.payload(64).len(), 64);
        assert!(Mark::read(&[1, 2, 3]).is_err());
        assert!(Mark::read(&mark.payload(0)[..11]).is_err());
    }

    #[test]
    fn what_is_lost_doubled_or_out_of_order_is_told() {
        let told = |connections: &[&[u64]], qos| {
            let mut track = Track::default();
            for numbers in connections {
                numbers.iter().for_each(|&number| track.take(number, qos));
                track.connection_lost();
            }
            track.faults("r", 4).is_some()
        };
        assert!(!told(&[&[0, 1], &[2, 3]], QoS::ExactlyOnce));
        assert!(told(&[&[0, 1], &[3]], QoS::AtLeastOnce), "a gap");
        assert!(told(&[&[0, 1], &[2]], QoS::AtLeastOnce), "the end");
        assert!(told(&[&[0, 1, 1, 2, 3]], QoS::AtLeastOnce), "a repetition without a reason");
        assert!(!told(&[&[0, 1], &[0, 1], &[1, 2, 3]], QoS::AtLeastOnce));
        assert!(told(&[&[0, 1], &[1, 1, 2, 3]], QoS::AtLeastOnce), "twice over one connection");
        assert!(told(&[&[0, 1], &[1, 2, 2, 3]], QoS::AtLeastOnce), "doubled after a loss");
        assert!(told(&[&[0, 1], &[1, 0, 2, 3]], QoS::AtLeastOnce), "again, but out of order");
        assert!(told(&[&[0, 1], &[2, 1, 3]], QoS::AtLeastOnce), "again after what is new");
        assert!(told(&[&[0, 1], &[1, 2, 3]], QoS::ExactlyOnce), "QoS 2 never repeats");
        assert!(told(&[&[0, 2, 1, 3]], QoS::AtMostOnce), "out of order");
    }

    #[test]
    fn what_was_acknowledged_long_ago_does_not_come_again() {
        let mut track = Track::default();
        (0..500).for_each(|number| track.take(number, QoS::AtLeastOnce));
        track.connection_lost();
        (300..500).for_each(|number| track.take(number, QoS::AtLeastOnce));
        assert_eq!((track.repeated, track.astray), (100, 100));
    }

    #[test]
    fn half_of_what_was_due_must_be_done() {
        assert_eq!(shortfall("p", 50, 100), None);
        assert_eq!(shortfall("p", 0, 1), None);
        let told = shortfall("p", 49, 100).unwrap();
        assert!(told.contains("49 of 100"), "{told}");
    }

    #[test]
    fn a_pool_misses_what_nobody_got() {
        let mut pool = Pool::default();
        [2, 0, 1, 1, 5].into_iter().for_each(|number| pool.take(number));
        assert_eq!((pool.missing(6), pool.repeated), (2, 1));
    }
}

//! What one run of a case may take: time, what a server may send to it, and the size of what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::bytes::Reader;
use crate::target::Target;
use crate::verdict::{Step, not_applicable};

/// How often [`Target::patience`] fits into the time of a case.
const PATIENCES: u32 = 15;

/// What a case that waits for a clock may take besides.
const BY_THE_CLOCK: Duration = Duration::from_secs(60);

/// Packets that one connection takes: more than any case asks for, even beside what others publish.
const PACKETS: usize = 20_000;

/// The same in bytes.
const BYTES: usize = 32 << 20;

/// Shared by the connections of a case.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    time: Duration,
    deadline: Instant,
    maximum_packet_size: Option<u32>,
    /// The longest packet that was sent.
    longest: Arc<AtomicUsize>,
}

impl Limits {
    /// From now on, for one case.
    pub(crate) fn new(target: &Target, is_slow: bool, maximum_packet_size: Option<u32>) -> Self {
        let time = target.patience * PATIENCES + if is_slow { BY_THE_CLOCK } else { Duration::ZERO };
        let longest = Arc::default();
        Self { time, deadline: Instant::now() + time, maximum_packet_size, longest }
    }

    /// How long something may still take: `within`, but not beyond the end of the case. `Err` if that has come.
    pub(crate) fn left(&self, within: Duration) -> Result<Instant, String> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(format!("the case is not at its end after {:?}", self.time));
        }
        Ok(self.deadline.min(now + within))
    }

    /// Looks at what is sent: packets one behind the other.
    pub(crate) fn sent(&self, mut bytes: &[u8]) {
        while bytes.len() > 1 {
            let mut reader = Reader::new(&bytes[1..]);
            // What has no length that can be read is no packet that could be too large.
            let Ok(length) = reader.variable_byte_integer() else { return };
            let whole = bytes.len() - reader.rest().len() + length;
            self.longest.fetch_max(whole, Ordering::Relaxed);
            bytes = bytes.get(whole..).unwrap_or_default();
        }
    }

    /// What was sent is not larger than the server takes; else nothing that it did is about the case.
    pub(crate) fn were_kept(&self) -> Step {
        let longest = self.longest.load(Ordering::Relaxed);
        match self.maximum_packet_size {
            Some(maximum) if longest > maximum as usize => not_applicable(format!(
                "the server announces Maximum Packet Size {maximum}, the case needs {longest} bytes"
            )),
            _ => Ok(()),
        }
    }
}

/// What has come on one connection.
#[derive(Debug, Default)]
pub(crate) struct Amount {
    packets: usize,
    bytes: usize,
}

impl Amount {
    pub(crate) fn add_packet(&mut self) {
        self.packets += 1;
    }

    pub(crate) fn add_bytes(&mut self, count: usize) {
        self.bytes = self.bytes.saturating_add(count);
    }

    /// `Err` if it is more than any case asks for.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { packets, bytes } = self;
        if *packets >= PACKETS || *bytes >= BYTES {
            return Err(format!("the server sends without end: {packets} packets, {bytes} bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_packet_counts() {
        let limits = |maximum| Limits::new(&Target::new("localhost", 1), false, maximum);
        let packets = [vec![0xc0, 0], vec![0x30; 2 + 0x30], vec![0xc0, 0]].concat();
        for (maximum, is_kept) in [(None, true), (Some(50), true), (Some(49), false)] {
            let limits = limits(maximum);
            limits.sent(&packets);
            assert_eq!(limits.were_kept().is_ok(), is_kept, "{maximum:?}");
        }
        let only_the_head = limits(Some(100));
        only_the_head.sent(&[0x30, 0x80, 0x01]);
        assert!(only_the_head.were_kept().is_err());
        let no_length = limits(Some(1));
        no_length.sent(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]);
        no_length.sent(&[0x30]);
        assert!(no_length.were_kept().is_ok());
    }

    #[test]
    fn a_case_ends() {
        let mut target = Target::new("localhost", 1);
        let limits = Limits::new(&target, false, None);
        assert_eq!(limits.left(Duration::from_secs(3600)), Ok(limits.deadline));
        assert!(limits.left(Duration::ZERO).is_ok_and(|until| until < limits.deadline));
        target.patience = Duration::ZERO;
        assert!(Limits::new(&target, false, None).left(Duration::from_secs(1)).is_err());
        assert!(Limits::new(&target, true, None).left(Duration::from_secs(1)).is_ok());
    }
}

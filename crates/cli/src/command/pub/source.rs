//! Where the messages come from.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use noctule_client::Waker;

use super::Payload;
use super::lines::{Line, Lines};
use crate::failure::Failure;

/// MQTT allows no longer packet.
const PAYLOAD_BYTES_MAX: u64 = 268_435_455;

/// Gives one message after the other.
#[derive(Debug)]
pub(super) enum Source {
    /// The same message, some times.
    Repeated {
        payload: Vec<u8>,
        left: u64,
        delay: Duration,
        /// When the next one may leave, once the one before is done.
        not_before: Option<Instant>,
    },
    /// Each line of standard input.
    Lines(Lines),
}

/// What a source has now.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Offer {
    Message(Vec<u8>),
    /// Nothing until then, or until something happens.
    Nothing(Option<Instant>),
    /// Nothing any more.
    End,
}

impl Payload {
    /// What is to be published; `None` for lines, which are read meanwhile.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(Some(bytes.clone())),
            Self::StdinLines => Ok(None),
            Self::Stdin => read_all(io::stdin().lock())
                .map(Some)
                .map_err(|error| Failure::file(format!("Error: Cannot read standard input: {error}"))),
            Self::File(path) => {
                let read = File::open(path).and_then(read_all);
                read.map(Some).map_err(|error| {
                    let text = noctule_client::system_text(&error);
                    Failure::file(format!("Error: Unable to read file \"{}\": {text}.", path.display()))
                })
            }
        }
    }
}

fn read_all(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(io::Error::other(format!(
            "more than {PAYLOAD_BYTES_MAX} bytes, the most that MQTT allows"
        )));
    }
    Ok(bytes)
}

impl Source {
    pub(super) fn lines(waker: Waker) -> Result<Self, Failure> {
        Lines::of(io::stdin(), waker)
            .map(Self::Lines)
            .map_err(|error| Failure::file(format!("Error: Cannot read standard input: {error}")))
    }

    pub(super) const fn repeated(payload: Vec<u8>, times: u64, delay: Duration) -> Self {
        Self::Repeated { payload, left: times, delay, not_before: None }
    }

    /// What to publish next; `all_done` tells whether the messages before are.
    pub(super) fn next(&mut self, all_done: bool, now: Instant) -> Result<Offer, Failure> {
        match self {
            Self::Lines(lines) => Ok(match lines.next()? {
                Line::Whole(line) => Offer::Message(line),
                Line::NotYet => Offer::Nothing(None),
                Line::End => Offer::End,
            }),
            Self::Repeated { left: 0, .. } => Ok(Offer::End),
            Self::Repeated { payload, left: left @ 1, delay: Duration::ZERO, .. } => {
                *left = 0;
                Ok(Offer::Message(std::mem::take(payload)))
            }
            Self::Repeated { payload, left, delay: Duration::ZERO, .. } => {
                *left -= 1;
                Ok(Offer::Message(payload.clone()))
            }
            Self::Repeated { payload, left, delay, not_before } => {
                if !all_done {
                    return Ok(Offer::Nothing(None));
                }
                match *not_before {
                    Some(moment) if now >= moment => *not_before = None,
                    Some(moment) => return Ok(Offer::Nothing(Some(moment))),
                    // The first leaves at once; each further one finds the moment set.
                    None => {}
                }
                *left -= 1;
                *not_before = Some(now + *delay);
                Ok(Offer::Message(payload.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_repeated_as_often_as_asked() {
        let mut source = Source::repeated(b"on".to_vec(), 3, Duration::ZERO);
        let now = Instant::now();
        let all: Vec<_> = (0..4).map(|_| source.next(false, now).unwrap()).collect();
        let message = || Offer::Message(b"on".to_vec());
        assert_eq!(all, [message(), message(), message(), Offer::End]);
    }

    #[test]
    fn a_delay_runs_after_each_message_that_is_done() {
        let delay = Duration::from_secs(5);
        let mut source = Source::repeated(b"on".to_vec(), 2, delay);
        let start = Instant::now();
        let message = || Ok(Offer::Message(b"on".to_vec()));
        assert_eq!(source.next(true, start), message());
        assert_eq!(source.next(false, start + delay * 2), Ok(Offer::Nothing(None)));
        assert_eq!(source.next(true, start), Ok(Offer::Nothing(Some(start + delay))));
        assert_eq!(source.next(true, start + delay), message());
        assert_eq!(source.next(true, start + delay), Ok(Offer::End));
    }
}

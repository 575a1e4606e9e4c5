//! Connections that are over but for their last words.
//!
//! Closing a socket with unread input makes the system send a reset, and a reset may overtake the farewell. So after
//! the farewell only our side is ended, and what the peer still sends is thrown away until it ends its own.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

use mio::{Interest, Registry, Token};
use noctule_transport::Stream;

/// How long a peer has to take the farewell.
const TIME_MAX: Duration = Duration::from_secs(1);
/// How many may linger; the oldest makes room for one more.
const COUNT_MAX: usize = 4096;
/// Reads per event; who sends more than these hold at a time does not listen.
const READS_MAX: u32 = 16;

/// The lingering streams, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    streams: VecDeque<Option<(Stream, Duration)>>,
    /// Number of the first in `streams`. A late event may meet the successor of its stream; it does no harm there.
    first: usize,
}

impl Lingering {
    /// Writes `farewell` as far as the socket takes it and ends our side. If the peer is not done, it lingers; its
    /// events then come as `token_of` its number. `scratch` is what is thrown away into.
    pub(super) fn part(
        &mut self,
        mut stream: Stream,
        farewell: &[u8],
        registry: &Registry,
        token_of: impl Fn(usize) -> Token,
        now: Duration,
        scratch: &mut [u8],
    ) {
        // Whatever fails here, the peer is gone and dropping the stream is all that is left.
        if farewell.is_empty() || stream.write(farewell).is_err() || stream.finish_writing().is_err() {
            return;
        }
        if is_over(&mut stream, scratch) {
            return;
        }
        let number = self.first + self.streams.len();
        if registry.reregister(&mut stream, token_of(number), Interest::READABLE).is_err() {
            return;
        }
        if self.streams.len() == COUNT_MAX {
            self.drop_first();
        }
        self.streams.push_back(Some((stream, now + TIME_MAX)));
    }

    /// Something came from the stream with this number.
    pub(super) fn on_event(&mut self, number: usize, scratch: &mut [u8]) {
        let Some(place) = number.checked_sub(self.first).and_then(|index| self.streams.get_mut(index)) else {
            return;
        };
        if let Some((stream, _)) = place
            && is_over(stream, scratch)
        {
            *place = None;
        }
        while let Some(None) = self.streams.front() {
            self.drop_first();
        }
    }

    /// When the oldest has lingered long enough.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        // The front is never an empty place.
        self.streams.front()?.as_ref().map(|&(_, until)| until)
    }

    /// Drops those that have lingered long enough.
    pub(super) fn expire(&mut self, now: Duration) {
        while self.streams.front().is_some_and(|place| place.as_ref().is_none_or(|&(_, until)| until <= now))
        {
            self.drop_first();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    fn drop_first(&mut self) {
        if self.streams.pop_front().is_some() {
            self.first = if self.streams.is_empty() { 0 } else { self.first + 1 };
        }
    }
}

/// Throws away what waits; tells whether the stream can be dropped.
fn is_over(stream: &mut Stream, scratch: &mut [u8]) -> bool {
    for _ in 0..READS_MAX {
        match stream.read(scratch) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use mio::{Events, Poll};

    use super::super::stream_pair;
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    struct Loop {
        poll: Poll,
        lingering: Lingering,
    }

    impl Loop {
        fn new() -> Self {
            Self { poll: Poll::new().unwrap(), lingering: Lingering::default() }
        }

        fn part(&mut self, farewell: &[u8]) -> TcpStream {
            let (mut stream, peer) = stream_pair();
            let registry = self.poll.registry();
            registry.register(&mut stream, Token(99), Interest::READABLE).unwrap();
            self.lingering.part(stream, farewell, registry, Token, NOW, &mut [0; 100]);
            peer
        }

        fn turn(&mut self) {
            let mut events = Events::with_capacity(4);
            self.poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
            for event in &events {
                self.lingering.on_event(event.token().0, &mut [0; 100]);
            }
        }
    }

    fn rest(mut peer: &TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        rest
    }

    #[test]
    fn it_lingers_until_the_peer_has_ended_too() {
        let mut on = Loop::new();
        let mut first = on.part(b"farewell");
        let second = on.part(b"goodbye");
        assert_eq!((rest(&first), rest(&second)), (b"farewell".to_vec(), b"goodbye".to_vec()));
        first.write_all(b"what?").unwrap();
        on.turn();
        drop(second);
        on.turn();
        assert_eq!(on.lingering.next_timeout(), Some(NOW + TIME_MAX), "the first has not ended");
        drop(first);
        on.turn();
        assert!(on.lingering.is_empty());
    }

    #[test]
    fn it_lingers_for_a_time_only() {
        let mut on = Loop::new();
        let _peer = on.part(b"farewell");
        on.lingering.expire(NOW);
        assert!(!on.lingering.is_empty());
        on.lingering.expire(NOW + TIME_MAX);
        assert!(on.lingering.is_empty());
        assert_eq!(on.lingering.next_timeout(), None);
    }

    #[test]
    fn without_a_farewell_there_is_nothing_to_wait_for() {
        let mut on = Loop::new();
        let peer = on.part(b"");
        assert!(on.lingering.is_empty());
        assert_eq!(rest(&peer), b"");
    }
}

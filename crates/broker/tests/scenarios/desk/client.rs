//! One client, or what a test does in its place.

use noctule_broker::{Input, TransportEnd};
use noctule_protocol::property::Properties;
use noctule_protocol::{ProtocolVersion, ReasonCode};

use super::packet::{puback, pubcomp, pubrec, pubrel, subscribe};
use super::{Desk, Line, Options, Wire};

/// The client's end of a transport.
pub(crate) struct Client {
    desk: Desk,
    line: usize,
    next_id: u16,
    /// The answer to its CONNECT.
    pub(crate) session_present: bool,
    pub(crate) connack: Properties<'static>,
}

impl Client {
    pub(super) fn new(desk: Desk, line: usize) -> Self {
        Self { desk, line, next_id: 60_000, session_present: false, connack: Properties::EMPTY }
    }

    fn line<T>(&self, f: impl FnOnce(&mut Line) -> T) -> T {
        f(&mut self.desk.0.borrow_mut().lines[self.line])
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.line(|line| line.version)
    }

    pub(super) fn takes_at_most(&self, packet_max: usize) {
        self.line(|line| line.packet_max = packet_max);
    }

    /// In one piece.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.desk.0.borrow_mut().received(self.line, bytes);
    }

    pub(crate) fn send(&self, packet: Wire) {
        self.send_all([packet]);
    }

    /// All in one piece, so that one turn handles them.
    pub(crate) fn send_all(&self, packets: impl IntoIterator<Item = Wire>) {
        let version = self.version();
        let bytes: Vec<u8> = packets.into_iter().flat_map(|packet| packet.encode(version)).collect();
        self.send_bytes(&bytes);
    }

    /// Subscribes and takes the SUBACK; what follows it stays.
    pub(crate) fn subscribe(&mut self, filter: &str, options: impl Into<Options>) {
        let options = options.into();
        self.next_id += 1;
        self.send(subscribe(self.next_id, filter, options));
        let suback = self.next().expect("a SUBACK");
        assert_eq!((suback.id, &suback.codes[..]), (self.next_id, &[options.0.qos.level()][..]));
    }

    /// The first packet that was not looked at yet.
    pub(crate) fn next(&self) -> Option<Wire> {
        self.line(|line| {
            let (packet, length) = Wire::read(&line.inbox, line.version)?;
            assert!(length <= line.packet_max, "{packet:?} is too large");
            line.inbox.drain(..length);
            Some(packet)
        })
    }

    /// All that was not looked at yet.
    pub(crate) fn take(&self) -> Vec<Wire> {
        let (bytes, version, most) = (self.take_bytes(), self.version(), self.line(|line| line.packet_max));
        let mut at = 0;
        let packets = std::iter::from_fn(|| {
            let (packet, length) = Wire::read(&bytes[at..], version)?;
            assert!(length <= most, "{packet:?} is too large");
            at += length;
            Some(packet)
        });
        let packets = packets.collect();
        assert_eq!(at, bytes.len(), "whole packets");
        packets
    }

    /// The bytes of all that was not looked at yet.
    pub(crate) fn take_bytes(&self) -> Vec<u8> {
        self.line(|line| std::mem::take(&mut line.inbox))
    }

    /// Exactly this has come since the last look.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&self, packets: [Wire; N]) {
        let version = self.version();
        let packets: Vec<Wire> = packets.into_iter().map(|packet| packet.seen_by(version)).collect();
        assert_eq!(self.take(), packets);
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        self.expect([]);
    }

    /// Payloads of the PUBLISH packets that have come, and nothing else has.
    #[track_caller]
    pub(crate) fn expect_payloads<const N: usize>(&self, payloads: [&str; N]) {
        assert_eq!(self.payloads(), payloads);
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        let packets = self.take();
        assert!(packets.iter().all(Wire::is_publish), "{packets:?}");
        packets.iter().map(Wire::text).collect()
    }

    /// The broker closed the connection; a 5.0 client was told why, a 3.x client nothing.
    #[track_caller]
    pub(crate) fn expect_end(&self, reason: ReasonCode) {
        let last = self.take();
        assert!(self.is_closed(), "still open after {last:?}");
        match self.version() {
            ProtocolVersion::V31 | ProtocolVersion::V311 => assert_eq!(last, []),
            ProtocolVersion::V5 => {
                let told: Vec<_> = last.iter().map(|packet| (packet.kind.name(), packet.code)).collect();
                assert_eq!(told, [("DISCONNECT", reason.code())]);
            }
        }
    }

    /// The broker closed the connection without another word.
    #[track_caller]
    pub(crate) fn expect_closed(&self) {
        assert_eq!(self.take(), []);
        assert!(self.is_closed());
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.line(|line| line.is_open)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.line(|line| line.is_paused)
    }

    /// The connection is lost.
    pub(crate) fn lose(&self) {
        self.desk.0.borrow_mut().closed(self.line, TransportEnd::ClosedByPeer);
    }

    /// It ends as by a socket error.
    pub(crate) fn fail(&self) {
        self.desk.0.borrow_mut().closed(self.line, TransportEnd::Failed("Connection reset by peer"));
    }

    /// From now on it takes nothing.
    pub(crate) fn stop_reading(&self) {
        self.line(|line| line.is_reading = false);
    }

    /// Takes all that waits, and what comes.
    pub(crate) fn read_on(&self) {
        self.line(|line| line.is_reading = true);
        self.read(usize::MAX);
    }

    /// Takes at most so many bytes of what waits.
    pub(crate) fn read(&self, most: usize) {
        let mut state = self.desk.0.borrow_mut();
        let Line { shard, key: connection, .. } = state.lines[self.line];
        let output = state.shards[shard].output(connection);
        let bytes = output[..output.len().min(most)].to_vec();
        state.lines[self.line].inbox.extend_from_slice(&bytes);
        if !bytes.is_empty() {
            state.input(shard, Input::Written { connection, bytes: bytes.len() });
        }
        state.run();
    }

    /// Bytes that wait because it does not read.
    pub(crate) fn unread(&self) -> usize {
        let state = self.desk.0.borrow();
        let Line { shard, key, .. } = state.lines[self.line];
        state.shards[shard].output(key).len()
    }

    /// Bytes the broker keeps of a packet that has not come whole.
    pub(crate) fn partial_bytes(&self) -> usize {
        let state = self.desk.0.borrow();
        let Line { shard, key, .. } = state.lines[self.line];
        state.shards[shard].partial_bytes(key)
    }

    /// Answers every packet that has come as a good client does, until nothing comes any more. Gives the
    /// PUBLISH packets.
    pub(crate) fn acknowledge_all(&self) -> Vec<Wire> {
        let mut published = Vec::new();
        loop {
            let packets = self.take();
            if packets.is_empty() {
                return published;
            }
            for packet in packets {
                use noctule_protocol::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
                use noctule_protocol::frame::PacketType;
                match (packet.kind, packet.qos) {
                    (PacketType::Publish, AtMostOnce) => published.push(packet),
                    (PacketType::Publish, AtLeastOnce) => {
                        self.send(puback(packet.id));
                        published.push(packet);
                    }
                    (PacketType::Publish, ExactlyOnce) => {
                        self.send(pubrec(packet.id));
                        published.push(packet);
                    }
                    (PacketType::Pubrec, _) => self.send(pubrel(packet.id)),
                    (PacketType::Pubrel, _) => self.send(pubcomp(packet.id)),
                    _ => {}
                }
            }
        }
    }
}

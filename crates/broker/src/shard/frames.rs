//! Bytes of a connection to packets, and each packet to where it belongs.

use noctule_protocol::frame::{Frame, PacketType, next_frame};
use noctule_protocol::packet::{
    AckKind, Auth, Disconnect, Packet, Pingreq, PlainAck, Publish, PublishRun, Subscribe, Unsubscribe,
    acknowledgement,
};
use noctule_protocol::{DecodeError, ProtocolVersion, Role};

use super::connection::{Connection, Pauses, Stage};
use super::ending::Ending;
use super::publish_run::Run;
use super::{Shard, Turn};
use crate::input::ConnectionKey;
use crate::memory::Pressure;
use crate::metric::Metric;

/// The bytes of a frame whose rest has not come. Few connections have any, so that they stand in a box.
pub(super) struct Partial(Vec<u8>);

impl Partial {
    fn of(rest: &[u8]) -> Option<Box<Self>> {
        (!rest.is_empty()).then(|| Box::new(Self(rest.to_vec())))
    }
}

impl Shard {
    pub(super) fn received(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) {
        self.counts.add(Metric::BytesReceived, bytes.len() as u64);
        self.take_bytes(key, bytes, turn);
    }

    /// Handles the whole frames among what was kept and `bytes`, and keeps the rest.
    pub(super) fn take_bytes(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) {
        let noted = self.noted();
        let Some(connection) = self.connection_mut(key) else { return };
        connection.last_received = turn.now.monotonic.into();
        connection.allowance.next_read();
        let rest = match connection.partial.take() {
            None => {
                let consumed = self.frames(key, bytes, turn);
                Partial::of(&bytes[consumed..])
            }
            Some(mut partial) => {
                let Partial(buffer) = &mut *partial;
                buffer.extend_from_slice(bytes);
                let consumed = self.frames(key, buffer, turn);
                // A small rest does not keep the buffer of a large packet.
                if consumed == 0 { Some(partial) } else { Partial::of(&buffer[consumed..]) }
            }
        };
        self.park_feeder(key, noted, turn);
        let (Some(rest), Some(connection)) = (rest, self.connection_mut(key)) else { return };
        match connection.stage {
            Stage::Leaving { to, authenticated } => self.let_go(key, to, rest.0, authenticated, turn),
            Stage::AwaitingConnect
            | Stage::Authenticating
            | Stage::Checked { .. }
            | Stage::Established { .. } => connection.partial = Some(rest),
        }
    }

    /// Bytes kept of a packet of this connection that has not come whole: not more than twice what was received
    /// of it, whatever length it declares.
    pub fn partial_bytes(&self, connection: ConnectionKey) -> usize {
        let connection = self.connection(connection);
        connection
            .and_then(|connection| connection.partial.as_ref())
            .map_or(0, |partial| partial.0.capacity())
    }

    /// Handles the whole frames in `bytes`; gives how many bytes they were.
    fn frames(&mut self, key: ConnectionKey, bytes: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut consumed = 0;
        // Up to there it is known that packets are no run, or cannot be taken as one.
        let mut one_by_one = 0;
        while let Some(connection) = self.connection(key) {
            if connection.pauses.contains(Pauses::OWN_FAN_OUT) {
                break;
            }
            let (stage, version) = (connection.stage, connection.version);
            let limit = match stage {
                Stage::AwaitingConnect | Stage::Checked { .. } => {
                    self.settings.connect_packet_size.min(self.settings.maximum_packet_size)
                }
                Stage::Established { .. } => self.settings.maximum_packet_size,
                Stage::Authenticating | Stage::Leaving { .. } => break,
            };
            let rest = &bytes[consumed..];
            if let Stage::Established { slot } = stage
                && let Some(&packet) = rest.first_chunk()
                && let Some(PlainAck { kind, packet_id }) = PlainAck::decode(packet)
                && limit as usize >= PlainAck::LENGTH
                && !self.logs_packets()
            {
                let taken = match kind {
                    AckKind::Pubrel => {
                        let run = match consumed >= one_by_one {
                            true => self.take_releases(key, slot, rest, turn),
                            false => Run::OneByOne(0),
                        };
                        match run {
                            Run::Taken(bytes) => bytes,
                            Run::OneByOne(bytes) => {
                                one_by_one = one_by_one.max(consumed + bytes);
                                self.counts.count(Metric::PacketsReceived);
                                self.on_pubrel(key, slot, packet_id, turn);
                                PlainAck::LENGTH
                            }
                        }
                    }
                    AckKind::Puback | AckKind::Pubrec | AckKind::Pubcomp => {
                        self.take_acknowledgements(key, slot, rest, turn)
                    }
                };
                if taken > 0 {
                    consumed += taken;
                    continue;
                }
            }
            if let Stage::Established { slot } = stage
                && consumed >= one_by_one
                && PublishRun::may_begin(rest, &self.known_topic)
            {
                match self.take_run(key, slot, version, rest, limit, turn) {
                    Run::Taken(bytes) => {
                        consumed += bytes;
                        continue;
                    }
                    Run::OneByOne(bytes) => one_by_one = consumed + bytes,
                }
            }
            match next_frame(rest, limit) {
                Ok(Some((frame, length))) => {
                    if turn.shared.retained.is_loading()
                        && self.waits_for_retained(key, stage, version, frame, turn)
                    {
                        break;
                    }
                    if self.thrift.pressure >= Pressure::PausePublishers
                        && self.waits_for_memory(key, stage, version, frame, turn)
                    {
                        break;
                    }
                    let result = match stage {
                        Stage::Established { slot } => match frame.packet_type() {
                            Ok(PacketType::Publish) => self.published(key, slot, version, frame, turn),
                            _ => self.packet(key, slot, version, frame, turn),
                        },
                        Stage::AwaitingConnect
                        | Stage::Authenticating
                        | Stage::Checked { .. }
                        | Stage::Leaving { .. } => self.first_packet(key, frame, turn),
                    };
                    if !matches!(stage, Stage::Established { .. })
                        && self.connection(key).is_some_and(Connection::keeps_connect)
                    {
                        break;
                    }
                    consumed += length;
                    self.counts.count(Metric::PacketsReceived);
                    if let Err(error) = result {
                        self.close(key, Ending::Refused(error), turn);
                    }
                }
                Ok(None) => break,
                Err(error) => self.close(key, Ending::Refused(error), turn),
            }
        }
        consumed
    }

    /// A publisher stays with a topic for a while, so the last one is not checked and copied again.
    fn published(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        let topic = Publish::topic_bytes(frame).unwrap_or_default();
        if !topic.is_empty() && topic == self.known_topic.as_bytes() {
            let known = std::mem::take(&mut self.known_topic);
            let publish = Publish::decode_about(frame, version, &known)?;
            publish.check_sender(Role::Client)?;
            let result = self.on_publish(key, slot, &publish, turn);
            self.known_topic = known;
            return result;
        }
        let publish = Publish::decode(frame, version)?;
        publish.check_sender(Role::Client)?;
        self.known_topic.clear();
        self.known_topic.push_str(publish.topic);
        self.on_publish(key, slot, &publish, turn)
    }

    fn packet(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        if self.logs_packets() {
            self.log_received(slot, version, frame, turn);
        }
        // Each packet is decoded by itself: the way through an enum of all of them costs as much as the packet.
        match frame.packet_type()? {
            PacketType::Publish => {
                self.published(key, slot, version, frame, turn)?;
            }
            PacketType::Puback => {
                let (packet_id, reason) = acknowledgement(frame, version)?;
                self.on_puback(key, slot, packet_id, reason, turn);
            }
            PacketType::Pubrec => {
                let (packet_id, reason) = acknowledgement(frame, version)?;
                self.on_pubrec(key, slot, packet_id, reason, turn);
            }
            PacketType::Pubrel => {
                let (packet_id, _) = acknowledgement(frame, version)?;
                self.on_pubrel(key, slot, packet_id, turn);
            }
            PacketType::Pubcomp => {
                let (packet_id, _) = acknowledgement(frame, version)?;
                self.on_pubcomp(key, slot, packet_id, turn);
            }
            PacketType::Subscribe => {
                self.on_subscribe(key, slot, &Subscribe::decode(frame, version)?, turn);
            }
            PacketType::Unsubscribe => {
                self.on_unsubscribe(key, slot, &Unsubscribe::decode(frame, version)?, turn);
            }
            PacketType::Pingreq => {
                Pingreq::decode(frame, version)?;
                // Who pings has had nothing to say for a while.
                if let Some(session) = self.session_mut(slot) {
                    session.outgoing.rest();
                    session.incoming.rest();
                }
                self.answer(key, false, turn, |out, version| Packet::Pingresp.encode(version, out));
            }
            PacketType::Disconnect => {
                let disconnect = Disconnect::decode(frame, version)?;
                disconnect.check_sender(Role::Client)?;
                self.on_disconnect(key, slot, &disconnect, turn)?;
            }
            PacketType::Connect => return Err(DecodeError::protocol("second CONNECT")),
            PacketType::Auth => {
                Auth::decode(frame, version)?;
                return Err(DecodeError::protocol("AUTH without Authentication Method"));
            }
            PacketType::Connack | PacketType::Suback | PacketType::Unsuback | PacketType::Pingresp => {
                return Err(DecodeError::protocol("packet that only a server sends"));
            }
        }
        Ok(())
    }
}

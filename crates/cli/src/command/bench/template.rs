//! PUBLISH packets of one publisher: made once, then copied, and only what changes is written over.

use noctule_client::protocol::packet::{Publish, PublishQoS};
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{EncodeError, PacketId, ProtocolVersion, QoS};

use super::payload::Header;
use super::topic_pattern::TopicPattern;

#[derive(Debug)]
pub(super) struct Template {
    packet: Vec<u8>,
    topics: TopicPattern,
    topic_at: usize,
    /// QoS 1 and 2 have one.
    packet_id_at: Option<usize>,
    payload_at: usize,
}

impl Template {
    pub(super) fn new(
        version: ProtocolVersion,
        topics: TopicPattern,
        qos: QoS,
        retain: bool,
        payload: &[u8],
    ) -> Result<Self, EncodeError> {
        let topic = topics.text(0);
        let publish = Publish {
            dup: false,
            qos: match qos {
                QoS::AtMostOnce => PublishQoS::AtMostOnce,
                QoS::AtLeastOnce => PublishQoS::AtLeastOnce(PacketId::FIRST),
                QoS::ExactlyOnce => PublishQoS::ExactlyOnce(PacketId::FIRST),
            },
            retain,
            topic: &topic,
            properties: Properties::EMPTY,
            payload,
        };
        let mut packet = Vec::new();
        publish.encode(version, &mut packet)?;
        let payload_at = packet.len() - payload.len();
        let properties = usize::from(version == ProtocolVersion::V5);
        let packet_id_at = (qos != QoS::AtMostOnce).then(|| payload_at - properties - 2);
        let topic_at = packet_id_at.unwrap_or(payload_at - properties) - topics.len();
        Ok(Self { packet, topics, topic_at, packet_id_at, payload_at })
    }

    /// Whether the message of this number is published on this topic. `scratch` is a buffer to use again.
    #[inline]
    pub(super) fn is_topic(&self, topic_number: u64, topic: &[u8], scratch: &mut Vec<u8>) -> bool {
        self.topics.is(topic_number, topic, scratch)
    }

    /// Appends one message. An empty one stays empty.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>, topic_number: u64, packet_id: u16, header: Header) {
        let start = out.len();
        out.extend_from_slice(&self.packet);
        let packet = &mut out[start..];
        self.topics.write(topic_number, &mut packet[self.topic_at..]);
        if let Some(at) = self.packet_id_at {
            packet[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        let payload = &mut packet[self.payload_at..];
        if !payload.is_empty() {
            header.write(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_pattern::{Number, Part};
    use super::*;
    use noctule_client::protocol::frame::next_frame;
    use noctule_client::protocol::packet::Packet;

    #[test]
    fn what_changes_is_what_is_read() {
        let topics = || {
            TopicPattern::new(&[
                Part::Text("t/"),
                Part::Number(Number { divisor: 1, modulus: 1000, width: 3 }),
            ])
        };
        let header = Header { run: 1, publisher: 2, sequence: 3, due_ns: 4 };
        for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for length in [24, 200, 20_000] {
                    let template = Template::new(version, topics(), qos, true, &vec![b'x'; length]).unwrap();
                    let mut out = b"before".to_vec();
                    template.append(&mut out, 42, 777, header);
                    let (frame, used) = next_frame(&out[6..], u32::MAX).unwrap().unwrap();
                    assert_eq!(used, out.len() - 6);
                    let Packet::Publish(publish) = Packet::decode(frame, version).unwrap() else { panic!() };
                    assert_eq!((publish.topic, publish.retain), ("t/042", true));
                    assert_eq!(publish.qos.qos(), qos);
                    let id = publish.qos.packet_id().map(PacketId::get);
                    assert_eq!(id, (qos != QoS::AtMostOnce).then_some(777));
                    assert_eq!(Header::read(publish.payload), Some(header));
                    assert_eq!(publish.payload.len(), length);
                }
            }
        }
    }
}

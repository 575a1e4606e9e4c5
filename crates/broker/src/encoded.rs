//! A PUBLISH that was encoded for one recipient, to be copied to others.

use noctule_protocol::{PacketId, ProtocolVersion, QoS};

/// What decides about the bytes of a PUBLISH beside the message itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Form {
    has_properties: bool,
    qos: QoS,
    retain: bool,
    /// Bytes of the topic, from which a mount point may be taken away.
    topic_bytes: u16,
}

impl Form {
    pub(crate) fn new(version: ProtocolVersion, qos: QoS, retain: bool, topic: &str) -> Self {
        Self { has_properties: version.has_properties(), qos, retain, topic_bytes: topic.len() as u16 }
    }
}

/// The packet in the form that the last recipients got. It is kept from the second one on, so that a message with one
/// recipient costs nothing more.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// Of the last recipient.
    form: Option<Form>,
    /// Empty until two recipients in a row had this form.
    packet: Vec<u8>,
    packet_id_at: usize,
}

impl Encoded {
    /// The packet in this form, if it is kept.
    #[inline]
    pub(crate) fn packet(&self, form: Form) -> Option<&[u8]> {
        (!self.packet.is_empty() && self.form == Some(form)).then_some(&self.packet)
    }

    /// Puts the packet behind `out`, under another identifier.
    #[inline]
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>, packet_id: Option<PacketId>) {
        let at = out.len() + self.packet_id_at;
        out.extend_from_slice(&self.packet);
        if let Some(packet_id) = packet_id
            && let Some(place) = out.get_mut(at..at + 2)
        {
            place.copy_from_slice(&packet_id.get().to_be_bytes());
        }
    }

    /// Notes a packet that was encoded in this form.
    #[inline]
    pub(crate) fn note(&mut self, form: Form, packet: &[u8], topic: &str) {
        if self.form.replace(form) == Some(form) {
            self.keep(packet, topic);
        } else {
            self.packet.clear();
        }
    }

    #[inline(never)]
    fn keep(&mut self, packet: &[u8], topic: &str) {
        // First byte, Remaining Length, and the topic with its length.
        let length = packet.iter().skip(1).take_while(|&&byte| byte & 0x80 != 0).count() + 1;
        self.packet_id_at = 1 + length + 2 + topic.len();
        self.packet = packet.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use noctule_protocol::packet::{Publish, PublishQoS};
    use noctule_protocol::property::{Properties, Property};

    use super::*;

    #[test]
    fn a_copy_is_what_encoding_gives() {
        let id = |number| PacketId::new(number).unwrap();
        for version in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
            for (qos, payload) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
                .into_iter()
                .flat_map(|qos| [0, 10, 127, 128, 20_000, 3_000_000].map(|bytes| (qos, vec![7; bytes])))
            {
                let properties = match version {
                    ProtocolVersion::V5 => Properties::new([Property::MessageExpiryInterval(9)]),
                    ProtocolVersion::V31 | ProtocolVersion::V311 => Properties::EMPTY,
                };
                let encode = |packet_id: PacketId| {
                    let publish = Publish {
                        dup: false,
                        qos: PublishQoS::with_id(qos, packet_id),
                        retain: true,
                        topic: "a/b",
                        properties: properties.clone(),
                        payload: &payload,
                    };
                    let mut out = Vec::new();
                    publish.encode(version, &mut out).unwrap();
                    out
                };
                let (form, other) =
                    (Form::new(version, qos, true, "a/b"), Form::new(version, qos, false, "a/b"));
                let mut encoded = Encoded::default();
                encoded.note(form, &encode(id(1)), "a/b");
                assert_eq!(encoded.packet(form), None);
                encoded.note(form, &encode(id(2)), "a/b");
                let mut out = b"before".to_vec();
                let packet_id = (qos != QoS::AtMostOnce).then_some(id(0x1234));
                encoded.copy_to(&mut out, packet_id);
                assert_eq!(out[6..], encode(id(0x1234)));
                assert_eq!(encoded.packet(form).map(<[u8]>::len), Some(out.len() - 6));
                assert_eq!(encoded.packet(other), None);
                encoded.note(other, &out[6..], "a/b");
                assert_eq!((encoded.packet(form), encoded.packet(other)), (None, None));
                let elsewhere = Form::new(version, qos, false, "b");
                encoded.note(other, &out[6..], "a/b");
                assert_eq!(encoded.packet(other).is_some(), encoded.packet(elsewhere).is_none());
            }
        }
    }
}

//! PUBLISH packets of a burst: what they have in common is looked at once.

use crate::frame::{PacketType, next_frame};
use crate::property::Properties;
use crate::{PacketId, ProtocolVersion, QoS};

use super::{Publish, PublishQoS};

/// Whole PUBLISH packets from a client, one behind the other, that differ in their payloads and Packet Identifiers only: of
/// one Topic Name and one QoS, without DUP, RETAIN and properties. A receiver that speaks the same version and is
/// granted the same QoS gets the same bytes, but for the Packet Identifiers.
#[derive(Clone, Copy, Debug)]
pub struct PublishRun<'a> {
    bytes: &'a [u8],
    topic: &'a str,
    places: &'a [Place],
    shape: RunShape,
}

/// What the packets of a [`PublishRun`] have in common beside their Topic Name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunShape {
    /// Of each.
    pub qos: QoS,
    /// Of the client.
    pub version: ProtocolVersion,
    /// The length of the longest packet.
    pub packet_bytes_max: u32,
}

impl RunShape {
    /// Bytes between the Packet Identifier's place and the payload.
    const fn payload_offset(self) -> usize {
        let packet_id = if let QoS::AtMostOnce = self.qos { 0 } else { 2 };
        packet_id + if self.version.has_properties() { 1 } else { 0 }
    }
}

/// Where in a [`PublishRun`] a packet is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where its Packet Identifier is, or would be.
    behind_topic: u32,
    end: u32,
}

/// A type, flags, and a length in one byte.
const SHORT_HEADER: usize = 2;
/// The longest packet whose length needs one byte.
const ONE_LENGTH_BYTE_MAX: usize = SHORT_HEADER + 127;

impl<'a> PublishRun<'a> {
    /// Whether [`read`](Self::read) may find something: a quick look at the first packet, if it is a short one.
    #[inline]
    pub fn may_begin(input: &[u8], topic: &str) -> bool {
        let [first_byte, length, high, low, behind @ ..] = input else { return false };
        let is_kind = first_byte >> 4 == PacketType::Publish as u8;
        let is_short = *length < 0x80;
        let has_next = || input.len() > 2 + usize::from(*length);
        let is_topic = || {
            usize::from(u16::from_be_bytes([*high, *low])) == topic.len()
                && behind.starts_with(topic.as_bytes())
        };
        is_kind && (!is_short || has_next() && is_topic())
    }

    /// The packets at the front of `input` that belong together and to `topic`, a good Topic Name; `None` if they are not
    /// two at least. Packets larger than `maximum_packet_size` and those with any mistake end it. `places` is room for it.
    pub fn read(
        input: &'a [u8],
        maximum_packet_size: u32,
        version: ProtocolVersion,
        topic: &'a str,
        places: &'a mut Vec<Place>,
    ) -> Option<Self> {
        let first_byte = *input.first()?;
        let qos = match first_byte.checked_sub(PacketType::Publish.first_byte())? {
            0b000 => QoS::AtMostOnce,
            0b010 => QoS::AtLeastOnce,
            0b100 => QoS::ExactlyOnce,
            _ => return None,
        };
        let mut shape = RunShape { qos, version, packet_bytes_max: 0 };
        let payload_offset = shape.payload_offset();
        places.clear();
        let mut end = 0;
        while let Some(rest @ &[byte, ..]) = input.get(end..)
            && byte == first_byte
            && let Ok(Some((frame, length))) = next_frame(rest, maximum_packet_size)
            && frame.shortest_length
            && let Some((topic_bytes, behind)) = frame.body.split_first_chunk()
            && usize::from(u16::from_be_bytes(*topic_bytes)) == topic.len()
            && let Some(behind) = behind.strip_prefix(topic.as_bytes())
            && let Some((head, _)) = behind.split_at_checked(payload_offset)
            && is_plain_head(head, qos, version)
            && let Ok(packet_end) = u32::try_from(end + length)
        {
            end += length;
            shape.packet_bytes_max = shape.packet_bytes_max.max(length as u32);
            places.push(Place { behind_topic: packet_end - behind.len() as u32, end: packet_end });
        }
        let is_run = places.len() > 1 && !topic.is_empty();
        let bytes = &input[..end];
        is_run.then_some(Self { bytes, topic, places, shape })
    }

    /// One that was read, of its parts: [`bytes`](Self::bytes), Topic Name, [`places`](Self::places) and
    /// [`shape`](Self::shape).
    pub fn of_parts(bytes: &'a [u8], topic: &'a str, places: &'a [Place], shape: RunShape) -> Self {
        Self { bytes, topic, places, shape }
    }

    /// How many packets it is.
    #[allow(clippy::len_without_is_empty, reason = "it has two packets at least")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// All of them.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Topic Name.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Where its packets are.
    pub fn places(&self) -> &'a [Place] {
        self.places
    }

    /// What they have in common.
    pub fn shape(&self) -> RunShape {
        self.shape
    }

    /// Of each.
    pub fn qos(&self) -> QoS {
        self.shape.qos
    }

    /// The length of the longest packet.
    pub fn packet_bytes_max(&self) -> usize {
        self.shape.packet_bytes_max as usize
    }

    /// How long the payloads of the first packets are, of so many.
    pub fn payload_bytes(&self, packets: usize) -> usize {
        let offset = self.shape.payload_offset();
        if packets == self.len() && self.packet_bytes_max() <= ONE_LENGTH_BYTE_MAX {
            // All but the payload is equally long in each.
            return self.bytes.len() - packets * (SHORT_HEADER + 2 + self.topic.len() + offset);
        }
        let first = self.places.iter().take(packets);
        first.map(|place| (place.end - place.behind_topic) as usize - offset).sum()
    }

    /// Each packet by itself.
    pub fn packets(&self) -> impl Iterator<Item = Publish<'a>> {
        let Self { bytes, topic, places, shape } = *self;
        let payload_offset = shape.payload_offset();
        places.iter().zip(self.qos_of_each()).map(move |(place, qos)| Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            properties: Properties::EMPTY,
            payload: &bytes[place.behind_topic as usize + payload_offset..place.end as usize],
        })
    }

    /// Packet Identifiers, in their order; none with QoS 0.
    pub fn packet_ids(&self) -> impl Iterator<Item = PacketId> {
        self.qos_of_each().filter_map(PublishQoS::packet_id)
    }

    fn qos_of_each(&self) -> impl Iterator<Item = PublishQoS> + use<'a> {
        let Self { bytes, places, shape: RunShape { qos, .. }, .. } = *self;
        places.iter().map(move |place| match (qos, packet_id(&bytes[place.behind_topic as usize..])) {
            (QoS::AtLeastOnce, Some(packet_id)) => PublishQoS::AtLeastOnce(packet_id),
            (QoS::ExactlyOnce, Some(packet_id)) => PublishQoS::ExactlyOnce(packet_id),
            _ => PublishQoS::AtMostOnce,
        })
    }

    /// Appends the first packets, at most so many, each under the Packet Identifier that `next_id` gives, until it gives none;
    /// QoS 0 asks for none. Gives how many packets that were.
    #[inline]
    pub fn encode(
        &self,
        most: usize,
        out: &mut Vec<u8>,
        mut next_id: impl FnMut() -> Option<PacketId>,
    ) -> usize {
        let places = &self.places[..most.min(self.places.len())];
        let begin = out.len();
        out.extend_from_slice(&self.bytes[..places.last().map_or(0, |last| last.end as usize)]);
        if self.qos() == QoS::AtMostOnce {
            return places.len();
        }
        let copied = &mut out[begin..];
        let mut end = 0;
        for (count, place) in places.iter().enumerate() {
            let Some(packet_id) = next_id() else {
                out.truncate(begin + end);
                return count;
            };
            let at = place.behind_topic as usize;
            if let Some(field) = copied.get_mut(at..at + 2) {
                field.copy_from_slice(&packet_id.get().to_be_bytes());
            }
            end = place.end as usize;
        }
        places.len()
    }
}

/// What stands between Topic Name and payload: a Packet Identifier [MQTT-2.2.1-3], and no properties.
#[inline]
fn is_plain_head(head: &[u8], qos: QoS, version: ProtocolVersion) -> bool {
    (qos == QoS::AtMostOnce || packet_id(head).is_some())
        && (!version.has_properties() || head.last() == Some(&0))
}

#[inline]
fn packet_id(bytes: &[u8]) -> Option<PacketId> {
    PacketId::new(u16::from_be_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProtocolVersion::{V5, V31, V311};

    fn encoded(version: ProtocolVersion, packets: &[Publish<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
        bytes
    }

    fn packet(qos: PublishQoS, payload: &[u8]) -> Publish<'_> {
        Publish { dup: false, qos, retain: false, topic: "a/b", properties: Properties::EMPTY, payload }
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn run_length(input: &[u8], version: ProtocolVersion) -> usize {
        let mut places = Vec::new();
        let run = PublishRun::read(input, 100_000, version, "a/b", &mut places);
        assert!(run.is_none() || PublishRun::may_begin(input, "a/b"));
        run.map_or(0, |run| run.len())
    }

    #[test]
    fn it_reads_what_single_packets_are_and_copies_them() {
        let long = vec![7; 20_000];
        for version in [V31, V311, V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let payloads: [&[u8]; 5] = [b"", b"x", &[0; 120], &[1; 127], &long];
                let ids = [7, 8, 65535, 1, 0x1234].map(id);
                let numbered = |ids: [PacketId; 5]| {
                    let packets = ids.into_iter().zip(payloads);
                    packets
                        .map(|(id, payload)| packet(PublishQoS::with_id(qos, id), payload))
                        .collect::<Vec<_>>()
                };
                let (packets, mut places) = (numbered(ids), Vec::new());
                let bytes = encoded(version, &packets);
                let run = PublishRun::read(&bytes, 100_000, version, "a/b", &mut places).unwrap();
                assert_eq!(run.packets().collect::<Vec<_>>(), packets);
                assert_eq!((run.len(), run.bytes(), run.qos()), (5, &bytes[..], qos));
                assert_eq!(run.packet_bytes_max(), encoded(version, &packets[4..]).len());
                for count in 0..=5 {
                    let bytes = payloads[..count].iter().map(|payload| payload.len()).sum::<usize>();
                    assert_eq!(run.payload_bytes(count), bytes);
                }
                let expected: &[PacketId] = if qos == QoS::AtMostOnce { &[] } else { &ids };
                assert_eq!(run.packet_ids().collect::<Vec<_>>(), expected);

                let others = [0x0102, 3, 4, 5, 6].map(id);
                let (mut next, mut out) = (others.iter().copied(), b"before".to_vec());
                assert_eq!(run.encode(9, &mut out, || next.next()), 5);
                assert_eq!(out[6..], encoded(version, &numbered(others)));
                // As many as there are identifiers for.
                let (mut next, mut out) = (others[..2].iter().copied(), b"before".to_vec());
                let (count, left) = if qos == QoS::AtMostOnce { (5, 2) } else { (2, 0) };
                assert_eq!((run.encode(5, &mut out, || next.next()), next.len()), (count, left));
                assert_eq!(out[6..], encoded(version, &numbered(others)[..count]));
                let (mut next, mut out) = (others.iter().copied(), b"before".to_vec());
                assert_eq!(run.encode(3, &mut out, || next.next()), 3);
                assert_eq!(out[6..], encoded(version, &numbered(others)[..3]));
                assert_eq!((run.encode(0, &mut out, || next.next()), out.len()), (0, out.len()));
            }
        }
    }

    #[test]
    fn it_knows_how_long_payloads_are_whether_packets_are_short_or_not() {
        for (version, longest) in [(V31, 122), (V311, 122), (V5, 121)] {
            for (qos, longest) in [(QoS::AtMostOnce, longest), (QoS::AtLeastOnce, longest - 2)] {
                for last in [0, 1, longest - 1, longest, longest + 1] {
                    let payloads = [vec![0; 3], vec![0; 70], vec![0; last]];
                    let packets =
                        payloads.iter().map(|payload| packet(PublishQoS::with_id(qos, id(1)), payload));
                    let bytes = encoded(version, &packets.collect::<Vec<_>>());
                    let mut places = Vec::new();
                    let run = PublishRun::read(&bytes, 1000, version, "a/b", &mut places).unwrap();
                    assert_eq!((run.payload_bytes(3), run.payload_bytes(2)), (73 + last, 73));
                    assert_eq!(run.packet_bytes_max() <= ONE_LENGTH_BYTE_MAX, last <= longest);
                }
            }
        }
    }

    #[test]
    fn it_ends_before_what_differs() {
        let plain = packet(PublishQoS::AtMostOnce, b"hi");
        let once = packet(PublishQoS::AtLeastOnce(id(1)), b"hi");
        for version in [V31, V311, V5] {
            let differing = [
                (&plain, once.clone()),
                (&plain, Publish { retain: true, ..plain.clone() }),
                (&plain, Publish { topic: "a/c", ..plain.clone() }),
                (&plain, Publish { topic: "a/b/c", ..plain.clone() }),
                (&plain, Publish { topic: "a", ..plain.clone() }),
                (&once, plain.clone()),
                (&once, Publish { dup: true, ..once.clone() }),
                (&once, packet(PublishQoS::ExactlyOnce(id(2)), b"hi")),
                (&plain, packet(PublishQoS::AtMostOnce, &[0; 100_000])),
            ];
            for (first, third) in differing {
                let bytes = encoded(version, &[first.clone(), first.clone(), third.clone()]);
                assert_eq!(run_length(&bytes, version), 2, "{version:?} {third:?}");
                // What is too few of a kind is none.
                let after_one = &bytes[encoded(version, std::slice::from_ref(first)).len()..];
                assert_eq!(run_length(after_one, version), 0, "{version:?} {third:?}");
            }
            let bytes = encoded(version, &[once.clone(), once.clone(), once.clone()]);
            for length in 0..bytes.len() {
                let expected = if length < bytes.len() * 2 / 3 { 0 } else { 2 };
                assert_eq!(run_length(&bytes[..length], version), expected, "{length}");
            }
            let mut zero = bytes.clone();
            let at = zero.len() - 4 - usize::from(version.has_properties());
            zero[at..at + 2].fill(0); // [MQTT-2.2.1-3]
            assert_eq!(run_length(&zero, version), 2);
        }
        let expires = Properties::new([crate::property::Property::MessageExpiryInterval(9)]);
        let bytes =
            encoded(V5, &[plain.clone(), plain.clone(), Publish { properties: expires, ..plain.clone() }]);
        assert_eq!(run_length(&bytes, V5), 2);
        // A Remaining Length of more bytes than it needs, and packets that are no PUBLISH, or no good one.
        let wide =
            [encoded(V311, &[plain.clone(), plain.clone()]), b"\x30\x87\x00\x00\x03a/bhi".to_vec()].concat();
        assert_eq!(run_length(&wide, V311), 2);
        for bytes in [&b""[..], b"\xC0\x00\xC0\x00", b"\x40\x02\x00\x01", b"\x30\x00\x30\x00", b"\x36\x00"] {
            assert_eq!(run_length(bytes, V311), 0, "{bytes:?}");
        }
        let short = encoded(V311, &[plain.clone(), plain.clone()]);
        for (input, topic, expected) in [
            (&short[..], "a/b", true),
            (&short[..], "a/c", false),
            (&short[..], "a/", false),
            (&short[..short.len() / 2], "a/b", false),
            (b"\xC0\x00\xC0\x00\x00", "", false),
            (b"\x30\x80", "", false),
        ] {
            assert_eq!(PublishRun::may_begin(input, topic), expected, "{input:?} {topic}");
        }
        let mut places = Vec::new();
        assert!(PublishRun::read(b"\x30\x02\x00\x00\x30\x02\x00\x00", 100, V311, "", &mut places).is_none());
    }
}

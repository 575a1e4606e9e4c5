//! What holds for any packets and any bytes.

mod generate;

use noctule_protocol::frame::next_frame;
use noctule_protocol::packet::Packet;
use noctule_protocol::{DecodeError, ProtocolVersion, TopicFilter, TopicName};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn encode(packets: &[Packet<'_>], version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(version, &mut bytes).expect("generated packets can be written");
    }
    bytes
}

/// Calls `visit` with each packet of a stream that arrives in pieces, and tells what was wrong or how many bytes are left.
fn decode_in_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    version: ProtocolVersion,
    mut visit: impl FnMut(Packet<'_>),
) -> Result<usize, DecodeError> {
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut consumed = 0;
        while let Some((frame, length)) = next_frame(&buffer[consumed..], u32::MAX)? {
            visit(Packet::decode(frame, version)?);
            consumed += length;
        }
        buffer.drain(..consumed);
    }
    Ok(buffer.len())
}

fn packets() -> impl Strategy<Value = (ProtocolVersion, Vec<Packet<'static>>)> {
    generate::version().prop_flat_map(|version| (Just(version), vec(generate::packet(version), 1..6)))
}

/// Cuts `bytes` at each of these places.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.push(0);
    at.push(bytes.len());
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #[test]
    fn decoding_undoes_encoding((version, packets) in packets()) {
        let bytes = encode(&packets, version);
        let mut decoded = 0;
        let left = decode_in_pieces([&bytes[..]], version, |packet| {
            assert_eq!(packet, packets[decoded]);
            assert_eq!(encode(&[packet], version), encode(&packets[decoded..=decoded], version));
            decoded += 1;
        });
        prop_assert_eq!(left, Ok(0));
        prop_assert_eq!(decoded, packets.len());
    }

    #[test]
    fn chunking_is_invisible((version, packets) in packets(), cuts in vec(any::<Index>(), 0..20)) {
        let bytes = encode(&packets, version);
        let mut decoded = 0;
        let left = decode_in_pieces(cut(&bytes, &cuts), version, |packet| {
            assert_eq!(packet, packets[decoded]);
            decoded += 1;
        });
        prop_assert_eq!(left, Ok(0));
        prop_assert_eq!(decoded, packets.len());
        // Byte by byte too.
        let mut decoded = 0;
        let left = decode_in_pieces(bytes.chunks(1), version, |packet| {
            assert_eq!(packet, packets[decoded]);
            decoded += 1;
        });
        prop_assert_eq!(left, Ok(0));
    }

    /// What is accepted by mistake of the sender can be said again, and then means the same.
    #[test]
    fn a_damaged_packet_is_refused_or_a_packet(
        (version, packets) in packets(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&packets, version);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decode_in_pieces([&bytes[..]], version, |packet| {
            let again = encode(std::slice::from_ref(&packet), version);
            let left = decode_in_pieces([&again[..]], version, |decoded| assert_eq!(decoded, packet));
            assert_eq!(left, Ok(0));
        });
    }

    #[test]
    fn a_cut_packet_is_refused_or_waits((version, packets) in packets(), end in any::<Index>()) {
        let bytes = encode(&packets, version);
        let mut decoded = 0;
        let left = decode_in_pieces([&bytes[..end.index(bytes.len())]], version, |_| decoded += 1);
        prop_assert!(left.is_ok());
        prop_assert!(decoded < packets.len());
    }

    #[test]
    fn any_bytes_are_refused_or_packets(bytes in vec(any::<u8>(), 0..200), version in generate::version()) {
        let _ = decode_in_pieces([&bytes[..]], version, |_| ());
    }

    #[test]
    fn a_topic_matches_as_the_standard_says(filter in generate::plain_filter(), topic in generate::topic()) {
        /// Section 4.7 word by word.
        fn matches(filter: &[&str], topic: &[&str]) -> bool {
            match (filter, topic) {
                (["#"], _) => true,
                ([], []) => true,
                (["+", filter @ ..], [_, topic @ ..]) => matches(filter, topic),
                ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && matches(filter, topic),
                _ => false,
            }
        }
        let levels = |text: &'static str| text.split('/').collect::<Vec<_>>();
        let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
        let expected = !hidden && matches(&levels(filter), &levels(topic));
        let filter = TopicFilter::parse(filter).unwrap();
        prop_assert_eq!(filter.matches(TopicName::parse(topic).unwrap()), expected);
    }
}

//! Files made byte by byte from what is known of the formats. What Debian's Mosquitto 2.0 writes is imported in the
//! end-to-end tests; of the others there is no broker to ask.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;

use super::*;
use crate::contents::{CopyState, Direction};

/// A file that begins as one of this format does.
fn file(version: u32) -> Vec<u8> {
    [&SNAPSHOT_MAGIC[..], &[0; 4], &version.to_be_bytes()].concat()
}

fn current_chunk(kind: u32, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    [&kind.to_be_bytes()[..], &(content.len() as u32).to_be_bytes(), &content].concat()
}

fn early_chunk(kind: u16, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    [&kind.to_be_bytes()[..], &(content.len() as u32).to_be_bytes(), &content].concat()
}

fn early_text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn number(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

fn configuration() -> Vec<u8> {
    current_chunk(1, &[&number(99), &[1, 8], &[0; 6]])
}

fn message(id: u64) -> Vec<u8> {
    let fixed: [&[u8]; 5] =
        [&number(id), &number(2_000_000_000), &[0, 0, 0, 2], &[0, 7], &[0, 3, 0, 2, 0, 1, 7, 91]];
    let texts: [&[u8]; 4] = [b"pub", b"jo", b"t", b"hi"];
    let properties: [&[u8]; 1] = [b"\x04\x03\0\x01x"];
    current_chunk(2, &[&fixed.concat(), &[2, 1], &texts.concat(), &properties.concat()])
}

/// A client of format 6, with so many bytes behind its fixed fields.
fn client(tail: usize) -> Vec<u8> {
    let fixed: [&[u8]; 4] = [&number(1_900_000_000), &3600u32.to_be_bytes(), &[0, 5, 0, 1], &[7, 91, 0, 2]];
    current_chunk(6, &[&fixed.concat(), &vec![0; tail], b"c", b"me"])
}

fn copy(state: u8, direction: u8) -> Vec<u8> {
    current_chunk(3, &[&number(1), &[0, 5, 0, 1], &[2, state, 0x10, direction], b"c", b"\x03\x0B\x80\x01"])
}

fn subscription() -> Vec<u8> {
    current_chunk(5, &[&77u32.to_be_bytes(), &[0, 1, 0, 3, 1, 0x0C, 0, 0], b"c", b"a/#"])
}

fn retained() -> Vec<u8> {
    current_chunk(4, &[&number(1)])
}

fn format_6() -> Vec<u8> {
    [file(6), configuration(), message(1), client(4), copy(9, 1), subscription(), retained()].concat()
}

fn left_out(contents: &Contents) -> Vec<(&'static str, u64)> {
    contents.left_out.iter().collect()
}

#[test]
fn format_6_field_by_field() {
    let contents = read(&format_6()[..]).unwrap();
    assert_eq!((contents.format, contents.left_out.total()), (Format::Snapshot(6), 0));
    let [message] = &contents.messages[..] else { panic!("{contents:?}") };
    assert_eq!((message.id, &*message.topic, &message.payload[..]), (1, "t", &b"hi"[..]));
    assert_eq!((message.qos, message.retain, message.expiry_time), (2, true, Some(2_000_000_000)));
    assert_eq!((&*message.publisher, message.publisher_user_name.as_deref()), ("pub", Some("jo")));
    assert_eq!(message.properties, b"\x03\0\x01x");
    let [client] = &contents.clients[..] else { panic!("{contents:?}") };
    assert_eq!((&*client.id, client.user_name.as_deref()), ("c", Some("me")));
    assert_eq!((client.expiry_interval, client.expiry_time), (Some(3600), Some(1_900_000_000)));
    let [copy] = &contents.copies[..] else { panic!("{contents:?}") };
    assert_eq!((copy.direction, copy.state), (Direction::Outgoing, CopyState::Received));
    assert_eq!((copy.packet_id, copy.qos, copy.retain, copy.identifier), (5, 2, true, 128));
    let [subscription] = &contents.subscriptions[..] else { panic!("{contents:?}") };
    assert_eq!((&*subscription.filter, subscription.qos, subscription.identifier), ("a/#", 1, 77));
    assert!(subscription.no_local && subscription.retain_as_published);
    assert_eq!(contents.retained, [1]);
}

#[test]
fn a_client_ends_as_the_machine_aligns_it() {
    let wide = read(&[file(6), client(4)].concat()[..]).unwrap();
    let narrow = read(&[file(6), client(0)].concat()[..]).unwrap();
    assert_eq!(wide.clients, narrow.clients);
    assert!(read(&[file(6), client(2)].concat()[..]).is_err());
}

#[test]
fn format_5_has_no_user_name() {
    let client = current_chunk(6, &[&number(0), &[0xFF; 4], &[0, 5, 0, 1], b"c"]);
    let contents = read(&[file(5), configuration(), message(1), client].concat()[..]).unwrap();
    assert_eq!(contents.messages.len(), 1);
    let [client] = &contents.clients[..] else { panic!("{contents:?}") };
    assert_eq!(
        (client.user_name.as_deref(), client.expiry_interval, client.expiry_time),
        (None, Some(u32::MAX), None)
    );
}

#[test]
fn formats_2_to_4_say_each_text_behind_its_length() {
    for version in 2..=4 {
        let names = match version {
            4 => [early_text("pub"), early_text("jo"), vec![7, 91]].concat(),
            _ => early_text("pub"),
        };
        let message = early_chunk(
            2,
            &[&number(1), &names, &[0, 7, 0, 0], &early_text("t"), &[1, 1, 0, 0, 0, 2], b"hi"],
        );
        let time: &[u8] = if version == 2 { &[] } else { &number(1_600_000_000) };
        let parts = [
            file(version),
            early_chunk(1, &[&[1, 8], &number(99)]),
            message,
            early_chunk(6, &[&early_text("c"), &[0, 5], time]),
            early_chunk(3, &[&early_text("c"), &number(1), &[0, 5, 1, 0, 1, 3, 0]]),
            early_chunk(5, &[&early_text("c"), &early_text("a/#"), &[2]]),
            early_chunk(4, &[&number(1)]),
        ];
        let contents = read(&parts.concat()[..]).unwrap();
        assert_eq!(contents.left_out.total(), 0);
        let user_name = (version == 4).then_some("jo");
        assert_eq!(contents.messages[0].publisher_user_name.as_deref(), user_name);
        assert_eq!((&*contents.messages[0].topic, &contents.messages[0].payload[..]), ("t", &b"hi"[..]));
        let disconnected = (version > 2).then_some(1_600_000_000);
        assert_eq!((&*contents.clients[0].id, contents.clients[0].disconnected), ("c", disconnected));
        assert_eq!((contents.copies[0].state, contents.copies[0].packet_id), (CopyState::Sent, 5));
        assert_eq!((&*contents.subscriptions[0].filter, contents.subscriptions[0].qos), ("a/#", 2));
        assert_eq!(contents.retained, [1]);
    }
}

#[test]
fn what_cannot_be_used_is_counted_and_the_rest_is_kept() {
    let unknown = current_chunk(7, &[b"something new"]);
    let not_utf8 = current_chunk(5, &[&[0; 4], &[0, 1, 0, 1, 1, 0, 0, 0], b"c", b"\xFF"]);
    let nobody = current_chunk(5, &[&[0; 4], &[0, 0, 0, 1, 1, 0, 0, 0], b"t"]);
    let parts = [file(6), unknown, not_utf8, nobody, copy(77, 1), copy(9, 7), retained()];
    let contents = read(&parts.concat()[..]).unwrap();
    assert_eq!(left_out(&contents), [(UNKNOWN_CHUNK, 1), (NO_CLIENT, 1), (UNKNOWN_STATE, 2), (NOT_UTF8, 1)]);
    assert_eq!(contents.retained, [1]);
}

#[test]
fn damage_is_told_with_its_place() {
    let whole = format_6();
    let cut = read(&whole[..whole.len() - 1]).unwrap_err().to_string();
    assert!(cut.contains("cut off"), "{cut}");
    assert!(matches!(read(&b"something else entirely"[..]), Err(Damage::Foreign)));
    assert!(matches!(read(&b"\0\xB5"[..]), Err(Damage::Foreign)));
    assert!(matches!(read(&file(7)[..]), Err(Damage::Version(7))));
    let endless = [file(6), vec![0, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    assert!(matches!(read(&endless[..]), Err(Damage::At { at: 23, .. })));
    let short = [file(6), current_chunk(2, &[b"short"])].concat();
    assert!(matches!(read(&short[..]), Err(Damage::At { at: 23, .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic(version in 0u32..8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&[file(version), bytes].concat()[..]);
    }

    #[test]
    fn no_change_of_a_good_file_panics(at in 15usize..300, byte: u8, cut in 0usize..300) {
        let mut bytes = format_6();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len().saturating_sub(cut % 100));
        let _ = read(&bytes[..]);
    }
}

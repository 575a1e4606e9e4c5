//! The targets of `noctule-protocol`. The crate's own tests run them too, over the seeds.

use std::time::Duration;

use noctule_protocol::connection::{ClientConnection, ClientEvent, ConnectOptions};
use noctule_protocol::frame::{frame_length, next_frame};
use noctule_protocol::packet::{Connack, ConnackCode, Connect, Packet, SubscriptionOptions};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{
    ConnectReturnCode, PacketId, ProtocolVersion, QoS, ReasonCode, Role, SubscriptionFilter,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// A stream is cut into the same frames wherever it is cut into pieces, and no frame exceeds the limit.
pub fn frame(data: &[u8]) {
    let Some((&limit, stream)) = data.split_first() else { return };
    let limit = u32::from(limit) << 4;
    let mut rest = stream;
    while let Ok(Some((frame, length))) = next_frame(rest, limit) {
        assert!(length <= limit as usize && frame.body.len() < length);
        assert_eq!(frame_length(rest), Ok(Some(length)));
        // With one byte less it is no frame yet.
        assert_eq!(next_frame(&rest[..length - 1], limit), Ok(None));
        rest = &rest[length..];
    }
}

/// A packet is refused, or means the same when it is said again.
pub fn packet(data: &[u8]) {
    let Some((&version, mut rest)) = data.split_first() else { return };
    let version = VERSIONS[usize::from(version) % VERSIONS.len()];
    while let Ok(Some((frame, length))) = next_frame(rest, u32::MAX) {
        let _ = Connect::version_of(frame);
        if let Ok(packet) = Packet::decode(frame, version) {
            said_again(&packet, version);
        }
        rest = &rest[length..];
    }
}

fn said_again(packet: &Packet<'_>, version: ProtocolVersion) {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("what was read can be written");
    let (frame, length) = next_frame(&out, u32::MAX).expect("a frame").expect("a whole frame");
    assert_eq!(length, out.len());
    assert_eq!(Packet::decode(frame, version).as_ref(), Ok(packet));
    for role in [Role::Client, Role::Server] {
        let _ = packet.check_sender(role, version);
    }
    match packet {
        Packet::Publish(publish) => {
            assert_eq!(publish.encoded_len(version), Ok(out.len()));
            assert!(publish.properties.forwardable().iter().count() <= publish.properties.iter().count());
        }
        Packet::Subscribe(subscribe) => assert!(subscribe.filters.iter().count() > 0),
        Packet::Unsubscribe(unsubscribe) => assert!(unsubscribe.filters.iter().count() > 0),
        _ => {}
    }
}

/// A client is driven by its caller and by what its server sends. The first byte chooses the client; then each byte
/// below 0xC0 brings that many bytes from the server, each above is something the caller does.
pub fn client_connection(data: &[u8]) {
    let Some((&kind, mut script)) = data.split_first() else { return };
    let version = VERSIONS[usize::from(kind) % VERSIONS.len()];
    let mut now = Duration::ZERO;
    let mut client = ClientConnection::new(options(kind, version), now).expect("plain options");
    let mut given = Vec::new();
    while let Some((&step, rest)) = script.split_first() {
        script = rest;
        now += Duration::from_millis(500);
        match step {
            0..=0xBF => {
                let (bytes, rest) = script.split_at(script.len().min(usize::from(step)));
                script = rest;
                let _ = client.receive(bytes, now);
            }
            0xC0..=0xCF => {
                let _ = client.receive(&connack(version, step), now);
            }
            0xD0..=0xFF => act(&mut client, step, now, &mut given),
        }
        while let Some(event) = client.poll_event() {
            if let ClientEvent::Message { packet_id: Some(id), .. } = event {
                given.push(id);
            }
        }
        check_output(&mut client, version);
    }
}

fn options(kind: u8, version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions {
        clean_start: kind & 0x10 == 0,
        manual_acks: kind & 0x20 != 0,
        keep_alive: 1,
        window: u16::from(kind >> 6),
        topic_alias_maximum: 2,
        maximum_packet_size: 4096,
        properties: Properties::new([
            Property::TopicAliasMaximum(2),
            Property::ReceiveMaximum(3),
            Property::AuthenticationMethod("m"),
        ]),
        ..ConnectOptions::new(version, "fuzz")
    }
}

fn connack(version: ProtocolVersion, step: u8) -> Vec<u8> {
    let code = match version {
        ProtocolVersion::V31 | ProtocolVersion::V311 => ConnackCode::V3(ConnectReturnCode::Accepted),
        ProtocolVersion::V5 => ConnackCode::V5(ReasonCode::Success),
    };
    let mut properties = Properties::EMPTY;
    if step & 2 != 0 {
        properties.push(Property::TopicAliasMaximum(1));
    }
    if step & 4 != 0 {
        properties.push(Property::ReceiveMaximum(1));
    }
    if step & 8 != 0 {
        properties.push(Property::MaximumPacketSize(24));
    }
    let mut out = Vec::new();
    let connack = Connack { session_present: step & 1 != 0, code, properties };
    connack.encode(version, &mut out).expect("a short packet");
    out
}

fn act(client: &mut ClientConnection, step: u8, now: Duration, given: &mut Vec<PacketId>) {
    let none = Properties::EMPTY;
    let filter = SubscriptionFilter::parse("a/#").expect("a filter");
    match step {
        0xD0..=0xDF => {
            let qos = QoS::from_level(step & 3).unwrap_or(QoS::ExactlyOnce);
            let topic = if step & 4 == 0 { "a" } else { "b" };
            let payload = if step & 8 == 0 { &b""[..] } else { b"a payload of some length" };
            let _ = client.publish(topic, payload, qos, false, none);
        }
        0xE0..=0xE3 => drop(client.subscribe([(filter, SubscriptionOptions::default())], none)),
        0xE4..=0xE7 => drop(client.unsubscribe([filter], none)),
        0xE8..=0xEF => client.handle_timeout(now),
        0xF0..=0xF7 => {
            if let Some(id) = given.pop() {
                let _ = client.acknowledge(id, ReasonCode::Success);
            }
        }
        0xF8..=0xFB => drop(client.reconnect(now)),
        0xFC => drop(client.disconnect(ReasonCode::Success, none)),
        0xFD => {
            let properties = Properties::new([Property::AuthenticationMethod("m")]);
            let _ = client.auth(ReasonCode::ContinueAuthentication, properties);
        }
        _ => drop(client.poll_timeout()),
    }
}

/// A client writes whole packets that a client may send.
fn check_output(client: &mut ClientConnection, version: ProtocolVersion) {
    let mut out = Vec::new();
    client.take_output(&mut out);
    let mut rest = &out[..];
    while let Some((frame, length)) = next_frame(rest, u32::MAX).expect("frames") {
        let packet = Packet::decode(frame, version).expect("packets");
        packet.check_sender(Role::Client, version).expect("packets of a client");
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "whole packets");
}

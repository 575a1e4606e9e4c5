//! The client against a server that says what the test tells it to.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_server;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fake_server::{FakeServer, PATIENCE, options};
use noctule_client::protocol::connection::{ClientEvent, ConnectOptions};
use noctule_client::protocol::packet::{
    Connack, ConnackCode, Disconnect, Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec, Pubrel, Suback,
    SubscriptionOptions,
};
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{
    ConnectReturnCode, PacketId, ProtocolVersion, QoS, ReasonCode, SubscriptionFilter,
};
use noctule_client::{Client, Direction, Error, Next};

const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn connect(server: &FakeServer, options: ConnectOptions) -> Client {
    Client::connect(server.endpoint(), options, PATIENCE).unwrap()
}

/// The next event; anything else fails the test.
fn event(client: &mut Client) -> ClientEvent {
    match client.next(Some(Instant::now() + PATIENCE)) {
        Ok(Next::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn connected(client: &mut Client, expected_session_present: bool) {
    match event(client) {
        ClientEvent::Connected { session_present, .. } => {
            assert_eq!(session_present, expected_session_present)
        }
        other => panic!("{other:?}"),
    }
}

fn publish_done(client: &mut Client) -> ReasonCode {
    match event(client) {
        ClientEvent::PublishDone { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn publish(client: &mut Client, topic: &str, payload: &[u8], qos: QoS) {
    client.publish(topic, payload, qos, false, Properties::EMPTY).unwrap();
}

fn goodbye(client: Client) {
    client.disconnect(ReasonCode::Success, Properties::EMPTY).unwrap();
}

#[test]
fn messages_leave_at_each_qos_and_are_done_when_acknowledged() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V311, false);
        let mut id = None;
        for expected in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            peer.read(|packet| match packet {
                Packet::Publish(publish) => {
                    assert_eq!((publish.topic, publish.payload), ("lamp", &b"\xff\x00on"[..]));
                    assert_eq!(publish.qos.qos(), expected);
                    id = publish.qos.packet_id();
                }
                other => panic!("{other:?}"),
            });
            match expected {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => peer.write(Packet::Puback(Puback::new(id.unwrap()))),
                QoS::ExactlyOnce => {
                    peer.write(Packet::Pubrec(Pubrec::new(id.unwrap())));
                    peer.read(|packet| assert_eq!(packet, Packet::Pubrel(Pubrel::new(id.unwrap()))));
                    peer.write(Packet::Pubcomp(Pubcomp::new(id.unwrap())));
                }
            }
        }
        peer.read(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
        peer.expect_end();
    });
    let mut client = connect(&server, options(V311));
    connected(&mut client, false);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publish(&mut client, "lamp", b"\xff\x00on", qos);
        assert_eq!(publish_done(&mut client), ReasonCode::Success);
    }
    goodbye(client);
    server.end();
}

#[test]
fn a_message_arrives_and_is_acknowledged_by_hand() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V5, false);
        let id = peer.read(|packet| match packet {
            Packet::Subscribe(subscribe) => {
                let (filter, options) = subscribe.filters.iter().next().unwrap();
                assert_eq!((filter.as_str(), options.qos), ("lamp/#", QoS::AtLeastOnce));
                subscribe.packet_id
            }
            other => panic!("{other:?}"),
        });
        peer.write(Packet::Suback(Suback {
            packet_id: id,
            properties: Properties::EMPTY,
            codes: (&[1]).into(),
        }));
        peer.write(Packet::Publish(Publish {
            dup: false,
            qos: PublishQoS::AtLeastOnce(PacketId::FIRST),
            retain: true,
            topic: "lamp/kitchen",
            properties: Properties::EMPTY,
            payload: b"on",
        }));
        peer.read(|packet| assert_eq!(packet, Packet::Puback(Puback::new(PacketId::FIRST))));
        peer.read(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
    });
    let mut client = connect(&server, ConnectOptions { manual_acks: true, ..options(V5) });
    let filter = SubscriptionFilter::parse("lamp/#").unwrap();
    client.subscribe([(filter, SubscriptionOptions::new(QoS::AtLeastOnce))], Properties::EMPTY).unwrap();
    connected(&mut client, false);
    assert!(matches!(event(&mut client), ClientEvent::Subscribed { codes, .. } if codes == [1]));
    match event(&mut client) {
        ClientEvent::Message { topic, payload, retain: true, packet_id: Some(id), .. } => {
            assert_eq!((topic.as_str(), payload.as_slice()), ("lamp/kitchen", &b"on"[..]));
            client.acknowledge(id, ReasonCode::Success).unwrap();
        }
        other => panic!("{other:?}"),
    }
    goodbye(client);
    server.end();
}

#[test]
fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V311, false);
        let id = peer.read(|packet| match packet {
            Packet::Publish(publish) if !publish.dup => publish.qos.packet_id().unwrap(),
            other => panic!("{other:?}"),
        });
        drop(peer);
        let mut peer = listener.welcome(V311, true);
        // [MQTT-4.4.0-1]
        peer.read(|packet| match packet {
            Packet::Publish(publish) => {
                assert_eq!((publish.dup, publish.payload), (true, &b"on"[..]));
                assert_eq!(publish.qos, PublishQoS::AtLeastOnce(id));
            }
            other => panic!("{other:?}"),
        });
        peer.write(Packet::Puback(Puback::new(id)));
        peer.read(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
    });
    let mut client = connect(&server, ConnectOptions { clean_start: false, ..options(V311) });
    connected(&mut client, false);
    publish(&mut client, "lamp", b"on", QoS::AtLeastOnce);
    let lost = client.next(Some(Instant::now() + PATIENCE));
    assert!(matches!(lost, Err(Error::ClosedByServer | Error::Lost(_))), "{lost:?}");
    client.reconnect().unwrap();
    connected(&mut client, true);
    assert_eq!(publish_done(&mut client), ReasonCode::Success);
    goodbye(client);
    server.end();
}

#[test]
fn a_refusal_is_an_event_and_then_the_end() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.accept(V311);
        peer.read(|packet| assert!(matches!(packet, Packet::Connect(_)), "{packet:?}"));
        let code = ConnackCode::V3(ConnectReturnCode::NotAuthorised);
        peer.write(Packet::Connack(Connack::new(false, code)));
    });
    let mut client = connect(&server, options(V311));
    match event(&mut client) {
        ClientEvent::Refused { code, .. } => {
            assert_eq!(code, ConnackCode::V3(ConnectReturnCode::NotAuthorised));
        }
        other => panic!("{other:?}"),
    }
    let after = client.next(None);
    assert!(matches!(after, Err(Error::Over | Error::ClosedByServer)), "{after:?}");
    server.end();
}

#[test]
fn a_server_that_closes_while_it_is_written_to_is_still_heard() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V5, false);
        peer.write(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
        // Closing with the client's bytes unread resets the connection.
    });
    let mut client = connect(&server, options(V5));
    connected(&mut client, false);
    server.end();
    publish(&mut client, "lamp", &vec![b'x'; 1 << 20], QoS::AtLeastOnce);
    let reason = loop {
        match event(&mut client) {
            ClientEvent::Disconnected { reason, .. } => break reason,
            other => assert!(matches!(other, ClientEvent::PublishDone { .. }), "{other:?}"),
        }
    };
    assert_eq!(reason, ReasonCode::SessionTakenOver);
    assert!(client.next(None).is_err());
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (done, wait) = mpsc::channel::<()>();
    let server = FakeServer::start(move |listener| {
        let peer = listener.accept(V311);
        let _ = wait.recv();
        drop(peer);
    });
    let patience = Duration::from_millis(50);
    let mut client = Client::connect(server.endpoint(), options(V311), patience).unwrap();
    let error = client.next(None).unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
    drop(done);
    server.end();
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V5, false);
        peer.write(Packet::Pingreq);
        // [MQTT-4.13.1-1]
        let reason = peer.read(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(reason, ReasonCode::ProtocolError);
    });
    let mut client = connect(&server, options(V5));
    connected(&mut client, false);
    let error = client.next(None).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    server.end();
}

#[test]
fn disconnecting_waits_until_a_slow_server_has_everything() {
    const BYTES: usize = 16 << 20;
    let (start_reading, wait) = mpsc::channel::<()>();
    let server = FakeServer::start(move |listener| {
        let mut peer = listener.welcome(V311, false);
        wait.recv().unwrap();
        // Unread by the client when it closes: a careless close would reset the connection.
        peer.write(Packet::Publish(Publish {
            dup: false,
            qos: PublishQoS::AtMostOnce,
            retain: false,
            topic: "late",
            properties: Properties::EMPTY,
            payload: b"",
        }));
        peer.read(|packet| match packet {
            Packet::Publish(publish) => assert_eq!(publish.payload.len(), BYTES),
            other => panic!("{other:?}"),
        });
        peer.read(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
        peer.expect_end(); // [MQTT311-3.14.4-1]
    });
    let mut client = connect(&server, options(V311));
    connected(&mut client, false);
    assert!(client.has_room());
    publish(&mut client, "big", &vec![b'x'; BYTES], QoS::AtMostOnce);
    assert_eq!(publish_done(&mut client), ReasonCode::Success);
    // The server has not read, so most of it is still here.
    let soon = Instant::now() + Duration::from_millis(20);
    while !matches!(client.next(Some(soon)).unwrap(), Next::TimedOut) {}
    assert!(!client.has_room() && !client.is_flushed());
    start_reading.send(()).unwrap();
    goodbye(client);
    server.end();
}

#[test]
fn silence_is_filled_with_pings() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V311, false);
        peer.read(|packet| assert_eq!(packet, Packet::Pingreq)); // [MQTT311-3.1.2-23]
        peer.write(Packet::Pingresp);
        peer.read(|packet| assert_eq!(packet, Packet::Pingreq));
        peer.expect_end();
    });
    let mut client = connect(&server, ConnectOptions { keep_alive: 1, ..options(V311) });
    connected(&mut client, false);
    // The second ping is not answered.
    let reason = match event(&mut client) {
        ClientEvent::Disconnected { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(reason, Some(ReasonCode::KeepAliveTimeout));
    drop(client);
    server.end();
}

#[test]
fn another_thread_wakes_it_and_a_deadline_ends_the_wait() {
    let (done, wait) = mpsc::channel::<()>();
    let server = FakeServer::start(move |listener| {
        let peer = listener.welcome(V311, false);
        let _ = wait.recv();
        drop(peer);
    });
    let mut client = connect(&server, options(V311));
    connected(&mut client, false);
    let waker = client.waker();
    let thread = thread::spawn(move || waker.wake());
    assert!(matches!(client.next(None), Ok(Next::Woken)));
    thread.join().unwrap();
    let deadline = Instant::now() + Duration::from_millis(20);
    assert!(matches!(client.next(Some(deadline)), Ok(Next::TimedOut)));
    assert!(Instant::now() >= deadline);
    drop(done);
    server.end();
}

#[test]
fn a_trace_sees_the_packets_of_both_directions() {
    let server = FakeServer::start(|listener| {
        let mut peer = listener.welcome(V311, false);
        let id = peer.read(|packet| match packet {
            Packet::Publish(publish) => publish.qos.packet_id().unwrap(),
            other => panic!("{other:?}"),
        });
        peer.write(Packet::Puback(Puback::new(id)));
        peer.read(|packet| assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}"));
    });
    let (seen, all_seen) = mpsc::channel();
    let mut client = connect(&server, options(V311));
    client.set_trace(Box::new(move |direction, packet| {
        let arrow = match direction {
            Direction::Sent => ">",
            Direction::Received => "<",
        };
        seen.send(format!("{arrow}{}", packet.packet_type().name())).unwrap();
    }));
    connected(&mut client, false);
    publish(&mut client, "lamp", b"on", QoS::AtLeastOnce);
    publish_done(&mut client);
    goodbye(client);
    let all: Vec<String> = all_seen.iter().collect();
    assert_eq!(all, [">CONNECT", "<CONNACK", ">PUBLISH", "<PUBACK", ">DISCONNECT"]);
    server.end();
}

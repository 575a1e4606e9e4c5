use std::time::Duration;

use super::*;
use crate::frame::next_frame;
use crate::packet::{
    Connack, ConnackCode, Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec, Pubrel, Suback,
    SubscriptionOptions, Unsuback,
};
use crate::property::Property;
use crate::{ConnectReturnCode, ProtocolVersion, SubscriptionFilter};

mod aliases;
mod life;
mod messages;

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// A client whose server is the test.
struct Pair {
    client: ClientConnection,
    version: ProtocolVersion,
    now: Duration,
}

impl Pair {
    fn new(options: ConnectOptions) -> Self {
        let version = options.version;
        let client = ClientConnection::new(options, Duration::ZERO).unwrap();
        Self { client, version, now: Duration::ZERO }
    }

    /// A connection that stands, with CONNECT and CONNACK behind it.
    fn connected(options: ConnectOptions) -> Self {
        let mut pair = Self::new(options);
        pair.accept(false, Properties::EMPTY);
        pair.sent();
        pair.events();
        pair
    }

    fn accept(&mut self, session_present: bool, properties: Properties<'_>) {
        let code = match self.version {
            ProtocolVersion::V5 => ConnackCode::V5(ReasonCode::Success),
            ProtocolVersion::V31 | ProtocolVersion::V311 => ConnackCode::V3(ConnectReturnCode::Accepted),
        };
        self.serve(Packet::Connack(Connack { session_present, code, properties }));
    }

    fn try_serve(&mut self, packet: Packet<'_>) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.client.receive(&bytes, self.now)
    }

    fn serve(&mut self, packet: Packet<'_>) {
        self.try_serve(packet).unwrap();
    }

    fn deliver(&mut self, qos: PublishQoS, payload: &str) {
        let payload = payload.as_bytes();
        let (dup, retain, topic, properties) = (false, false, "t", Properties::EMPTY);
        self.serve(Packet::Publish(Publish { dup, qos, retain, topic, properties, payload }));
    }

    fn publish(&mut self, qos: QoS, payload: &str) -> Token {
        self.client.publish("t", payload.as_bytes(), qos, false, Properties::EMPTY).unwrap()
    }

    /// What the client has written, a word or two for each packet: "p1 a" is PUBLISH 1 with payload a, "p1! a" with DUP.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        self.client.take_output(&mut bytes);
        let mut rest = &bytes[..];
        let mut sent = Vec::new();
        while let Some((frame, length)) = next_frame(rest, u32::MAX).unwrap() {
            let packet = Packet::decode(frame, self.version).unwrap();
            packet.check_sender(crate::Role::Client, self.version).unwrap();
            sent.push(word(&packet));
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        sent
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Payloads of the messages that have arrived.
    fn messages(&mut self) -> Vec<String> {
        let payloads = self.events().into_iter().filter_map(|event| match event {
            ClientEvent::Message { payload, .. } => Some(String::from_utf8(payload).unwrap()),
            _ => None,
        });
        payloads.collect()
    }

    /// Tokens of the publishes that have ended, with their reasons.
    fn done(&mut self) -> Vec<(Token, ReasonCode)> {
        let done = self.events().into_iter().filter_map(|event| match event {
            ClientEvent::PublishDone { token, reason, .. } => Some((token, reason)),
            _ => None,
        });
        done.collect()
    }
}

fn word(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            let id = publish.qos.packet_id().map_or(0, PacketId::get);
            let dup = if publish.dup { "!" } else { "" };
            format!("p{id}{dup} {}", String::from_utf8_lossy(publish.payload))
        }
        Packet::Puback(ack) => format!("puback{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubrec(ack) => format!("pubrec{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubrel(ack) => format!("pubrel{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Pubcomp(ack) => format!("pubcomp{} {}", ack.packet_id.get(), ack.reason.code()),
        Packet::Subscribe(request) => format!("sub{}", request.packet_id.get()),
        Packet::Unsubscribe(request) => format!("unsub{}", request.packet_id.get()),
        Packet::Disconnect(disconnect) => format!("disconnect {}", disconnect.reason.code()),
        Packet::Connect(_)
        | Packet::Connack(_)
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Pingreq
        | Packet::Pingresp
        | Packet::Auth(_) => packet.packet_type().name().to_owned(),
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn options(version: ProtocolVersion) -> ConnectOptions {
    ConnectOptions::new(version, "c")
}

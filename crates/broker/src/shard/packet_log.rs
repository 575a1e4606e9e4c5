//! Debug lines of packets, in Mosquitto's words. Whoever calls asks first whether such lines are wanted.

use std::sync::Arc;

use noctule_protocol::frame::{Frame, PacketType, next_frame};
use noctule_protocol::packet::{Connect, Publish, PublishQoS, acknowledgement};
use noctule_protocol::{PacketId, ProtocolVersion, SubscriptionFilter};

use super::{Shard, Turn};
use crate::effect::{LogLevel, LogSubject};
use crate::input::ConnectionKey;
use crate::session::Session;

/// What is said of a PUBLISH.
#[derive(Clone, Copy)]
pub(super) struct PublishLine<'a> {
    pub(super) dup: bool,
    pub(super) qos: PublishQoS,
    pub(super) retain: bool,
    pub(super) topic: &'a str,
    pub(super) payload_bytes: usize,
}

impl<'a> PublishLine<'a> {
    /// Of one from a client, whose topic may have come as an alias.
    pub(super) fn of(publish: &Publish<'_>, topic: &'a str) -> Self {
        let &Publish { dup, qos, retain, payload, .. } = publish;
        Self { dup, qos, retain, topic, payload_bytes: payload.len() }
    }
}

impl Shard {
    /// Whether packets are logged: then they are taken, and answered, one by one.
    #[inline]
    pub(super) fn logs_packets(&self) -> bool {
        self.settings.log_levels.contains(LogLevel::Debug)
    }

    /// A packet came that is no PUBLISH.
    #[cold]
    pub(super) fn log_received(
        &self,
        slot: u32,
        version: ProtocolVersion,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) {
        let (Ok(kind), Some(session)) = (frame.packet_type(), self.session(slot)) else { return };
        let what = match kind {
            PacketType::Puback | PacketType::Pubcomp | PacketType::Pubrec | PacketType::Pubrel => {
                // What is malformed is told of when the connection ends.
                let Ok((packet_id, reason)) = acknowledgement(frame, version) else { return };
                let packet_id = packet_id.get();
                if matches!(kind, PacketType::Puback | PacketType::Pubcomp) {
                    format!(" (Mid: {packet_id}, RC:{})", reason.code())
                } else {
                    format!(" (Mid: {packet_id})")
                }
            }
            PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::Pingreq
            | PacketType::Disconnect => String::new(),
            // Of these there is a line elsewhere, or no client may send them.
            PacketType::Publish
            | PacketType::Connect
            | PacketType::Connack
            | PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingresp
            | PacketType::Auth => return,
        };
        let client_id = session.publisher.client_id.escape_debug();
        let line = format!("Received {} from {client_id}{what}", kind.name());
        self.log_about(LogLevel::Debug, turn, || (subject(session), line));
    }

    /// A packet goes out that is no PUBLISH.
    #[cold]
    pub(super) fn log_sending(&self, key: ConnectionKey, packet: &[u8], turn: &mut Turn<'_>) {
        let Some(connection) = self.connection(key) else { return };
        let Ok(Some((frame, _))) = next_frame(packet, u32::MAX) else { return };
        let Ok(kind) = frame.packet_type() else { return };
        let byte = |at: usize| frame.body.get(at).copied().unwrap_or(0);
        let packet_id = u16::from_be_bytes([byte(0), byte(1)]);
        let what = match kind {
            PacketType::Connack => format!(" ({}, {})", byte(0), byte(1)),
            PacketType::Puback | PacketType::Pubrec => format!(" (m{packet_id}, rc{})", byte(2)),
            PacketType::Pubrel | PacketType::Pubcomp => format!(" (m{packet_id})"),
            PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingresp
            | PacketType::Connect
            | PacketType::Publish
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::Pingreq
            | PacketType::Disconnect
            | PacketType::Auth => String::new(),
        };
        let session = connection.slot().and_then(|slot| self.session(slot));
        let to = match session {
            Some(session) => session.publisher.client_id.escape_debug().to_string(),
            None => {
                connection.peer.address().map_or_else(|| "local".to_owned(), |peer| peer.ip().to_string())
            }
        };
        let line = format!("Sending {} to {to}{what}", kind.name());
        let subject =
            LogSubject { address: connection.peer.address(), ..session.map(subject).unwrap_or_default() };
        self.log_about(LogLevel::Debug, turn, || (subject, line));
    }

    /// A PUBLISH came, goes out, or is denied: `what` says so.
    #[cold]
    pub(super) fn log_publish(&self, what: &str, slot: u32, line: PublishLine<'_>, turn: &mut Turn<'_>) {
        let Some(session) = self.session(slot) else { return };
        let PublishLine { dup, qos, retain, topic, payload_bytes } = line;
        let client_id = session.publisher.client_id.escape_debug();
        self.log_about(LogLevel::Debug, turn, || {
            let line = format!(
                "{what} {client_id} (d{}, q{}, r{}, m{}, '{}', ... ({payload_bytes} bytes))",
                u8::from(dup),
                qos.qos().level(),
                u8::from(retain),
                qos.packet_id().map_or(0, PacketId::get),
                topic.escape_debug(),
            );
            (subject(session), line)
        });
    }

    /// What an accepted CONNECT says about a Will.
    #[cold]
    pub(super) fn log_will(&self, connect: &Connect<'_>, turn: &mut Turn<'_>) {
        let Some(will) = &connect.will else {
            return self.log(LogLevel::Debug, turn, || "No will message specified.".to_owned());
        };
        let (bytes, retain, qos) = (will.payload.len(), u8::from(will.retain), will.qos.level());
        self.log(LogLevel::Debug, turn, || {
            format!("Will message specified ({bytes} bytes) (r{retain}, q{qos}).")
        });
        self.log(LogLevel::Debug, turn, || format!("\t{}", will.topic.as_str().escape_debug()));
    }

    /// One filter of a SUBSCRIBE, as it was asked for and as it was granted.
    pub(super) fn log_subscription(
        &self,
        slot: u32,
        filter: SubscriptionFilter<'_>,
        (asked, granted): (u8, u8),
        turn: &mut Turn<'_>,
    ) {
        let filter = filter.as_str().escape_debug();
        self.log(LogLevel::Debug, turn, || format!("\t{filter} (QoS {asked})"));
        if let Some(session) = self.session(slot) {
            let id = session.publisher.client_id.escape_debug();
            self.log_about(LogLevel::Subscribe, turn, || {
                (subject(session), format!("{id} {granted} {filter}"))
            });
        }
    }

    /// One filter of an UNSUBSCRIBE.
    pub(super) fn log_unsubscription(&self, slot: u32, filter: SubscriptionFilter<'_>, turn: &mut Turn<'_>) {
        let filter = filter.as_str().escape_debug();
        self.log(LogLevel::Debug, turn, || format!("\t{filter}"));
        if let Some(session) = self.session(slot) {
            let id = session.publisher.client_id.escape_debug();
            self.log_about(LogLevel::Unsubscribe, turn, || (subject(session), format!("{id} {filter}")));
        }
    }
}

fn subject(session: &Session) -> LogSubject {
    LogSubject { client: Some(Arc::clone(&session.publisher.client_id)), ..LogSubject::default() }
}

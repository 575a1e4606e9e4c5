//! One connection of a client: bytes to packets and back, time-outs, and what the broker may do on it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use noctule_protocol::connection::{IncomingAliases, OutgoingAliases};
use noctule_protocol::frame::{PacketType, next_frame};
use noctule_protocol::packet::Packet;
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, QoS, Role};

use super::Client;
use super::connect::Terms;
use super::delivery::Ack;
use super::subscribe::Request;
use crate::context::Context;
use crate::network::{End, Found, LinkNumber};
use crate::plan::ClientPlan;
use crate::sabotage::Sabotage;

/// How long a client waits for CONNACK, or for an answer to PINGREQ.
const PATIENCE: Duration = Duration::from_secs(8);

/// Bytes above which a client publishes nothing new.
const OUTPUT_BYTES_MAX: usize = 5000;

/// What lives as long as a link.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: LinkNumber,
    pub(super) terms: Terms,
    pub(super) will: Option<usize>,
    opened_at: Duration,
    is_online: bool,
    /// It sends without waiting for CONNACK.
    hurries: bool,
    /// Bytes received that are no whole packet yet.
    buffer: Vec<u8>,
    /// Bytes the link has no room for yet.
    output: Vec<u8>,
    /// It does not read before.
    pub(super) stalled_until: Option<Duration>,
    last_heard: Duration,
    last_sent: Duration,
    pinged_at: Option<Duration>,
    server_keep_alive: Option<u16>,
    pub(super) incoming_aliases: IncomingAliases,
    pub(super) outgoing_aliases: OutgoingAliases,
    /// Acknowledgements to be sent, in order.
    pub(super) acks: VecDeque<(Duration, Ack)>,
    /// QoS 1 and 2 messages received here and not finished.
    pub(super) in_flight: BTreeMap<u16, QoS>,
    /// What the broker has to answer, in order.
    pub(super) awaits_puback: VecDeque<PacketId>,
    pub(super) awaits_pubrec: VecDeque<PacketId>,
    pub(super) awaits_pubcomp: VecDeque<PacketId>,
    pub(super) awaits_pubrel: VecDeque<PacketId>,
    pub(super) requests: VecDeque<Request>,
}

impl Connection {
    pub(super) fn new(link: LinkNumber, terms: Terms, now: Duration) -> Self {
        Self {
            link,
            terms,
            will: None,
            opened_at: now,
            is_online: false,
            hurries: false,
            buffer: Vec::new(),
            output: Vec::new(),
            stalled_until: None,
            last_heard: now,
            last_sent: now,
            pinged_at: None,
            server_keep_alive: None,
            incoming_aliases: IncomingAliases::new(0),
            outgoing_aliases: OutgoingAliases::new(0),
            acks: VecDeque::new(),
            in_flight: BTreeMap::new(),
            awaits_puback: VecDeque::new(),
            awaits_pubrec: VecDeque::new(),
            awaits_pubcomp: VecDeque::new(),
            awaits_pubrel: VecDeque::new(),
            requests: VecDeque::new(),
        }
    }

    /// CONNACK came.
    pub(super) fn welcome(&mut self, properties: &Properties<'_>, now: Duration) {
        self.is_online = true;
        self.last_heard = now;
        self.server_keep_alive = properties.server_keep_alive();
        self.outgoing_aliases = OutgoingAliases::new(properties.topic_alias_maximum().unwrap_or(0));
    }

    /// Whether CONNACK came.
    pub(super) fn is_online(&self) -> bool {
        self.is_online
    }

    /// It sends on behind its CONNECT.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Whether it sent on behind its CONNECT.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurries
    }

    /// Whether it may send.
    pub(super) fn may_send(&self) -> bool {
        self.is_online || self.hurries
    }

    /// Whether so much waits to be written that nothing should be added.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() > OUTPUT_BYTES_MAX
    }

    /// Whether the link took everything.
    pub(super) fn has_written_all(&self) -> bool {
        self.output.is_empty()
    }

    fn keep_alive(&self, plan: &ClientPlan) -> Option<Duration> {
        let seconds = self.server_keep_alive.unwrap_or(plan.keep_alive);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// When something is due.
    pub(super) fn wakes_at(&self, plan: &ClientPlan) -> Option<Duration> {
        let ack = self.acks.front().map(|(at, _)| *at);
        let asked_at = if self.is_online { self.pinged_at } else { Some(self.opened_at) };
        let patience = asked_at.map(|at| at + PATIENCE);
        let keep_alive = self.keep_alive(plan).filter(|_| self.is_online);
        let ping = keep_alive.map(|keep_alive| self.last_sent + keep_alive * 7 / 10);
        [ack, patience, ping, self.stalled_until].into_iter().flatten().min()
    }
}

impl Client {
    /// Puts a packet behind all others.
    pub(super) fn send(&mut self, packet: &Packet<'_>, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        connection.last_sent = context.now;
        let number = self.number;
        if let Err(error) = packet.encode(self.plan.version, &mut connection.output) {
            return context.violation("simulation", format!("client {number} cannot encode: {error}"));
        }
        context.trace(|| format!("client {number} -> {}", describe(packet)));
    }

    /// Writes what the link takes.
    pub(super) fn flush(&mut self, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        if !connection.output.is_empty() {
            let written = context.write_link(connection.link, End::Client, &connection.output);
            connection.output.drain(..written);
            // A full link is drained without anything else to see.
            context.progress += u64::from(written > 0 && !connection.output.is_empty());
        }
    }

    /// Sends PINGREQ in time, and gives up when nothing comes.
    pub(super) fn keep_alive(&mut self, context: &mut Context) {
        let now = context.now;
        let Some(connection) = &mut self.connection else { return };
        if connection.stalled_until.is_some_and(|until| until <= now) {
            connection.stalled_until = None;
        }
        if !connection.is_online {
            if now >= connection.opened_at + PATIENCE {
                self.abandon("no CONNACK", context);
            }
            return;
        }
        if let Some(at) = connection.pinged_at {
            if connection.stalled_until.is_some() {
                // What came is not read yet.
                connection.pinged_at = Some(now);
            } else if now >= at + PATIENCE {
                return self.abandon("no PINGRESP", context);
            }
        }
        let Some(connection) = &mut self.connection else { return };
        let Some(keep_alive) = connection.keep_alive(&self.plan) else { return };
        if now >= connection.last_sent + keep_alive * 7 / 10 {
            connection.pinged_at.get_or_insert(now);
            self.send(&Packet::Pingreq, context);
        }
    }

    /// Drops the connection without a word.
    pub(super) fn abandon(&mut self, why: &str, context: &mut Context) {
        if let Some(connection) = &self.connection {
            context.close_link(connection.link);
            self.ended(why, context);
        }
    }

    /// Takes in what came, unless it stalls.
    pub(super) fn read(&mut self, context: &mut Context) {
        while let Some(connection) = &mut self.connection {
            if connection.stalled_until.is_some_and(|until| until > context.now) {
                return;
            }
            let link = connection.link;
            match context.look(link, End::Client) {
                Found::Nothing => return,
                Found::Bytes => {
                    let most = context.random.between(1..=4096);
                    let bytes = context.read_link(link, End::Client, most);
                    connection.buffer.extend_from_slice(&bytes);
                    connection.last_heard = context.now;
                    self.frames(context);
                }
                Found::End => return self.abandon("closed by the broker", context),
                Found::Reset => return self.ended("reset", context),
            }
        }
    }

    fn frames(&mut self, context: &mut Context) {
        while let Some(connection) = &mut self.connection {
            let announced = self.plan.maximum_packet_size.filter(|_| self.plan.version.has_properties());
            let limit = match (announced, context.plan.sabotage) {
                (Some(limit), Some(Sabotage::StingyPacketSize)) => limit * 3 / 4,
                (limit, _) => limit.unwrap_or(u32::MAX),
            };
            let length = match next_frame(&connection.buffer, limit) {
                Ok(None) => return,
                Ok(Some((_, length))) => length,
                Err(error) => {
                    let check = match error.reason {
                        noctule_protocol::ReasonCode::PacketTooLarge => "maximum packet size",
                        _ => "protocol",
                    };
                    context.violation(check, format!("client {}: {error}", self.number));
                    return self.abandon("broken stream", context);
                }
            };
            let mut frames = vec![connection.buffer.drain(..length).collect::<Vec<u8>>()];
            if let Some(second) = swapped(&mut connection.buffer, &frames[0], context) {
                frames.insert(0, second);
            }
            for mut bytes in frames {
                if bytes[0] >> 4 == PacketType::Publish as u8
                    && context.plan.sabotage == Some(Sabotage::FlipByte)
                    && context.random.percent(5)
                    && let Some(last) = bytes.last_mut()
                {
                    *last ^= 1;
                }
                self.frame(&bytes, context);
            }
        }
    }

    /// Looks into one whole packet.
    pub(super) fn frame(&mut self, bytes: &[u8], context: &mut Context) {
        let version = self.plan.version;
        let Ok(Some((frame, _))) = next_frame(bytes, u32::MAX) else { return };
        let packet = Packet::decode(frame, version)
            .and_then(|packet| packet.check_sender(Role::Server, version).map(|()| packet));
        let number = self.number;
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => {
                let what = format!("client {number}: {error}: {bytes:02x?}");
                return context.violation("protocol", what);
            }
        };
        context.trace(|| format!("client {number} <- {}", describe(&packet)));
        let is_online = self.connection.as_ref().is_some_and(|connection| connection.is_online);
        if !is_online && !matches!(packet, Packet::Connack(_)) {
            // [MQTT-3.2.0-1]
            let what = format!("client {number}: {} before CONNACK", packet.packet_type().name());
            return context.violation("protocol", what);
        }
        match &packet {
            Packet::Connack(connack) => self.on_connack(connack, context),
            Packet::Publish(publish) => self.on_publish(publish, bytes, context),
            Packet::Puback(puback) => self.on_puback(puback, context),
            Packet::Pubrec(pubrec) => self.on_pubrec(pubrec, context),
            Packet::Pubrel(pubrel) => self.on_pubrel(pubrel.packet_id, context),
            Packet::Pubcomp(pubcomp) => self.on_pubcomp(pubcomp, context),
            Packet::Suback(suback) => self.on_suback(suback, context),
            Packet::Unsuback(unsuback) => self.on_unsuback(unsuback, context),
            Packet::Pingresp => {
                if let Some(connection) = &mut self.connection {
                    connection.pinged_at = None;
                }
            }
            Packet::Disconnect(_) => {}
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Pingreq
            | Packet::Auth(_) => {
                let what = format!("client {number}: {}", packet.packet_type().name());
                context.violation("protocol", what);
            }
        }
    }
}

/// The packet behind `first`, if the two are to change places (a defect on purpose).
fn swapped(buffer: &mut Vec<u8>, first: &[u8], context: &mut Context) -> Option<Vec<u8>> {
    let wanted = match context.plan.sabotage? {
        Sabotage::SwapPublishes => PacketType::Publish,
        Sabotage::SwapPubacks => PacketType::Puback,
        _ => return None,
    };
    let (second, length) = next_frame(buffer, u32::MAX).ok()??;
    if first[0] >> 4 != wanted as u8 || second.packet_type() != Ok(wanted) {
        return None;
    }
    Some(buffer.drain(..length).collect())
}

/// A packet on one line, its payload cut to the number in front.
fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => {
            let number: String =
                publish.payload.iter().take_while(|byte| **byte != b':').map(|&byte| byte as char).collect();
            format!(
                "PUBLISH {:?} dup {} retain {} topic {:?} message {number} ({} bytes){}",
                publish.qos,
                u8::from(publish.dup),
                u8::from(publish.retain),
                publish.topic,
                publish.payload.len(),
                properties(&publish.properties)
            )
        }
        Packet::Puback(puback) => format!("PUBACK {} {:?}", puback.packet_id.get(), puback.reason),
        Packet::Pubrec(pubrec) => format!("PUBREC {} {:?}", pubrec.packet_id.get(), pubrec.reason),
        Packet::Pubrel(pubrel) => format!("PUBREL {} {:?}", pubrel.packet_id.get(), pubrel.reason),
        Packet::Pubcomp(pubcomp) => format!("PUBCOMP {} {:?}", pubcomp.packet_id.get(), pubcomp.reason),
        Packet::Suback(suback) => format!("SUBACK {} {:?}", suback.packet_id.get(), suback.codes),
        Packet::Unsuback(unsuback) => format!("UNSUBACK {} {:?}", unsuback.packet_id.get(), unsuback.codes),
        Packet::Connack(connack) => format!(
            "CONNACK session present {} {:?}{}",
            connack.session_present,
            connack.code,
            properties(&connack.properties)
        ),
        Packet::Connect(connect) => format!(
            "CONNECT {:?} clean {} keep alive {} will {}{}",
            connect.version,
            connect.clean_start,
            connect.keep_alive,
            connect.will.as_ref().map_or("none", |will| will.topic.as_str()),
            properties(&connect.properties)
        ),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|(filter, options)| (filter.as_str(), options)).collect();
            format!(
                "SUBSCRIBE {} {filters:?}{}",
                subscribe.packet_id.get(),
                properties(&subscribe.properties)
            )
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters.iter().map(|filter| filter.as_str()).collect();
            format!("UNSUBSCRIBE {} {filters:?}", unsubscribe.packet_id.get())
        }
        Packet::Pingreq => "PINGREQ".to_owned(),
        Packet::Pingresp => "PINGRESP".to_owned(),
        Packet::Disconnect(disconnect) => {
            format!("DISCONNECT {:?}{}", disconnect.reason, properties(&disconnect.properties))
        }
        Packet::Auth(auth) => format!("AUTH {:?}", auth.reason),
    }
}

fn properties(properties: &Properties<'_>) -> String {
    properties.iter().map(|property| format!(" {property:?}")).collect()
}

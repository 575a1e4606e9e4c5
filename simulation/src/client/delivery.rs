//! What a client is sent, and how it acknowledges that.

use std::time::Duration;

use noctule_protocol::packet::{Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec};
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, ProtocolVersion, QoS, ReasonCode};

use super::Client;
use crate::context::Context;
use crate::facts::{Content, Published, Received};
use crate::sabotage::Sabotage;

/// An acknowledgement that is due at some time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ack {
    Puback(PacketId),
    Pubrec(PacketId),
    /// Whether the exchange was known.
    Pubcomp(PacketId, bool),
}

impl Client {
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>, bytes: &[u8], context: &mut Context) {
        let number = self.number;
        let Some(connection) = &mut self.connection else { return };
        let alias = publish.properties.topic_alias();
        let topic = match (self.plan.version, alias) {
            (ProtocolVersion::V5, _) => connection.incoming_aliases.resolve(publish.topic, alias),
            (ProtocolVersion::V31 | ProtocolVersion::V311, _) => Ok(publish.topic),
        };
        let topic = match topic {
            Ok(topic) => topic.to_owned(),
            Err(error) => return context.violation("protocol", format!("client {number}: {error}")),
        };
        let content = self.recognize(&topic, publish, context);
        if let Some(packet_id) = publish.qos.packet_id() {
            self.count_in_flight(packet_id, publish.qos.qos(), context);
        }
        let is_sabotaged = context.plan.sabotage == Some(Sabotage::SwallowPublish);
        match publish.qos {
            PublishQoS::AtMostOnce => self.receive(content, publish, context),
            PublishQoS::AtLeastOnce(packet_id) => {
                if !(is_sabotaged && context.random.percent(10)) {
                    self.receive(content, publish, context);
                }
                self.acknowledge(Ack::Puback(packet_id), context);
            }
            PublishQoS::ExactlyOnce(packet_id) => {
                match self.incoming.get(&packet_id.get()) {
                    None => {
                        self.incoming.insert(packet_id.get(), content);
                        self.receive(content, publish, context);
                    }
                    Some(&held) if held == content && publish.dup => {}
                    Some(held) => {
                        // [MQTT-3.3.1-1] [MQTT-2.2.1-4]
                        let what = format!(
                            "client {number}: {content:?} under identifier {} of {held:?}, DUP {}",
                            packet_id.get(),
                            publish.dup
                        );
                        context.violation("protocol", what);
                    }
                }
                if context.plan.sabotage == Some(Sabotage::RepeatPublish) && context.random.percent(20) {
                    self.repeats.insert(packet_id.get(), bytes.to_vec());
                }
                self.acknowledge(Ack::Pubrec(packet_id), context);
            }
        }
    }

    /// Which message it is, and whether it is as it was.
    fn recognize(&self, topic: &str, publish: &Publish<'_>, context: &mut Context) -> Content {
        let client = self.number;
        if publish.payload.is_empty() {
            return Content::Nothing;
        }
        let text = publish.payload.split(|byte| *byte == b':').next().unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let is_as_sent = |sent_topic: &str, payload: &[u8]| topic == sent_topic && publish.payload == payload;
        let content = match text.strip_prefix('w') {
            Some(number) => number.parse().ok().and_then(|number: usize| {
                let will = context.facts.wills.get(number)?;
                is_as_sent(&will.topic, format!("w{number}:").as_bytes()).then_some(Content::Will(number))
            }),
            None => text.parse().ok().and_then(|number: usize| {
                let message = context.facts.published.get(number)?;
                let payload = Published::payload(number, message.payload_bytes);
                let expiry = publish.properties.message_expiry_interval();
                let expires_in_time = self.plan.version != ProtocolVersion::V5
                    || match (message.expiry, expiry) {
                        (None, None) => true,
                        (Some(sent), Some(left)) => left <= sent, // [MQTT-3.3.2-6]
                        (None, Some(_)) | (Some(_), None) => false,
                    };
                (is_as_sent(message.topic, &payload) && expires_in_time).then_some(Content::Message(number))
            }),
        };
        content.unwrap_or_else(|| {
            let what = format!("client {client}: nobody published {topic:?} with this payload ({text}...)");
            context.violation("content", what);
            Content::Nothing
        })
    }

    /// [MQTT-3.3.4-9]
    fn count_in_flight(&mut self, packet_id: PacketId, qos: QoS, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        if connection.in_flight.insert(packet_id.get(), qos).is_some() {
            let what = format!(
                "client {}: identifier {} is in use on this connection",
                self.number,
                packet_id.get()
            );
            context.violation("protocol", what);
        }
        let ours = usize::from(self.plan.announced_receive_maximum());
        let theirs = match context.plan.settings.max_inflight_messages {
            0 => usize::from(u16::MAX),
            limit => usize::from(limit),
        };
        let mut limit = ours.min(theirs);
        if context.plan.sabotage == Some(Sabotage::StingyWindow) {
            limit -= 1;
        }
        if connection.in_flight.len() > limit {
            let what = format!(
                "client {}: {} messages in flight, {limit} is the limit",
                self.number,
                connection.in_flight.len()
            );
            context.violation("receive maximum", what);
        }
    }

    fn receive(&mut self, content: Content, publish: &Publish<'_>, context: &mut Context) {
        context.progress += 1;
        context.facts.received.push(Received {
            client: self.number,
            incarnation: self.incarnation.unwrap_or_default(),
            content,
            qos: publish.qos.qos(),
            retain: publish.retain,
            identifiers: publish.properties.subscription_identifiers().collect(),
            at: context.now,
        });
    }

    pub(super) fn on_pubrel(&mut self, packet_id: PacketId, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        if let Some(place) = connection.awaits_pubrel.iter().position(|id| *id == packet_id) {
            connection.awaits_pubrel.remove(place);
            if place > 0 {
                // [MQTT-4.6.0-4]
                let what = format!("client {}: PUBREL {} out of order", self.number, packet_id.get());
                context.violation("protocol", what);
            }
        }
        let known = self.incoming.remove(&packet_id.get()).is_some();
        self.acknowledge(Ack::Pubcomp(packet_id, known), context);
        if known && let Some(bytes) = self.repeats.remove(&packet_id.get()) {
            if let Some(connection) = &mut self.connection {
                connection.in_flight.remove(&packet_id.get());
            }
            self.frame(&bytes, context);
        }
    }

    /// Plans an acknowledgement, behind all before it [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    fn acknowledge(&mut self, ack: Ack, context: &mut Context) {
        let delay = context.random.time(Duration::ZERO..=self.plan.ack_delay_max);
        let Some(connection) = &mut self.connection else { return };
        let after = connection.acks.back().map_or(context.now, |(at, _)| *at);
        connection.acks.push_back((after.max(context.now + delay), ack));
    }

    pub(super) fn acknowledge_due(&mut self, context: &mut Context) {
        while let Some(connection) = &mut self.connection {
            let now = context.now;
            let Some((_, ack)) = connection.acks.pop_front_if(|(at, _)| *at <= now) else { return };
            match ack {
                Ack::Puback(packet_id) => {
                    connection.in_flight.remove(&packet_id.get());
                    self.send(&Packet::Puback(Puback::new(packet_id)), context);
                }
                Ack::Pubrec(packet_id) => {
                    connection.awaits_pubrel.push_back(packet_id);
                    self.send(&Packet::Pubrec(Pubrec::new(packet_id)), context);
                }
                Ack::Pubcomp(packet_id, known) => {
                    connection.in_flight.remove(&packet_id.get());
                    let reason =
                        if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                    let pubcomp = Pubcomp { packet_id, reason, properties: Properties::EMPTY };
                    self.send(&Packet::Pubcomp(pubcomp), context);
                }
            }
        }
    }
}

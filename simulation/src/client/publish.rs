//! What a client publishes, and how that is acknowledged.

use std::collections::VecDeque;

use noctule_protocol::connection::AliasUse;
use noctule_protocol::delivery::PubrecOutcome;
use noctule_protocol::packet::{Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec, Pubrel};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{PacketId, ProtocolVersion, ReasonCode};

use super::Client;
use crate::context::Context;
use crate::facts::{MessageNumber, Published};
use crate::rights;

impl Client {
    /// Sends what waits, as the window allows.
    pub(super) fn pump(&mut self, context: &mut Context) {
        if !self.connection.as_ref().is_some_and(|connection| connection.may_send()) {
            return;
        }
        self.resend(context);
        while self.outgoing.has_room() {
            let Some(number) = self.waiting.pop_front() else { return };
            let qos = context.facts.published[number].qos;
            let Some(packet_id) = self.outgoing.begin(qos, number) else { return };
            self.send_publish(number, Some(packet_id), false, context);
        }
    }

    pub(super) fn send_publish(
        &mut self,
        number: MessageNumber,
        packet_id: Option<PacketId>,
        dup: bool,
        context: &mut Context,
    ) {
        let now = context.now;
        let message = &mut context.facts.published[number];
        message.first_sent.get_or_insert(now);
        let message = message.clone();
        let Some(connection) = &mut self.connection else { return };
        let Some(qos) = PublishQoS::new(message.qos, packet_id) else { return };
        match qos {
            PublishQoS::AtMostOnce => {}
            PublishQoS::AtLeastOnce(packet_id) => connection.awaits_puback.push_back(packet_id),
            PublishQoS::ExactlyOnce(packet_id) => connection.awaits_pubrec.push_back(packet_id),
        }
        let mut topic = message.topic;
        let mut properties = Properties::EMPTY;
        if self.plan.version == ProtocolVersion::V5 {
            if let Some(seconds) = message.expiry {
                properties.push(Property::MessageExpiryInterval(seconds));
            }
            if self.plan.uses_aliases {
                match connection.outgoing_aliases.assign(topic) {
                    AliasUse::None => {}
                    AliasUse::New(alias) => properties.push(Property::TopicAlias(alias)),
                    AliasUse::Known(alias) => {
                        topic = "";
                        properties.push(Property::TopicAlias(alias));
                    }
                }
            }
        }
        let payload = match message.payload_bytes {
            0 => Vec::new(),
            bytes => Published::payload(number, bytes),
        };
        let publish = Publish { dup, qos, retain: message.retain, topic, properties, payload: &payload };
        self.send(&Packet::Publish(publish), context);
    }

    pub(super) fn send_pubrel(&mut self, packet_id: PacketId, context: &mut Context) {
        if let Some(connection) = &mut self.connection {
            connection.awaits_pubcomp.push_back(packet_id);
        }
        self.send(&Packet::Pubrel(Pubrel::new(packet_id)), context);
    }

    pub(super) fn on_puback(&mut self, puback: &Puback<'_>, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        let in_order = in_order(&mut connection.awaits_puback, puback.packet_id);
        match self.outgoing.puback(puback.packet_id) {
            Ok(Some(number)) if in_order && is_right(puback.reason, self.plan.version, number, context) => {
                self.told(puback.reason, number, context);
            }
            // [MQTT-4.6.0-2]
            _ => self.complain(puback, context),
        }
    }

    pub(super) fn on_pubrec(&mut self, pubrec: &Pubrec<'_>, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        let in_order = in_order(&mut connection.awaits_pubrec, pubrec.packet_id);
        match self.outgoing.pubrec(pubrec.packet_id, pubrec.reason.is_error()) {
            Ok(PubrecOutcome::Refused(Some(number)))
                if in_order && is_right(pubrec.reason, self.plan.version, number, context) =>
            {
                self.told(pubrec.reason, number, context);
            }
            Ok(PubrecOutcome::Release(Some(number))) if in_order => {
                self.released.insert(pubrec.packet_id.get(), number);
                context.progress += 1;
                self.send_pubrel(pubrec.packet_id, context);
            }
            // [MQTT-4.6.0-3]
            _ => self.complain(pubrec, context),
        }
    }

    pub(super) fn on_pubcomp(&mut self, pubcomp: &Pubcomp<'_>, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        let in_order = in_order(&mut connection.awaits_pubcomp, pubcomp.packet_id);
        let released = self.released.remove(&pubcomp.packet_id.get());
        match (self.outgoing.pubcomp(pubcomp.packet_id), released) {
            (Ok(()), Some(number)) if in_order => self.acknowledged(number, context),
            _ => self.complain(pubcomp, context),
        }
    }

    fn told(&mut self, reason: ReasonCode, number: MessageNumber, context: &mut Context) {
        if reason.is_error() {
            context.progress += 1;
            self.pump(context);
        } else {
            self.acknowledged(number, context);
        }
    }

    fn acknowledged(&mut self, number: MessageNumber, context: &mut Context) {
        context.progress += 1;
        let now = context.now;
        context.facts.published[number].acknowledged.get_or_insert(now);
    }

    fn complain(&self, packet: &impl std::fmt::Debug, context: &mut Context) {
        context.violation("protocol", format!("client {}: {packet:?} out of order or unknown", self.number));
    }
}

/// Whether an answer is an error where the client has no right, and only there. 3.x has no words for it.
fn is_right(reason: ReasonCode, version: ProtocolVersion, number: MessageNumber, context: &Context) -> bool {
    let is_denied = !rights::may_publish(context.facts.published[number].topic);
    let is_told = is_denied && version == ProtocolVersion::V5;
    if is_told { reason == ReasonCode::NotAuthorized } else { !reason.is_error() }
}

/// Takes the identifier out; true if it was the next.
fn in_order(awaited: &mut VecDeque<PacketId>, packet_id: PacketId) -> bool {
    let place = awaited.iter().position(|id| *id == packet_id);
    if let Some(place) = place {
        awaited.remove(place);
    }
    place == Some(0)
}

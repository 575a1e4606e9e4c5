//! How one copy of a message travels: from a message to the bytes of a PUBLISH in an outbox.

use std::time::Duration;

use noctule_protocol::connection::AliasUse;
use noctule_protocol::packet::{Publish, PublishQoS, encode_plain};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{PacketId, QoS};

use super::connection::Connection;
use crate::encoded::{Encoded, Form};
use crate::message::MessageView;
use crate::session::{Delivery, Identifiers, Pool};

/// How one copy of a message travels.
#[derive(Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) qos: PublishQoS,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) identifiers: &'a Identifiers,
}

impl Connection {
    /// Appends one PUBLISH of a message that was kept. False, and nothing appended, if the client accepts no packet of
    /// that size [MQTT-3.1.2-24], or cannot see the topic.
    pub(super) fn push_delivery(
        &mut self,
        delivery: &Delivery,
        qos: PublishQoS,
        dup: bool,
        wall: Duration,
        pool: &mut Pool,
    ) -> bool {
        let envelope = Envelope { qos, dup, retain: delivery.retain, identifiers: delivery.identifiers() };
        self.push(&delivery.message.view(), envelope, wall, pool, &mut Encoded::default())
    }

    /// The same of one in passing.
    #[inline]
    pub(super) fn push(
        &mut self,
        view: &MessageView<'_>,
        envelope: Envelope<'_>,
        wall: Duration,
        pool: &mut Pool,
        encoded: &mut Encoded,
    ) -> bool {
        let Envelope { qos, dup, retain, identifiers } = envelope;
        let mut topic = view.topic;
        let mut is_plain = !dup && identifiers.is_empty();
        if let Some(aliases) = &self.aliases {
            is_plain &= aliases.outgoing.is_none();
            if let Some(mount_point) = &aliases.mount_point {
                let Some(seen) = mount_point.strip(topic) else { return false };
                topic = seen;
            }
        }
        let form = is_plain.then(|| Form::new(self.version, qos.qos(), retain, topic));
        if let Some(packet) = form.and_then(|form| encoded.packet(form)) {
            let fits = packet.len() <= self.maximum_packet_size as usize;
            if fits {
                pool.appended += packet.len();
                encoded.copy_to(self.outbox.end(pool), qos.packet_id());
            }
            return fits;
        }
        if self.version.has_properties() {
            return self.push_with_properties(view, topic, envelope, form, wall, pool, encoded);
        }
        let out = self.outbox.end(pool);
        let before = out.len();
        let fits = encode_plain(dup, qos, retain, topic, view.payload, out).is_ok()
            && out.len() - before <= self.maximum_packet_size as usize;
        if fits {
            pool.appended += out.len() - before;
            if let Some(form) = form {
                encoded.note(form, &out[before..], topic);
            }
        } else {
            out.truncate(before);
        }
        fits
    }

    #[expect(clippy::too_many_arguments, reason = "the other half of `push`")]
    fn push_with_properties(
        &mut self,
        view: &MessageView<'_>,
        full_topic: &str,
        envelope: Envelope<'_>,
        form: Option<Form>,
        wall: Duration,
        pool: &mut Pool,
        encoded: &mut Encoded,
    ) -> bool {
        let Envelope { qos, dup, retain, identifiers } = envelope;
        let mut topic = full_topic;
        let mut used_alias = AliasUse::None;
        if let Some(aliases) = self.aliases.as_mut().and_then(|aliases| aliases.outgoing.as_mut()) {
            used_alias = aliases.assign(topic);
        }
        let properties = publish_properties(view, identifiers, used_alias, wall);
        if let AliasUse::Known(_) = used_alias {
            topic = "";
        }
        let out = self.outbox.end(pool);
        let before = out.len();
        let publish = Publish { dup, qos, retain, topic, properties, payload: view.payload };
        let fits = publish.encode(self.version, out).is_ok()
            && out.len() - before <= self.maximum_packet_size as usize;
        if fits {
            pool.appended += out.len() - before;
            if let Some(form) = form {
                encoded.note(form, &out[before..], full_topic);
            }
        } else {
            out.truncate(before);
            if let AliasUse::New(_) = used_alias {
                // The client never hears of this alias; topics in full are always right, and may be shorter.
                if let Some(aliases) = &mut self.aliases {
                    aliases.outgoing = None;
                }
                return self.push(view, envelope, wall, pool, encoded);
            }
        }
        fits
    }
}

/// What is passed on unaltered, then what this hop decides, in Mosquitto's order.
fn publish_properties<'a>(
    view: &MessageView<'a>,
    identifiers: &Identifiers,
    alias: AliasUse,
    wall: Duration,
) -> Properties<'a> {
    let expiry = view.expiry_left(wall);
    if identifiers.is_empty() && expiry.is_none() && matches!(alias, AliasUse::None) {
        return Properties::from_checked_bytes(view.properties);
    }
    let mut properties = Properties::from_checked_bytes(view.properties);
    if let Some(seconds) = expiry {
        properties.push(Property::MessageExpiryInterval(seconds));
    }
    if let AliasUse::New(alias) | AliasUse::Known(alias) = alias {
        properties.push(Property::TopicAlias(alias));
    }
    for identifier in identifiers.iter() {
        properties.push(Property::SubscriptionIdentifier(identifier));
    }
    properties
}

pub(super) fn numbered(qos: QoS, packet_id: PacketId) -> PublishQoS {
    match qos {
        QoS::AtMostOnce => PublishQoS::AtMostOnce,
        QoS::AtLeastOnce => PublishQoS::AtLeastOnce(packet_id),
        QoS::ExactlyOnce => PublishQoS::ExactlyOnce(packet_id),
    }
}

//! What the caller asks a client to send.

use std::borrow::Cow;

use super::{ClientConnection, ClientError, ClientEvent, OutgoingMessage, Queued, Request, RequestKind};
use super::{ServerLimits, State, Token};
use crate::connection::{AliasUse, OutgoingAliases};
use crate::delivery::{Resend, UnknownPacketId};
use crate::field::VARIABLE_BYTE_INTEGER_MAX;
use crate::frame::PacketType;
use crate::packet::{
    Filters, Puback, Pubcomp, Publish, PublishQoS, Pubrel, Subscribe, SubscriptionOptions, Unsubscribe,
    UnsubscribeFilters,
};
use crate::property::{Properties, Property, PropertyPlace};
use crate::{
    DecodeError, EncodeError, PacketId, ProtocolVersion, QoS, ReasonCode, Role, SubscriptionFilter, TopicName,
};

impl ClientConnection {
    /// Sends a message, or queues it until the connection and the window have room: the answer is
    /// [`ClientEvent::PublishDone`]. Properties are ignored on 3.x. The topic may be empty if they have a Topic Alias that
    /// was introduced since the last [`reconnect`](Self::reconnect); who sets aliases gets none set for him.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        let version = self.options.version;
        let properties = if version.has_properties() { properties } else { Properties::EMPTY };
        if !topic.is_empty() || properties.topic_alias().is_none() {
            TopicName::parse(topic)?;
        }
        properties.check(PropertyPlace::Publish).map_err(ClientError::Property)?;
        let any_id = PublishQoS::with_id(qos, PacketId::FIRST);
        let publish = Publish { dup: false, qos: any_id, retain, topic, properties, payload };
        publish.check_sender(Role::Client).map_err(ClientError::Property)?;
        publish.encoded_len(version)?;
        if self.state == State::Connected {
            self.server.accept(&publish, version).map_err(ClientError::NotAccepted)?;
        }
        // What is kept has its full name: an alias dies with the connection [MQTT-3.3.2-7].
        let full_topic = match publish.properties.topic_alias() {
            None => Cow::Borrowed(topic),
            Some(alias) if topic.is_empty() => match self.callers_aliases.get(&alias) {
                Some(topic) => Cow::Owned(topic.clone()),
                None => return Err(ClientError::NotAccepted(ReasonCode::TopicAliasInvalid)),
            },
            Some(alias) => {
                self.callers_aliases.insert(alias, topic.to_owned());
                Cow::Borrowed(topic)
            }
        };
        let token = self.token();
        if qos == QoS::AtMostOnce && self.state == State::Connected && self.queue.is_empty() {
            // Nothing needs to be kept.
            write_publish(&mut self.output, &mut self.outgoing_aliases, &self.server, version, publish)?;
            self.sent_at = self.now;
            let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
            self.events.push_back(ClientEvent::PublishDone { token, reason, properties });
            return Ok(token);
        }
        let properties = publish.properties.into_owned();
        let message =
            OutgoingMessage { topic: full_topic.into(), payload: payload.into(), qos, retain, properties };
        self.queue.push_back(Queued { token, message });
        self.pump()?;
        Ok(token)
    }

    /// Asks for subscriptions: the answer is [`ClientEvent::Subscribed`]. 3.x ignores the properties and all options but
    /// the QoS.
    pub fn subscribe<'f>(
        &mut self,
        filters: impl IntoIterator<Item = (SubscriptionFilter<'f>, SubscriptionOptions)>,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        let version = self.options.version;
        let filters = Filters::from_pairs(filters).ok_or(ClientError::NoFilter)?;
        let count = filters.iter().count();
        let place = PropertyPlace::Subscribe;
        self.request(RequestKind::Subscribe, count, place, properties, |packet_id, properties, out| {
            Subscribe { packet_id, properties, filters }.encode(version, out)
        })
    }

    /// Ends subscriptions: the answer is [`ClientEvent::Unsubscribed`]. 3.x ignores the properties.
    pub fn unsubscribe<'f>(
        &mut self,
        filters: impl IntoIterator<Item = SubscriptionFilter<'f>>,
        properties: Properties<'_>,
    ) -> Result<Token, ClientError> {
        let version = self.options.version;
        let filters = UnsubscribeFilters::from_filters(filters).ok_or(ClientError::NoFilter)?;
        let count = filters.iter().count();
        let place = PropertyPlace::Unsubscribe;
        self.request(RequestKind::Unsubscribe, count, place, properties, |packet_id, properties, out| {
            Unsubscribe { packet_id, properties, filters }.encode(version, out)
        })
    }

    fn request<'p>(
        &mut self,
        kind: RequestKind,
        filters: usize,
        place: PropertyPlace,
        properties: Properties<'p>,
        encode: impl FnOnce(PacketId, Properties<'p>, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<Token, ClientError> {
        if self.options.version.has_properties() {
            properties.check(place).map_err(ClientError::Property)?;
        }
        let requests = &self.requests;
        let packet_id =
            self.outgoing.allocate(|id| requests.contains_key(&id)).ok_or(ClientError::TooManyRequests)?;
        let mut packet = Vec::new();
        encode(packet_id, properties, &mut packet)?;
        if packet.len() > self.server.maximum_packet_size as usize {
            return Err(ClientError::NotAccepted(ReasonCode::PacketTooLarge)); // [MQTT-3.2.2-15]
        }
        let token = self.token();
        self.requests.insert(packet_id, Request { token, kind, filters, packet });
        if self.state == State::Connected {
            self.send_request(packet_id);
        }
        Ok(token)
    }

    /// A new connection may take less than the one that the request was made for: then this end refuses it
    /// [MQTT-3.2.2-15].
    pub(super) fn send_request(&mut self, packet_id: PacketId) {
        match self.requests.get(&packet_id) {
            Some(request) if request.packet.len() <= self.server.maximum_packet_size as usize => {
                self.output.extend_from_slice(&request.packet);
                self.sent_at = self.now;
            }
            Some(_) | None => {
                let Some(Request { token, kind, filters, .. }) = self.requests.remove(&packet_id) else {
                    return;
                };
                let codes = vec![ReasonCode::UnspecifiedError.code(); filters];
                let properties = Properties::new([Property::ReasonString("packet too large")]);
                self.events.push_back(match kind {
                    RequestKind::Subscribe => ClientEvent::Subscribed { token, codes, properties },
                    RequestKind::Unsubscribe => ClientEvent::Unsubscribed { token, codes, properties },
                });
            }
        }
    }

    /// Answers a QoS 1 or 2 message when `manual_acks` is set. On 5.0 `reason` goes into the PUBACK of a QoS 1 message; a
    /// QoS 2 message can no longer be refused.
    pub fn acknowledge(&mut self, packet_id: PacketId, reason: ReasonCode) -> Result<(), ClientError> {
        if !reason.allowed_in(PacketType::Puback) {
            // [MQTT-3.4.2-1]
            return Err(ClientError::Property(DecodeError::protocol("reason code is not one of PUBACK")));
        }
        let qos = self.unacknowledged.remove(&packet_id).ok_or(UnknownPacketId)?;
        self.open.remove(&packet_id);
        if self.state != State::Connected {
            return Ok(());
        }
        self.write(|out, version| match qos {
            QoS::AtLeastOnce => {
                Puback { packet_id, reason, properties: Properties::EMPTY }.encode(version, out)
            }
            QoS::AtMostOnce | QoS::ExactlyOnce => Pubcomp::new(packet_id).encode(version, out),
        })?;
        Ok(())
    }

    /// Sends again what was interrupted, then what waits, as far as the window reaches.
    pub(super) fn pump(&mut self) -> Result<(), ClientError> {
        if self.state != State::Connected {
            return Ok(());
        }
        self.resend()?;
        while let Some(queued) = self.queue.front() {
            let has_id = self.outgoing.in_flight() + self.requests.len() < usize::from(u16::MAX);
            if queued.message.qos != QoS::AtMostOnce && !(self.outgoing.has_room() && has_id) {
                return Ok(());
            }
            let Some(queued) = self.queue.pop_front() else { return Ok(()) };
            self.send_queued(queued)?;
        }
        Ok(())
    }

    pub(super) fn resend(&mut self) -> Result<(), ClientError> {
        let version = self.options.version;
        while let Some(resend) = self.outgoing.next_resend() {
            match resend {
                Resend::Publish { packet_id, qos, message: Queued { token, message } } => {
                    let token = *token;
                    let publish = message.as_publish(PublishQoS::with_id(qos, packet_id));
                    let properties = without_alias(&publish.properties);
                    // [MQTT-3.3.1-1]
                    let publish = Publish { dup: true, properties, ..publish };
                    match self.server.accept(&publish, version) {
                        Ok(()) => publish.encode(version, &mut self.output)?,
                        // The server takes less than before.
                        Err(reason) => {
                            self.outgoing.forget(packet_id);
                            let properties = Properties::EMPTY;
                            self.events.push_back(ClientEvent::PublishDone { token, reason, properties });
                            continue;
                        }
                    }
                }
                Resend::Pubrel { packet_id } => Pubrel::new(packet_id).encode(version, &mut self.output)?,
            }
            self.sent_at = self.now;
        }
        Ok(())
    }

    /// The window has room for it.
    fn send_queued(&mut self, queued: Queued) -> Result<(), ClientError> {
        let token = queued.token;
        let qos = queued.message.qos;
        let version = self.options.version;
        let any_id = PublishQoS::with_id(qos, PacketId::FIRST);
        if let Err(reason) = self.server.accept(&queued.message.as_publish(any_id), version) {
            let properties = Properties::EMPTY;
            self.events.push_back(ClientEvent::PublishDone { token, reason, properties });
            return Ok(());
        }
        self.sent_at = self.now;
        let (output, aliases) = (&mut self.output, &mut self.outgoing_aliases);
        if qos == QoS::AtMostOnce {
            let publish = queued.message.as_publish(PublishQoS::AtMostOnce);
            write_publish(output, aliases, &self.server, version, publish)?;
            let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
            self.events.push_back(ClientEvent::PublishDone { token, reason, properties });
            return Ok(());
        }
        let requests = &self.requests;
        let packet_id = self
            .outgoing
            .begin_avoiding(qos, queued, |id| requests.contains_key(&id))
            .ok_or(ClientError::TooManyRequests)?;
        if let Some(Queued { message, .. }) = self.outgoing.message(packet_id) {
            let publish = message.as_publish(PublishQoS::with_id(qos, packet_id));
            write_publish(output, aliases, &self.server, version, publish)?;
        }
        Ok(())
    }
}

/// With a Topic Alias, if the server takes them and the caller has not set one.
fn write_publish(
    output: &mut Vec<u8>,
    aliases: &mut OutgoingAliases,
    server: &ServerLimits,
    version: ProtocolVersion,
    publish: Publish<'_>,
) -> Result<(), ClientError> {
    // An alias takes three bytes, and one more for each of the two lengths that it may make longer.
    let limit = server.maximum_packet_size.min(VARIABLE_BYTE_INTEGER_MAX);
    let too_long = publish.encoded_len(version)? + 5 > limit as usize;
    let alias = match publish.properties.topic_alias() {
        Some(_) => {
            // The caller's numbers would give ours another meaning.
            *aliases = OutgoingAliases::new(0);
            AliasUse::None
        }
        None if too_long => AliasUse::None,
        None => aliases.assign(publish.topic),
    };
    match alias {
        AliasUse::None => publish.encode(version, output)?,
        AliasUse::New(alias) => {
            let properties = with_alias(&publish.properties, alias);
            Publish { properties, ..publish }.encode(version, output)?;
        }
        AliasUse::Known(alias) => {
            let properties = with_alias(&publish.properties, alias);
            Publish { topic: "", properties, ..publish }.encode(version, output)?;
        }
    }
    Ok(())
}

fn with_alias(properties: &Properties<'_>, alias: u16) -> Properties<'static> {
    Properties::new([Property::TopicAlias(alias)].into_iter().chain(properties))
}

fn without_alias<'p>(properties: &'p Properties<'_>) -> Properties<'p> {
    match properties.topic_alias() {
        None => properties.borrowed(),
        Some(_) => {
            Properties::new(properties.iter().filter(|property| !matches!(property, Property::TopicAlias(_))))
        }
    }
}

impl OutgoingMessage {
    fn as_publish(&self, qos: PublishQoS) -> Publish<'_> {
        Publish {
            dup: false,
            qos,
            retain: self.retain,
            topic: &self.topic,
            properties: self.properties.borrowed(),
            payload: &self.payload,
        }
    }
}

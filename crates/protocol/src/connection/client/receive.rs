//! What a client does with the packets of a server.

use std::time::Duration;

use super::{ClientConnection, ClientError, ClientEvent, Queued, RequestKind, ServerLimits, State};
use crate::connection::OutgoingAliases;
use crate::delivery::{PubrecOutcome, Received};
use crate::frame::{Frame, next_frame};
use crate::packet::{
    Auth, Connack, Disconnect, Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec, Pubrel, Suback, Unsuback,
};
use crate::property::Properties;
use crate::{DecodeError, PacketId, ProtocolVersion, QoS, ReasonCode, Role};

impl ClientConnection {
    /// Takes bytes from the transport. After an error the connection is over: write the output, which tells a 5.0 server
    /// why, and close. What comes behind the end of a connection is ignored.
    pub fn receive(&mut self, input: &[u8], now: Duration) -> Result<(), ClientError> {
        self.now = now;
        let received = self.receive_frames(input);
        if let Err(error) = &received {
            self.fail(*error);
        }
        received
    }

    fn receive_frames(&mut self, input: &[u8]) -> Result<(), ClientError> {
        if self.partial.is_empty() {
            let consumed = self.handle_frames(input)?;
            self.partial.extend_from_slice(&input[consumed..]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(input);
            let consumed = self.handle_frames(&partial)?;
            partial.drain(..consumed);
            self.partial = partial;
        }
        if self.state == State::Closed {
            self.partial = Vec::new();
        }
        Ok(())
    }

    /// How many bytes were whole frames.
    fn handle_frames(&mut self, input: &[u8]) -> Result<usize, ClientError> {
        let mut consumed = 0;
        while self.state != State::Closed
            && let Some((frame, length)) = next_frame(&input[consumed..], self.options.maximum_packet_size)?
        {
            self.handle_frame(frame)?;
            consumed += length;
        }
        Ok(consumed)
    }

    /// Closes, and tells a 5.0 server why [MQTT-4.13.1-1].
    fn fail(&mut self, error: ClientError) {
        let (State::Connected, ClientError::Decode(DecodeError { reason, .. })) = (self.state, error) else {
            self.state = State::Closed;
            return;
        };
        let reason = match reason {
            reason if reason.sent_by(Role::Client, crate::frame::PacketType::Disconnect) => reason,
            _ => ReasonCode::ProtocolError,
        };
        if self.options.version.has_properties() {
            // A reason without properties can always be written; and if not, closing says enough.
            let _ = self.write(|out, version| Disconnect::new(reason).encode(version, out));
        }
        self.state = State::Closed;
    }

    fn handle_frame(&mut self, frame: Frame<'_>) -> Result<(), ClientError> {
        let packet = Packet::decode(frame, self.options.version)?;
        packet.check_sender(Role::Server, self.options.version)?;
        match (self.state, packet) {
            (State::Closed, _) => Ok(()),
            (State::Connecting, Packet::Connack(connack)) => self.connack(connack),
            (_, Packet::Auth(auth)) => self.authenticate(auth),
            (_, Packet::Disconnect(disconnect)) => {
                self.close(disconnect.reason, disconnect.properties.into_owned());
                Ok(())
            }
            // [MQTT-3.2.0-1]
            (State::Connecting, _) => Err(DecodeError::protocol("packet before CONNACK").into()),
            // [MQTT-3.2.0-2]
            (State::Connected, Packet::Connack(_)) => Err(DecodeError::protocol("second CONNACK").into()),
            (State::Connected, Packet::Publish(publish)) => self.received_publish(publish),
            (State::Connected, Packet::Puback(puback)) => self.puback(puback),
            (State::Connected, Packet::Pubrec(pubrec)) => self.pubrec(pubrec),
            (State::Connected, Packet::Pubrel(pubrel)) => self.pubrel(pubrel),
            (State::Connected, Packet::Pubcomp(pubcomp)) => self.pubcomp(pubcomp),
            (State::Connected, Packet::Suback(suback)) => self.suback(suback),
            (State::Connected, Packet::Unsuback(unsuback)) => self.unsuback(unsuback),
            (State::Connected, Packet::Pingresp) => {
                self.pinged_at = None;
                Ok(())
            }
            // The sender was checked: a server does not send these.
            (
                State::Connected,
                Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq,
            ) => Err(DecodeError::protocol("packet may not be sent by this end").into()),
        }
    }

    fn connack(&mut self, connack: Connack<'_>) -> Result<(), ClientError> {
        let Connack { session_present, code, properties } = connack;
        let properties = properties.into_owned();
        if !code.is_accepted() {
            self.state = State::Closed;
            self.events.push_back(ClientEvent::Refused { code, properties });
            return Ok(());
        }
        if session_present && self.options.clean_start {
            // [MQTT-3.2.2-4]
            return Err(DecodeError::protocol("session present after a clean start").into());
        }
        self.obey(&properties);
        self.state = State::Connected;
        self.events.push_back(ClientEvent::Connected { session_present, code, properties });
        // A 3.1 server cannot tell. Without a clean start it goes on with what it has.
        let is_silent = self.options.version == ProtocolVersion::V31 && !self.options.clean_start;
        if !session_present && !is_silent {
            self.lose_session();
        }
        self.resume()
    }

    fn obey(&mut self, properties: &Properties<'_>) {
        let topic_alias_maximum = properties.topic_alias_maximum().unwrap_or(0);
        self.server = ServerLimits {
            maximum_packet_size: properties.maximum_packet_size().unwrap_or(u32::MAX),
            maximum_qos: properties.maximum_qos().and_then(QoS::from_level).unwrap_or(QoS::ExactlyOnce),
            retain_available: properties.retain_available().unwrap_or(true),
            topic_alias_maximum,
            keep_alive: properties.server_keep_alive().unwrap_or(self.options.keep_alive),
        };
        let receive_maximum = properties.receive_maximum().unwrap_or(u16::MAX);
        self.outgoing.set_window(self.options.window.min(receive_maximum)); // [MQTT-3.3.4-7]
        self.outgoing_aliases =
            OutgoingAliases::new(topic_alias_maximum.min(self.options.topic_alias_maximum));
        if let Some(client_id) = properties.assigned_client_identifier() {
            self.options.client_id = client_id.to_owned();
        }
    }

    /// [MQTT-3.2.2-5]
    fn lose_session(&mut self) {
        for (_, _, queued) in self.outgoing.extract_if(|_, _, _| true) {
            if let Some(Queued { token, message }) = queued {
                let message = Some(Box::new(message));
                self.events.push_back(ClientEvent::PublishLost { token, message });
            }
        }
        let mut released: Vec<_> = self.released.drain().map(|(_, token)| token).collect();
        released.sort_unstable();
        for token in released {
            self.events.push_back(ClientEvent::PublishLost { token, message: None });
        }
        self.incoming.clear();
        self.unacknowledged.clear();
    }

    /// What was interrupted, the requests without an answer, and what waits.
    fn resume(&mut self) -> Result<(), ClientError> {
        self.resend()?;
        let mut requests: Vec<_> =
            self.requests.iter().map(|(&packet_id, request)| (request.token, packet_id)).collect();
        requests.sort_unstable();
        for (_, packet_id) in requests {
            self.send_request(packet_id);
        }
        self.pump()
    }

    fn authenticate(&mut self, auth: Auth<'_>) -> Result<(), ClientError> {
        let method = self.options.properties.authentication_method();
        // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
        if method.is_none() || auth.properties.authentication_method().is_some_and(|of| Some(of) != method) {
            return Err(DecodeError::protocol("AUTH with another authentication method").into());
        }
        let (reason, properties) = (auth.reason, auth.properties.into_owned());
        self.events.push_back(ClientEvent::Auth { reason, properties });
        Ok(())
    }

    fn received_publish(&mut self, publish: Publish<'_>) -> Result<(), ClientError> {
        let alias = publish.properties.topic_alias();
        let topic = self.incoming_aliases.resolve(publish.topic, alias)?.to_owned();
        if let Some(packet_id) = publish.qos.packet_id() {
            self.take_quota(packet_id)?;
        }
        let message = ClientEvent::Message {
            topic,
            payload: publish.payload.to_vec(),
            qos: publish.qos.qos(),
            retain: publish.retain,
            dup: publish.dup,
            properties: publish.properties.into_owned(),
            packet_id: publish.qos.packet_id(),
        };
        match publish.qos {
            PublishQoS::AtMostOnce => self.events.push_back(message),
            PublishQoS::AtLeastOnce(packet_id) => {
                self.events.push_back(message);
                if self.options.manual_acks {
                    self.unacknowledged.insert(packet_id, QoS::AtLeastOnce);
                } else {
                    self.open.remove(&packet_id);
                    self.write(|out, version| Puback::new(packet_id).encode(version, out))?; // [MQTT-4.3.2-4]
                }
            }
            PublishQoS::ExactlyOnce(packet_id) => {
                match self.incoming.publish(packet_id, message) {
                    Received::New | Received::Duplicate => {}
                }
                // [MQTT-4.3.3-8] [MQTT-4.3.3-10]
                self.write(|out, version| Pubrec::new(packet_id).encode(version, out))?;
            }
        }
        Ok(())
    }

    /// Our Receive Maximum counts what the server has begun on this connection (section 3.1.2.11.3).
    fn take_quota(&mut self, packet_id: PacketId) -> Result<(), ClientError> {
        let announced = match self.options.version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => None,
            ProtocolVersion::V5 => self.options.properties.receive_maximum(),
        };
        let maximum = announced.unwrap_or(u16::MAX);
        if self.open.contains(&packet_id) {
            return Ok(());
        }
        if self.open.len() >= usize::from(maximum) {
            return Err(DecodeError {
                reason: ReasonCode::ReceiveMaximumExceeded,
                what: "more messages in flight than the receive maximum",
            }
            .into());
        }
        self.open.insert(packet_id);
        Ok(())
    }

    fn pubrel(&mut self, pubrel: Pubrel<'_>) -> Result<(), ClientError> {
        let packet_id = pubrel.packet_id;
        // Given to the caller before; PUBCOMP follows when it acknowledges.
        if self.unacknowledged.get(&packet_id) == Some(&QoS::ExactlyOnce) {
            return Ok(());
        }
        let reason = match self.incoming.pubrel(packet_id) {
            Some(message) => {
                self.events.push_back(message);
                if self.options.manual_acks {
                    self.unacknowledged.insert(packet_id, QoS::ExactlyOnce);
                    return Ok(());
                }
                ReasonCode::Success
            }
            None => ReasonCode::PacketIdentifierNotFound,
        };
        self.open.remove(&packet_id);
        // [MQTT-4.3.3-11]
        let pubcomp = Pubcomp { packet_id, reason, properties: Properties::EMPTY };
        self.write(|out, version| pubcomp.encode(version, out))?;
        Ok(())
    }

    /// An acknowledgement that we do not wait for is no reason to part: an earlier connection may have caused it.
    fn puback(&mut self, puback: Puback<'_>) -> Result<(), ClientError> {
        let Ok(Some(queued)) = self.outgoing.puback(puback.packet_id) else { return Ok(()) };
        self.done(queued.token, puback.reason, puback.properties.into_owned());
        self.pump()
    }

    fn pubrec(&mut self, pubrec: Pubrec<'_>) -> Result<(), ClientError> {
        let packet_id = pubrec.packet_id;
        let reason = match self.outgoing.pubrec(packet_id, pubrec.reason.is_error()) {
            Ok(PubrecOutcome::Release(queued)) => {
                if let Some(queued) = queued {
                    self.released.insert(packet_id, queued.token);
                }
                ReasonCode::Success
            }
            Ok(PubrecOutcome::Repeated) => ReasonCode::Success,
            Ok(PubrecOutcome::Refused(queued)) => {
                if let Some(queued) = queued {
                    self.done(queued.token, pubrec.reason, pubrec.properties.into_owned());
                }
                return self.pump();
            }
            Err(_) if pubrec.reason.is_error() => return Ok(()),
            Err(_) => ReasonCode::PacketIdentifierNotFound,
        };
        // [MQTT-4.3.3-4]
        let pubrel = Pubrel { packet_id, reason, properties: Properties::EMPTY };
        self.write(|out, version| pubrel.encode(version, out))?;
        Ok(())
    }

    fn pubcomp(&mut self, pubcomp: Pubcomp<'_>) -> Result<(), ClientError> {
        if self.outgoing.pubcomp(pubcomp.packet_id).is_err() {
            return Ok(());
        }
        if let Some(token) = self.released.remove(&pubcomp.packet_id) {
            // The server had the message, whatever it says now.
            self.done(token, ReasonCode::Success, pubcomp.properties.into_owned());
        }
        self.pump()
    }

    fn done(&mut self, token: super::Token, reason: ReasonCode, properties: Properties<'static>) {
        self.events.push_back(ClientEvent::PublishDone { token, reason, properties });
    }

    fn suback(&mut self, suback: Suback<'_>) -> Result<(), ClientError> {
        let token = self.answered(suback.packet_id, RequestKind::Subscribe, suback.codes.len())?;
        let (codes, properties) = (suback.codes.into_owned(), suback.properties.into_owned());
        self.events.push_back(ClientEvent::Subscribed { token, codes, properties });
        self.pump()
    }

    fn unsuback(&mut self, unsuback: Unsuback<'_>) -> Result<(), ClientError> {
        // Without codes on 3.x.
        let codes = match self.requests.get(&unsuback.packet_id) {
            Some(request) if !self.options.version.has_properties() => request.filters,
            Some(_) | None => unsuback.codes.len(),
        };
        let token = self.answered(unsuback.packet_id, RequestKind::Unsubscribe, codes)?;
        let (codes, properties) = (unsuback.codes.into_owned(), unsuback.properties.into_owned());
        self.events.push_back(ClientEvent::Unsubscribed { token, codes, properties });
        self.pump()
    }

    /// The request that an answer belongs to [MQTT-2.2.1-6], with a code for each filter [MQTT-3.8.4-6].
    fn answered(
        &mut self,
        packet_id: PacketId,
        kind: RequestKind,
        codes: usize,
    ) -> Result<super::Token, ClientError> {
        match self.requests.get(&packet_id) {
            Some(request) if request.kind == kind && request.filters == codes => {}
            Some(_) | None => return Err(DecodeError::protocol("answer to no request").into()),
        }
        let request = self.requests.remove(&packet_id);
        request.map(|request| request.token).ok_or(DecodeError::protocol("answer to no request").into())
    }
}

//! A CONNECT in the making.

use noctule_protocol::packet::{Connect, Will};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{ProtocolVersion, QoS, TopicName};

use super::{Client, Desk};

/// See [`Desk::hello`].
#[derive(Clone)]
pub(crate) struct Hello {
    desk: Desk,
    listener: u16,
    version: ProtocolVersion,
    bridge: bool,
    client_id: String,
    clean_start: bool,
    keep_alive: u16,
    properties: Properties<'static>,
    will: Option<Testament>,
    user_name: Option<String>,
    password: Option<String>,
}

/// A Will in the making.
#[derive(Clone)]
pub(crate) struct Testament {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: Properties<'static>,
}

/// With QoS 0, not retained, without delay.
pub(crate) fn will(topic: &str, payload: &str) -> Testament {
    Testament {
        topic: topic.to_owned(),
        payload: payload.into(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
    }
}

impl Testament {
    pub(crate) fn qos(self, qos: QoS) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn with(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    pub(crate) fn delay(self, seconds: u32) -> Self {
        self.with(Property::WillDelayInterval(seconds))
    }
}

impl Hello {
    pub(super) fn new(desk: Desk, client_id: &str) -> Self {
        Self {
            desk,
            listener: 0,
            version: ProtocolVersion::V5,
            bridge: false,
            client_id: client_id.to_owned(),
            clean_start: true,
            keep_alive: 0,
            properties: Properties::EMPTY,
            will: None,
            user_name: None,
            password: None,
        }
    }

    pub(crate) fn version(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// At another listener than the first.
    pub(crate) fn at(self, listener: u16) -> Self {
        Self { listener, ..self }
    }

    pub(crate) fn v311(self) -> Self {
        self.version(ProtocolVersion::V311)
    }

    /// With Mosquitto's bridge bit in its level.
    pub(crate) fn bridge(self) -> Self {
        Self { bridge: true, ..self }
    }

    /// Goes on with its session: Clean Start 0.
    pub(crate) fn resume(self) -> Self {
        Self { clean_start: false, ..self }
    }

    /// Its session never ends by itself.
    pub(crate) fn lasting(self) -> Self {
        self.resume().expiry(u32::MAX)
    }

    /// Session Expiry Interval, on 5.0.
    pub(crate) fn expiry(self, seconds: u32) -> Self {
        self.with(Property::SessionExpiryInterval(seconds))
    }

    pub(crate) fn keep_alive(self, keep_alive: u16) -> Self {
        Self { keep_alive, ..self }
    }

    pub(crate) fn receive_maximum(self, messages: u16) -> Self {
        self.with(Property::ReceiveMaximum(messages))
    }

    pub(crate) fn maximum_packet_size(self, bytes: u32) -> Self {
        self.with(Property::MaximumPacketSize(bytes))
    }

    pub(crate) fn with(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    pub(crate) fn will(self, will: Testament) -> Self {
        Self { will: Some(will), ..self }
    }

    pub(crate) fn user_name(self, user_name: &str) -> Self {
        Self { user_name: Some(user_name.to_owned()), ..self }
    }

    pub(crate) fn password(self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self }
    }

    pub(crate) fn has_password_only(&self) -> bool {
        self.password.is_some() && self.user_name.is_none()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let will = self.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.borrowed(),
            topic: TopicName::parse(&will.topic).expect("a topic name"),
            payload: &will.payload,
        });
        let connect = Connect {
            version: self.version,
            bridge: self.bridge,
            clean_start: self.clean_start,
            keep_alive: self.keep_alive,
            properties: self.properties.borrowed(),
            client_id: &self.client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
        };
        let mut bytes = Vec::new();
        connect.encode(&mut bytes).expect("a CONNECT");
        bytes
    }

    /// Sends it; the answer is not looked at.
    pub(crate) fn send(&self) -> Client {
        let client = self.desk.open_at(self.listener, self.version);
        if let Some(packet_max) =
            self.properties.maximum_packet_size().filter(|_| self.version == ProtocolVersion::V5)
        {
            client.takes_at_most(packet_max as usize);
        }
        client.send_bytes(&self.bytes());
        client
    }

    /// Sends it and takes the acceptance; what follows stays.
    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        self.send().accepted()
    }
}

impl Client {
    /// Takes the CONNACK that accepts.
    #[track_caller]
    pub(crate) fn accepted(mut self) -> Self {
        let connack = self.next().expect("a CONNACK");
        assert_eq!((connack.kind.name(), connack.code), ("CONNACK", 0));
        self.session_present = connack.flag;
        self.connack = connack.properties;
        self
    }
}

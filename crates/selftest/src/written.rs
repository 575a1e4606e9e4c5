//! The packets that cases send, correct unless a case makes them wrong. What a case wants to be wrong in another way,
//! it writes as bytes.

use crate::bytes::{packet, string, two, variable_byte_integer};
use crate::property::{SESSION_EXPIRY_INTERVAL, long};
use crate::version::Version;

/// Properties with their length before them; 3.1.1 has none.
pub(crate) fn with_length(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V311 => Vec::new(),
        Version::V5 => [variable_byte_integer(properties.len()), properties.to_vec()].concat(),
    }
}

/// CONNECT.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    /// What the connection is called in the record.
    pub(crate) name: &'static str,
    pub(crate) version: Version,
    pub(crate) id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Vec<u8>,
    pub(crate) will: Option<Will>,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

/// The part of CONNECT that is published for a client that is lost.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
}

impl Will {
    pub(crate) fn new(topic: &str, payload: &str) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos: 0, retain: false, properties: Vec::new() }
    }

    pub(crate) fn qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn retain(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Connect {
    /// Clean Start 0, Clean Session 0: what there is of a session is resumed.
    pub(crate) fn resume(self) -> Self {
        Self { clean: false, ..self }
    }

    /// The session outlives the connection.
    pub(crate) fn lasting(self) -> Self {
        match self.version {
            Version::V311 => self.resume(),
            Version::V5 => self.resume().property(long(SESSION_EXPIRY_INTERVAL, 300)),
        }
    }

    pub(crate) fn id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    pub(crate) fn keep_alive(self, seconds: u16) -> Self {
        Self { keep_alive: seconds, ..self }
    }

    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    pub(crate) fn will(self, will: Will) -> Self {
        Self { will: Some(will), ..self }
    }

    /// The Connect Flags.
    pub(crate) fn flags(&self) -> u8 {
        let will = self.will.as_ref().map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        u8::from(self.clean) << 1
            | will
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7
    }

    /// The packet with other Connect Flags than its payload needs.
    pub(crate) fn with_flags(&self, flags: u8) -> Vec<u8> {
        self.bytes_as("MQTT", self.version as u8, flags)
    }

    /// The packet with this protocol name, level and flags.
    pub(crate) fn bytes_as(&self, protocol: &str, level: u8, flags: u8) -> Vec<u8> {
        let mut body = string(protocol);
        body.extend([level, flags]);
        body.extend(two(self.keep_alive));
        body.extend(with_length(self.version, &self.properties));
        body.extend(string(&self.id));
        if let Some(will) = &self.will {
            body.extend(with_length(self.version, &will.properties));
            body.extend(string(&will.topic));
            body.extend(string(&will.payload));
        }
        body.extend(self.user_name.iter().flat_map(string));
        body.extend(self.password.iter().flat_map(string));
        packet(0x10, &body)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.with_flags(self.flags())
    }
}

/// PUBLISH.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) version: Version,
    pub(crate) topic: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) id: u16,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Publication {
    /// QoS 0.
    pub(crate) fn new(version: Version, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        let (topic, payload) = (topic.as_ref().to_vec(), payload.as_ref().to_vec());
        Self { version, topic, qos: 0, id: 0, dup: false, retain: false, properties: Vec::new(), payload }
    }

    pub(crate) fn qos(self, qos: u8, id: u16) -> Self {
        Self { qos, id, ..self }
    }

    pub(crate) fn retain(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn dup(self) -> Self {
        Self { dup: true, ..self }
    }

    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl From<Publication> for Vec<u8> {
    fn from(publication: Publication) -> Self {
        let mut body = string(&publication.topic);
        if publication.qos > 0 {
            body.extend(two(publication.id));
        }
        body.extend(with_length(publication.version, &publication.properties));
        body.extend(&publication.payload);
        let flags = u8::from(publication.dup) << 3 | publication.qos << 1 | u8::from(publication.retain);
        packet(0x30 | flags, &body)
    }
}

/// SUBSCRIBE with each filter and its options.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    properties: &[u8],
    filters: &[(impl AsRef<[u8]>, u8)],
) -> Vec<u8> {
    let mut body = two(id).to_vec();
    body.extend(with_length(version, properties));
    for (filter, options) in filters {
        body.extend(string(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut body = two(id).to_vec();
    body.extend(with_length(version, &[]));
    for filter in filters {
        body.extend(string(filter));
    }
    packet(0xa2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP in the shortest form, which is the same in all versions.
pub(crate) fn acknowledge(first_byte: u8, id: u16) -> Vec<u8> {
    packet(first_byte, &two(id))
}

/// DISCONNECT with this Reason Code and these properties (5.0).
pub(crate) fn disconnect(code: u8, properties: &[u8]) -> Vec<u8> {
    packet(0xe0, &[vec![code], with_length(Version::V5, properties)].concat())
}

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const UNSUBACK: u8 = 0xb0;
pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

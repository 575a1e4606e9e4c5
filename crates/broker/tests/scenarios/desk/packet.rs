//! One packet as a test writes it and reads it: owned, flat, comparable.

use std::borrow::Cow;
use std::fmt;

use noctule_protocol::frame::{PacketType, next_frame};
use noctule_protocol::packet::{
    Auth, Connack, ConnackCode, Disconnect, Filters, Packet, Puback, Pubcomp, Publish, PublishQoS, Pubrec,
    Pubrel, RetainHandling, Suback, Subscribe, SubscriptionOptions, Unsuback, Unsubscribe,
    UnsubscribeFilters,
};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{
    ConnectReturnCode, PacketId, ProtocolVersion, QoS, ReasonCode, Role, SubscriptionFilter,
};

/// Fields that a packet does not have stay empty.
#[derive(Clone, PartialEq)]
pub(crate) struct Wire {
    pub(crate) kind: PacketType,
    pub(crate) id: u16,
    pub(crate) code: u8,
    pub(crate) qos: QoS,
    /// DUP.
    pub(crate) dup: bool,
    /// RETAIN, or Session Present.
    pub(crate) flag: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) codes: Vec<u8>,
    pub(crate) filters: Vec<(String, SubscriptionOptions)>,
    pub(crate) properties: Properties<'static>,
}

fn wire(kind: PacketType) -> Wire {
    Wire {
        kind,
        id: 0,
        code: 0,
        qos: QoS::AtMostOnce,
        dup: false,
        flag: false,
        topic: String::new(),
        payload: Vec::new(),
        codes: Vec::new(),
        filters: Vec::new(),
        properties: Properties::EMPTY,
    }
}

fn numbered(kind: PacketType, id: u16) -> Wire {
    Wire { id, ..wire(kind) }
}

/// PUBLISH with QoS 0.
pub(crate) fn publish(topic: &str, payload: impl AsRef<[u8]>) -> Wire {
    Wire { topic: topic.to_owned(), payload: payload.as_ref().to_vec(), ..wire(PacketType::Publish) }
}

pub(crate) fn puback(id: u16) -> Wire {
    numbered(PacketType::Puback, id)
}

pub(crate) fn pubrec(id: u16) -> Wire {
    numbered(PacketType::Pubrec, id)
}

pub(crate) fn pubrel(id: u16) -> Wire {
    numbered(PacketType::Pubrel, id)
}

pub(crate) fn pubcomp(id: u16) -> Wire {
    numbered(PacketType::Pubcomp, id)
}

pub(crate) fn suback<const N: usize>(id: u16, codes: [u8; N]) -> Wire {
    Wire { codes: codes.to_vec(), ..numbered(PacketType::Suback, id) }
}

pub(crate) fn unsuback<const N: usize>(id: u16, codes: [u8; N]) -> Wire {
    Wire { codes: codes.to_vec(), ..numbered(PacketType::Unsuback, id) }
}

pub(crate) fn pingreq() -> Wire {
    wire(PacketType::Pingreq)
}

pub(crate) fn pingresp() -> Wire {
    wire(PacketType::Pingresp)
}

pub(crate) fn disconnect() -> Wire {
    wire(PacketType::Disconnect)
}

pub(crate) fn auth(reason: ReasonCode) -> Wire {
    wire(PacketType::Auth).reason(reason)
}

/// A SUBSCRIBE to one filter.
pub(crate) fn subscribe(id: u16, filter: &str, options: impl Into<Options>) -> Wire {
    numbered(PacketType::Subscribe, id).and(filter, options)
}

pub(crate) fn unsubscribe<const N: usize>(id: u16, filters: [&str; N]) -> Wire {
    let filters = filters.map(|filter| (filter.to_owned(), SubscriptionOptions::default())).to_vec();
    Wire { filters, ..numbered(PacketType::Unsubscribe, id) }
}

/// Subscription Options, written as a QoS level or in full.
#[derive(Clone, Copy)]
pub(crate) struct Options(pub(crate) SubscriptionOptions);

impl From<u8> for Options {
    fn from(level: u8) -> Self {
        Self(SubscriptionOptions::new(QoS::from_level(level).expect("a QoS level")))
    }
}

impl Options {
    pub(crate) fn no_local(mut self) -> Self {
        self.0.no_local = true;
        self
    }

    pub(crate) fn retain_as_published(mut self) -> Self {
        self.0.retain_as_published = true;
        self
    }

    pub(crate) fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.0.retain_handling = handling;
        self
    }
}

/// `qos(1).no_local()`
pub(crate) fn qos(level: u8) -> Options {
    Options::from(level)
}

impl Wire {
    pub(crate) fn qos1(self, id: u16) -> Self {
        Self { qos: QoS::AtLeastOnce, id, ..self }
    }

    pub(crate) fn qos2(self, id: u16) -> Self {
        Self { qos: QoS::ExactlyOnce, id, ..self }
    }

    /// At this level; QoS 0 has no identifier.
    pub(crate) fn at(self, qos: QoS, id: u16) -> Self {
        Self { qos, id: if qos == QoS::AtMostOnce { 0 } else { id }, ..self }
    }

    pub(crate) fn dup(self) -> Self {
        Self { dup: true, ..self }
    }

    pub(crate) fn retained(self) -> Self {
        Self { flag: true, ..self }
    }

    pub(crate) fn reason(self, reason: ReasonCode) -> Self {
        Self { code: reason.code(), ..self }
    }

    pub(crate) fn with(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    /// One more filter.
    pub(crate) fn and(mut self, filter: &str, options: impl Into<Options>) -> Self {
        self.filters.push((filter.to_owned(), options.into().0));
        self
    }

    pub(crate) fn is_publish(&self) -> bool {
        self.kind == PacketType::Publish
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// What another version leaves out.
    pub(crate) fn seen_by(mut self, version: ProtocolVersion) -> Self {
        if version != ProtocolVersion::V5 {
            self.properties = Properties::EMPTY;
            match self.kind {
                PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
                    self.code = 0;
                }
                PacketType::Unsuback => self.codes.clear(),
                _ => {}
            }
        }
        self
    }

    pub(crate) fn encode(&self, version: ProtocolVersion) -> Vec<u8> {
        let properties = self.properties.borrowed();
        let reason = ReasonCode::from_u8(self.code).expect("a reason code");
        let id = PacketId::new(self.id);
        let packet_id = || id.expect("a packet identifier");
        let packet = match self.kind {
            PacketType::Publish => Packet::Publish(Publish {
                dup: self.dup,
                qos: PublishQoS::new(self.qos, id).expect("an identifier with QoS 1 and 2 only"),
                retain: self.flag,
                topic: &self.topic,
                properties,
                payload: &self.payload,
            }),
            PacketType::Puback => Packet::Puback(Puback { packet_id: packet_id(), reason, properties }),
            PacketType::Pubrec => Packet::Pubrec(Pubrec { packet_id: packet_id(), reason, properties }),
            PacketType::Pubrel => Packet::Pubrel(Pubrel { packet_id: packet_id(), reason, properties }),
            PacketType::Pubcomp => Packet::Pubcomp(Pubcomp { packet_id: packet_id(), reason, properties }),
            PacketType::Subscribe => {
                let pairs = self.filters.iter().map(|(filter, options)| (parsed(filter), *options));
                let filters = Filters::from_pairs(pairs).expect("a filter");
                Packet::Subscribe(Subscribe { packet_id: packet_id(), properties, filters })
            }
            PacketType::Unsubscribe => {
                let filters = self.filters.iter().map(|(filter, _)| parsed(filter));
                let filters = UnsubscribeFilters::from_filters(filters).expect("a filter");
                Packet::Unsubscribe(Unsubscribe { packet_id: packet_id(), properties, filters })
            }
            PacketType::Pingreq => Packet::Pingreq,
            PacketType::Pingresp => Packet::Pingresp,
            PacketType::Disconnect => Packet::Disconnect(Disconnect { reason, properties }),
            PacketType::Auth => Packet::Auth(Auth { reason, properties }),
            PacketType::Suback => {
                let codes = Cow::Borrowed(&self.codes[..]);
                Packet::Suback(Suback { packet_id: packet_id(), properties, codes })
            }
            PacketType::Unsuback => {
                let codes = Cow::Borrowed(&self.codes[..]);
                Packet::Unsuback(Unsuback { packet_id: packet_id(), properties, codes })
            }
            PacketType::Connack => Packet::Connack(Connack {
                session_present: self.flag,
                code: ConnackCode::V5(reason),
                properties,
            }),
            PacketType::Connect => unreachable!("a Hello makes CONNECT"),
        };
        let mut out = Vec::new();
        packet.encode(version, &mut out).expect("a packet this version has");
        out
    }

    /// The first whole packet in `bytes`, and its length.
    pub(crate) fn read(bytes: &[u8], version: ProtocolVersion) -> Option<(Self, usize)> {
        let (frame, length) = next_frame(bytes, u32::MAX).expect("a frame")?;
        let packet = Packet::decode(frame, version).expect("a packet");
        packet.check_sender(Role::Server, version).expect("a packet that a server may send");
        Some((Self::from_packet(packet, version), length))
    }

    fn from_packet(packet: Packet<'_>, version: ProtocolVersion) -> Self {
        let base = wire(packet.packet_type());
        let acknowledgement = |id: PacketId, reason: ReasonCode, properties: Properties<'_>| Self {
            id: id.get(),
            code: reason.code(),
            properties: properties.into_owned(),
            ..base.clone()
        };
        match packet {
            Packet::Connack(Connack { session_present, code, properties }) => Self {
                flag: session_present,
                code: match code {
                    ConnackCode::V3(code) => code.code(),
                    ConnackCode::V5(code) => code.code(),
                },
                properties: properties.into_owned(),
                ..base
            },
            Packet::Publish(Publish { dup, qos, retain, topic, properties, payload }) => Self {
                dup,
                qos: qos.qos(),
                id: qos.packet_id().map_or(0, PacketId::get),
                flag: retain,
                topic: topic.to_owned(),
                payload: payload.to_vec(),
                properties: properties.into_owned(),
                ..base
            },
            Packet::Puback(Puback { packet_id, reason, properties }) => {
                acknowledgement(packet_id, reason, properties)
            }
            Packet::Pubrec(Pubrec { packet_id, reason, properties }) => {
                acknowledgement(packet_id, reason, properties)
            }
            Packet::Pubrel(Pubrel { packet_id, reason, properties }) => {
                acknowledgement(packet_id, reason, properties)
            }
            Packet::Pubcomp(Pubcomp { packet_id, reason, properties }) => {
                acknowledgement(packet_id, reason, properties)
            }
            Packet::Suback(Suback { packet_id, properties, codes })
            | Packet::Unsuback(Unsuback { packet_id, properties, codes }) => Self {
                id: packet_id.get(),
                codes: codes.into_owned(),
                properties: properties.into_owned(),
                ..base
            },
            Packet::Pingresp => base,
            Packet::Disconnect(Disconnect { reason, properties }) => {
                assert_eq!(version, ProtocolVersion::V5, "only 5.0 servers send DISCONNECT");
                Self { code: reason.code(), properties: properties.into_owned(), ..base }
            }
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Pingreq
            | Packet::Auth(_) => panic!("the broker sent a {}", base.kind.name()),
        }
    }
}

fn parsed(filter: &str) -> SubscriptionFilter<'_> {
    SubscriptionFilter::parse(filter).expect("a topic filter")
}

/// Only what is there: `PUBLISH q1 #3 retain "a/b" "on"`.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.is_publish() {
            write!(f, " q{}", self.qos.level())?;
        }
        if self.id != 0 {
            write!(f, " #{}", self.id)?;
        }
        for (set, name) in [(self.dup, " dup"), (self.flag, " flag")] {
            if set {
                f.write_str(name)?;
            }
        }
        if self.code != 0 {
            write!(f, " 0x{:02X}", self.code)?;
        }
        if self.is_publish() {
            write!(f, " {:?} {:?}", self.topic, String::from_utf8_lossy(&self.payload))?;
        }
        if !self.codes.is_empty() {
            write!(f, " {:02X?}", self.codes)?;
        }
        for (filter, options) in &self.filters {
            write!(f, " {filter:?}:{:02X}", options.to_byte())?;
        }
        for property in self.properties.iter() {
            write!(f, " {property:?}")?;
        }
        Ok(())
    }
}

/// CONNACK without properties.
pub(crate) fn connack(code: u8) -> Wire {
    Wire { code, ..wire(PacketType::Connack) }
}

/// How a 3.x client is told.
pub(crate) fn refused(code: ConnectReturnCode) -> Wire {
    connack(code.code())
}

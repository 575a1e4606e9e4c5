//! The fifteen control packets, one file each, the versions side by side.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod pingreq;
mod pingresp;
mod puback;
mod pubcomp;
mod publish;
mod publish_run;
mod pubrec;
mod pubrel;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;
#[cfg(test)]
pub(crate) mod wire;

pub use ack::{AckKind, PlainAck, acknowledgement};
pub use auth::Auth;
pub use connack::{Connack, ConnackCode};
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use pingreq::Pingreq;
pub use pingresp::Pingresp;
pub use puback::Puback;
pub use pubcomp::Pubcomp;
pub use publish::{Publish, PublishQoS, encode_plain};
pub use publish_run::{Place, PublishRun, RunShape};
pub use pubrec::Pubrec;
pub use pubrel::Pubrel;
pub use suback::Suback;
pub use subscribe::{FilterIter, Filters, RetainHandling, Subscribe, SubscriptionOptions};
pub use unsuback::Unsuback;
pub use unsubscribe::{Unsubscribe, UnsubscribeFilterIter, UnsubscribeFilters};

use crate::frame::{Frame, PacketType};
use crate::{DecodeError, EncodeError, ProtocolVersion, ReasonCode, Role};

/// One control packet, well formed for its version. Borrows from the bytes it was read from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each variant is the packet of that name")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Puback<'a>),
    Pubrec(Pubrec<'a>),
    Pubrel(Pubrel<'a>),
    Pubcomp(Pubcomp<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a frame of a connection that speaks `version`. A CONNECT tells its version itself.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        Ok(match frame.packet_type()? {
            PacketType::Connect => Self::Connect(Connect::decode(frame)?),
            PacketType::Connack => Self::Connack(Connack::decode(frame, version)?),
            PacketType::Publish => Self::Publish(Publish::decode(frame, version)?),
            PacketType::Puback => Self::Puback(Puback::decode(frame, version)?),
            PacketType::Pubrec => Self::Pubrec(Pubrec::decode(frame, version)?),
            PacketType::Pubrel => Self::Pubrel(Pubrel::decode(frame, version)?),
            PacketType::Pubcomp => Self::Pubcomp(Pubcomp::decode(frame, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(frame, version)?),
            PacketType::Suback => Self::Suback(Suback::decode(frame, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(frame, version)?),
            PacketType::Unsuback => Self::Unsuback(Unsuback::decode(frame, version)?),
            PacketType::Pingreq => {
                Pingreq::decode(frame, version)?;
                Self::Pingreq
            }
            PacketType::Pingresp => {
                Pingresp::decode(frame, version)?;
                Self::Pingresp
            }
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(frame, version)?),
            PacketType::Auth => Self::Auth(Auth::decode(frame, version)?),
        })
    }

    /// Appends the whole packet. On an error `out` is as it was. A CONNECT is written in its own version.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::Connack(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::Puback(packet) => packet.encode(version, out),
            Self::Pubrec(packet) => packet.encode(version, out),
            Self::Pubrel(packet) => packet.encode(version, out),
            Self::Pubcomp(packet) => packet.encode(version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::Suback(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::Unsuback(packet) => packet.encode(version, out),
            Self::Pingreq => Pingreq.encode(version, out),
            Self::Pingresp => Pingresp.encode(version, out),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }

    /// Which packet this is.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Whether this end may send this packet with these contents: the packet itself, a reason code or property that
    /// only the other end may use. The state of the connection is not looked at.
    pub fn check_sender(&self, sender: Role, version: ProtocolVersion) -> Result<(), DecodeError> {
        if !self.packet_type().sent_by(sender, version) {
            return Err(DecodeError::protocol("packet may not be sent by this end"));
        }
        match self {
            Self::Publish(publish) => publish.check_sender(sender),
            Self::Disconnect(disconnect) => disconnect.check_sender(sender),
            Self::Auth(auth) if !auth.reason.sent_by(sender, PacketType::Auth) => {
                Err(DecodeError::protocol("reason code may not be sent by this end"))
            }
            _ => Ok(()),
        }
    }
}

/// A reason code that this packet may carry.
fn reason_code(code: u8, packet_type: PacketType) -> Result<ReasonCode, DecodeError> {
    match ReasonCode::from_u8(code) {
        Some(reason) if reason.allowed_in(packet_type) => Ok(reason),
        Some(_) | None => Err(DecodeError::protocol("reason code is not one of this packet")),
    }
}

#[cfg(test)]
mod tests {
    use super::wire::{ALL, V5, V311, bytes};
    use super::*;
    use crate::frame::next_frame;

    #[test]
    fn each_end_sends_its_packets() {
        let table = [
            (r#"10 .. "MQTT" 04 02 003C "id""#, true, false),
            ("20 02 00 00", false, true),
            (r#"30 03 "a""#, true, true),
            ("40 02 0001", true, true),
            ("50 02 0001", true, true),
            ("62 02 0001", true, true),
            ("70 02 0001", true, true),
            (r#"82 .. 0001 "a" 00"#, true, false),
            ("90 03 0001 00", false, true),
            (r#"A2 .. 0001 "a""#, true, false),
            ("B0 02 0001", false, true),
            ("C0 00", true, false),
            ("D0 00", false, true),
            ("E0 00", true, false),
        ];
        for (notation, client, server) in table {
            let bytes = bytes(notation);
            let (frame, _) = next_frame(&bytes, u32::MAX).unwrap().unwrap();
            let packet = Packet::decode(frame, V311).unwrap();
            assert_eq!(frame.packet_type(), Ok(packet.packet_type()));
            assert_eq!(packet.check_sender(Role::Client, V311).is_ok(), client, "{notation}");
            assert_eq!(packet.check_sender(Role::Server, V311).is_ok(), server, "{notation}");
        }
        let auth = |reason| Packet::Auth(Auth { reason, properties: crate::property::Properties::EMPTY });
        let may = |reason, role| auth(reason).check_sender(role, V5).is_ok();
        assert!(may(ReasonCode::Success, Role::Server) && !may(ReasonCode::Success, Role::Client));
        assert!(
            may(ReasonCode::ReAuthenticate, Role::Client) && !may(ReasonCode::ReAuthenticate, Role::Server)
        );
        let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        assert!(goodbye.check_sender(Role::Server, V5).is_ok());
    }

    #[test]
    fn type_0_is_no_packet() {
        for version in ALL {
            let refused = Packet::decode(Frame::new(0, b""), version);
            assert_eq!(refused.map_err(|error| error.reason), Err(ReasonCode::MalformedPacket));
        }
    }
}

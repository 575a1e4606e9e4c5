//! DISCONNECT: the last packet of an end (section 3.14).

use super::ack::{put_tail, reason_and_properties, tail_len};
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, ProtocolVersion, ReasonCode, Role};

/// The sender closes the connection. On 3.x only clients say so, and always mean success.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnect<'a> {
    /// Why. `Success` is Normal disconnection: the will is discarded [MQTT-3.14.4-3].
    pub reason: ReasonCode,
    /// Session Expiry Interval, Reason String, Server Reference, User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A reason without properties.
    pub const fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: Properties::EMPTY }
    }

    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        frame.expect(PacketType::Disconnect, version)?; // [MQTT-3.14.1-1]
        let mut fields = Fields::new(frame.body);
        let (reason, properties) = match version {
            ProtocolVersion::V31 | ProtocolVersion::V311 => (ReasonCode::Success, Properties::EMPTY),
            ProtocolVersion::V5 => {
                reason_and_properties(&mut fields, PacketType::Disconnect, PropertyPlace::Disconnect)?
            }
        };
        fields.finish()?;
        Ok(Self { reason, properties })
    }

    /// Appends the whole packet in its shortest form. 3.x leaves the reason and the properties out.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let tail = tail_len(self.reason, &self.properties, version)?;
        frame::start(out, PacketType::Disconnect.first_byte(), tail)?;
        put_tail(self.reason, &self.properties, tail, out);
        Ok(())
    }

    /// Whether this end may say so: the reason [MQTT-3.14.2-1], Session Expiry Interval from clients only
    /// [MQTT-3.14.2-2], Server Reference from servers only.
    pub fn check_sender(&self, sender: Role) -> Result<(), DecodeError> {
        if !self.reason.sent_by(sender, PacketType::Disconnect) {
            return Err(DecodeError::protocol("reason code may not be sent by this end"));
        }
        let foreign = match sender {
            Role::Client => self.properties.server_reference().is_some(),
            Role::Server => self.properties.session_expiry_interval().is_some(),
        };
        if foreign {
            return Err(DecodeError::protocol("property may not be sent by this end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet::wire::{ALL, BEFORE_5, V5, V311, accept, check, malformed, protocol_error};
    use crate::property::Property;

    #[test]
    fn the_plain_form_is_the_same_in_all_versions() {
        for version in ALL {
            check(version, "E0 00", Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
            malformed(version, &["E1 00", "E2 00", "E8 00"]); // [MQTT-3.14.1-1] [MQTT311-3.14.1-1]
        }
        for version in BEFORE_5 {
            malformed(version, &["E0 01 00", "E0 02 00 00"]);
        }
        malformed(V5, &["E0 02 00 01", "E0 03 00 00 00", "E0 8000"]);
        let mut out = Vec::new();
        Disconnect::new(ReasonCode::ServerBusy).encode(V311, &mut out).unwrap();
        assert_eq!(out, [0xE0, 0]);
    }

    #[test]
    fn every_reason() {
        for code in 0..=255 {
            let short = format!("E0 01 {code:02X}");
            let long = format!("E0 02 {code:02X} 00");
            match ReasonCode::from_u8(code) {
                Some(reason) if reason.allowed_in(PacketType::Disconnect) => {
                    let packet = Packet::Disconnect(Disconnect::new(reason));
                    accept(V5, &long, packet.clone());
                    match reason {
                        ReasonCode::Success => accept(V5, &short, packet),
                        _ => check(V5, &short, packet),
                    }
                }
                Some(_) | None => protocol_error(V5, &[&short, &long]), // [MQTT-3.14.2-1]
            }
        }
    }

    #[test]
    fn properties_belong_to_one_end() {
        let with = |property| Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::new([
                property,
                Property::ReasonString("r"),
                Property::UserProperty("a", "b"),
            ]),
        };
        let expiry = with(Property::SessionExpiryInterval(1));
        let elsewhere = with(Property::ServerReference("s"));
        check(V5, r#"E0 .. 00 [ 11 00000001 1F "r" 26 "a" "b" ]"#, Packet::Disconnect(expiry.clone()));
        check(V5, r#"E0 .. 00 [ 1C "s" 1F "r" 26 "a" "b" ]"#, Packet::Disconnect(elsewhere.clone()));
        let may = |disconnect: &Disconnect<'_>, role| disconnect.check_sender(role).is_ok();
        assert_eq!((may(&expiry, Role::Client), may(&expiry, Role::Server)), (true, false)); // [MQTT-3.14.2-2]
        assert_eq!((may(&elsewhere, Role::Client), may(&elsewhere, Role::Server)), (false, true));
        let will = Disconnect::new(ReasonCode::DisconnectWithWillMessage);
        assert_eq!((may(&will, Role::Client), may(&will, Role::Server)), (true, false));
        let taken = Disconnect::new(ReasonCode::SessionTakenOver);
        assert_eq!((may(&taken, Role::Client), may(&taken, Role::Server)), (false, true));
    }
}

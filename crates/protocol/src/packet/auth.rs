//! AUTH: one step of an extended authentication, 5.0 only (section 3.15).

use super::ack::{put_tail, reason_and_properties, tail_len};
use crate::field::Fields;
use crate::frame::{self, Frame, PacketType};
use crate::property::{Properties, PropertyPlace};
use crate::{DecodeError, EncodeError, ProtocolVersion, ReasonCode};

/// One step of an authentication that takes more than CONNECT and CONNACK.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Auth<'a> {
    /// `Success`, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// Authentication Method and Data, Reason String, User Properties.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Reads a frame.
    pub fn decode(frame: Frame<'a>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        if !version.has_properties() {
            return Err(DecodeError::malformed("packet type 15 is reserved"));
        }
        frame.expect(PacketType::Auth, version)?; // [MQTT-3.15.1-1]
        let mut fields = Fields::new(frame.body);
        let (reason, properties) = reason_and_properties(&mut fields, PacketType::Auth, PropertyPlace::Auth)?;
        fields.finish()?;
        // It is a Protocol Error to omit the method (section 3.15.2.2.2), but the form without any body means
        // Success without properties (section 3.15.2.1).
        if !frame.body.is_empty() && properties.authentication_method().is_none() {
            return Err(DecodeError::protocol("AUTH without an authentication method"));
        }
        Ok(Self { reason, properties })
    }

    /// Appends the whole packet in its shortest form.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !version.has_properties() {
            return Err(EncodeError::NotInVersion { packet: PacketType::Auth.name(), version });
        }
        let tail = tail_len(self.reason, &self.properties, version)?;
        frame::start(out, PacketType::Auth.first_byte(), tail)?;
        put_tail(self.reason, &self.properties, tail, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::packet::wire::{BEFORE_5, V5, V311, accept, check, malformed, protocol_error};
    use crate::property::Property;

    #[test]
    fn auth() {
        let properties = Properties::new([
            Property::AuthenticationMethod("m"),
            Property::AuthenticationData(b"d"),
            Property::ReasonString("r"),
            Property::UserProperty("a", "b"),
        ]);
        for code in 0..=255 {
            let notation = format!(r#"F0 .. {code:02X} [ 15 "m" 16 "d" 1F "r" 26 "a" "b" ]"#);
            match ReasonCode::from_u8(code) {
                Some(reason) if reason.allowed_in(PacketType::Auth) => {
                    check(V5, &notation, Packet::Auth(Auth { reason, properties: properties.clone() }));
                }
                Some(_) | None => protocol_error(V5, &[&notation]), // [MQTT-3.15.2-1]
            }
        }
        check(V5, "F0 00", Packet::Auth(Auth { reason: ReasonCode::Success, properties: Properties::EMPTY }));
        let method = Properties::new([Property::AuthenticationMethod("")]);
        accept(
            V5,
            r#"F0 .. 18 [ 15 "" ]"#,
            Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, properties: method }),
        );
    }

    #[test]
    fn mistakes() {
        // Sections 3.15.2.2.2 and 3.15.2.2.3.
        protocol_error(
            V5,
            &[
                "F0 01 18",
                "F0 02 18 00",
                r#"F0 .. 18 [ 1F "r" ]"#,
                r#"F0 .. 18 [ 16 "d" ]"#,
                r#"F0 .. 18 [ 15 "m" 15 "m" ]"#,
            ],
        );
        malformed(V5, &["F1 00", "F0 02 18 01", r#"F0 .. 18 [ 15 "m" ] 00"#, r#"F0 .. 18 [ 11 00000000 ]"#]); // [MQTT-3.15.1-1]
        for version in BEFORE_5 {
            malformed(version, &["F0 00", r#"F0 .. 18 [ 15 "m" ]"#]); // section 2.2.1 of 3.1.1
        }
        let auth = Auth { reason: ReasonCode::Success, properties: Properties::EMPTY };
        assert!(auth.encode(V311, &mut Vec::new()).is_err());
    }
}

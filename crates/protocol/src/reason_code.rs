//! THE reason codes of MQTT 5.0 (section 2.4) and the return codes of 3.x.

use crate::Role;
use crate::frame::PacketType;

macro_rules! reason_codes {
    ($($code:literal $name:ident $words:literal $($packet:ident)+;)+) => {
        /// The result of an operation. Where the standard has several names for 0x00 it is `Success`.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = $words] $name = $code,)+
        }

        impl ReasonCode {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// `None` for a number that the standard does not define.
            pub const fn from_u8(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The standard's words in lower case.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)+
                }
            }

            /// Whether this packet may carry the code.
            pub const fn allowed_in(self, packet_type: PacketType) -> bool {
                let packets = match self {
                    $(Self::$name => $(1_u16 << PacketType::$packet as u8)|+,)+
                };
                packets & 1 << packet_type as u8 != 0
            }
        }
    };
}

reason_codes! {
    0x00 Success "success" Connack Puback Pubrec Pubrel Pubcomp Suback Unsuback Disconnect Auth;
    0x01 GrantedQoS1 "granted qos 1" Suback;
    0x02 GrantedQoS2 "granted qos 2" Suback;
    0x04 DisconnectWithWillMessage "disconnect with will message" Disconnect;
    0x10 NoMatchingSubscribers "no matching subscribers" Puback Pubrec;
    0x11 NoSubscriptionExisted "no subscription existed" Unsuback;
    0x18 ContinueAuthentication "continue authentication" Auth;
    0x19 ReAuthenticate "re-authenticate" Auth;
    0x80 UnspecifiedError "unspecified error" Connack Puback Pubrec Suback Unsuback Disconnect;
    0x81 MalformedPacket "malformed packet" Connack Disconnect;
    0x82 ProtocolError "protocol error" Connack Disconnect;
    0x83 ImplementationSpecificError "implementation specific error" Connack Puback Pubrec Suback Unsuback Disconnect;
    0x84 UnsupportedProtocolVersion "unsupported protocol version" Connack;
    0x85 ClientIdentifierNotValid "client identifier not valid" Connack;
    0x86 BadUserNameOrPassword "bad user name or password" Connack;
    0x87 NotAuthorized "not authorized" Connack Puback Pubrec Suback Unsuback Disconnect;
    0x88 ServerUnavailable "server unavailable" Connack;
    0x89 ServerBusy "server busy" Connack Disconnect;
    0x8A Banned "banned" Connack;
    0x8B ServerShuttingDown "server shutting down" Disconnect;
    0x8C BadAuthenticationMethod "bad authentication method" Connack Disconnect;
    0x8D KeepAliveTimeout "keep alive timeout" Disconnect;
    0x8E SessionTakenOver "session taken over" Disconnect;
    0x8F TopicFilterInvalid "topic filter invalid" Suback Unsuback Disconnect;
    0x90 TopicNameInvalid "topic name invalid" Connack Puback Pubrec Disconnect;
    0x91 PacketIdentifierInUse "packet identifier in use" Puback Pubrec Suback Unsuback;
    0x92 PacketIdentifierNotFound "packet identifier not found" Pubrel Pubcomp;
    0x93 ReceiveMaximumExceeded "receive maximum exceeded" Disconnect;
    0x94 TopicAliasInvalid "topic alias invalid" Disconnect;
    0x95 PacketTooLarge "packet too large" Connack Disconnect;
    0x96 MessageRateTooHigh "message rate too high" Disconnect;
    0x97 QuotaExceeded "quota exceeded" Connack Puback Pubrec Suback Disconnect;
    0x98 AdministrativeAction "administrative action" Disconnect;
    0x99 PayloadFormatInvalid "payload format invalid" Connack Puback Pubrec Disconnect;
    0x9A RetainNotSupported "retain not supported" Connack Disconnect;
    0x9B QoSNotSupported "qos not supported" Connack Disconnect;
    0x9C UseAnotherServer "use another server" Connack Disconnect;
    0x9D ServerMoved "server moved" Connack Disconnect;
    0x9E SharedSubscriptionsNotSupported "shared subscriptions not supported" Suback Disconnect;
    0x9F ConnectionRateExceeded "connection rate exceeded" Connack Disconnect;
    0xA0 MaximumConnectTime "maximum connect time" Disconnect;
    0xA1 SubscriptionIdentifiersNotSupported "subscription identifiers not supported" Suback Disconnect;
    0xA2 WildcardSubscriptionsNotSupported "wildcard subscriptions not supported" Suback Disconnect;
}

impl ReasonCode {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// 0x80 and above: the operation failed.
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Which ends may put the code into a DISCONNECT (table 3-10) or AUTH (table 3-11) [MQTT-3.14.2-1] [MQTT-3.15.2-1].
    /// For other packets the type alone decides who sends them.
    pub const fn sent_by(self, role: Role, packet_type: PacketType) -> bool {
        let by_this_role = match packet_type {
            PacketType::Disconnect => match self {
                Self::DisconnectWithWillMessage => matches!(role, Role::Client),
                Self::Success
                | Self::UnspecifiedError
                | Self::MalformedPacket
                | Self::ProtocolError
                | Self::ImplementationSpecificError
                | Self::TopicNameInvalid
                | Self::ReceiveMaximumExceeded
                | Self::TopicAliasInvalid
                | Self::PacketTooLarge
                | Self::MessageRateTooHigh
                | Self::QuotaExceeded
                | Self::AdministrativeAction
                | Self::PayloadFormatInvalid
                // A client that failed to re-authenticate may close with this too (section 4.12.1).
                | Self::BadAuthenticationMethod => true,
                _ => matches!(role, Role::Server),
            },
            PacketType::Auth => match self {
                Self::Success => matches!(role, Role::Server),
                Self::ReAuthenticate => matches!(role, Role::Client),
                _ => true,
            },
            _ => true,
        };
        by_this_role && self.allowed_in(packet_type)
    }

    /// How a 3.x client is told: `None` means to close without CONNACK [MQTT311-3.2.2-6].
    pub const fn connect_return_code(self) -> Option<ConnectReturnCode> {
        match self {
            Self::Success => Some(ConnectReturnCode::Accepted),
            Self::UnsupportedProtocolVersion => Some(ConnectReturnCode::UnacceptableProtocolVersion),
            Self::ClientIdentifierNotValid => Some(ConnectReturnCode::IdentifierRejected),
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(ConnectReturnCode::ServerUnavailable),
            Self::BadUserNameOrPassword => Some(ConnectReturnCode::BadUserNameOrPassword),
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => {
                Some(ConnectReturnCode::NotAuthorised)
            }
            _ => None,
        }
    }
}

/// What a 3.x server says to CONNECT.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ConnectReturnCode {
    /// The connection stands.
    Accepted = 0,
    /// The server does not speak the level that was asked for.
    UnacceptableProtocolVersion = 1,
    /// The client identifier is not allowed.
    IdentifierRejected = 2,
    /// The service is not available now.
    ServerUnavailable = 3,
    /// User name or password are malformed or wrong.
    BadUserNameOrPassword = 4,
    /// The client may not connect.
    NotAuthorised = 5,
}

impl ConnectReturnCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::UnacceptableProtocolVersion,
        Self::IdentifierRejected,
        Self::ServerUnavailable,
        Self::BadUserNameOrPassword,
        Self::NotAuthorised,
    ];

    /// `None` for a number that the standard reserves.
    pub const fn from_u8(code: u8) -> Option<Self> {
        match code {
            0..=5 => Some(Self::ALL[code as usize]),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The 5.0 code that says the same.
    pub const fn reason_code(self) -> ReasonCode {
        match self {
            Self::Accepted => ReasonCode::Success,
            Self::UnacceptableProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::IdentifierRejected => ReasonCode::ClientIdentifierNotValid,
            Self::ServerUnavailable => ReasonCode::ServerUnavailable,
            Self::BadUserNameOrPassword => ReasonCode::BadUserNameOrPassword,
            Self::NotAuthorised => ReasonCode::NotAuthorized,
        }
    }

    /// The standard's words in lower case.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Accepted => "connection accepted",
            Self::UnacceptableProtocolVersion => "unacceptable protocol version",
            Self::IdentifierRejected => "identifier rejected",
            Self::ServerUnavailable => "server unavailable",
            Self::BadUserNameOrPassword => "bad user name or password",
            Self::NotAuthorised => "not authorised",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's other view: the codes of each packet (tables 3-1, 3-4 to 3-10, 3-11 and sections 3.9.3, 3.11.3).
    const BY_PACKET: [(PacketType, &[u8]); 9] = [
        (
            PacketType::Connack,
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
        ),
        (PacketType::Puback, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
        (PacketType::Pubrec, &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
        (PacketType::Pubrel, &[0x00, 0x92]),
        (PacketType::Pubcomp, &[0x00, 0x92]),
        (PacketType::Suback, &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
        (PacketType::Unsuback, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        (
            PacketType::Disconnect,
            &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ],
        ),
        (PacketType::Auth, &[0x00, 0x18, 0x19]),
    ];

    #[test]
    fn codes_stand_where_the_standard_puts_them() {
        for code in 0..=255 {
            let reason = ReasonCode::from_u8(code);
            assert!(reason.is_none_or(|reason| reason.code() == code));
            for packet_type in PacketType::ALL {
                let row = BY_PACKET.iter().find(|(of, _)| *of == packet_type);
                let expected = row.is_some_and(|(_, codes)| codes.contains(&code));
                let allowed = reason.is_some_and(|reason| reason.allowed_in(packet_type));
                assert_eq!(allowed, expected, "{code:#04X} {packet_type:?}");
            }
        }
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert!(ReasonCode::ALL.is_sorted());
        assert!(ReasonCode::ALL.iter().all(|reason| reason.describe() == reason.describe().to_lowercase()));
        assert!(ReasonCode::UnspecifiedError.is_error() && !ReasonCode::ReAuthenticate.is_error());
    }

    #[test]
    fn clients_may_disconnect_for_these() {
        let of_client: Vec<_> = ReasonCode::ALL
            .iter()
            .filter(|reason| reason.sent_by(Role::Client, PacketType::Disconnect))
            .map(|reason| reason.code())
            .collect();
        let expected =
            [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x8C, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
        assert_eq!(of_client, expected);
        let only_client = ReasonCode::ALL.iter().find(|reason| {
            reason.allowed_in(PacketType::Disconnect) && !reason.sent_by(Role::Server, PacketType::Disconnect)
        });
        assert_eq!(only_client, Some(&ReasonCode::DisconnectWithWillMessage));
    }

    #[test]
    fn return_codes_are_reasons_of_their_own() {
        for code in 0..=255 {
            let Some(return_code) = ConnectReturnCode::from_u8(code) else {
                assert!(code > 5);
                continue;
            };
            assert_eq!(return_code.code(), code);
            assert_eq!(return_code.reason_code().connect_return_code(), Some(return_code));
        }
        // [MQTT311-3.2.2-6]
        assert_eq!(ReasonCode::MalformedPacket.connect_return_code(), None);
        assert_eq!(
            ReasonCode::QuotaExceeded.connect_return_code(),
            Some(ConnectReturnCode::ServerUnavailable)
        );
    }
}

//! Codes in the words of Mosquitto's clients, which scripts match on. The standard's own words, in lower case, are with
//! the codes themselves.

use noctule_client::protocol::packet::ConnackCode;
use noctule_client::protocol::{ConnectReturnCode, ReasonCode};

/// Why CONNECT was refused.
pub(crate) fn connack_text(code: ConnackCode) -> &'static str {
    match code {
        ConnackCode::V5(reason) => reason_text(reason),
        ConnackCode::V3(code) => match code {
            ConnectReturnCode::Accepted => "Connection Accepted",
            ConnectReturnCode::UnacceptableProtocolVersion => {
                "Connection Refused: unacceptable protocol version"
            }
            ConnectReturnCode::IdentifierRejected => "Connection Refused: identifier rejected",
            ConnectReturnCode::ServerUnavailable => "Connection Refused: broker unavailable",
            ConnectReturnCode::BadUserNameOrPassword => "Connection Refused: bad user name or password",
            ConnectReturnCode::NotAuthorised => "Connection Refused: not authorised",
        },
    }
}

/// The number that a refusal ends a command with.
pub(crate) fn connack_number(code: ConnackCode) -> u8 {
    match code {
        ConnackCode::V3(code) => code.code(),
        ConnackCode::V5(reason) => reason.code(),
    }
}

/// A code of MQTT 5.
pub(crate) fn reason_text(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::Success => "Success",
        ReasonCode::GrantedQoS1 => "Granted QoS 1",
        ReasonCode::GrantedQoS2 => "Granted QoS 2",
        ReasonCode::DisconnectWithWillMessage => "Disconnect with Will Message",
        ReasonCode::NoMatchingSubscribers => "No matching subscribers",
        ReasonCode::NoSubscriptionExisted => "No subscription existed",
        ReasonCode::ContinueAuthentication => "Continue authentication",
        ReasonCode::ReAuthenticate => "Re-authenticate",
        ReasonCode::UnspecifiedError => "Unspecified error",
        ReasonCode::MalformedPacket => "Malformed Packet",
        ReasonCode::ProtocolError => "Protocol Error",
        ReasonCode::ImplementationSpecificError => "Implementation specific error",
        ReasonCode::UnsupportedProtocolVersion => "Unsupported Protocol Version",
        ReasonCode::ClientIdentifierNotValid => "Client Identifier not valid",
        ReasonCode::BadUserNameOrPassword => "Bad User Name or Password",
        ReasonCode::NotAuthorized => "Not authorized",
        ReasonCode::ServerUnavailable => "Server unavailable",
        ReasonCode::ServerBusy => "Server busy",
        ReasonCode::Banned => "Banned",
        ReasonCode::ServerShuttingDown => "Server shutting down",
        ReasonCode::BadAuthenticationMethod => "Bad authentication method",
        ReasonCode::KeepAliveTimeout => "Keep Alive timeout",
        ReasonCode::SessionTakenOver => "Session taken over",
        ReasonCode::TopicFilterInvalid => "Topic Filter invalid",
        ReasonCode::TopicNameInvalid => "Topic Name invalid",
        ReasonCode::PacketIdentifierInUse => "Packet Identifier in use",
        ReasonCode::PacketIdentifierNotFound => "Packet Identifier not found",
        ReasonCode::ReceiveMaximumExceeded => "Receive Maximum exceeded",
        ReasonCode::TopicAliasInvalid => "Topic Alias invalid",
        ReasonCode::PacketTooLarge => "Packet too large",
        ReasonCode::MessageRateTooHigh => "Message rate too high",
        ReasonCode::QuotaExceeded => "Quota exceeded",
        ReasonCode::AdministrativeAction => "Administrative action",
        ReasonCode::PayloadFormatInvalid => "Payload format invalid",
        ReasonCode::RetainNotSupported => "Retain not supported",
        ReasonCode::QoSNotSupported => "QoS not supported",
        ReasonCode::UseAnotherServer => "Use another server",
        ReasonCode::ServerMoved => "Server moved",
        ReasonCode::SharedSubscriptionsNotSupported => "Shared Subscriptions not supported",
        ReasonCode::ConnectionRateExceeded => "Connection rate exceeded",
        ReasonCode::MaximumConnectTime => "Maximum connect time",
        ReasonCode::SubscriptionIdentifiersNotSupported => "Subscription identifiers not supported",
        ReasonCode::WildcardSubscriptionsNotSupported => "Wildcard Subscriptions not supported",
    }
}

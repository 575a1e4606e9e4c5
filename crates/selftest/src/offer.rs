//! What the server says it offers: asked once, before the first case.

use std::fmt;
use std::io;

use crate::client::Client;
use crate::exchange::Exchange;
use crate::leftovers::Leftovers;
use crate::limits::Limits;
use crate::property::{
    MAXIMUM_PACKET_SIZE, MAXIMUM_QOS, Properties, RECEIVE_MAXIMUM, RETAIN_AVAILABLE, SERVER_KEEP_ALIVE,
    SHARED_SUBSCRIPTION_AVAILABLE, SUBSCRIPTION_IDENTIFIER_AVAILABLE, TOPIC_ALIAS_MAXIMUM,
    WILDCARD_SUBSCRIPTION_AVAILABLE,
};
use crate::received::Packet;
use crate::target::Target;
use crate::verdict::{Step, Stop, not_applicable};
use crate::version::Version;
use crate::written::Connect;

/// Why there is nothing to run the cases against.
#[derive(Debug)]
pub enum Unreachable {
    /// No connection.
    Network(io::Error),
    /// It refuses every CONNECT; the text says with what.
    Refused(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => write!(f, "{error}"),
            Self::Refused(answer) => write!(f, "it refuses CONNECT of every version: {answer}"),
        }
    }
}

impl std::error::Error for Unreachable {}

/// What the CONNACK of 5.0 announces, or leaves at its default. A server without 5.0 announces nothing.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Why a version cannot be tested.
    missing: Vec<(Version, String)>,
    pub(crate) maximum_qos: u8,
    pub(crate) receive_maximum: u16,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) maximum_packet_size: Option<u32>,
    server_keep_alive: Option<u16>,
    retain: bool,
    wildcards: bool,
    subscription_identifiers: bool,
    shared_subscriptions: bool,
}

impl Offer {
    /// Asks a server, as a client whose identifier begins with `tag`.
    pub(crate) fn ask(target: &Target, tag: &str) -> Result<Self, Unreachable> {
        let mut offer = Self::of(&Properties::default());
        for version in Version::ALL {
            match connack(target, tag, version)? {
                Ok(properties) if version == Version::V5 => {
                    offer = Self { missing: offer.missing, ..Self::of(&properties) };
                }
                Ok(_) => {}
                Err(answer) => offer.missing.push((version, answer)),
            }
        }
        match offer.missing.as_slice() {
            [_, (_, answer)] => Err(Unreachable::Refused(answer.clone())),
            _ => Ok(offer),
        }
    }

    fn of(properties: &Properties) -> Self {
        let has = |identifier| properties.number(identifier) != Some(0);
        let number = |identifier, default| {
            properties.number(identifier).and_then(|value| u16::try_from(value).ok()).unwrap_or(default)
        };
        Self {
            missing: Vec::new(),
            maximum_qos: properties.number(MAXIMUM_QOS).map_or(2, |qos| qos.min(2) as u8),
            receive_maximum: number(RECEIVE_MAXIMUM, u16::MAX),
            topic_alias_maximum: number(TOPIC_ALIAS_MAXIMUM, 0),
            maximum_packet_size: properties.number(MAXIMUM_PACKET_SIZE),
            server_keep_alive: properties.has(SERVER_KEEP_ALIVE).then(|| number(SERVER_KEEP_ALIVE, 0)),
            retain: has(RETAIN_AVAILABLE),
            wildcards: has(WILDCARD_SUBSCRIPTION_AVAILABLE),
            subscription_identifiers: has(SUBSCRIPTION_IDENTIFIER_AVAILABLE),
            shared_subscriptions: has(SHARED_SUBSCRIPTION_AVAILABLE),
        }
    }

    /// Why this version cannot be tested.
    pub(crate) fn missing(&self, version: Version) -> Option<&str> {
        self.missing.iter().find(|(missing, _)| *missing == version).map(|(_, answer)| answer.as_str())
    }

    pub(crate) fn needs_qos(&self, qos: u8) -> Step {
        needs(self.maximum_qos >= qos, || format!("the server announces Maximum QoS {}", self.maximum_qos))
    }

    pub(crate) fn needs_retain(&self) -> Step {
        needs(self.retain, || "the server announces Retain Available 0".to_owned())
    }

    pub(crate) fn needs_wildcards(&self) -> Step {
        needs(self.wildcards, || "the server announces Wildcard Subscription Available 0".to_owned())
    }

    pub(crate) fn needs_subscription_identifiers(&self) -> Step {
        needs(self.subscription_identifiers, || {
            "the server announces Subscription Identifiers Available 0".to_owned()
        })
    }

    pub(crate) fn needs_shared_subscriptions(&self) -> Step {
        needs(self.shared_subscriptions, || "the server announces Shared Subscription Available 0".to_owned())
    }

    pub(crate) fn needs_own_keep_alive(&self) -> Step {
        let seconds = self.server_keep_alive.unwrap_or_default();
        needs(self.server_keep_alive.is_none(), || format!("the server chooses the Keep Alive: {seconds} s"))
    }

    /// A client of a case may be silent for so long: the Keep Alive that the server chooses is not too short.
    pub(crate) fn allows_silence_of(&self, version: Version, milliseconds: u64) -> Step {
        let seconds = match version {
            Version::V311 => 0,
            Version::V5 => self.server_keep_alive.unwrap_or_default(),
        };
        let is_short = seconds > 0 && u64::from(seconds) * 1500 <= milliseconds;
        needs(!is_short, || format!("the server chooses a short Keep Alive: {seconds} s"))
    }

    pub(crate) fn needs_topic_aliases(&self) -> Step {
        needs(self.topic_alias_maximum > 0, || "the server announces no Topic Alias Maximum".to_owned())
    }
}

fn needs(has: bool, reason: impl FnOnce() -> String) -> Step {
    if has { Ok(()) } else { not_applicable(reason()) }
}

/// The properties of a CONNACK that accepts; inside, `Err` says what came instead.
fn connack(target: &Target, tag: &str, version: Version) -> Result<Result<Properties, String>, Unreachable> {
    let stream = target.dial().map_err(Unreachable::Network)?;
    let (exchange, leftovers) = (Exchange::default(), Leftovers::default());
    let limits = Limits::new(target, false, None);
    let mut client = Client::new("probe", version, stream, target, exchange, leftovers, limits);
    let connect = Connect {
        name: "probe",
        version,
        id: format!("{tag}probe{}", version as u8),
        clean: true,
        keep_alive: 60,
        properties: Vec::new(),
        will: None,
        user_name: target.user_name.clone(),
        password: target.password.clone(),
    };
    client.send(connect.bytes());
    Ok(match client.packet("CONNACK") {
        Ok(received) => match received.packet {
            Packet::Connack { code: 0, properties, .. } => Ok(properties),
            Packet::Connack { code, .. } => {
                Err(format!("the server refuses CONNECT of MQTT {version}: CONNACK {code:#04x}"))
            }
            _ => {
                Err(format!("the server answers CONNECT of MQTT {version} with something else than CONNACK"))
            }
        },
        Err(Stop::Deviates { came, .. } | Stop::NotApplicable(came)) => {
            Err(format!("the server does not answer CONNECT of MQTT {version}: {came}"))
        }
    })
}

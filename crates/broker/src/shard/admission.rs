//! Who may come in: all that can refuse a well-formed CONNECT [MQTT-3.1.4-2].

use noctule_protocol::packet::Connect;
use noctule_protocol::{ProtocolVersion, ReasonCode};

use super::authenticate::user_name;
use super::connection::Stage;
use super::{Shard, Turn};
use crate::input::{ConnectionKey, Verdict};
use crate::memory::Pressure;
use crate::metric::Metric;
use crate::settings::ListenerSettings;

/// A CONNECT that will not be accepted.
pub(super) struct Refusal {
    pub(super) reason: ReasonCode,
    /// For the log, in Mosquitto's words where it has them.
    pub(super) why: &'static str,
}

impl Refusal {
    /// No User Name where one is needed, or not this one with this Password.
    const NOT_AUTHORIZED: Self = Self::new(ReasonCode::NotAuthorized, "not authorised");

    /// Too many are waiting to be told whether their Password is right.
    pub(super) const SERVER_BUSY: Self = Self::new(ReasonCode::ServerBusy, "server busy");

    pub(super) const fn new(reason: ReasonCode, why: &'static str) -> Self {
        Self { reason, why }
    }
}

impl ListenerSettings {
    /// The Client Identifier that a client comes with (`use_username_as_clientid`), empty if it needs one.
    pub(super) fn client_id<'a>(&self, connect: &Connect<'a>) -> &'a str {
        user_name(connect).filter(|_| self.use_username_as_clientid).unwrap_or(connect.client_id)
    }
}

impl Shard {
    /// Whether its client has a session.
    pub(super) fn is_known(&self, key: ConnectionKey, connect: &Connect<'_>, turn: &Turn<'_>) -> bool {
        let client_id = self.listener(key).map(|listener| listener.client_id(connect));
        client_id.is_some_and(|client_id| turn.shared.directory.find(client_id).is_some())
    }

    /// Whether there are as many sessions as may be (`global_max_clients`), and its client has none.
    pub(super) fn has_no_place(&self, key: ConnectionKey, connect: &Connect<'_>, turn: &Turn<'_>) -> bool {
        let most = self.settings.global_max_clients;
        most > 0 && turn.shared.session_count() >= most && !self.is_known(key, connect, turn)
    }

    /// Everything else that can refuse a well-formed CONNECT. Gives the Keep Alive to use.
    pub(super) fn examine(
        &mut self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        turn: &Turn<'_>,
    ) -> Result<u16, Refusal> {
        if self.thrift.pressure >= Pressure::RefuseConnect && !self.is_known(key, connect, turn) {
            // Whoever has a session is let in: it takes its messages out of memory.
            self.count(Metric::ConnectsRefusedMemory);
            return Err(Refusal::new(ReasonCode::QuotaExceeded, "the broker is out of memory"));
        }

        self.refuse_new_session(key, connect, turn)?;

        let Some(listener) = self.listener(key) else {
            return Err(Refusal::new(ReasonCode::ServerUnavailable, "its listener is gone"));
        };
        if !listener.protocol_versions.contains(&connect.version) {
            // [MQTT-3.1.2-2] [MQTT311-3.1.2-2]
            return Err(Refusal::new(ReasonCode::UnsupportedProtocolVersion, "unsupported protocol version"));
        }
        if connect.properties.authentication_method().is_some() {
            // [MQTT-4.12.0-1]: no method is configured.
            return Err(Refusal::new(ReasonCode::BadAuthenticationMethod, "bad authentication method"));
        }
        if connect.client_id.is_empty() {
            let may_be_empty = match connect.version {
                ProtocolVersion::V31 => false,
                // [MQTT311-3.1.3-8]
                ProtocolVersion::V311 => connect.clean_start && listener.allow_zero_length_clientid,
                ProtocolVersion::V5 => listener.allow_zero_length_clientid,
            };
            if !may_be_empty {
                return Err(Refusal::new(
                    ReasonCode::ClientIdentifierNotValid,
                    "client identifier not valid",
                ));
            }
        }
        let given = if connect.client_id.is_empty() { &listener.auto_id_prefix } else { connect.client_id };
        let has_name = user_name(connect).is_some() || !listener.use_username_as_clientid;
        if !has_name || !given.starts_with(&self.settings.clientid_prefixes) {
            return Err(Refusal::NOT_AUTHORIZED);
        }
        match self.connection(key).map(|connection| connection.stage) {
            Some(Stage::Checked { verdict: Verdict::Refused }) => return Err(Refusal::NOT_AUTHORIZED),
            Some(Stage::Checked { verdict: Verdict::Busy }) => return Err(Refusal::SERVER_BUSY),
            Some(_) | None => {}
        }
        let proves_name = listener.authenticates && user_name(connect).is_some();
        if !listener.allow_anonymous && !proves_name {
            // Without a configured way to check a user name, a name proves nothing.
            return Err(Refusal::NOT_AUTHORIZED);
        }
        if let Some(will) = &connect.will {
            if let Some(mount_point) = &listener.mount_point
                && mount_point.topic(will.topic.as_str(), &mut String::new()).is_none()
            {
                return Err(Refusal::new(
                    ReasonCode::TopicNameInvalid,
                    "the topic of its Will is too long behind the listener's mount point",
                ));
            }
            let limit = self.settings.message_size_limit;
            if limit > 0 && will.payload.len() > limit {
                // 3.x has no words for it.
                let reason = match connect.version {
                    ProtocolVersion::V5 => ReasonCode::PacketTooLarge,
                    ProtocolVersion::V31 | ProtocolVersion::V311 => ReasonCode::NotAuthorized,
                };
                return Err(Refusal::new(reason, "oversize payload"));
            }
            if will.qos > listener.maximum_qos {
                // [MQTT-3.2.2-12]
                return Err(Refusal::new(
                    ReasonCode::QoSNotSupported,
                    "used disallowed feature (QoS too high)",
                ));
            }
            if will.retain && !self.settings.retain_available {
                // [MQTT-3.2.2-13]
                return Err(Refusal::new(
                    ReasonCode::RetainNotSupported,
                    "used disallowed feature (retain not available)",
                ));
            }
        }
        let max = self.settings.max_keepalive;
        let too_long = max > 0 && (connect.keep_alive == 0 || connect.keep_alive > max);
        match connect.version {
            // 3.x cannot be told another Keep Alive; Mosquitto refuses the identifier.
            ProtocolVersion::V31 | ProtocolVersion::V311 if too_long => {
                Err(Refusal::new(ReasonCode::ClientIdentifierNotValid, "keep alive exceeds max_keepalive"))
            }
            ProtocolVersion::V5 if too_long => Ok(max),
            _ => Ok(connect.keep_alive),
        }
    }
}

//! CONNECT: with which session a client goes on, and what it is told [MQTT-3.1.4].

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::connection::{IncomingAliases, OutgoingAliases, silence_max};
use noctule_protocol::frame::{Frame, PacketType};
use noctule_protocol::packet::{Connack, ConnackCode, Connect};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{ConnectReturnCode, DecodeError, ProtocolVersion, QoS, ReasonCode};

use super::admission::Refusal;
use super::answer::HeldPacket;
use super::authenticate::user_name;
use super::connection::{Said, Stage};
use super::ending::Ending;
use super::{Shard, Turn};
use crate::directory::Claim;
use crate::effect::{LogLevel, LogSubject};
use crate::input::{ConnectionKey, ListenerIndex};
use crate::metric::{Gauge, Metric};
use crate::moment::Milliseconds;
use crate::parcel::ShardIndex;
use crate::record::Operation;
use crate::router::SessionAddress;
use crate::session::{ClientNames, NEVER, Session};
use crate::settings::ListenerSettings;
use crate::timer::Timer;
use crate::will::Will;

/// The session a connection is about to serve.
struct Claimed {
    slot: u32,
    /// Whether stored state is used.
    session_present: bool,
    /// Whether a stored session was ended for it.
    forgets: bool,
}

/// What a client got of what it asked for in its CONNECT.
struct Granted {
    session_present: bool,
    keep_alive: u16,
    asked_expiry: u32,
    expiry: u32,
    /// The identifier it was given, if it brought none.
    assigned: Option<String>,
}

impl Shard {
    /// The first packet must be a CONNECT [MQTT-3.1.0-1].
    pub(super) fn first_packet(
        &mut self,
        key: ConnectionKey,
        frame: Frame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        if frame.packet_type()? != PacketType::Connect {
            return Err(DecodeError::protocol("the first packet is no CONNECT"));
        }
        let connect = match Connect::decode(frame) {
            Ok(connect) => connect,
            Err(error) if error == Connect::UNKNOWN_LEVEL => {
                // [MQTT311-3.1.2-2]; the version being unknown, the answer has the oldest form, as Mosquitto's.
                let code = ConnackCode::V3(ConnectReturnCode::UnacceptableProtocolVersion);
                self.refuse_with(key, code, "", "unsupported protocol version", turn);
                return Ok(());
            }
            Err(error) if Connect::version_of(frame) == Ok(ProtocolVersion::V5) => {
                // [MQTT-4.13.1-1]; 3.x is not answered [MQTT311-3.1.4-1].
                if let Some(connection) = self.connection_mut(key) {
                    connection.version = ProtocolVersion::V5;
                }
                self.refuse_with(key, ConnackCode::V5(error.reason), "", error.what, turn);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(connection) = self.connection_mut(key) {
            connection.version = connect.version;
            connection.said.set(Said::BRIDGE, connect.bridge);
            let wants_reasons = connect.properties.request_problem_information().unwrap_or(true);
            connection.said.set(Said::NO_REASONS, !wants_reasons);
            connection.maximum_packet_size = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        }
        match self.examine(key, &connect, turn) {
            Ok(_) if self.must_authenticate(key, &connect, turn) => {}
            // Behind the log-in, since the answer tells whether a Client Identifier has a session.
            Ok(_) if self.has_no_place(key, &connect, turn) => {
                self.refuse(key, &connect, &Refusal::SERVER_BUSY, turn)
            }
            Ok(keep_alive) => self.accept(key, &connect, keep_alive, turn),
            Err(refusal) => self.refuse(key, &connect, &refusal, turn),
        }
        Ok(())
    }

    pub(super) fn listener(&self, key: ConnectionKey) -> Option<&ListenerSettings> {
        let connection = self.connection(key)?;
        self.settings.listeners.get(usize::from(connection.listener.0))
    }

    fn refuse(&mut self, key: ConnectionKey, connect: &Connect<'_>, refusal: &Refusal, turn: &mut Turn<'_>) {
        let client_id = connect.client_id;
        if connect.version == ProtocolVersion::V5 {
            self.refuse_with(key, ConnackCode::V5(refusal.reason), client_id, refusal.why, turn);
        } else if let Some(code) = refusal.reason.connect_return_code() {
            self.refuse_with(key, ConnackCode::V3(code), client_id, refusal.why, turn);
        } else {
            // [MQTT311-3.2.2-6]
            self.count(Metric::ConnectsReceived);
            self.close(key, Ending::NotAccepted { client_id, why: refusal.why }, turn);
        }
    }

    /// Session present is 0 [MQTT-3.2.2-6], and the connection is closed [MQTT-3.2.2-7].
    fn refuse_with(
        &mut self,
        key: ConnectionKey,
        code: ConnackCode,
        client_id: &str,
        why: &'static str,
        turn: &mut Turn<'_>,
    ) {
        self.count(Metric::ConnectsReceived);
        self.answer(key, false, turn, |out, version| {
            Connack { session_present: false, code, properties: Properties::EMPTY }.encode(version, out)
        });
        self.close(key, Ending::NotAccepted { client_id, why }, turn);
    }

    fn accept(&mut self, key: ConnectionKey, connect: &Connect<'_>, keep_alive: u16, turn: &mut Turn<'_>) {
        let Some(listener) = self.listener(key).cloned() else { return };
        let own_name = listener.client_id(connect);
        let assigned = connect.client_id.is_empty().then(|| match own_name.is_empty() {
            true => turn.shared.new_client_id(&listener.auto_id_prefix),
            false => own_name.to_owned(),
        });
        let client_id: Arc<str> = Arc::from(assigned.as_deref().unwrap_or(own_name));

        let claimed = match self.claim_session(&client_id, connect.clean_start, turn) {
            Ok(claimed) => claimed,
            Err(shard) => return self.send_away(key, shard),
        };
        let Claimed { slot, session_present, mut forgets } = claimed;
        let asked_expiry = match connect.version {
            ProtocolVersion::V5 => connect.properties.session_expiry_interval().unwrap_or(0),
            // [MQTT311-3.1.2-4] [MQTT311-3.1.2-6]
            ProtocolVersion::V31 | ProtocolVersion::V311 => {
                if connect.clean_start {
                    0
                } else {
                    NEVER
                }
            }
        };
        self.count(Metric::ConnectsReceived);
        self.counts.change(Gauge::ConnectedClients, 0, 1);
        // 3.x cannot be told another one; what is configured when it leaves is what counts.
        let expiry = match connect.version {
            ProtocolVersion::V5 => self.limit_expiry(asked_expiry),
            ProtocolVersion::V31 | ProtocolVersion::V311 => asked_expiry,
        };
        let window = self.send_window(connect);

        let came_in = self.connection(key).map_or(ListenerIndex::UNKNOWN, |connection| connection.listener);
        let Some(session) = self.session_mut(slot) else { return };
        let user_name = user_name(connect).map(Arc::from);
        session.set_publisher(ClientNames { client_id: Arc::clone(&client_id), user_name }, came_in);
        session.connection = Some(key);
        session.seldom.take(|things| things.disconnected_at.take());
        if let Some(will) = &connect.will {
            let will = Will::from_connect(will, listener.mount_point.as_deref());
            session.seldom.change(|things| things.will = Some(Box::new(will)));
        } else {
            session.seldom.take(|things| things.will.take());
        }
        session.outgoing.set_window(window);
        session.expiry = expiry;
        if session.lasts() {
            session.stored = true;
            let record = session.record();
            self.persist(Operation::PutSession(record));
        } else if std::mem::take(&mut session.stored) {
            // It will end with this connection.
            self.forget_stored(slot);
            forgets = true;
        }
        if forgets {
            // A session the client was told is over must not come back with a crash.
            self.urgent += 1;
        }

        let receive_maximum = self.settings.receive_maximum();
        if let Some(connection) = self.connection_mut(key) {
            connection.stage = Stage::Established { slot };
            connection.silence_max = silence_max(keep_alive).map(Milliseconds::from);
            connection.said.set(Said::LASTS, asked_expiry > 0);
            connection.receive_maximum = receive_maximum;
            let accepted = listener.max_topic_alias;
            let made =
                connect.properties.topic_alias_maximum().unwrap_or(0).min(listener.max_topic_alias_broker);
            if connect.version == ProtocolVersion::V5 && accepted.max(made) > 0 {
                let aliases = connection.aliases.insert(Box::default());
                aliases.incoming = (accepted > 0).then(|| Box::new(IncomingAliases::new(accepted)));
                aliases.outgoing = (made > 0).then(|| OutgoingAliases::new(made));
            }
            if let Some(mount_point) = &listener.mount_point {
                connection.aliases.get_or_insert_default().mount_point = Some(Arc::clone(mount_point));
            }
        }
        self.rearm(key, turn);
        let granted = Granted { session_present, keep_alive, asked_expiry, expiry, assigned };
        let connack = self.connack(connect, &listener, &granted);
        // What the client is told about a stored session must be so after a crash too.
        self.log_connected(key, connect, &client_id, keep_alive, turn);
        if self.logs_packets() {
            self.log_will(connect, turn);
        }
        self.send_connack(key, &connack, expiry > 0 || forgets, turn);
        self.fed_by_group();
        self.tell_groups(slot);
        self.wait_for_owners(key, turn);
        self.pump(slot, turn);
    }

    fn connack(
        &self,
        connect: &Connect<'_>,
        listener: &ListenerSettings,
        granted: &Granted,
    ) -> Connack<'static> {
        let Granted { keep_alive, asked_expiry, expiry, .. } = *granted;
        // 3.1 has no Session Present; its byte is reserved.
        let session_present = granted.session_present && connect.version != ProtocolVersion::V31;
        if connect.version == ProtocolVersion::V5 {
            // In Mosquitto's order.
            let mut properties = Properties::EMPTY;
            if keep_alive != connect.keep_alive {
                properties.push(Property::ServerKeepAlive(keep_alive));
            }
            if listener.max_topic_alias > 0 {
                properties.push(Property::TopicAliasMaximum(listener.max_topic_alias));
            }
            if let Some(client_id) = &granted.assigned {
                properties.push(Property::AssignedClientIdentifier(client_id)); // [MQTT-3.1.3-7]
            }
            if expiry != asked_expiry {
                properties.push(Property::SessionExpiryInterval(expiry));
            }
            if !self.settings.retain_available {
                properties.push(Property::RetainAvailable(0));
            }
            properties.push(Property::MaximumPacketSize(self.settings.maximum_packet_size));
            if self.settings.max_inflight_messages > 0 {
                properties.push(Property::ReceiveMaximum(self.settings.max_inflight_messages));
            }
            if listener.maximum_qos < QoS::ExactlyOnce {
                properties.push(Property::MaximumQoS(listener.maximum_qos.level())); // [MQTT-3.2.2-9]
            }
            Connack { session_present, code: ConnackCode::V5(ReasonCode::Success), properties }
        } else {
            let code = ConnackCode::V3(ConnectReturnCode::Accepted);
            Connack { session_present, code, properties: Properties::EMPTY }
        }
    }

    /// Sends CONNACK; `wait` holds it, and all that follows, until this turn's batch is durable.
    fn send_connack(&mut self, key: ConnectionKey, connack: &Connack<'_>, wait: bool, turn: &mut Turn<'_>) {
        let Some(connection) = self.connection(key) else { return };
        let mut bytes = Vec::new();
        let encoded = connack.encode(connection.version, &mut bytes);
        if encoded.is_err() || bytes.len() > connection.maximum_packet_size as usize {
            // [MQTT-3.1.2-24], and nothing may come before it [MQTT-3.2.0-1].
            let why = "its CONNACK is larger than it accepts";
            self.close(key, Ending::NotAccepted { client_id: "", why }, turn);
        } else if wait && self.waits(key) {
            self.hold(key, true, HeldPacket::Connack(bytes));
        } else {
            self.send_bytes(key, &bytes, turn);
        }
    }

    /// The session for this identifier: taken over, resumed or new [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6]; or the shard
    /// that has it.
    fn claim_session(
        &mut self,
        client_id: &Arc<str>,
        clean_start: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Claimed, ShardIndex> {
        let mut forgets = false;
        let known = turn.shared.directory.find(client_id);
        if let Some(elsewhere) = known.filter(|known| known.shard != self.index) {
            return Err(elsewhere.shard);
        }
        let slot = known.and_then(|address| {
            let session = self.session(address.slot)?;
            (session.address == address).then_some((address.slot, session.connection))
        });
        if let Some((slot, old)) = slot {
            if let Some(old) = old {
                self.close(old, Ending::TakenOver, turn);
            }
            // It may have ended with its connection.
            if self.session(slot).is_some_and(|session| &session.publisher.client_id == client_id) {
                if !clean_start {
                    self.resume(slot, turn);
                    return Ok(Claimed { slot, session_present: true, forgets });
                }
                forgets = self.session(slot).is_some_and(|session| session.stored);
                self.end_session(slot, turn);
            }
        }
        let slot = self.create_session(client_id, turn)?;
        Ok(Claimed { slot, session_present: false, forgets })
    }

    /// Someone came back: no expiry, and no will unless that was due already and only the deadline was not looked at yet, as
    /// after a restart.
    fn resume(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let will_at = self.session(slot).and_then(|session| session.seldom.get().will_at);
        if will_at.is_some_and(|at| at.get() <= turn.now.monotonic) {
            self.publish_will(slot, turn);
        }
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return };
        let number = session.address.number;
        if let Some(at) = session.seldom.take(|things| things.ends_at.take()) {
            self.timers.disarm(at, Timer::SessionExpiry(slot, number));
        }
        if let Some(at) = session.seldom.take(|things| things.will_at.take()) {
            // [MQTT-3.1.3-9]
            self.timers.disarm(at, Timer::WillDelay(slot, number));
            session.seldom.take(|things| things.will.take());
        }
    }

    /// Makes a session for a client that has none; or gives the shard that was faster.
    fn create_session(&mut self, client_id: &Arc<str>, turn: &mut Turn<'_>) -> Result<u32, ShardIndex> {
        let slot = self.free_slot();
        let address = SessionAddress { shard: self.index, slot, number: turn.shared.next_session_number() };
        if let Claim::Known(other) = turn.shared.directory.claim(client_id, address) {
            self.free_sessions.push(slot);
            return Err(other.shard);
        }
        self.count(Metric::SessionsCreated);
        let publisher = ClientNames { client_id: Arc::clone(client_id), user_name: None };
        self.sessions[slot as usize] = Some(Box::new(Session::new(address, publisher, u16::MAX)));
        Ok(slot)
    }

    /// An empty place for a session.
    pub(super) fn free_slot(&mut self) -> u32 {
        self.free_sessions.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            (self.sessions.len() - 1) as u32
        })
    }

    /// `persistent_client_expiration` caps the life of every session without connection.
    pub(super) fn limit_expiry(&self, asked: u32) -> u32 {
        let cap = self.settings.persistent_client_expiration.map(|cap: Duration| cap.as_secs());
        cap.map_or(asked, |cap| asked.min(u32::try_from(cap).unwrap_or(NEVER)))
    }

    /// How many QoS 1 and 2 messages may be in flight to this client: our limit and its Receive Maximum
    /// [MQTT-3.3.4-9].
    fn send_window(&self, connect: &Connect<'_>) -> u16 {
        let ours = self.settings.receive_maximum();
        connect.properties.receive_maximum().map_or(ours, |theirs| theirs.min(ours))
    }

    fn log_connected(
        &self,
        key: ConnectionKey,
        connect: &Connect<'_>,
        client_id: &str,
        keep_alive: u16,
        turn: &mut Turn<'_>,
    ) {
        if !self.settings.connection_messages {
            return;
        }
        let Some(connection) = self.connection(key) else { return };
        self.log_about(LogLevel::Notice, turn, || {
            let peer = connection.peer_text();
            let what = if connect.bridge { "bridge" } else { "client" };
            let level = connect.version.level();
            let clean = u8::from(connect.clean_start);
            let user =
                connect.user_name.map(|user| format!(", u'{}'", user.escape_debug())).unwrap_or_default();
            let line = format!(
                "New {what} connected from {peer} as {} (p{level}, c{clean}, k{keep_alive}{user}).",
                client_id.escape_debug()
            );
            let client = connection.slot().and_then(|slot| self.session(slot));
            let client = client.map(|session| Arc::clone(&session.publisher.client_id));
            (LogSubject { client, address: connection.peer.address(), reason: None }, line)
        });
    }
}

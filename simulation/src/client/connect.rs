//! How a connection begins, and how it ends.

use std::time::Duration;

use noctule_protocol::connection::IncomingAliases;
use noctule_protocol::delivery::Resend;
use noctule_protocol::packet::{Connack, Connect, Disconnect, Packet, Will};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{ProtocolVersion, ReasonCode, TopicName};

use super::connection::Connection;
use super::{Client, Expects};
use crate::context::Context;
use crate::facts::WillFact;
use crate::plan::Life;
use crate::random::Random;

/// Session Expiry Interval of a session that never ends.
const NEVER: u32 = u32::MAX;

/// What a CONNECT says about the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Terms {
    pub(super) clean: bool,
    /// Session Expiry Interval; 0 ends with the connection.
    pub(super) expiry: u32,
}

impl Client {
    fn terms(&self, random: &mut Random) -> Terms {
        let is_5 = self.plan.version == ProtocolVersion::V5;
        let mut terms = match self.plan.life {
            Life::Lasting => Terms { clean: false, expiry: NEVER },
            Life::Expiring(seconds) => Terms { clean: false, expiry: seconds },
            Life::Passing => Terms { clean: !is_5 || random.percent(50), expiry: 0 },
            Life::Fickle => match random.below(10) {
                0..=5 => Terms { clean: false, expiry: NEVER },
                6 if is_5 => Terms { clean: true, expiry: NEVER },
                7 if is_5 => Terms { clean: false, expiry: 0 },
                _ => Terms { clean: true, expiry: 0 },
            },
        };
        if self.retires {
            return Terms { clean: true, expiry: 0 };
        }
        if self.must_start_clean {
            terms.clean = true;
            if !is_5 {
                terms.expiry = 0;
            }
        }
        terms
    }

    /// Tries to connect, and perhaps sends on at once.
    pub(super) fn connect_and_go_on(&mut self, context: &mut Context) {
        self.connect(context);
        if let Some(terms) = self.connection.as_ref().map(|connection| connection.terms) {
            self.hurry(terms, context);
        }
    }

    /// Tries to connect; later again if nobody listens.
    pub(super) fn connect(&mut self, context: &mut Context) {
        if self.connection.is_some() {
            return;
        }
        if !context.broker_is_up {
            return self.connect_later(context);
        }
        let terms = self.terms(&mut context.random);
        if terms.clean {
            self.discard_session(context);
            self.must_start_clean = true;
        }
        self.connections += 1;
        let link = context.open_link(self.number);
        self.last_link = Some(link);
        let mut connection = Connection::new(link, terms, context.now);
        connection.incoming_aliases = IncomingAliases::new(self.plan.alias_maximum);
        if let Some(will) = self.last_will.take() {
            context.facts.wills[will].returned = Some(context.now);
        }
        connection.will = self.plan.will.map(|will| {
            context.facts.wills.push(WillFact {
                topic: format!("w/{}", self.number),
                delay: will.delay,
                link,
                connected: None,
                disconnect_sent: None,
                lost: None,
                returned: None,
            });
            context.facts.wills.len() - 1
        });
        self.last_will = connection.will;
        self.connection = Some(Box::new(connection));
        self.send_connect(terms, context);
    }

    /// Does not wait for CONNACK [MQTT-3.1.4], where it knows what that will say about its session.
    fn hurry(&mut self, terms: Terms, context: &mut Context) {
        let is_sure = terms.clean || self.expects == Expects::Present && self.incarnation.is_some();
        if self.retires || !is_sure || !context.random.percent(self.plan.hurry_percent) {
            return;
        }
        if terms.clean {
            self.begin_session(context);
        }
        if let Some(connection) = &mut self.connection {
            connection.hurry();
        }
        self.outgoing.set_window(self.plan.window.min(self.receive_maximum));
        self.subscribe_missing(context);
        self.pump(context);
    }

    fn send_connect(&mut self, terms: Terms, context: &mut Context) {
        let is_5 = self.plan.version == ProtocolVersion::V5;
        let mut properties = Properties::EMPTY;
        if is_5 {
            if terms.expiry > 0 {
                properties.push(Property::SessionExpiryInterval(terms.expiry));
            }
            if let Some(maximum) = self.plan.receive_maximum {
                properties.push(Property::ReceiveMaximum(maximum));
            }
            if let Some(maximum) = self.plan.maximum_packet_size {
                properties.push(Property::MaximumPacketSize(maximum));
            }
            if self.plan.alias_maximum > 0 {
                properties.push(Property::TopicAliasMaximum(self.plan.alias_maximum));
            }
        }
        let number = self.last_will.unwrap_or_default();
        let (topic, payload) = (format!("w/{}", self.number), format!("w{number}:"));
        let will = self.plan.will.and_then(|will| {
            let mut properties = Properties::EMPTY;
            if is_5 && will.delay > 0 {
                properties.push(Property::WillDelayInterval(will.delay));
            }
            let topic = TopicName::parse(&topic).ok()?;
            Some(Will { qos: will.qos, retain: false, properties, topic, payload: payload.as_bytes() })
        });
        let id = self.plan.id.clone();
        let connect = Connect {
            version: self.plan.version,
            bridge: false,
            clean_start: terms.clean,
            keep_alive: self.plan.keep_alive,
            properties,
            client_id: &id,
            will,
            user_name: context.plan.user_name,
            password: None,
        };
        self.send(&Packet::Connect(connect), context);
    }

    /// Whether any CONNECT of its session says the same about that.
    pub(super) fn is_settled(&self) -> bool {
        self.plan.life == Life::Lasting
            && self.expects == Expects::Present
            && self.incarnation.is_some()
            && !self.must_start_clean
    }

    /// The broker answered.
    pub(super) fn on_connack(&mut self, connack: &Connack<'_>, context: &mut Context) {
        let Some(connection) = &mut self.connection else { return };
        if connection.is_online() {
            return context.violation("protocol", format!("client {}: a second CONNACK", self.number));
        }
        if !connack.code.is_accepted() {
            let what = format!("client {}: CONNECT refused: {}", self.number, connack.code.describe());
            return context.violation("protocol", what);
        }
        let terms = connection.terms;
        connection.welcome(&connack.properties, context.now);
        if let Some(will) = connection.will {
            context.facts.wills[will].connected = Some(context.now);
        }
        let is_wrong = match self.expects {
            _ if terms.clean => connack.session_present, // [MQTT-3.2.2-2]
            Expects::Absent => connack.session_present,
            Expects::Present => !connack.session_present,
            Expects::Either => false,
        };
        if is_wrong {
            let what = format!(
                "client {}: Session Present is {}, {:?} was expected ({terms:?})",
                self.number, connack.session_present, self.expects
            );
            context.violation("session", what);
        }
        self.must_start_clean = false;
        self.expects = match terms.expiry {
            NEVER => Expects::Present,
            _ => Expects::Either,
        };
        let is_begun = self.connection.as_ref().is_some_and(|connection| connection.is_hurried());
        if !is_begun && (!connack.session_present || self.incarnation.is_none()) {
            self.begin_session(context);
        }
        self.receive_maximum = connack.properties.receive_maximum().unwrap_or(u16::MAX);
        self.outgoing.set_window(self.plan.window.min(self.receive_maximum));
        context.progress += 1;
        if self.retires {
            return self.disconnect(ReasonCode::Success, context);
        }
        if !is_begun {
            self.subscribe_missing(context);
        }
        self.resend(context);
    }

    /// What the last connection left unacknowledged [MQTT-4.4.0-1].
    pub(super) fn resend(&mut self, context: &mut Context) {
        while let Some(resend) = self.outgoing.next_resend() {
            match resend {
                Resend::Publish { packet_id, message, .. } => {
                    let number = *message;
                    self.send_publish(number, Some(packet_id), true, context);
                }
                Resend::Pubrel { packet_id } => self.send_pubrel(packet_id, context),
            }
        }
    }

    /// Says goodbye, or that the Will is to be published.
    pub(super) fn disconnect(&mut self, reason: ReasonCode, context: &mut Context) {
        self.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }), context);
        self.flush(context);
        let Some(connection) = &self.connection else { return };
        // Half a DISCONNECT is none.
        if reason == ReasonCode::Success
            && connection.has_written_all()
            && let Some(will) = connection.will
        {
            context.facts.wills[will].disconnect_sent = Some(context.now);
        }
        context.close_link(connection.link);
        self.ended("DISCONNECT", context);
    }

    /// The connection is gone, for whatever reason.
    pub(super) fn ended(&mut self, why: &str, context: &mut Context) {
        let Some(connection) = self.connection.take() else { return };
        let number = self.number;
        context.trace(|| format!("client {number}: connection ended: {why}"));
        if let Some(will) = connection.will
            && context.facts.wills[will].disconnect_sent.is_none()
        {
            context.facts.wills[will].lost = Some(context.now);
        }
        self.outgoing.interrupt();
        let Terms { expiry, .. } = connection.terms;
        if connection.is_online() {
            if expiry == 0 {
                self.expects = Expects::Absent;
                self.discard_session(context);
            }
        } else {
            // CONNECT may or may not have been heard.
            if expiry == 0 || self.expects == Expects::Absent {
                self.expects = Expects::Either;
            }
            // It may have begun a session that the next CONNACK cannot tell from the one before.
            self.must_start_clean |= self.incarnation.is_some() && self.expects == Expects::Either;
        }
        self.connect_later(context);
    }

    fn connect_later(&mut self, context: &mut Context) {
        if self.retires && self.expects == Expects::Absent {
            return;
        }
        // What was written before must be heard before, wherever it is on its way between shards.
        let after = if context.random.percent(80) {
            context.random.millis(10..=500)
        } else {
            context.random.millis(500..=6000)
        };
        let after = if context.calm { Duration::from_millis(200) } else { after };
        self.connects_at = Some(context.now + after);
    }
}

//! SUBSCRIBE and UNSUBSCRIBE.

use std::borrow::Cow;

use noctule_protocol::packet::{
    RetainHandling, Suback, Subscribe, SubscriptionOptions, Unsuback, Unsubscribe,
};
use noctule_protocol::property::Properties;
use noctule_protocol::{ProtocolVersion, QoS, ReasonCode, SubscriptionFilter};

use super::answer::HeldPacket;
use super::connection::Said;
use super::{Shard, Turn};
use crate::input::ConnectionKey;
use crate::parcel::Way;
use crate::record::Operation;
use crate::retained::Version;
use crate::router::{Destination, SessionAddress};
use crate::session::Replay;
use crate::subscriber::Subscriber;

/// How SUBACK 3.1 and 3.1.1 say that a subscription was refused [MQTT311-3.9.3-1].
const SUBACK_FAILURE: u8 = 0x80;

impl Shard {
    pub(super) fn on_subscribe(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        subscribe: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) {
        let Some(connection) = self.connection(key) else { return };
        let listener = self.settings.listeners.get(usize::from(connection.listener.0));
        let maximum_qos = listener.map_or(QoS::ExactlyOnce, |listener| listener.maximum_qos);
        let mount_point = listener.and_then(|listener| listener.mount_point.clone());
        let version = connection.version;
        let bridge = connection.said.contains(Said::BRIDGE);
        let identifier = subscribe.properties.subscription_identifier().unwrap_or(0);
        let before = self.urgent;
        self.fed_by_group(); // What others did is not its doing.
        let mut codes = Vec::new();
        let mut replays = Vec::new();
        for (filter, mut options) in subscribe.filters.iter() {
            if self.refuses_subscription(slot) {
                codes.push(match version {
                    ProtocolVersion::V5 => ReasonCode::QuotaExceeded.code(),
                    ProtocolVersion::V31 | ProtocolVersion::V311 => SUBACK_FAILURE,
                });
                continue;
            }
            let asked = options.qos.level();
            options.qos = options.qos.min(maximum_qos);
            if bridge {
                // Mosquitto's bridge bit: no echo, and retained messages stay retained.
                options.no_local = true;
                options.retain_as_published = true;
            }
            let mounted;
            let filter = match &mount_point {
                None => filter,
                Some(mount_point) => {
                    mounted = mount_point.filter(filter).unwrap_or_default();
                    let Ok(filter) = SubscriptionFilter::parse(&mounted) else {
                        // It is too long there, or its wildcard does not fill a level.
                        codes.push(match version {
                            ProtocolVersion::V5 => ReasonCode::TopicFilterInvalid.code(),
                            ProtocolVersion::V31 | ProtocolVersion::V311 => SUBACK_FAILURE,
                        });
                        continue;
                    };
                    filter
                }
            };
            let since = self.subscribe(slot, filter, options, identifier, turn);
            self.log_subscription(slot, filter, (asked, options.qos.level()), turn);
            codes.push(options.qos.level());
            replays.extend(since.map(|since| (filter.filter.as_str().into(), options, since)));
        }
        let suback = Suback {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            codes: Cow::Owned(codes),
        };
        let wait = self.urgent != before;
        self.answer_as(HeldPacket::Suback, key, wait, turn, |out, version| suback.encode(version, out));
        for (filter, options, since) in replays {
            let replay = Replay { filter, options, identifier, since, from: None };
            self.replay_retained(slot, replay, turn);
        }
        self.wait_for_owners(key, turn);
    }

    /// Makes or replaces one subscription [MQTT-3.8.4-3]. Gives up to which version it gets what is retained.
    fn subscribe(
        &mut self,
        slot: u32,
        filter: SubscriptionFilter<'_>,
        options: SubscriptionOptions,
        identifier: u32,
        turn: &mut Turn<'_>,
    ) -> Option<Version> {
        let session = self.session(slot)?;
        let (address, lasts) = (session.address, session.lasts());
        let since =
            self.enter_subscription(address, filter, options, identifier, options.retain_handling, turn);
        if lasts {
            let filter = filter.as_str().into();
            self.persist(Operation::PutSubscription { session: address.number, filter, options, identifier });
        }
        since
    }

    /// Enters a subscription in its session, and where messages are routed. Gives up to which version it gets what is
    /// retained; what comes later comes live.
    pub(super) fn enter_subscription(
        &mut self,
        address: SessionAddress,
        filter: SubscriptionFilter<'_>,
        options: SubscriptionOptions,
        identifier: u32,
        retain_handling: RetainHandling,
        turn: &mut Turn<'_>,
    ) -> Option<Version> {
        if filter.share.is_some() {
            let to = self.join_group(filter, address, options, identifier, turn)?;
            let group = match to {
                Destination::Group(group) => Some(group),
                Destination::Session(_) => None,
            };
            self.session_mut(address.slot)?.subscriptions.insert(filter.as_str(), group);
            return None;
        }
        let to = Destination::Session(address);
        let session = self.session_mut(address.slot)?;
        let lasts = session.lasts();
        let is_new = session.subscriptions.insert(filter.as_str(), None);
        let replays = match retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendAtNewSubscribe => is_new, // [MQTT-3.3.1-10]
            RetainHandling::DoNotSend => false,
        };
        let SubscriptionOptions { qos, no_local, retain_as_published, .. } = options;
        let mut since = Version::ZERO;
        turn.shared.subscribe(filter.filter.as_str(), |version| {
            since = if replays { version } else { Version::ZERO };
            Subscriber { to, qos, no_local, retain_as_published, lasts, identifier, since }
        });
        replays.then_some(since)
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) {
        let before = self.urgent;
        self.fed_by_group();
        let mount_point = self.listener(key).and_then(|listener| listener.mount_point.clone());
        let mut codes = Vec::new();
        for filter in unsubscribe.filters.iter() {
            let mounted;
            let filter = match &mount_point {
                None => Ok(filter),
                Some(mount_point) => {
                    mounted = mount_point.filter(filter).unwrap_or_default();
                    SubscriptionFilter::parse(&mounted)
                }
            };
            // What could not be subscribed to is not.
            let existed = filter.is_ok_and(|filter| {
                self.log_unsubscription(slot, filter, turn);
                self.unsubscribe(slot, filter, turn)
            });
            let code = if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
            codes.push(code.code());
        }
        let unsuback = Unsuback {
            packet_id: unsubscribe.packet_id,
            properties: Properties::EMPTY,
            codes: Cow::Owned(codes),
        };
        self.answer(key, self.urgent != before, turn, |out, version| unsuback.encode(version, out));
        self.wait_for_owners(key, turn);
    }

    /// Whoever comes to groups of another shard, or goes, faster than that keeps up with is not read for a while.
    pub(super) fn wait_for_owners(&mut self, key: ConnectionKey, turn: &mut Turn<'_>) {
        if let Some(shard) = self.fed_by_group() {
            self.wait_for_room(key, shard, Way::Grouped, turn);
        }
    }

    /// Deletes the subscription with exactly this filter [MQTT-3.10.4-1]. Started deliveries are finished
    /// [MQTT-3.10.4-3].
    fn unsubscribe(&mut self, slot: u32, filter: SubscriptionFilter<'_>, turn: &mut Turn<'_>) -> bool {
        let Some(session) = self.session_mut(slot) else { return false };
        let (address, lasts) = (session.address, session.lasts());
        let Some(group) = session.subscriptions.remove(filter.as_str()) else { return false };
        if filter.share.is_none() {
            session.queue.drop_replay(filter.as_str());
        }
        match group {
            None => turn.shared.unsubscribe(filter.filter.as_str(), Destination::Session(address)),
            Some(group) => {
                let membership = session.memberships.remove(group);
                if let Some(membership) = membership {
                    self.leave_group(membership, turn);
                }
            }
        }
        self.replay_ended(slot);
        if lasts {
            self.persist(Operation::DeleteSubscription {
                session: address.number,
                filter: filter.as_str().into(),
            });
        }
        true
    }
}

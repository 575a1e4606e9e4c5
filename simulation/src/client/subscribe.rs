//! What a client subscribes to.

use noctule_protocol::packet::{
    Filters, Packet, Suback, Subscribe, Unsuback, Unsubscribe, UnsubscribeFilters,
};
use noctule_protocol::property::{Properties, Property};
use noctule_protocol::{PacketId, ProtocolVersion, SubscriptionFilter};

use super::Client;
use crate::context::Context;
use crate::facts::Subscribed;

/// Identifiers of SUBSCRIBE and UNSUBSCRIBE lie far above those of PUBLISH [MQTT-2.2.1-3].
const FIRST_REQUEST: u16 = 60_000;

/// Where a planned subscription stands in the current session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subscription {
    /// Its entry in the facts, since SUBSCRIBE was sent.
    pub(super) fact: Option<usize>,
    /// UNSUBSCRIBE was sent, and no SUBSCRIBE since.
    pub(super) is_unwanted: bool,
}

/// A question the broker has to answer.
#[derive(Clone, Debug)]
pub(super) struct Request {
    packet_id: PacketId,
    /// Which planned subscriptions it is about, in order.
    about: Vec<usize>,
    unsubscribes: bool,
}

impl Client {
    /// Asks for what the broker has not confirmed.
    pub(super) fn subscribe_missing(&mut self, context: &mut Context) {
        let missing = |subscription: &Subscription, unwanted: bool| {
            let fact = subscription.fact.map(|fact| &context.facts.subscribed[fact]);
            subscription.is_unwanted == unwanted
                && match unwanted {
                    true => fact.is_some_and(|fact| fact.removed.is_none()),
                    false => fact.is_none_or(|fact| fact.granted.is_none()),
                }
        };
        let of = |unwanted: bool| -> Vec<usize> {
            let places = self.subscriptions.iter().enumerate();
            places.filter(|(_, one)| missing(one, unwanted)).map(|(place, _)| place).collect()
        };
        let (to_subscribe, to_unsubscribe) = (of(false), of(true));
        // A Subscription Identifier is about all filters of its packet.
        let has_identifiers = self.plan.subscriptions.iter().any(|plan| plan.identifier.is_some());
        if has_identifiers || context.random.percent(50) {
            for place in to_subscribe {
                self.subscribe(&[place], context);
            }
        } else {
            self.subscribe(&to_subscribe, context);
        }
        self.unsubscribe(&to_unsubscribe, context);
    }

    fn next_request(&mut self) -> Option<PacketId> {
        self.requests = (self.requests + 1) % 5000;
        PacketId::new(FIRST_REQUEST + self.requests)
    }

    pub(super) fn subscribe(&mut self, places: &[usize], context: &mut Context) {
        let plans: Vec<_> = places.iter().map(|&place| self.plan.subscriptions[place].clone()).collect();
        let pairs = plans
            .iter()
            .filter_map(|plan| Some((SubscriptionFilter::parse(plan.filter).ok()?, plan.options)));
        let Some(filters) = Filters::from_pairs(pairs) else { return };
        let Some(packet_id) = self.next_request() else { return };
        let mut properties = Properties::EMPTY;
        if self.plan.version == ProtocolVersion::V5
            && let Some(identifier) = plans.first().and_then(|plan| plan.identifier)
        {
            properties.push(Property::SubscriptionIdentifier(identifier));
        }
        for (&place, plan) in places.iter().zip(&plans) {
            let subscription = &mut self.subscriptions[place];
            subscription.is_unwanted = false;
            let fact = *subscription.fact.get_or_insert_with(|| {
                context.facts.subscribed.push(Subscribed {
                    client: self.number,
                    incarnation: self.incarnation.unwrap_or_default(),
                    filter: plan.filter,
                    options: plan.options,
                    identifier: plan.identifier,
                    requested: Vec::new(),
                    granted: None,
                    removal_requested: None,
                    removed: None,
                });
                context.facts.subscribed.len() - 1
            });
            context.facts.subscribed[fact].requested.push(context.now);
        }
        self.ask(Request { packet_id, about: places.to_vec(), unsubscribes: false });
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters }), context);
    }

    pub(super) fn unsubscribe(&mut self, places: &[usize], context: &mut Context) {
        let filters: Vec<_> = places.iter().map(|&place| self.plan.subscriptions[place].filter).collect();
        let parsed = filters.iter().filter_map(|filter| SubscriptionFilter::parse(filter).ok());
        let Some(filters) = UnsubscribeFilters::from_filters(parsed) else { return };
        let Some(packet_id) = self.next_request() else { return };
        for &place in places {
            let subscription = &mut self.subscriptions[place];
            subscription.is_unwanted = true;
            if let Some(fact) = subscription.fact {
                context.facts.subscribed[fact].removal_requested.get_or_insert(context.now);
            }
        }
        self.ask(Request { packet_id, about: places.to_vec(), unsubscribes: true });
        let properties = Properties::EMPTY;
        self.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }), context);
    }

    fn ask(&mut self, request: Request) {
        if let Some(connection) = &mut self.connection {
            connection.requests.push_back(request);
        }
    }

    pub(super) fn on_suback(&mut self, suback: &Suback<'_>, context: &mut Context) {
        let asked = self.answered(suback.packet_id, false, context);
        let granted: Vec<u8> =
            asked.iter().map(|&place| self.plan.subscriptions[place].options.qos.level()).collect();
        if *granted != *suback.codes {
            let what = format!("client {}: {suback:?}, {granted:?} was asked for", self.number);
            return context.violation("protocol", what);
        }
        for place in asked {
            if let Some(fact) = self.subscriptions[place].fact {
                context.facts.subscribed[fact].granted.get_or_insert(context.now);
            }
        }
    }

    pub(super) fn on_unsuback(&mut self, unsuback: &Unsuback<'_>, context: &mut Context) {
        let asked = self.answered(unsuback.packet_id, true, context);
        let codes = if self.plan.version == ProtocolVersion::V5 { asked.len() } else { 0 };
        if unsuback.codes.len() != codes {
            let what = format!("client {}: {unsuback:?} has not {codes} codes", self.number);
            return context.violation("protocol", what);
        }
        for place in asked {
            if let Some(fact) = self.subscriptions[place].fact {
                context.facts.subscribed[fact].removed.get_or_insert(context.now);
            }
        }
    }

    fn answered(&mut self, packet_id: PacketId, unsubscribes: bool, context: &mut Context) -> Vec<usize> {
        context.progress += 1;
        let request = self.connection.as_mut().and_then(|connection| connection.requests.pop_front());
        match request {
            Some(request) if request.packet_id == packet_id && request.unsubscribes == unsubscribes => {
                request.about
            }
            _ => {
                let what = format!("client {}: unexpected answer {}", self.number, packet_id.get());
                context.violation("protocol", what);
                Vec::new()
            }
        }
    }
}

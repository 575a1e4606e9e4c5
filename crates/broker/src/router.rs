//! Who gets a message: the topic tree, remembered per topic.

use std::sync::Arc;

use ahash::RandomState;
use noctule_protocol::QoS;

use crate::SessionNumber;
use crate::route_cache::RouteCache;
use crate::session::Identifiers;
use crate::shared::Shared;
use crate::topic_tree::Subscription;

/// Topics whose routes a shard remembers, in bytes of topics and targets.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Names a session: its place in its shard's table, and who must be there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SessionAddress {
    pub(crate) slot: u32,
    pub(crate) number: SessionNumber,
}

/// Where a subscription leads.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Destination {
    Session(SessionAddress),
    /// A shared subscription: the number its owner gave it.
    Group(u32),
}

/// An entry of the topic tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) to: Destination,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifier, 0 for none.
    pub(crate) identifier: u32,
}

/// Whose messages a copy is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Audience {
    Everybodys,
    /// No Local: those of others [MQTT-3.8.3-3].
    Others,
    /// Only the subscriber's own: where some of its overlapping subscriptions have No Local and some have not.
    Own,
}

impl Audience {
    /// Whether a message is passed on, given whether its publisher is the subscriber.
    pub(crate) const fn wants(self, is_own: bool) -> bool {
        match self {
            Self::Everybodys => true,
            Self::Others => !is_own,
            Self::Own => is_own,
        }
    }
}

/// An entry of a route: one copy of the message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) to: Destination,
    pub(crate) qos: QoS,
    pub(crate) audience: Audience,
    pub(crate) retain_as_published: bool,
    pub(crate) identifiers: Identifiers,
}

/// All copies of a message on one topic.
pub(crate) type Route = Arc<[Target]>;

impl Subscription for Subscriber {
    type Who = Destination;

    fn who(&self) -> Destination {
        self.to
    }
}

/// One shard's view of the topic tree. In the steady state it takes no lock.
pub(crate) struct Router {
    cache: RouteCache<Target>,
    /// Whether overlapping subscriptions of one session give a copy each.
    duplicates: bool,
}

impl Router {
    pub(crate) fn new(hasher: RandomState, duplicates: bool) -> Self {
        Self { cache: RouteCache::new(hasher, CACHE_BYTES_MAX), duplicates }
    }

    /// All who want `topic`, with every subscription that was made or ended before this is called.
    pub(crate) fn route(&mut self, shared: &Shared, topic: &str) -> Route {
        if let Some(route) = self.cache.get(topic, |stripes| shared.generation(stripes)) {
            return route;
        }
        let stripes = shared.stripes(topic);
        // Before the tree is looked at: what changes meanwhile must not be taken for known.
        let generation = shared.generation(stripes);
        let route = self.resolve(shared, topic);
        self.cache.put(topic, stripes, generation, &route);
        route
    }

    fn resolve(&self, shared: &Shared, topic: &str) -> Route {
        let mut targets: Vec<Target> = Vec::new();
        shared.for_each_subscriber(topic, |&subscriber| {
            let Subscriber { to, qos, no_local, retain_as_published, identifier } = subscriber;
            let audience = if no_local { Audience::Others } else { Audience::Everybodys };
            let identifiers = Identifiers::from_wire(identifier);
            targets.push(Target { to, qos, audience, retain_as_published, identifiers });
        });
        if !self.duplicates {
            targets = merge_overlaps(targets);
        }
        targets.into()
    }
}

/// One copy for each session, with the highest QoS and all identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-4]. Where only
/// some of a session's subscriptions have No Local, its own messages come by the others [MQTT-3.8.3-3].
fn merge_overlaps(mut targets: Vec<Target>) -> Vec<Target> {
    targets.sort_by_key(|target| target.to);
    let mut merged = Vec::with_capacity(targets.len());
    for same in targets.chunk_by(|a, b| a.to == b.to && matches!(a.to, Destination::Session(_))) {
        let has = |audience| same.iter().any(|target| target.audience == audience);
        if has(Audience::Others) && has(Audience::Everybodys) {
            let own = same.iter().filter(|target| target.audience == Audience::Everybodys);
            merged.extend(merge(own, Audience::Own));
            merged.extend(merge(same.iter(), Audience::Others));
        } else {
            merged.extend(same.first().and_then(|first| merge(same.iter(), first.audience)));
        }
    }
    merged
}

fn merge<'a>(mut targets: impl Iterator<Item = &'a Target>, audience: Audience) -> Option<Target> {
    let mut merged = Target { audience, ..targets.next()?.clone() };
    let mut identifiers: Vec<u32> = merged.identifiers.iter().collect();
    for target in targets {
        merged.qos = merged.qos.max(target.qos);
        merged.retain_as_published |= target.retain_as_published;
        identifiers.extend(target.identifiers.iter());
    }
    merged.identifiers = identifiers.into();
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(number: u64, qos: QoS, identifier: u32) -> Target {
        let address = SessionAddress { slot: number as u32, number: SessionNumber(number) };
        Target {
            to: Destination::Session(address),
            qos,
            audience: Audience::Everybodys,
            retain_as_published: false,
            identifiers: Identifiers::from_wire(identifier),
        }
    }

    #[test] // [MQTT-3.3.4-2] [MQTT-3.3.4-4]
    fn overlaps_merge_to_the_highest_qos_with_all_identifiers() {
        let targets = merge_overlaps(vec![
            target(2, QoS::AtMostOnce, 7),
            target(1, QoS::AtMostOnce, 0),
            target(2, QoS::ExactlyOnce, 9),
        ]);
        assert_eq!(targets.len(), 2);
        assert_eq!(targets[1].qos, QoS::ExactlyOnce);
        assert_eq!(targets[1].identifiers.iter().collect::<Vec<_>>(), [7, 9]);
    }
}

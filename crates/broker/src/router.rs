//! Who gets a message: the topic tree, remembered per topic.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use noctule_protocol::QoS;

use crate::SessionNumber;
use crate::generations::Stripes;
use crate::parcel::ShardIndex;
use crate::retained::Version;
use crate::route_cache::RouteCache;
use crate::session::Identifiers;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::subscriber::Subscriber;
use crate::topic_tree::Scratch;

/// Topics whose routes a shard remembers, in bytes of topics and targets.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Names a session: its shard, its place in that shard's table, and who must be there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SessionAddress {
    pub(crate) shard: ShardIndex,
    pub(crate) slot: u32,
    pub(crate) number: SessionNumber,
}

/// Names a group of a shared subscription: the shard that owns it, and a number that no other group of the broker has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct GroupAddress {
    pub(crate) shard: ShardIndex,
    pub(crate) number: u64,
}

/// Where a subscription leads.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Destination {
    Session(SessionAddress),
    /// A shared subscription.
    Group(GroupAddress),
}

impl Destination {
    /// Who takes a message for it.
    pub(crate) const fn shard(self) -> ShardIndex {
        match self {
            Self::Session(address) => address.shard,
            Self::Group(address) => address.shard,
        }
    }
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
    pub(crate) lasts: bool,
    /// `upgrade_outgoing_qos`. Whoever resolves the route decides it for all shards, which may have other settings for a
    /// moment: what is recorded for a target and what is delivered to it must agree.
    pub(crate) upgrades: bool,
    pub(crate) since: Version,
    pub(crate) identifiers: Identifiers,
}

impl Target {
    /// The QoS of a delivery: the lower of published and granted [MQTT-3.8.4-8], unless configured otherwise.
    #[inline]
    pub(crate) fn granted(&self, published: QoS) -> QoS {
        granted(self.upgrades, published, self.qos)
    }
}

/// The QoS of a delivery; `upgrades` is `upgrade_outgoing_qos`.
#[inline]
pub(crate) fn granted(upgrades: bool, published: QoS, subscribed: QoS) -> QoS {
    if upgrades { subscribed } else { published.min(subscribed) }
}

/// All copies of a message on one topic.
#[derive(Debug, Default)]
pub(crate) struct Recipients {
    /// Those of this shard.
    pub(crate) here: Arc<[Target]>,
    /// Those of each other shard that has some.
    pub(crate) elsewhere: Box<[(ShardIndex, Arc<[Target]>)]>,
    /// What [`comes_once`](Self::comes_once) found.
    once: OnceLock<bool>,
}

impl Recipients {
    /// Deals targets to their shards, keeping their order within each.
    fn new(targets: &mut Vec<Target>, here: ShardIndex) -> Self {
        if targets.iter().all(|target| target.to.shard() == here) {
            return Self { here: targets.drain(..).collect(), ..Self::default() };
        }
        targets.sort_by_key(|target| target.to.shard());
        let mut recipients = Self::default();
        let mut elsewhere = Vec::new();
        for of_shard in targets.chunk_by(|a, b| a.to.shard() == b.to.shard()) {
            match of_shard.first().map(|first| first.to.shard()) {
                Some(shard) if shard != here => elsewhere.push((shard, of_shard.into())),
                Some(_) | None => recipients.here = of_shard.into(),
            }
        }
        recipients.elsewhere = elsewhere.into();
        targets.clear();
        recipients
    }

    /// Those of all shards.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Target> {
        let elsewhere = self.elsewhere.iter().flat_map(|(_, targets)| targets.iter());
        self.here.iter().chain(elsewhere)
    }

    /// Whether nobody gets two copies of a message. A member of a group may.
    pub(crate) fn comes_once(&self) -> bool {
        let is_session = |target: &Target| matches!(target.to, Destination::Session(_));
        let look = || {
            let mut sessions: Vec<Destination> = self.all().map(|target| target.to).collect();
            sessions.sort_unstable();
            sessions.len() < 2 || self.all().all(is_session) && sessions.is_sorted_by(|a, b| a < b)
        };
        self.here.len() < 2 && self.elsewhere.is_empty() || *self.once.get_or_init(look)
    }

    fn bytes(&self) -> usize {
        let elsewhere = self.elsewhere.iter().map(|(_, targets)| 64 + size_of_val(&**targets));
        size_of::<Self>() + size_of_val(&*self.here) + elsewhere.sum::<usize>()
    }
}

pub(crate) type Route = Arc<Recipients>;

/// One shard's view of the topic tree. In the steady state it takes no lock.
pub(crate) struct Router {
    cache: RouteCache<Recipients>,
    /// Whether overlapping subscriptions of one session give a copy each.
    duplicates: bool,
    /// What targets say of it.
    upgrades: bool,
    here: ShardIndex,
    last: Last,
    /// A route that was not worth remembering: the next one is written into it.
    spare: Option<Route>,
    scratch: Scratch,
    /// What was resolved last; kept for its memory.
    targets: Vec<Target>,
}

/// The route that was asked for last: publishers stay with a topic for a while, and read in one piece.
#[derive(Default)]
struct Last {
    topic: String,
    stripes: Stripes,
    generation: u64,
    /// `None` while it is lent.
    route: Option<Route>,
    /// Numbers what was lent.
    number: u64,
}

/// Targets beyond which the memory of a route is not kept for the next one.
const SPARE_TARGETS_MAX: usize = 64;

/// A route that its router lent, so that nobody counts who holds it; to be given back by [`Router::take_back`].
pub(crate) struct Lent {
    route: Route,
    number: u64,
    /// Whether it is worth remembering.
    is_kept: bool,
}

impl Deref for Lent {
    type Target = Recipients;

    fn deref(&self) -> &Recipients {
        &self.route
    }
}

impl Router {
    pub(crate) fn new(settings: &Settings, here: ShardIndex) -> Self {
        Self {
            cache: RouteCache::new(CACHE_BYTES_MAX),
            duplicates: settings.allow_duplicate_messages,
            upgrades: settings.upgrade_outgoing_qos,
            here,
            last: Last::default(),
            spare: None,
            scratch: Scratch::default(),
            targets: Vec::new(),
        }
    }

    /// Obeys new settings. What it remembers was resolved under the old ones.
    pub(crate) fn change_settings(&mut self, settings: &Settings) {
        let new = (settings.allow_duplicate_messages, settings.upgrade_outgoing_qos);
        if (self.duplicates, self.upgrades) != new {
            (self.duplicates, self.upgrades) = new;
            self.forget_routes();
        }
    }

    /// Gives back what it remembers.
    pub(crate) fn forget_routes(&mut self) {
        self.cache.clear();
        self.last = Last { number: self.last.number, ..Last::default() };
        self.spare = None;
        self.targets = Vec::new();
    }

    /// All who want `topic`, with every subscription that was made or ended before this is called.
    pub(crate) fn route(&mut self, shared: &Shared, topic: &str) -> Lent {
        self.last.number += 1;
        let number = self.last.number;
        if self.last.topic == topic
            && let Some(route) = self.last.route.take()
            && shared.generation(self.last.stripes) == self.last.generation
        {
            return Lent { route, number, is_kept: true };
        }
        let hash = shared.topic_hash(topic);
        let (route, stripes, generation) = match self.cache.get(topic, hash, |at| shared.generation(at)) {
            Some(found) => found,
            None if !self.cache.is_second_use(hash) => {
                // Most likely it never comes again: nothing of it is kept.
                return Lent { route: self.resolve(shared, topic), number, is_kept: false };
            }
            None => {
                let stripes = shared.stripes(topic, hash);
                // Before the tree is looked at: what changes meanwhile must not be taken for known.
                let generation = shared.generation(stripes);
                let route = self.resolve(shared, topic);
                self.cache.put(topic, hash, (stripes, generation), &route, route.bytes());
                (route, stripes, generation)
            }
        };
        let Last { topic: last, .. } = &mut self.last;
        last.clear();
        last.push_str(topic);
        let topic = std::mem::take(last);
        self.last = Last { topic, stripes, generation, route: None, number };
        Lent { route, number, is_kept: true }
    }

    /// Takes back what was lent last.
    pub(crate) fn take_back(&mut self, Lent { route, number, is_kept }: Lent) {
        if is_kept && number == self.last.number {
            self.last.route = Some(route);
        } else if !is_kept && route.here.len() <= SPARE_TARGETS_MAX {
            self.spare = Some(route);
        }
    }

    fn resolve(&mut self, shared: &Shared, topic: &str) -> Route {
        let mut targets = std::mem::take(&mut self.targets);
        shared.for_each_subscriber(topic, &mut self.scratch, |subscriber| {
            let Subscriber { to, qos, no_local, retain_as_published, lasts, identifier, since } = subscriber;
            let audience = if no_local { Audience::Others } else { Audience::Everybodys };
            let identifiers = Identifiers::from_wire(identifier);
            let upgrades = self.upgrades;
            targets.push(Target {
                to,
                qos,
                audience,
                retain_as_published,
                lasts,
                upgrades,
                since,
                identifiers,
            });
        });
        if !self.duplicates {
            targets = merge_overlaps(targets);
        }
        let route =
            match self.spare.take().filter(|_| targets.iter().all(|target| target.to.shard() == self.here)) {
                Some(spare) => rewrite(spare, &mut targets),
                None => Arc::new(Recipients::new(&mut targets, self.here)),
            };
        if targets.capacity() <= SPARE_TARGETS_MAX {
            self.targets = targets;
        }
        route
    }
}

/// A route to targets of this shard alone. If nobody else holds the old one, and it has as many, it is written over:
/// whoever publishes to a thousand topics once each asks for no memory.
fn rewrite(mut route: Route, targets: &mut Vec<Target>) -> Route {
    if let Some(Recipients { here, elsewhere, once }) = Arc::get_mut(&mut route)
        && elsewhere.is_empty()
    {
        *once = OnceLock::new();
        match Arc::get_mut(here) {
            Some(old) if old.len() == targets.len() => {
                old.iter_mut().zip(targets.drain(..)).for_each(|(old, new)| *old = new);
            }
            Some(_) | None => *here = targets.drain(..).collect(),
        }
        return route;
    }
    Arc::new(Recipients { here: targets.drain(..).collect(), ..Recipients::default() })
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
        merged.lasts |= target.lasts;
        // It is left out only where all of them have got it as retained.
        merged.since = merged.since.min(target.since);
        identifiers.extend(target.identifiers.iter());
    }
    merged.identifiers = identifiers.into();
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(number: u64, qos: QoS, identifier: u32) -> Target {
        let shard = ShardIndex(number as u16 / 10);
        let address = SessionAddress { shard, slot: number as u32, number: SessionNumber(number) };
        Target {
            to: Destination::Session(address),
            qos,
            audience: Audience::Everybodys,
            retain_as_published: false,
            lasts: false,
            upgrades: false,
            since: Version::ZERO,
            identifiers: Identifiers::from_wire(identifier),
        }
    }

    #[test]
    fn each_shard_gets_its_targets_in_their_order() {
        let mut targets = [21, 3, 1, 22, 10].map(|number| target(number, QoS::AtMostOnce, 0)).to_vec();
        let numbers = |targets: &[Target]| -> Vec<u64> {
            let number = |target: &Target| match target.to {
                Destination::Session(address) => address.number.0,
                Destination::Group(_) => 0,
            };
            targets.iter().map(number).collect()
        };
        let recipients = Recipients::new(&mut targets.clone(), ShardIndex(0));
        assert_eq!(numbers(&recipients.here), [3, 1]);
        let elsewhere: Vec<_> = recipients.elsewhere.iter().map(|(s, t)| (s.0, numbers(t))).collect();
        assert_eq!(elsewhere, [(1, vec![10]), (2, vec![21, 22])]);
        assert!(Recipients::new(&mut targets, ShardIndex(9)).here.is_empty());
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

//! What must be true when all is over. What must be true all the time is checked where it is seen.
//!
//! | check | promise | where |
//! |---|---|---|
//! | lost | what was acknowledged reaches every session that subscribed before it was published | delivery.rs |
//! | exactly once | QoS 2 from end to end arrives once, crash or not | delivery.rs, shared.rs |
//! | uninvited | nothing arrives without a subscription, or without the right to publish or receive it, at another QoS or with another's identifier | invited.rs |
//! | order | one publisher's messages of a topic and QoS keep their order | order.rs |
//! | retained | a new subscription gets the last acknowledged retained message, or a later one | retained.rs |
//! | will | a Will is published when its connection is lost, once, and not after DISCONNECT | will.rs |
//! | accounting | published = received + dropped for a counted reason; queues keep their limit | accounting.rs |
//! | leak | when all is delivered the store holds sessions, subscriptions and retained messages only; when all sessions have ended, retained messages only, and the broker nothing else either | leak.rs |
//! | receive maximum, maximum packet size, content, protocol, session | at every packet | client/ |
//! | outbox | at every write | broker/connection.rs |
//! | rest | when nothing goes wrong any more, all becomes quiet, everyone is served, no shard has unread mail or a client that it does not read | world.rs |

use std::collections::BTreeMap;
use std::time::Duration;

use noctule_protocol::{QoS, SubscriptionFilter, TopicName};

use crate::facts::{Content, Facts, MessageNumber, Published, Received, Subscribed};
use crate::plan::Plan;
use crate::rights;
use crate::world::World;

mod accounting;
mod delivery;
mod invited;
mod leak;
mod order;
mod retained;
mod shared;
mod will;

/// A broken promise: its check, and what was seen.
type Finding = (&'static str, String);

/// Checks everything that can be checked in the end.
pub(crate) fn all(world: &mut World) {
    let facts = &world.context.facts;
    let view = View::new(&world.context.plan, facts);
    let mut found = Vec::new();
    delivery::check(&view, &mut found);
    shared::check(&view, &mut found);
    invited::check(&view, &mut found);
    order::check(&view, &mut found);
    retained::check(&view, &mut found);
    will::check(&view, world, &mut found);
    accounting::check(&view, &world.broker, &mut found);
    leak::check(&world.disk, &mut found);
    for (check, what) in found {
        world.context.violation(check, what);
    }
}

/// Checks what is left when all sessions have ended.
pub(crate) fn leftovers(world: &mut World) {
    let mut found = Vec::new();
    leak::leftovers(world, &mut found);
    for (check, what) in found {
        world.context.violation(check, what);
    }
}

/// The facts by what the checks ask for.
struct View<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    /// Subscriptions by client and incarnation.
    subscribed: BTreeMap<(usize, u32), Vec<&'a Subscribed>>,
    /// Live messages by client, incarnation and message; replays of retained ones are left out.
    live: BTreeMap<(usize, u32, MessageNumber), Vec<&'a Received>>,
}

impl<'a> View<'a> {
    fn new(plan: &'a Plan, facts: &'a Facts) -> Self {
        let mut view = Self { plan, facts, subscribed: BTreeMap::new(), live: BTreeMap::new() };
        for one in &facts.subscribed {
            view.subscribed.entry((one.client, one.incarnation)).or_default().push(one);
        }
        for received in &facts.received {
            if let Content::Message(number) = received.content
                && view.is_live(received)
            {
                view.live.entry((received.client, received.incarnation, number)).or_default().push(received);
            }
        }
        view
    }

    /// All subscriptions this session ever had that match a topic.
    fn matching(
        &self,
        client: usize,
        incarnation: u32,
        topic: &'a str,
    ) -> impl Iterator<Item = &'a Subscribed> {
        let all = self.subscribed.get(&(client, incarnation)).into_iter().flatten().copied();
        all.filter(move |one| one.matches(topic))
    }

    /// A replay of a retained message has RETAIN 1; so has a live one, but only with Retain As Published.
    fn is_live(&self, received: &Received) -> bool {
        let Content::Message(number) = received.content else { return false };
        let topic = self.facts.published[number].topic;
        !received.retain
            || self
                .matching(received.client, received.incarnation, topic)
                .any(|one| one.options.retain_as_published)
    }

    fn live(&self, client: usize, incarnation: u32, number: MessageNumber) -> &[&'a Received] {
        self.live.get(&(client, incarnation, number)).map_or(&[], Vec::as_slice)
    }

    fn is_alive(&self, client: usize, incarnation: u32) -> bool {
        self.facts
            .incarnations
            .iter()
            .any(|one| one.client == client && one.number == incarnation && one.alive)
    }

    /// If a session has ended: how long the broker has kept it at least.
    fn kept_until(&self, client: usize, incarnation: u32) -> Option<Duration> {
        let mut all = self.facts.incarnations.iter();
        all.find(|one| one.client == client && one.number == incarnation)?.kept_until
    }

    /// Whether a message surely fits into the packets a client takes.
    fn fits(&self, client: usize, message: &Published) -> bool {
        let limit = self.plan.clients[client].maximum_packet_size;
        limit.is_none_or(|limit| message.packet_bytes_max() <= limit as usize)
    }
}

impl Subscribed {
    fn parsed(&self) -> Option<SubscriptionFilter<'_>> {
        SubscriptionFilter::parse(self.filter).ok()
    }

    fn is_shared(&self) -> bool {
        self.parsed().is_some_and(|filter| filter.share.is_some())
    }

    /// Whether what is published to a topic may come through it.
    fn matches(&self, topic: &str) -> bool {
        rights::may_receive(self.client, topic) && self.is_about(topic)
    }

    /// The same whether or not its client may receive that.
    fn is_about(&self, topic: &str) -> bool {
        let Ok(name) = TopicName::parse(topic) else { return false };
        rights::may_publish(topic) && self.parsed().is_some_and(|filter| filter.filter.matches(name))
    }

    /// How a message must come through this subscription.
    fn delivered_qos(&self, message: &Published) -> QoS {
        self.options.qos.min(message.qos)
    }

    /// Whether an acknowledged message must come through it: it was confirmed before the message was first sent, and
    /// not taken back before the message was acknowledged.
    fn owes(&self, message: &Published) -> bool {
        let (Some(granted), Some(sent), Some(acknowledged)) =
            (self.granted, message.first_sent, message.acknowledged)
        else {
            return false;
        };
        granted < sent
            && self.removal_requested.is_none_or(|at| acknowledged < at)
            && !(self.options.no_local && message.publisher == self.client)
            && self.matches(message.topic)
    }
}

//! A client that does all that the standard asks of it, and keeps an eye on what it gets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use noctule_protocol::delivery::Outgoing;
use noctule_protocol::{QoS, ReasonCode};

use crate::context::Context;
use crate::facts::{Content, Incarnation, MessageNumber, Published};
use crate::network::LinkNumber;
use crate::plan::{CARELESS, ClientPlan, PublishPlan, RETAINED_TOPICS};
use crate::schedule::Event;

mod connect;
mod connection;
mod delivery;
mod publish;
mod subscribe;
mod whim;

use connection::Connection;
use subscribe::Subscription;

/// Messages that may wait to be sent; a client with more publishes no new ones.
const WAITING_MAX: usize = 50;

/// A client across all its connections.
pub(crate) struct Client {
    number: usize,
    plan: ClientPlan,
    // Its session.
    incarnation: Option<u32>,
    incarnations: u32,
    outgoing: Outgoing<MessageNumber>,
    waiting: VecDeque<MessageNumber>,
    /// QoS 2 exchanges between PUBLISH and PUBREL.
    incoming: BTreeMap<u16, Content>,
    /// Messages between PUBREC and PUBCOMP.
    released: BTreeMap<u16, MessageNumber>,
    subscriptions: Vec<Subscription>,
    /// Whether the broker has a session for it.
    expects: Expects,
    /// It discarded its session, and the broker has not confirmed that it did.
    must_start_clean: bool,
    /// It wants its session to end, and nothing more.
    retires: bool,
    // Its connection.
    connections: u32,
    /// The Receive Maximum that the broker announced last; before, the least there can be.
    receive_maximum: u16,
    connection: Option<Box<Connection>>,
    /// The link of this connection, or of the last one.
    last_link: Option<LinkNumber>,
    last_will: Option<usize>,
    /// Counts SUBSCRIBE and UNSUBSCRIBE packets.
    requests: u16,
    /// Packets to be received twice (a defect on purpose).
    repeats: BTreeMap<u16, Vec<u8>>,
    // What it will do.
    connects_at: Option<Duration>,
    publishes_at: Option<Duration>,
    whim_at: Option<Duration>,
    wake_planned: Option<Duration>,
}

/// What Session Present must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expects {
    Absent,
    Either,
    Present,
}

impl Client {
    pub(crate) fn new(number: usize, plan: ClientPlan, context: &mut Context) -> Self {
        let subscriptions = plan.subscriptions.iter().map(|_| Subscription::default()).collect();
        let mut client = Self {
            number,
            incarnation: None,
            incarnations: 0,
            outgoing: Outgoing::new(plan.window),
            waiting: VecDeque::new(),
            incoming: BTreeMap::new(),
            released: BTreeMap::new(),
            subscriptions,
            expects: Expects::Absent,
            must_start_clean: false,
            retires: false,
            connections: 0,
            receive_maximum: 1,
            connection: None,
            last_link: None,
            last_will: None,
            requests: 0,
            repeats: BTreeMap::new(),
            connects_at: plan.joins,
            publishes_at: plan.publishes.as_ref().map(|publishes| publishes.starts),
            whim_at: None,
            wake_planned: None,
            plan,
        };
        client.whim_at = client.next_whim(context);
        client.plan_wake(context);
        client
    }

    /// The link it uses now.
    pub(crate) fn link(&self) -> Option<LinkNumber> {
        self.connection.as_ref().map(|connection| connection.link)
    }

    /// Whether its link may be lost.
    pub(crate) fn may_be_lost(&self) -> bool {
        self.plan.may_be_lost
    }

    /// Whether all it wanted to publish is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.outgoing.is_empty()
    }

    /// Whether it should be connected by now, and is.
    pub(crate) fn is_as_it_should_be(&self) -> bool {
        if self.retires {
            return self.connection.is_none() && self.connects_at.is_none();
        }
        self.plan.joins.is_none() || self.connection.as_ref().is_some_and(|connection| connection.is_online())
    }

    /// Connects now.
    pub(crate) fn join(&mut self, context: &mut Context) {
        self.connects_at = Some(context.now);
        self.plan_wake(context);
    }

    /// Leaves for good: connects once more to end its session.
    pub(crate) fn retire(&mut self, context: &mut Context) {
        self.retires = true;
        self.waiting.clear();
        match self.connection {
            Some(_) => self.disconnect(ReasonCode::Success, context),
            None => self.connects_at = Some(context.now),
        }
        self.after(context);
    }

    /// Nothing goes wrong any more: it reads, and stays.
    pub(crate) fn calm(&mut self, context: &mut Context) {
        self.whim_at = None;
        self.publishes_at = None;
        if let Some(connection) = &mut self.connection {
            connection.stalled_until = None;
        }
        self.read(context);
        self.after(context);
    }

    /// Publishes a last time, when all was quiet.
    pub(crate) fn epilogue(&mut self, context: &mut Context) {
        if let Some(publishes) = self.plan.publishes.clone() {
            for _ in 0..2 {
                self.publish_one(&publishes, context);
            }
        }
        self.after(context);
    }

    /// Something is due.
    pub(crate) fn wake(&mut self, context: &mut Context) {
        if self.wake_planned.is_none_or(|at| at > context.now) {
            return;
        }
        self.wake_planned = None;
        if self.connects_at.is_some_and(|at| at <= context.now) {
            self.connects_at = None;
            if self.connection.is_none() {
                self.connect_and_go_on(context);
            }
        }
        if self.publishes_at.is_some_and(|at| at <= context.now) {
            self.publish(context);
        }
        if self.whim_at.is_some_and(|at| at <= context.now) {
            self.follow_whim(context);
            self.whim_at = self.next_whim(context);
        }
        self.keep_alive(context);
        self.read(context);
        self.after(context);
    }

    /// Its end of a link has something to look at.
    pub(crate) fn look(&mut self, link: LinkNumber, context: &mut Context) {
        if self.link() == Some(link) {
            self.read(context);
            self.after(context);
        }
    }

    /// Acknowledges what is due, writes, and plans when to wake.
    fn after(&mut self, context: &mut Context) {
        self.acknowledge_due(context);
        self.pump(context);
        self.flush(context);
        self.plan_wake(context);
    }

    fn plan_wake(&mut self, context: &mut Context) {
        let connection = self.connection.as_ref().and_then(|connection| connection.wakes_at(&self.plan));
        let times = [self.connects_at, self.publishes_at, self.whim_at, connection];
        let Some(at) = times.into_iter().flatten().min() else { return };
        let at = at.max(context.now + Duration::from_micros(1));
        if self.wake_planned.is_none_or(|planned| planned > at) {
            self.wake_planned = Some(at);
            context.schedule.plan(at, Event::Client(self.number));
        }
    }

    fn publish(&mut self, context: &mut Context) {
        let Some(publishes) = self.plan.publishes.clone() else { return };
        for _ in 0..context.random.between(1..=publishes.burst_max) {
            self.publish_one(&publishes, context);
        }
        let every = publishes.every;
        self.publishes_at = Some(context.now + context.random.time(Duration::ZERO..=every * 2));
    }

    fn publish_one(&mut self, plan: &PublishPlan, context: &mut Context) {
        let random = &mut context.random;
        let (topic, qos) = (*random.pick(&plan.topics), *random.pick(&plan.qos));
        let is_online = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.is_online() && !connection.is_full());
        let may_go = if qos == QoS::AtMostOnce { is_online } else { self.waiting.len() < WAITING_MAX };
        if !may_go {
            return;
        }
        let retain = RETAINED_TOPICS.contains(&topic) && random.percent(plan.retain_percent);
        let number = context.facts.published.len();
        let clears = retain && random.percent(15);
        let bytes = if clears { 0 } else { random.between(1..=plan.bytes_max) };
        let expires = random.percent(plan.expire_percent);
        let message = Published {
            publisher: self.number,
            topic,
            qos,
            retain,
            payload_bytes: if clears { 0 } else { Published::payload(number, bytes).len() },
            expiry: expires.then(|| random.between(1..=4) as u32),
            first_sent: None,
            acknowledged: None,
            is_promised: self.plan.listener != CARELESS,
        };
        context.facts.published.push(message);
        if qos == QoS::AtMostOnce {
            self.send_publish(number, None, false, context);
        } else {
            self.waiting.push_back(number);
        }
    }

    /// Its session has ended, or it does not want it any more.
    fn discard_session(&mut self, context: &mut Context) {
        if let Some(number) = self.incarnation.take() {
            let mine = |incarnation: &&mut Incarnation| {
                incarnation.client == self.number && incarnation.number == number
            };
            if let Some(incarnation) = context.facts.incarnations.iter_mut().rev().find(mine) {
                incarnation.alive = false;
                let lost_at = self.last_link.and_then(|link| context.links[link].lost_at());
                incarnation.kept_until = Some(lost_at.map_or(context.now, |at| at.min(context.now)));
            }
        }
        self.outgoing = Outgoing::new(self.plan.window);
        self.incoming.clear();
        self.released.clear();
        self.repeats.clear();
        for subscription in &mut self.subscriptions {
            *subscription = Subscription::default();
        }
    }

    fn begin_session(&mut self, context: &mut Context) {
        self.discard_session(context);
        self.incarnations += 1;
        self.incarnation = Some(self.incarnations);
        context.facts.incarnations.push(Incarnation {
            client: self.number,
            number: self.incarnations,
            alive: true,
            kept_until: None,
        });
    }
}

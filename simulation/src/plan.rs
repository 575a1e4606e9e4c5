//! What a seed decides before anything happens: the broker's settings, the clients, what goes wrong.

use std::time::Duration;

use noctule_broker::{Durability, ListenerSettings, LogLevel, LogLevels, QueueHead, Settings};
use noctule_protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_protocol::{ProtocolVersion, QoS};

use crate::random::Random;
use crate::rights::{CLOSED_TOPIC, OWN_TOPICS, rules};
use crate::sabotage::Sabotage;

/// Topics of ordinary messages.
const TOPICS: [&str; 4] = ["a/1", "a/2", "b/1", "$c/1"];
/// The listener whose clients are promised less than the others. What it acknowledges may be lost with the broker.
pub const CARELESS: u16 = 1;
/// Topics that also get retained messages.
pub const RETAINED_TOPICS: [&str; 3] = ["r/1", "r/2", "r/x"];
/// The last clients of a plan: they ask in the end what is retained, at three times.
pub const AUDITORS: usize = 3;
/// What clients subscribe to.
const FILTERS: [&str; 9] = ["a/1", "a/+", "a/#", "+/1", "#", "b/1", "$c/+", "r/+", "r/1"];
/// What groups subscribe to.
const SHARED_FILTERS: [&str; 3] = ["$share/g/a/+", "$share/g/#", "$share/h/a/1"];

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What decided all the rest.
    pub seed: u64,
    /// Which promises can be checked.
    pub regime: Regime,
    /// The broker's.
    pub settings: Settings,
    /// Shards of the broker.
    pub shards: u16,
    /// Whether their number changes with each start of the broker.
    pub shards_vary: bool,
    /// After so many of a hundred tasks of a shard's turn others may have theirs before it goes on.
    pub interleave_percent: usize,
    /// The name that all clients have.
    pub user_name: Option<&'static str>,
    /// By number.
    pub clients: Vec<ClientPlan>,
    /// Longest way of a byte, without jitter.
    pub latency_max: Duration,
    /// Bytes a direction of a link may hold.
    pub link_capacities: Vec<usize>,
    /// Most bytes the broker reads at once.
    pub read_bytes_max: usize,
    /// Bytes of the queue before the store.
    pub queue_bytes_max: usize,
    /// Shortest and longest time of a sync; a write without one takes the shortest at most.
    pub sync_time: [Duration; 2],
    /// So many of a thousand writes take seconds.
    pub stalls_of_1000: usize,
    /// Whether the machine may lose power; a killed process alone loses less.
    pub loses_power: bool,
    /// In so many of a hundred faults that are no crash the store fails, and the broker ends itself.
    pub store_fails_percent: usize,
    /// In so many of a hundred starts the broker dies while it starts.
    pub dies_starting_percent: usize,
    /// Whether effects are carried out after each input, or at the end of the turn.
    pub eager: bool,
    /// When faults and new messages end.
    pub active: Duration,
    /// Mean time between faults.
    pub fault_every: Duration,
    /// In so many of a hundred faults the broker crashes.
    pub crash_percent: usize,
    /// Whether the broker is restarted once more when all is quiet.
    pub restarts_quiet: bool,
    /// What is broken on purpose, to see that it is noticed.
    pub sabotage: Option<Sabotage>,
}

/// Which promises can be checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Regime {
    /// Queues without limit; everything may go wrong.
    Faulty,
    /// Queues with limits; the broker and its publishers' links stay up, so that each message can be accounted for.
    Accounting,
}

/// One client.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Client Identifier.
    pub id: String,
    /// Which protocol it speaks.
    pub version: ProtocolVersion,
    /// What becomes of its session.
    pub life: Life,
    /// When it first connects; `None` when all is quiet in the end.
    pub joins: Option<Duration>,
    /// 5.0.
    pub receive_maximum: Option<u16>,
    /// 5.0.
    pub maximum_packet_size: Option<u32>,
    /// 5.0: how many aliases it takes.
    pub alias_maximum: u16,
    /// Whether it uses aliases when publishing (5.0).
    pub uses_aliases: bool,
    /// Seconds, 0 for none.
    pub keep_alive: u16,
    /// What it subscribes to.
    pub subscriptions: Vec<SubscriptionPlan>,
    /// What it publishes.
    pub publishes: Option<PublishPlan>,
    /// Its Will.
    pub will: Option<WillPlan>,
    /// Where it comes in: 0, or [`CARELESS`].
    pub listener: u16,
    /// Longest time until it acknowledges.
    pub ack_delay_max: Duration,
    /// Messages it has in flight at most.
    pub window: u16,
    /// Mean time between its whims: to stop reading, to leave, to unsubscribe; `None` if it has none.
    pub whim_every: Option<Duration>,
    /// Whether its links may be lost.
    pub may_be_lost: bool,
    /// In so many of a hundred connections it sends on behind CONNECT without waiting for CONNACK.
    pub hurry_percent: usize,
}

/// What becomes of a session when its connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Life {
    /// It never ends.
    Lasting,
    /// It ends so many seconds later (5.0).
    Expiring(u32),
    /// It ends with the connection.
    Passing,
    /// Another time, another answer; now and then it starts clean.
    Fickle,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionPlan {
    /// The Topic Filter, `$share/` and all.
    pub filter: &'static str,
    /// How.
    pub options: SubscriptionOptions,
    /// Subscription Identifier (5.0).
    pub identifier: Option<u32>,
}

/// A stream of messages.
#[derive(Clone, Debug)]
pub struct PublishPlan {
    /// Where to.
    pub topics: Vec<&'static str>,
    /// How.
    pub qos: Vec<QoS>,
    /// Mean time between two.
    pub every: Duration,
    /// Messages it sends at one time at most.
    pub burst_max: usize,
    /// Payload bytes at most.
    pub bytes_max: usize,
    /// So many of a hundred to topics that may have retained ones are retained.
    pub retain_percent: usize,
    /// So many of a hundred expire within seconds (5.0).
    pub expire_percent: usize,
    /// Not before.
    pub starts: Duration,
}

/// A Will; its topic is made from the client's number.
#[derive(Clone, Copy, Debug)]
pub struct WillPlan {
    /// How.
    pub qos: QoS,
    /// Will Delay Interval (5.0).
    pub delay: u32,
}

impl ClientPlan {
    /// 3.x has no Receive Maximum; there the number of identifiers is the limit.
    pub fn announced_receive_maximum(&self) -> u16 {
        self.receive_maximum.filter(|_| self.version == ProtocolVersion::V5).unwrap_or(u16::MAX)
    }
}

impl Plan {
    /// What this seed decides.
    pub fn of(seed: u64) -> Self {
        let random = &mut Random::seeded(seed);
        let regime = if random.percent(80) { Regime::Faulty } else { Regime::Accounting };
        let mut plan = Self {
            seed,
            regime,
            settings: settings(regime, random),
            shards: if random.percent(33) { 1 } else { random.between(2..=4) as u16 },
            shards_vary: random.percent(20),
            interleave_percent: *random.pick(&[0, 0, 15, 50]),
            user_name: None,
            clients: Vec::new(),
            latency_max: random.millis(1..=60),
            link_capacities: vec![random.between(64..=512), random.between(600..=8000), 65_536],
            read_bytes_max: *random.pick(&[7, 100, 4096, 65_536]),
            queue_bytes_max: *random.pick(&[1, 2000, 20_000, 32 * 1024 * 1024, 32 * 1024 * 1024]),
            sync_time: [random.millis(0..=3), random.millis(4..=80)],
            stalls_of_1000: *random.pick(&[0, 0, 5]),
            loses_power: true,
            store_fails_percent: 0,
            dies_starting_percent: 0,
            eager: random.percent(50),
            active: random.millis(10_000..=30_000),
            fault_every: random.millis(500..=5000),
            crash_percent: if regime == Regime::Faulty { *random.pick(&[0, 20, 50]) } else { 0 },
            restarts_quiet: random.percent(60),
            sabotage: None,
        };
        plan.trouble(random);
        let publishers = random.between(1..=3);
        for _ in 0..publishers {
            plan.add(random, |client, random| publisher(client, regime, random));
        }
        for _ in 0..random.between(1..=3) {
            plan.add(random, |client, random| subscriber(client, regime, random));
        }
        if random.percent(if regime == Regime::Faulty { 50 } else { 30 }) {
            let filter = *random.pick(&SHARED_FILTERS);
            let qos = *random.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce]);
            for _ in 0..random.between(2..=3) {
                plan.add(random, |client, random| member(client, filter, qos, regime, random));
            }
        }
        if regime == Regime::Faulty && plan.clients.iter().any(|client| client.will.is_some()) {
            plan.add(random, |client, _| watcher(client, "w/#"));
        }
        if regime == Regime::Faulty && random.percent(40) {
            plan.add(random, |client, random| {
                watcher(client, "r/#");
                client.life = Life::Passing;
                client.whim_every = Some(random.millis(1000..=5000));
                client.may_be_lost = true;
            });
        }
        for _ in 0..AUDITORS {
            plan.add(random, |client, _| {
                watcher(client, "r/#");
                client.life = Life::Passing;
                client.joins = None;
            });
        }
        if random.percent(30) {
            plan.restrict(random);
        }
        plan
    }

    /// Gives the broker rules, and publishers topics for which not everybody has the right.
    fn restrict(&mut self, random: &mut Random) {
        let authenticates = random.percent(50);
        self.user_name = (authenticates || random.percent(50)).then_some("u");
        let access = rules(random.between(0..=2) as u32, self.user_name);
        for listener in &mut self.settings.listeners {
            listener.authenticates = authenticates;
            listener.access = Some(access.clone());
        }
        for publishes in self.clients.iter_mut().filter_map(|client| client.publishes.as_mut()) {
            publishes.topics.push(*random.pick(&OWN_TOPICS));
            if random.percent(50) {
                publishes.topics.push(CLOSED_TOPIC);
            }
        }
    }

    /// Whether not everybody may do everything.
    pub(crate) fn has_rules(&self) -> bool {
        self.settings.listeners[0].access.is_some() && self.sabotage != Some(Sabotage::ForgetRules)
    }

    /// The same settings, with rules that mean the same.
    pub(crate) fn reworded(&self, random: &mut Random) -> Settings {
        let mut settings = self.settings.clone();
        let access = rules(random.between(0..=2) as u32, self.user_name);
        settings.listeners.iter_mut().for_each(|listener| listener.access = Some(access.clone()));
        settings
    }

    /// What the disk and its machine do to the broker.
    fn trouble(&mut self, random: &mut Random) {
        match self.regime {
            Regime::Faulty => {
                self.store_fails_percent = *random.pick(&[0, 0, 10, 30]);
                self.dies_starting_percent = *random.pick(&[0, 0, 30, 60]);
            }
            // Here the broker stays up.
            Regime::Accounting => {}
        }
        let durability = *random.pick(&[
            Durability::Sync,
            Durability::Sync,
            Durability::Sync,
            Durability::Flush,
            Durability::Memory,
        ]);
        self.settings.listeners[0].durability = durability;
        self.settings.listeners[usize::from(CARELESS)].durability =
            *random.pick(&[Durability::Flush, Durability::Memory]);
        match durability {
            Durability::Sync => {}
            Durability::Flush => self.loses_power = false,
            // What the last second brought may be lost, so nothing may go wrong.
            Durability::Memory => {
                self.loses_power = false;
                self.crash_percent = 0;
                self.store_fails_percent = 0;
                self.dies_starting_percent = 0;
            }
        }
    }

    fn add(&mut self, random: &mut Random, shape: impl FnOnce(&mut ClientPlan, &mut Random)) {
        let number = self.clients.len();
        let version = if random.percent(50) { ProtocolVersion::V5 } else { ProtocolVersion::V311 };
        let slowest = *random.pick(&[0, 5, 200]);
        let mut client = ClientPlan {
            id: format!("client-{number}"),
            version,
            life: Life::Lasting,
            joins: Some(random.millis(0..=500)),
            receive_maximum: random.percent(60).then(|| random.between(1..=20) as u16),
            maximum_packet_size: None,
            alias_maximum: *random.pick(&[0, 0, 1, 10]),
            uses_aliases: random.percent(50),
            keep_alive: *random.pick(&[0, 1, 2, 5, 60]),
            subscriptions: Vec::new(),
            publishes: None,
            will: None,
            listener: 0,
            ack_delay_max: random.millis(0..=slowest),
            window: *random.pick(&[1, 3, 20]),
            whim_every: None,
            may_be_lost: true,
            hurry_percent: *random.pick(&[0, 30, 100]),
        };
        shape(&mut client, random);
        if self.regime == Regime::Faulty && random.percent(30) {
            client.will = Some(WillPlan {
                qos: *random.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]),
                delay: if client.version == ProtocolVersion::V5 { *random.pick(&[0, 0, 1, 3]) } else { 0 },
            });
        }
        self.clients.push(client);
    }
}

fn settings(regime: Regime, random: &mut Random) -> Settings {
    Settings {
        listeners: vec![
            ListenerSettings {
                max_topic_alias: *random.pick(&[0, 2, 10]),
                max_topic_alias_broker: *random.pick(&[0, 2, 10]),
                ..ListenerSettings::default()
            };
            2
        ],
        max_inflight_messages: *random.pick(&[0, 1, 2, 5, 20, 20]),
        max_inflight_bytes: *random.pick(&[0, 0, 0, 1, 300]),
        max_queued_messages: match regime {
            Regime::Faulty => 0,
            Regime::Accounting => random.between(1..=12),
        },
        // Most queues in a simulation are short.
        queue_head: match random.below(4) {
            0 => QueueHead::ALL,
            _ => QueueHead { messages: random.between(1..=4), bytes: *random.pick(&[1, 50, 1 << 20]) },
        },
        queue_qos0_messages: random.percent(30),
        allow_duplicate_messages: random.percent(70),
        outbox_bytes_max: *random.pick(&[64, 500, 4000, 1024 * 1024]),
        mail_bytes_max: *random.pick(&[0, 200, 1000, 5000, 4 * 1024 * 1024]),
        fan_out_bytes_max: *random.pick(&[1, 200, 1000, 4000, 4 * 1024 * 1024]),
        log_levels: LogLevels::NONE.with(LogLevel::Error).with(LogLevel::Warning).with(LogLevel::Notice),
        secret: [random.bits(), random.bits()],
        ..Settings::default()
    }
}

fn life(client: &mut ClientPlan, random: &mut Random) {
    client.life = match random.below(10) {
        0..=5 => Life::Lasting,
        6 if client.version == ProtocolVersion::V5 => Life::Expiring(random.between(1..=5) as u32),
        6 | 7 => Life::Passing,
        _ => Life::Fickle,
    };
    if client.life == Life::Passing && random.percent(20) {
        client.version = ProtocolVersion::V31;
    }
}

fn publisher(client: &mut ClientPlan, regime: Regime, random: &mut Random) {
    let mut publishes = publishes(random);
    match regime {
        Regime::Faulty => {
            life(client, random);
            client.whim_every = random.percent(30).then(|| random.millis(1000..=8000));
            if random.percent(30) {
                client.subscriptions = subscriptions(client, random);
            }
        }
        Regime::Accounting => {
            client.may_be_lost = false;
            client.keep_alive = 0;
            publishes.qos.retain(|qos| *qos != QoS::AtMostOnce);
            if publishes.qos.is_empty() {
                publishes.qos.push(QoS::ExactlyOnce);
            }
            publishes.retain_percent = 0;
            if publishes.qos.contains(&QoS::ExactlyOnce) {
                // One that expires before PUBREL is dropped once, for all its recipients.
                publishes.expire_percent = 0;
            }
            publishes.starts = Duration::from_secs(3);
        }
    }
    if client.version != ProtocolVersion::V5 {
        publishes.expire_percent = 0;
    }
    if regime == Regime::Faulty && random.percent(25) {
        client.listener = CARELESS;
        client.life = Life::Passing;
        client.subscriptions.clear();
        publishes.retain_percent = 0;
    }
    client.publishes = Some(publishes);
}

fn publishes(random: &mut Random) -> PublishPlan {
    let mut topics = Vec::new();
    for _ in 0..random.between(1..=3) {
        topics.push(*if random.percent(65) { random.pick(&TOPICS) } else { random.pick(&RETAINED_TOPICS) });
    }
    let qos = match random.below(6) {
        0 => vec![QoS::AtLeastOnce],
        1 | 2 => vec![QoS::ExactlyOnce],
        3 => vec![QoS::AtLeastOnce, QoS::ExactlyOnce],
        _ => vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce],
    };
    PublishPlan {
        topics,
        qos,
        every: random.millis(50..=1000),
        burst_max: *random.pick(&[1, 1, 5, 30]),
        bytes_max: *random.pick(&[20, 200, 3000]),
        retain_percent: *random.pick(&[0, 50, 100]),
        expire_percent: *random.pick(&[0, 0, 10]),
        starts: Duration::from_millis(300),
    }
}

fn subscriber(client: &mut ClientPlan, regime: Regime, random: &mut Random) {
    match regime {
        Regime::Faulty => {
            life(client, random);
            client.subscriptions = subscriptions(client, random);
            client.whim_every = random.percent(60).then(|| random.millis(500..=8000));
            if random.percent(30) {
                client.publishes = Some(PublishPlan { expire_percent: 0, ..publishes(random) });
            }
        }
        Regime::Accounting => {
            let qos = *random.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
            let filter = *random.pick(&FILTERS);
            let options = SubscriptionOptions::new(qos);
            client.subscriptions = vec![SubscriptionPlan { filter, options, identifier: None }];
            client.joins = Some(Duration::ZERO);
            // A message that fits thanks to an alias may not fit on the next connection.
            client.alias_maximum = 0;
            if random.percent(20) {
                client.life = Life::Passing;
            }
        }
    }
    client.maximum_packet_size = random.percent(20).then(|| random.between(60..=400) as u32);
}

fn subscriptions(client: &ClientPlan, random: &mut Random) -> Vec<SubscriptionPlan> {
    let is_5 = client.version == ProtocolVersion::V5;
    let has_identifiers = is_5 && random.percent(50);
    let mut filters = FILTERS;
    random.shuffle(&mut filters);
    let mut made = Vec::new();
    for filter in &filters[..random.between(1..=3)] {
        let mut options = SubscriptionOptions::new(*random.pick(&[
            QoS::AtMostOnce,
            QoS::AtLeastOnce,
            QoS::ExactlyOnce,
            QoS::ExactlyOnce,
        ]));
        if is_5 {
            options.no_local = random.percent(10);
            options.retain_as_published = random.percent(20);
            options.retain_handling = *random.pick(&[
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendAtSubscribe,
                RetainHandling::SendAtNewSubscribe,
                RetainHandling::DoNotSend,
            ]);
        }
        let identifier = has_identifiers.then_some(made.len() as u32 + 1);
        made.push(SubscriptionPlan { filter, options, identifier });
    }
    made
}

fn member(client: &mut ClientPlan, filter: &'static str, qos: QoS, regime: Regime, random: &mut Random) {
    if random.percent(20) {
        client.life = Life::Passing;
    }
    let options = SubscriptionOptions::new(qos);
    client.subscriptions = vec![SubscriptionPlan { filter, options, identifier: None }];
    if regime == Regime::Faulty {
        client.whim_every = random.percent(50).then(|| random.millis(500..=8000));
    } else {
        client.joins = Some(Duration::ZERO);
    }
}

/// Sees all that matches, at QoS 2, and stays.
fn watcher(client: &mut ClientPlan, filter: &'static str) {
    let options = SubscriptionOptions::new(QoS::ExactlyOnce);
    client.subscriptions = vec![SubscriptionPlan { filter, options, identifier: None }];
    client.maximum_packet_size = None;
}

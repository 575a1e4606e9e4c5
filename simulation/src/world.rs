//! One run: the loop over what happens, from the first connection to the last check.

use std::time::Duration;

use crate::broker::Broker;
use crate::check;
use crate::client::Client;
use crate::context::{Context, Violation};
use crate::disk::{Death, Disk, Failed};
use crate::network::End;
use crate::plan::{AUDITORS, Plan};
use crate::schedule::Event;
use crate::trace::Trace;

/// All is quiet when nothing came forward for so long.
const QUIET: Duration = Duration::from_secs(15);
/// A run that is not quiet by then will never be: thousands of messages may have to go one by one.
const CALM_MAX: Duration = Duration::from_secs(7200);

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What must not have happened, first things first.
    pub violations: Vec<Violation>,
    /// Of the history, if it was hashed.
    pub hash: u64,
    /// How much happened, to see that runs are not empty.
    pub tally: Tally,
}

/// How much happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages published.
    pub published: usize,
    /// Messages received.
    pub received: usize,
    /// Connections made.
    pub links: usize,
    /// Crashes and stops of the broker.
    pub restarts: usize,
}

impl Tally {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.published += other.published;
        self.received += other.received;
        self.links += other.links;
        self.restarts += other.restarts;
    }
}

/// All parts of the simulated world.
pub(crate) struct World {
    pub(crate) context: Context,
    pub(crate) broker: Broker,
    pub(crate) disk: Disk,
    pub(crate) clients: Vec<Client>,
}

/// Runs a plan to its end and checks everything.
pub fn run(plan: Plan, trace: Trace) -> Outcome {
    let mut world = World::new(plan, trace);
    world.run();
    check::all(&mut world);
    if world.context.violations.is_empty() {
        world.retire();
        check::leftovers(&mut world);
    }
    let context = world.context;
    Outcome {
        hash: match context.trace {
            Trace::Hashed(hash) => hash,
            Trace::Off | Trace::Printed => 0,
        },
        tally: Tally {
            published: context.facts.published.len(),
            received: context.facts.received.len(),
            links: context.links.len(),
            restarts: context.facts.restarts,
        },
        violations: context.violations,
    }
}

impl World {
    fn new(plan: Plan, trace: Trace) -> Self {
        let mut context = Context::new(plan, trace);
        let plan = context.plan.clone();
        context.trace(|| format!("{plan:#?}"));
        let clients = plan.clients.iter().enumerate();
        let clients =
            clients.map(|(number, client)| Client::new(number, client.clone(), &mut context)).collect();
        context.schedule.plan(Duration::ZERO, Event::Start);
        context.schedule.plan(plan.active, Event::Calm);
        let disk = Disk::new(&context);
        let mut world = Self { context, broker: Broker::default(), disk, clients };
        world.plan_fault(Duration::from_secs(2));
        world
    }

    fn run(&mut self) {
        self.run_while(|world| !world.context.calm && !world.context.has_failed_badly());
        self.run_until_quiet("after the faults");
        // All at one time: what they retain, they retain against each other.
        self.publish_all("after messages of one moment");
        self.audit("after the first audit");
        if self.context.plan.restarts_quiet {
            self.context.facts.restarts += 1;
            match self.context.random.below(4) {
                0 => self.broker.die(Death::Killed, &mut self.disk, &mut self.context),
                1 => self.broker.die(Death::PowerLost, &mut self.disk, &mut self.context),
                _ => self.broker.stop(&mut self.disk, &mut self.context),
            }
            self.context.broker_is_up = false;
            self.run_until_quiet("after a restart");
        }
        self.audit("after the second audit");
        self.publish_all("after the last messages");
        self.audit("after the last audit");
    }

    fn publish_all(&mut self, when: &str) {
        for client in &mut self.clients {
            client.epilogue(&mut self.context);
        }
        self.run_until_quiet(when);
    }

    /// Somebody asks what is retained.
    fn audit(&mut self, when: &str) {
        let auditors = &mut self.context.facts.auditors;
        let auditor = self.clients.len() - AUDITORS + auditors.len();
        auditors.push(auditor);
        self.clients[auditor].join(&mut self.context);
        self.run_until_quiet(when);
    }

    /// All sessions end.
    fn retire(&mut self) {
        for client in &mut self.clients {
            client.retire(&mut self.context);
        }
        self.run_until_quiet("after the last goodbye");
    }

    fn run_until_quiet(&mut self, when: &str) {
        let began = self.context.now;
        let (mut progress, mut since) = (self.context.progress, began);
        self.context.trace(|| format!("until quiet {when}"));
        loop {
            self.step();
            let now = self.context.now;
            if progress != self.context.progress || !self.disk.is_idle() {
                (progress, since) = (self.context.progress, now);
            }
            if now - since > QUIET {
                break;
            }
            if self.context.has_failed_badly() {
                return;
            }
            if now - began > CALM_MAX {
                return self.context.violation("rest", format!("the world does not come to rest {when}"));
            }
        }
        for what in self.broker.restless(&self.context) {
            self.context.violation("rest", format!("{what} {when}"));
        }
        for (number, client) in self.clients.iter().enumerate() {
            if !client.is_done() || !client.is_as_it_should_be() {
                let what = format!("client {number} waits for ever {when}");
                self.context.violation("rest", what);
            }
        }
    }

    fn run_while(&mut self, going: impl Fn(&Self) -> bool) {
        while going(self) {
            self.step();
        }
    }

    fn step(&mut self) {
        let Some((at, event)) = self.context.schedule.next() else {
            // Nothing is planned; time passes all the same.
            self.context.now += Duration::from_secs(1);
            return;
        };
        self.context.now = self.context.now.max(at);
        self.happen(event);
    }

    fn happen(&mut self, event: Event) {
        let Self { context, broker, disk, clients } = self;
        match event {
            Event::Look(link, End::Broker) => broker.look(link, context),
            Event::Look(link, End::Client) => {
                let client = context.links[link].client;
                clients[client].look(link, context);
            }
            Event::Turn(shard) => {
                let was_up = broker.is_up();
                broker.turn(shard, disk, context);
                if was_up && !broker.is_up() {
                    context.facts.restarts += 1;
                    context.broker_is_up = false;
                }
            }
            Event::Client(number) => clients[number].wake(context),
            Event::StoreWakes(generation) => disk.wake(generation, context),
            Event::Committed(generation) => match disk.committed(generation, context) {
                Ok(stored) => broker.stored(stored, context),
                Err(Failed) => {
                    broker.die(Death::StoreFailed, disk, context);
                    context.facts.restarts += 1;
                    context.broker_is_up = false;
                }
            },
            Event::Load(start) => broker.load(start, disk, context),
            Event::Fault => self.fault(),
            Event::Start => {
                broker.start(disk, context);
                context.broker_is_up = broker.is_up();
            }
            Event::Calm => {
                context.calm = true;
                broker.calm();
                disk.calm();
                context.widen_links();
                for client in clients {
                    client.calm(context);
                }
            }
        }
    }

    fn plan_fault(&mut self, not_before: Duration) {
        let Context { now, plan, random, schedule, .. } = &mut self.context;
        let after = random.time(Duration::from_millis(10)..=plan.fault_every * 2);
        schedule.plan((*now + after).max(not_before), Event::Fault);
    }

    /// The broker crashes within its next steps, or its store fails soon, or a link is lost.
    fn fault(&mut self) {
        if self.context.calm {
            return;
        }
        let random = &mut self.context.random;
        if random.percent(self.context.plan.crash_percent) {
            let steps = random.below(60);
            self.context.trace(|| format!("the broker will crash in {steps} steps"));
            self.broker.crash_in(steps);
        } else if random.percent(self.context.plan.store_fails_percent) {
            let commits = random.below(20);
            self.context.trace(|| format!("the store will fail after {commits} commits"));
            self.disk.fail_after(commits);
        } else {
            let victims = self.clients.iter().filter(|client| client.may_be_lost());
            let links: Vec<_> = victims.filter_map(Client::link).collect();
            if !links.is_empty() {
                let link = *random.pick(&links);
                let client_learns = random.millis(0..=3000);
                let broker_learns = random.millis(0..=3000);
                let broker_learns = random.percent(70).then_some(broker_learns);
                self.context.trace(|| format!("link {link} is lost"));
                self.context.lose_link(link, Some(client_learns), broker_learns);
            }
        }
        self.plan_fault(Duration::ZERO);
    }
}

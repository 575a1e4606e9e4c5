//! One run: connects everybody, does what the scenario says, and gives a report for each phase.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;

use noctule_client::protocol::QoS;
use noctule_client::protocol::frame::Frame;

use super::audience::Audience;
use super::churn::{self, Churn};
use super::fault::Fault;
use super::flags::Request;
use super::fleet::Fleet;
use super::live::Live;
use super::load::Load;
use super::measure::Measured;
use super::messages::{Amount, Messages, Timed};
use super::opening::{Client, Crew, Door, raise_descriptor_limit, unasked};
use super::plan::Plan;
use super::report::Phase;
use super::scenario::Kind;
use super::state;
use super::stop::Stop;
use super::usage::Process;

/// What all phases of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) names: Names,
    pub(super) door: Door,
    pub(super) address: SocketAddr,
    pub(super) fleet: Fleet,
    pub(super) stop: Stop,
    pub(super) live: Live,
    pub(super) broker: Option<Process>,
}

/// Client identifiers of one run: letters and digits, at most 23, as every broker must take them [MQTT-3.1.3-5].
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) run: u32,
}

impl Names {
    fn random() -> Self {
        // The hasher's keys are random.
        Self { run: RandomState::new().build_hasher().finish() as u32 }
    }

    fn name(self, role: char, place: usize) -> String {
        format!("nb{:08x}{role}{place}", self.run)
    }

    pub(super) fn publisher(self, place: usize) -> String {
        self.name('p', place)
    }

    pub(super) fn subscriber(self, place: usize) -> String {
        self.name('s', place)
    }

    pub(super) fn other(self, place: usize) -> String {
        self.name('c', place)
    }
}

impl Run {
    /// Makes ready; nobody is connected yet.
    pub(super) fn new(request: Request) -> Result<Self, Fault> {
        let Request { endpoint, user_name, password, plan, broker_pid, .. } = request;
        let door = Door { endpoint, version: plan.protocol, user_name, password, stall_max: plan.stall_max };
        raise_descriptor_limit(connections(&plan))?;
        Ok(Self {
            names: Names::random(),
            address: door.resolve()?,
            fleet: Fleet::new()?,
            stop: Stop::on_signals()?,
            live: Live::new(),
            broker: broker_pid.map(Process::new),
            door,
            plan,
        })
    }

    /// Does what the plan says, and gives each phase to `on_phase` when it is over.
    pub(super) fn carry_out(&mut self, mut on_phase: impl FnMut(&Self, Phase)) -> Result<(), Fault> {
        match self.plan.kind {
            Kind::Traffic => {
                let phase = self.traffic()?;
                on_phase(self, phase);
            }
            Kind::Idle => state::idle::run(self, &mut on_phase)?,
            Kind::Connect => state::idle::connect_only(self, &mut on_phase)?,
            Kind::Filters(kind) => state::filters::run(self, kind, &mut on_phase)?,
            Kind::Retained => state::retained::run(self, &mut on_phase)?,
            Kind::Offline => state::offline::run(self, &mut on_phase)?,
        }
        self.fleet.disconnect(0);
        Ok(())
    }

    fn traffic(&mut self) -> Result<Phase, Fault> {
        let audience = self.plan.audience();
        self.live.begin(&format!("{} connecting", self.plan.scenario));
        let subscribers = self.open_subscribers(&audience)?;
        let publishers = self.open_publishers()?;
        let mut churn = None;
        if let Some(per_second) = self.plan.churn {
            let names = self.names;
            let crew = self.open(churn::CONNECTIONS, |place| Client {
                id: names.other(place),
                is_kept: false,
                subscription: None,
            })?;
            churn = Some(Churn::new(crew, names, self.plan.protocol, per_second, &self.plan.topic_prefix));
        }
        let messages = Messages {
            qos: self.plan.qos,
            retain: false,
            is_clearing: false,
            window: self.closed_window(),
            rate: self.plan.rate,
            timed: Timed::Delivery,
            amount: Amount::Until(self.plan.end),
        };
        self.live.begin(&format!("{} traffic", self.plan.scenario));
        let mut load = Load::new(self, audience, publishers, Some(subscribers), messages)?;
        let measured = load.publish(self, churn.as_mut())?;
        let mut phase = self.load_phase("traffic", self.plan.qos, &mut load, measured);
        phase.publishers = self.plan.publishers;
        phase.subscribers = self.plan.subscribers;
        phase.churned = churn.map(|churn| churn.dropped());
        Ok(phase)
    }

    /// The window that is in force.
    pub(super) const fn closed_window(&self) -> Option<u64> {
        match self.plan.rate {
            Some(_) => None,
            None => Some(self.plan.window),
        }
    }

    pub(super) fn open(&mut self, count: usize, client: impl Fn(usize) -> Client) -> Result<Crew, Fault> {
        let nothing = |place: usize, _: &mut Vec<u8>, frame: Frame<'_>| unasked(|| client(place).id, frame);
        self.door.open(&mut self.fleet, self.address, count, &client, &self.stop, nothing)
    }

    pub(super) fn open_publishers(&mut self) -> Result<Crew, Fault> {
        let names = self.names;
        let client = |place| Client { id: names.publisher(place), is_kept: false, subscription: None };
        self.open(self.plan.publishers, client)
    }

    fn open_subscribers(&mut self, audience: &Audience) -> Result<Crew, Fault> {
        let (names, qos, prefix) = (self.names, self.plan.subscribe_qos, self.plan.topic_prefix.clone());
        let client = |place| Client {
            id: names.subscriber(place),
            is_kept: false,
            subscription: audience.filter(&prefix, place).map(|filter| (filter, qos)),
        };
        self.open(self.plan.subscribers, client)
    }

    /// The report of a phase in which messages were published or heard.
    pub(super) fn load_phase(
        &self,
        name: &'static str,
        qos: QoS,
        load: &mut Load,
        measured: Measured,
    ) -> Phase {
        Phase {
            qos: qos.level(),
            has_payload: true,
            window: self.closed_window(),
            rate: self.plan.rate,
            published: load.published(),
            unpublished: load.unpublished(),
            unacknowledged: load.unacknowledged(),
            latency: load.latency(),
            is_latency_of_acknowledgements: load.times_acknowledgements(),
            tally: load.take_tally(),
            ..self.phase(name, measured)
        }
    }

    /// The report of a phase without messages.
    pub(super) fn phase(&self, name: &'static str, measured: Measured) -> Phase {
        Phase {
            name,
            is_stalled: measured.is_stalled,
            seconds: measured.time.as_secs_f64(),
            load_cpu_seconds: measured.load_cpu.as_secs_f64(),
            broker: measured.broker,
            is_interrupted: self.stop.is_requested(),
            ..Phase::default()
        }
    }
}

/// The most connections that a plan has open at once.
fn connections(plan: &Plan) -> u64 {
    let publishers = plan.publishers as u64;
    match plan.kind {
        Kind::Traffic => {
            publishers + plan.subscribers as u64 + plan.churn.map_or(0, |_| churn::CONNECTIONS as u64)
        }
        Kind::Idle | Kind::Connect => plan.items,
        Kind::Offline if plan.is_kept => {
            publishers + plan.connections.min(state::offline::AT_ONCE_MAX) as u64
        }
        Kind::Filters(_) | Kind::Offline => publishers + plan.connections as u64,
        Kind::Retained => publishers + 1,
    }
}

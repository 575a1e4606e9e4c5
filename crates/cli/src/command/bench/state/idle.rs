//! Connections with a subscription each.

use std::time::{Duration, Instant};

use super::super::fault::Fault;
use super::super::measure::{Measured, Meter};
use super::super::opening::{Client, Crew};
use super::super::report::Phase;
use super::super::run::Run;
use super::super::scenario::End;
use super::super::topic_pattern::{Number, Part, TopicPattern};
use super::OnPhase;

/// What connecting and subscribing costs.
pub(in super::super) fn connect_only(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    connect(run, on_phase).map(drop)
}

/// The same, and then how much memory the connections hold while nothing happens.
pub(in super::super) fn run(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    let (crew, connected) = connect(run, on_phase)?;
    if run.stop.is_requested() {
        return Ok(());
    }
    let hold = match run.plan.end {
        End::Seconds(seconds) => Duration::from_secs(seconds),
        // No flag leads here: --messages is refused.
        End::Messages(_) => Duration::ZERO,
    };
    run.live.begin(&format!("{} idle", run.plan.scenario));
    let meter = Meter::start(run.broker)?;
    let begin = Instant::now();
    while begin.elapsed() < hold && !run.stop.is_requested() {
        let now = Instant::now();
        run.live.update(now, crew.count as u64, None);
        run.fleet.ping_if_due(now)?;
        let left = hold.saturating_sub(begin.elapsed());
        run.fleet.wait(left.min(Duration::from_millis(100)))?;
        let mut ready = run.fleet.take_ready();
        for index in ready.drain(..) {
            // Whoever is thrown out is an error.
            run.fleet.read_unasked(index)?;
        }
        run.fleet.give_back(ready);
    }
    let mut measured = meter.stop(begin.elapsed(), false)?;
    // Memory counts from before the first connection.
    if let (Some(broker), Some(before)) = (&mut measured.broker, connected.broker) {
        broker.rss_bytes_before = before.rss_bytes_before;
    }
    let phase = Phase { items_stay: true, ..phase(run, "idle", crew, measured) };
    on_phase(run, phase);
    Ok(())
}

fn connect(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(Crew, Measured), Fault> {
    run.live.begin(&format!("{} connecting", run.plan.scenario));
    let (names, qos) = (run.names, run.plan.subscribe_qos);
    let topics = TopicPattern::new(&[
        Part::Text(&run.plan.topic_prefix),
        Part::Text("/idle/"),
        Part::Number(Number { divisor: 1, modulus: 10_000_000, width: 7 }),
    ]);
    let count = usize::try_from(run.plan.items).unwrap_or(usize::MAX);
    let meter = Meter::start(run.broker)?;
    let begin = Instant::now();
    let crew = run.open(count, |place| Client {
        id: names.subscriber(place),
        is_kept: false,
        subscription: Some((topics.text(place as u64), qos)),
    })?;
    let measured = meter.stop(begin.elapsed(), false)?;
    let phase = phase(run, "connect", crew, measured);
    on_phase(run, phase);
    Ok((crew, measured))
}

fn phase(run: &Run, name: &'static str, crew: Crew, measured: Measured) -> Phase {
    Phase {
        qos: run.plan.subscribe_qos.level(),
        subscribers: crew.count,
        items: Some(crew.count as u64),
        ..run.phase(name, measured)
    }
}

//! Sessions that are offline: messages are queued for them, then they come back.

use std::time::{Duration, Instant};

use super::super::audience::Audience;
use super::super::fault::Fault;
use super::super::load::Load;
use super::super::measure::Meter;
use super::super::messages::{Amount, Messages, Timed};
use super::super::opening::{Client, Crew};
use super::super::report::Phase;
use super::super::run::Run;
use super::super::scenario::Shape;
use super::super::stop::Stop;
use super::{OnPhase, dealt};

/// How long a broker may take to notice that a client has said goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Connections of those that leave at once. An address has some 28 000 ports to call from.
pub(in super::super) const AT_ONCE_MAX: usize = 10_000;

pub(in super::super) fn run(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    let outcome = phases(run, on_phase);
    if outcome.is_err() {
        run.fleet.disconnect(0);
    }
    if run.plan.is_kept {
        return outcome;
    }
    // A broker in use shall not keep what this run has put there, even if the user wants to stop, or something failed.
    run.live.begin(&format!("{} clearing", run.plan.scenario));
    let cleared = clear(run);
    outcome.and(cleared)
}

fn phases(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    let sessions = run.plan.connections;
    let (names, qos, prefix) = (run.names, run.plan.subscribe_qos, run.plan.topic_prefix.clone());
    let parts = |is_online| Audience::Sessions {
        sessions: sessions as u64,
        publishers: run.plan.publishers as u64,
        is_online,
    };
    let (offline, online, amounts) = match run.plan.shape {
        Shape::FanOut | Shape::All => {
            let all = Audience::All { subscribers: sessions };
            (Audience::AllLater, all, dealt(run.plan.items / sessions as u64, run.plan.publishers))
        }
        Shape::Pairs | Shape::FanIn | Shape::Shared => {
            let each = run.plan.items / sessions as u64;
            let dealt = dealt(sessions as u64, run.plan.publishers).into_iter();
            (parts(false), parts(true), dealt.map(|sessions| sessions * each).collect())
        }
    };
    run.live.begin(&format!("{} connecting", run.plan.scenario));
    for first in (0..sessions).step_by(AT_ONCE_MAX) {
        let begin = run.fleet.connections.len();
        run.open(AT_ONCE_MAX.min(sessions - first), |place| Client {
            id: names.subscriber(first + place),
            is_kept: true,
            subscription: online.filter(&prefix, first + place).map(|filter| (filter, qos)),
        })?;
        run.fleet.disconnect_and_wait(begin, GOODBYE);
    }
    let publishers = run.open_publishers()?;
    let messages = Messages {
        qos: run.plan.qos,
        retain: false,
        is_clearing: false,
        window: Some(run.plan.window),
        rate: None,
        timed: Timed::Acknowledgement,
        amount: Amount::Each(amounts),
    };

    run.live.begin(&format!("{} queueing", run.plan.scenario));
    let mut load = Load::new(run, offline, publishers, None, messages)?;
    let measured = load.publish(run, None)?;
    let phase = Phase {
        publishers: publishers.count,
        items: Some(load.acknowledged()),
        items_stay: true,
        ..run.load_phase("queue", run.plan.qos, &mut load, measured)
    };
    on_phase(run, phase);

    let back = Crew { first: run.fleet.connections.len(), count: sessions, receive_maximum: u16::MAX };
    if !run.stop.is_requested() && !run.plan.is_kept {
        run.live.begin(&format!("{} draining", run.plan.scenario));
        load.set_audience(online, back);
        let client = |place| Client { id: names.subscriber(place), is_kept: true, subscription: None };
        let meter = Meter::start(run.broker)?;
        let begin = Instant::now();
        run.door.open(&mut run.fleet, run.address, sessions, client, &run.stop, |place, out, frame| {
            load.hear_frame(place, load.since_epoch(Instant::now()), out, frame)
        })?;
        let measured = load.hear(run, meter, begin)?;
        let mut phase = run.load_phase("drain", qos, &mut load, measured);
        (phase.subscribers, phase.items, phase.window) = (sessions, Some(phase.tally.delivered), None);
        on_phase(run, phase);
        run.fleet.disconnect_and_wait(back.first, GOODBYE);
    }
    Ok(())
}

/// A clean start ends a session that the broker would keep for ever.
fn clear(run: &mut Run) -> Result<(), Fault> {
    let names = run.names;
    let client = |place| Client { id: names.subscriber(place), is_kept: false, subscription: None };
    let stop = std::mem::replace(&mut run.stop, Stop::never());
    let opened = run.open(run.plan.connections, client);
    run.stop = stop;
    opened.map(drop)
}

//! Retained messages: storing them, then reading all through one wildcard subscription.

use std::time::Instant;

use super::super::audience::{Audience, retained_filter};
use super::super::fault::Fault;
use super::super::load::Load;
use super::super::measure::Meter;
use super::super::messages::{Amount, Messages, Timed};
use super::super::opening::{Client, Crew};
use super::super::report::Phase;
use super::super::run::Run;
use super::super::stop::Stop;
use super::{OnPhase, dealt};

pub(in super::super) fn run(run: &mut Run, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    let publishers = run.open_publishers()?;
    let outcome = phases(run, publishers, on_phase);
    if run.plan.is_kept {
        return outcome;
    }
    // A broker in use shall not keep what this run has put there, even if the user wants to stop, or something failed.
    let stop = std::mem::replace(&mut run.stop, Stop::never());
    run.live.begin(&format!("{} clearing", run.plan.scenario));
    let cleared = match &outcome {
        Ok(()) => clear(run, publishers),
        Err(_) => {
            run.fleet.disconnect(0);
            run.open_publishers().and_then(|publishers| clear(run, publishers))
        }
    };
    run.stop = stop;
    outcome.and(cleared)
}

fn phases(run: &mut Run, publishers: Crew, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    run.live.begin(&format!("{} storing", run.plan.scenario));
    let mut load = Load::new(run, nobody(run), publishers, None, messages(run, false))?;
    let measured = load.publish(run, None)?;
    let phase = Phase {
        publishers: publishers.count,
        items: Some(load.acknowledged()),
        items_stay: true,
        ..run.load_phase("store", run.plan.qos, &mut load, measured)
    };
    on_phase(run, phase);

    if !run.stop.is_requested() && !run.plan.is_kept {
        run.live.begin(&format!("{} delivering", run.plan.scenario));
        let reader = Crew { first: run.fleet.connections.len(), count: 1, receive_maximum: u16::MAX };
        load.set_audience(Audience::Shared { members: 1 }, reader);
        let (names, qos) = (run.names, run.plan.subscribe_qos);
        let filter = retained_filter(&run.plan.topic_prefix);
        let client = |place| Client {
            id: names.subscriber(place),
            is_kept: false,
            subscription: Some((filter.clone(), qos)),
        };
        let meter = Meter::start(run.broker)?;
        let begin = Instant::now();
        run.door.open(&mut run.fleet, run.address, 1, client, &run.stop, |place, out, frame| {
            load.hear_frame(place, load.since_epoch(Instant::now()), out, frame)
        })?;
        let measured = load.hear(run, meter, begin)?;
        let mut phase = run.load_phase("deliver", qos, &mut load, measured);
        (phase.subscribers, phase.items) = (1, Some(phase.tally.delivered));
        phase.window = None;
        on_phase(run, phase);
        run.fleet.disconnect(reader.first);
    }
    Ok(())
}

fn clear(run: &mut Run, publishers: Crew) -> Result<(), Fault> {
    let mut clearing = Load::new(run, nobody(run), publishers, None, messages(run, true))?;
    clearing.publish(run, None).map(drop)
}

fn nobody(run: &Run) -> Audience {
    Audience::Nobody { publishers: run.plan.publishers as u64 }
}

fn messages(run: &Run, is_clearing: bool) -> Messages {
    Messages {
        qos: run.plan.qos,
        retain: true,
        is_clearing,
        window: Some(run.plan.window),
        rate: None,
        timed: Timed::Acknowledgement,
        amount: Amount::Each(dealt(run.plan.items, run.plan.publishers)),
    }
}

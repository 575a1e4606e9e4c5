//! Many wildcard filters over a few connections, then messages that match some of them.

use std::time::{Duration, Instant};

use noctule_client::protocol::PacketId;

use super::super::audience::Audience;
use super::super::fault::Fault;
use super::super::filter_set::{FilterKind, FilterSet};
use super::super::load::Load;
use super::super::measure::Meter;
use super::super::messages::{Amount, Messages, Timed};
use super::super::opening::{Client, Crew, append_subscribe, check_suback, unasked};
use super::super::report::Phase;
use super::super::run::Run;
use super::OnPhase;

/// Filters of one SUBSCRIBE.
const FILTERS_PER_PACKET: usize = 100;
/// SUBSCRIBE packets that wait for their answer on one connection.
const UNANSWERED_MAX: usize = 8;

pub(in super::super) fn run(run: &mut Run, kind: FilterKind, on_phase: OnPhase<'_>) -> Result<(), Fault> {
    let set = FilterSet::new(kind, run.plan.items, run.plan.connections, run.plan.publishers as u64);
    run.live.begin(&format!("{} subscribing", run.plan.scenario));
    let names = run.names;
    let holders = run.open(run.plan.connections, |place| Client {
        id: names.subscriber(place),
        is_kept: false,
        subscription: None,
    })?;
    let publishers = run.open_publishers()?;
    let meter = Meter::start(run.broker)?;
    let begin = Instant::now();
    let subscribed = subscribe(run, &set, holders)?;
    let measured = meter.stop(begin.elapsed(), false)?;
    let phase = Phase {
        qos: run.plan.subscribe_qos.level(),
        subscribers: holders.count,
        items: Some(subscribed),
        items_stay: true,
        ..run.phase("subscribe", measured)
    };
    on_phase(run, phase);
    if run.stop.is_requested() {
        return Ok(());
    }
    let messages = Messages {
        qos: run.plan.qos,
        retain: false,
        is_clearing: false,
        window: run.closed_window(),
        rate: run.plan.rate,
        timed: Timed::Delivery,
        amount: Amount::Until(run.plan.end),
    };
    run.live.begin(&format!("{} delivering", run.plan.scenario));
    let mut load = Load::new(run, Audience::Matching(set), publishers, Some(holders), messages)?;
    let measured = load.publish(run, None)?;
    let mut phase = run.load_phase("deliver", run.plan.qos, &mut load, measured);
    (phase.publishers, phase.subscribers) = (publishers.count, holders.count);
    on_phase(run, phase);
    Ok(())
}

/// Makes all subscriptions. Tells how many were granted, which are fewer than all only if it is to stop.
fn subscribe(run: &mut Run, set: &FilterSet, holders: Crew) -> Result<u64, Fault> {
    let (version, qos, names) = (run.plan.protocol, run.plan.subscribe_qos, run.names);
    let prefix = run.plan.topic_prefix.clone();
    let mut left: Vec<_> = (0..holders.count).map(|place| set.of_connection(&prefix, place)).collect();
    let mut unanswered = vec![0; holders.count];
    let mut packet_ids = vec![PacketId::FIRST; holders.count];
    let mut granted = 0;
    let mut progress_at = Instant::now();
    while granted < run.plan.items && !run.stop.is_requested() {
        for place in 0..holders.count {
            while unanswered[place] < UNANSWERED_MAX {
                let filters: Vec<_> = left[place].by_ref().take(FILTERS_PER_PACKET).collect();
                if filters.is_empty() {
                    break;
                }
                let filters: Vec<_> = filters.iter().map(String::as_str).collect();
                let out = run.fleet.out(holders.first + place);
                append_subscribe(version, packet_ids[place], &filters, qos, out)?;
                packet_ids[place] = packet_ids[place].next();
                unanswered[place] += 1;
            }
        }
        run.fleet.flush()?;
        run.fleet.wait(Duration::from_millis(100))?;
        let now = Instant::now();
        let before = granted;
        let mut ready = run.fleet.take_ready();
        for index in ready.drain(..) {
            let Some(place) = holders.place(index) else {
                run.fleet.read_unasked(index)?;
                continue;
            };
            run.fleet.read(index, |_, frame| match frame.first_byte >> 4 {
                9 => {
                    let client = names.subscriber(place);
                    if unanswered[place] == 0 {
                        return Err(Fault::Unexpected { client, what: "a SUBACK too many".to_owned() });
                    }
                    let filter = |at| format!("filter {at} of a hundred");
                    granted += check_suback(version, &client, filter, qos, frame)? as u64;
                    unanswered[place] -= 1;
                    Ok(())
                }
                _ => unasked(|| names.subscriber(place), frame),
            })?;
        }
        run.fleet.give_back(ready);
        if granted > before {
            progress_at = now;
        }
        run.live.update(now, granted, Some(run.plan.items.saturating_sub(granted)));
        if now.duration_since(progress_at) > run.plan.stall_max {
            let seconds = run.plan.stall_max.as_secs();
            return Err(Fault::Stalled {
                what: "subscribing",
                done: granted,
                wanted: run.plan.items,
                seconds,
            });
        }
    }
    Ok(granted)
}

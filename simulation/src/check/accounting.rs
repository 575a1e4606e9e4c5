//! Where queues have limits, every message is received or dropped for a counted reason.

use noctule_broker::metric::Metric;
use noctule_protocol::QoS;

use super::{Finding, View};
use crate::broker::Broker;
use crate::plan::Regime;
use crate::sabotage::Sabotage;

pub(super) fn check(view: &View<'_>, broker: &Broker, found: &mut Vec<Finding>) {
    if view.plan.regime != Regime::Accounting {
        return;
    }
    let mut owed = 0;
    let mut received = 0;
    for one in &view.facts.subscribed {
        let of_one = view.facts.published.iter().enumerate();
        let of_one = of_one.filter(|(_, message)| message.qos != QoS::AtMostOnce && one.owes(message));
        let mut times = Vec::new();
        for (number, message) in of_one {
            owed += 1;
            if let Some(first) = view.live(one.client, one.incarnation, number).first() {
                received += 1;
                times.push((message.acknowledged, first.at));
            }
        }
        queue_limit(view, one.client, &times, found);
    }
    let reasons = [
        Metric::DroppedQueueFull,
        Metric::DroppedExpired,
        Metric::DroppedTooLarge,
        Metric::DroppedSessionEnded,
        Metric::DroppedRefused,
        Metric::DroppedDenied,
    ];
    let mut dropped: u64 = reasons.iter().map(|reason| broker.counted(*reason)).sum();
    if view.plan.sabotage == Some(Sabotage::MiscountDrops) {
        dropped = 0;
    }
    if owed != received + dropped {
        let what = format!("{owed} messages were published, {received} received and {dropped} dropped");
        found.push(("accounting", what));
    }
}

/// What was acknowledged to its publisher and not yet received is queued or in flight.
fn queue_limit(
    view: &View<'_>,
    client: usize,
    times: &[(Option<std::time::Duration>, std::time::Duration)],
    found: &mut Vec<Finding>,
) {
    let settings = &view.plan.settings;
    let ours = match settings.max_inflight_messages {
        0 => u16::MAX,
        limit => limit,
    };
    let theirs = view.plan.clients[client].announced_receive_maximum();
    let limit = settings.max_queued_messages + usize::from(ours.min(theirs));
    let waiting_at = |at| {
        let waits = |(acknowledged, received): &&(Option<std::time::Duration>, std::time::Duration)| {
            acknowledged.is_some_and(|acknowledged| acknowledged <= at && *received > at)
        };
        times.iter().filter(waits).count()
    };
    let most = times.iter().filter_map(|(acknowledged, _)| *acknowledged).map(waiting_at).max();
    if let Some(most) = most.filter(|most| *most > limit) {
        let what = format!("{most} messages waited for client {client}, {limit} is the limit");
        found.push(("accounting", what));
    }
}

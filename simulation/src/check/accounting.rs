//! Where queues have limits, every message is received or dropped for a counted reason.

use std::collections::BTreeSet;
use std::time::Duration;

use noctule_broker::metric::Metric;
use noctule_protocol::QoS;

use super::{Finding, View};
use crate::broker::Broker;
use crate::facts::{MessageNumber, Published, Subscribed};
use crate::plan::Regime;
use crate::sabotage::Sabotage;

pub(super) fn check(view: &View<'_>, broker: &Broker, found: &mut Vec<Finding>) {
    if view.plan.regime != Regime::Accounting {
        return;
    }
    let mut missing = Missing::default();
    for one in view.facts.subscribed.iter().filter(|one| !one.is_shared()) {
        missing.for_session(view, one, found);
    }
    let filters: BTreeSet<_> =
        view.facts.subscribed.iter().filter(|one| one.is_shared()).map(|one| one.filter).collect();
    for filter in filters {
        missing.for_group(view, filter);
    }
    // What somebody has no right to is not missing.
    let reasons = [
        Metric::DroppedQueueFull,
        Metric::DroppedExpired,
        Metric::DroppedTooLarge,
        Metric::DroppedSessionEnded,
        Metric::DroppedRefused,
        Metric::DroppedNoMember,
    ];
    let mut dropped: u64 = reasons.iter().map(|reason| broker.counted(*reason)).sum();
    if view.plan.sabotage == Some(Sabotage::MiscountDrops) {
        dropped = 0;
    }
    let Missing { least, most } = missing;
    if dropped < least || dropped > most {
        let what = format!("{least} to {most} messages are missing, {dropped} were dropped");
        found.push(("accounting", what));
    }
}

/// How many deliveries did not come, and so must have been dropped for a counted reason. With sessions that end it is not
/// known to the message which those are.
#[derive(Default)]
struct Missing {
    least: u64,
    most: u64,
}

impl Missing {
    fn for_session(&mut self, view: &View<'_>, one: &Subscribed, found: &mut Vec<Finding>) {
        let kept_until = view.kept_until(one.client, one.incarnation);
        let gone_by = gone_by(view, one);
        let mut times = Vec::new();
        for (number, message) in messages(view) {
            let first = view.live(one.client, one.incarnation, number).first();
            let is_owed = one.owes(message)
                && kept_until.is_none_or(|until| message.acknowledged.is_some_and(|at| at < until));
            if let (true, Some(first)) = (is_owed, first) {
                times.push((message.acknowledged, first.at));
            }
            let may_be_routed = one.matches(message.topic)
                && message.first_sent.is_some_and(|at| at < gone_by)
                && message.acknowledged > one.requested.first().copied();
            self.least += u64::from(is_owed && first.is_none());
            // One that came may not have been acknowledged when its session ended; one that was under way when SUBSCRIBE
            // was may have been dropped before SUBACK.
            self.most += u64::from((is_owed || may_be_routed) && (kept_until.is_some() || first.is_none()));
        }
        queue_limit(view, one.client, &times, found);
    }

    fn for_group(&mut self, view: &View<'_>, filter: &str) {
        let members: Vec<_> = view.facts.subscribed.iter().filter(|one| one.filter == filter).collect();
        let stays = |one: &Subscribed| view.kept_until(one.client, one.incarnation).is_none();
        let all_stay = members.iter().all(|one| stays(one));
        for (number, message) in messages(view).filter(|(_, message)| members[0].is_about(message.topic)) {
            let came = members.iter().any(|one| !view.live(one.client, one.incarnation, number).is_empty());
            let is_owed = members.iter().any(|one| stays(one) && one.owes(message));
            self.least += u64::from(is_owed && !came);
            self.most += u64::from(!came || !all_stay || message.expiry.is_some());
        }
    }
}

fn messages<'a>(view: &View<'a>) -> impl Iterator<Item = (MessageNumber, &'a Published)> {
    view.facts.published.iter().enumerate().filter(|(_, message)| message.qos != QoS::AtMostOnce)
}

/// When the session of a subscription was over for certain.
fn gone_by(view: &View<'_>, one: &Subscribed) -> Duration {
    let later = view.facts.subscribed.iter();
    let later = later.filter(|other| other.client == one.client && other.incarnation > one.incarnation);
    later.filter_map(|other| other.granted).min().unwrap_or(Duration::MAX)
}

/// What was acknowledged to its publisher and not yet received is queued or in flight.
fn queue_limit(
    view: &View<'_>,
    client: usize,
    times: &[(Option<Duration>, Duration)],
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
        let waits = |(acknowledged, received): &&(Option<Duration>, Duration)| {
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

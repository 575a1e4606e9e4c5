//! Nothing acknowledged is lost; QoS 2 arrives once.

use std::collections::{BTreeMap, BTreeSet};

use noctule_protocol::QoS;

use super::{Finding, View};
use crate::plan::Regime;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    if view.plan.regime == Regime::Faulty {
        lost(view, found);
    }
    repeated(view, found);
}

/// Queues have no limit here, so only expiry and size excuse the broker.
fn lost(view: &View<'_>, found: &mut Vec<Finding>) {
    let may_repeat = view.plan.settings.allow_duplicate_messages;
    for (&(client, incarnation), subscribed) in &view.subscribed {
        if !view.is_alive(client, incarnation) {
            continue;
        }
        for (number, message) in view.facts.published.iter().enumerate() {
            if !message.is_kept() || !view.fits(client, message) {
                continue;
            }
            let live = view.live(client, incarnation, number);
            let mut owed: BTreeMap<QoS, usize> = BTreeMap::new();
            for one in subscribed {
                let qos = one.delivered_qos(message);
                if one.is_shared() || qos == QoS::AtMostOnce || !one.owes(message) {
                    continue;
                }
                *owed.entry(qos).or_default() += 1;
                let of_this = |identifier| live.iter().any(|got| got.identifiers.contains(&identifier));
                if one.identifier.is_some_and(|identifier| !of_this(identifier)) {
                    let what = format!(
                        "message {number} was acknowledged at {:?} and did not reach client {client} through {:?}",
                        message.acknowledged, one.filter
                    );
                    found.push(("lost", what));
                }
            }
            for (qos, mut owed) in owed {
                let mut got = live.iter().filter(|got| got.qos == qos).count();
                if !may_repeat {
                    // One copy at the highest QoS of all that match.
                    (owed, got) = (1, live.iter().filter(|got| got.qos >= qos).count());
                }
                if got < owed {
                    let what = format!(
                        "message {number} was acknowledged at {:?} and reached client {client} {got} times at \
                         {qos:?}, not {owed} times",
                        message.acknowledged
                    );
                    found.push(("lost", what));
                }
            }
        }
    }
}

/// At most one copy for each subscription, where both ways are QoS 2, or the publisher's is QoS 0.
fn repeated(view: &View<'_>, found: &mut Vec<Finding>) {
    for (&(client, incarnation, number), live) in &view.live {
        let message = &view.facts.published[number];
        let matching: Vec<_> = view.matching(client, incarnation, message.topic).collect();
        let may_be_replay = message.retain && matching.iter().any(|one| one.options.retain_as_published);
        if message.qos == QoS::AtLeastOnce || may_be_replay {
            continue;
        }
        let is_same = |qos: QoS| qos == message.qos;
        let filters: BTreeSet<_> =
            matching.iter().filter(|one| is_same(one.delivered_qos(message))).map(|one| one.filter).collect();
        let most = if view.plan.settings.allow_duplicate_messages { filters.len() } else { 1 };
        let got = live.iter().filter(|got| is_same(got.qos)).count();
        if got > most {
            let what = format!("client {client} got message {number} {got} times at {:?}", message.qos);
            found.push(("exactly once", what));
        }
    }
}

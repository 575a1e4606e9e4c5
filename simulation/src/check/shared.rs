//! Shared subscriptions: each message to one member of the group (section 4.8.2).

use std::collections::BTreeMap;

use noctule_protocol::QoS;

use super::{Finding, View};
use crate::facts::Subscribed;
use crate::plan::{Life, Regime};

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    let mut groups: BTreeMap<&str, Vec<&Subscribed>> = BTreeMap::new();
    for one in view.facts.subscribed.iter().filter(|one| one.is_shared()) {
        groups.entry(one.filter).or_default().push(one);
    }
    for (filter, members) in groups {
        let lasts = |one: &Subscribed| view.plan.clients[one.client].life == Life::Lasting;
        let all_last = members.iter().all(|one| lasts(one));
        let mut sessions: Vec<_> = members.iter().map(|one| (one.client, one.incarnation)).collect();
        sessions.sort_unstable();
        sessions.dedup();
        for (number, message) in view.facts.published.iter().enumerate() {
            if message.qos == QoS::AtMostOnce || !members.iter().any(|one| one.matches(message.topic)) {
                continue;
            }
            let got: usize =
                sessions.iter().map(|&(client, session)| view.live(client, session, number).len()).sum();
            // What was sent with QoS 2 to a member whose session passes may pass with it [MQTT-4.8.2-5].
            let may_pass = |one: &Subscribed| {
                !lasts(one) && one.matches(message.topic) && one.delivered_qos(message) == QoS::ExactlyOnce
            };
            // Queues have no limit there.
            let is_owed = view.plan.regime == Regime::Faulty
                && !members.iter().any(|one| may_pass(one))
                && members
                    .iter()
                    .any(|one| lasts(one) && one.owes(message) && one.removal_requested.is_none());
            if got == 0 && is_owed && message.is_kept() {
                let what = format!("message {number} was acknowledged and reached nobody in {filter}");
                found.push(("lost", what));
            }
            // What was sent to a session that passes may be sent again when the broker forgot that after a crash.
            let is_certain = all_last || view.facts.restarts == 0;
            if got > 1
                && is_certain
                && members.iter().all(|one| one.delivered_qos(message) == QoS::ExactlyOnce)
            {
                found.push(("exactly once", format!("{filter} got message {number} {got} times")));
            }
        }
    }
}

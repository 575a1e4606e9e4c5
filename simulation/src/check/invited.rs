//! Nothing arrives that was not asked for.

use super::{Finding, View};
use crate::facts::Content;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    for received in &view.facts.received {
        let Content::Message(number) = received.content else { continue };
        let message = &view.facts.published[number];
        let is_live = view.is_live(received);
        let fits = view.matching(received.client, received.incarnation, message.topic).any(|one| {
            let asked = one.requested.first().is_some_and(|at| *at <= received.at);
            let stood = one.removed.is_none_or(|at| message.first_sent.is_none_or(|sent| sent < at));
            let own = one.options.no_local && message.publisher == received.client; // [MQTT-3.8.3-3]
            let identified = one.identifier.into_iter().eq(received.identifiers.iter().copied())
                || (!view.plan.settings.allow_duplicate_messages && received.identifiers.len() > 1);
            asked && (stood || !is_live) && !own && identified && one.delivered_qos(message) == received.qos
        });
        if !fits {
            let what = format!("{received:?} of {message:?} came through none of the subscriptions");
            found.push(("uninvited", what));
        }
    }
}

//! A Will is published if its connection is lost, and not if the client said goodbye.

use noctule_protocol::QoS;

use super::{Finding, View};
use crate::facts::Content;
use crate::world::World;

/// Longer than any byte is under way.
const LONG: std::time::Duration = std::time::Duration::from_secs(3);

pub(super) fn check(view: &View<'_>, world: &World, found: &mut Vec<Finding>) {
    let watchers: Vec<_> = view.facts.subscribed.iter().filter(|one| one.filter == "w/#").collect();
    // Whether a crash came before or after a goodbye nobody can tell.
    let is_certain = view.facts.restarts == 0;
    for watcher in watchers {
        for (number, will) in view.facts.wills.iter().enumerate() {
            let content = Content::Will(number);
            let all = view.facts.received.iter();
            let of_will = all.filter(|one| one.client == watcher.client && one.content == content);
            let got: Vec<_> = of_will.map(|one| one.qos).collect();
            if got.len() > 1 && got.contains(&QoS::ExactlyOnce) {
                found.push(("exactly once", format!("will {number} came {} times", got.len())));
            }
            let is_watched = watcher.granted < will.connected && watcher.granted.is_some();
            if is_certain && is_watched && will.lost.is_some() && will.delay == 0 && got.is_empty() {
                found.push(("will", format!("will {number} was not published: {will:?}")));
            }
            let left_well = will.disconnect_sent.is_some_and(|at| {
                !world.context.is_lost(will.link) && will.returned.is_none_or(|returned| returned > at + LONG)
            });
            if is_certain && left_well && !got.is_empty() {
                found.push(("will", format!("will {number} was published after DISCONNECT: {will:?}")));
            }
        }
    }
}

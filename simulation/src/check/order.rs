//! Messages of one publisher, topic and QoS arrive in the order in which they were sent [MQTT-4.6.0-5].

use std::collections::{BTreeMap, BTreeSet};

use noctule_protocol::QoS;

use super::{Finding, View};
use crate::facts::Content;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    // What came first of all of a kind so far, and the last of it.
    let mut seen = BTreeSet::new();
    let mut last = BTreeMap::new();
    for received in &view.facts.received {
        let Content::Message(number) = received.content else { continue };
        let message = &view.facts.published[number];
        let (client, session) = (received.client, received.incarnation);
        // A QoS 0 copy of a message that its publisher may send again proves nothing.
        let is_lossy = received.qos == QoS::AtMostOnce && message.qos != QoS::AtMostOnce;
        if received.retain || message.expiry.is_some() || is_lossy || !view.fits(client, message) {
            continue;
        }
        // What was sent before may come again, and then for the first time.
        let mut matching = view.matching(client, session, message.topic);
        let is_new = |sent| matching.all(|one| one.granted.is_some_and(|granted| granted < sent));
        let is_shared = view.matching(client, session, message.topic).any(|one| one.is_shared());
        if is_shared || !message.first_sent.is_some_and(is_new) {
            continue;
        }
        if !seen.insert((client, session, number, received.qos)) {
            continue; // a copy or a repetition
        }
        let kind = (client, session, message.topic, message.publisher, message.qos, received.qos);
        if let Some(before) = last.insert(kind, number).filter(|before| *before > number) {
            let what = format!(
                "client {client} got message {number} after {before} of the same publisher on {:?} at {:?}",
                message.topic, received.qos
            );
            found.push(("order", what));
        }
    }
}

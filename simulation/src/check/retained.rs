//! Who subscribes gets the last acknowledged retained message of a topic, or a later one.

use std::collections::BTreeMap;
use std::time::Duration;

use noctule_protocol::QoS;

use super::{Finding, View};
use crate::facts::{Content, MessageNumber, Published};
use crate::plan::RETAINED_TOPICS;

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    replays(view, found);
    audit(view, found);
}

/// Whether `first` was surely processed, for the last time, before `second` was.
fn is_before(view: &View<'_>, first_number: MessageNumber, second_number: MessageNumber) -> bool {
    let (first, second) = (&view.facts.published[first_number], &view.facts.published[second_number]);
    let apart = matches!((first.acknowledged, second.first_sent), (Some(done), Some(sent)) if done < sent);
    // One publisher's are processed in order, and sent again in order; QoS 2 ones only at PUBREL.
    apart || first.publisher == second.publisher && first.qos == second.qos && first_number < second_number
}

/// An acknowledged message that makes it impossible for `state` (`None`: nothing was ever retained) to be what is
/// retained for a subscription asked for at `asked`.
fn replaced_by(
    view: &View<'_>,
    topic: &str,
    state: Option<MessageNumber>,
    asked: Duration,
) -> Option<MessageNumber> {
    let all = view.facts.published.iter().enumerate();
    let later = all.filter(|(_, message)| {
        message.retain
            && message.topic == topic
            && message.qos != QoS::AtMostOnce
            && message.acknowledged.is_some_and(|at| at < asked)
    });
    let mut later = later.filter(|(number, _)| match state {
        None => true,
        Some(state) => is_before(view, state, *number),
    });
    later.next().map(|(number, _)| number)
}

/// Replays to sessions that asked once, so that it is known when.
fn replays(view: &View<'_>, found: &mut Vec<Finding>) {
    for received in view.facts.received.iter().filter(|received| received.retain) {
        let Content::Message(number) = received.content else { continue };
        let topic = view.facts.published[number].topic;
        let matching: Vec<_> = view.matching(received.client, received.incarnation, topic).collect();
        let &[one] = matching.as_slice() else { continue };
        let &[asked] = one.requested.as_slice() else { continue };
        if one.options.retain_as_published {
            continue;
        }
        if let Some(later) = replaced_by(view, topic, Some(number), asked) {
            let what = format!(
                "client {} asked at {asked:?} and got retained message {number} of {topic:?}; {later} had replaced it",
                received.client
            );
            found.push(("retained", what));
        }
    }
}

/// The auditor asks when all is quiet, and must get everything.
fn audit(view: &View<'_>, found: &mut Vec<Finding>) {
    let Some(auditor) = view.facts.auditor else { return };
    let mut got: BTreeMap<&str, Vec<MessageNumber>> = BTreeMap::new();
    for received in view.facts.received.iter().filter(|received| received.client == auditor) {
        if let Content::Message(number) = received.content {
            got.entry(view.facts.published[number].topic).or_default().push(number);
        }
    }
    for topic in RETAINED_TOPICS {
        let got = got.remove(topic).unwrap_or_default();
        if got.len() > 1 {
            found.push(("retained", format!("{topic:?} has {} retained messages", got.len())));
        }
        let is_nothing = |message: &Published| message.payload_bytes == 0 || message.expiry.is_some();
        // Nothing is right if the last was taken back or has expired, or if there never was one.
        let candidates: Vec<Option<MessageNumber>> = match got.first() {
            Some(&number) => vec![Some(number)],
            None => {
                let all = view.facts.published.iter().enumerate();
                let of_topic = all.filter(|(_, message)| {
                    message.topic == topic && message.retain && message.first_sent.is_some()
                });
                let nothing = of_topic.filter(|(_, message)| is_nothing(message));
                std::iter::once(None).chain(nothing.map(|(number, _)| Some(number))).collect()
            }
        };
        let replaced = |state: &Option<MessageNumber>| replaced_by(view, topic, *state, Duration::MAX);
        if let Some(later) = candidates.iter().map(replaced).collect::<Option<Vec<_>>>() {
            let what = format!("{topic:?} has {got:?} retained in the end; {later:?} had replaced it");
            found.push(("retained", what));
        }
    }
}

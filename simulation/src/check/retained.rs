//! Who subscribes gets the last acknowledged retained message of a topic, or a later one.

use std::collections::BTreeMap;
use std::time::Duration;

use noctule_protocol::QoS;
use noctule_protocol::packet::RetainHandling;

use super::{Finding, View};
use crate::facts::{Content, MessageNumber, Published, Received};
use crate::plan::{RETAINED_TOPICS, Regime};

pub(super) fn check(view: &View<'_>, found: &mut Vec<Finding>) {
    replays(view, found);
    handed_off(view, found);
    audit(view, found);
    audits_agree(view, found);
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

/// A message that is retained while somebody subscribes comes live or as what is retained: once with QoS 2, never not
/// at all.
fn handed_off(view: &View<'_>, found: &mut Vec<Finding>) {
    let retained: Vec<_> = view.facts.published.iter().enumerate().filter(|(_, one)| one.retain).collect();
    for one in &view.facts.subscribed {
        let (&[asked], Some(granted)) = (one.requested.as_slice(), one.granted) else { continue };
        let is_plain = !one.is_shared()
            && !one.options.no_local
            && !one.options.retain_as_published
            && one.options.retain_handling != RetainHandling::DoNotSend
            && one.removal_requested.is_none()
            && view.is_alive(one.client, one.incarnation);
        if !is_plain {
            continue;
        }
        for &(number, message) in retained.iter().filter(|(_, message)| one.matches(message.topic)) {
            let is_alone = view.matching(one.client, one.incarnation, message.topic).count() == 1;
            let qos = one.delivered_qos(message);
            if !is_alone || !message.is_kept() || qos == QoS::AtMostOnce || !view.fits(one.client, message) {
                continue;
            }
            let content = Content::Message(number);
            let got = view.facts.received.iter().filter(|got| {
                (got.client, got.incarnation, got.content) == (one.client, one.incarnation, content)
            });
            let times = got.count();
            if times > 1 && qos == QoS::ExactlyOnce {
                let what = format!(
                    "message {number} came to client {} {times} times, live and retained",
                    one.client
                );
                found.push(("exactly once", what));
            }
            // Whether it stood when the subscription was made, or came later: nothing else can have taken its place.
            let may_replace = |other: &Published| {
                other.topic == message.topic
                    && other.first_sent.is_some_and(|sent| sent <= granted)
                    && other.acknowledged.is_none_or(|at| message.first_sent.is_some_and(|sent| at >= sent))
            };
            let stands = message.acknowledged.is_some()
                && !retained.iter().any(|&(other, one)| other != number && may_replace(one));
            if stands && times == 0 && view.plan.regime == Regime::Faulty {
                let what = format!(
                    "message {number} of {:?} came to client {} neither live nor retained; it asked at {asked:?}",
                    message.topic, one.client
                );
                found.push(("retained", what));
            }
        }
    }
}

/// What an auditor got when it first asked.
fn audited<'a>(view: &View<'a>, auditor: usize) -> BTreeMap<&'a str, Vec<MessageNumber>> {
    let mut got: BTreeMap<&str, Vec<MessageNumber>> = BTreeMap::new();
    let is_first = |got: &&Received| got.client == auditor && got.incarnation == 1 && got.retain;
    for received in view.facts.received.iter().filter(is_first) {
        if let Content::Message(number) = received.content {
            got.entry(view.facts.published[number].topic).or_default().push(number);
        }
    }
    got
}

/// Between the first two audits nothing was published, though the broker may have been restarted.
fn audits_agree(view: &View<'_>, found: &mut Vec<Finding>) {
    let &[first, second, ..] = view.facts.auditors.as_slice() else { return };
    let (first, second) = (audited(view, first), audited(view, second));
    for topic in RETAINED_TOPICS {
        let (first, second) = (first.get(topic), second.get(topic));
        let mut all = first.into_iter().chain(second).flatten();
        if first != second && all.all(|number| view.facts.published[*number].expiry.is_none()) {
            let what = format!("{topic:?} had {first:?} retained, and later, without any news, {second:?}");
            found.push(("retained", what));
        }
    }
}

/// The last auditor asks when all is quiet, and must get everything.
fn audit(view: &View<'_>, found: &mut Vec<Finding>) {
    let &[.., auditor] = view.facts.auditors.as_slice() else { return };
    let mut got = audited(view, auditor);
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

//! Lost, doubled, reordered, unasked, and what was dropped.

use std::collections::HashMap;

use super::{Due, Finding, Kind};
use crate::history::{History, Receipt};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing_count = 0;
    for mut due in Due::all(history) {
        if due.is_drained(history) {
            let missing = due.missing(history);
            missing_count += missing.len() as u64;
            if history.counted_drops.is_none() {
                findings.extend(missing.into_iter().map(|(publisher, sequence)| Finding {
                    kind: Kind::Lost,
                    what: format!(
                        "{} never got {}",
                        due.name,
                        describe(history, &Receipt { publisher, sequence, qos: 0 })
                    ),
                }));
            }
        }
    }
    if let Some(counted) = history.counted_drops
        && counted != missing_count
    {
        let what =
            format!("{missing_count} messages never came, and the broker says that it dropped {counted}");
        findings.push(Finding { kind: Kind::Drops, what });
    }
    doubled(history, &mut findings);
    for number in 0..history.receivers.len() {
        asked_and_in_order(history, number, &mut findings);
    }
    findings
}

/// A message in words.
fn describe(history: &History, receipt: &Receipt) -> String {
    let Receipt { publisher, sequence, .. } = *receipt;
    match history.publishers.get(publisher).and_then(|known| Some((known, known.messages.get(sequence)?))) {
        Some((known, message)) => {
            let acknowledged = if message.acknowledged { "acknowledged" } else { "not acknowledged" };
            format!("{} {sequence} (QoS {}, {}, {acknowledged})", known.name, message.qos, message.topic)
        }
        None => format!("message {sequence} of publisher {publisher}"),
    }
}

/// Each new exchange of QoS 2 is a message of its own [MQTT-4.3.3-13]; in a shared subscription it is for one member
/// alone. QoS 0 is sent once.
fn doubled(history: &History, findings: &mut Vec<Finding>) {
    let mut seen: HashMap<(&str, usize, usize), &str> = HashMap::new();
    for receiver in &history.receivers {
        let whose = receiver.group.as_deref().unwrap_or(&receiver.name);
        for receipt in receiver.receipts.iter().filter(|receipt| receipt.qos != 1) {
            let key = (whose, receipt.publisher, receipt.sequence);
            if let Some(first) = seen.insert(key, &receiver.name) {
                let what =
                    format!("{} got {}, which {first} had got", receiver.name, describe(history, receipt));
                findings.push(Finding { kind: Kind::Doubled, what });
            }
        }
    }
}

/// The first receipts of a publisher's messages of one topic and QoS are in the order of their numbers [MQTT-4.6.0-6];
/// at QoS 1 they may be repeated after that. What was begun before the subscription may come late. Members of a shared subscription have no such promise.
fn asked_and_in_order(history: &History, number: usize, findings: &mut Vec<Finding>) {
    let receiver = &history.receivers[number];
    let mut highest: HashMap<(usize, &str, u8), usize> = HashMap::new();
    let mut known: HashMap<(usize, usize), u8> = HashMap::new();
    let mut returns = receiver.returns.iter().peekable();
    let mut returned = 0;
    for (at, receipt) in receiver.receipts.iter().enumerate() {
        while let Some((_, since)) = returns.next_if(|(before, _)| *before <= at) {
            // Another session: what it gets has nothing to do with what the one before it got.
            (highest, known, returned) = (HashMap::new(), HashMap::new(), *since);
        }
        let message = history
            .publishers
            .get(receipt.publisher)
            .and_then(|publisher| publisher.messages.get(receipt.sequence));
        let subscribed = message.and_then(|message| receiver.subscription(&message.topic));
        let (Some(message), Some(subscription)) = (message, subscribed) else {
            let what = format!("{} got {}, which is not for it", receiver.name, describe(history, receipt));
            findings.push(Finding { kind: Kind::Unasked, what });
            continue;
        };
        let expected = message.qos.min(subscription.qos);
        if receipt.qos != expected {
            let what = format!(
                "{} got {} with QoS {} instead of {expected}",
                receiver.name,
                describe(history, receipt),
                receipt.qos
            );
            findings.push(Finding { kind: Kind::Unasked, what });
        }
        if known.insert((receipt.publisher, receipt.sequence), receipt.qos).is_some()
            || receiver.group.is_some()
        {
            continue;
        }
        // One that was first sent before SUBACK may have been passed on to nobody, and have come when it was sent again.
        if !history.publishers[receipt.publisher].keeps_order
            || message.begun <= subscription.since.max(returned)
        {
            continue;
        }
        // Published with QoS 2 it is passed on at PUBREL, so what was published with QoS 1 may overtake it.
        let last =
            highest.entry((receipt.publisher, &message.topic, message.qos)).or_insert(receipt.sequence);
        if *last > receipt.sequence {
            let what = format!("{} got {} after {last}", receiver.name, describe(history, receipt));
            findings.push(Finding { kind: Kind::Reordered, what });
        }
        *last = receipt.sequence.max(*last);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// What is said of a receiver that subscribed between the second and the third of four messages, and got them so.
    fn findings(receipts: [usize; 4]) -> Vec<Kind> {
        let mut history = History::default();
        let (publisher, receiver) = (history.publisher("p"), history.receiver("r", true, None));
        let topic: Rc<str> = "t".into();
        for sequence in 0..4 {
            if sequence == 2 {
                history.subscribed(receiver, &topic, 1);
            }
            assert_eq!(history.begin(publisher, &topic, 1, false, false), sequence);
        }
        for sequence in receipts {
            history.received(receiver, Receipt { publisher, sequence, qos: 1 });
        }
        check(&history).into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn each_session_has_an_order_of_its_own() {
        for (lasting, found) in [(true, vec![Kind::Reordered]), (false, vec![])] {
            let mut history = History::default();
            let (publisher, receiver) = (history.publisher("p"), history.receiver("r", lasting, None));
            history.subscribed(receiver, &"t".into(), 1);
            for sequence in 0..3 {
                assert_eq!(history.begin(publisher, &"t".into(), 1, false, false), sequence);
            }
            history.received(receiver, Receipt { publisher, sequence: 2, qos: 1 });
            if !lasting {
                history.subscribed_anew(receiver);
            }
            history.received(receiver, Receipt { publisher, sequence: 1, qos: 1 });
            let order = |finding: &Finding| finding.kind == Kind::Reordered;
            let kinds: Vec<_> =
                check(&history).into_iter().filter(order).map(|finding| finding.kind).collect();
            assert_eq!(kinds, found);
        }
    }

    #[test]
    fn what_was_first_sent_before_the_subscription_may_come_late() {
        assert_eq!(findings([2, 3, 0, 1]), []);
        assert_eq!(findings([1, 3, 2, 0]), [Kind::Reordered]);
    }
}

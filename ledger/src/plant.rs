//! Plants faults in books that are right, to see that the check finds them: each world's own books prove what its
//! verdict is worth.

use std::time::Instant;

use crate::check::{Kind, check};
use crate::history::{Ended, History, Receipt, Receiver};

/// Changes the books in one place; false if they have no such place.
type Plant = fn(&mut History) -> bool;

const PLANTS: &[(&str, Kind, Plant)] = &[
    ("a message that never came", Kind::Lost, |books| lose(books, false)),
    ("one that no member of a shared subscription got", Kind::Lost, |books| lose(books, true)),
    ("one that came twice at QoS 2", Kind::Doubled, double),
    ("one that two members of a shared subscription got", Kind::Doubled, double_shared),
    ("two that changed places", Kind::Reordered, swap),
    ("one that nobody published", Kind::Unasked, invent),
    ("one with another QoS", Kind::Unasked, change_qos),
    ("an older retained message", Kind::Retained, retain_older),
    ("a retained message that is gone", Kind::Retained, forget_retained),
    ("a Will that did not come", Kind::Will, forget_will),
    ("a Will that came for no loss", Kind::Will, invent_will),
    ("a drop that was not counted", Kind::Drops, miscount),
];

/// How many of the faults could be planted in these books, and which of them were not found.
pub fn prove(books: &History) -> (usize, Vec<&'static str>) {
    let mut planted = 0;
    let mut unseen = Vec::new();
    for (name, kind, plant) in PLANTS {
        let mut spoiled = books.clone();
        if plant(&mut spoiled) {
            planted += 1;
            // Where some may be missing, one more is one too many.
            let is_counted = *kind == Kind::Lost && books.counted_drops.is_some();
            let kind = if is_counted { Kind::Drops } else { *kind };
            if !check(&spoiled).iter().any(|finding| finding.kind == kind) {
                unseen.push(*name);
            }
        }
    }
    (planted, unseen)
}

/// The last message that it must have got.
fn owed(books: &History, receiver: &Receiver) -> Option<Receipt> {
    let is_owed = |receipt: &&Receipt| {
        let message = &books.publishers[receipt.publisher].messages[receipt.sequence];
        let subscription = receiver.subscription(&message.topic);
        message.acknowledged
            && receipt.qos > 0
            && subscription.is_some_and(|subscription| subscription.since < message.begun)
    };
    receiver.receipts.iter().rev().find(is_owed).copied()
}

fn lose(books: &mut History, is_shared: bool) -> bool {
    let chosen = books.receivers.iter().find_map(|receiver| {
        let group_is_drained = books
            .receivers
            .iter()
            .filter(|other| other.group == receiver.group)
            .all(|member| member.drained || receiver.group.is_none());
        let fits =
            receiver.drained && receiver.lasting && receiver.group.is_some() == is_shared && group_is_drained;
        if fits {
            Some((receiver.name.clone(), receiver.group.clone(), owed(books, receiver)?))
        } else {
            None
        }
    });
    let Some((name, group, lost)) = chosen else { return false };
    for receiver in &mut books.receivers {
        if receiver.name == name || group.is_some() && receiver.group == group {
            receiver
                .receipts
                .retain(|receipt| (receipt.publisher, receipt.sequence) != (lost.publisher, lost.sequence));
        }
    }
    true
}

fn double(books: &mut History) -> bool {
    books.receivers.iter_mut().any(|receiver| {
        let last = receiver.receipts.iter().rposition(|receipt| receipt.qos == 2);
        last.is_some_and(|last| {
            receiver.receipts.push(receiver.receipts[last]);
            true
        })
    })
}

fn double_shared(books: &mut History) -> bool {
    let found = books.receivers.iter().find_map(|receiver| {
        let group = receiver.group.as_ref()?;
        let receipt = receiver.receipts.iter().find(|receipt| receipt.qos == 2)?;
        let other = books
            .receivers
            .iter()
            .position(|other| other.group.as_ref() == Some(group) && other.name != receiver.name)?;
        Some((other, *receipt))
    });
    found.is_some_and(|(other, receipt)| {
        books.receivers[other].receipts.push(receipt);
        true
    })
}

fn swap(books: &mut History) -> bool {
    for receiver in books.receivers.iter_mut().filter(|receiver| receiver.group.is_none()) {
        let stream = |receipt: &Receipt| {
            let message = &books.publishers[receipt.publisher].messages[receipt.sequence];
            (receipt.publisher, &*message.topic, message.qos)
        };
        let receipts = &receiver.receipts;
        // Nothing was repeated at QoS 2, so both are first receipts.
        let pair = (0..receipts.len()).find_map(|first| {
            let is_next = |receipt: &Receipt| receipt.qos == 2 && stream(receipt) == stream(&receipts[first]);
            let second = receipts[first + 1..].iter().position(is_next)?;
            let Receipt { publisher, sequence, qos } = receipts[first];
            let publisher = &books.publishers[publisher];
            let message = &publisher.messages[sequence];
            let is_since = receiver.subscription(&message.topic).is_some_and(|own| own.since < message.begun);
            (qos == 2 && publisher.keeps_order && is_since).then_some((first, first + 1 + second))
        });
        if let Some((first, second)) = pair {
            receiver.receipts.swap(first, second);
            return true;
        }
    }
    false
}

fn invent(books: &mut History) -> bool {
    let sequence = books.publishers.first().map_or(0, |publisher| publisher.messages.len());
    let receipt = Receipt { publisher: 0, sequence, qos: 1 };
    books.receivers.first_mut().is_some_and(|receiver| {
        receiver.receipts.push(receipt);
        true
    })
}

fn change_qos(books: &mut History) -> bool {
    let receipt = books.receivers.iter_mut().find_map(|receiver| receiver.receipts.last_mut());
    receipt.is_some_and(|receipt| {
        receipt.qos = (receipt.qos + 1) % 3;
        true
    })
}

fn retain_older(books: &mut History) -> bool {
    let value = books.retained.as_mut().and_then(|read| read.values_mut().next());
    value.is_some_and(|value| {
        // No publisher has so many messages.
        value.1 = value.1.checked_sub(1).unwrap_or(usize::MAX);
        true
    })
}

fn forget_retained(books: &mut History) -> bool {
    books.retained.as_mut().and_then(std::collections::BTreeMap::pop_first).is_some()
}

fn forget_will(books: &mut History) -> bool {
    let will = books.wills.iter_mut().find(|will| !will.received.is_empty() && will.delay.is_zero());
    will.is_some_and(|will| {
        will.received.clear();
        true
    })
}

fn invent_will(books: &mut History) -> bool {
    let will = books.wills.iter_mut().find(|will| matches!(will.ended, Ended::Open | Ended::InPeace));
    will.is_some_and(|will| {
        will.received.push(Instant::now());
        true
    })
}

fn miscount(books: &mut History) -> bool {
    books.counted_drops = Some(books.counted_drops.unwrap_or(0) + 1);
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::history::Will;

    /// The books of two publishers, three receivers and a Will with a broker that makes no mistake.
    fn right() -> History {
        let mut books = History::default();
        for (name, group, filter) in [
            ("alone", None, "l/#"),
            ("first", Some("g"), "l/#"),
            ("second", Some("g"), "l/#"),
            ("elsewhere", None, "m/#"),
        ] {
            let number = books.receiver(name, true, group);
            books.subscribed(number, &Rc::from(filter), 2);
            books.receivers[number].drained = true;
        }
        for name in ["one", "two"] {
            let publisher = books.publisher(name);
            let topic: Rc<str> = format!("l/{publisher}").into();
            for qos in [1, 2, 2, 1, 2] {
                let sequence = books.begin(publisher, &topic, qos, true, false);
                books.acknowledged(publisher, sequence);
                let receipt = Receipt { publisher, sequence, qos };
                books.received(0, receipt);
                books.received(1 + sequence % 2, receipt);
            }
        }
        books.retained = Some(BTreeMap::from([("l/0".to_owned(), (0, 4)), ("l/1".to_owned(), (1, 4))]));
        let lost = Instant::now() - Duration::from_secs(5);
        for (ended, received) in [(Ended::Lost(lost), vec![lost]), (Ended::Open, Vec::new())] {
            books.wills.push(Will {
                name: "w".to_owned(),
                payload: "w 1".to_owned(),
                delay: Duration::ZERO,
                ended,
                restarted: None,
                attempted: false,
                resumed: None,
                received,
            });
        }
        books
    }

    #[test]
    fn right_books_are_right_and_every_planted_fault_is_found() {
        let books = right();
        assert_eq!(check(&books), []);
        assert_eq!(prove(&books), (PLANTS.len(), Vec::new()));
    }

    #[test]
    fn what_may_be_is_no_fault() {
        let mut books = right();
        // Never acknowledged: it may come or not.
        let topic: Rc<str> = "l/0".into();
        books.begin(0, &topic, 2, true, false);
        assert_eq!(check(&books), []);
        books.received(0, Receipt { publisher: 0, sequence: 5, qos: 2 });
        assert_eq!(check(&books), []);
        // Retained or not, as it happened.
        books.retained.as_mut().unwrap().insert("l/0".to_owned(), (0, 5));
        assert_eq!(check(&books), []);
        // Repeated at QoS 1, even after later ones.
        books.received(0, Receipt { publisher: 0, sequence: 3, qos: 1 });
        assert_eq!(check(&books), []);
        // Published before there was a subscription.
        let sequence = books.begin(1, &Rc::from("n/1"), 2, false, false);
        books.acknowledged(1, sequence);
        books.subscribed(3, &Rc::from("n/#"), 2);
        assert_eq!(check(&books), []);
    }

    #[test]
    fn a_retained_message_that_was_deleted_must_not_be_there() {
        let mut books = right();
        let topic: Rc<str> = "l/0".into();
        let sequence = books.begin(0, &topic, 1, true, true);
        assert_eq!(check(&books), [], "it may not have been deleted yet");
        books.acknowledged(0, sequence);
        assert_eq!(check(&books).iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::Retained]);
        books.retained.as_mut().unwrap().remove("l/0");
        assert_eq!(check(&books), []);
    }
}

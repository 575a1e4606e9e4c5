//! What is retained.

use std::collections::BTreeMap;

use super::{Finding, Kind};
use crate::history::{History, Message, Value};

/// What a topic may hold: the value of its last acknowledged message, or of one that was attempted after it.
/// `None` stands for nothing.
pub fn expected(history: &History) -> BTreeMap<&str, Vec<Option<Value>>> {
    let mut topics: BTreeMap<&str, Vec<Option<Value>>> = BTreeMap::new();
    for (number, publisher) in history.publishers.iter().enumerate() {
        let retained = publisher.messages.iter().enumerate().filter(|(_, message)| message.retain);
        for (sequence, &Message { ref topic, is_clear, acknowledged, .. }) in retained {
            let possible = topics.entry(topic).or_insert_with(|| vec![None]);
            if acknowledged {
                possible.clear();
            }
            possible.push((!is_clear).then_some((number, sequence)));
        }
    }
    topics
}

/// One publisher alone publishes to each of these topics, so its messages have an order.
pub(super) fn check(history: &History) -> Vec<Finding> {
    let Some(read) = &history.retained else { return Vec::new() };
    let expected = expected(history);
    let fault = |what| Finding { kind: Kind::Retained, what };
    let wrong = expected.iter().filter_map(|(topic, possible)| {
        let found = read.get(*topic).copied();
        let what = format!("{topic} holds {found:?} instead of one of {possible:?} (publisher, number)");
        (!possible.contains(&found)).then_some(fault(what))
    });
    let unknown = read.keys().filter(|topic| !expected.contains_key(topic.as_str()));
    wrong.chain(unknown.map(|topic| fault(format!("{topic} is retained, and nobody published it")))).collect()
}

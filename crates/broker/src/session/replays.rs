//! What is retained for new subscriptions and too much to be queued at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use noctule_protocol::packet::SubscriptionOptions;

use crate::retained::Version;

/// The rest of what is retained for a new subscription: too much to be queued at once, so it stands in line
/// itself and is taken up when all before it has gone.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Topic Filter.
    pub(crate) filter: Arc<str>,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, 0 for none.
    pub(crate) identifier: u32,
    /// The newest version when it began: what was retained later comes live.
    pub(crate) since: Version,
    /// Where to go on.
    pub(crate) from: Option<String>,
}

/// Replays in line. Places count up from the first entry of the queue as it was when the first replay came. A
/// client can put as many in line as it has subscriptions, so each is found without looking at the others.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// Place of the queue's first entry.
    pub(super) first: u64,
    /// In their order, each with the place it stands at: in front of the entry there.
    pub(super) line: BTreeMap<i64, (u64, Replay)>,
    /// Where each filter's replay stands in `line`.
    by_filter: BTreeMap<Arc<str>, i64>,
}

impl Replays {
    pub(super) fn push_back(&mut self, place: u64, replay: Replay) {
        let number = self.line.last_key_value().map_or(0, |(number, _)| number + 1);
        self.insert(number, place, replay);
    }

    pub(super) fn push_front(&mut self, replay: Replay) {
        let number = self.line.first_key_value().map_or(0, |(number, _)| number - 1);
        self.insert(number, self.first, replay);
    }

    fn insert(&mut self, number: i64, place: u64, replay: Replay) {
        self.by_filter.insert(Arc::clone(&replay.filter), number);
        self.line.insert(number, (place, replay));
    }

    /// The replay in front of the queue's first entry.
    pub(super) fn pop(&mut self) -> Option<Replay> {
        let front = self.line.first_entry().filter(|front| front.get().0 == self.first)?;
        let (_, replay) = front.remove();
        self.by_filter.remove(&replay.filter);
        Some(replay)
    }

    pub(super) fn remove(&mut self, filter: &str) {
        if let Some(number) = self.by_filter.remove(filter) {
            self.line.remove(&number);
        }
    }
}

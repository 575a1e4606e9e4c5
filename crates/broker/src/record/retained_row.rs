//! The row of a retained message, as it is when its batch is stored.

use super::encoding::retained_change;
use super::{Change, Operation};
use crate::retained::Version;
use crate::shared::Shared;

/// What the store must be told about the retained message of one topic.
///
/// Two shards may change one topic at the same time, and each hands its changes out with its own batch, so batches
/// need not come to the store in the order of the changes. Therefore a shard stores not the change that it has made, but
/// what is retained at the moment when its batch gets its place among those of all shards. Whoever changes that later
/// gets a later place, so the last row of a topic is what is retained in the end. A batch may so hold the change of
/// another shard, which replaced the one that its own acknowledgement waits for: that one is as good as stored.
///
/// ```text
/// shard 1    set 1            push ─▶ 2          what is stored: 2, 2
/// shard 2           set 2             push ─▶ 2
/// ```
#[derive(Debug)]
pub struct RetainedRow {
    /// `None` if nothing is retained.
    version: Option<Version>,
    change: Change,
}

impl RetainedRow {
    /// What is retained now. [`latest`](Self::latest) has less to do if this was called shortly before.
    pub fn read(shared: &Shared, topic: &str) -> Self {
        let retained = shared.retained.find(topic);
        let version = retained.as_ref().map(|(version, _)| *version);
        let change = retained_change(topic, retained.as_ref().map(|(_, retained)| retained));
        Self { version, change }
    }

    /// What is retained now, to be called under the lock that gives the batch its place.
    #[must_use]
    pub fn latest(self, shared: &Shared) -> Change {
        let Ok(topic) = std::str::from_utf8(&self.change.key) else { return self.change };
        match shared.retained.version_of(topic) == self.version {
            true => self.change,
            false => Self::read(shared, topic).change,
        }
    }
}

impl Operation {
    /// Whose retained message it changes, for a [`RetainedRow`].
    pub fn retained_topic(&self) -> Option<&str> {
        match self {
            Self::PutRetained(retained) => Some(retained.message.topic()),
            Self::DeleteRetained(topic) => Some(topic),
            Self::PutSession(_)
            | Self::DeleteSession(_)
            | Self::PutSubscription { .. }
            | Self::DeleteSubscription { .. }
            | Self::PutMessage { .. }
            | Self::AddRecipient { .. }
            | Self::DeleteRecipient { .. }
            | Self::DeleteMessage { .. }
            | Self::PutCursor { .. }
            | Self::DeleteCursor(_)
            | Self::PutOutgoing { .. }
            | Self::DeleteOutgoing { .. }
            | Self::PutIncoming { .. }
            | Self::DeleteIncoming { .. } => None,
        }
    }
}

//! A message on its way.

use super::{Message, MessageView, Sequence};
use crate::encoded::Encoded;
use crate::retained::Version;
use crate::router::{Destination, Target};

/// A message on its way to its recipients. The copy that outlives the turn is made when the first recipient
/// needs it, and once.
pub(crate) struct Publication<'a> {
    pub(crate) view: MessageView<'a>,
    /// How it was put for its last recipients.
    pub(crate) encoded: Encoded,

    pub(crate) sequence: Sequence,
    /// Its place in the order of what was retained; zero if it was not.
    pub(crate) retained_version: Version,
    kept: Kept<'a>,
}

/// The copy that outlives the turn, once there is one. Counting its holders is dear, so it is not done in passing.
enum Kept<'a> {
    Not,
    Elsewhere(&'a Message),
    Here(Message),
}

impl<'a> Publication<'a> {
    pub(crate) fn borrowed(view: MessageView<'a>, sequence: Sequence) -> Self {
        let retained_version = Version::ZERO;
        Self { view, encoded: Encoded::default(), sequence, retained_version, kept: Kept::Not }
    }

    pub(crate) fn kept(message: &'a Message) -> Self {
        Self::kept_as(message, message.view())
    }

    /// The same, given its topic.
    pub(crate) fn kept_knowing(message: &'a Message, topic: &'a str) -> Self {
        debug_assert_eq!(topic.as_bytes(), message.topic_bytes());
        Self::kept_as(message, message.view_with(topic))
    }

    fn kept_as(message: &'a Message, view: MessageView<'a>) -> Self {
        Self {
            view,
            encoded: Encoded::default(),
            sequence: message.sequence(),
            retained_version: Version::ZERO,
            kept: Kept::Elsewhere(message),
        }
    }

    /// The same, with its place in the order of what was retained.
    pub(crate) fn retained_as(self, retained_version: Version) -> Self {
        Self { retained_version, ..self }
    }

    pub(crate) fn keep(&mut self) -> Message {
        match &self.kept {
            Kept::Elsewhere(message) => (*message).clone(),
            Kept::Here(message) => message.clone(),
            Kept::Not => {
                let message = self.view.to_message(self.sequence);
                self.kept = Kept::Here(message.clone());
                message
            }
        }
    }

    /// The same for the last one who keeps it.
    pub(crate) fn keep_last(&mut self) -> Message {
        match std::mem::replace(&mut self.kept, Kept::Not) {
            Kept::Elsewhere(message) => message.clone(),
            Kept::Here(message) => message,
            Kept::Not => self.view.to_message(self.sequence),
        }
    }

    /// Whether a target gets it: it is not the target's own where that wants none of those, and the target has not
    /// got it as a retained message.
    pub(crate) fn reaches(&self, target: &Target) -> bool {
        let is_own = match target.to {
            Destination::Session(address) => address.number == self.view.publisher,
            Destination::Group(_) => return true,
        };
        let is_live =
            self.retained_version == Version::ZERO || target.since.hears_live(self.retained_version);
        target.audience.wants(is_own) && is_live
    }

    /// Whether a copy that outlives the turn was made already.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.kept, Kept::Not)
    }
}

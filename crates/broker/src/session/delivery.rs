//! One copy of a message for one session.

use std::sync::Arc;

use noctule_protocol::QoS;

use crate::message::Message;
use crate::session::{Identifiers, Membership};

/// One copy of a message for one session. Queues may be long, so it is small.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// Few deliveries have any of it.
    through: Option<Box<Through>>,
    /// [`Self::copy`] plus one, 0 for none.
    copy: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Why it stands in the queue, which decides what bounds it.
    pub(crate) kind: Queued,
}

/// By which subscription a delivery came, where that matters.
#[derive(Clone, Debug)]
struct Through {
    identifiers: Identifiers,
    group: Option<Arc<Membership>>,
}

/// What bounds a queued message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Queued {
    /// `max_queued_messages` and `max_queued_bytes`.
    Limited,
    /// A retained message on its way to a new subscription: the retained store holds it anyway.
    Retained,
    /// A QoS 0 message behind retained ones, so that it does not overtake them: `outbox_bytes_max`.
    Behind,
}

impl Delivery {
    /// A copy that is not stored, for a subscription without identifier that is not shared.
    pub(crate) fn new(message: Message, qos: QoS, retain: bool, kind: Queued) -> Self {
        Self { message, through: None, copy: 0, qos, retain, kind }
    }

    /// The same, by a subscription with identifiers or a shared one.
    pub(crate) fn through(mut self, identifiers: &Identifiers, group: Option<&Arc<Membership>>) -> Self {
        self.through = (!identifiers.is_empty() || group.is_some())
            .then(|| Box::new(Through { identifiers: identifiers.clone(), group: group.cloned() }));
        self
    }

    /// The Subscription Identifiers it travels with.
    pub(crate) fn identifiers(&self) -> &Identifiers {
        self.through.as_ref().map_or(&Identifiers::None, |through| &through.identifiers)
    }

    /// The shared subscription it came through: another member may take it.
    pub(crate) fn group(&self) -> Option<&Arc<Membership>> {
        self.through.as_ref()?.group.as_ref()
    }

    /// The copy of the stored message that waits for this acknowledgement; `None` if it is not stored.
    pub(crate) fn copy(&self) -> Option<u32> {
        self.copy.checked_sub(1)
    }

    pub(crate) fn set_copy(&mut self, copy: Option<u32>) {
        self.copy = copy.map_or(0, |copy| copy.saturating_add(1));
    }

    /// A message of a shared subscription whose member is gone.
    pub(crate) fn returned(
        message: Message,
        membership: &Arc<Membership>,
        qos: QoS,
        copy: Option<u32>,
    ) -> Self {
        let mut returned =
            Self::new(message, qos, false, Queued::Limited).through(&Identifiers::None, Some(membership));
        returned.set_copy(copy);
        returned
    }

    /// About how long its PUBLISH will be.
    pub(crate) fn packet_bytes(&self) -> usize {
        /// Fixed header, lengths, Packet Identifier, and the properties this hop adds.
        const REST: usize = 24;
        self.message.content_bytes() + REST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageView, Sequence, SessionNumber};

    #[test]
    fn a_delivery_is_small_and_tells_where_it_came_from() {
        assert_eq!(size_of::<Option<Delivery>>(), 24);
        let view = MessageView {
            topic: "t",
            payload: b"a",
            properties: b"",
            qos: QoS::AtLeastOnce,
            retain: false,
            expires: None,
            publisher: SessionNumber(1),
        };
        let message = view.to_message(Sequence::default());
        let mut one = Delivery::new(message, QoS::AtLeastOnce, false, Queued::Limited);
        assert_eq!((one.identifiers(), one.copy()), (&Identifiers::None, None));
        assert!(one.group().is_none());
        one.set_copy(Some(0));
        assert_eq!(one.copy(), Some(0));
        one.set_copy(None);
        let one = one.through(&Identifiers::One(7), None);
        assert_eq!((one.identifiers(), one.copy()), (&Identifiers::One(7), None));
        assert!(one.through(&Identifiers::None, None).through.is_none());
    }
}

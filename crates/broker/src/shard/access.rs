//! Who may receive what, where a listener has access rules. A right is asked when a message comes for a session, and once more
//! when one is sent that had to wait: the rules may have changed meanwhile, or its client has another User Name now.

use std::sync::Arc;

use noctule_protocol::QoS;

use super::cursors::Done;
use super::deliver::Recording;
use super::{Shard, Turn};
use crate::authorize::{Client, may};
use crate::message::{Message, Publication, Publisher};
use crate::metric::Metric;
use crate::parcel::Letter;
use crate::rights::Wanted;
use crate::router::SessionAddress;
use crate::session::{Delivery, Membership};

impl Shard {
    /// The client of a session, to ask what it may do.
    #[inline]
    pub(super) fn client(&mut self, slot: u32) -> Option<Client<'_>> {
        let Self { sessions, settings, generation, restricts, .. } = self;
        let session = sessions.get_mut(slot as usize)?.as_deref_mut()?;
        Some(Client { session, settings, generation: *generation, restricts: *restricts })
    }

    /// Whether a session may receive messages to a topic. One that is gone is somebody else's matter.
    // Out of the way of those that are allowed everything.
    #[inline(never)]
    pub(super) fn may_receive(&mut self, address: SessionAddress, topic: &str) -> bool {
        let client = self.client(address.slot);
        let client = client.filter(|client| client.session.address.number == address.number);
        client.is_none_or(|client| client.may(Wanted::Read, topic))
    }

    /// Whether a session may receive a message that it has.
    pub(super) fn may_still_receive(&mut self, slot: u32, message: &Message) -> bool {
        !self.restricts || self.client(slot).is_none_or(|client| client.may(Wanted::Read, message.topic()))
    }

    /// Drops a message that its receiver may not have.
    pub(super) fn withhold(
        &mut self,
        slot: u32,
        membership: Option<&Arc<Membership>>,
        qos: QoS,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
    ) {
        self.count(Metric::DroppedNotReadable);
        if let Recording::Made(copy @ Some(_)) = recording {
            self.settle_copy(&publication.keep(), copy, Done::NotTaken(slot));
        }
        if let (Some(membership), true) = (membership, qos != QoS::AtMostOnce) {
            self.done_with(membership);
        }
    }

    /// Takes a message that waited, or was in flight, off a session that may not have it any more. One of a shared
    /// subscription goes to another member.
    pub(super) fn take_away(&mut self, slot: u32, delivery: Delivery, may_go_on: bool, turn: &mut Turn<'_>) {
        match delivery.group().cloned() {
            Some(membership) if may_go_on && delivery.qos != QoS::AtMostOnce => {
                if membership.group.shard == self.index {
                    self.find_room(&delivery, turn);
                } else {
                    self.mail.post(membership.group.shard, Letter::Refused(Box::new(delivery)));
                }
            }
            Some(_) | None => {
                self.count(Metric::DroppedNotReadable);
                self.settle(&delivery, Done::Taken(slot));
            }
        }
    }

    /// Whether a retained message still has a publisher that may publish it (`check_retain_source`). What the broker itself
    /// retains has none.
    pub(super) fn has_good_source(&self, message: &Message, publisher: &Publisher) -> bool {
        !self.settings.check_retain_source
            || publisher.client_id.is_empty()
            || may(publisher, Wanted::Write, message.topic(), &self.settings)
    }
}

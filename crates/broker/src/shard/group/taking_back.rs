//! What becomes of messages that a member had and will not take.

use std::sync::Arc;

use noctule_protocol::QoS;

use super::Seat;
use crate::message::Publication;
use crate::metric::Metric;
use crate::parcel::{Letter, Member};
use crate::record::Operation;
use crate::session::{Delivery, Membership};
use crate::shard::cursors::Done;
use crate::shard::deliver::Recording;
use crate::shard::{Shard, Turn};

impl Shard {
    /// A member on another shard gives a message back.
    pub(in crate::shard) fn take_back(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let Some(membership) = delivery.group() else { return };
        if delivery.qos != QoS::AtMostOnce {
            self.member_finished(membership, 1);
        }
        if self.let_go_if_expired(delivery, turn) || self.give_to_other(delivery, membership, turn) {
            return;
        }
        match self.groups.seat_mut(membership) {
            // Nobody else has room for it.
            Some(seat) => {
                seat.outstanding += u32::from(delivery.qos != QoS::AtMostOnce);
                // If it is there again, it can be asked when it goes.
                seat.keeps = seat.member.window.is_none();
                let to = membership.member.shard;
                self.mail.post(to, Letter::Placed(Box::new(delivery.clone())));
            }
            None => self.rehome_one(delivery, membership, turn),
        }
    }

    /// A member on another shard has no room for a message: it goes to one that has. With QoS 0 that may be the same one
    /// by now; of a queue that is full nobody hears when it has room again.
    pub(in crate::shard) fn find_room(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let Some(membership) = delivery.group() else { return };
        let (except, metric) = match delivery.qos {
            QoS::AtMostOnce => (None, Metric::DroppedOutboxFull),
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.member_finished(membership, 1);
                (Some(membership.member.number), Metric::DroppedQueueFull)
            }
        };
        if self.let_go_if_expired(delivery, turn) {
            return;
        }
        let message = &delivery.message;
        let (topic, qos) = (message.topic(), message.qos());
        match self.choose(membership.group, topic, qos, message.payload_bytes(), except) {
            Some((readiness, member)) if self.has_room(readiness, &member, delivery) => {
                self.regive(delivery, &member, true, turn);
            }
            Some(_) | None => {
                self.count(metric);
                self.settle_copy(&delivery.message, delivery.copy(), Done::Elsewhere);
            }
        }
    }

    /// A member on another shard lost its connection: if others have room for what it has, it is asked to give that
    /// up. If it is back when it hears of this, or nobody else is there, it keeps everything, with Packet Identifiers
    /// [MQTT-4.4.0-1].
    pub(in crate::shard) fn recall(&mut self, membership: &Arc<Membership>) {
        // Looking for it takes as long as the member's queue, and it may be in very many groups. QoS 0 is not counted.
        let may_have = |seat: &Seat| seat.outstanding > 0 || self.settings.queue_qos0_messages;
        if self.groups.seat(membership).is_none_or(|seat| seat.keeps || !may_have(seat)) {
            return;
        }
        let mut room = self.room_beside(membership);
        // As much at a time as may be under way.
        room.bytes = room.bytes.min((self.settings.mail_bytes_max / 4).max(1));
        if !room.is_none() {
            let membership = Arc::clone(membership);
            self.mail.post(membership.member.shard, Letter::Recalled { membership, room });
        }
    }

    /// Gives a message to whichever other member there is; its session ended. The bounds of that one's queue count, or
    /// sessions that come and go would fill it without end.
    pub(in crate::shard) fn rehome_one(
        &mut self,
        delivery: &Delivery,
        from: &Membership,
        turn: &mut Turn<'_>,
    ) {
        if self.let_go_if_expired(delivery, turn) {
            return;
        }
        match self.choose_other(delivery, from) {
            Some((_, member)) => self.regive(delivery, &member, false, turn),
            None => {
                self.count(Metric::DroppedNoMember);
                self.settle_copy(&delivery.message, delivery.copy(), Done::Elsewhere);
            }
        }
    }

    /// Gives a message to another member than `from` that has a connection. False if none has room for it.
    pub(in crate::shard) fn give_to_other(
        &mut self,
        delivery: &Delivery,
        from: &Membership,
        turn: &mut Turn<'_>,
    ) -> bool {
        match self.choose_other(delivery, from) {
            Some((readiness, member)) if self.has_room(readiness, &member, delivery) => {
                self.regive(delivery, &member, true, turn);
                true
            }
            Some(_) | None => false,
        }
    }

    /// With another member it would be a new delivery [MQTT-3.3.2-5].
    pub(in crate::shard) fn let_go_if_expired(&mut self, delivery: &Delivery, turn: &Turn<'_>) -> bool {
        let is_expired = delivery.message.is_expired(turn.now.wall);
        if is_expired {
            self.count(Metric::DroppedExpired);
            self.settle_copy(&delivery.message, delivery.copy(), Done::Elsewhere);
        }
        is_expired
    }

    /// Gives a message that somebody had to a member. One that was not recorded so far, and must be now, begins
    /// anew: the end of its first record may be on its way.
    fn regive(&mut self, delivery: &Delivery, member: &Member, let_in: bool, turn: &mut Turn<'_>) {
        if delivery.copy().is_some() {
            let mut publication = Publication::kept(&delivery.message);
            return self.give(member, &mut publication, Recording::Made(delivery.copy()), let_in, turn);
        }
        let message = delivery.message.view().to_message(self.next_sequence());
        let mut publication = Publication::kept(&message);
        let mut recipients = Vec::new();
        self.give(member, &mut publication, Recording::Make(&mut recipients), let_in, turn);
        if !recipients.is_empty() {
            // It has one recipient.
            self.persist_lazily(Operation::PutMessage { message, recipients, list: None });
        }
    }
}

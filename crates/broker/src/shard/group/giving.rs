//! How a member gets a message.

use std::sync::Arc;

use noctule_protocol::QoS;

use crate::message::{Publication, SessionNumber};
use crate::metric::Metric;
use crate::parcel::{Letter, Member, Parcel};
use crate::record::{Operation, Recipient};
use crate::retained::Version;
use crate::router::{Audience, Destination, GroupAddress, Target};
use crate::session::{Delivery, Identifiers, Queued};
use crate::shard::cursors::Done;
use crate::shard::deliver::Recording;
use crate::shard::membership::full;
use crate::shard::{Shard, Turn};

impl Member {
    fn target(&self, group_lasts: bool, upgrades: bool) -> Target {
        Target {
            to: Destination::Session(self.membership.member),
            qos: self.options.qos,
            audience: Audience::Everybodys,
            retain_as_published: self.options.retain_as_published,
            lasts: group_lasts,
            upgrades,
            since: Version::ZERO,
            identifiers: Identifiers::from_wire(self.identifier),
        }
    }
}

impl Shard {
    /// Gives a message to one member.
    pub(in crate::shard) fn deliver_to_group(
        &mut self,
        group: GroupAddress,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        turn: &mut Turn<'_>,
    ) {
        let view = publication.view;
        match self.choose(group, view.topic, view.qos, view.payload.len(), None) {
            Some((readiness, member)) if self.would_drop(readiness, &member, view.qos) => {
                self.count(Metric::DroppedOutboxFull);
                if let Recording::Made(copy @ Some(_)) = recording {
                    self.settle_copy(&publication.keep(), copy, Done::Elsewhere);
                }
            }
            // What is recorded for the group as a whole may stay so.
            Some((_, member)) if !member.lasts => {
                self.give_new(&member, publication, recording, false, turn);
            }
            Some((_, member)) => self.give(&member, publication, recording, false, turn),
            None => {
                self.count(Metric::DroppedNoMember);
                if let Recording::Made(copy @ Some(_)) = recording {
                    self.settle_copy(&publication.keep(), copy, Done::Elsewhere);
                }
            }
        }
    }

    /// Gives a message to a member, wherever it is. What was recorded for the group as a whole, or for another member,
    /// is recorded for this one instead. `let_in` says that another member had it, and that this one has room.
    pub(super) fn give(
        &mut self,
        member: &Member,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        let_in: bool,
        turn: &mut Turn<'_>,
    ) {
        match recording {
            Recording::Make(recipients) => {
                self.give_new(member, publication, Recording::Make(recipients), let_in, turn);
            }
            Recording::Made(None) => {
                self.give_new(member, publication, Recording::Made(None), let_in, turn);
            }
            Recording::Made(old) => {
                let mut recipients = Vec::new();
                self.give_new(member, publication, Recording::Make(&mut recipients), let_in, turn);
                let message = publication.keep();
                for recipient in recipients {
                    let sequence = message.sequence();
                    self.persist_lazily(Operation::AddRecipient { sequence, recipient });
                }
                // The new recipient before the old one is let go: the record must not be deleted between.
                self.settle_copy(&message, old, Done::Elsewhere);
            }
        }
    }

    fn give_new(
        &mut self,
        member: &Member,
        publication: &mut Publication<'_>,
        recording: Recording<'_>,
        let_in: bool,
        turn: &mut Turn<'_>,
    ) {
        let Member { membership, .. } = member;
        let group = self.groups.groups.get(&membership.group.number);
        let lasts = group.is_some_and(|group| group.lasts);
        let has_others = group.is_some_and(|group| group.connected > usize::from(member.window.is_some()));
        let target = member.target(lasts, self.settings.upgrade_outgoing_qos);
        if membership.member.shard == self.index {
            let address = membership.member;
            return self.deliver(address, &target, Some(membership), publication, recording, turn);
        }
        let qos = target.granted(publication.view.qos);
        let copy = match recording {
            Recording::Made(copy) => copy,
            Recording::Make(recipients) if qos != QoS::AtMostOnce && (member.lasts || lasts) => {
                let copy = publication.keep().add_copy(true);
                let number = membership.member.number;
                recipients.push(Recipient {
                    copy,
                    session: if member.lasts { number } else { SessionNumber::GROUP },
                    qos,
                    retain: target.retain_as_published && publication.view.retain,
                    identifiers: target.identifiers.clone(),
                    group: Some(Arc::clone(&membership.filter)),
                });
                Some(copy)
            }
            Recording::Make(_) => None,
        };
        if qos != QoS::AtMostOnce {
            self.member_has(membership);
        }
        let shard = membership.member.shard;
        let letter = if let_in && qos != QoS::AtMostOnce {
            let retain = target.retain_as_published && publication.view.retain;
            let mut delivery = Delivery::new(publication.keep(), qos, retain, Queued::Limited)
                .through(&target.identifiers, Some(membership));
            delivery.set_copy(copy);
            Letter::Placed(Box::new(delivery))
        } else {
            let message = self.mail.carry(shard, publication, false);
            let upgrades = target.upgrades;
            Letter::Grouped { member: Box::new(member.clone()), message, copy, has_others, upgrades }
        };
        self.mail.post(shard, letter);
    }

    /// A message for a session here, by way of a group of another shard.
    pub(in crate::shard) fn read_grouped(&mut self, parcel: &Parcel, letter: usize, turn: &mut Turn<'_>) {
        let Some(Letter::Grouped { member, message, copy, has_others, upgrades }) =
            parcel.letters.get(letter)
        else {
            return;
        };
        let mut publication = parcel.publication(message);
        let membership = &member.membership;
        let (address, target) = (membership.member, member.target(true, *upgrades));
        let qos = target.granted(publication.view.qos);
        let session = self.session(address.slot).filter(|session| session.address == address);
        let is_here = session.is_some();
        let is_member = session.is_some_and(|session| session.memberships.get(membership.group).is_some());
        let is_connected = session.is_some_and(|session| session.connection.is_some());
        let is_readable = !self.restricts || self.may_receive(address, publication.view.topic);
        // What it has by other ways its owner cannot know; that it left, or lost its connection, it hears before this.
        let others_should = match qos {
            QoS::AtMostOnce => !is_member || !is_connected,
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                let has_place = is_readable && self.has_place(address.slot, publication.view.payload.len());
                is_here && (!is_member || !has_place)
            }
        };
        let is_full = qos == QoS::AtMostOnce && self.is_full(address);
        let is_refused = is_full || *has_others && others_should;
        if is_refused {
            // Another member may have room.
            if is_full {
                self.mail.post(membership.group.shard, full(membership, true));
            }
            let delivery = Delivery::returned(publication.keep(), membership, qos, *copy);
            self.mail.post(membership.group.shard, Letter::Refused(Box::new(delivery)));
        } else if is_here || qos == QoS::AtMostOnce {
            let recording = Recording::Made(*copy);
            self.deliver(address, &target, Some(membership), &mut publication, recording, turn);
        } else {
            // It left meanwhile; another member may take it.
            let delivery = Delivery::returned(publication.keep(), membership, qos, *copy);
            self.give_back(delivery);
        }
    }
}

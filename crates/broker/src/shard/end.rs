//! How connections and sessions end: DISCONNECT, expiry and wills.

use std::time::Duration;

use noctule_protocol::packet::Disconnect;
use noctule_protocol::{DecodeError, QoS};

use super::connection::Said;
use super::cursors::Done;
use super::ending::Ending;
use super::{Shard, Turn};
use crate::authorize::authorize;
use crate::input::ConnectionKey;
use crate::message::{MessageView, Publication, SessionNumber};
use crate::metric::Metric;
use crate::record::Operation;
use crate::router::Destination;
use crate::session::{NEVER, Session};
use crate::timer::Timer;

impl Shard {
    pub(super) fn on_disconnect(
        &mut self,
        key: ConnectionKey,
        slot: u32,
        disconnect: &Disconnect<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), DecodeError> {
        if let Some(asked) = disconnect.properties.session_expiry_interval() {
            if asked > 0
                && self.connection(key).is_some_and(|connection| !connection.said.contains(Said::LASTS))
            {
                return Err(DecodeError::protocol(
                    "DISCONNECT prolongs a session that was to end with its connection",
                ));
            }
            let expiry = self.limit_expiry(asked);
            if let Some(session) = self.session_mut(slot) {
                session.expiry = expiry;
            }
        }
        self.close(key, Ending::ByClient(disconnect.reason), turn);
        Ok(())
    }

    /// The session's connection ended.
    pub(super) fn leave(&mut self, slot: u32, ending: Ending<'_>, turn: &mut Turn<'_>) {
        let Some(expiry) = self.session(slot).map(|session| self.limit_expiry(session.expiry)) else {
            return;
        };
        let Some(session) = self.session_mut(slot) else { return };
        session.connection = None;
        session.expiry = expiry;
        session.outgoing.interrupt();
        session.incoming.rest();
        if ending.discards_will() {
            session.seldom.take(|things| things.will.take());
        }
        let number = session.address.number;
        if !session.lasts() {
            return self.end_session(slot, turn);
        }
        session.seldom.change(|things| things.disconnected_at = Some(turn.now.wall.into()));
        let record = session.record();
        self.persist_lazily(Operation::PutSession(record));
        if expiry != NEVER {
            let at = turn.now.monotonic + Duration::from_secs(expiry.into());
            self.timers.arm(at, Timer::SessionExpiry(slot, number));
            if let Some(session) = self.session_mut(slot) {
                session.seldom.change(|things| things.ends_at = Some(at.into()));
            }
        }
        match self.session(slot).and_then(|session| session.seldom.get().will.as_ref()).map(|will| will.delay)
        {
            None => {}
            Some(Duration::ZERO) => self.publish_will(slot, turn),
            Some(delay) => {
                let at = turn.now.monotonic + delay;
                self.timers.arm(at, Timer::WillDelay(slot, number));
                if let Some(session) = self.session_mut(slot) {
                    session.seldom.change(|things| things.will_at = Some(at.into()));
                }
            }
        }
        self.replay_ended(slot);
        self.tell_groups(slot);
        self.redistribute(slot, turn);
    }

    pub(super) fn session_expired(&mut self, slot: u32, number: SessionNumber, turn: &mut Turn<'_>) {
        if self.session(slot).is_some_and(|session| session.address.number == number) {
            self.count(Metric::SessionsExpired);
            self.end_session(slot, turn);
        }
    }

    pub(super) fn will_due(&mut self, slot: u32, number: SessionNumber, turn: &mut Turn<'_>) {
        if self.session(slot).is_some_and(|session| session.address.number == number) {
            self.publish_will(slot, turn);
        }
    }

    /// Publishes the session's Will, if it still has one, and deletes it [MQTT-3.1.2-8] [MQTT-3.1.2-10].
    pub(super) fn publish_will(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(Some(session)) = self.sessions.get_mut(slot as usize) else { return };
        if let Some(at) = session.seldom.take(|things| things.will_at.take()) {
            self.timers.disarm(at, Timer::WillDelay(slot, session.address.number));
        }
        let Some(will) = session.seldom.take(|things| things.will.take()) else { return };
        let (number, publisher) = (session.address.number, will.retain.then(|| session.retainer()));
        if session.lasts() {
            let record = session.record();
            self.persist_lazily(Operation::PutSession(record));
        }
        let view = MessageView {
            topic: &will.topic,
            payload: &will.payload,
            properties: &will.properties,
            qos: will.qos,
            retain: will.retain,
            expires: will.expiry.map(|expiry| turn.now.wall + expiry),
            publisher: number,
        };
        let sequence = self.next_sequence();
        let mut publication = Publication::borrowed(view, sequence);
        let Some(client) = self.client(slot) else { return };
        match authorize(&mut publication, client) {
            Ok(publication) => {
                self.pass_on(publication, slot, publisher.as_ref(), None, turn);
            }
            Err(_) => self.count(Metric::DroppedDenied),
        }
    }

    /// Deletes a session with all its state [MQTT-4.1.0-2]; its connection is gone already.
    pub(super) fn end_session(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.publish_will(slot, turn);
        let Some(mut session) = self.sessions.get_mut(slot as usize).and_then(Option::take) else { return };
        let number = session.address.number;
        self.count(Metric::SessionsEnded);
        session.hold_nothing(&mut self.counts);
        if let Some(at) = session.seldom.get().ends_at {
            self.timers.disarm(at, Timer::SessionExpiry(slot, number));
        }
        turn.shared.directory.release(&session.publisher.client_id, session.address);
        if session.stored {
            self.delete_record(&session);
        }
        let subscriptions = std::mem::take(&mut session.subscriptions);
        turn.shared.unsubscribe_all(subscriptions.own(), Destination::Session(session.address));
        for (_, group) in subscriptions.groups() {
            if let Some(membership) = session.memberships.remove(group) {
                self.leave_group(membership, turn);
            }
        }
        let unread = session.queue.take_stubs();
        // QoS 1 messages of shared subscriptions go to other members, QoS 2 ones to nobody [MQTT-4.8.2-5].
        let (mut homeless, mut sent) = (Vec::new(), Vec::new());
        let stored = session.stored;
        let mut lost = session.outgoing.bare() as u64 + unread.len() as u64;
        self.spill.leave(unread);
        let in_flight = session.outgoing.extract_if(|_, _, _| true).into_iter();
        let in_flight = in_flight.filter_map(|(packet_id, qos, flight)| {
            let delivery = flight?.delivery;
            let copy = delivery.as_ref().and_then(|delivery| delivery.copy());
            if qos == QoS::ExactlyOnce && copy.is_some() && !stored {
                sent.push(packet_id);
            }
            Some((true, delivery.map(|delivery| *delivery)))
        });
        let queued = std::iter::from_fn(|| session.queue.pop()).map(|delivery| (false, Some(delivery)));
        for (was_sent, delivery) in in_flight.chain(queued) {
            match delivery {
                Some(delivery)
                    if delivery.group().is_some() && !(was_sent && delivery.qos == QoS::ExactlyOnce) =>
                {
                    homeless.push(delivery);
                }
                delivery => {
                    lost += 1;
                    if let Some(delivery) = delivery {
                        self.settle(&delivery, Done::Elsewhere);
                    }
                }
            }
        }
        for packet_id in sent {
            self.persist_lazily(Operation::DeleteOutgoing { session: number, packet_id });
        }
        self.counts.add(Metric::DroppedSessionEnded, lost);
        self.replay_ended(slot);
        self.free_sessions.push(slot);
        self.rehome(homeless, turn);
    }

    /// Takes a session and all that belongs to it alone out of the store.
    pub(super) fn delete_record(&mut self, session: &Session) {
        let number = session.address.number;
        self.persist_lazily(Operation::DeleteSession(number));
        let shared = session.subscriptions.groups().map(|(filter, _)| filter.into());
        for filter in session.subscriptions.own().chain(shared) {
            self.persist_lazily(Operation::DeleteSubscription { session: number, filter: filter.into() });
        }
        for (packet_id, _) in session.incoming.iter() {
            self.persist_lazily(Operation::DeleteIncoming { session: number, packet_id });
        }
        for (packet_id, qos, _) in session.outgoing.iter() {
            if qos == QoS::ExactlyOnce {
                self.persist_lazily(Operation::DeleteOutgoing { session: number, packet_id });
            }
        }
        if session.seldom.get().cursor.is_some() {
            self.persist_lazily(Operation::DeleteCursor(number));
        }
    }
}

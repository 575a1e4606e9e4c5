//! A shard from what was stored: everything acknowledged, as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::packet::SubscriptionOptions;
use noctule_protocol::{PacketId, QoS, SubscriptionFilter};

use super::{Shard, Turn};
use crate::Effect;
use crate::message::{Copies, Message, Publisher, RetainedMessage, Sequence, SessionNumber};
use crate::now::Now;
use crate::record::{Operation, Recipient, Record, RecordError, SessionRecord, Table};
use crate::router::SessionAddress;
use crate::session::{Delivery, Flight, NEVER, Queued, Session};
use crate::shared::Shared;
use crate::timer::Timer;

/// Why a stored broker cannot be brought back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// A row cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A row's filter is none.
    #[error("a stored subscription of session {session} has a filter that is none")]
    Filter {
        /// Whose.
        session: u64,
    },
}

/// What is read before it can be put together.
#[derive(Default)]
struct Found {
    slots: HashMap<SessionNumber, u32>,
    messages: BTreeMap<Sequence, Message>,
    recipients: BTreeMap<Sequence, Vec<Recipient>>,
    /// How many copies the record's list has.
    listed: BTreeMap<Sequence, u32>,
    sent: BTreeMap<(Sequence, u32), PacketId>,
    acknowledged: BTreeSet<(Sequence, u32)>,
    source: u32,
}

impl Shard {
    /// Fills an empty shard from stored rows. Rows must come in the order of [`Table::ALL`], within a table
    /// in key order. What the wall clock says has expired meanwhile is due at the next
    /// [`Input::TimedOut`](crate::Input::TimedOut); changes that follow from restoring are handed out by the
    /// next [`end_turn`](Self::end_turn).
    pub fn restore(
        &mut self,
        shared: &Shared,
        rows: impl IntoIterator<Item = (Table, Vec<u8>, Vec<u8>)>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(), RestoreError> {
        let turn = &mut Turn { shared, now, effects };
        let mut found = Found::default();
        for (table, key, value) in rows {
            self.restore_row(Record::decode(table, &key, &value)?, &mut found, turn)?;
        }
        self.restore_messages(&mut found, turn);
        // A new source, later than all before it, keeps the order of messages.
        self.sequence.source = self.sequence.source.max(found.source.saturating_add(1));
        Ok(())
    }

    fn restore_row(
        &mut self,
        record: Record,
        found: &mut Found,
        turn: &mut Turn<'_>,
    ) -> Result<(), RestoreError> {
        match record {
            Record::Session(record) => {
                let number = record.number;
                found.slots.insert(number, self.restore_session(record, turn));
            }
            Record::Subscription { session, filter, options, identifier } => {
                if let Some(&slot) = found.slots.get(&session) {
                    self.restore_subscription(slot, &filter, options, identifier, turn)?;
                } else {
                    // Its session ended; the row is swept out here.
                    self.persist_lazily(Operation::DeleteSubscription { session, filter });
                }
            }
            Record::Released { session, packet_id } => match self.restored_session(session, found) {
                Some(session) => session.outgoing.begin_released(packet_id),
                None => self.persist_lazily(Operation::DeleteReleased { session, packet_id }),
            },
            Record::Incoming { session, packet_id, message } => {
                found.source = found.source.max(message.sequence().source);
                match self.restored_session(session, found) {
                    Some(session) => {
                        session.incoming_bytes += message.payload_bytes();
                        session.incoming.publish(packet_id, message);
                    }
                    None => self.persist_lazily(Operation::DeleteIncoming { session, packet_id }),
                }
            }
            Record::Retained { message, publisher } => {
                found.source = found.source.max(message.sequence().source);
                self.keep_retained(RetainedMessage { message, publisher }, turn);
            }
            Record::Message(message) => {
                found.source = found.source.max(message.sequence().source);
                found.messages.insert(message.sequence(), message);
            }
            Record::Delivery { sequence, recipients } => {
                found.listed.insert(sequence, copies(&recipients));
                found.recipients.entry(sequence).or_default().extend(recipients);
            }
            Record::Recipient { sequence, recipient } => {
                found.recipients.entry(sequence).or_default().push(recipient);
            }
            Record::State { sequence, copy, sent: Some(packet_id) } => {
                found.sent.insert((sequence, copy), packet_id);
            }
            Record::State { sequence, copy, sent: None } => {
                found.acknowledged.insert((sequence, copy));
            }
        }
        Ok(())
    }

    fn restored_session(&mut self, number: SessionNumber, found: &Found) -> Option<&mut Session> {
        self.session_mut(*found.slots.get(&number)?)
    }

    fn restore_session(&mut self, record: SessionRecord, turn: &mut Turn<'_>) -> u32 {
        let SessionRecord { number, client_id, user_name, expiry, disconnected_at, will } = record;
        turn.shared.session_numbers_taken(number);
        self.sessions.push(None);
        let slot = (self.sessions.len() - 1) as u32;
        let address = SessionAddress { slot, number };
        let publisher = Publisher { client_id: Arc::clone(&client_id), user_name };
        let mut session = Session::new(address, publisher, u16::MAX);
        let (wall, monotonic) = (turn.now.wall, turn.now.monotonic);
        // A connection that the crash cut ended now.
        let was_connected = disconnected_at.is_none();
        let disconnected_at = disconnected_at.unwrap_or(wall);
        let absent = wall.saturating_sub(disconnected_at);
        session.expiry = expiry;
        session.stored = true;
        session.disconnected_at = Some(disconnected_at.into());
        if expiry != NEVER {
            let at = monotonic + Duration::from_secs(expiry.into()).saturating_sub(absent);
            self.timers.arm(at, Timer::SessionExpiry(slot, number));
            session.ends_at = Some(at.into());
        }
        if let Some(will) = &will {
            let at = monotonic + will.delay.saturating_sub(absent);
            self.timers.arm(at, Timer::WillDelay(slot, number));
            session.will_at = Some(at.into());
        }
        session.will = will.map(Box::new);
        if was_connected {
            // Or it would end anew with every crash.
            self.persist_lazily(Operation::PutSession(session.record()));
        }
        self.sessions[slot as usize] = Some(Box::new(session));
        turn.shared.directory().insert(client_id, address);
        slot
    }

    fn restore_subscription(
        &mut self,
        slot: u32,
        filter: &str,
        options: SubscriptionOptions,
        identifier: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), RestoreError> {
        let Some(address) = self.session(slot).map(|session| session.address) else { return Ok(()) };
        let parsed = SubscriptionFilter::parse(filter)
            .map_err(|_| RestoreError::Filter { session: address.number.0 })?;
        self.enter_subscription(address, parsed, options, identifier, turn);
        Ok(())
    }

    /// Puts messages back where they waited, in their order.
    fn restore_messages(&mut self, found: &mut Found, turn: &mut Turn<'_>) {
        for (sequence, message) in std::mem::take(&mut found.messages) {
            let recipients = found.recipients.remove(&sequence).unwrap_or_default();
            let listed = found.listed.remove(&sequence).unwrap_or_default();
            let made = copies(&recipients);
            let open: Vec<&Recipient> = recipients
                .iter()
                .filter(|recipient| !found.acknowledged.contains(&(sequence, recipient.copy)))
                .filter(|recipient| found.slots.contains_key(&recipient.session))
                .collect();
            if open.is_empty() {
                for copy in listed..made {
                    self.persist_lazily(Operation::DeleteRecipient { sequence, copy });
                }
                self.persist_lazily(Operation::DeleteMessage { sequence, copies: listed });
                continue;
            }
            // If it is retained too, that is the same message: its copies are counted in one place.
            let retained = turn.shared.retained().get(message.topic()).map(|kept| kept.message.clone());
            let message = retained.filter(|kept| kept.sequence() == sequence).unwrap_or(message);
            message.restore_copies(Copies { open: open.len() as u32, made, listed });
            for recipient in open {
                let sent = found.sent.get(&(sequence, recipient.copy)).copied();
                self.restore_delivery(found.slots[&recipient.session], &message, recipient, sent);
            }
        }
    }

    fn restore_delivery(
        &mut self,
        slot: u32,
        message: &Message,
        recipient: &Recipient,
        sent: Option<PacketId>,
    ) {
        let Self { sessions, groups, .. } = self;
        let Some(Some(session)) = sessions.get_mut(slot as usize) else { return };
        let &Recipient { copy, qos, retain, ref identifiers, .. } = recipient;
        let group = recipient.group.as_deref().and_then(|filter| groups.find(filter));
        let mut delivery =
            Delivery::new(message.clone(), qos, retain, Queued::Limited).through(identifiers, group);
        delivery.set_copy(Some(copy));
        match sent {
            Some(packet_id) if recipient.qos == QoS::ExactlyOnce => {
                session.flight_bytes += message.payload_bytes();
                session.outgoing.begin_with(packet_id, recipient.qos, Flight::kept(delivery));
            }
            Some(_) | None => session.queue.push(delivery),
        }
    }
}

/// How many copies there must have been.
fn copies(recipients: &[Recipient]) -> u32 {
    recipients.iter().map(|recipient| recipient.copy.saturating_add(1)).max().unwrap_or(0)
}

//! Shards from what was stored: everything acknowledged, as it was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_protocol::{PacketId, QoS, SubscriptionFilter};

use super::{Shard, Turn};
use crate::Effect;
use crate::directory::Claim;
use crate::message::{Message, Sequence, SessionNumber};
use crate::now::Now;
use crate::record::{
    Cursor, Exchange, Operation, ReadError, Recipient, Record, Rows, SessionRecord, Table, for_each,
};
use crate::router::SessionAddress;
use crate::session::{ClientNames, Delivery, Flight, Membership, NEVER, Queued, Session};
use crate::shared::Shared;
use crate::timer::Timer;

mod messages;
mod retained;

use messages::restore_messages;
pub use retained::{LoadedPart, RetainedLoad};

/// Why a stored broker cannot be brought back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// A row cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row's filter is none.
    #[error("a stored subscription of session {session} has a filter that is none")]
    Filter {
        /// Whose.
        session: u64,
    },
}

/// What a start found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// Sessions that last.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Messages that wait for somebody, and such that wait for their PUBREL.
    pub messages: u64,
}

/// What is read before it can be put together.
#[derive(Default)]
struct Found {
    addresses: HashMap<SessionNumber, SessionAddress>,
    /// By Client Identifier: a session that ended while another shard made its successor may have left its rows.
    by_client: HashMap<Arc<str>, SessionNumber>,
    /// Of messages with a list.
    sources: HashSet<u32>,
    cursors: BTreeMap<SessionNumber, Cursor>,
    /// QoS 2 copies that were sent.
    sent: BTreeMap<(Sequence, u32), (SessionNumber, PacketId)>,
    /// The highest source, and the highest counter of any.
    last: Sequence,
    counted: Restored,
}

impl Found {
    fn note(&mut self, sequence: Sequence) {
        self.last.source = self.last.source.max(sequence.source);
        self.last.counter = self.last.counter.max(sequence.counter);
    }
}

impl Shard {
    /// Fills the empty shards of a broker from stored rows, dealing sessions evenly. Of what waits for sessions only the
    /// places are kept; the messages are read when their turn comes. What is retained is to be read afterwards. What the wall clock says has expired meanwhile is due
    /// at the next [`Input::TimedOut`](crate::Input::TimedOut); changes that follow from restoring, and what shards have
    /// for each other, are handed out by the next [`end_turn`](Self::end_turn) of each.
    pub fn restore(
        shards: &mut [Self],
        shared: &Shared,
        rows: &dyn Rows,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Result<(Restored, RetainedLoad), RestoreError> {
        let load = RetainedLoad::begin(shared);
        let turn = &mut Turn { shared, now, effects };
        let mut found = Found::default();
        let mut next = 0;
        for table in Table::ALL {
            if matches!(table, Table::Message | Table::Delivery | Table::Retained) {
                continue;
            }
            for_each(rows, table, |record| {
                if let Record::Session(_) = record {
                    next = (next + 1) % shards.len().max(1);
                }
                let Restored { sessions, subscriptions, messages } = &mut found.counted;
                match record {
                    Record::Session(_) => *sessions += 1,
                    Record::Subscription { .. } => *subscriptions += 1,
                    Record::Incoming { .. } => *messages += 1,
                    _ => {}
                }
                restore_row(shards, next, record, &mut found, turn)
            })?;
            if table == Table::Subscription {
                // Groups must know their members before there is anything for them.
                exchange_mail(shards, turn);
            }
        }
        restore_messages(shards, rows, &mut found, turn)?;
        // New sources, and numbers that are higher than all before them, though the clock went back.
        let first = shards.iter().map(|shard| shard.sequence.source).min().unwrap_or(0);
        let first = first.max(found.last.source.saturating_add(1));
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let start = nanoseconds(now.wall).max(found.last.counter.saturating_add(1));
        for (shard, source) in shards.iter_mut().zip(first..) {
            shard.sequence = Sequence { source, counter: start };
            shard.sequence_base = start.saturating_sub(nanoseconds(now.monotonic));
        }
        for shard in shards {
            (0..shard.sessions.len() as u32).for_each(|slot| shard.recount(slot));
        }
        Ok((found.counted, load))
    }

    /// An exchange of which only PUBREL and PUBCOMP are left.
    fn restore_released(
        &mut self,
        address: Option<SessionAddress>,
        session: SessionNumber,
        packet_id: PacketId,
    ) {
        match self.restored_session(address) {
            Some(session) => session.outgoing.begin_released(packet_id),
            None => self.persist_lazily(Operation::DeleteOutgoing { session, packet_id }),
        }
    }

    fn restored_session(&mut self, address: Option<SessionAddress>) -> Option<&mut Session> {
        self.session_mut(address?.slot)
    }

    fn restore_session(&mut self, record: SessionRecord, turn: &mut Turn<'_>) -> SessionAddress {
        let SessionRecord { number, client_id, user_name, expiry, disconnected_at, will } = record;
        let expiry = self.limit_expiry(expiry);
        let slot = self.free_slot();
        let address = SessionAddress { shard: self.index, slot, number };
        let publisher = ClientNames { client_id: Arc::clone(&client_id), user_name };
        let mut session = Session::new(address, publisher, u16::MAX);
        let (wall, monotonic) = (turn.now.wall, turn.now.monotonic);
        // A connection that the crash cut ended now.
        let was_connected = disconnected_at.is_none();
        let disconnected_at = disconnected_at.unwrap_or(wall);
        let absent = wall.saturating_sub(disconnected_at);
        session.expiry = expiry;
        session.stored = true;
        session.seldom.change(|things| things.disconnected_at = Some(disconnected_at.into()));
        if expiry != NEVER {
            let at = monotonic + Duration::from_secs(expiry.into()).saturating_sub(absent);
            self.timers.arm(at, Timer::SessionExpiry(slot, number));
            session.seldom.change(|things| things.ends_at = Some(at.into()));
        }
        if let Some(will) = &will {
            let at = monotonic + will.delay.saturating_sub(absent);
            self.timers.arm(at, Timer::WillDelay(slot, number));
            session.seldom.change(|things| things.will_at = Some(at.into()));
        }
        if will.is_some() {
            session.seldom.change(|things| things.will = will.map(Box::new));
        }
        if was_connected {
            // Or it would end anew with every crash.
            self.persist_lazily(Operation::PutSession(session.record()));
        }
        self.sessions[slot as usize] = Some(Box::new(session));
        // A Client Identifier is stored once; if not, the youngest session has it.
        while let Claim::Known(older) = turn.shared.directory.claim(&client_id, address) {
            turn.shared.directory.release(&client_id, older);
        }
        address
    }

    fn restore_subscription(
        &mut self,
        address: SessionAddress,
        filter: &str,
        options: SubscriptionOptions,
        identifier: u32,
        turn: &mut Turn<'_>,
    ) -> Result<(), RestoreError> {
        let parsed = SubscriptionFilter::parse(filter)
            .map_err(|_| RestoreError::Filter { session: address.number.0 })?;
        // What was retained for it has been sent, or stands in its queue.
        let retain_handling = RetainHandling::DoNotSend;
        self.enter_subscription(address, parsed, options, identifier, retain_handling, turn);
        Ok(())
    }

    /// Gives the shared subscription it came through.
    fn restore_delivery(
        &mut self,
        slot: u32,
        message: &Message,
        recipient: &Recipient,
        sent: Option<PacketId>,
    ) -> Option<Arc<Membership>> {
        let session = self.session_mut(slot)?;
        let &Recipient { copy, qos, retain, ref identifiers, .. } = recipient;
        let group = recipient.group.as_deref().and_then(|filter| session.membership(filter)).cloned();
        let mut delivery =
            Delivery::new(message.clone(), qos, retain, Queued::Limited).through(identifiers, group.as_ref());
        delivery.set_copy(Some(copy));
        match sent {
            Some(packet_id) if recipient.qos == QoS::ExactlyOnce => {
                session.flight_bytes += message.payload_bytes();
                session.outgoing.begin_with(packet_id, recipient.qos, Flight::kept(delivery));
            }
            Some(_) | None => session.queue.push(delivery),
        }
        group
    }
}

/// `next` is the shard that gets the next session.
fn restore_row(
    shards: &mut [Shard],
    next: usize,
    record: Record,
    found: &mut Found,
    turn: &mut Turn<'_>,
) -> Result<(), RestoreError> {
    // A row can outlive its session, or have been stored before it. Nobody may get that number, and what is there for it.
    if let Some(number) = record.last_session() {
        turn.shared.session_numbers_taken(number);
    }
    // Where the rows of a session go; what belongs to none is swept out by the first shard.
    let place = |session: &SessionNumber| {
        let address = found.addresses.get(session).copied();
        (address.map_or(0, |address| address.shard.get()), address)
    };
    match record {
        Record::Session(record) => {
            let (number, client) = (record.number, Arc::clone(&record.client_id));
            if let Some(older) = found.by_client.insert(client, number)
                && let Some(address) = found.addresses.remove(&older)
            {
                shards[address.shard.get()].end_session(address.slot, turn);
            }
            found.addresses.insert(number, shards[next].restore_session(record, turn));
        }
        Record::Subscription { session, filter, options, identifier } => match place(&session) {
            (shard, Some(address)) => {
                shards[shard].restore_subscription(address, &filter, options, identifier, turn)?;
            }
            // Its session ended; the row is swept out here.
            (shard, None) => {
                shards[shard].persist_lazily(Operation::DeleteSubscription { session, filter });
            }
        },
        Record::Outgoing { session, packet_id, exchange: Exchange::Sent { sequence, copy } } => {
            found.sent.insert((sequence, copy), (session, packet_id));
        }
        Record::Outgoing { session, packet_id, exchange: Exchange::Released } => {
            let (shard, address) = place(&session);
            shards[shard].restore_released(address, session, packet_id);
        }
        Record::Incoming { session, packet_id, message } => {
            let (shard, address) = place(&session);
            match shards[shard].restored_session(address) {
                Some(session) => {
                    session.incoming_bytes += message.payload_bytes();
                    session.incoming.publish(packet_id, message.clone());
                }
                None => shards[shard].persist_lazily(Operation::DeleteIncoming { session, packet_id }),
            }
            found.note(message.sequence());
        }
        Record::Cursor { session, cursor } => {
            // What it says of a source must not hide what comes later, though nothing else be left of that source.
            for track in cursor.tracks() {
                let last = track.runs.last().map_or(track.mark, |(_, to)| *to);
                found.note(Sequence { source: track.lane.source, counter: last.counter });
            }
            found.cursors.insert(session, cursor);
        }
        // They are read in another order.
        Record::Message(_) | Record::List { .. } | Record::Recipient { .. } | Record::Retained { .. } => {}
    }
    Ok(())
}

/// Passes on what shards have for each other, until they have nothing.
fn exchange_mail(shards: &mut [Shard], turn: &mut Turn<'_>) {
    loop {
        let mut parcels = Vec::new();
        for shard in shards.iter_mut() {
            shard.mail.hand_out(&mut parcels);
        }
        for shard in shards.iter_mut() {
            shard.read_mail(turn);
        }
        if parcels.is_empty() && !shards.iter().any(Shard::has_work) {
            return;
        }
        for effect in parcels {
            if let Effect::Send { to, parcel } = effect {
                shards[to.get()].receive(parcel, turn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageView;
    use crate::parcel::ShardIndex;
    use crate::record::{List, Stored};
    use crate::session::Identifiers;
    use crate::settings::Settings;

    #[test]
    fn the_number_of_a_session_that_is_gone_is_not_given_to_another() {
        let view = MessageView {
            topic: "t",
            payload: b"x",
            properties: &[],
            qos: QoS::AtLeastOnce,
            retain: false,
            expires: None,
            publisher: SessionNumber(2),
        };
        let message = view.to_message(Sequence { source: 1, counter: 1 });
        let recipient = |copy, number| Recipient {
            copy,
            session: SessionNumber(number),
            qos: QoS::AtLeastOnce,
            retain: false,
            identifiers: Identifiers::default(),
            group: None,
        };
        let recipients = vec![recipient(0, 3), recipient(1, 7)];
        let mut rows = Stored::default();
        Operation::PutMessage { message, recipients, list: Some(List::Prompt) }
            .changes(|change| rows.change(change));
        let settings = Arc::new(Settings::default());
        let shared = Shared::new(&settings);
        let mut shards = [Shard::new(settings, ShardIndex(0), 1, 1)];
        Shard::restore(&mut shards, &shared, &rows, Now::default(), &mut Vec::new()).expect("rows");
        assert_eq!(shared.next_session_number(), SessionNumber(8));
    }
}

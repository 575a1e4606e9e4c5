//! Messages, back where they waited.

use noctule_protocol::{PacketId, QoS};

use super::{Found, RestoreError};
use crate::message::{Copies, Message, Publication, SHARED_COPY, Sequence};
use crate::metric::Metric;
use crate::record::{
    Lane, List, Operation, Place, ReadError, Recipient, Rows, Waiting, for_each_waiting, read_message,
};
use crate::session::Stub;
use crate::shard::cursors::Done;
use crate::shard::deliver::Recording;
use crate::shard::{Shard, Turn};

impl Found {
    /// What cursors say of sources of which no list is left need not be known any more.
    fn forget_old_sources(&mut self, shards: &mut [Shard]) {
        let Self { sources, addresses, .. } = self;
        self.cursors.retain(|session, cursor| {
            cursor.forget_all_but(sources);
            let address = addresses.get(session);
            let is_needed = address.is_some() && !cursor.is_empty();
            if !is_needed {
                let shard = address.map_or(0, |address| address.shard.get());
                shards[shard].persist_lazily(Operation::DeleteCursor(*session));
            }
            is_needed
        });
    }

    /// Whether somebody still waits for a copy.
    fn is_open(&self, waiting: &Waiting, recipient: &Recipient) -> bool {
        if let Some((lane, place)) = waiting.place(recipient)
            && let Some(cursor) = self.cursors.get(&recipient.session)
            && cursor.has(lane, place)
        {
            return false;
        }
        // A session that ended may have been the last who had it: another shard was to choose the next one.
        let is_for_group = recipient.group.is_some();
        // What was sent with QoS 2 to a member whose session is over goes to nobody [MQTT-4.8.2-5].
        let was_sent = || recipient.qos == QoS::ExactlyOnce && self.was_sent(waiting, recipient);
        self.addresses.contains_key(&recipient.session) || is_for_group && !was_sent()
    }

    fn was_sent(&self, waiting: &Waiting, recipient: &Recipient) -> bool {
        self.sent.contains_key(&(waiting.sequence, recipient.copy))
    }

    /// Under which identifier a copy was sent, if it was with QoS 2: then it is in flight before what waits.
    fn take_sent(&mut self, waiting: &Waiting, recipient: &Recipient) -> Option<PacketId> {
        let (_, packet_id) = self.sent.remove(&(waiting.sequence, recipient.copy))?;
        if let Some((lane, place)) = waiting.place(recipient) {
            self.cursors.entry(recipient.session).or_default().set_apart(lane, place);
        }
        Some(packet_id)
    }
}

/// Puts messages back where they waited, in their order.
pub(super) fn restore_messages(
    shards: &mut [Shard],
    rows: &dyn Rows,
    found: &mut Found,
    turn: &mut Turn<'_>,
) -> Result<(), RestoreError> {
    for_each_waiting(rows, |waiting| restore_message(shards, rows, waiting, found, turn))?;
    found.forget_old_sources(shards);
    // The end of a message can overtake PUBREC which another shard had.
    for (session, packet_id) in std::mem::take(&mut found.sent).into_values() {
        let address = found.addresses.get(&session).copied();
        let shard = address.map_or(0, |address| address.shard.get());
        shards[shard].restore_released(address, session, packet_id);
    }
    for (session, cursor) in std::mem::take(&mut found.cursors) {
        if let Some(address) = found.addresses.get(&session) {
            shards[address.shard.get()].restore_cursor(address.slot, cursor);
        }
    }
    Ok(())
}

impl Waiting {
    fn list_of(&self, recipient: &Recipient) -> Option<List> {
        if recipient.copy & SHARED_COPY == 0 { self.list } else { None }
    }

    /// Where a copy stands, if that is in the list.
    fn place(&self, recipient: &Recipient) -> Option<(Lane, Place)> {
        let Sequence { source, counter } = self.sequence;
        let list = self.list_of(recipient)?;
        Some((Lane { source, list }, Place { counter, copy: recipient.copy }))
    }

    /// Whether one can wait without its message being in memory: what is in flight, and what others may take, must be at
    /// hand; and a message that others had may be gone.
    fn may_stay_on_disk(&self, recipient: &Recipient) -> bool {
        let is_alone = self.list.is_none() && self.payload_bytes.is_some();
        recipient.group.is_none() && (is_alone || self.list_of(recipient).is_some())
    }
}

fn restore_message(
    shards: &mut [Shard],
    rows: &dyn Rows,
    waiting: Waiting,
    found: &mut Found,
    turn: &mut Turn<'_>,
) -> Result<(), RestoreError> {
    let &Waiting { sequence, list, payload_bytes, ref recipients } = &waiting;
    found.note(sequence);
    if let Some(number) = recipients.iter().map(|recipient| recipient.session).max() {
        turn.shared.session_numbers_taken(number);
    }
    if list.is_some() {
        found.sources.insert(sequence.source);
    }
    let (open, over): (Vec<&Recipient>, Vec<_>) =
        recipients.iter().partition(|recipient| found.is_open(&waiting, recipient));
    // Those that are not listed do not go with the message.
    let sweep = |shard: &mut Shard, recipient: &Recipient| {
        if waiting.list_of(recipient).is_none() {
            shard.persist_lazily(Operation::DeleteRecipient { sequence, copy: recipient.copy });
        }
    };
    over.into_iter().for_each(|recipient| sweep(&mut shards[0], recipient));
    if open.is_empty() {
        shards[0].persist_lazily(Operation::DeleteMessage { sequence, has_list: list.is_some() });
        return Ok(());
    }
    let on_disk = |found: &Found, recipient: &Recipient| {
        waiting.may_stay_on_disk(recipient) && !found.was_sent(&waiting, recipient)
    };
    let stubs = open.iter().filter(|recipient| on_disk(found, recipient)).count();
    let is_alone = list.is_none() && payload_bytes.is_some();
    let message = if stubs < open.len() {
        match read_message(rows, sequence) {
            Ok(message) => Some(message),
            // The end of a message can overtake that of a copy which another shard had.
            Err(ReadError::Missing { .. }) if list.is_none() => {
                open.into_iter().for_each(|recipient| sweep(&mut shards[0], recipient));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        None
    };
    found.counted.messages += 1;
    let count = open.len() as u32;
    match &message {
        Some(message) => {
            message.restore_copies(Copies { open: count, made: copies(recipients), list });
            if stubs > 0 {
                turn.shared.unloaded.found_present(message, stubs as u32);
            }
        }
        None if is_alone => {}
        None => turn.shared.unloaded.found(sequence, count, list),
    }
    for recipient in open {
        let address = found.addresses.get(&recipient.session).copied();
        match (address, &message) {
            (Some(address), _) if on_disk(found, recipient) => {
                let Some(session) = shards[address.shard.get()].session_mut(address.slot) else { continue };
                let stub = Stub {
                    sequence,
                    copy: recipient.copy,
                    qos: recipient.qos,
                    retain: recipient.retain,
                    has_identifiers: !recipient.identifiers.is_empty(),
                    is_only: is_alone,
                };
                session.queue.push_stub(stub, payload_bytes.unwrap_or_default() as usize);
            }
            (Some(address), Some(message)) => {
                let sent = found.take_sent(&waiting, recipient);
                let shard = &mut shards[address.shard.get()];
                let through = shard.restore_delivery(address.slot, message, recipient, sent);
                if let Some(membership) = through.filter(|through| through.group.shard != address.shard) {
                    shards[membership.group.shard.get()].member_has(&membership);
                }
            }
            (None, Some(message)) => restore_to_group(shards, message, recipient, turn),
            (_, None) => {}
        }
    }
    Ok(())
}

/// A message that waits for whichever member of a group takes it.
fn restore_to_group(shards: &mut [Shard], message: &Message, recipient: &Recipient, turn: &mut Turn<'_>) {
    let filter = recipient.group.as_deref().unwrap_or_default();
    let owner = turn.shared.group(filter);
    let shard = owner.map_or(0, |group| group.shard.get());
    let mut publication = Publication::kept(message);
    let recording = Recording::Made(Some(recipient.copy));
    match owner {
        Some(group) => shards[shard].deliver_to_group(group, &mut publication, recording, turn),
        // Its members ended with the broker.
        None => {
            shards[shard].count(Metric::DroppedNoMember);
            shards[shard].settle_copy(message, Some(recipient.copy), Done::Elsewhere);
        }
    }
}

/// How many copies there must have been.
fn copies(recipients: &[Recipient]) -> u32 {
    recipients.iter().map(|recipient| (recipient.copy & !SHARED_COPY).saturating_add(1)).max().unwrap_or(0)
}

//! Messages that wait for their turn to be sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use noctule_protocol::QoS;
use noctule_protocol::packet::SubscriptionOptions;

use crate::message::Message;
use crate::retained::Version;
use crate::session::pieces::Pieces;
use crate::session::{Identifiers, Membership};
use crate::settings::Settings;

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

/// The rest of what is retained for a new subscription: too much to be queued at once, so it stands in line
/// itself and is taken up when all before it has gone.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Topic Filter.
    pub(crate) filter: Arc<str>,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, 0 for none.
    pub(crate) identifier: u32,
    /// The newest version when it began: what was retained later comes live.
    pub(crate) since: Version,
    /// Where to go on.
    pub(crate) from: Option<String>,
}

/// Replays in line. Places count up from the first entry of the queue as it was when the first replay came. A
/// client can put as many in line as it has subscriptions, so each is found without looking at the others.
#[derive(Debug, Default)]
struct Replays {
    /// Place of the queue's first entry.
    first: u64,
    /// In their order, each with the place it stands at: in front of the entry there.
    line: BTreeMap<i64, (u64, Replay)>,
    /// Where each filter's replay stands in `line`.
    by_filter: BTreeMap<Arc<str>, i64>,
}

impl Replays {
    fn push_back(&mut self, place: u64, replay: Replay) {
        let number = self.line.last_key_value().map_or(0, |(number, _)| number + 1);
        self.insert(number, place, replay);
    }

    fn push_front(&mut self, replay: Replay) {
        let number = self.line.first_key_value().map_or(0, |(number, _)| number - 1);
        self.insert(number, self.first, replay);
    }

    fn insert(&mut self, number: i64, place: u64, replay: Replay) {
        self.by_filter.insert(Arc::clone(&replay.filter), number);
        self.line.insert(number, (place, replay));
    }

    /// The replay in front of the queue's first entry.
    fn pop(&mut self) -> Option<Replay> {
        let front = self.line.first_entry().filter(|front| front.get().0 == self.first)?;
        let (_, replay) = front.remove();
        self.by_filter.remove(&replay.filter);
        Some(replay)
    }

    fn remove(&mut self, filter: &str) {
        if let Some(number) = self.by_filter.remove(filter) {
            self.line.remove(&number);
        }
    }
}

/// First in, first out. Most sessions have nothing in it, and then it is one pointer.
#[derive(Debug, Default)]
pub(crate) struct Queue(Option<Box<Line>>);

#[derive(Debug, Default)]
struct Line {
    entries: Pieces<Delivery>,
    replays: Option<Box<Replays>>,
    limited: usize,
    limited_bytes: usize,
    retained: usize,
    behind_bytes: usize,
    qos0: usize,
}

impl Queue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Messages that count against `max_queued_messages`.
    pub(crate) fn limited(&self) -> usize {
        self.0.as_ref().map_or(0, |line| line.limited)
    }

    /// Payload bytes that count against `max_queued_bytes`.
    pub(crate) fn limited_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |line| line.limited_bytes)
    }

    /// Retained messages among those that wait.
    pub(crate) fn retained(&self) -> usize {
        self.0.as_ref().map_or(0, |line| line.retained)
    }

    /// Whether live QoS 0 messages must stand in line, so as not to overtake older ones.
    #[inline]
    pub(crate) fn holds_back_qos0(&self) -> bool {
        let line = self.0.as_ref();
        line.is_some_and(|line| line.retained > 0 || line.qos0 > 0 || line.replays.is_some())
    }

    /// Mosquitto's rule: with a connection what waits, without one the whole of it, must be below each limit
    /// before the new message is taken. `in_flight` counts messages and payload bytes.
    pub(crate) fn admits(&self, settings: &Settings, connected: bool, in_flight: (usize, usize)) -> bool {
        let (messages, bytes) = if connected { (0, 0) } else { in_flight };
        let below = |value: usize, limit: usize| limit == 0 || value < limit;
        let limited_bytes = self.0.as_ref().map_or(0, |line| line.limited_bytes);
        below(self.limited() + messages, settings.max_queued_messages)
            && below(limited_bytes + bytes, settings.max_queued_bytes)
    }

    /// Whether one more QoS 0 message may stand behind retained ones.
    pub(crate) fn admits_behind(&self, settings: &Settings) -> bool {
        self.0.as_ref().map_or(0, |line| line.behind_bytes) < settings.outbox_bytes_max
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        let line = self.0.get_or_insert_default();
        line.account(&delivery, usize::wrapping_add);
        line.entries.push_back(delivery);
    }

    pub(crate) fn front(&self) -> Option<&Delivery> {
        self.0.as_ref()?.entries.front()
    }

    /// The delivery that came last.
    pub(crate) fn back(&self) -> Option<&Delivery> {
        self.0.as_ref()?.entries.back()
    }

    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        let line = self.0.as_mut()?;
        let delivery = line.entries.pop_front()?;
        line.account(&delivery, usize::wrapping_sub);
        if let Some(replays) = &mut line.replays {
            replays.first = replays.first.wrapping_add(1);
        }
        self.forget_if_empty();
        Some(delivery)
    }

    fn forget_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|line| line.entries.is_empty() && line.replays.is_none()) {
            self.0 = None;
        }
    }

    /// Puts the rest of a replay at the end of the line.
    pub(crate) fn push_replay(&mut self, replay: Replay) {
        let line = self.0.get_or_insert_default();
        let replays = line.replays.get_or_insert_default();
        replays.push_back(replays.first.wrapping_add(line.entries.len() as u64), replay);
    }

    /// Whether a replay stands in line.
    #[inline]
    pub(crate) fn has_replay(&self) -> bool {
        self.0.as_ref().is_some_and(|line| line.replays.is_some())
    }

    /// Takes the replay whose turn it is.
    #[inline]
    pub(crate) fn pop_replay(&mut self) -> Option<Replay> {
        if self.has_replay() { self.take_replay() } else { None }
    }

    #[inline(never)]
    fn take_replay(&mut self) -> Option<Replay> {
        let line = self.0.as_mut()?;
        let replay = line.replays.as_mut()?.pop();
        line.forget_empty_replays();
        self.forget_if_empty();
        replay
    }

    /// Puts a part of a replay in front of the line, and its rest behind that.
    pub(crate) fn push_front(&mut self, part: Vec<Delivery>, rest: Option<Replay>) {
        let line = self.0.get_or_insert_default();
        if let Some(rest) = rest {
            line.replays.get_or_insert_default().push_front(rest);
        }
        if let Some(replays) = &mut line.replays {
            replays.first = replays.first.wrapping_sub(part.len() as u64);
        }
        for delivery in part.into_iter().rev() {
            line.account(&delivery, usize::wrapping_add);
            line.entries.push_front(delivery);
        }
        self.forget_if_empty();
    }

    /// Drops what is left of a filter's replay: it begins again, or nobody wants it any more.
    pub(crate) fn drop_replay(&mut self, filter: &str) {
        let Some(line) = &mut self.0 else { return };
        if let Some(replays) = &mut line.replays {
            replays.remove(filter);
            line.forget_empty_replays();
            self.forget_if_empty();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.iter().flat_map(|line| line.entries.iter())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.0.iter_mut().flat_map(|line| line.entries.iter_mut())
    }

    /// Takes out what `wanted` picks, in order.
    pub(crate) fn extract(&mut self, wanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let taken = self.0.as_mut().map(|line| line.extract(wanted)).unwrap_or_default();
        self.forget_if_empty();
        taken
    }
}

impl Line {
    fn forget_empty_replays(&mut self) {
        if self.replays.as_ref().is_some_and(|replays| replays.line.is_empty()) {
            self.replays = None;
        }
    }

    fn extract(&mut self, mut wanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        let mut kept = Pieces::new();
        // How many are kept in front of each place.
        let mut kept_before = vec![0];
        for delivery in std::mem::take(&mut self.entries).into_entries() {
            if wanted(&delivery) {
                taken.push(delivery);
            } else {
                kept.push_back(delivery);
            }
            kept_before.push(kept.len() as u64);
        }
        self.entries = kept;
        if let Some(replays) = &mut self.replays {
            for (place, _) in replays.line.values_mut() {
                *place = replays.first.wrapping_add(kept_before[place.wrapping_sub(replays.first) as usize]);
            }
        }
        for delivery in &taken {
            self.account(delivery, usize::wrapping_sub);
        }
        taken
    }

    fn account(&mut self, delivery: &Delivery, change: impl Fn(usize, usize) -> usize) {
        let bytes = delivery.message.payload_bytes();
        if delivery.qos == QoS::AtMostOnce {
            self.qos0 = change(self.qos0, 1);
        }
        match delivery.kind {
            Queued::Limited => {
                self.limited = change(self.limited, 1);
                self.limited_bytes = change(self.limited_bytes, bytes);
            }
            Queued::Retained => self.retained = change(self.retained, 1),
            Queued::Behind => {
                let bytes = delivery.message.bytes() + size_of::<Delivery>();
                self.behind_bytes = change(self.behind_bytes, bytes);
            }
        }
    }
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
mod tests;

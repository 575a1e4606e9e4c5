//! Messages that wait for their turn to be sent.

use noctule_protocol::QoS;

use crate::message::Sequence;
use crate::session::delivery::{Delivery, Queued};
use crate::session::pieces::Pieces;
use crate::session::replays::{Replay, Replays};
use crate::session::tail::{First, Stub, Stubs};
use crate::settings::Settings;

/// First in, first out. Most sessions have nothing in it, and then it is one pointer.
#[derive(Debug, Default)]
pub(crate) struct Queue(Option<Box<Line>>);

#[derive(Debug, Default)]
struct Line {
    entries: Pieces<Delivery>,
    /// What stands behind these without being in memory.
    tail: Option<Box<Tail>>,
    replays: Option<Box<Replays>>,
    limited: usize,
    limited_bytes: usize,
    retained: usize,
    behind_bytes: usize,
    qos0: usize,
    /// Of topics, properties and payloads in memory.
    bytes: usize,
    /// Whether the shard has been told that more is in memory than should be.
    is_noted: bool,
    /// How many must be in memory before it is told so again.
    cut_from: usize,
}

/// What of a queue is not in memory, and what came behind that.
#[derive(Debug, Default)]
struct Tail {
    /// The first of them, taken off `stubs` to be read.
    next: Vec<Stub>,
    /// Whether they are being read.
    is_being_read: bool,
    stubs: Stubs,
    /// What came since the queue was last cut.
    fresh: Pieces<Delivery>,
}

impl QueueHead {
    /// Everything stays in memory.
    pub const ALL: Self = Self { messages: usize::MAX, bytes: usize::MAX };
}

impl Tail {
    fn len(&self) -> usize {
        self.next.len() + self.stubs.len() + self.fresh.len()
    }
}

/// How much of a queue may be in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueHead {
    /// So many messages,
    pub messages: usize,
    /// and so many bytes of topics, properties and payloads; one message may be longer.
    pub bytes: usize,
}

/// Where deliveries go that leave memory.
pub(crate) enum Place {
    /// To disk, where they are already.
    Disk(Stub),
    /// They stay in memory.
    Memory,
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
        match &mut line.tail {
            Some(tail) => tail.fresh.push_back(delivery),
            None => line.entries.push_back(delivery),
        }
    }

    /// Puts one at the end that is on disk only, with so long a payload.
    pub(crate) fn push_stub(&mut self, stub: Stub, payload_bytes: usize) {
        let line = self.0.get_or_insert_default();
        line.limited += 1;
        line.limited_bytes += payload_bytes;
        let Tail { stubs, fresh, .. } = &mut **line.tail.get_or_insert_default();
        std::mem::take(fresh).into_entries().for_each(|delivery| stubs.hold(delivery));
        stubs.push(stub);
    }

    /// Whether more is in memory than should be, for the first time since it was cut.
    #[inline]
    pub(crate) fn outgrew(&mut self, head: QueueHead) -> bool {
        let Some(line) = &mut self.0 else { return false };
        let is_long = line.tail.is_some() || line.entries.len() > head.messages || line.bytes > head.bytes;
        is_long && line.entries.len() >= line.cut_from && !std::mem::replace(&mut line.is_noted, true)
    }

    /// Sends to disk what `place` says may go there, but for what stands first.
    pub(crate) fn cut(&mut self, head: QueueHead, mut place: impl FnMut(&Delivery) -> Place) {
        let Some(line) = &mut self.0 else { return };
        line.is_noted = false;
        let bytes = &mut line.bytes;
        let mut away = |stubs: &mut Stubs, delivery: Delivery| match place(&delivery) {
            Place::Disk(stub) => {
                *bytes = bytes.wrapping_sub(delivery.message.content_bytes());
                stubs.push(stub);
            }
            Place::Memory => stubs.hold(delivery),
        };
        let has_next = line.tail.as_ref().is_some_and(|tail| !tail.next.is_empty());
        let mut sum = 0;
        let fits = |delivery: &&Delivery| {
            sum += delivery.message.content_bytes();
            sum <= head.bytes
        };
        let keep = line.entries.iter().take(head.messages).take_while(fits).count().max(1);
        if line.entries.len() > keep && !has_next {
            let mut stubs = Stubs::default();
            for (number, delivery) in std::mem::take(&mut line.entries).into_entries().enumerate() {
                if number < keep {
                    line.entries.push_back(delivery);
                } else {
                    away(&mut stubs, delivery);
                }
            }
            let tail = line.tail.get_or_insert_default();
            stubs.append(std::mem::take(&mut tail.stubs));
            tail.stubs = stubs;
        }
        if let Some(tail) = &mut line.tail {
            for delivery in std::mem::take(&mut tail.fresh).into_entries() {
                away(&mut tail.stubs, delivery);
            }
        }
        line.bring_forward();
        // What had to stay is not looked at again with each message that comes.
        let stayed = line.entries.len();
        line.cut_from = if line.tail.is_none() && stayed > keep { stayed * 2 } else { 0 };
    }

    /// What to read from disk next, up to `most`, when `low` deliveries or fewer are left in memory; empty if nothing, or
    /// while something is being read.
    pub(crate) fn next_to_read(&mut self, low: usize, most: usize) -> &[Stub] {
        let Some(line) = &mut self.0 else { return &[] };
        let count = line.entries.len();
        let Some(tail) = &mut line.tail else { return &[] };
        if count > low || tail.is_being_read {
            return &[];
        }
        while tail.next.len() < most
            && tail.stubs.begins_with_stub() == Some(true)
            && let Some(First::Stub(stub)) = tail.stubs.pop()
        {
            tail.next.push(stub);
        }
        tail.is_being_read = !tail.next.is_empty();
        &tail.next
    }

    /// What is being read; gives them for as many as were read, in order.
    pub(crate) fn take_read(&mut self, count: usize) -> Vec<Stub> {
        let Some(tail) = self.0.as_mut().and_then(|line| line.tail.as_mut()) else { return Vec::new() };
        if !std::mem::take(&mut tail.is_being_read) {
            return Vec::new();
        }
        tail.next.drain(..count.min(tail.next.len())).collect()
    }

    /// What [`take_read`](Self::take_read) gave is in memory now.
    pub(crate) fn load(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        let Some(line) = &mut self.0 else { return };
        for delivery in deliveries {
            line.bytes = line.bytes.wrapping_add(delivery.message.content_bytes());
            line.entries.push_back(delivery);
        }
        line.bring_forward();
        self.forget_if_empty();
    }

    /// Takes out what is on disk only: nobody will read it any more. What is in memory closes up.
    pub(crate) fn take_stubs(&mut self) -> Stubs {
        let mut taken = Stubs::default();
        let Some(line) = &mut self.0 else { return taken };
        let Some(tail) = line.tail.take() else { return taken };
        let Tail { next, mut stubs, fresh, .. } = *tail;
        next.into_iter().for_each(|stub| taken.push(stub));
        while let Some(first) = stubs.pop() {
            match first {
                First::Stub(stub) => taken.push(stub),
                First::Held(delivery) => line.entries.push_back(delivery),
            }
        }
        fresh.into_entries().for_each(|delivery| line.entries.push_back(delivery));
        self.forget_if_empty();
        taken
    }

    pub(crate) fn front(&self) -> Option<&Delivery> {
        self.0.as_ref()?.entries.front()
    }

    /// Which copy of which message came last, `None` for one that is not stored.
    pub(crate) fn last(&self) -> Option<(Sequence, Option<u32>)> {
        let line = self.0.as_ref()?;
        let of = |delivery: &Delivery| (delivery.message.sequence(), delivery.copy());
        let behind = || {
            let tail = line.tail.as_ref()?;
            let being_read = || tail.next.last().map(|stub| (stub.sequence, Some(stub.copy)));
            tail.fresh.back().map(of).or_else(|| tail.stubs.last()).or_else(being_read)
        };
        behind().or_else(|| line.entries.back().map(of))
    }

    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        let line = self.0.as_mut()?;
        let delivery = line.entries.pop_front()?;
        line.account(&delivery, usize::wrapping_sub);
        if let Some(replays) = &mut line.replays {
            replays.first = replays.first.wrapping_add(1);
        }
        if line.tail.is_some() {
            line.bring_forward();
        }
        self.forget_if_empty();
        Some(delivery)
    }

    fn forget_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|line| line.len() == 0 && line.replays.is_none()) {
            self.0 = None;
        }
    }

    /// Puts the rest of a replay at the end of the line.
    pub(crate) fn push_replay(&mut self, replay: Replay) {
        let line = self.0.get_or_insert_default();
        let len = line.len();
        let replays = line.replays.get_or_insert_default();
        let place = replays.first.wrapping_add(len as u64);
        replays.push_back(place, replay);
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

    /// Those in memory.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.0.iter().flat_map(|line| {
            let behind = line.tail.iter().flat_map(|tail| tail.stubs.held().chain(tail.fresh.iter()));
            line.entries.iter().chain(behind)
        })
    }

    /// Those in memory.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.0.iter_mut().flat_map(|line| {
            let Line { entries, tail, .. } = &mut **line;
            let behind = tail.iter_mut().flat_map(|tail| tail.stubs.held_mut().chain(tail.fresh.iter_mut()));
            entries.iter_mut().chain(behind)
        })
    }

    /// Takes out what `wanted` picks of those in memory, in order.
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
        let mut first = self.entries.len();
        let mut taken = sift(&mut self.entries, &mut wanted);
        if let Some(tail) = &mut self.tail {
            first += tail.next.len();
            let held = tail.stubs.len();
            taken.extend(tail.stubs.extract(&mut wanted).into_iter().map(|(at, held)| (first + at, held)));
            first += held;
            taken.extend(
                sift(&mut tail.fresh, &mut wanted).into_iter().map(|(at, fresh)| (first + at, fresh)),
            );
        }
        if let Some(replays) = &mut self.replays {
            for (place, _) in replays.line.values_mut() {
                let before = place.wrapping_sub(replays.first);
                let gone = taken.partition_point(|(at, _)| (*at as u64) < before);
                *place = place.wrapping_sub(gone as u64);
            }
        }
        let taken: Vec<Delivery> = taken.into_iter().map(|(_, delivery)| delivery).collect();
        for delivery in &taken {
            self.account(delivery, usize::wrapping_sub);
        }
        self.bring_forward();
        taken
    }

    /// All that stand in line, in memory or not.
    fn len(&self) -> usize {
        self.entries.len() + self.tail.as_ref().map_or(0, |tail| tail.len())
    }

    /// What is in memory and has nothing before it that is not, is not behind anything any more.
    fn bring_forward(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        if !tail.next.is_empty() {
            return;
        }
        while tail.stubs.begins_with_stub() == Some(false)
            && let Some(First::Held(delivery)) = tail.stubs.pop()
        {
            self.entries.push_back(delivery);
        }
        if tail.stubs.is_empty() {
            std::mem::take(&mut tail.fresh).into_entries().for_each(|fresh| self.entries.push_back(fresh));
            self.tail = None;
        }
    }

    fn account(&mut self, delivery: &Delivery, change: impl Fn(usize, usize) -> usize) {
        let bytes = delivery.message.payload_bytes();
        self.bytes = change(self.bytes, delivery.message.content_bytes());
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

/// Takes out what `wanted` picks, each with its place.
fn sift(entries: &mut Pieces<Delivery>, mut wanted: impl FnMut(&Delivery) -> bool) -> Vec<(usize, Delivery)> {
    let mut taken = Vec::new();
    let mut kept = Pieces::new();
    for (at, delivery) in std::mem::take(entries).into_entries().enumerate() {
        match wanted(&delivery) {
            true => taken.push((at, delivery)),
            false => kept.push_back(delivery),
        }
    }
    *entries = kept;
    taken
}

#[cfg(test)]
mod tests;

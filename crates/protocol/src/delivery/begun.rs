//! Exchanges that were begun, and their order.

use std::collections::{HashMap, VecDeque};

use super::packet_id_window::PacketIdWindow;
use super::taken_ids::TakenIds;
use crate::{PacketId, QoS};

/// The exchanges and their order.
#[derive(Clone, Debug)]
pub(super) struct Begun<M> {
    pub(super) exchanges: PacketIdWindow<Exchange>,
    /// What the exchanges carry until they are released. Apart, since most carry nothing, and a fan-out goes through the
    /// exchanges of many receivers.
    pub(super) messages: Option<Box<PacketIdWindow<M>>>,
    /// Which identifiers are in use, once looking for a free one took long.
    pub(super) taken: Option<Box<TakenIds>>,
    pub(super) on_wire: u32,
    /// How many exchanges were begun.
    pub(super) count: u32,
    /// `None` when nothing waits to be sent again.
    pub(super) again: Option<Box<Again>>,
}

/// What was interrupted, in order. The exchange of the first entry always waits to be sent again; one further back may
/// have ended meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Again {
    pub(super) publish: VecDeque<(u32, PacketId)>,
    pub(super) pubrel: VecDeque<(u32, PacketId)>,
}

/// Eight of them are a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// Counts what was begun: the order of sending.
    pub(super) number: u32,
    pub(super) awaits: Awaits,
    pub(super) on_wire: bool,
}

const _: () = assert!(size_of::<Option<Exchange>>() == 8);
// What leads there is one cache line.
const _: () = assert!(size_of::<Begun<u64>>() <= 64);

/// So many identifiers in use are passed over, one by one, until it is noted which are.
const PASSED_OVER_MAX: usize = 64;
/// With fewer in use the note is thrown away.
const NOTED_MIN: usize = PASSED_OVER_MAX / 2;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Awaits {
    Puback,
    Pubrec,
    Pubcomp,
}

impl Awaits {
    /// `None` for QoS 0, which has no exchange.
    #[inline]
    pub(super) const fn after(qos: QoS) -> Option<Self> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Self::Puback),
            QoS::ExactlyOnce => Some(Self::Pubrec),
        }
    }

    pub(super) const fn qos(self) -> QoS {
        match self {
            Self::Puback => QoS::AtLeastOnce,
            Self::Pubrec | Self::Pubcomp => QoS::ExactlyOnce,
        }
    }
}

impl<M> Default for Begun<M> {
    fn default() -> Self {
        Self {
            exchanges: PacketIdWindow::default(),
            messages: None,
            taken: None,
            on_wire: 0,
            count: 0,
            again: None,
        }
    }
}

impl<M> Begun<M> {
    #[inline]
    pub(super) fn has_room(&self, window: u16) -> bool {
        self.room(window) > 0
    }

    /// How many exchanges may begin.
    #[inline]
    pub(super) fn room(&self, window: u16) -> usize {
        if self.again.is_some() {
            return 0;
        }
        let identifiers = usize::from(u16::MAX).saturating_sub(self.exchanges.len());
        identifiers.min(u32::from(window).saturating_sub(self.on_wire) as usize)
    }

    /// Begins the next exchange of an ordinary sender; false if it is not that simple.
    #[inline]
    pub(super) fn append(&mut self, packet_id: PacketId, awaits: Awaits) -> bool {
        let exchange = Exchange { number: self.count, awaits, on_wire: true };
        let appended =
            self.taken.is_none() && self.count != u32::MAX && self.exchanges.append(packet_id, exchange);
        self.count += u32::from(appended);
        self.on_wire += u32::from(appended);
        appended
    }

    pub(super) fn insert(&mut self, packet_id: PacketId, awaits: Awaits, on_wire: bool) -> u32 {
        if self.count == u32::MAX {
            self.count_anew();
        }
        let number = self.count;
        self.count += 1;
        self.on_wire += u32::from(on_wire);
        if let Some(taken) = &mut self.taken {
            taken.insert(packet_id);
        }
        if let Some(replaced) = self.exchanges.insert(packet_id, Exchange { number, awaits, on_wire }) {
            self.on_wire -= u32::from(replaced.on_wire);
            self.take_message(packet_id);
            self.skip_settled();
        }
        number
    }

    /// The first identifier from this one on that no exchange uses.
    pub(super) fn first_free(&mut self, from: PacketId) -> Option<PacketId> {
        if self.taken.is_none() {
            let near = std::iter::successors(Some(from), |id| Some(id.next())).take(PASSED_OVER_MAX);
            for id in near {
                if !self.exchanges.contains(id) {
                    return Some(id);
                }
            }
        }
        let exchanges = &self.exchanges;
        let taken = self
            .taken
            .get_or_insert_with(|| Box::new(exchanges.iter().map(|(packet_id, _)| packet_id).collect()));
        taken.first_free(from)
    }

    /// Counts the exchanges from 0, in the same order: there are fewer than numbers.
    #[cold]
    pub(super) fn count_anew(&mut self) {
        let mut order: Vec<_> = self.exchanges.iter_mut().map(|(_, exchange)| &mut exchange.number).collect();
        order.sort_unstable();
        let mut renumbered = HashMap::with_capacity(order.len());
        self.count = 0;
        for number in order {
            renumbered.insert(*number, self.count);
            *number = self.count;
            self.count += 1;
        }
        if let Some(again) = &mut self.again {
            for queue in [&mut again.publish, &mut again.pubrel] {
                // What is not found has ended; the others keep their order.
                queue.retain_mut(|(number, _)| match renumbered.get(number) {
                    Some(new) => {
                        *number = *new;
                        true
                    }
                    None => false,
                });
            }
        }
    }

    pub(super) fn restore(&mut self, packet_id: PacketId, awaits: Awaits) {
        let number = self.insert(packet_id, awaits, false);
        let again = self.again.get_or_insert_default();
        let queue = if awaits == Awaits::Pubcomp { &mut again.pubrel } else { &mut again.publish };
        queue.push_back((number, packet_id));
    }

    /// Ends an exchange if `is_right` says so; gives its message, if it still has one.
    #[inline]
    pub(super) fn end(
        &mut self,
        packet_id: PacketId,
        is_right: impl Fn(&Exchange) -> bool,
    ) -> Option<Option<M>> {
        let exchange = self.exchanges.remove_if(packet_id, is_right)?;
        self.on_wire -= u32::from(exchange.on_wire);
        if self.taken.is_some() {
            self.note_free(packet_id);
        }
        let message = self.take_message(packet_id);
        self.skip_settled();
        Some(message)
    }

    #[inline]
    pub(super) fn take_message(&mut self, packet_id: PacketId) -> Option<M> {
        self.messages.as_mut()?.remove(packet_id)
    }

    pub(super) fn message(&self, packet_id: PacketId) -> Option<&M> {
        self.messages.as_ref()?.get(packet_id)
    }

    #[cold]
    pub(super) fn note_free(&mut self, packet_id: PacketId) {
        if self.exchanges.len() < NOTED_MIN {
            self.taken = None;
        } else if let Some(taken) = &mut self.taken {
            taken.remove(packet_id);
        }
    }

    /// Ends what would be next to be sent again, and cannot be.
    pub(super) fn forget_bare_in_front(&mut self) {
        while let Some(again) = &self.again
            && let Some(&(_, packet_id)) = again.publish.front()
            && self.message(packet_id).is_none()
        {
            self.end(packet_id, |_| true);
        }
    }

    pub(super) fn interrupt(&mut self) {
        self.on_wire = 0;
        let mut again = Again::default();
        for (packet_id, exchange) in self.exchanges.iter_mut() {
            exchange.on_wire = false;
            let queue = match exchange.awaits {
                Awaits::Puback | Awaits::Pubrec => &mut again.publish,
                Awaits::Pubcomp => &mut again.pubrel,
            };
            queue.push_back((exchange.number, packet_id));
        }
        again.publish.make_contiguous().sort_unstable();
        again.pubrel.make_contiguous().sort_unstable();
        self.again = Some(Box::new(again));
    }

    /// Drops entries in front whose exchange has ended, was replaced, or is on the wire again.
    #[inline]
    pub(super) fn skip_settled(&mut self) {
        if self.again.is_some() {
            self.skip_settled_in_front();
        }
    }

    pub(super) fn skip_settled_in_front(&mut self) {
        let Some(again) = &mut self.again else { return };
        for queue in [&mut again.publish, &mut again.pubrel] {
            while let Some((number, packet_id)) = queue.front() {
                match self.exchanges.get(*packet_id) {
                    Some(exchange) if exchange.number == *number && !exchange.on_wire => break,
                    Some(_) | None => drop(queue.pop_front()),
                }
            }
        }
        if again.publish.is_empty() && again.pubrel.is_empty() {
            self.again = None;
        }
    }
}

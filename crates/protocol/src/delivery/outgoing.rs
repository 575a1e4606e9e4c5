//! The sender's side of QoS 1 and 2.

use std::collections::{HashMap, VecDeque};

use super::UnknownPacketId;
use super::packet_id_window::PacketIdWindow;
use super::packet_ids::PacketIds;
use super::taken_ids::TakenIds;
use crate::{PacketId, QoS};

/// The exchanges that this end began and that are not acknowledged yet.
///
/// ```text
///                PUBACK, or an error
///  QoS 1  begin ────────────────────────────────────────────────▶ (none)
///                PUBREC           PUBCOMP
///  QoS 2  begin ────────▶ released ─────────────────────────────▶ (none)
///            │   / PUBREL   ▲    │ PUBREC again / PUBREL           ▲
///            │              └────┘                                 │
///            └─────────────────────────────────────────────────────┘
///                PUBREC with an error [MQTT-4.4.0-2]
/// ```
///
/// At most `window` exchanges are on the wire [MQTT-4.9.0-1] [MQTT-4.9.0-2]. After [`interrupt`](Self::interrupt) none is;
/// [`next_resend`](Self::next_resend) puts them back in the order in which they were begun [MQTT-4.6.0-1], and new ones
/// wait until it has. A window that has become smaller delays PUBLISH only, never PUBREL [MQTT-4.9.0-3].
///
/// An exchange may be begun without its message, where it ends with its connection anyway: then it cannot be sent again,
/// and is forgotten when its turn comes.
#[derive(Clone, Debug)]
pub struct Outgoing<M> {
    ids: PacketIds,
    window: u16,
    /// `None` until the first exchange: most clients never have one.
    begun: Option<Box<Begun<M>>>,
}

/// The exchanges and their order.
#[derive(Clone, Debug)]
struct Begun<M> {
    exchanges: PacketIdWindow<Exchange>,
    /// What the exchanges carry until they are released. Apart, since most carry nothing, and a fan-out goes through the
    /// exchanges of many receivers.
    messages: Option<Box<PacketIdWindow<M>>>,
    /// Which identifiers are in use, once looking for a free one took long.
    taken: Option<Box<TakenIds>>,
    on_wire: u32,
    /// How many exchanges were begun.
    count: u32,
    /// `None` when nothing waits to be sent again.
    again: Option<Box<Again>>,
}

/// What was interrupted, in order. The exchange of the first entry always waits to be sent again; one further back may
/// have ended meanwhile.
#[derive(Clone, Debug, Default)]
struct Again {
    publish: VecDeque<(u32, PacketId)>,
    pubrel: VecDeque<(u32, PacketId)>,
}

/// Eight of them are a cache line.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    /// Counts what was begun: the order of sending.
    number: u32,
    awaits: Awaits,
    on_wire: bool,
}

const _: () = assert!(size_of::<Option<Exchange>>() == 8);
// One cache line itself.
const _: () = assert!(size_of::<Begun<u64>>() == 64);

/// So many identifiers in use are passed over, one by one, until it is noted which are.
const PASSED_OVER_MAX: usize = 64;
/// With fewer in use the note is thrown away.
const NOTED_MIN: usize = PASSED_OVER_MAX / 2;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaits {
    Puback,
    Pubrec,
    Pubcomp,
}

impl Awaits {
    /// `None` for QoS 0, which has no exchange.
    #[inline]
    const fn after(qos: QoS) -> Option<Self> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Self::Puback),
            QoS::ExactlyOnce => Some(Self::Pubrec),
        }
    }

    const fn qos(self) -> QoS {
        match self {
            Self::Puback => QoS::AtLeastOnce,
            Self::Pubrec | Self::Pubcomp => QoS::ExactlyOnce,
        }
    }
}

/// What a PUBREC means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PubrecOutcome<M> {
    /// The receiver has the message, which is given if it was kept. Send PUBREL [MQTT-4.3.3-4], and never the message
    /// again [MQTT-4.3.3-6].
    Release(Option<M>),
    /// The receiver does not want it; the exchange has ended.
    Refused(Option<M>),
    /// It was released before: send PUBREL again.
    Repeated,
}

/// What must be sent again on a new connection.
#[derive(Debug, Eq, PartialEq)]
pub enum Resend<'a, M> {
    /// With DUP 1 [MQTT-3.3.1-1].
    Publish {
        /// The same as before.
        packet_id: PacketId,
        /// 1 or 2.
        qos: QoS,
        /// The same as before.
        message: &'a M,
    },
    /// PUBREL.
    Pubrel {
        /// The same as before.
        packet_id: PacketId,
    },
}

impl<M> Outgoing<M> {
    /// No exchange. A window of 0 counts as 1.
    pub fn new(window: u16) -> Self {
        Self { ids: PacketIds::default(), window: window.max(1), begun: None }
    }

    /// How many exchanges may be on the wire from now on: the peer's Receive Maximum, or less. 0 counts as 1.
    pub fn set_window(&mut self, window: u16) {
        self.window = window.max(1);
    }

    /// The window.
    pub const fn window(&self) -> u16 {
        self.window
    }

    /// Whether [`begin`](Self::begin) would begin an exchange.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.begun.as_ref().is_none_or(|begun| begun.has_room(self.window))
    }

    /// Exchanges that are not acknowledged, whether on the wire or interrupted.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.begun.as_ref().map_or(0, |begun| begun.exchanges.len())
    }

    /// Whether all is acknowledged.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.begun.as_ref().is_none_or(|begun| begun.exchanges.is_empty())
    }

    /// Whether the identifier is in use.
    pub fn contains(&self, packet_id: PacketId) -> bool {
        self.exchange(packet_id).is_some()
    }

    /// The message of an exchange, until it is released.
    pub fn message(&self, packet_id: PacketId) -> Option<&M> {
        self.begun.as_ref()?.message(packet_id)
    }

    fn exchange(&self, packet_id: PacketId) -> Option<&Exchange> {
        self.begun.as_ref()?.exchanges.get(packet_id)
    }

    /// Begins an exchange: send PUBLISH with this identifier and DUP 0 [MQTT-4.3.2-2] [MQTT-4.3.3-2]. `None` when there
    /// is no room, or for QoS 0, which has no exchange.
    #[inline]
    pub fn begin(&mut self, qos: QoS, message: M) -> Option<PacketId> {
        self.begin_avoiding(qos, message, |_| false)
    }

    /// As [`begin`](Self::begin), for an end whose other packets use identifiers of the same set: a client's SUBSCRIBE
    /// and UNSUBSCRIBE [MQTT-2.2.1-3].
    #[inline]
    pub fn begin_avoiding(
        &mut self,
        qos: QoS,
        message: M,
        is_in_use: impl Fn(PacketId) -> bool,
    ) -> Option<PacketId> {
        let packet_id = self.begin_exchange(qos, is_in_use)?;
        let begun = self.begun.as_mut()?;
        begun.messages.get_or_insert_default().put(packet_id, message);
        Some(packet_id)
    }

    /// Begins an exchange without keeping its message: for a receiver whose session ends with its connection, so that
    /// nothing is ever sent again.
    #[inline]
    pub fn begin_bare(&mut self, qos: QoS) -> Option<PacketId> {
        self.begin_exchange(qos, |_| false)
    }

    #[inline]
    fn begin_exchange(&mut self, qos: QoS, is_in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let awaits = Awaits::after(qos)?;
        let begun = self.begun.get_or_insert_default();
        if !begun.has_room(self.window) {
            return None;
        }
        let next = self.ids.peek();
        if !is_in_use(next) && begun.append(next, awaits) {
            self.ids.skip_to_behind(next);
            return Some(next);
        }
        let packet_id = self.ids.allocate(|from| begun.first_free(from), is_in_use)?;
        begun.insert(packet_id, awaits, true);
        Some(packet_id)
    }

    /// An identifier that no exchange uses, for another packet.
    pub fn allocate(&mut self, is_in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        match &mut self.begun {
            Some(begun) => self.ids.allocate(|from| begun.first_free(from), is_in_use),
            None => self.ids.allocate(Some, is_in_use),
        }
    }

    /// Restores an exchange from disk, as one that was interrupted: [`next_resend`](Self::next_resend) will give it, after
    /// those restored before. One with the same identifier is replaced. QoS 0 has no exchange and is ignored.
    pub fn begin_with(&mut self, packet_id: PacketId, qos: QoS, message: M) {
        if let Some(awaits) = Awaits::after(qos) {
            let begun = self.begun.get_or_insert_default();
            begun.restore(packet_id, awaits);
            begun.messages.get_or_insert_default().insert(packet_id, message);
        }
    }

    /// Restores a QoS 2 exchange from disk whose PUBREC had arrived.
    pub fn begin_released(&mut self, packet_id: PacketId) {
        self.begun.get_or_insert_default().restore(packet_id, Awaits::Pubcomp);
    }

    /// A PUBACK has arrived, with whatever reason: the exchange has ended [MQTT-4.4.0-2]. Gives its message, if it was
    /// kept.
    #[inline]
    pub fn puback(&mut self, packet_id: PacketId) -> Result<Option<M>, UnknownPacketId> {
        let begun = self.begun.as_mut().ok_or(UnknownPacketId)?;
        begun.end(packet_id, |exchange| exchange.awaits == Awaits::Puback).ok_or(UnknownPacketId)
    }

    /// A PUBREC has arrived; `refused` when its reason is an error.
    #[inline]
    pub fn pubrec(
        &mut self,
        packet_id: PacketId,
        refused: bool,
    ) -> Result<PubrecOutcome<M>, UnknownPacketId> {
        let begun = self.begun.as_mut().ok_or(UnknownPacketId)?;
        let exchange = begun.exchanges.get_mut(packet_id).ok_or(UnknownPacketId)?;
        match exchange.awaits {
            Awaits::Puback => return Err(UnknownPacketId),
            Awaits::Pubcomp => return Ok(PubrecOutcome::Repeated),
            Awaits::Pubrec => {}
        }
        if refused {
            return Ok(PubrecOutcome::Refused(self.forget(packet_id)));
        }
        // The PUBREL that follows puts an interrupted exchange back on the wire.
        begun.on_wire += u32::from(!exchange.on_wire);
        exchange.on_wire = true;
        exchange.awaits = Awaits::Pubcomp;
        let message = begun.take_message(packet_id);
        begun.skip_settled();
        Ok(PubrecOutcome::Release(message))
    }

    /// A PUBCOMP has arrived: the exchange has ended.
    #[inline]
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Result<(), UnknownPacketId> {
        let begun = self.begun.as_mut().ok_or(UnknownPacketId)?;
        let ended = begun.end(packet_id, |exchange| exchange.awaits == Awaits::Pubcomp);
        ended.map(drop).ok_or(UnknownPacketId)
    }

    /// The connection is lost: all that is not acknowledged must be sent again on the next one [MQTT-4.4.0-1].
    pub fn interrupt(&mut self) {
        // A session may wait long for its next connection; with nothing in flight it keeps nothing.
        self.begun = self.begun.take().filter(|begun| !begun.exchanges.is_empty());
        if let Some(begun) = &mut self.begun {
            begun.interrupt();
        }
    }

    /// What to send next on a new connection. `None` when nothing is left to resend, or until an acknowledgement makes
    /// room in the window.
    pub fn next_resend(&mut self) -> Option<Resend<'_, M>> {
        let begun = self.begun.as_mut()?;
        begun.forget_bare_in_front();
        let again = begun.again.as_ref()?;
        let publish = again.publish.front().copied();
        let pubrel = again.pubrel.front().copied();
        let has_room = begun.on_wire < u32::from(self.window);
        let pubrel_first = match (publish, pubrel) {
            (Some(publish), Some(pubrel)) => pubrel < publish || !has_room,
            (None, Some(_)) => true,
            (Some(_), None) if has_room => false,
            (Some(_) | None, None) => return None,
        };
        let (_, packet_id) = if pubrel_first { pubrel? } else { publish? };
        begun.exchanges.get_mut(packet_id)?.on_wire = true;
        begun.on_wire += 1;
        begun.skip_settled();
        let exchange = begun.exchanges.get(packet_id)?;
        Some(match begun.message(packet_id) {
            Some(message) => Resend::Publish { packet_id, qos: exchange.awaits.qos(), message },
            None => Resend::Pubrel { packet_id },
        })
    }

    /// Whether something of the last connection still waits to be sent again.
    #[inline]
    pub fn has_resends(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.again.is_some())
    }

    /// The messages of all exchanges that still have one, in no particular order.
    pub fn messages_mut(&mut self) -> impl Iterator<Item = &mut M> {
        let messages = self.begun.iter_mut().filter_map(|begun| begun.messages.as_mut());
        messages.flat_map(|messages| messages.iter_mut()).map(|(_, message)| message)
    }

    /// How many exchanges wait for PUBACK or PUBREC whose message was not kept.
    pub fn bare(&self) -> usize {
        let exchanges = self.begun.iter().flat_map(|begun| begun.exchanges.iter());
        let unreleased = exchanges.filter(|(_, exchange)| exchange.awaits != Awaits::Pubcomp).count();
        let messages = self.begun.as_ref().and_then(|begun| begun.messages.as_ref());
        unreleased - messages.map_or(0, |messages| messages.len())
    }

    /// Ends an exchange without an acknowledgement and gives its place in the window back.
    pub fn forget(&mut self, packet_id: PacketId) -> Option<M> {
        self.begun.as_mut()?.end(packet_id, |_| true)?
    }

    /// All exchanges in the order in which they were begun; one that was released has no message any more, and one whose
    /// message was not kept has none either.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, QoS, Option<&M>)> {
        self.in_order().into_iter().filter_map(|packet_id| {
            let exchange = self.exchange(packet_id)?;
            Some((packet_id, exchange.awaits.qos(), self.message(packet_id)))
        })
    }

    /// Keeps the exchanges for which `keep` says so, asked in the order in which they were begun.
    pub fn retain(&mut self, mut keep: impl FnMut(PacketId, QoS, Option<&M>) -> bool) {
        self.extract_if(|packet_id, qos, message| !keep(packet_id, qos, message));
    }

    /// Ends the exchanges for which `extract` says so, and gives them in the order in which they were begun. The messages
    /// of a shared subscription go to another member this way.
    pub fn extract_if(
        &mut self,
        mut extract: impl FnMut(PacketId, QoS, Option<&M>) -> bool,
    ) -> Vec<(PacketId, QoS, Option<M>)> {
        let mut extracted = Vec::new();
        for packet_id in self.in_order() {
            let Some(begun) = &mut self.begun else { break };
            let Some(exchange) = begun.exchanges.get(packet_id) else { continue };
            let qos = exchange.awaits.qos();
            if extract(packet_id, qos, begun.message(packet_id))
                && let Some(message) = begun.end(packet_id, |_| true)
            {
                extracted.push((packet_id, qos, message));
            }
        }
        extracted
    }

    fn in_order(&self) -> Vec<PacketId> {
        let exchanges = self.begun.iter().flat_map(|begun| begun.exchanges.iter());
        let mut order: Vec<_> = exchanges.map(|(packet_id, exchange)| (exchange.number, packet_id)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, packet_id)| packet_id).collect()
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
    fn has_room(&self, window: u16) -> bool {
        self.again.is_none()
            && self.on_wire < u32::from(window)
            && self.exchanges.len() < usize::from(u16::MAX)
    }

    /// Begins the next exchange of an ordinary sender; false if it is not that simple.
    #[inline]
    fn append(&mut self, packet_id: PacketId, awaits: Awaits) -> bool {
        let exchange = Exchange { number: self.count, awaits, on_wire: true };
        let appended =
            self.taken.is_none() && self.count != u32::MAX && self.exchanges.append(packet_id, exchange);
        self.count += u32::from(appended);
        self.on_wire += u32::from(appended);
        appended
    }

    fn insert(&mut self, packet_id: PacketId, awaits: Awaits, on_wire: bool) -> u32 {
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
    fn first_free(&mut self, from: PacketId) -> Option<PacketId> {
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
    fn count_anew(&mut self) {
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

    fn restore(&mut self, packet_id: PacketId, awaits: Awaits) {
        let number = self.insert(packet_id, awaits, false);
        let again = self.again.get_or_insert_default();
        let queue = if awaits == Awaits::Pubcomp { &mut again.pubrel } else { &mut again.publish };
        queue.push_back((number, packet_id));
    }

    /// Ends an exchange if `is_right` says so; gives its message, if it still has one.
    #[inline]
    fn end(&mut self, packet_id: PacketId, is_right: impl Fn(&Exchange) -> bool) -> Option<Option<M>> {
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
    fn take_message(&mut self, packet_id: PacketId) -> Option<M> {
        self.messages.as_mut()?.remove(packet_id)
    }

    fn message(&self, packet_id: PacketId) -> Option<&M> {
        self.messages.as_ref()?.get(packet_id)
    }

    #[cold]
    fn note_free(&mut self, packet_id: PacketId) {
        if self.exchanges.len() < NOTED_MIN {
            self.taken = None;
        } else if let Some(taken) = &mut self.taken {
            taken.remove(packet_id);
        }
    }

    /// Ends what would be next to be sent again, and cannot be.
    fn forget_bare_in_front(&mut self) {
        while let Some(again) = &self.again
            && let Some(&(_, packet_id)) = again.publish.front()
            && self.message(packet_id).is_none()
        {
            self.end(packet_id, |_| true);
        }
    }

    fn interrupt(&mut self) {
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
    fn skip_settled(&mut self) {
        if self.again.is_some() {
            self.skip_settled_in_front();
        }
    }

    fn skip_settled_in_front(&mut self) {
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

#[cfg(test)]
mod tests;

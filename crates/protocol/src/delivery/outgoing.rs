//! The sender's side of QoS 1 and 2.

use std::collections::{HashMap, VecDeque};

use super::UnknownPacketId;
use super::packet_id_window::PacketIdWindow;
use super::packet_ids::PacketIds;
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
    exchanges: PacketIdWindow<Exchange<M>>,
    on_wire: usize,
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

/// Small, because a fan-out goes through the exchanges of many receivers.
#[derive(Clone, Debug)]
struct Exchange<M> {
    /// Until it is released.
    message: Option<M>,
    /// Counts what was begun: the order of sending.
    number: u32,
    awaits: Awaits,
    on_wire: bool,
}

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
    /// The receiver has the message. Send PUBREL [MQTT-4.3.3-4], and never the message again [MQTT-4.3.3-6].
    Release(M),
    /// The receiver does not want it; the exchange has ended.
    Refused(M),
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
        self.exchange(packet_id)?.message.as_ref()
    }

    fn exchange(&self, packet_id: PacketId) -> Option<&Exchange<M>> {
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
        let awaits = Awaits::after(qos)?;
        let begun = self.begun.get_or_insert_default();
        if !begun.has_room(self.window) {
            return None;
        }
        let packet_id = self.ids.allocate(|id| begun.exchanges.contains(id) || is_in_use(id))?;
        begun.insert(packet_id, awaits, Some(message), true);
        Some(packet_id)
    }

    /// An identifier that no exchange uses, for another packet.
    pub fn allocate(&mut self, is_in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        let exchanges = self.begun.as_ref().map(|begun| &begun.exchanges);
        self.ids.allocate(|id| exchanges.is_some_and(|exchanges| exchanges.contains(id)) || is_in_use(id))
    }

    /// Restores an exchange from disk, as one that was interrupted: [`next_resend`](Self::next_resend) will give it, after
    /// those restored before. One with the same identifier is replaced. QoS 0 has no exchange and is ignored.
    pub fn begin_with(&mut self, packet_id: PacketId, qos: QoS, message: M) {
        if let Some(awaits) = Awaits::after(qos) {
            self.begun.get_or_insert_default().restore(packet_id, awaits, Some(message));
        }
    }

    /// Restores a QoS 2 exchange from disk whose PUBREC had arrived.
    pub fn begin_released(&mut self, packet_id: PacketId) {
        self.begun.get_or_insert_default().restore(packet_id, Awaits::Pubcomp, None);
    }

    /// A PUBACK has arrived, with whatever reason: the exchange has ended [MQTT-4.4.0-2].
    #[inline]
    pub fn puback(&mut self, packet_id: PacketId) -> Result<M, UnknownPacketId> {
        self.end(packet_id, Awaits::Puback)?.ok_or(UnknownPacketId)
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
            let message = self.forget(packet_id).ok_or(UnknownPacketId)?;
            return Ok(PubrecOutcome::Refused(message));
        }
        // The PUBREL that follows puts an interrupted exchange back on the wire.
        begun.on_wire += usize::from(!exchange.on_wire);
        exchange.on_wire = true;
        exchange.awaits = Awaits::Pubcomp;
        let message = exchange.message.take();
        begun.skip_settled();
        message.map(PubrecOutcome::Release).ok_or(UnknownPacketId)
    }

    /// A PUBCOMP has arrived: the exchange has ended.
    #[inline]
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Result<(), UnknownPacketId> {
        self.end(packet_id, Awaits::Pubcomp).map(drop)
    }

    #[inline]
    fn end(&mut self, packet_id: PacketId, awaited: Awaits) -> Result<Option<M>, UnknownPacketId> {
        let begun = self.begun.as_mut().ok_or(UnknownPacketId)?;
        begun.remove_if(packet_id, |exchange| exchange.awaits == awaited).ok_or(UnknownPacketId)
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
        let again = begun.again.as_ref()?;
        let publish = again.publish.front().copied();
        let pubrel = again.pubrel.front().copied();
        let has_room = begun.on_wire < usize::from(self.window);
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
        Some(match &exchange.message {
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
        let exchanges = self.begun.iter_mut().flat_map(|begun| begun.exchanges.iter_mut());
        exchanges.filter_map(|(_, exchange)| exchange.message.as_mut())
    }

    /// Ends an exchange without an acknowledgement and gives its place in the window back.
    pub fn forget(&mut self, packet_id: PacketId) -> Option<M> {
        self.begun.as_mut()?.remove_if(packet_id, |_| true)?
    }

    /// All exchanges in the order in which they were begun; one that was released has no message any more.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, QoS, Option<&M>)> {
        self.in_order().into_iter().filter_map(|packet_id| {
            let exchange = self.exchange(packet_id)?;
            Some((packet_id, exchange.awaits.qos(), exchange.message.as_ref()))
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
            if extract(packet_id, qos, exchange.message.as_ref())
                && let Some(message) = begun.remove_if(packet_id, |_| true)
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
        Self { exchanges: PacketIdWindow::default(), on_wire: 0, count: 0, again: None }
    }
}

impl<M> Begun<M> {
    #[inline]
    fn has_room(&self, window: u16) -> bool {
        self.again.is_none()
            && self.on_wire < usize::from(window)
            && self.exchanges.len() < usize::from(u16::MAX)
    }

    #[inline]
    fn insert(&mut self, packet_id: PacketId, awaits: Awaits, message: Option<M>, on_wire: bool) -> u32 {
        if self.count == u32::MAX {
            self.count_anew();
        }
        let number = self.count;
        self.count += 1;
        self.on_wire += usize::from(on_wire);
        let exchange = || Exchange { message, number, awaits, on_wire };
        if let Err(exchange) = self.exchanges.append_with(packet_id, exchange) {
            self.insert_anywhere(packet_id, exchange());
        }
        number
    }

    fn insert_anywhere(&mut self, packet_id: PacketId, exchange: Exchange<M>) {
        if let Some(replaced) = self.exchanges.insert(packet_id, exchange) {
            self.on_wire -= usize::from(replaced.on_wire);
            self.skip_settled();
        }
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

    fn restore(&mut self, packet_id: PacketId, awaits: Awaits, message: Option<M>) {
        let number = self.insert(packet_id, awaits, message, false);
        let again = self.again.get_or_insert_default();
        let queue = if awaits == Awaits::Pubcomp { &mut again.pubrel } else { &mut again.publish };
        queue.push_back((number, packet_id));
    }

    /// Ends an exchange if `is_right` says so; gives its message, if it still has one.
    #[inline]
    fn remove_if(
        &mut self,
        packet_id: PacketId,
        is_right: impl Fn(&Exchange<M>) -> bool,
    ) -> Option<Option<M>> {
        let (message, on_wire) = self.exchanges.remove_with(packet_id, |exchange| {
            is_right(exchange).then(|| (exchange.message.take(), exchange.on_wire))
        })?;
        self.on_wire -= usize::from(on_wire);
        self.skip_settled();
        Some(message)
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

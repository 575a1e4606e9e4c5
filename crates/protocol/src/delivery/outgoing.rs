//! The sender's side of QoS 1 and 2.

use super::UnknownPacketId;
use super::begun::{Awaits, Begun, Exchange};
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

    /// How many times [`begin`](Self::begin) would begin an exchange.
    #[inline]
    pub fn room(&self) -> usize {
        self.begun.as_ref().map_or(usize::from(self.window), |begun| begun.room(self.window))
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
        // A session may wait long for its next connection.
        self.rest();
        if let Some(begun) = &mut self.begun {
            begun.interrupt();
        }
    }

    /// Gives back the memory that is kept for exchanges to come, if none is under way. To be called when there may be none
    /// for a while.
    pub fn rest(&mut self) {
        if self.is_empty() {
            self.begun = None;
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

    /// How many messages are kept, since no PUBACK or PUBREC has come for them.
    #[inline]
    pub fn kept(&self) -> usize {
        let messages = self.begun.as_ref().and_then(|begun| begun.messages.as_ref());
        messages.map_or(0, |messages| messages.len())
    }

    /// How many exchanges wait for PUBACK or PUBREC whose message was not kept.
    pub fn bare(&self) -> usize {
        let exchanges = self.begun.iter().flat_map(|begun| begun.exchanges.iter());
        let unreleased = exchanges.filter(|(_, exchange)| exchange.awaits != Awaits::Pubcomp).count();
        unreleased - self.kept()
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

#[cfg(test)]
mod tests;

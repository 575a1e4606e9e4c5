//! The receiver's side of QoS 2.

use super::packet_id_window::PacketIdWindow;
use crate::PacketId;

/// The exchanges between PUBLISH and PUBREL, each with its message, which is passed on at PUBREL.
///
/// ```text
///            PUBLISH / PUBREC          PUBREL / PUBCOMP
///  (none) ───────────────────▶ held ────────────────────▶ (none)
///                             ▲    │
///                             └────┘ PUBLISH again / PUBREC
/// ```
///
/// QoS 1 needs no state here: every PUBLISH is a new message [MQTT-4.3.2-5]. How many exchanges there may be is bounded
/// by the Receive Maximum, and in the end by the number of identifiers; bytes are the caller's business.
#[derive(Clone, Debug)]
pub struct Incoming<M> {
    /// `None` until the first exchange: most clients never begin one.
    held: Option<Box<PacketIdWindow<M>>>,
}

/// What a QoS 2 PUBLISH was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// A message. Answer PUBREC.
    New,
    /// One that is held already. Answer PUBREC again and nothing else [MQTT-4.3.3-10].
    Duplicate,
}

impl<M> Default for Incoming<M> {
    fn default() -> Self {
        Self { held: None }
    }
}

impl<M> Incoming<M> {
    /// No exchange.
    pub fn new() -> Self {
        Self::default()
    }

    /// A PUBLISH has arrived. A duplicate leaves the message that is held as it is.
    pub fn publish(&mut self, packet_id: PacketId, message: M) -> Received {
        self.publish_with(packet_id, || message)
    }

    /// The same, where the message is made only if it is not a duplicate.
    #[inline]
    pub fn publish_with(&mut self, packet_id: PacketId, message: impl FnOnce() -> M) -> Received {
        let is_new = self.held.get_or_insert_default().put_new(packet_id, message);
        if is_new { Received::New } else { Received::Duplicate }
    }

    /// A PUBREL has arrived: answer PUBCOMP [MQTT-4.3.3-11] and pass the message on. `None` if none is held, because it
    /// was passed on before: answer PUBCOMP all the same (5.0 with Packet Identifier not found).
    #[inline]
    pub fn pubrel(&mut self, packet_id: PacketId) -> Option<M> {
        self.held.as_mut()?.remove(packet_id)
    }

    /// The message of an exchange between PUBLISH and PUBREL.
    #[inline]
    pub fn message(&self, packet_id: PacketId) -> Option<&M> {
        self.held.as_ref()?.get(packet_id)
    }

    /// Whether the exchange is between PUBLISH and PUBREL.
    pub fn contains(&self, packet_id: PacketId) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains(packet_id))
    }

    /// How many exchanges there are.
    pub fn len(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.len())
    }

    /// Whether there is no exchange.
    pub fn is_empty(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.is_empty())
    }

    /// All exchanges, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, &M)> {
        self.held.iter().flat_map(|held| held.iter())
    }

    /// Gives back the memory that is kept for exchanges to come, if none is under way. To be called when there may be none
    /// for a while.
    pub fn rest(&mut self) {
        if self.is_empty() {
            self.held = None;
        }
    }

    /// Forgets all: the session has ended.
    pub fn clear(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_passed_on_once() {
        let id = PacketId::FIRST;
        let mut incoming = Incoming::new();
        assert_eq!(incoming.publish(id, "first"), Received::New);
        assert_eq!(incoming.publish(id, "again"), Received::Duplicate); // [MQTT-4.3.3-10]
        assert_eq!(incoming.publish_with(id, || unreachable!("it is not needed")), Received::Duplicate);
        assert_eq!((incoming.message(id), incoming.message(id.next())), (Some(&"first"), None));
        assert_eq!(incoming.publish(id.next(), "other"), Received::New);
        assert_eq!(incoming.len(), 2);
        assert_eq!(incoming.pubrel(id), Some("first"));
        assert_eq!(incoming.pubrel(id), None);
        assert_eq!(incoming.publish(id, "new"), Received::New); // [MQTT-4.3.3-12]
        assert_eq!(incoming.pubrel(id), Some("new"));
        incoming.clear();
        assert!(incoming.is_empty());
    }

    #[test]
    fn at_rest_nothing_is_kept_but_what_is_under_way() {
        let id = PacketId::FIRST;
        let mut incoming = Incoming::new();
        incoming.publish(id, "held");
        incoming.rest();
        assert_eq!(incoming.pubrel(id), Some("held"));
        assert!(incoming.held.is_some());
        incoming.rest();
        assert!(incoming.held.is_none());
        assert_eq!(incoming.publish(id, "new"), Received::New);
    }
}

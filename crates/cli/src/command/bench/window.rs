//! How much one publisher may have under way.

/// Counts what one publisher has sent, what all its recipients have, and what the broker has acknowledged.
///
/// In a closed loop a message is in the window from when it is sent until every recipient has it and, with QoS 1 and 2,
/// the broker has acknowledged it.
#[derive(Debug)]
pub(super) struct Window {
    /// `None` is an open loop.
    limit: Option<u64>,
    /// Unacknowledged messages that the broker takes (Receive Maximum).
    quota: u64,
    is_acknowledged: bool,
    fan_out: u32,
    pub(super) sent: u64,
    delivered: u64,
    pub(super) acknowledged: u64,
    /// Recipients that still lack a message, by the lower bits of its number. Empty if there is at most one recipient.
    missing: Vec<u32>,
}

impl Window {
    pub(super) fn new(limit: Option<u64>, quota: u64, is_acknowledged: bool, fan_out: u32) -> Self {
        let messages = if fan_out > 1 { limit.unwrap_or(0) } else { 0 };
        Self {
            limit,
            quota,
            is_acknowledged,
            fan_out,
            sent: 0,
            delivered: 0,
            acknowledged: 0,
            missing: vec![0; if messages == 0 { 0 } else { messages.next_power_of_two() as usize }],
        }
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let acknowledged = if self.is_acknowledged { self.acknowledged } else { self.sent };
        if self.sent - acknowledged >= self.quota {
            return false;
        }
        let delivered = if self.fan_out == 0 { self.sent } else { self.delivered };
        self.limit.is_none_or(|limit| self.sent - delivered.min(acknowledged) < limit)
    }

    /// Takes the place of one more message; there must be room.
    #[inline]
    pub(super) fn send(&mut self) {
        if let Some(slot) = self.slot(self.sent) {
            self.missing[slot] = self.fan_out;
        }
        self.sent += 1;
    }

    /// One more recipient has this message.
    #[inline]
    pub(super) fn deliver(&mut self, sequence: u64) {
        let Some(slot) = self.slot(sequence) else {
            self.delivered += 1;
            return;
        };
        self.missing[slot] = self.missing[slot].saturating_sub(1);
        while self.delivered < self.sent
            && self.slot(self.delivered).is_some_and(|slot| self.missing[slot] == 0)
        {
            self.delivered += 1;
        }
    }

    #[inline]
    fn slot(&self, sequence: u64) -> Option<usize> {
        let mask = (self.missing.len() as u64).checked_sub(1)?;
        Some((sequence & mask) as usize)
    }

    /// Messages that the broker has not acknowledged and should have.
    pub(super) fn unacknowledged(&self) -> u64 {
        if self.is_acknowledged { self.sent.saturating_sub(self.acknowledged) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_all(window: &mut Window) -> u64 {
        let before = window.sent;
        while window.has_room() && window.sent < 1000 {
            window.send();
        }
        window.sent - before
    }

    #[test]
    fn a_delivery_makes_room_for_one() {
        let mut window = Window::new(Some(3), 65_535, false, 1);
        assert_eq!(send_all(&mut window), 3);
        window.deliver(1);
        assert_eq!(send_all(&mut window), 1);
    }

    #[test]
    fn all_recipients_must_have_a_message() {
        let mut window = Window::new(Some(2), 65_535, false, 2);
        assert_eq!(send_all(&mut window), 2);
        // The second is everywhere, the first is not: it holds the window.
        for sequence in [0, 1, 1] {
            window.deliver(sequence);
            assert_eq!(send_all(&mut window), 0);
        }
        window.deliver(0);
        assert_eq!(send_all(&mut window), 2);
    }

    #[test]
    fn what_is_delivered_must_be_acknowledged_too() {
        let mut window = Window::new(Some(2), 65_535, true, 1);
        assert_eq!(send_all(&mut window), 2);
        window.deliver(0);
        assert_eq!(send_all(&mut window), 0);
        assert_eq!(window.unacknowledged(), 2);
        window.acknowledged += 1;
        assert_eq!(send_all(&mut window), 1);
    }

    #[test]
    fn without_recipients_acknowledgements_make_room() {
        let mut window = Window::new(Some(2), 65_535, true, 0);
        assert_eq!(send_all(&mut window), 2);
        window.acknowledged += 2;
        assert_eq!(send_all(&mut window), 2);
    }

    #[test]
    fn the_broker_may_allow_less() {
        let mut window = Window::new(Some(100), 20, true, 1);
        assert_eq!(send_all(&mut window), 20);
        let mut open = Window::new(None, 20, true, 1);
        assert_eq!(send_all(&mut open), 20);
        let mut open = Window::new(None, 20, false, 1);
        assert_eq!(send_all(&mut open), 1000);
    }
}

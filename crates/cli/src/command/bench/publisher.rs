//! One who publishes: a window, a template, and what the broker says to it.

use std::collections::VecDeque;

use noctule_client::protocol::frame::Frame;

use super::fault::Fault;
use super::opening::unasked;
use super::payload::Header;
use super::template::Template;
use super::window::Window;

/// What has been handed to a connection and not yet to the system is bounded by this, and one packet more. So much
/// stays in a core's cache until it is written.
pub(super) const UNSENT_BYTES_MAX: usize = 256 * 1024;

const PUBREL: u8 = 0x62;

#[derive(Debug)]
pub(super) struct Publisher {
    /// The connection it publishes on.
    pub(super) connection: usize,
    pub(super) window: Window,
    pub(super) template: Template,
    /// How many it may publish at all.
    pub(super) limit: u64,
    /// How many are due by now, in an open loop.
    pub(super) due: u64,
    /// When those were due that are not acknowledged, in nanoseconds, if that is timed.
    pub(super) due_times: Option<VecDeque<u64>>,
    /// It is in the list of those that may have room.
    pub(super) is_pending: bool,
    next_packet_id: u16,
    /// Of the PUBREC that is due.
    next_received_id: u16,
    /// Of the PUBACK or PUBCOMP that is due.
    next_done_id: u16,
}

/// Packet Identifiers are given in a circle, without 0.
#[inline]
const fn following(packet_id: u16) -> u16 {
    packet_id % u16::MAX + 1
}

impl Publisher {
    pub(super) fn new(connection: usize, window: Window, template: Template, limit: u64) -> Self {
        Self {
            connection,
            window,
            template,
            limit,
            due: u64::MAX,
            due_times: None,
            is_pending: true,
            next_packet_id: 1,
            next_received_id: 1,
            next_done_id: 1,
        }
    }

    #[inline]
    pub(super) fn may_publish(&self) -> bool {
        self.window.sent < self.limit.min(self.due) && self.window.has_room()
    }

    /// Appends its next message.
    #[inline]
    pub(super) fn publish(
        &mut self,
        out: &mut Vec<u8>,
        topic_number: u64,
        run: u32,
        publisher: u32,
        due_ns: u64,
    ) {
        let header = Header { run, publisher, sequence: self.window.sent, due_ns };
        self.template.append(out, topic_number, self.next_packet_id, header);
        self.next_packet_id = following(self.next_packet_id);
        self.window.send();
        if let Some(due_times) = &mut self.due_times {
            due_times.push_back(due_ns);
        }
    }

    /// The broker says something. Tells whether a message is acknowledged with it. Acknowledgements come in the order of
    /// the messages [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    #[inline]
    pub(super) fn on_frame(
        &mut self,
        client: impl Fn() -> String,
        out: &mut Vec<u8>,
        frame: Frame<'_>,
    ) -> Result<bool, Fault> {
        let unexpected = |what: &str| Fault::Unexpected { client: client(), what: what.to_owned() };
        match frame.first_byte >> 4 {
            // PUBACK, PUBREC, PUBCOMP: a code is behind the identifier if there is more to say than "yes" (5.0).
            kind @ (4 | 5 | 7) => {
                let [high, low, rest @ ..] = frame.body else { return Err(unexpected("a short packet")) };
                if let Some(code) = rest.first().filter(|code| **code >= 0x80) {
                    return Err(Fault::NotPublished { client: client(), code: *code });
                }
                let packet_id = u16::from_be_bytes([*high, *low]);
                let due = if kind == 5 { &mut self.next_received_id } else { &mut self.next_done_id };
                if packet_id != *due {
                    return Err(unexpected(&format!(
                        "an acknowledgement of Packet Identifier {packet_id} when {due} was due"
                    )));
                }
                *due = following(*due);
                if kind == 5 {
                    out.extend_from_slice(&[PUBREL, 2, *high, *low]);
                    return Ok(false);
                }
                if self.window.unacknowledged() == 0 {
                    return Err(unexpected("an acknowledgement too many"));
                }
                self.window.acknowledged += 1;
                Ok(true)
            }
            _ => unasked(client, frame).map(|()| false),
        }
    }
}

#[cfg(test)]
mod tests {
    use noctule_client::protocol::{ProtocolVersion, QoS};

    use super::super::topic_pattern::TopicPattern;
    use super::*;

    /// What one who published so many messages makes of what the broker says: how many are acknowledged, and whether
    /// all of it was right.
    fn hear(qos: QoS, published: u64, frames: &[(u8, &[u8])]) -> (u64, bool) {
        let topic = TopicPattern::fixed("t");
        let template = Template::new(ProtocolVersion::V311, topic, qos, false, &[0; 24]).unwrap();
        let window = Window::new(Some(100), 100, true, 1);
        let mut publisher = Publisher::new(0, window, template, u64::MAX);
        let mut out = Vec::new();
        (0..published).for_each(|_| publisher.publish(&mut out, 0, 1, 0, 0));
        let mut hear = |frame: &(u8, &[u8])| {
            publisher.on_frame(|| "me".to_owned(), &mut out, Frame::new(frame.0, frame.1))
        };
        let is_right = frames.iter().all(|frame| hear(frame).is_ok());
        (publisher.window.acknowledged, is_right)
    }

    #[test]
    fn acknowledgements_count_in_their_order() {
        let (first, second) = ((0x40, &[0, 1][..]), (0x40, &[0, 2][..]));
        assert_eq!(hear(QoS::AtLeastOnce, 2, &[first, second]), (2, true));
        assert_eq!(hear(QoS::AtLeastOnce, 2, &[second]), (0, false));
        assert_eq!(hear(QoS::AtLeastOnce, 2, &[first, first]), (1, false));
        assert_eq!(hear(QoS::AtLeastOnce, 1, &[first, second]), (1, false), "one too many");
        assert_eq!(hear(QoS::AtLeastOnce, 1, &[(0x40, &[0, 1, 0x97])]), (0, false), "refused");
        assert_eq!(hear(QoS::AtLeastOnce, 1, &[(0x40, &[0, 1, 0x10])]), (1, true), "nobody was there");
    }

    #[test]
    fn qos_2_is_acknowledged_in_two_steps() {
        let (received, done) = ((0x50, &[0, 1][..]), (0x70, &[0, 1][..]));
        assert_eq!(hear(QoS::ExactlyOnce, 1, &[received]), (0, true));
        assert_eq!(hear(QoS::ExactlyOnce, 1, &[received, done]), (1, true));
        assert_eq!(hear(QoS::ExactlyOnce, 2, &[received, received]), (0, false));
    }

    #[test]
    fn nobody_tells_a_publisher_anything_else() {
        assert_eq!(hear(QoS::AtMostOnce, 1, &[(0xD0, &[])]), (0, true));
        for strange in [(0x30, &b"\x00\x01t"[..]), (0xE0, b""), (0x90, b"\x00\x01\x00"), (0xF0, b"")] {
            assert_eq!(hear(QoS::AtMostOnce, 1, &[strange]), (0, false));
        }
    }
}

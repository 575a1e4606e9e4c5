//! One who publishes: a window, a template, and what the broker says to it.

use noctule_client::protocol::frame::Frame;

use super::fault::Fault;
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
    /// It is in the list of those that may have room.
    pub(super) is_pending: bool,
    next_packet_id: u16,
}

impl Publisher {
    pub(super) fn new(connection: usize, window: Window, template: Template, limit: u64) -> Self {
        Self { connection, window, template, limit, due: u64::MAX, is_pending: true, next_packet_id: 1 }
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
        self.next_packet_id = self.next_packet_id % u16::MAX + 1;
        self.window.send();
    }

    /// The broker says something. Tells whether a message is acknowledged with it.
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
            14 => Err(disconnected(client(), frame)),
            3 => Err(unexpected("a message")),
            _ => Ok(false),
        }
    }
}

/// DISCONNECT from the broker (5.0).
pub(super) fn disconnected(client: String, frame: Frame<'_>) -> Fault {
    Fault::Disconnected { client, code: frame.body.first().copied().unwrap_or(0) }
}

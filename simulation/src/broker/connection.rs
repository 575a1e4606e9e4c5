//! A connection as its shard's host keeps it.

use noctule_protocol::frame::{PacketType, next_frame};

use crate::context::Context;
use crate::network::LinkNumber;
use crate::sabotage::Sabotage;

pub(super) struct Connection {
    pub(super) link: LinkNumber,
    pub(super) paused: bool,
    pub(super) blocked: bool,
    pub(super) written_in_turn: bool,
    /// Bytes the broker ever appended to its outbox, and those of them that were written.
    appended: usize,
    pub(super) written: usize,
    /// The longest PUBLISH so far: the limit may be passed by one packet.
    longest: usize,
}

impl Connection {
    pub(super) fn new(link: LinkNumber) -> Self {
        Self {
            link,
            paused: false,
            blocked: false,
            written_in_turn: false,
            appended: 0,
            written: 0,
            longest: 0,
        }
    }

    /// Looks at the packets that were appended since the last write.
    pub(super) fn check_output(&mut self, output: &[u8], context: &mut Context) {
        let mut limit = context.plan.settings.outbox_bytes_max;
        if context.plan.sabotage == Some(Sabotage::StingyOutbox) {
            limit /= 2;
        }
        let mut at = self.appended - self.written;
        self.appended = self.written + output.len();
        while at < output.len() {
            let Ok(Some((frame, length))) = next_frame(&output[at..], u32::MAX) else {
                return context.violation("protocol", "the outbox does not end with a packet".to_owned());
            };
            at += length;
            if frame.packet_type() == Ok(PacketType::Publish) {
                self.longest = self.longest.max(length);
                if at > limit + self.longest {
                    context
                        .violation("outbox", format!("{at} bytes wait, {limit} and a packet are the limit"));
                }
            }
        }
    }
}

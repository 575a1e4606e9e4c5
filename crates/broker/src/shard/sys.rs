//! What the broker itself publishes: numbers about itself.

use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::QoS;

use super::{Shard, Turn};
use crate::authorize::by_the_broker;
use crate::message::{MessageView, Publication, RetainedMessage, SessionNumber};
use crate::parcel::ShardIndex;
use crate::sys_topics::Reading;
use crate::timer::Timer;

/// In this slot there is no session: the broker has none.
const NO_SLOT: u32 = u32::MAX;

impl Shard {
    /// Arms the timer of `$SYS`, if this shard publishes it.
    pub(super) fn arm_sys_topics(&mut self, at: Duration) {
        if let Some(armed) = self.sys_at.take() {
            self.timers.disarm(armed, Timer::SysTopics);
        }
        if self.index == ShardIndex(0) && !self.settings.sys_interval.is_zero() {
            self.timers.arm(at, Timer::SysTopics);
            self.sys_at = Some(at.into());
        }
    }

    /// Publishes what has changed of `$SYS`, and will again.
    pub(super) fn publish_sys_topics(&mut self, turn: &mut Turn<'_>) {
        // Its time was due then: the next one does not come later for it.
        let due = self.sys_at.map_or(turn.now.monotonic, |at| at.get());
        let next = (due + self.settings.sys_interval).max(turn.now.monotonic);
        self.arm_sys_topics(next);
        if self.mail.has_own(&self.broker.client_id) {
            // What was said last time is still on its way to very many.
            return;
        }
        self.counts.hand_over(&turn.shared.metrics);
        let mut topics = std::mem::take(&mut self.sys_topics);
        let settings = Arc::clone(&self.settings);
        let reading = Reading::new(turn.shared, &settings.version);
        for (topic, payload) in topics.update(&reading, turn.now.monotonic) {
            self.say(topic, payload.as_bytes(), true, turn);
        }
        self.sys_topics = topics;
    }

    /// Publishes something as the broker itself, with QoS 2 as Mosquitto does. What is retained of it is not stored.
    pub(super) fn say(&mut self, topic: &str, payload: &[u8], retain: bool, turn: &mut Turn<'_>) {
        let view = MessageView {
            topic,
            payload,
            properties: &[],
            qos: QoS::ExactlyOnce,
            retain,
            expires: None,
            publisher: SessionNumber::default(),
        };
        let sequence = self.next_sequence();
        let mut publication = Publication::borrowed(view, sequence);
        if retain {
            let publisher = Arc::clone(&self.broker);
            let retained = RetainedMessage { message: publication.keep(), publisher };
            publication.retained_version = self.keep_retained(retained, turn);
        }
        self.pass_on(by_the_broker(&mut publication), NO_SLOT, None, None, turn);
    }
}

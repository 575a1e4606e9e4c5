//! Retained messages: set, cleared, replayed to new subscriptions, and swept out when expired.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use noctule_protocol::QoS;

use super::{Shard, Turn};
use crate::message::{Message, Publication, Publisher, RetainedMessage};
use crate::metric::Metric;
use crate::moment::Moment;
use crate::record::{Operation, Recipient};
use crate::retained::{Topical, Version};
use crate::session::{Delivery, Identifiers, Queued, Replay};
use crate::timer::Timer;

/// Retained messages one step of the sweep looks at.
const SWEEP_STEPS: usize = 10_000;
/// Retained messages that replays look at in one turn of a shard.
pub(super) const REPLAY_STEPS: usize = 10_000;
/// With so many retained messages waiting for a session, the replay of another subscription waits too.
const REPLAY_WAITING_MAX: usize = 10_000;
/// How long replays pause when a turn's steps are used up and nothing else wakes them.
const REPLAY_PAUSE: Duration = Duration::from_millis(1);

/// Sessions whose replays go on in another turn.
#[derive(Debug, Default)]
pub(super) struct WaitingReplays {
    slots: BTreeSet<u32>,
    /// From where on it is looked for the next one, so that none is always behind the others.
    from: u32,
    /// When the timer is armed for.
    at: Option<Moment>,
}

impl WaitingReplays {
    fn next(&mut self) -> Option<u32> {
        let slot = self.slots.range(self.from..).next().or_else(|| self.slots.first()).copied()?;
        self.slots.remove(&slot);
        self.from = slot.saturating_add(1);
        Some(slot)
    }
}

impl Shard {
    /// A PUBLISH with RETAIN 1 replaces what is retained for its topic [MQTT-3.3.1-5]; an empty payload
    /// clears it and is never stored [MQTT-3.3.1-6] [MQTT-3.3.1-7].
    pub(super) fn retain(
        &mut self,
        publication: &mut Publication<'_>,
        publisher: &Arc<Publisher>,
        turn: &mut Turn<'_>,
    ) {
        let view = publication.view;
        if view.payload.is_empty() {
            return self.clear_retained(view.topic, view.qos, turn);
        }
        let retained = RetainedMessage { message: publication.keep(), publisher: Arc::clone(publisher) };
        publication.retained_version = self.keep_retained(retained.clone(), turn);
        let operation = Operation::PutRetained(retained);
        if view.qos == QoS::AtMostOnce {
            self.persist_lazily(operation);
        } else {
            self.persist(operation);
        }
    }

    /// Puts a message where it is retained, and gives its version; one that expires will be looked for.
    pub(super) fn keep_retained(&mut self, retained: RetainedMessage, turn: &mut Turn<'_>) -> Version {
        let message = retained.message.clone();
        if message.expires().is_some() {
            self.look_for_expired(turn);
        }
        turn.shared.retained.set(retained)
    }

    /// Forgets what is retained for a topic. With QoS 1 and 2 the store is told even if there is nothing: what was
    /// there may have been cleared by QoS 0 a moment ago, and only in memory.
    pub(super) fn clear_retained(&mut self, topic: &str, qos: QoS, turn: &mut Turn<'_>) {
        let was_there = turn.shared.retained.remove(topic).is_some();
        let operation = Operation::DeleteRetained(topic.into());
        match qos {
            QoS::AtMostOnce if was_there => self.persist_lazily(operation),
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.persist(operation),
        }
    }

    /// Sends what is retained for a filter to a session that just subscribed to it [MQTT-3.3.1-9].
    pub(super) fn replay_retained(&mut self, slot: u32, replay: Replay, turn: &mut Turn<'_>) {
        let Some(session) = self.session_mut(slot) else { return };
        session.queue.drop_replay(&replay.filter);
        if session.queue.retained() >= REPLAY_WAITING_MAX || self.replay_steps == 0 {
            let Some(session) = self.session_mut(slot) else { return };
            session.queue.push_replay(replay);
        } else {
            let (part, rest) = self.read_retained(slot, replay, turn);
            let Some(session) = self.session_mut(slot) else { return };
            part.into_iter().for_each(|delivery| session.queue.push(delivery));
            if let Some(rest) = rest {
                session.queue.push_replay(rest);
            }
        }
        self.pump(slot, turn);
    }

    /// Takes a replay up whose turn it is. False if this must wait for another turn.
    pub(super) fn go_on_replaying(&mut self, slot: u32, replay: Replay, turn: &mut Turn<'_>) -> bool {
        let may_go_on = self.replay_steps > 0;
        let (part, rest) =
            if may_go_on { self.read_retained(slot, replay, turn) } else { (Vec::new(), Some(replay)) };
        let Some(session) = self.session_mut(slot) else { return false };
        session.queue.push_front(part, rest);
        if may_go_on {
            self.replay_ended(slot);
        } else {
            self.replays.slots.insert(slot);
            self.arm_replays(turn);
        }
        may_go_on
    }

    fn arm_replays(&mut self, turn: &Turn<'_>) {
        if self.replays.at.is_none() && !self.replays.slots.is_empty() {
            let at = turn.now.monotonic + REPLAY_PAUSE;
            self.timers.arm(at, Timer::Replay);
            self.replays.at = Some(at.into());
        }
    }

    /// A replay of a session may have ended, or its connection has: then nobody waits for it.
    pub(super) fn replay_ended(&mut self, slot: u32) {
        let session = self.session(slot);
        if session.is_some_and(|session| session.connection.is_some() && session.queue.has_replay()) {
            return;
        }
        self.replays.slots.remove(&slot);
        if self.replays.slots.is_empty()
            && let Some(at) = self.replays.at.take()
        {
            self.timers.disarm(at, Timer::Replay);
        }
    }

    /// Another turn: replays that wait go on, one session after the other.
    pub(super) fn go_on_with_replays(&mut self, turn: &mut Turn<'_>) {
        self.replays.at = None;
        for _ in 0..self.replays.slots.len() {
            if self.replay_steps == 0 {
                break;
            }
            let Some(slot) = self.replays.next() else { break };
            self.pump(slot, turn);
        }
        self.arm_replays(turn);
    }

    /// Makes deliveries of the next retained messages of a replay. Gives the replay back if there are more.
    fn read_retained(
        &mut self,
        slot: u32,
        mut replay: Replay,
        turn: &mut Turn<'_>,
    ) -> (Vec<Delivery>, Option<Replay>) {
        let Some(session) = self.session(slot) else { return (Vec::new(), None) };
        let (number, lasts) = (session.address.number, session.lasts());
        let me = Arc::clone(&session.publisher.client_id);
        let restricts = self.restricts;
        let Replay { ref filter, options, identifier, since, ref from } = replay;
        let mut messages: Vec<(Message, Option<Arc<Publisher>>)> = Vec::new();
        let steps = &mut self.replay_steps;
        let next =
            turn.shared.retained.for_some_matches(filter, from.as_deref(), steps, |version, retained| {
                let RetainedMessage { message, publisher } = retained;
                let echo = options.no_local && publisher.client_id == me;
                let comes_live = since.hears_live(version);
                if !echo && !comes_live && !message.is_expired(turn.now.wall) {
                    messages.push((message.clone(), restricts.then(|| Arc::clone(publisher))));
                }
            });
        let mut deliveries = Vec::with_capacity(messages.len());
        for (mut message, publisher) in messages {
            if let Some(publisher) = &publisher
                && !(self.has_good_source(&message, publisher) && self.may_still_receive(slot, &message))
            {
                self.count(Metric::DroppedNotReadable);
                continue;
            }
            let qos =
                if self.settings.upgrade_outgoing_qos { options.qos } else { message.qos().min(options.qos) };
            let identifiers = Identifiers::from_wire(identifier);
            let mut copy = None;
            if lasts && qos != QoS::AtMostOnce {
                // Recorded anew, in the order of what is queued here: its first record may be ending at this moment.
                message = message.view().to_message(self.next_sequence());
                let recipient = Recipient {
                    copy: message.add_copy(false),
                    session: number,
                    qos,
                    retain: true,
                    identifiers: identifiers.clone(),
                    group: None,
                };
                copy = Some(recipient.copy);
                let recipients = vec![recipient];
                self.persist(Operation::PutMessage { message: message.clone(), recipients, list: None });
            }
            let mut delivery =
                Delivery::new(message, qos, true, Queued::Retained).through(&identifiers, None);
            delivery.set_copy(copy);
            deliveries.push(delivery);
        }
        replay.from = next;
        let rest = replay.from.is_some().then_some(replay);
        (deliveries, rest)
    }

    /// Takes expired retained messages out, a piece at a time.
    pub(super) fn sweep_retained(&mut self, turn: &mut Turn<'_>) {
        let wall = turn.now.wall;
        let mut expired = Vec::new();
        let from = self.sweep_from.take();
        self.sweep_from = turn.shared.retained.sweep(from, SWEEP_STEPS, |retained| {
            let keep = !retained.message.is_expired(wall);
            if !keep {
                expired.push(Box::<str>::from(retained.topic()));
            }
            keep
        });
        self.counts.add(Metric::DroppedExpired, expired.len() as u64);
        for topic in expired {
            self.persist_lazily(Operation::DeleteRetained(topic));
        }
        let pause = match self.sweep_from {
            Some(_) => Duration::from_millis(10),
            None => self.settings.retain_expiry_interval,
        };
        self.arm_sweep(turn.now.monotonic + pause);
    }

    /// There are retained messages that expire.
    pub(super) fn look_for_expired(&mut self, turn: &Turn<'_>) {
        if self.sweep_at.is_none() {
            self.arm_sweep(turn.now.monotonic + self.settings.retain_expiry_interval);
        }
    }

    fn arm_sweep(&mut self, at: Duration) {
        self.sweep_at = Some(at);
        self.timers.arm(at, Timer::RetainedSweep);
    }

    /// The interval has changed: a search that is to come comes by the new one.
    pub(super) fn rearm_sweep(&mut self, turn: &Turn<'_>) {
        if let Some(at) = self.sweep_at {
            self.timers.disarm(at, Timer::RetainedSweep);
            self.arm_sweep(turn.now.monotonic + self.settings.retain_expiry_interval);
        }
    }
}

//! What a client does without need: it stalls, leaves, comes twice, changes its subscriptions.

use std::time::Duration;

use noctule_protocol::{ProtocolVersion, ReasonCode};

use super::Client;
use crate::context::Context;

impl Client {
    pub(super) fn next_whim(&self, context: &mut Context) -> Option<Duration> {
        let every = self.plan.whim_every?;
        Some(context.now + context.random.time(Duration::ZERO..=every * 2))
    }

    pub(super) fn follow_whim(&mut self, context: &mut Context) {
        if !self.connection.as_ref().is_some_and(|connection| connection.is_online()) {
            return;
        }
        match context.random.below(10) {
            0..=2 => self.stall(context),
            3 => self.abandon("by whim", context),
            4 => self.disconnect(ReasonCode::Success, context),
            5 if self.plan.version == ProtocolVersion::V5 => {
                self.disconnect(ReasonCode::DisconnectWithWillMessage, context);
            }
            5 if self.is_settled() => self.come_twice(context),
            5 | 6 => {
                // The broker still holds the old connection when the new one comes.
                self.ended("left open by whim", context);
                self.connects_at = Some(context.now + context.random.millis(0..=20));
            }
            7 => self.change_subscription(context),
            _ => self.repeat_subscription(context),
        }
    }

    /// Two connections at once, of which the broker may hear either first.
    fn come_twice(&mut self, context: &mut Context) {
        self.ended("comes twice by whim", context);
        self.connects_at = None;
        self.connect(context);
        self.flush(context);
        self.ended("left for another by whim", context);
        self.connects_at = Some(context.now + context.random.millis(0..=2));
    }

    fn stall(&mut self, context: &mut Context) {
        let until = context.now + context.random.millis(50..=4000);
        if let Some(connection) = &mut self.connection {
            connection.stalled_until = Some(until);
            let number = self.number;
            context.trace(|| format!("client {number}: does not read until {until:?}"));
        }
    }

    fn change_subscription(&mut self, context: &mut Context) {
        if self.subscriptions.is_empty() {
            return;
        }
        let place = context.random.below(self.subscriptions.len());
        let subscription = self.subscriptions[place];
        let fact = subscription.fact.map(|fact| &context.facts.subscribed[fact]);
        if subscription.is_unwanted {
            if fact.is_some_and(|fact| fact.removed.is_some()) {
                // What comes now is another subscription.
                self.subscriptions[place].fact = None;
                self.subscribe(&[place], context);
            }
        } else if fact.is_some_and(|fact| fact.granted.is_some()) {
            self.unsubscribe(&[place], context);
        }
    }

    fn repeat_subscription(&mut self, context: &mut Context) {
        if self.subscriptions.is_empty() {
            return;
        }
        let place = context.random.below(self.subscriptions.len());
        if !self.subscriptions[place].is_unwanted {
            self.subscribe(&[place], context);
        }
    }
}

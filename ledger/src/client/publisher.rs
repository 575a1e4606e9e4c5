//! Publishes, and notes what was acknowledged.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Desk;
use super::link::Link;
use super::outgoing::{Outbound, Outgoing, Step};
use crate::history::Incident;
use crate::wire::{Kind, Version, acknowledgement};

/// A publisher's part.
#[derive(Debug)]
pub struct Publisher {
    /// Its number in the books.
    pub number: usize,
    /// Where it publishes, by chance.
    pub topics: Vec<Rc<str>>,
    /// In hundredths: how much goes with QoS 2; most of the rest with QoS 1.
    pub qos_two: u64,
    /// Whether what it publishes is retained, and sometimes deleted.
    pub retain: bool,
    /// How many exchanges it opens at most.
    pub window: usize,
    /// How long it waits from one message to the next.
    pub interval: Duration,
    /// How many messages it has left to publish.
    pub budget: usize,
    outgoing: Outgoing,
    receive_maximum: usize,
    next: Instant,
}

impl Publisher {
    /// A publisher that has nothing to publish yet.
    pub fn new(number: usize, topics: Vec<Rc<str>>, qos_two: u64, retain: bool, window: usize) -> Self {
        Self {
            number,
            topics,
            qos_two,
            retain,
            window,
            interval: Duration::ZERO,
            budget: 0,
            outgoing: Outgoing::default(),
            receive_maximum: 0,
            next: Instant::now(),
        }
    }

    /// How many exchanges are open.
    pub fn open_exchanges(&self) -> usize {
        self.outgoing.len()
    }

    pub(super) fn opened(&mut self, version: Version, is_resumed: bool, maximum: u16, link: &mut Link) {
        self.receive_maximum = maximum.into();
        if !is_resumed {
            // A broker that forgot the session leaves nothing to go on with [MQTT-3.2.2-5].
            self.outgoing.abandon();
        }
        link.send(&self.outgoing.again(version));
    }

    pub(super) fn lost(&mut self, is_lasting: bool) {
        if !is_lasting {
            self.outgoing.abandon();
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        name: &str,
        kind: Kind,
        id: u16,
        reason: u8,
        link: &mut Link,
        desk: &mut Desk<'_>,
    ) {
        match self.outgoing.acknowledge(kind, id, reason) {
            Step::Over(sequence) => desk.history.acknowledged(self.number, sequence),
            Step::Refused(reason) => {
                desk.history
                    .incident(Incident::Refused, format!("{name}: PUBLISH {id}, reason {reason:#04x}"));
            }
            Step::Release(id) => link.send(&acknowledgement(Kind::Pubrel, id)),
            Step::Unknown => {}
        }
    }

    pub(super) fn turn(&mut self, version: Version, link: &mut Link, desk: &mut Desk<'_>) {
        const BYTES_WAITING_MAX: usize = 128 * 1024;
        let window = self.window.min(self.receive_maximum);
        while self.budget > 0
            && self.next <= desk.now
            && self.outgoing.len() < window
            && link.waiting() < BYTES_WAITING_MAX
        {
            self.budget -= 1;
            self.next = desk.now + self.interval;
            let last = self.topics.len().saturating_sub(1) as u64;
            let chosen = desk.random.between(0..=last);
            let Some(topic) = self.topics.get(chosen as usize) else { return };
            // What is retained last is certain only where one QoS cannot overtake another.
            let chance = if self.retain { chosen * 99 / last.max(1) } else { desk.random.between(0..=99) };
            let qos = match chance {
                chance if chance < self.qos_two => 2,
                chance if chance < 95 || self.retain => 1,
                _ => 0,
            };
            let is_clear = self.retain && desk.random.percent(8);
            let size = if desk.random.percent(5) { 3000 } else { desk.random.between(8..=120) };
            let sequence = desk.history.begin(self.number, topic, qos, self.retain, is_clear);
            let message = Outbound {
                publisher: self.number,
                sequence,
                topic: Rc::clone(topic),
                qos,
                retain: self.retain,
                size: (!is_clear).then_some(size as usize),
            };
            if qos == 0 {
                link.send(&message.encode(version, 0, false));
            } else {
                link.send(&self.outgoing.begin(version, message));
            }
        }
    }
}

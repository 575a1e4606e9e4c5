//! Subscribes, and notes what comes.

use std::rc::Rc;
use std::time::Duration;

use super::Desk;
use super::incoming::{Arrival, Incoming};
use super::link::Link;
use crate::history::{Incident, Receipt};
use crate::payload;
use crate::wire::{Publish, Version, subscribe};

/// A subscription that a client is to have.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Without the share name.
    pub filter: Rc<str>,
    /// The maximum.
    pub qos: u8,
    state: WishState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WishState {
    New,
    Asked(u16),
    Granted,
}

impl Wish {
    /// One that was not asked for yet.
    pub fn new(filter: &str, qos: u8) -> Self {
        Self { filter: filter.into(), qos, state: WishState::New }
    }
}

/// A receiver's part.
#[derive(Debug)]
pub struct Receiver {
    /// Its number in the books.
    pub number: usize,
    /// The shared subscription that it is a member of.
    pub group: Option<&'static str>,
    /// How long it takes to answer, at most.
    pub patience: Duration,
    wishes: Vec<Wish>,
    incoming: Incoming,
    last_id: u16,
}

impl Receiver {
    /// A receiver that has not subscribed yet.
    pub fn new(number: usize, group: Option<&'static str>, wishes: Vec<Wish>) -> Self {
        Self { number, group, patience: Duration::ZERO, wishes, incoming: Incoming::default(), last_id: 0 }
    }

    /// Subscribes to more.
    pub fn wish(&mut self, wish: Wish) {
        self.wishes.push(wish);
    }

    /// Whether all subscriptions were granted.
    pub fn is_subscribed(&self) -> bool {
        self.wishes.iter().all(|wish| wish.state == WishState::Granted)
    }

    /// Whether all that came is answered, and all exchanges are over.
    pub fn is_idle(&self) -> bool {
        self.incoming.is_idle()
    }

    pub(super) fn opened(&mut self, is_resumed: bool) {
        for wish in &mut self.wishes {
            if !is_resumed || wish.state != WishState::Granted {
                wish.state = WishState::New;
            }
        }
        if !is_resumed {
            self.incoming.forget();
        }
    }

    pub(super) fn lost(&mut self, is_lasting: bool) {
        self.incoming.cut();
        if !is_lasting {
            self.incoming.forget();
        }
    }

    pub(super) fn granted(&mut self, id: u16, desk: &mut Desk<'_>) {
        let Some(wish) = self.wishes.iter_mut().find(|wish| wish.state == WishState::Asked(id)) else {
            return;
        };
        wish.state = WishState::Granted;
        let known = &desk.history.receivers[self.number];
        if !known.subscriptions.iter().any(|subscription| subscription.filter == wish.filter) {
            desk.history.subscribed(self.number, &wish.filter, wish.qos);
        } else if !known.lasting {
            desk.history.subscribed_anew(self.number);
        }
    }

    fn delay(&self, desk: &mut Desk<'_>) -> Duration {
        desk.random.millis(0..=self.patience.as_millis() as u64)
    }

    pub(super) fn publish(&mut self, name: &str, publish: &Publish<'_>, desk: &mut Desk<'_>) {
        let delay = self.delay(desk);
        match self.incoming.publish(publish, desk.now, delay) {
            Arrival::Again => return,
            Arrival::Confused => {
                let what = format!("{name} got {} for another message before PUBREL", publish.id);
                desk.history.incident(Incident::Identifier, what);
                return;
            }
            // A replay of what is retained is no delivery; what deletes it has no number.
            Arrival::New if publish.retain || publish.payload.is_empty() => return,
            Arrival::New => {}
        }
        if publish.topic.starts_with("wills/") {
            let will = desk.history.wills.iter_mut().find(|will| will.payload.as_bytes() == publish.payload);
            // One without a CONNACK is nobody's promise.
            if let Some(will) = will {
                will.received.push(desk.now);
            }
            return;
        }
        let number = payload::read(publish.payload);
        let is_right = number.is_some_and(|(publisher, sequence)| {
            let message = desk.history.publishers.get(publisher).and_then(|of| of.messages.get(sequence));
            // A foreign publisher's book is read later.
            message.is_none_or(|message| *message.topic == *publish.topic)
        });
        match number {
            Some((publisher, sequence)) if is_right => {
                desk.history.received(self.number, Receipt { publisher, sequence, qos: publish.qos });
            }
            _ => {
                let what = format!(
                    "{name} got {:?} on {}",
                    String::from_utf8_lossy(&publish.payload[..publish.payload.len().min(40)]),
                    publish.topic
                );
                desk.history.incident(Incident::Mangled, what);
            }
        }
    }

    pub(super) fn release(&mut self, id: u16, desk: &mut Desk<'_>) {
        let delay = self.delay(desk);
        self.incoming.release(id, desk.now, delay);
    }

    pub(super) fn turn(&mut self, version: Version, link: &mut Link, desk: &Desk<'_>) {
        for wish in self.wishes.iter_mut().filter(|wish| wish.state == WishState::New) {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            wish.state = WishState::Asked(self.last_id);
            let filter = match self.group {
                Some(group) => format!("$share/{group}/{}", wish.filter),
                None => wish.filter.to_string(),
            };
            link.send(&subscribe(version, self.last_id, &filter, wish.qos));
        }
        while let Some(answer) = self.incoming.answer(desk.now) {
            link.send(&answer);
        }
    }
}

//! Reads what is retained, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::link::Link;
use crate::wire::{Kind, Publish, Version, acknowledgement, subscribe};

/// A probe's part.
#[derive(Debug)]
pub struct Probe {
    filter: &'static str,
    is_asked: bool,
    /// When SUBACK or the last message came.
    last: Option<Instant>,
    /// The payloads of each topic, in their order.
    pub found: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Probe {
    /// A look at all that matches.
    pub fn new(filter: &'static str) -> Self {
        Self { filter, is_asked: false, last: None, found: BTreeMap::new() }
    }

    /// Whether nothing came for so long.
    pub fn is_quiet(&self, now: Instant, time: Duration) -> bool {
        self.last.is_some_and(|last| last + time <= now)
    }

    pub(super) fn granted(&mut self, now: Instant) {
        self.last = Some(now);
    }

    pub(super) fn publish(&mut self, publish: &Publish<'_>, link: &mut Link, now: Instant) {
        self.last = Some(now);
        self.found.entry(publish.topic.to_owned()).or_default().push(publish.payload.to_vec());
        if publish.qos == 1 {
            link.send(&acknowledgement(Kind::Puback, publish.id));
        }
    }

    pub(super) fn turn(&mut self, version: Version, link: &mut Link) {
        if !std::mem::replace(&mut self.is_asked, true) {
            link.send(&subscribe(version, 1, self.filter, 1));
        }
    }
}

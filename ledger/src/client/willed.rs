//! Has a Will, and loses its connection.

use std::time::{Duration, Instant};

use super::Desk;
use crate::history::{Ended, Will};
use crate::wire;

/// The part of a client with a Will.
#[derive(Debug)]
pub struct Willed {
    topic: String,
    qos: u8,
    delay: Duration,
    /// How long it stays away after a loss.
    absence: Duration,
    generation: u32,
    /// Its place in the books.
    current: Option<usize>,
    /// The strikes when it left in peace.
    left: Option<u32>,
}

impl Willed {
    /// A client whose Will is published to `wills/NAME`.
    pub fn new(name: &str, qos: u8, delay: Duration, absence: Duration) -> Self {
        Self { topic: format!("wills/{name}"), qos, delay, absence, generation: 0, current: None, left: None }
    }

    pub(super) fn will<'a>(&'a mut self, name: &str, payload: &'a mut String) -> wire::Will<'a> {
        self.generation += 1;
        *payload = format!("{name} {}", self.generation);
        wire::Will {
            topic: &self.topic,
            payload: payload.as_bytes(),
            qos: self.qos,
            delay: self.delay.as_secs() as u32,
        }
    }

    fn current<'a>(&self, desk: &'a mut Desk<'_>) -> Option<&'a mut Will> {
        desk.history.wills.get_mut(self.current?)
    }

    pub(super) fn attempted(&self, desk: &mut Desk<'_>) {
        if let Some(will) = self.current(desk) {
            will.attempted = true;
        }
    }

    pub(super) fn opened(&mut self, name: &str, desk: &mut Desk<'_>) {
        let (now, strikes) = (desk.now, desk.strikes);
        if let Some(will) = self.current(desk) {
            will.resumed = Some(now);
            if self.left == Some(strikes) {
                will.ended = Ended::InPeace;
            }
        }
        self.left = None;
        desk.history.wills.push(Will {
            name: name.to_owned(),
            payload: format!("{name} {}", self.generation),
            delay: self.delay,
            ended: Ended::Open,
            restarted: None,
            attempted: false,
            resumed: None,
            received: Vec::new(),
        });
        self.current = Some(desk.history.wills.len() - 1);
    }

    pub(super) fn leave(&mut self, desk: &mut Desk<'_>) {
        self.left = Some(desk.strikes);
        if let Some(will) = self.current(desk) {
            will.ended = Ended::Unsure;
        }
    }

    /// When it comes back.
    pub(super) fn lost(&mut self, desk: &mut Desk<'_>) -> Instant {
        let now = desk.now;
        if let Some(will) = self.current(desk)
            && will.ended == Ended::Open
        {
            will.ended = Ended::Lost(now);
        }
        now + self.absence
    }
}

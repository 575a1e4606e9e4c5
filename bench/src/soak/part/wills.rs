//! Clients with a Will: it comes once for each one that is cut off, and never for one that says goodbye.

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::connection::client::WillOptions;
use noctule_client::protocol::property::Properties;

use super::{Part, Readiness, Verdict, clean, note_end, open_subscriber, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::tally::{Mark, Track, shortfall};

const MORTALS: usize = 10;
const INTERVAL: Duration = Duration::from_millis(100);
const PAYLOAD_BYTES: usize = 40;

pub(crate) struct Wills {
    watcher: ClientIndex,
    mortals: Vec<Mortal>,
    readiness: Readiness,
    next: Duration,
    /// When it began, and births and deaths that were due since, had they or not.
    began: Option<Duration>,
    due: u64,
    ends: usize,
    faults: Vec<String>,
}

struct Mortal {
    /// `None` until it is reborn.
    client: Option<ClientIndex>,
    is_connected: bool,
    /// How often it was cut off; also the number of its Will.
    cuts: u64,
    track: Track,
}

impl Wills {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let options = clean("soak-will-watcher".to_owned(), version(1));
        let watcher = open_subscriber(hub, options, "soak/will/+", QoS::AtLeastOnce)?;
        let mortals = (0..MORTALS)
            .map(|_| Mortal { client: None, is_connected: false, cuts: 0, track: Track::default() })
            .collect();
        Ok(Self {
            watcher,
            mortals,
            readiness: Readiness::of(1),
            next: Duration::ZERO,
            began: None,
            due: 0,
            ends: 0,
            faults: Vec::new(),
        })
    }

    fn give_birth(&mut self, hub: &mut Hub, number: usize) -> Result<()> {
        let mortal = &mut self.mortals[number];
        let mut options = clean(format!("soak-mortal-{number}"), version(number));
        let mark = Mark { stream: number as u32, number: mortal.cuts };
        options.will = Some(WillOptions {
            topic: format!("soak/will/{number}"),
            payload: mark.payload(PAYLOAD_BYTES),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
        });
        mortal.client = Some(hub.open(options)?);
        mortal.is_connected = false;
        Ok(())
    }
}

impl Part for Wills {
    fn name(&self) -> &'static str {
        "wills"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if !self.readiness.is_reached() {
            return Ok(());
        }
        let began = *self.began.get_or_insert(now);
        self.due = ((now - began).as_millis() / INTERVAL.as_millis()) as u64;
        if now < self.next {
            return Ok(());
        }
        self.next = now + INTERVAL;
        // In turn each is born, and dies the next time, every second one with a goodbye.
        let number = self.ends % MORTALS;
        match self.mortals[number].client {
            None => self.give_birth(hub, number)?,
            Some(_) if !self.mortals[number].is_connected => return Ok(()),
            Some(client) => {
                let mortal = &mut self.mortals[number];
                mortal.client = None;
                if (self.ends / MORTALS / 2).is_multiple_of(2) {
                    mortal.cuts += 1;
                    hub.cut(client);
                } else {
                    hub.leave(client)?;
                }
                hub.remove(client);
            }
        }
        self.ends += 1;
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a client with a Will", &happening, &mut self.faults);
        match happening {
            Happening::Event(ClientEvent::Connected { .. }) => {
                if let Some(mortal) = self.mortals.iter_mut().find(|mortal| mortal.client == Some(client)) {
                    mortal.is_connected = true;
                }
            }
            Happening::Event(ClientEvent::Message { payload, .. }) if client == self.watcher => {
                let mark = Mark::read(&payload)?;
                match self.mortals.get_mut(mark.stream as usize) {
                    Some(mortal) if mark.number < mortal.cuts => {
                        mortal.track.take(mark.number, QoS::AtLeastOnce);
                    }
                    _ => self.faults.push(format!("a Will of somebody who was not cut off: {mark:?}")),
                }
            }
            Happening::Event(_) | Happening::Ended(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hub, _: Duration) -> Result<bool> {
        Ok(self.mortals.iter().all(|mortal| mortal.track.is_complete(mortal.cuts)))
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        for (number, mortal) in self.mortals.iter().enumerate() {
            faults.extend(mortal.track.faults(&format!("the Will of soak-mortal-{number}"), mortal.cuts));
        }
        faults.extend(shortfall("births and deaths", self.ends as u64, self.due));
        let cuts: u64 = self.mortals.iter().map(|mortal| mortal.cuts).sum();
        Verdict {
            received: self.mortals.iter().map(|mortal| mortal.track.received).sum(),
            about: format!("{cuts} clients with a Will cut off"),
            faults,
        }
    }
}

//! Pairs that speak all the time, ten of each QoS: everything arrives exactly once and in order.

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;

use super::{Part, Readiness, Verdict, clean, note_end, open_subscriber, qos, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::{Mark, Track};

const PAIRS: usize = 30;
const PER_SECOND: u64 = 60;
const PAYLOAD_BYTES: usize = 64;

pub(crate) struct Steady {
    pairs: Vec<Pair>,
    readiness: Readiness,
    faults: Vec<String>,
}

struct Pair {
    publisher: Publisher,
    subscriber: ClientIndex,
    topic: String,
    qos: QoS,
    sent: u64,
    track: Track,
}

impl Steady {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let mut pairs = Vec::new();
        for number in 0..PAIRS {
            let qos = qos(number);
            let topic = format!("soak/steady/{number}");
            let options = clean(format!("soak-steady-s{number}"), version(number / 3));
            let subscriber = open_subscriber(hub, options, &topic, qos)?;
            let publisher = hub.open(clean(format!("soak-steady-p{number}"), version(number / 6)))?;
            let publisher = Publisher::new(publisher, qos, PER_SECOND);
            pairs.push(Pair { publisher, subscriber, topic, qos, sent: 0, track: Track::default() });
        }
        Ok(Self { pairs, readiness: Readiness::of(PAIRS), faults: Vec::new() })
    }
}

impl Part for Steady {
    fn name(&self) -> &'static str {
        "steady pairs"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if !self.readiness.is_reached() {
            return Ok(());
        }
        for (stream, pair) in (0..).zip(&mut self.pairs) {
            for _ in 0..pair.publisher.due(now) {
                let mark = Mark { stream, number: pair.sent };
                pair.publisher.publish(hub, &pair.topic, mark, PAYLOAD_BYTES, false)?;
                pair.sent += 1;
            }
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a steady client", &happening, &mut self.faults);
        for pair in &mut self.pairs {
            if pair.publisher.client == client {
                pair.publisher.handle(&happening);
            }
            if pair.subscriber == client
                && let Happening::Event(ClientEvent::Message { payload, .. }) = &happening
            {
                pair.track.take(Mark::read(payload)?.number, pair.qos);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hub, _: Duration) -> Result<bool> {
        Ok(self.pairs.iter().all(|pair| pair.publisher.is_settled() && pair.track.is_complete(pair.sent)))
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        for pair in &self.pairs {
            faults.extend(pair.track.faults(&pair.topic, pair.sent));
            faults.extend(pair.publisher.faults(&pair.topic));
        }
        let received = self.pairs.iter().map(|pair| pair.track.received).sum();
        Verdict { received, about: format!("{PAIRS} pairs, QoS 0, 1 and 2"), faults }
    }
}

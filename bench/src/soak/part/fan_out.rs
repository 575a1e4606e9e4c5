//! One publisher that many hear, at every QoS.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;

use super::{Part, Readiness, Verdict, clean, note_end, open_subscriber, qos, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::{Mark, Track};

const SUBSCRIBERS: usize = 90;
const PER_SECOND: u64 = 20;
const PAYLOAD_BYTES: usize = 200;
const TOPIC: &str = "soak/fan-out";

pub(crate) struct FanOut {
    publisher: Publisher,
    sent: u64,
    subscribers: HashMap<ClientIndex, (QoS, Track)>,
    readiness: Readiness,
    faults: Vec<String>,
}

impl FanOut {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let mut subscribers = HashMap::new();
        for number in 0..SUBSCRIBERS {
            let options = clean(format!("soak-fan-out-s{number}"), version(number / 3));
            let client = open_subscriber(hub, options, TOPIC, qos(number))?;
            subscribers.insert(client, (qos(number), Track::default()));
        }
        let client = hub.open(clean("soak-fan-out-p".to_owned(), version(1)))?;
        Ok(Self {
            publisher: Publisher::new(client, QoS::ExactlyOnce, PER_SECOND),
            sent: 0,
            subscribers,
            readiness: Readiness::of(SUBSCRIBERS),
            faults: Vec::new(),
        })
    }
}

impl Part for FanOut {
    fn name(&self) -> &'static str {
        "fan-out"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if !self.readiness.is_reached() {
            return Ok(());
        }
        for _ in 0..self.publisher.due(now) {
            let mark = Mark { stream: 0, number: self.sent };
            self.publisher.publish(hub, TOPIC, mark, PAYLOAD_BYTES, false)?;
            self.sent += 1;
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a client of the fan-out", &happening, &mut self.faults);
        if client == self.publisher.client {
            self.publisher.handle(&happening);
        }
        if let Happening::Event(ClientEvent::Message { payload, .. }) = &happening
            && let Some((qos, track)) = self.subscribers.get_mut(&client)
        {
            track.take(Mark::read(payload)?.number, *qos);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hub, _: Duration) -> Result<bool> {
        let all_complete = self.subscribers.values().all(|(_, track)| track.is_complete(self.sent));
        Ok(self.publisher.is_settled() && all_complete)
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        faults.extend(self.publisher.faults(TOPIC));
        for (qos, track) in self.subscribers.values() {
            faults.extend(track.faults(&format!("a subscriber at QoS {}", qos.level()), self.sent));
        }
        let received = self.subscribers.values().map(|(_, track)| track.received).sum();
        Verdict { received, about: format!("1 to {SUBSCRIBERS}, QoS 0, 1 and 2"), faults }
    }
}

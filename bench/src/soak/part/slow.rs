//! Readers that stop reading and go on later, beside ones that do not. What a slow reader misses at QoS 0 is its own doing;
//! at QoS 1 nobody misses anything.

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;

use super::{Part, Readiness, Verdict, clean, note_end, open_subscriber, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::{Mark, Track};

/// As much as overflows the sockets' buffers and the broker's outbox within one rest.
const PER_SECOND: u64 = 150;
const PAYLOAD_BYTES: usize = 16 * 1024;
const REST: Duration = Duration::from_secs(5);
const TOPIC: &str = "soak/flood";

pub(crate) struct Slow {
    publisher: Publisher,
    sent: u64,
    readers: Vec<Reader>,
    readiness: Readiness,
    resting: bool,
    next_change: Duration,
    rests: usize,
    faults: Vec<String>,
}

struct Reader {
    client: ClientIndex,
    qos: QoS,
    is_slow: bool,
    track: Track,
}

impl Slow {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let mut readers = Vec::new();
        for number in 0..8 {
            let is_slow = number >= 2;
            let qos = if number % 2 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let mut options = clean(format!("soak-flood-s{number}"), version(number / 2));
            if is_slow {
                // Whoever does not read sees no PINGRESP either.
                options.keep_alive = 0;
            }
            let client = open_subscriber(hub, options, TOPIC, qos)?;
            readers.push(Reader { client, qos, is_slow, track: Track::default() });
        }
        let client = hub.open(clean("soak-flood-p".to_owned(), version(0)))?;
        Ok(Self {
            publisher: Publisher::new(client, QoS::AtLeastOnce, PER_SECOND),
            sent: 0,
            readiness: Readiness::of(readers.len()),
            readers,
            resting: false,
            next_change: REST,
            rests: 0,
            faults: Vec::new(),
        })
    }

    fn rest(&mut self, hub: &mut Hub, resting: bool) {
        self.resting = resting;
        self.rests += usize::from(resting);
        for reader in self.readers.iter().filter(|reader| reader.is_slow) {
            hub.pause(reader.client, resting);
        }
    }
}

impl Part for Slow {
    fn name(&self) -> &'static str {
        "slow readers"
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
        if now >= self.next_change {
            self.rest(hub, !self.resting);
            self.next_change = now + REST;
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a client of the flood", &happening, &mut self.faults);
        if client == self.publisher.client {
            self.publisher.handle(&happening);
        }
        if let Happening::Event(ClientEvent::Message { payload, .. }) = &happening
            && let Some(reader) = self.readers.iter_mut().find(|reader| reader.client == client)
        {
            reader.track.take(Mark::read(payload)?.number, reader.qos);
        }
        Ok(())
    }

    fn finish(&mut self, hub: &mut Hub, _: Duration) -> Result<bool> {
        if self.resting {
            self.rest(hub, false);
        }
        let done = |reader: &Reader| reader.may_miss() || reader.track.is_complete(self.sent);
        Ok(self.publisher.is_settled() && self.readers.iter().all(done))
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        faults.extend(self.publisher.faults("the publisher of the flood"));
        for reader in &self.readers {
            let speed = if reader.is_slow { "a slow" } else { "an attentive" };
            let who = format!("{speed} reader at QoS {}", reader.qos.level());
            faults.extend(match reader.may_miss() {
                true => reader.track.faults_of_order(&who),
                false => reader.track.faults(&who, self.sent),
            });
        }
        let missed: u64 = self
            .readers
            .iter()
            .filter(|reader| reader.may_miss())
            .map(|reader| self.sent - reader.track.received.min(self.sent))
            .sum();
        let about = format!("{} rests, {missed} messages of QoS 0 missed by those who rested", self.rests);
        Verdict { received: self.readers.iter().map(|reader| reader.track.received).sum(), about, faults }
    }
}

impl Reader {
    fn may_miss(&self) -> bool {
        self.is_slow && self.qos == QoS::AtMostOnce
    }
}

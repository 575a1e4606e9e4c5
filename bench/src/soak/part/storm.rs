//! Hundreds of clients that leave and return together: cut off, with a DISCONNECT, or taken over by a second connection
//! with the same client identifier. Half of them have sessions that stay, and those miss nothing. Their publisher goes
//! with them and sends again what was interrupted, and still nothing comes twice.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;

use super::{Part, Readiness, Verdict, clean, lasting, note_end, open_subscriber, subscribe, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::{Mark, Track};

/// With a session that stays; and as many without.
const CLIENTS: usize = 150;
const PER_SECOND: u64 = 300;
const PAYLOAD_BYTES: usize = 64;
const STORM_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last of them is away; the others return before, one after the other.
const ABSENCE_MAX: Duration = Duration::from_millis(1500);

/// So long before a storm some stop reading, so that it finds messages on their way.
const LULL: Duration = Duration::from_millis(500);

pub(crate) struct Storm {
    publisher: Publisher,
    published: u64,
    lasting: Vec<Lasting>,
    passing: Vec<ClientIndex>,
    by_client: HashMap<ClientIndex, usize>,
    readiness: Readiness,
    next_storm: Duration,
    is_lull: bool,
    storms: usize,
    /// When whoever is away returns; sorted.
    returns: Vec<(Duration, Who)>,
    connects: u64,
    faults: Vec<String>,
}

#[derive(Clone, Copy)]
enum Who {
    Publisher,
    Lasting(usize),
    Passing(usize),
}

struct Lasting {
    client: ClientIndex,
    topic: String,
    qos: QoS,
    sent: u64,
    track: Track,
    /// Whether a connection of it was lost, so that it finds its session.
    was_lost: bool,
}

impl Storm {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let mut by_client = HashMap::new();
        let mut all = Vec::new();
        let mut passing = Vec::new();
        for number in 0..CLIENTS {
            let topic = format!("soak/storm/{number}");
            let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            let options = lasting(format!("soak-storm-{number}"), version(number / 2));
            let client = open_subscriber(hub, options, &topic, qos)?;
            by_client.insert(client, number);
            all.push(Lasting { client, topic, qos, sent: 0, track: Track::default(), was_lost: false });
            let options = clean(format!("soak-passing-{number}"), version(number));
            passing.push(open_subscriber(hub, options, "soak/storm/+", QoS::AtMostOnce)?);
        }
        let client = hub.open(lasting("soak-storm-p".to_owned(), version(1)))?;
        Ok(Self {
            publisher: Publisher::new(client, QoS::ExactlyOnce, PER_SECOND),
            published: 0,
            lasting: all,
            passing,
            by_client,
            readiness: Readiness::of(2 * CLIENTS),
            next_storm: STORM_INTERVAL,
            is_lull: false,
            storms: 0,
            returns: Vec::new(),
            connects: 0,
            faults: Vec::new(),
        })
    }

    /// A third of the clients goes in one way, a third in another, a third in the last; who goes how changes.
    fn storm(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        for number in 0..CLIENTS {
            let absence = ABSENCE_MAX * (number * 7 % CLIENTS) as u32 / CLIENTS as u32;
            let one = &mut self.lasting[number];
            // What the broker had sent and nobody read, or acknowledged in vain, comes again.
            one.track.connection_lost();
            one.was_lost = true;
            match (number + self.storms) % 3 {
                0 => {
                    hub.cut(one.client);
                    self.returns.push((now + absence, Who::Lasting(number)));
                }
                1 => {
                    hub.leave(one.client)?;
                    self.returns.push((now + absence, Who::Lasting(number)));
                }
                _ => hub.take_over(one.client)?,
            }
            hub.cut(self.passing[number]);
            self.returns.push((now + absence, Who::Passing(number)));
        }
        match self.storms % 2 {
            0 => {
                hub.cut(self.publisher.client);
                self.returns.push((now + ABSENCE_MAX / 2, Who::Publisher));
            }
            _ => hub.take_over(self.publisher.client)?,
        }
        self.returns.sort_by_key(|&(when, _)| std::cmp::Reverse(when));
        self.storms += 1;
        Ok(())
    }

    fn set_lull(&mut self, hub: &mut Hub, is_lull: bool) {
        self.is_lull = is_lull;
        // Some of them: the others may lose an acknowledgement on its way.
        for one in self.lasting.iter().skip(1).step_by(3) {
            hub.pause(one.client, is_lull);
        }
    }

    fn come_back(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        while let Some(&(when, who)) = self.returns.last()
            && when <= now
        {
            self.returns.pop();
            match who {
                Who::Publisher => hub.reopen(self.publisher.client)?,
                Who::Lasting(number) => hub.reopen(self.lasting[number].client)?,
                Who::Passing(number) => {
                    hub.reopen(self.passing[number])?;
                    subscribe(hub, self.passing[number], "soak/storm/+", QoS::AtMostOnce)?;
                }
            }
        }
        Ok(())
    }
}

impl Part for Storm {
    fn name(&self) -> &'static str {
        "reconnect storms"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if !self.readiness.is_reached() {
            return Ok(());
        }
        for _ in 0..self.publisher.due(now) {
            let number = self.published as usize % CLIENTS;
            let one = &mut self.lasting[number];
            let mark = Mark { stream: number as u32, number: one.sent };
            self.publisher.publish(hub, &one.topic, mark, PAYLOAD_BYTES, false)?;
            one.sent += 1;
            self.published += 1;
        }
        self.come_back(hub, now)?;
        if now + LULL >= self.next_storm && !self.is_lull && self.returns.is_empty() {
            self.set_lull(hub, true);
        }
        if now >= self.next_storm && self.is_lull {
            self.set_lull(hub, false);
            self.storm(hub, now)?;
            self.next_storm = now + STORM_INTERVAL;
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a client of the storms", &happening, &mut self.faults);
        if client == self.publisher.client {
            self.publisher.handle(&happening);
        }
        match happening {
            Happening::Event(ClientEvent::Connected { session_present, .. }) => {
                self.connects += 1;
                if client == self.publisher.client && session_present != (self.storms > 0) {
                    self.faults.push("the publisher of the storms lost its session".to_owned());
                }
                if let Some(&number) = self.by_client.get(&client)
                    && session_present != self.lasting[number].was_lost
                {
                    let what = if session_present {
                        "found a session at its first connect"
                    } else {
                        "lost its session"
                    };
                    self.faults.push(format!("soak-storm-{number} {what}"));
                }
            }
            Happening::Event(ClientEvent::Message { payload, .. }) => {
                if let Some(&number) = self.by_client.get(&client) {
                    let mark = Mark::read(&payload)?;
                    let one = &mut self.lasting[number];
                    if mark.stream as usize != number {
                        self.faults.push(format!("soak-storm-{number} got a message for {}", mark.stream));
                    }
                    one.track.take(mark.number, one.qos);
                }
            }
            Happening::Event(_) | Happening::Ended(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, hub: &mut Hub, now: Duration) -> Result<bool> {
        self.set_lull(hub, false);
        self.come_back(hub, now)?;
        let all_complete = self.lasting.iter().all(|one| one.track.is_complete(one.sent));
        Ok(self.returns.is_empty() && self.publisher.is_settled() && all_complete)
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        faults.extend(self.publisher.faults("the publisher of the storms"));
        for one in &self.lasting {
            faults.extend(one.track.faults(&format!("{} at QoS {}", one.topic, one.qos.level()), one.sent));
        }
        let repeated: u64 = self.lasting.iter().map(|one| one.track.repeated).sum();
        let about = format!(
            "{} clients, {} storms, {} connects, {repeated} messages of QoS 1 sent again",
            2 * CLIENTS,
            self.storms,
            self.connects
        );
        let received = self.lasting.iter().map(|one| one.track.received).sum();
        Verdict { received, about, faults }
    }
}

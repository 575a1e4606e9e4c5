//! A shared subscription whose members leave and return: each message reaches one of them, and again another one only
//! if its first one was lost before it acknowledged.

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;

use super::{Part, Readiness, Verdict, clean, note_end, open_subscriber, subscribe, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::{Mark, Pool};

const MEMBERS: usize = 6;
const PUBLISHERS: usize = 3;
const PER_SECOND: u64 = 100;
const PAYLOAD_BYTES: usize = 100;
/// How often a member is cut off, and how long it stays away.
const CUT_INTERVAL: Duration = Duration::from_secs(4);
const ABSENCE: Duration = Duration::from_secs(1);
const FILTER: &str = "$share/soak/soak/shared/+";
/// What one loss of a member may send again: what it had under way.
const REPEATED_PER_CUT: u64 = 1000;

pub(crate) struct Shared {
    members: Vec<ClientIndex>,
    publishers: Vec<(Publisher, u64, Pool)>,
    readiness: Readiness,
    away: Option<(ClientIndex, Duration)>,
    next_cut: Duration,
    cuts: usize,
    received: u64,
    faults: Vec<String>,
}

impl Shared {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            let options = clean(format!("soak-shared-s{number}"), version(number));
            members.push(open_subscriber(hub, options, FILTER, QoS::AtLeastOnce)?);
        }
        let mut publishers = Vec::new();
        for number in 0..PUBLISHERS {
            let client = hub.open(clean(format!("soak-shared-p{number}"), version(number)))?;
            let publisher = Publisher::new(client, QoS::AtLeastOnce, PER_SECOND);
            publishers.push((publisher, 0, Pool::default()));
        }
        Ok(Self {
            members,
            publishers,
            readiness: Readiness::of(MEMBERS),
            away: None,
            next_cut: CUT_INTERVAL,
            cuts: 0,
            received: 0,
            faults: Vec::new(),
        })
    }

    fn come_back(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if let Some((client, since)) = self.away
            && now >= since + ABSENCE
        {
            hub.reopen(client)?;
            subscribe(hub, client, FILTER, QoS::AtLeastOnce)?;
            self.away = None;
        }
        Ok(())
    }
}

impl Part for Shared {
    fn name(&self) -> &'static str {
        "shared subscription"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        if !self.readiness.is_reached() {
            return Ok(());
        }
        for (stream, (publisher, sent, _)) in (0..).zip(&mut self.publishers) {
            for _ in 0..publisher.due(now) {
                let topic = format!("soak/shared/{stream}");
                publisher.publish(hub, &topic, Mark { stream, number: *sent }, PAYLOAD_BYTES, false)?;
                *sent += 1;
            }
        }
        self.come_back(hub, now)?;
        if now >= self.next_cut && self.away.is_none() {
            let member = self.members[self.cuts % MEMBERS];
            hub.cut(member);
            self.away = Some((member, now));
            self.cuts += 1;
            self.next_cut = now + CUT_INTERVAL;
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        self.readiness.handle(&happening, &mut self.faults);
        note_end("a client of the shared subscription", &happening, &mut self.faults);
        for (publisher, _, _) in &mut self.publishers {
            if publisher.client == client {
                publisher.handle(&happening);
            }
        }
        if let Happening::Event(ClientEvent::Message { payload, .. }) = &happening {
            let mark = Mark::read(payload)?;
            self.received += 1;
            match self.publishers.get_mut(mark.stream as usize) {
                Some((_, _, pool)) => pool.take(mark.number),
                None => self.faults.push(format!("a message of no publisher: {mark:?}")),
            }
        }
        Ok(())
    }

    fn finish(&mut self, hub: &mut Hub, now: Duration) -> Result<bool> {
        self.come_back(hub, now)?;
        let done = |(publisher, sent, pool): &(Publisher, u64, Pool)| {
            publisher.is_settled() && pool.missing(*sent) == 0
        };
        Ok(self.away.is_none() && self.publishers.iter().all(done))
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        for (publisher, sent, pool) in &self.publishers {
            faults.extend(publisher.faults("a publisher to the shared subscription"));
            let missing = pool.missing(*sent);
            if missing > 0 {
                faults.push(format!("{missing} of {sent} messages reached no member"));
            }
        }
        let repeated: u64 = self.publishers.iter().map(|(_, _, pool)| pool.repeated).sum();
        if repeated > self.cuts as u64 * REPEATED_PER_CUT {
            faults
                .push(format!("{repeated} messages came again, though only {} members were lost", self.cuts));
        }
        let about = format!("{MEMBERS} members, {} cut off, {repeated} messages sent again", self.cuts);
        Verdict { received: self.received, about, faults }
    }
}

//! Retained messages that change all the time, and readers that come to look: each finds every topic, and none older
//! than what was acknowledged before it subscribed.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::connection::client::Token;

use super::{Part, Verdict, clean, note_end, open_subscriber, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::publisher::Publisher;
use crate::soak::tally::Mark;

const TOPICS: usize = 200;
const PER_SECOND: u64 = 200;
const PAYLOAD_BYTES: usize = 120;
const READER_INTERVAL: Duration = Duration::from_secs(2);
/// A reader that has not seen everything after so long has failed.
const READER_TIME_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Retained {
    publisher: Publisher,
    published: u64,
    under_way: HashMap<Token, Mark>,
    /// By topic: one more than the last version that is acknowledged.
    acknowledged: Vec<u64>,
    reader: Option<Reader>,
    next_reader: Duration,
    readers: usize,
    received: u64,
    faults: Vec<String>,
}

struct Reader {
    client: ClientIndex,
    since: Duration,
    /// By topic: the least version that it may see next.
    least: Vec<u64>,
    unseen: Vec<bool>,
}

impl Retained {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let client = hub.open(clean("soak-retained-p".to_owned(), version(0)))?;
        Ok(Self {
            publisher: Publisher::new(client, QoS::AtLeastOnce, PER_SECOND),
            published: 0,
            under_way: HashMap::new(),
            acknowledged: vec![0; TOPICS],
            reader: None,
            next_reader: READER_INTERVAL,
            readers: 0,
            received: 0,
            faults: Vec::new(),
        })
    }

    fn publish(&mut self, hub: &mut Hub) -> Result<()> {
        let topic = (self.published % TOPICS as u64) as u32;
        let mark = Mark { stream: topic, number: self.published / TOPICS as u64 };
        let name = format!("soak/retained/{topic}");
        let token = self.publisher.publish(hub, &name, mark, PAYLOAD_BYTES, true)?;
        self.under_way.insert(token, mark);
        self.published += 1;
        Ok(())
    }

    /// Opens a reader when it is time, and gives up one that waits in vain.
    fn look_after_readers(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        let all_there = self.acknowledged.iter().all(|&version| version > 0);
        if self.reader.is_none() && now >= self.next_reader && all_there {
            let options = clean(format!("soak-retained-s{}", self.readers), version(self.readers));
            let client = open_subscriber(hub, options, "soak/retained/+", QoS::AtLeastOnce)?;
            let least = self.acknowledged.iter().map(|version| version - 1).collect();
            self.reader = Some(Reader { client, since: now, least, unseen: vec![true; TOPICS] });
            self.readers += 1;
            self.next_reader = now + READER_INTERVAL;
        }
        if let Some(reader) = &self.reader
            && now > reader.since + READER_TIME_MAX
        {
            let unseen = reader.unseen.iter().filter(|&&unseen| unseen).count();
            self.faults.push(format!("a reader waits in vain for {unseen} of {TOPICS} retained messages"));
            hub.remove(reader.client);
            self.reader = None;
        }
        Ok(())
    }

    fn read(&mut self, hub: &mut Hub, mark: Mark) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        self.received += 1;
        let topic = mark.stream as usize;
        if mark.number < reader.least[topic] {
            self.faults.push(format!(
                "topic {topic}: version {} came where {} was the oldest allowed",
                mark.number, reader.least[topic]
            ));
        }
        reader.least[topic] = mark.number + 1;
        reader.unseen[topic] = false;
        if !reader.unseen.contains(&true) {
            hub.leave(reader.client)?;
            hub.remove(reader.client);
            self.reader = None;
        }
        Ok(())
    }
}

impl Part for Retained {
    fn name(&self) -> &'static str {
        "retained messages"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        for _ in 0..self.publisher.due(now) {
            self.publish(hub)?;
        }
        self.look_after_readers(hub, now)
    }

    fn handle(&mut self, hub: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()> {
        note_end("a client of the retained messages", &happening, &mut self.faults);
        if client == self.publisher.client {
            self.publisher.handle(&happening);
        }
        match happening {
            Happening::Event(ClientEvent::PublishDone { token, .. }) => {
                if let Some(mark) = self.under_way.remove(&token) {
                    self.acknowledged[mark.stream as usize] = mark.number + 1;
                }
            }
            Happening::Event(ClientEvent::Message { payload, .. })
                if self.reader.as_ref().is_some_and(|reader| reader.client == client) =>
            {
                self.read(hub, Mark::read(&payload)?)?;
            }
            Happening::Event(_) | Happening::Ended(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, hub: &mut Hub, now: Duration) -> Result<bool> {
        if self.reader.is_some() {
            self.look_after_readers(hub, now)?;
        }
        Ok(self.publisher.is_settled() && self.reader.is_none())
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        faults.extend(self.publisher.faults("the publisher of retained messages"));
        if self.readers == 0 {
            faults.push("no reader came".to_owned());
        }
        let about = format!("{TOPICS} topics, {} updates, {} readers", self.published, self.readers);
        Verdict { received: self.received, about, faults }
    }
}

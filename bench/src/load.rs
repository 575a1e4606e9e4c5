//! The generator: keeps every publisher's window full and checks every delivery for loss, doubles and order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};
use noctule_protocol::QoS;

use crate::cpu;
use crate::peer::Peer;
use crate::scenario::{Scenario, Shape};

/// A run in which nothing arrives for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Deliveries before the clock starts, as a part of the whole.
const WARM_UP_PART: u64 = 10;

/// The outcome of one run.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    deliveries: u64,
    cpu: Duration,
    wall: Duration,
}

impl Measured {
    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.deliveries as f64 / self.wall.as_secs_f64()
    }
}

struct Publisher {
    peer: Peer,
    topic: String,
    sent: u64,
    /// Publishes that all their subscribers have, and that are acknowledged.
    done: u64,
    acknowledged: u64,
    next_packet_id: u16,
}

struct Subscriber {
    peer: Peer,
    /// By publisher: the number of the next message.
    next: Vec<u64>,
}

/// Drives one broker until `deliveries` (or what the scenario suggests) were received.
pub(crate) fn run(scenario: &Scenario, address: SocketAddr, pid: u32, deliveries: u64) -> Result<Measured> {
    let target = if deliveries == 0 { scenario.deliveries } else { deliveries };
    let mut poll = Poll::new()?;
    let mut subscribers = Vec::new();
    for index in 0..scenario.subscribers {
        let filter = scenario.filter(index);
        let peer = Peer::open(address, &format!("bench-s{index}"), Some((&filter, scenario.qos)))?;
        subscribers.push(Subscriber { peer, next: vec![0; scenario.publishers] });
    }
    let mut publishers = Vec::new();
    for index in 0..scenario.publishers {
        let peer = Peer::open(address, &format!("bench-p{index}"), None)?;
        let topic = scenario.publish_topic(index);
        publishers.push(Publisher { peer, topic, sent: 0, done: 0, acknowledged: 0, next_packet_id: 1 });
    }
    let interest = Interest::READABLE | Interest::WRITABLE;
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        poll.registry().register(&mut subscriber.peer.stream, Token(index), interest)?;
    }
    for (index, publisher) in publishers.iter_mut().enumerate() {
        poll.registry().register(
            &mut publisher.peer.stream,
            Token(scenario.subscribers + index),
            interest,
        )?;
    }
    let mut load = Load {
        scenario,
        subscribers,
        publishers,
        delivered: 0,
        // Deliveries that are still missing, by publisher and message number within the window.
        missing: vec![vec![0; scenario.window as usize]; scenario.publishers],
        payload: vec![b'x'; scenario.payload_bytes],
    };
    load.drive(&mut poll, target, pid)
}

struct Load<'a> {
    scenario: &'a Scenario,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    delivered: u64,
    missing: Vec<Vec<u32>>,
    payload: Vec<u8>,
}

impl Load<'_> {
    fn drive(&mut self, poll: &mut Poll, target: u64, pid: u32) -> Result<Measured> {
        let warm_up = target / WARM_UP_PART;
        let mut start = None;
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; 256 * 1024];
        let mut ready: Vec<usize> = Vec::new();
        let mut last_delivery = (0, Instant::now());
        self.publish()?;
        loop {
            let wait = if ready.is_empty() { Duration::from_millis(200) } else { Duration::ZERO };
            poll.poll(&mut events, Some(wait))?;
            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.peer(index).unblock();
                    self.peer(index).flush()?;
                }
                if event.is_readable() && !ready.contains(&index) {
                    ready.push(index);
                }
            }
            let mut again = Vec::new();
            for index in ready.drain(..) {
                if !self.receive(index, &mut buffer)? {
                    again.push(index);
                }
            }
            ready = again;
            self.publish()?;
            if start.is_none() && self.delivered >= warm_up {
                start = Some((self.delivered, cpu::time(pid)?, Instant::now()));
            }
            if let Some((from, cpu, began)) = start
                && self.delivered >= target
            {
                let measured = Measured {
                    deliveries: self.delivered - from,
                    cpu: cpu::time(pid)? - cpu,
                    wall: began.elapsed(),
                };
                return Ok(measured);
            }
            if self.delivered != last_delivery.0 {
                last_delivery = (self.delivered, Instant::now());
            }
            ensure!(
                last_delivery.1.elapsed() < SILENCE_MAX,
                "nothing was delivered for {SILENCE_MAX:?} after {} messages",
                self.delivered
            );
        }
    }

    fn peer(&mut self, index: usize) -> &mut Peer {
        match index.checked_sub(self.scenario.subscribers) {
            None => &mut self.subscribers[index].peer,
            Some(index) => &mut self.publishers[index].peer,
        }
    }

    /// Fills every window.
    fn publish(&mut self) -> Result<()> {
        let fan_out = self.scenario.fan_out() as u32;
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            while publisher.sent - publisher.done < self.scenario.window {
                let number = publisher.sent;
                self.missing[index][(number % self.scenario.window) as usize] = fan_out;
                self.payload[..8].copy_from_slice(&number.to_be_bytes());
                self.payload[8..12].copy_from_slice(&(index as u32).to_be_bytes());
                write_publish(publisher, self.scenario.qos, &self.payload);
                publisher.sent += 1;
            }
            publisher.peer.flush()?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8]) -> Result<bool> {
        let Some(index) = index.checked_sub(self.scenario.subscribers) else {
            return self.receive_deliveries(index, buffer);
        };
        let publisher = &mut self.publishers[index];
        let mut acknowledged = 0;
        let drained = publisher.peer.read(buffer, |out, first_byte, body| {
            match first_byte >> 4 {
                4 | 7 => acknowledged += 1,
                5 => {
                    out.extend_from_slice(&[0x62, 2, body[0], body[1]]);
                }
                _ => {}
            }
            Ok(())
        })?;
        publisher.acknowledged += acknowledged;
        publisher.peer.flush()?;
        self.settle(index);
        Ok(drained)
    }

    fn receive_deliveries(&mut self, index: usize, buffer: &mut [u8]) -> Result<bool> {
        let Self { subscribers, missing, scenario, delivered, .. } = self;
        let Subscriber { peer, next } = &mut subscribers[index];
        let before = *delivered;
        let drained = peer.read(buffer, |out, first_byte, body| {
            if first_byte >> 4 == 6 {
                out.extend_from_slice(&[0x70, 2, body[0], body[1]]);
                return Ok(());
            }
            if first_byte >> 4 != 3 {
                return Ok(());
            }
            let mut at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            match first_byte >> 1 & 3 {
                0 => {}
                level => {
                    let answer = if level == 1 { 0x40 } else { 0x50 };
                    out.extend_from_slice(&[answer, 2, body[at], body[at + 1]]);
                    at += 2;
                }
            }
            let number = u64::from_be_bytes(body[at..at + 8].try_into().context("short payload")?);
            let from =
                u32::from_be_bytes(body[at + 8..at + 12].try_into().context("short payload")?) as usize;
            ensure!(
                number == next[from],
                "publisher {from}: message {} was expected and {number} came",
                next[from]
            );
            next[from] += 1;
            missing[from][(number % scenario.window) as usize] -= 1;
            *delivered += 1;
            Ok(())
        })?;
        peer.flush()?;
        if *delivered > before {
            match scenario.shape {
                Shape::Pairs => self.settle(index),
                Shape::All => (0..self.publishers.len()).for_each(|publisher| self.settle(publisher)),
            }
        }
        Ok(drained)
    }

    /// Takes off the window what all have and what is acknowledged.
    fn settle(&mut self, index: usize) {
        let publisher = &mut self.publishers[index];
        let acknowledged =
            if self.scenario.qos == QoS::AtMostOnce { publisher.sent } else { publisher.acknowledged };
        while publisher.done < publisher.sent
            && publisher.done < acknowledged
            && self.missing[index][(publisher.done % self.scenario.window) as usize] == 0
        {
            publisher.done += 1;
        }
    }
}

fn write_publish(publisher: &mut Publisher, qos: QoS, payload: &[u8]) {
    let id_bytes = if qos == QoS::AtMostOnce { 0 } else { 2 };
    let mut remaining = 2 + publisher.topic.len() + id_bytes + payload.len();
    let id = publisher.next_packet_id;
    let topic_length = (publisher.topic.len() as u16).to_be_bytes();
    let out = publisher.peer.out();
    out.push(0x30 | qos.level() << 1);
    loop {
        let byte = (remaining % 128) as u8;
        remaining /= 128;
        out.push(if remaining > 0 { byte | 128 } else { byte });
        if remaining == 0 {
            break;
        }
    }
    out.extend_from_slice(&topic_length);
    out.extend_from_slice(publisher.topic.as_bytes());
    if id_bytes > 0 {
        out.extend_from_slice(&id.to_be_bytes());
        publisher.next_packet_id = id % 65_535 + 1;
    }
    publisher.peer.out().extend_from_slice(payload);
}

//! The ceiling: a relay that answers CONNECT and SUBSCRIBE, and copies the bytes of each publish to those who
//! subscribed to its topic, with one write to each of them per turn. It looks at frame lengths and topics and at
//! nothing else, keeps no state of any exchange, acknowledges at once, and allocates nothing per message. It copies each
//! message to each subscriber by itself, as whoever decides for each message must.
//!
//! With a log it writes what is acknowledged to a file first, and syncs it: once a turn.
//!
//! It is no broker: it trusts its clients, has no limits, and knows neither wildcards nor shared subscriptions.

mod frame;
mod raw_log;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use frame::{Frame, Subscription};
use raw_log::RawLog;

const LISTENER: Token = Token(usize::MAX);
/// What one read takes at most. A frame that does not fit closes its connection.
const READ_BYTES: usize = 64 * 1024;

struct Client {
    stream: TcpStream,
    version: u8,
    /// The start of a frame whose end has not come.
    partial: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` is written.
    sent: usize,
    dirty: bool,
    blocked: bool,
    ready: bool,
    /// The topic published to last, which is most often the next one too.
    last_topic: Vec<u8>,
    last_subscribers: usize,
}

/// Relays until it is killed.
pub(crate) fn run(address: SocketAddr, log: Option<&Path>) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay { log: log.map(RawLog::create).transpose()?, ..Relay::default() };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ_BYTES];
    let mut ready: Vec<usize> = Vec::new();
    loop {
        let wait = (!ready.is_empty()).then_some(Duration::ZERO);
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => relay.accept(&listener, &poll)?,
                Token(index) => {
                    if event.is_writable() {
                        relay.unblock(index);
                    }
                    if event.is_readable() && relay.becomes_ready(index) {
                        ready.push(index);
                    }
                }
            }
        }
        ready.retain(|&index| !relay.read(index, &mut buffer));
        if let Some(log) = &mut relay.log {
            log.sync()?;
        }
        relay.flush();
    }
}

#[derive(Default)]
struct Relay {
    clients: Vec<Option<Client>>,
    /// Where the subscribers of a topic are in `subscribers`.
    topics: HashMap<Vec<u8>, usize>,
    subscribers: Vec<Vec<usize>>,
    dirty: Vec<usize>,
    log: Option<RawLog>,
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.clients.len());
            poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.clients.push(Some(Client {
                stream,
                version: 4,
                partial: Vec::new(),
                out: Vec::new(),
                sent: 0,
                dirty: false,
                blocked: false,
                ready: false,
                last_topic: Vec::new(),
                last_subscribers: 0,
            }));
        }
    }

    fn becomes_ready(&mut self, index: usize) -> bool {
        self.clients[index].as_mut().is_some_and(|client| !std::mem::replace(&mut client.ready, true))
    }

    fn unblock(&mut self, index: usize) {
        if let Some(client) = &mut self.clients[index]
            && std::mem::take(&mut client.blocked)
        {
            mark(client, index, &mut self.dirty);
        }
    }

    /// Reads once; true when all that had come was read.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some(client) = &mut self.clients[index] else { return true };
        let kept = client.partial.len();
        buffer[..kept].copy_from_slice(&client.partial);
        let read = match client.stream.read(&mut buffer[kept..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                client.ready = false;
                return true;
            }
            Ok(read) if read > 0 => read,
            Ok(_) | Err(_) => {
                self.clients[index] = None;
                return true;
            }
        };
        let drained = read < buffer.len() - kept;
        client.ready = !drained;
        client.partial.clear();
        let bytes = &buffer[..kept + read];
        let used = self.frames(index, bytes);
        if used == 0 && bytes.len() == READ_BYTES {
            self.clients[index] = None;
            return true;
        }
        if let Some(client) = &mut self.clients[index] {
            client.partial.extend_from_slice(&bytes[used..]);
        }
        drained
    }

    /// Does what the whole frames say; returns how many bytes they were.
    fn frames(&mut self, index: usize, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(frame) = Frame::first(&bytes[at..]) {
            let Some(client) = &mut self.clients[index] else { break };
            at += frame.bytes.len();
            if frame.kind() == frame::PUBLISH {
                if frame.topic() != client.last_topic {
                    client.last_topic.clear();
                    client.last_topic.extend_from_slice(frame.topic());
                    client.last_subscribers =
                        topic_index(&mut self.topics, &mut self.subscribers, frame.topic());
                }
                let topic = client.last_subscribers;
                if let Some(answer) = frame.publish_answer() {
                    if let Some(log) = &mut self.log {
                        log.append(frame.bytes);
                    }
                    self.send(index, &answer);
                }
                self.pass_on(topic, frame.bytes);
            } else {
                self.other(index, frame);
            }
        }
        at
    }

    fn other(&mut self, index: usize, frame: Frame<'_>) {
        let version = self.clients[index].as_ref().map_or(4, |client| client.version);
        match frame.kind() {
            frame::CONNECT => {
                let version = frame.connect_version();
                if let Some(client) = &mut self.clients[index] {
                    client.version = version;
                }
                self.send(index, if version == 5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] });
            }
            frame::SUBSCRIBE => {
                let mut answer = frame.request_answer(version);
                for Subscription { filter, qos } in frame.subscriptions(version) {
                    let topic = topic_index(&mut self.topics, &mut self.subscribers, filter);
                    if !self.subscribers[topic].contains(&index) {
                        self.subscribers[topic].push(index);
                    }
                    answer.push(qos);
                }
                answer[1] = (answer.len() - 2) as u8;
                self.send(index, &answer);
            }
            frame::UNSUBSCRIBE => {
                let mut answer = frame.request_answer(version);
                for filter in frame.unsubscriptions(version) {
                    if let Some(&topic) = self.topics.get(filter) {
                        self.subscribers[topic].retain(|&subscriber| subscriber != index);
                    }
                    if version == 5 {
                        answer.push(0);
                    }
                }
                answer[1] = (answer.len() - 2) as u8;
                self.send(index, &answer);
            }
            frame::PUBREC | frame::PUBREL => {
                if let Some(log) = &mut self.log {
                    log.append(frame.bytes);
                }
                self.send(index, &frame.exchange_answer());
            }
            frame::PINGREQ => self.send(index, &[0xD0, 0]),
            frame::DISCONNECT => self.clients[index] = None,
            _ => {}
        }
    }

    fn pass_on(&mut self, topic: usize, bytes: &[u8]) {
        let Self { subscribers, clients, dirty, .. } = self;
        for &subscriber in &subscribers[topic] {
            let Some(client) = &mut clients[subscriber] else { continue };
            client.out.extend_from_slice(bytes);
            mark(client, subscriber, dirty);
        }
    }

    fn send(&mut self, index: usize, bytes: &[u8]) {
        if let Some(client) = &mut self.clients[index] {
            client.out.extend_from_slice(bytes);
            mark(client, index, &mut self.dirty);
        }
    }

    /// Writes to each client once.
    fn flush(&mut self) {
        for index in self.dirty.drain(..) {
            let Some(client) = &mut self.clients[index] else { continue };
            client.dirty = false;
            if client.blocked || client.sent == client.out.len() {
                continue;
            }
            match client.stream.write(&client.out[client.sent..]) {
                Ok(written) => client.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.clients[index] = None;
                    continue;
                }
            }
            client.blocked = client.sent < client.out.len();
            if !client.blocked {
                client.out.clear();
                client.sent = 0;
            }
        }
    }
}

fn mark(client: &mut Client, index: usize, dirty: &mut Vec<usize>) {
    if !client.dirty {
        client.dirty = true;
        dirty.push(index);
    }
}

fn topic_index(
    topics: &mut HashMap<Vec<u8>, usize>,
    subscribers: &mut Vec<Vec<usize>>,
    topic: &[u8],
) -> usize {
    if let Some(&index) = topics.get(topic) {
        return index;
    }
    subscribers.push(Vec::new());
    topics.insert(topic.to_vec(), subscribers.len() - 1);
    subscribers.len() - 1
}

//! The ceiling: a relay that answers CONNECT and SUBSCRIBE, and copies the bytes of each publish to those who
//! subscribed to its topic, with one write to each of them per turn. It parses frame lengths and topics and
//! nothing else, keeps no state of any exchange, and acknowledges at once.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    partial: Vec<u8>,
    out: Vec<u8>,
    dirty: bool,
    blocked: bool,
}

/// Relays until it is killed.
pub(crate) fn run(address: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay { clients: Vec::new(), topics: HashMap::new(), dirty: Vec::new() };
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut ready: Vec<usize> = Vec::new();
    loop {
        let wait = (!ready.is_empty()).then_some(std::time::Duration::ZERO);
        poll.poll(&mut events, wait)?;
        for event in &events {
            match event.token() {
                LISTENER => relay.accept(&listener, &poll)?,
                Token(index) => {
                    if event.is_writable() {
                        relay.unblock(index);
                    }
                    if event.is_readable() && !ready.contains(&index) {
                        ready.push(index);
                    }
                }
            }
        }
        ready.retain(|&index| !relay.read(index, &mut buffer));
        relay.flush();
    }
}

struct Relay {
    clients: Vec<Option<Client>>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
    dirty: Vec<usize>,
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
                partial: Vec::new(),
                out: Vec::new(),
                dirty: false,
                blocked: false,
            }));
        }
    }

    fn unblock(&mut self, index: usize) {
        if let Some(client) = &mut self.clients[index]
            && std::mem::take(&mut client.blocked)
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push(index);
        }
    }

    /// True when all that had come was read.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some(client) = &mut self.clients[index] else { return true };
        let read = match client.stream.read(buffer) {
            Ok(0) => 0,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => 0,
        };
        if read == 0 {
            self.clients[index] = None;
            return true;
        }
        let whole;
        let mut bytes = &buffer[..read];
        if !client.partial.is_empty() {
            client.partial.extend_from_slice(bytes);
            whole = std::mem::take(&mut client.partial);
            bytes = &whole;
        }
        while let Some(length) = frame_length(bytes) {
            let (frame, rest) = bytes.split_at(length);
            self.frame(index, frame);
            bytes = rest;
        }
        if let Some(client) = &mut self.clients[index] {
            client.partial.extend_from_slice(bytes);
        }
        read < buffer.len()
    }

    fn frame(&mut self, index: usize, frame: &[u8]) {
        let body = &frame[frame.len() - remaining_length(frame).map_or(0, |(length, _)| length)..];
        match frame[0] >> 4 {
            1 => self.send(index, &[0x20, 2, 0, 0]),
            8 => {
                let length = usize::from(u16::from_be_bytes([body[2], body[3]]));
                self.topics.entry(body[4..4 + length].to_vec()).or_default().push(index);
                self.send(index, &[0x90, 3, body[0], body[1], body[4 + length]]);
            }
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                if let Some(subscribers) = self.topics.get(&body[2..2 + length]) {
                    for &subscriber in subscribers {
                        let Some(client) = &mut self.clients[subscriber] else { continue };
                        client.out.extend_from_slice(frame);
                        if !client.dirty {
                            client.dirty = true;
                            self.dirty.push(subscriber);
                        }
                    }
                }
                match frame[0] >> 1 & 3 {
                    0 => {}
                    1 => self.send(index, &[0x40, 2, body[2 + length], body[3 + length]]),
                    _ => self.send(index, &[0x50, 2, body[2 + length], body[3 + length]]),
                }
            }
            5 => self.send(index, &[0x62, 2, body[0], body[1]]),
            6 => self.send(index, &[0x70, 2, body[0], body[1]]),
            _ => {}
        }
    }

    fn send(&mut self, index: usize, bytes: &[u8]) {
        if let Some(client) = &mut self.clients[index] {
            client.out.extend_from_slice(bytes);
            if !client.dirty {
                client.dirty = true;
                self.dirty.push(index);
            }
        }
    }

    fn flush(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(client) = &mut self.clients[index] else { continue };
            client.dirty = false;
            if client.blocked || client.out.is_empty() {
                continue;
            }
            match client.stream.write(&client.out) {
                Ok(written) => {
                    client.blocked = written < client.out.len();
                    client.out.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => client.blocked = true,
                Err(_) => self.clients[index] = None,
            }
        }
    }
}

/// Remaining Length and the bytes before the body.
fn remaining_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (place, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some((length, place + 2));
        }
    }
    None
}

/// The length of the first frame, if it is whole.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let (length, header) = remaining_length(bytes)?;
    (bytes.len() >= header + length).then_some(header + length)
}

//! A broker with one deliberate fault: a real one, behind a proxy that changes packets on their way. It shows that a
//! test which should find the fault does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::packet::packet;

/// Where a packet is on its way to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// A client sent it.
    ToBroker,
    /// The broker sent it.
    ToClient,
}

/// A packet on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passing {
    /// Where to.
    pub way: Way,
    /// Packet type and flags.
    pub first_byte: u8,
    /// What follows the Remaining Length.
    pub body: Vec<u8>,
    /// The Remaining Length was written with more bytes than it needs.
    pub has_long_length: bool,
}

/// What a fault may remember of a connection.
#[derive(Debug, Default)]
pub struct Memory {
    /// CONNECTs of the client.
    pub connects: usize,
    /// The version in the first of them.
    pub is_v5: bool,
    held: Option<Vec<u8>>,
}

/// What becomes of a packet, when the fault has changed it or not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It goes on.
    Passes,
    /// It does not.
    IsLost,
    /// It does not, and its sender gets these bytes.
    IsAnswered(Vec<u8>),
    /// It goes on, and once more.
    ComesTwice,
    /// It goes on behind the next one of its way.
    ComesLater,
}

/// Looks at every packet, and may change it.
pub type Fault = fn(&mut Passing, &Memory) -> Fate;

impl Passing {
    /// Its type goes to the client.
    pub fn is_to_client(&self, packet_type: u8) -> bool {
        self.way == Way::ToClient && self.first_byte >> 4 == packet_type
    }

    /// Its type goes to the broker.
    pub fn is_to_broker(&self, packet_type: u8) -> bool {
        self.way == Way::ToBroker && self.first_byte >> 4 == packet_type
    }

    /// QoS of a PUBLISH.
    pub fn qos(&self) -> u8 {
        self.first_byte >> 1 & 3
    }

    /// The topic of a PUBLISH; nothing, if it is cut.
    pub fn topic(&self) -> &[u8] {
        let length = self.two(0);
        self.body.get(2..2 + length).unwrap_or_default()
    }

    /// Where the Property Length of a PUBLISH of 5.0 stands.
    pub fn properties_at(&self) -> usize {
        2 + self.two(0) + if self.qos() > 0 { 2 } else { 0 }
    }

    /// Puts bytes in the place of others, if they are there; tells whether.
    pub fn replace(&mut self, old: &[u8], new: &[u8]) -> bool {
        let place = self.body.windows(old.len()).position(|window| window == old);
        if let Some(place) = place {
            self.body.splice(place..place + old.len(), new.iter().copied());
        }
        place.is_some()
    }

    fn two(&self, at: usize) -> usize {
        self.body.get(at..at + 2).map_or(0, |bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }
}

/// Listens on a free port and passes on between clients and the broker at `broker_port`, with this fault. Gives the
/// port. Its threads end with the connections, and the last one with the test program.
///
/// # Panics
/// If nothing can be listened on.
pub fn broker_with(fault: Fault, broker_port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(broker) = TcpStream::connect(("127.0.0.1", broker_port)) else { continue };
            let (Ok(client2), Ok(broker2)) = (client.try_clone(), broker.try_clone()) else { continue };
            drop((client.set_nodelay(true), broker.set_nodelay(true)));
            let memory = Arc::new(Mutex::new(Memory::default()));
            let memory2 = Arc::clone(&memory);
            thread::spawn(move || pass_on(Way::ToBroker, client, broker, fault, &memory));
            thread::spawn(move || pass_on(Way::ToClient, broker2, client2, fault, &memory2));
        }
    });
    port
}

/// Until one side closes. What is no packet, or not a whole one for a while, goes on as it is, and all behind it.
fn pass_on(way: Way, mut from: TcpStream, mut to: TcpStream, fault: Fault, memory: &Mutex<Memory>) {
    const WHOLE_BY_NOW: Duration = Duration::from_millis(300);
    let mut buffer = Vec::new();
    let mut piece = [0; 65_536];
    let mut is_raw = false;
    drop(from.set_read_timeout(Some(WHOLE_BY_NOW)));
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => buffer.extend(&piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                is_raw |= !buffer.is_empty();
            }
            Err(_) => break,
        }
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut onward, mut back) = (Vec::new(), Vec::new());
        while !is_raw {
            match take(way, &mut buffer) {
                Ok(Some((raw, passing))) => {
                    deal_with(raw, passing, fault, &mut memory, &mut onward, &mut back)
                }
                Ok(None) => break,
                Err(()) => is_raw = true,
            }
        }
        if is_raw {
            onward.append(&mut buffer);
        }
        drop((from.write_all(&back), to.write_all(&onward)));
    }
    // All that came before has been passed on.
    match way {
        Way::ToBroker => drop(to.shutdown(Shutdown::Write)),
        Way::ToClient => drop((to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both))),
    }
}

fn deal_with(
    raw: Vec<u8>,
    mut passing: Passing,
    fault: Fault,
    memory: &mut Memory,
    onward: &mut Vec<u8>,
    back: &mut Vec<u8>,
) {
    if passing.is_to_broker(1) {
        if memory.connects == 0 {
            memory.is_v5 = passing.body.get(6) == Some(&5);
        }
        memory.connects += 1;
    }
    let before = passing.clone();
    let fate = fault(&mut passing, memory);
    let bytes = if passing == before { raw } else { packet(passing.first_byte, &passing.body) };
    if fate == Fate::ComesLater && memory.held.is_none() {
        memory.held = Some(bytes);
        return;
    }
    match fate {
        Fate::Passes | Fate::ComesLater => onward.extend(&bytes),
        Fate::IsLost => {}
        Fate::IsAnswered(answer) => back.extend(answer),
        Fate::ComesTwice => onward.extend(bytes.repeat(2)),
    }
    if passing.way == Way::ToClient {
        onward.extend(memory.held.take().unwrap_or_default());
    }
}

/// The first packet of the stream, with its bytes as they came. `Err` if none can begin so.
fn take(way: Way, buffer: &mut Vec<u8>) -> Result<Option<(Vec<u8>, Passing)>, ()> {
    let mut length = 0;
    for at in 1..=4 {
        let Some(byte) = buffer.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 != 0 {
            continue;
        }
        let end = at + 1 + length;
        if buffer.len() < end {
            return Ok(None);
        }
        let has_long_length = *byte == 0 && at > 1;
        let raw: Vec<u8> = buffer.drain(..end).collect();
        let passing = Passing { way, first_byte: raw[0], body: raw[at + 1..].to_vec(), has_long_length };
        return Ok(Some((raw, passing)));
    }
    Err(())
}

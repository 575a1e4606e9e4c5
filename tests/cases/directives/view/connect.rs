//! Views of CONNACK.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use e2e::packet::{self, Version, packet, string, variable_byte_integer};
use e2e::{Broker, Wire};

/// CONNECT with everything a row may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hello<'a> {
    pub(super) version: u8,
    pub(super) client_id: &'a str,
    pub(super) keep_alive: u16,
    pub(super) user: Option<(&'a str, &'a str)>,
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self { version: 5, client_id: "visitor", keep_alive: 60, user: None }
    }
}

impl Hello<'_> {
    fn packet(self) -> Vec<u8> {
        let mut body = string(if self.version == 3 { "MQIsdp" } else { "MQTT" });
        body.extend([self.version, if self.user.is_some() { 0xc2 } else { 2 }]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.version == 5 {
            body.extend(variable_byte_integer(0));
        }
        body.extend(string(self.client_id));
        for text in self.user.iter().flat_map(|(name, password)| [name, password]) {
            body.extend(string(text));
        }
        packet(0x10, &body)
    }

    /// Connects and keeps the connection.
    pub(super) fn says_at(self, host: &str, broker: &Broker) -> (Wire, Connack) {
        let version = if self.version == 5 { Version::V5 } else { Version::V4 };
        let mut wire = Wire::dial_at(host, broker).speaking(version);
        wire.send(&self.packet());
        let (first_byte, body) = wire.packet();
        assert_eq!(first_byte, 0x20, "the answer to CONNECT");
        (wire, Connack::parse(&body, self.version))
    }

    pub(super) fn says(self, broker: &Broker) -> (Wire, Connack) {
        self.says_at("127.0.0.1", broker)
    }
}

/// CONNACK, its numbers and texts as one would write them.
#[derive(Debug)]
pub(super) struct Connack {
    pub(super) code: u8,
    properties: BTreeMap<u8, String>,
}

impl Connack {
    fn parse(body: &[u8], version: u8) -> Self {
        let mut properties = BTreeMap::new();
        let mut rest = match version {
            // Every set of properties of a CONNACK is shorter than 128 bytes here.
            5 => body.get(3..).unwrap_or_default(),
            _ => &[],
        };
        while let Some((&id, value)) = rest.split_first() {
            let length = match id {
                0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
                0x13 | 0x21 | 0x22 => 2,
                0x11 | 0x27 => 4,
                0x12 | 0x1a | 0x1c | 0x1f => 2 + usize::from(u16::from_be_bytes([value[0], value[1]])),
                other => panic!("property {other:#x} has no place in a CONNACK"),
            };
            let (bytes, further) = value.split_at(length);
            let text = match id {
                0x12 | 0x1a | 0x1c | 0x1f => String::from_utf8_lossy(&bytes[2..]).into_owned(),
                _ => bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)).to_string(),
            };
            properties.insert(id, text);
            rest = further;
        }
        Self { code: body[1], properties }
    }

    fn answer(&self) -> String {
        match self.code {
            0 => "accepted".to_owned(),
            code => format!("refused with {code:#x}"),
        }
    }

    fn property(&self, id: u8) -> String {
        self.properties.get(&id).cloned().unwrap_or_else(|| "not told".to_owned())
    }
}

/// A client without a user name.
pub(in crate::directives) fn anonymous(broker: &Broker) -> String {
    Hello::default().says(broker).1.answer()
}

/// The same on the listeners at 127.0.0.1 and ::1.
pub(in crate::directives) fn anonymous_at_both(broker: &Broker) -> String {
    ["127.0.0.1", "::1"].map(|host| Hello::default().says_at(host, broker).1.answer()).join(", ")
}

/// alice with the password `secret`.
pub(in crate::directives) fn alice(broker: &Broker) -> String {
    Hello { user: Some(("alice", "secret")), ..Hello::default() }.says(broker).1.answer()
}

/// A 3.1.1 client without a Client Identifier.
pub(in crate::directives) fn without_identifier(broker: &Broker) -> String {
    Hello { version: 4, client_id: "", ..Hello::default() }.says(broker).1.answer()
}

/// Two clients whose identifiers begin differently.
pub(in crate::directives) fn identifiers(broker: &Broker) -> String {
    ["acme-1", "other-1"]
        .map(|client_id| Hello { client_id, ..Hello::default() }.says(broker).1.answer())
        .join(", ")
}

/// MQTT 3.1, 3.1.1 and 5.0.
pub(in crate::directives) fn versions(broker: &Broker) -> String {
    [3, 4, 5].map(|version| Hello { version, ..Hello::default() }.says(broker).1.answer()).join(", ")
}

/// What an Assigned Client Identifier begins with.
pub(in crate::directives) fn assigned_prefix(broker: &Broker) -> String {
    const UUID_CHARS: usize = 36;
    let made = Hello { client_id: "", ..Hello::default() }.says(broker).1.property(0x12);
    made[..made.len().saturating_sub(UUID_CHARS)].to_owned()
}

/// Whether two clients with one user name and different identifiers are one.
pub(in crate::directives) fn two_of_alice(broker: &Broker) -> String {
    let alice = |client_id| Hello { client_id, user: Some(("alice", "secret")), ..Hello::default() };
    let (mut first, _) = alice("first").says(broker);
    let (mut second, _) = alice("second").says(broker);
    second.ping();
    first.send_or_be_cut(&packet::PINGREQ);
    match first.try_packet() {
        Ok((0xd0, _)) => "two clients".to_owned(),
        _ => "one client".to_owned(),
    }
}

pub(in crate::directives) fn server_keep_alive(broker: &Broker) -> String {
    Hello { keep_alive: 600, ..Hello::default() }.says(broker).1.property(0x13)
}

pub(in crate::directives) fn receive_maximum(broker: &Broker) -> String {
    Hello::default().says(broker).1.property(0x21)
}

pub(in crate::directives) fn topic_alias_maximum(broker: &Broker) -> String {
    Hello::default().says(broker).1.property(0x22)
}

pub(in crate::directives) fn maximum_qos(broker: &Broker) -> String {
    Hello::default().says(broker).1.property(0x24)
}

pub(in crate::directives) fn retain_available(broker: &Broker) -> String {
    Hello::default().says(broker).1.property(0x25)
}

pub(in crate::directives) fn maximum_packet_size(broker: &Broker) -> String {
    Hello::default().says(broker).1.property(0x27)
}

/// How many of three clients are served at a time.
pub(in crate::directives) fn three_at_a_time(broker: &Broker) -> String {
    let mut open = Vec::new();
    let mut served = 0;
    for client_id in ["one", "two", "three"] {
        let mut wire = Wire::dial(broker);
        wire.send_or_be_cut(&Hello { version: 4, client_id, ..Hello::default() }.packet());
        if let Ok((0x20, body)) = wire.try_packet() {
            served += u8::from(body == [0, 0]);
        }
        open.push(wire);
    }
    for wire in &mut open {
        wire.send_or_be_cut(&packet::DISCONNECT);
        wire.is_closed();
    }
    format!("{served} of 3")
}

/// Whether a client is soon refused because there is no memory. It is measured when so much has come, or time went by.
pub(in crate::directives) fn room_for_clients(broker: &Broker) -> String {
    let (mut publisher, _) = Hello { client_id: "publisher", ..Hello::default() }.says(broker);
    publisher.send_or_be_cut(&packet::publish(Version::V5, "much", 0, 0, &vec![b'x'; 1_200_000]));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let connack = Hello::default().says(broker).1;
        if connack.code != 0 {
            return connack.answer();
        }
        thread::sleep(Duration::from_millis(20));
    }
    "accepted".to_owned()
}

/// Whether a connection that says nothing is still there after a while.
pub(in crate::directives) fn silence(broker: &Broker) -> String {
    let begun = Instant::now();
    let mut wire = Wire::dial(broker);
    let heard = wire.hears_within(Duration::from_millis(1600));
    let waited = begun.elapsed();
    assert!(heard.is_none() || waited > Duration::from_millis(700), "{heard:?} after {waited:?}");
    heard.unwrap_or_else(|| "open".to_owned())
}

/// Whether a session is kept longer than two seconds.
pub(in crate::directives) fn session_after_a_while(broker: &Broker) -> String {
    let connect = packet::connect(Version::V4, "sleeper", false, 60);
    let mut wire = Wire::open(broker, Version::V4, &connect);
    wire.packet();
    wire.send(&packet::DISCONNECT);
    wire.is_closed();
    thread::sleep(Duration::from_millis(2300));
    let mut wire = Wire::open(broker, Version::V4, &connect);
    match wire.packet().1[0] {
        1 => "kept".to_owned(),
        _ => "ended".to_owned(),
    }
}

/// How many of three clients may leave a session.
pub(in crate::directives) fn three_sessions(broker: &Broker) -> String {
    const NAMES: [&str; 3] = ["one", "two", "three"];
    let visit = |client_id, clean| {
        let mut wire = Wire::open(broker, Version::V4, &packet::connect(Version::V4, client_id, clean, 60));
        let answer = wire.try_packet();
        wire.send_or_be_cut(&packet::DISCONNECT);
        wire.is_closed();
        matches!(answer, Ok((0x20, body)) if body[1] == 0)
    };
    let served = NAMES.iter().filter(|name| visit(name, false)).count();
    for name in NAMES {
        visit(name, true);
    }
    format!("{served} of 3")
}

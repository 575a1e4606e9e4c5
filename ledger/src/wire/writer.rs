//! What a client sends.

use super::{Kind, Version};

/// A CONNECT.
#[derive(Clone, Debug)]
pub struct Connect<'a> {
    /// Who connects.
    pub client: &'a str,
    /// Whether the session outlives the connection, and what was there before goes on.
    pub lasting: bool,
    /// How many exchanges the broker may have open, in 5.0; 0 leaves it unsaid.
    pub receive_maximum: u16,
    /// What is published when the connection is lost.
    pub will: Option<Will<'a>>,
}

/// A Will.
#[derive(Clone, Debug)]
pub struct Will<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// How long it waits, in seconds, in 5.0.
    pub delay: u32,
}

/// Long enough for any round.
const SESSION_EXPIRY: u32 = 24 * 3600;

impl Connect<'_> {
    /// Its bytes.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, b"MQTT");
        body.push(if version == Version::V5 { 5 } else { 4 });
        let mut flags = if self.lasting { 0 } else { 2 };
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3;
        }
        body.push(flags);
        body.extend(60_u16.to_be_bytes());
        if version == Version::V5 {
            let mut properties = Vec::new();
            if self.lasting {
                properties.push(0x11);
                properties.extend(SESSION_EXPIRY.to_be_bytes());
            }
            if self.receive_maximum > 0 {
                properties.push(0x21);
                properties.extend(self.receive_maximum.to_be_bytes());
            }
            body.push(properties.len() as u8);
            body.extend(properties);
        }
        text(&mut body, self.client.as_bytes());
        if let Some(will) = &self.will {
            if version == Version::V5 {
                body.extend([5, 0x18]);
                body.extend(will.delay.to_be_bytes());
            }
            text(&mut body, will.topic.as_bytes());
            text(&mut body, will.payload);
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH.
pub fn publish(
    version: Version,
    topic: &str,
    payload: &[u8],
    qos: u8,
    id: u16,
    dup: bool,
    retain: bool,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 8);
    text(&mut body, topic.as_bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(payload);
    packet(0x30 | u8::from(dup) << 3 | qos << 1 | u8::from(retain), &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, in either version: 5.0 leaves the reason 0 out.
pub fn acknowledgement(kind: Kind, id: u16) -> [u8; 4] {
    let first = match kind {
        Kind::Puback => 0x40,
        Kind::Pubrec => 0x50,
        Kind::Pubrel => 0x62,
        Kind::Pubcomp => 0x70,
    };
    let [high, low] = id.to_be_bytes();
    [first, 2, high, low]
}

/// A SUBSCRIBE with one filter.
pub fn subscribe(version: Version, id: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    text(&mut body, filter.as_bytes());
    body.push(qos);
    packet(0x82, &body)
}

/// A PINGREQ.
pub fn pingreq() -> [u8; 2] {
    [0xC0, 0]
}

/// A DISCONNECT that ends the connection in peace: the Will is forgotten.
pub fn disconnect() -> [u8; 2] {
    [0xE0, 0]
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.push(first);
    let mut length = body.len();
    loop {
        let more = if length > 0x7F { 0x80 } else { 0 };
        bytes.push((length & 0x7F) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_of_each_version() {
        let connect = Connect { client: "c", lasting: true, receive_maximum: 5, will: None };
        let head = [0, 4, b'M', b'Q', b'T', b'T'];
        assert_eq!(
            connect.encode(Version::V311),
            [&[0x10, 13], &head[..], &[4, 0, 0, 60, 0, 1, b'c']].concat()
        );
        let properties = [8, 0x11, 0, 1, 0x51, 0x80, 0x21, 0, 5];
        assert_eq!(
            connect.encode(Version::V5),
            [&[0x10, 22], &head[..], &[5, 0, 0, 60], &properties, &[0, 1, b'c']].concat()
        );
        let will = Will { topic: "t", payload: b"p", qos: 2, delay: 3 };
        let connect = Connect { client: "c", lasting: false, receive_maximum: 0, will: Some(will) };
        let will = [5, 0x18, 0, 0, 0, 3, 0, 1, b't', 0, 1, b'p'];
        assert_eq!(
            connect.encode(Version::V5),
            [&[0x10, 26], &head[..], &[5, 0x16, 0, 60, 0, 0, 1, b'c'], &will].concat()
        );
    }

    #[test]
    fn a_long_packet_has_a_long_length() {
        let bytes = publish(Version::V311, "t", &[7; 200], 1, 9, true, false);
        assert_eq!(bytes[..8], [0x3A, 0xCD, 1, 0, 1, b't', 0, 9]);
        assert_eq!(bytes.len(), 3 + 0xCD);
    }
}

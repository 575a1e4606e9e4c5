//! MQTT packets for bare sockets, written from the standard and from nothing of ours, so that a mistake of the
//! broker's codec cannot hide behind the same mistake here.

/// The byte that names a version in CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// MQTT 3.1.1
    V4 = 4,
    /// MQTT 5.0
    V5 = 5,
}

/// A packet of this first byte and body, with its length between them.
pub fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first_byte];
    packet.extend(variable_byte_integer(body.len()));
    packet.extend(body);
    packet
}

/// A length in up to four bytes.
pub fn variable_byte_integer(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// Bytes with their length in two bytes before them.
pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("a test's strings are short");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// CONNECT without a will, a user or properties. `keep_alive` is in seconds.
pub fn connect(version: Version, client_id: &str, clean: bool, keep_alive: u16) -> Vec<u8> {
    connect_with(version, client_id, clean, keep_alive, &[])
}

/// [`connect`] with properties (5.0).
pub fn connect_with(
    version: Version,
    client_id: &str,
    clean: bool,
    keep_alive: u16,
    properties: &[u8],
) -> Vec<u8> {
    let mut body = string("MQTT");
    body.extend([version as u8, if clean { 2 } else { 0 }]);
    body.extend(keep_alive.to_be_bytes());
    body.extend(with_length(version, properties));
    body.extend(string(client_id));
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter with these options.
pub fn subscribe(version: Version, packet_id: u16, filter: &str, options: u8) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    body.extend(with_length(version, &[]));
    body.extend(string(filter));
    body.push(options);
    packet(0x82, &body)
}

/// PUBLISH, not retained; `packet_id` is left out at QoS 0.
pub fn publish(version: Version, topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = string(topic);
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(with_length(version, &[]));
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, which look alike in their shortest form.
pub fn acknowledge(first_byte: u8, packet_id: u16) -> Vec<u8> {
    packet(first_byte, &packet_id.to_be_bytes())
}

/// DISCONNECT, normal.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xc0, 0];

fn with_length(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V4 => Vec::new(),
        Version::V5 => [variable_byte_integer(properties.len()), properties.to_vec()].concat(),
    }
}

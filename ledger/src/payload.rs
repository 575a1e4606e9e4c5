//! What a message carries: who published it, its number, and filling by which a mangled one is found.
//! `paho/publisher.py` writes the same.

/// The payload of a publisher's message, at least `size` bytes long.
pub fn write(publisher: usize, sequence: usize, size: usize) -> Vec<u8> {
    let mut payload = format!("{publisher} {sequence} ").into_bytes();
    for position in payload.len()..size {
        payload.push(filling(sequence, position));
    }
    payload
}

/// The publisher and the number, if the payload is as it was written.
pub fn read(payload: &[u8]) -> Option<(usize, usize)> {
    let mut words = payload.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let (publisher, sequence) = (number()?, number()?);
    (write(publisher, sequence, payload.len()) == payload).then_some((publisher, sequence))
}

fn filling(sequence: usize, position: usize) -> u8 {
    b'a' + (sequence.wrapping_add(position) % 26) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_back_and_a_mangled_one_is_not() {
        for size in [0, 8, 300] {
            assert_eq!(read(&write(3, 1234, size)), Some((3, 1234)));
        }
        let mut mangled = write(3, 1234, 300);
        mangled[200] ^= 1;
        assert_eq!(read(&mangled), None);
        assert_eq!(read(b"3"), None);
        assert_eq!(read(b""), None);
    }
}

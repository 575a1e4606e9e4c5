//! `psk_file`: identities and their keys, as `IDENTITY:KEY` with the key in hexadecimal.

use super::{Told, is_space};
use crate::problem::access;

/// All that is wrong with the file. Nothing uses the keys yet.
pub(super) fn check(source: &[u8]) -> Told {
    let mut told = Told::new();
    for (line, number) in source.split(|byte| *byte == b'\n').zip(1..) {
        if line.first() == Some(&b'#') || !line.contains(&b':') {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split(':').filter(|field| !field.is_empty());
        let identity = fields.next().unwrap_or_default().trim_matches(is_space);
        let key = fields.next().unwrap_or_default().trim_matches(is_space);
        if key.is_empty() {
            told.push((number, access::psk_missing(identity)));
        } else if !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            told.push((number, access::psk_not_hexadecimal(identity)));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hexadecimal() {
        assert_eq!(check(b"# a:x\n\na:00ff\r\n b : Ab \nnothing\n"), []);
        let told = check(b"a:\nb:0g\nc:0x1\n");
        let found: Vec<_> = told.iter().map(|(line, problem)| (*line, problem.original.as_str())).collect();
        assert_eq!(
            found,
            [
                (1, "Error: Empty psk for identity \"a\"."),
                (2, "Error: psk for identity \"b\" contains non-hexadecimal characters."),
                (3, "Error: psk for identity \"c\" contains non-hexadecimal characters."),
            ]
        );
    }
}

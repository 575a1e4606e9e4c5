//! A length of time with its unit.

use std::time::Duration;

use super::text;
use crate::lexer::Words;
use crate::problem::{Problem, word};

const DAY: u64 = 24 * 60 * 60;

/// The next word as a length of time: digits and one letter. It is never zero.
pub(super) fn parse(name: &str, words: &mut Words<'_>) -> Result<Duration, Problem> {
    let found = text::word(name, words)?;
    let unit = match found.as_bytes().last() {
        Some(b's') => 1,
        Some(b'h') => 60 * 60,
        Some(b'd') => DAY,
        Some(b'w') => 7 * DAY,
        Some(b'm') => 30 * DAY,
        Some(b'y') => 365 * DAY,
        _ => return Err(word::not_a_span(name, found)),
    };
    match found[..found.len() - 1].parse::<u32>() {
        Ok(count @ 1..) => Ok(Duration::from_secs(u64::from(count) * unit)),
        _ => Err(word::not_a_span(name, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &str, seconds: Option<u64>) {
        let expected = seconds.map(Duration::from_secs).ok_or_else(|| word::not_a_span("x", found));
        assert_eq!(parse("x", &mut Words::new(found)), expected, "{found:?}");
    }

    #[test]
    fn units() {
        check("1s", Some(1));
        check("2h", Some(7200));
        check("1d", Some(86400));
        check("2w", Some(14 * 86400));
        check("2m", Some(60 * 86400));
        check("1y", Some(365 * 86400));
        check("4294967295y", Some(4_294_967_295 * 365 * 86400));
    }

    #[test]
    fn no_span() {
        for found in ["1", "s", "0d", "-1d", "1x", "1.5h", "4294967296s", "1é", "é"] {
            check(found, None);
        }
    }
}

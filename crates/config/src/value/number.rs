//! Numbers as C's `strtol` reads them with base 0.

use super::{Outside, text};
use crate::lexer::Words;
use crate::problem::{Problem, word};

const INT_MAX: i64 = i32::MAX as i64;

/// The next word as a number within its bounds.
pub(super) fn bounded(
    name: &str,
    words: &mut Words<'_>,
    (min, max): (i64, i64),
    outside: Outside,
    notes: &mut Vec<Problem>,
) -> Result<i64, Problem> {
    let found = text::word(name, words)?;
    let number = match max {
        ..=INT_MAX => parse(name, found)?,
        _ => parse_long(name, found)?,
    };
    match outside {
        _ if (min..=max).contains(&number) => Ok(number),
        Outside::Raise if number < min => Ok(min),
        Outside::RaiseAndTell if number < min => {
            notes.push(word::too_low(name, number, min));
            Ok(min)
        }
        Outside::LowerAndTell if number > max => {
            notes.push(word::too_high(name, number, max));
            Ok(max)
        }
        _ => Err(word::outside(name, number, min, max)),
    }
}

/// A word as a number that fits a C `int`, where Mosquitto holds it.
pub(super) fn parse(name: &str, found: &str) -> Result<i64, Problem> {
    let number = parse_long(name, found)?;
    match i32::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(word::too_large_a_number(name, found)),
    }
}

fn parse_long(name: &str, found: &str) -> Result<i64, Problem> {
    // strtol skips what C's isspace names; of that only these can be inside a word.
    let digits = found.trim_start_matches(['\t', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match digits.as_bytes().first() {
        Some(b'-') => (true, &digits[1..]),
        Some(b'+') => (false, &digits[1..]),
        _ => (false, digits),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(word::not_a_number(name, found));
    }
    // Only digits are left, so what fails to parse is too large.
    let magnitude = i64::from_str_radix(digits, radix).unwrap_or(i64::MAX);
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_c_numbers() {
        for (found, number) in [
            ("0", 0),
            ("10", 10),
            ("-1", -1),
            ("+7", 7),
            ("0x10", 16),
            ("0X1f", 31),
            ("-0x1", -1),
            ("010", 8),
            ("00", 0),
            ("\t5", 5),
            ("2147483647", i64::from(i32::MAX)),
            ("-2147483648", i64::from(i32::MIN)),
        ] {
            assert_eq!(parse("port", found), Ok(number), "{found:?}");
        }
    }

    #[test]
    fn junk_is_no_number() {
        for found in
            ["", "x", "10x", "0x", "08", "0xg", "1.5", "--1", "+", "1_000", "١", "+-1", "0x-1", "5\t"]
        {
            assert_eq!(parse("port", found), Err(word::not_a_number("port", found)), "{found:?}");
        }
    }

    #[test]
    fn numbers_fit_a_c_int() {
        for found in ["2147483648", "-2147483649", "0xffffffff", "99999999999999999999999999"] {
            assert_eq!(parse("port", found), Err(word::too_large_a_number("port", found)), "{found:?}");
        }
        assert_eq!(parse_long("memory_limit", "8000000000"), Ok(8_000_000_000));
        assert_eq!(parse_long("memory_limit", "-99999999999999999999"), Ok(-i64::MAX));
    }
}

//! Reading a format: `%[-|0][width][.precision][separator]C`, `@C` and `\C`.

use crate::failure::Failure;

use super::Moment;

/// A part of a format.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    Literal(Vec<u8>),
    Value(Value, Field),
    /// `@X`: the strftime conversion `%X`.
    Time(String),
    /// `@N`
    Nanoseconds,
}

/// What `%C` stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Topic,
    Payload,
    PayloadHex { upper: bool },
    PayloadDouble,
    PayloadFloat,
    PayloadLength,
    QoS,
    Retain,
    PacketId,
    TopicAlias,
    ContentType,
    CorrelationData,
    MessageExpiry,
    PayloadFormat,
    ResponseTopic,
    SubscriptionIdentifier,
    UserProperties,
    IsoTime,
    UnixTime,
    Json,
    JsonPayload,
}

/// The space that a value fills.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Field {
    pub(super) align: Align,
    /// Bytes at least.
    pub(super) width: usize,
    /// Bytes at most, of text.
    pub(super) precision: Option<usize>,
    /// Between the bytes of `%x`.
    pub(super) separator: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Align {
    #[default]
    Right,
    RightWithZeros,
    Left,
}

/// Wider fields are refused: they would be a way to run out of memory.
const WIDTH_MAX: usize = 10_000;

/// What may stand between the bytes of `%x`.
const SEPARATORS: &str = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ ";

pub(super) fn parse(format: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        match character {
            '%' => match parse_value(&mut rest)? {
                None => literal(&mut pieces, '%'),
                Some((value, field)) => pieces.push(Piece::Value(value, field)),
            },
            '@' => match rest.next().ok_or_else(incomplete)? {
                '@' => literal(&mut pieces, '@'),
                'N' => pieces.push(Piece::Nanoseconds),
                conversion => {
                    let directive = format!("%{conversion}");
                    if !Moment::knows(&directive) {
                        return Err(Failure::usage(format!(
                            "Error: Invalid format specifier '@{conversion}'."
                        )));
                    }
                    pieces.push(Piece::Time(directive));
                }
            },
            '\\' => {
                let escaped = match rest.next() {
                    None => return Err(Failure::usage("Error: Incomplete escape specifier.")),
                    Some('\\') => '\\',
                    Some('0') => '\0',
                    Some('a') => '\x07',
                    Some('e') => '\x1b',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('v') => '\x0b',
                    Some(other) => {
                        return Err(Failure::usage(format!("Error: Invalid escape specifier '{other}'.")));
                    }
                };
                literal(&mut pieces, escaped);
            }
            other => literal(&mut pieces, other),
        }
    }
    Ok(pieces)
}

fn incomplete() -> Failure {
    Failure::usage("Error: Incomplete format specifier.")
}

/// Consecutive characters are one piece.
fn literal(pieces: &mut Vec<Piece>, character: char) {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    match pieces.last_mut() {
        Some(Piece::Literal(text)) => text.extend_from_slice(bytes),
        _ => pieces.push(Piece::Literal(bytes.to_vec())),
    }
}

/// What stands behind a `%`; `None` is a percent sign.
fn parse_value(rest: &mut std::str::Chars<'_>) -> Result<Option<(Value, Field)>, Failure> {
    let mut field = Field::default();
    let mut next = rest.next().ok_or_else(incomplete)?;
    if let '-' | '0' = next {
        field.align = if next == '-' { Align::Left } else { Align::RightWithZeros };
        next = rest.next().ok_or_else(incomplete)?;
    }
    while let Some(digit) = next.to_digit(10) {
        field.width = number(field.width, digit)?;
        next = rest.next().ok_or_else(incomplete)?;
    }
    if next == '.' {
        next = rest.next().ok_or_else(incomplete)?;
        let mut precision = 0;
        while let Some(digit) = next.to_digit(10) {
            precision = number(precision, digit)?;
            next = rest.next().ok_or_else(incomplete)?;
        }
        // `%.t` limits nothing.
        field.precision = Some(precision).filter(|precision| *precision > 0);
    }
    if SEPARATORS.contains(next) {
        field.separator = Some(next as u8);
        next = rest.next().ok_or_else(incomplete)?;
    }
    let value = match next {
        '%' => return Ok(None),
        't' => Value::Topic,
        'p' => Value::Payload,
        'x' => Value::PayloadHex { upper: false },
        'X' => Value::PayloadHex { upper: true },
        'd' => Value::PayloadDouble,
        'f' => Value::PayloadFloat,
        'l' => Value::PayloadLength,
        'q' => Value::QoS,
        'r' => Value::Retain,
        'm' => Value::PacketId,
        'A' => Value::TopicAlias,
        'C' => Value::ContentType,
        'D' => Value::CorrelationData,
        'E' => Value::MessageExpiry,
        'F' => Value::PayloadFormat,
        'R' => Value::ResponseTopic,
        'S' => Value::SubscriptionIdentifier,
        'P' => Value::UserProperties,
        'I' => Value::IsoTime,
        'U' => Value::UnixTime,
        'j' => Value::Json,
        'J' => Value::JsonPayload,
        other => return Err(Failure::usage(format!("Error: Invalid format specifier '{other}'."))),
    };
    Ok(Some((value, field)))
}

fn number(sofar: usize, digit: u32) -> Result<usize, Failure> {
    let number = sofar * 10 + digit as usize;
    if number > WIDTH_MAX {
        return Err(Failure::usage(format!("Error: Field width or precision is beyond {WIDTH_MAX}.")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_all_its_parts() {
        let field = Field { align: Align::Left, width: 12, precision: Some(3), separator: None };
        assert_eq!(parse("%-12.3t"), Ok(vec![Piece::Value(Value::Topic, field)]));
        let field = Field { align: Align::RightWithZeros, width: 5, precision: None, separator: Some(b':') };
        assert_eq!(parse("%05:x"), Ok(vec![Piece::Value(Value::PayloadHex { upper: false }, field)]));
        let literal = |text: &str| Piece::Literal(text.into());
        let topic = Piece::Value(Value::Topic, Field::default());
        assert_eq!(parse("é%%\\n%tb"), Ok(vec![literal("é%\n"), topic, literal("b")]));
    }

    #[test]
    fn mistakes_in_mosquittos_words() {
        let check = |format: &str, expected: &str| {
            assert_eq!(parse(format), Err(Failure::usage(expected)), "{format}");
        };
        for format in ["x%", "%5", "%-", "%.", "%.3", "%:", "@"] {
            check(format, "Error: Incomplete format specifier.");
        }
        check("%z", "Error: Invalid format specifier 'z'.");
        check("%0-5l", "Error: Invalid format specifier '5'.");
        check("%é", "Error: Invalid format specifier 'é'.");
        check("@\u{1}", "Error: Invalid format specifier '@\u{1}'.");
        check("x\\", "Error: Incomplete escape specifier.");
        check("x\\q", "Error: Invalid escape specifier 'q'.");
        check("%10001t", "Error: Field width or precision is beyond 10000.");
        check("%.99999999999999999999t", "Error: Field width or precision is beyond 10000.");
    }
}

//! How a received message is printed: plainly, or in the format language of `-F`, which is Mosquitto's.

mod json;
mod moment;
mod template;

use std::io::Write;

use noctule_client::protocol::QoS;
use noctule_client::protocol::property::Properties;

use crate::failure::Failure;
use json::PayloadAs;
pub(crate) use moment::Moment;
use template::{Align, Field, Piece, Value};

/// A message to be printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) properties: &'a Properties<'a>,
}

/// How messages are printed.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct MessageFormat {
    layout: Layout,
    /// Each message ends its line.
    newline: bool,
}

#[derive(Debug, Eq, PartialEq)]
enum Layout {
    /// An empty message prints nothing at all, not even its line.
    Payload,
    TopicAndPayload,
    Template(Vec<Piece>),
}

/// `%J` met a payload that is none. What comes before and behind it is printed all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InvalidJson;

impl MessageFormat {
    /// The payload, and with `verbose` the topic before it.
    pub(crate) const fn plain(verbose: bool, newline: bool) -> Self {
        let layout = if verbose { Layout::TopicAndPayload } else { Layout::Payload };
        Self { layout, newline }
    }

    /// Reads a format of `-F`.
    pub(crate) fn parse(format: &str, newline: bool) -> Result<Self, Failure> {
        Ok(Self { layout: Layout::Template(template::parse(format)?), newline })
    }

    /// Appends one message. The payload is never changed, whatever bytes it has.
    pub(crate) fn print(
        &self,
        message: &Message<'_>,
        received: &Moment,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidJson> {
        let mut result = Ok(());
        match &self.layout {
            Layout::Payload if message.payload.is_empty() => return Ok(()),
            Layout::TopicAndPayload if message.payload.is_empty() => {
                if !self.newline {
                    return Ok(());
                }
                out.extend_from_slice(message.topic.as_bytes());
                out.extend_from_slice(b" (null)");
            }
            Layout::Payload => out.extend_from_slice(message.payload),
            Layout::TopicAndPayload => {
                out.extend_from_slice(message.topic.as_bytes());
                out.push(b' ');
                out.extend_from_slice(message.payload);
            }
            Layout::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(bytes) => out.extend_from_slice(bytes),
                        Piece::Time(directive) => {
                            out.extend_from_slice(received.strftime(directive).as_bytes())
                        }
                        Piece::Nanoseconds => out.extend_from_slice(received.nanoseconds().as_bytes()),
                        Piece::Value(value, field) => {
                            result = result.and(print_value(*value, field, message, received, out));
                        }
                    }
                }
            }
        }
        if self.newline {
            out.push(b'\n');
        }
        result
    }
}

fn print_value(
    value: Value,
    field: &Field,
    message: &Message<'_>,
    received: &Moment,
    out: &mut Vec<u8>,
) -> Result<(), InvalidJson> {
    let Message { topic, payload, qos, retain, packet_id, properties } = *message;
    match value {
        Value::Topic => field.put_text(Some(topic), out),
        Value::Payload => field.put_padded(payload, field.zero_fill(), out),
        Value::PayloadHex { upper } => {
            let hex = hex(payload, upper, field.separator);
            field.put_padded(&hex, field.zero_fill(), out);
        }
        Value::PayloadDouble => field.put_number(payload_double(payload), out),
        Value::PayloadFloat => field.put_number(payload_float(payload), out),
        Value::PayloadLength => field.put_number(Some(payload.len()), out),
        // Mosquitto prints these two without a field.
        Value::QoS => out.push(b'0' + qos.level()),
        Value::Retain => out.push(b'0' + u8::from(retain)),
        Value::PacketId => field.put_number(Some(packet_id), out),
        Value::TopicAlias => field.put_number(properties.topic_alias(), out),
        Value::ContentType => field.put_text(properties.content_type(), out),
        Value::CorrelationData => out.extend_from_slice(properties.correlation_data().unwrap_or_default()),
        Value::MessageExpiry => field.put_number(properties.message_expiry_interval(), out),
        Value::PayloadFormat => field.put_number(properties.payload_format_indicator(), out),
        Value::ResponseTopic => field.put_text(properties.response_topic(), out),
        Value::SubscriptionIdentifier => field.put_number(properties.subscription_identifier(), out),
        Value::UserProperties => {
            for (index, (name, value)) in properties.user_properties().enumerate() {
                let blank = if index == 0 { "" } else { " " };
                out.extend_from_slice(format!("{blank}{name}:{value}").as_bytes());
            }
        }
        Value::IsoTime => out.extend_from_slice(received.iso().as_bytes()),
        Value::UnixTime => out.extend_from_slice(received.unix().as_bytes()),
        Value::Json => return json::print(message, received, PayloadAs::Text, out),
        Value::JsonPayload => return json::print(message, received, PayloadAs::Json, out),
    }
    Ok(())
}

impl Field {
    fn put_text(&self, text: Option<&str>, out: &mut Vec<u8>) {
        let text = text.unwrap_or_default().as_bytes();
        let length = self.precision.unwrap_or(usize::MAX).min(text.len());
        self.put_padded(&text[..length], b' ', out);
    }

    fn put_number(&self, number: Option<impl ToString>, out: &mut Vec<u8>) {
        match number {
            // A missing property leaves its field blank.
            None => self.put_padded(b"", b' ', out),
            Some(number) => self.put_padded(number.to_string().as_bytes(), self.zero_fill(), out),
        }
    }

    const fn zero_fill(&self) -> u8 {
        match self.align {
            Align::RightWithZeros => b'0',
            Align::Right | Align::Left => b' ',
        }
    }

    fn put_padded(&self, bytes: &[u8], fill: u8, out: &mut Vec<u8>) {
        let padding = self.width.saturating_sub(bytes.len());
        if self.align != Align::Left {
            out.extend(std::iter::repeat_n(fill, padding));
        }
        out.extend_from_slice(bytes);
        if self.align == Align::Left {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
    }
}

fn hex(payload: &[u8], upper: bool, separator: Option<u8>) -> Vec<u8> {
    let mut hex = Vec::with_capacity(payload.len() * 3);
    for (index, byte) in payload.iter().enumerate() {
        hex.extend(separator.filter(|_| index > 0));
        // A Vec takes all.
        let _ = if upper { write!(hex, "{byte:02X}") } else { write!(hex, "{byte:02x}") };
    }
    hex
}

/// In the byte order of this machine, as the format is defined.
fn payload_double(payload: &[u8]) -> Option<String> {
    Some(format!("{:.6}", f64::from_ne_bytes(payload.try_into().ok()?)))
}

fn payload_float(payload: &[u8]) -> Option<String> {
    Some(format!("{:.6}", f32::from_ne_bytes(payload.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_client::protocol::property::Property;

    fn print_message(format: &str, message: &Message<'_>) -> String {
        let mut out = Vec::new();
        let moment = Moment::at(1_588_803_120, 12_345_678, "Europe/Berlin");
        MessageFormat::parse(format, false).unwrap().print(message, &moment, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// QoS 1, topic `x/y`, payload `hi`.
    fn print(format: &str) -> String {
        let message = Message {
            topic: "x/y",
            payload: b"hi",
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: 1,
            properties: &Properties::EMPTY,
        };
        print_message(format, &message)
    }

    fn with_properties(format: &str) -> String {
        let properties = Properties::new([
            Property::ContentType("text"),
            Property::UserProperty("a", "b"),
            Property::CorrelationData(b"zz"),
            Property::UserProperty("c", "d"),
            Property::PayloadFormatIndicator(1),
            Property::MessageExpiryInterval(100),
            Property::ResponseTopic("r/t"),
            Property::SubscriptionIdentifier(7),
            Property::TopicAlias(3),
        ]);
        let message = Message {
            topic: "x/y",
            payload: b"hi",
            qos: QoS::AtMostOnce,
            retain: true,
            packet_id: 0,
            properties: &properties,
        };
        print_message(format, &message)
    }

    // What Debian's mosquitto_sub 2.0.11 printed for the same.
    #[test]
    fn fields_of_mosquitto() {
        let check = |format, expected: &str| assert_eq!(print(format), expected, "{format}");
        check(
            "[%t][%10t][%-10t][%010t][%.2t][%10.2t]",
            "[x/y][       x/y][x/y       ][       x/y][x/][        x/]",
        );
        check(
            "[%p][%10p][%-10p][%010p][%.1p][%10.1p]",
            "[hi][        hi][hi        ][00000000hi][hi][        hi]",
        );
        check("[%l][%5l][%-5l][%05l][%.3l]", "[2][    2][2    ][00002][2]");
        check("[%q][%4q][%r][%3r][%m][%5m][%05m]", "[1][1][0][0][1][    1][00001]");
        check("[%A][%C][%D][%E][%F][%P][%R][%S]", "[][][][][][][][]");
        check("[%5A][%5C][%5D][%5E][%5F][%5P][%5R][%5S]", "[     ][     ][][     ][     ][][     ][     ]");
        check("%%|%5%|", "%|%|");
        check(r"a\t\n\\\e\0\a\v\r", "a\t\n\\\x1b\0\x07\x0b\r");
    }

    #[test]
    fn properties_of_mosquitto() {
        let check = |format, expected: &str| assert_eq!(with_properties(format), expected, "{format}");
        check("[%A][%C][%D][%E][%F][%P][%R][%S]", "[3][text][zz][100][1][a:b c:d][r/t][7]");
        check(
            "[%10.5C][%-10.2C][%.1R][%.2P][%.1D][%10D][%.1E]",
            "[      text][te        ][r][a:b c:d][zz][zz][100]",
        );
        check("%r %m", "1 0");
    }

    #[test]
    fn hex() {
        assert_eq!(print("%x %X %:x %-6x| %6x %06X %-x"), "6869 6869 68:69 6869  |   6869 006869 6869");
        let bytes = Message {
            topic: "t",
            payload: b"\xff\x00\xab",
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            properties: &Properties::EMPTY,
        };
        assert_eq!(print_message("%x %X % X", &bytes), "ff00ab FF00AB FF 00 AB");
    }

    #[test]
    fn numbers_in_the_payload() {
        let print = |format, payload: &[u8]| {
            let message = Message {
                topic: "t",
                payload,
                qos: QoS::AtMostOnce,
                retain: false,
                packet_id: 0,
                properties: &Properties::EMPTY,
            };
            print_message(format, &message)
        };
        assert_eq!(print("%d", &1.5_f64.to_ne_bytes()), "1.500000");
        assert_eq!(print("%10f", &(-2.25_f32).to_ne_bytes()), " -2.250000");
        assert_eq!(print("[%3d]", b"no"), "[   ]");
    }

    #[test]
    fn times() {
        assert_eq!(print("%I"), "2020-05-07T00:12:00+0200");
        assert_eq!(print("%U"), "1588803120.012345678");
        assert_eq!(print("@Y-@m-@d @H:@M:@S @N @s @@"), "2020-05-07 00:12:00 012345678 1588803120 @");
    }

    #[test]
    fn plain_output_ends_lines_and_shows_empty_messages_with_their_topic_only() {
        let print = |verbose, newline, payload: &[u8]| {
            let message = Message {
                topic: "t",
                payload,
                qos: QoS::AtMostOnce,
                retain: false,
                packet_id: 0,
                properties: &Properties::EMPTY,
            };
            let mut out = Vec::new();
            let moment = Moment::at(0, 0, "UTC");
            MessageFormat::plain(verbose, newline).print(&message, &moment, &mut out).unwrap();
            out
        };
        assert_eq!(print(false, true, b"\xff\x00"), b"\xff\x00\n");
        assert_eq!(print(false, false, b"\xff\x00"), b"\xff\x00");
        assert_eq!(print(false, true, b""), b"");
        assert_eq!(print(true, true, b"\xff"), b"t \xff\n");
        assert_eq!(print(true, false, b"\xff"), b"t \xff");
        assert_eq!(print(true, true, b""), b"t (null)\n");
        assert_eq!(print(true, false, b""), b"");
    }
}

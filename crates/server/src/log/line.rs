//! How a line looks.

use std::fmt::Write as _;

use noctule_config::{LogFormat, LogType};

use super::queue::Entry;
use super::stamp::Stamp;

/// Makes lines, without their ends.
#[derive(Debug)]
pub(super) struct LineFormat {
    format: LogFormat,
    stamp: Stamp,
}

impl LineFormat {
    pub(super) fn new(config: &noctule_config::Log) -> Self {
        Self { format: config.format, stamp: Stamp::new(&config.timestamp, config.format) }
    }

    pub(super) fn push(&mut self, to: &mut String, entry: &Entry) {
        let stamp = self.stamp.at(entry.seconds);
        match self.format {
            LogFormat::Text => {
                if let Some(stamp) = stamp {
                    to.push_str(stamp);
                    to.push_str(": ");
                }
                push_printable(to, &entry.line);
            }
            LogFormat::Json => push_object(to, stamp, entry),
        }
    }
}

/// One object: `time`, `level` and `message`, and what the line is about.
fn push_object(to: &mut String, stamp: Option<&str>, entry: &Entry) {
    let level = LogType::NAMES.iter().find(|(_, kind)| *kind == entry.kind).map_or("", |(name, _)| name);
    let subject = entry.subject.as_deref();
    let address = subject.and_then(|subject| subject.address).map(|address| address.to_string());
    let fields = [
        ("time", stamp),
        ("level", Some(level)),
        ("message", Some(&*entry.line)),
        ("client", subject.and_then(|subject| subject.client.as_deref())),
        ("address", address.as_deref()),
        ("reason", subject.and_then(|subject| subject.reason.as_deref())),
    ];
    let mut begin = '{';
    for (name, value) in fields {
        let Some(value) = value else { continue };
        to.push(begin);
        begin = ',';
        push_string(to, name);
        to.push(':');
        push_string(to, value);
    }
    to.push('}');
}

/// RFC 8259: what must be escaped, and what a terminal would obey.
fn push_string(to: &mut String, text: &str) {
    to.push('"');
    for c in text.chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\t' => to.push_str("\\t"),
            '\n' => to.push_str("\\n"),
            c if c.is_control() => {
                write!(to, "\\u{:04x}", u32::from(c)).expect("a String takes all");
            }
            c => to.push(c),
        }
    }
    to.push('"');
}

/// Appends `line` with its control characters made visible: topics and client identifiers come from the network, and
/// must neither forge a line nor talk to the terminal. Mosquitto's own lines use tabs.
fn push_printable(to: &mut String, line: &str) {
    if !line.chars().any(char::is_control) {
        return to.push_str(line);
    }
    for c in line.chars() {
        match c {
            '\t' => to.push(c),
            c if c.is_control() => to.extend(c.escape_default()),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use noctule_broker::LogSubject;
    use noctule_config::{Log as Config, Timestamp};

    use super::*;

    fn line(format: LogFormat, timestamp: Timestamp, entry: &Entry) -> String {
        let mut text = String::new();
        LineFormat::new(&Config { format, timestamp, ..Config::default() }).push(&mut text, entry);
        text
    }

    fn entry(line: &str) -> Entry {
        Entry { seconds: 1_700_000_000, kind: LogType::Notice, line: line.to_owned(), subject: None }
    }

    #[test]
    fn text_has_mosquittos_stamp() {
        let entry = entry("a\nb\tc\u{1b}[31m");
        assert_eq!(line(LogFormat::Text, Timestamp::UnixSeconds, &entry), "1700000000: a\\nb\tc\\u{1b}[31m");
        assert_eq!(line(LogFormat::Text, Timestamp::None, &entry), "a\\nb\tc\\u{1b}[31m");
    }

    #[test]
    fn json_has_a_field_for_what_is_at_hand() {
        let mut entry = entry("say \"a\\b\"\n\u{1b}\tö");
        let expected =
            r#"{"time":"2023-11-14T22:13:20Z","level":"notice","message":"say \"a\\b\"\n\u001b\tö"}"#;
        assert_eq!(line(LogFormat::Json, Timestamp::UnixSeconds, &entry), expected);
        entry.line = "Client a left.".to_owned();
        entry.subject = Some(Box::new(LogSubject {
            client: Some("a".into()),
            address: Some(([127, 0, 0, 1], 5000).into()),
            reason: Some("protocol error".to_owned()),
        }));
        let expected = r#"{"level":"notice","message":"Client a left.","client":"a","address":"127.0.0.1:5000","reason":"protocol error"}"#;
        assert_eq!(line(LogFormat::Json, Timestamp::None, &entry), expected);
        let expected = r#"{"time":"2023","level"#;
        assert!(line(LogFormat::Json, Timestamp::Format("%Y".to_owned()), &entry).starts_with(expected));
    }
}

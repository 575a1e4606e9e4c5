//! What stands in front of a log line.

use std::ffi::CString;
use std::fmt::Write;

use noctule_config::Timestamp;

use super::strftime::local_time;

/// Makes time stamps; the one of a second is made once.
#[derive(Debug)]
pub(super) struct Stamp {
    style: Style,
    /// The stamp with its `: `, and the second it is of.
    last: Option<(i64, String)>,
}

#[derive(Debug)]
enum Style {
    None,
    UnixSeconds,
    Format(CString),
}

impl Stamp {
    pub(super) fn new(timestamp: &Timestamp) -> Self {
        let style = match timestamp {
            Timestamp::None => Style::None,
            Timestamp::UnixSeconds => Style::UnixSeconds,
            Timestamp::Format(format) => {
                // The C library sees nothing behind a NUL.
                let visible = format.split('\0').next().unwrap_or_default();
                Style::Format(CString::new(visible).expect("cut before the first NUL"))
            }
        };
        Self { style, last: None }
    }

    /// The stamp of a line logged `seconds` after 1970, with its separator.
    pub(super) fn at(&mut self, seconds: i64) -> &str {
        let stale = self.last.as_ref().is_none_or(|(of, _)| *of != seconds);
        if stale {
            let mut text = String::new();
            match &self.style {
                Style::None => {}
                Style::UnixSeconds => write!(text, "{seconds}: ").expect("a String takes all"),
                Style::Format(format) => {
                    text = local_time(format, seconds).unwrap_or_else(|| "Time error".to_owned());
                    text.push_str(": ");
                }
            }
            self.last = Some((seconds, text));
        }
        self.last.as_ref().map_or("", |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(timestamp: Timestamp, seconds: i64, expected: &str) {
        assert_eq!(Stamp::new(&timestamp).at(seconds), expected);
    }

    #[test]
    fn mosquittos_prefixes() {
        check(Timestamp::None, 1_700_000_000, "");
        check(Timestamp::UnixSeconds, 1_700_000_000, "1700000000: ");
        // Mid-year, so that no time zone reaches another one.
        check(Timestamp::Format("%Y".to_owned()), 1_688_212_800, "2023: ");
        check(Timestamp::Format("no conversion".to_owned()), 0, "no conversion: ");
        check(Timestamp::Format("a\0b".to_owned()), 0, "a: ");
        check(Timestamp::Format(String::new()), 0, "Time error: ");
        check(Timestamp::Format("x".repeat(5000)), 0, "Time error: ");
    }

    #[test]
    fn each_second_has_its_own_stamp() {
        let mut stamp = Stamp::new(&Timestamp::UnixSeconds);
        assert_eq!(stamp.at(1), "1: ");
        assert_eq!(stamp.at(1), "1: ");
        assert_eq!(stamp.at(2), "2: ");
    }
}

//! What stands in front of a log line: when it was logged.

use std::ffi::CString;

use noctule_config::{LogFormat, Timestamp};

use super::strftime::local_time;

/// Makes time stamps; the one of a second is made once.
#[derive(Debug)]
pub(super) struct Stamp {
    style: Style,
    /// The stamp, and the second it is of.
    last: Option<(i64, String)>,
}

#[derive(Debug)]
enum Style {
    None,
    UnixSeconds,
    /// Universal time, as in RFC 3339.
    Universal,
    Format(CString),
}

impl Stamp {
    /// Without a format of its own a line of text has Mosquitto's, and an object one that is understood everywhere.
    pub(super) fn new(timestamp: &Timestamp, format: LogFormat) -> Self {
        let style = match (timestamp, format) {
            (Timestamp::None, _) => Style::None,
            (Timestamp::UnixSeconds, LogFormat::Text) => Style::UnixSeconds,
            (Timestamp::UnixSeconds, LogFormat::Json) => Style::Universal,
            (Timestamp::Format(format), _) => {
                // The C library sees nothing behind a NUL.
                let visible = format.split('\0').next().unwrap_or_default();
                Style::Format(CString::new(visible).expect("cut before the first NUL"))
            }
        };
        Self { style, last: None }
    }

    /// The stamp of a line logged `seconds` after 1970, if lines have one.
    pub(super) fn at(&mut self, seconds: i64) -> Option<&str> {
        let stale = self.last.as_ref().is_none_or(|(of, _)| *of != seconds);
        if stale {
            let text = match &self.style {
                Style::None => return None,
                Style::UnixSeconds => seconds.to_string(),
                Style::Universal => universal_time(seconds),
                Style::Format(format) => {
                    local_time(format, seconds).unwrap_or_else(|| "Time error".to_owned())
                }
            };
            self.last = Some((seconds, text));
        }
        self.last.as_ref().map(|(_, text)| text.as_str())
    }
}

/// `seconds` after 1970 as in `2023-11-14T22:13:20Z`.
fn universal_time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin with March here, so that the odd day of a leap year is the last one; 400 of them are an era.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + 400 * era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(timestamp: Timestamp, seconds: i64, expected: Option<&str>) {
        assert_eq!(Stamp::new(&timestamp, LogFormat::Text).at(seconds), expected);
    }

    #[test]
    fn mosquittos_stamps() {
        check(Timestamp::None, 1_700_000_000, None);
        check(Timestamp::UnixSeconds, 1_700_000_000, Some("1700000000"));
        // Mid-year, so that no time zone reaches another one.
        check(Timestamp::Format("%Y".to_owned()), 1_688_212_800, Some("2023"));
        check(Timestamp::Format("no conversion".to_owned()), 0, Some("no conversion"));
        check(Timestamp::Format("a\0b".to_owned()), 0, Some("a"));
        check(Timestamp::Format(String::new()), 0, Some("Time error"));
        check(Timestamp::Format("x".repeat(5000)), 0, Some("Time error"));
    }

    #[test]
    fn each_second_has_its_own_stamp() {
        let mut stamp = Stamp::new(&Timestamp::UnixSeconds, LogFormat::Text);
        assert_eq!(stamp.at(1), Some("1"));
        assert_eq!(stamp.at(1), Some("1"));
        assert_eq!(stamp.at(2), Some("2"));
    }

    #[test]
    fn universal_times() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(universal_time(seconds), expected);
        }
    }
}

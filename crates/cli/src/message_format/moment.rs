//! When a message was received, in the time zone of this machine.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A moment of the wall clock.
#[derive(Debug)]
pub(crate) struct Moment(Zoned);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(Timestamp::now().to_zoned(TimeZone::system()))
    }

    /// `2020-05-06T22:12:00+0200`
    pub(super) fn iso(&self) -> String {
        self.strftime("%Y-%m-%dT%H:%M:%S%z")
    }

    /// The same with microseconds.
    pub(super) fn iso_with_microseconds(&self) -> String {
        self.strftime("%Y-%m-%dT%H:%M:%S.%6f%z")
    }

    /// Seconds after 1970 with nine decimals.
    pub(super) fn unix(&self) -> String {
        format!("{}.{}", self.0.timestamp().as_second(), self.nanoseconds())
    }

    /// Of the second, nine digits.
    pub(super) fn nanoseconds(&self) -> String {
        format!("{:09}", self.0.subsec_nanosecond())
    }

    /// Nothing for a conversion that is not [known](Self::knows).
    pub(super) fn strftime(&self, format: &str) -> String {
        strtime::format(format, &self.0).unwrap_or_default()
    }

    pub(super) fn knows(conversion: &str) -> bool {
        strtime::format(conversion, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)).is_ok()
    }

    #[cfg(test)]
    pub(super) fn at(seconds: i64, nanoseconds: i32, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        Self(Timestamp::new(seconds, nanoseconds).unwrap().to_zoned(zone))
    }
}

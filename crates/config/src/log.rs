//! Where log lines go and which of them.

use std::path::PathBuf;

/// Where log lines go, which of them, and what stands in front of each. A destination may be missing
/// altogether (`log_dest none`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// Write to standard output.
    pub stdout: bool,
    /// Write to standard error.
    pub stderr: bool,
    /// Append to this file.
    pub file: Option<PathBuf>,
    /// Send to the system's log.
    pub syslog: bool,
    /// What syslog is told that we are: one of its local facilities, 0 to 7; `None` is a daemon.
    pub facility: Option<u8>,
    /// Publish below `$SYS/broker/log`.
    pub topic: bool,
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written at all.
    pub types: LogTypes,
    /// What stands in front of each line.
    pub timestamp: Timestamp,
    /// Log each connect and disconnect.
    pub connection_messages: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            stdout: false,
            stderr: true,
            file: None,
            syslog: false,
            facility: None,
            topic: false,
            format: LogFormat::Text,
            types: LogTypes::default(),
            timestamp: Timestamp::UnixSeconds,
            connection_messages: true,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// As Mosquitto writes it.
    #[default]
    Text,
    /// An object with stable names.
    Json,
}

/// What stands in front of a log line, followed by `: `.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Timestamp {
    /// Nothing, not even the colon.
    None,
    /// Seconds since 1970.
    UnixSeconds,
    /// The local time in this `strftime` format.
    Format(String),
}

/// One kind of log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u16)]
pub enum LogType {
    /// Somebody must act.
    Error = 1,
    /// Something is odd.
    Warning = 1 << 1,
    /// Clients that come and go.
    Notice = 1 << 2,
    /// What the broker itself does.
    Information = 1 << 3,
    /// Packets.
    Debug = 1 << 4,
    /// Subscriptions made.
    Subscribe = 1 << 5,
    /// Subscriptions given up.
    Unsubscribe = 1 << 6,
    /// The WebSocket layer.
    Websockets = 1 << 7,
    /// The inner life of the broker.
    Internal = 1 << 8,
}

impl LogType {
    /// Every type with its name in `log_type`.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("error", Self::Error),
        ("warning", Self::Warning),
        ("notice", Self::Notice),
        ("information", Self::Information),
        ("debug", Self::Debug),
        ("subscribe", Self::Subscribe),
        ("unsubscribe", Self::Unsubscribe),
        ("websockets", Self::Websockets),
        ("internal", Self::Internal),
    ];
}

/// A set of [`LogType`]s. The default is error, warning, notice and information.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogTypes(u16);

impl LogTypes {
    /// No line at all.
    pub const NONE: Self = Self(0);
    /// Every line.
    pub const ALL: Self = Self(u16::MAX);

    /// As a number, for [`from_bits`](Self::from_bits).
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// What [`bits`](Self::bits) gave.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether lines of this type are written.
    pub const fn contains(self, kind: LogType) -> bool {
        self.0 & kind as u16 != 0
    }

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: LogType) -> Self {
        Self(self.0 | kind as u16)
    }
}

impl Default for LogTypes {
    fn default() -> Self {
        Self::NONE
            .with(LogType::Error)
            .with(LogType::Warning)
            .with(LogType::Notice)
            .with(LogType::Information)
    }
}

//! Under which name this process was started, and what it then calls itself.

/// The program that the user called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// `noctule broker`.
    Noctule,
    /// A link named `mosquitto`: texts, exit codes and defaults are Mosquitto's.
    Mosquitto,
}

impl Program {
    /// Its name, as in `mosquitto version 2.1.2 starting`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noctule => "noctule",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// Both, as in the log and below `$SYS`.
    pub fn full_version(self) -> String {
        format!("{} version {}", self.name(), self.version())
    }

    /// Its version; for Mosquitto the one whose behaviour is shown, and ours.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Noctule => env!("CARGO_PKG_VERSION"),
            Self::Mosquitto => concat!("2.1.2 (noctule ", env!("CARGO_PKG_VERSION"), ")"),
        }
    }
}

//! The history of a run, for people and for comparison.

use std::time::Duration;

/// Where lines of history go.
#[derive(Debug)]
pub enum Trace {
    /// Nowhere; they are not even made.
    Off,
    /// Into a number that differs if any line does.
    Hashed(u64),
    /// To standard output.
    Printed,
}

impl Trace {
    /// Whether lines go anywhere.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    pub(crate) fn line(&mut self, now: Duration, line: impl FnOnce() -> String) {
        match self {
            Self::Off => {}
            Self::Hashed(hash) => {
                // FNV-1a.
                for byte in now.as_nanos().to_le_bytes().into_iter().chain(line().into_bytes()) {
                    *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
                }
            }
            Self::Printed => println!("{:10.6} {}", now.as_secs_f64(), line()),
        }
    }
}

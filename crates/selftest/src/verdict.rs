//! How a case ends.

use crate::exchange::Event;
use crate::version::Version;

/// What a case found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The server behaves as the statements want.
    Passed,
    /// It does not.
    Deviates(Deviation),
    /// The server says that it does not offer what the case is about, or cannot be made to show it.
    NotApplicable(String),
}

/// What a server did that the standard does not allow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deviation {
    /// What the standard wants next.
    pub expected: String,
    /// What came instead.
    pub came: String,
    /// All that was sent and received until then.
    pub exchange: Vec<Event>,
}

impl Deviation {
    /// The last that was sent before it.
    pub fn sent(&self) -> Option<&Event> {
        self.exchange.iter().rev().find(|event| matches!(event.what, crate::What::Sent(_)))
    }
}

/// One case, run in one version.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The section of the table it stands in.
    pub section: &'static str,
    /// What the case says about a server.
    pub title: &'static str,
    /// In which version it ran.
    pub version: Version,
    /// The statements of that version that it proves.
    pub statements: Vec<&'static str>,
    /// How it ended.
    pub verdict: Verdict,
}

/// Why a case stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Deviates { expected: String, came: String },
    NotApplicable(String),
}

/// A step of a case.
pub(crate) type Step<T = ()> = Result<T, Stop>;

/// The server does not offer what the case needs.
pub(crate) fn not_applicable<T>(reason: impl Into<String>) -> Step<T> {
    Err(Stop::NotApplicable(reason.into()))
}

/// Fails the case unless `holds`.
pub(crate) fn check(holds: bool, expected: impl Into<String>, came: impl Into<String>) -> Step {
    if holds { Ok(()) } else { deviates(expected, came) }
}

/// Fails the case.
pub(crate) fn deviates<T>(expected: impl Into<String>, came: impl Into<String>) -> Step<T> {
    Err(Stop::Deviates { expected: expected.into(), came: came.into() })
}

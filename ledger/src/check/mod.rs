//! Reads the books and says what is wrong in them. It knows nothing of how they came about.

mod delivery;
mod due;
mod retained;
mod wills;

use std::fmt;

pub use due::Due;
pub use retained::expected as expected_retained;
pub use wills::Duty;

use crate::history::{History, Incident};

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A message was acknowledged, there was a subscription for it, and it never came.
    Lost,
    /// A message came twice at QoS 2, or to two members of a shared subscription.
    Doubled,
    /// A message came after a later one of its publisher, topic and QoS.
    Reordered,
    /// A message came that nobody published, to whom it was not for, or with another QoS.
    Unasked,
    /// A retained message is not the last one.
    Retained,
    /// A Will did not come though it was due, or came though it was not.
    Will,
    /// Messages are missing, and the broker counted more or fewer of them as dropped.
    Drops,
    /// What was seen when it happened.
    Incident(&'static str),
}

/// One fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Its kind.
    pub kind: Kind,
    /// Who, what, and what was expected.
    pub what: String,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered",
            Self::Unasked => "unasked",
            Self::Retained => "retained",
            Self::Will => "will",
            Self::Drops => "drops",
            Self::Incident(name) => name,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind.name(), self.what)
    }
}

/// All faults in these books.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = delivery::check(history);
    findings.extend(retained::check(history));
    findings.extend(wills::check(history));
    findings.extend(history.incidents.iter().map(|(incident, what)| {
        let name = match incident {
            Incident::Session => "session",
            Incident::Mangled => "mangled",
            Incident::Identifier => "identifier",
            Incident::Refused => "refused",
            Incident::Stuck => "stuck",
            Incident::Broker => "broker",
        };
        Finding { kind: Kind::Incident(name), what: what.clone() }
    }));
    findings
}

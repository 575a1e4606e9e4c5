//! THE problems of a configuration, one function each: what is wrong, how to mend it, and what Mosquitto says.

pub(crate) mod access;
pub(crate) mod block;
pub(crate) mod bridge;
pub(crate) mod file;
pub(crate) mod reload;
pub(crate) mod setting;
pub(crate) mod word;

use crate::diagnostic::Severity;

/// What is wrong and how to mend it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
    /// What Mosquitto says, verbatim; where it says nothing, `what` in its form.
    pub original: String,
    /// Mosquitto follows up with the line at fault.
    pub(crate) original_names_line: bool,
    /// What Mosquitto says on a second line.
    pub(crate) original_follow_up: Option<String>,
}

impl Problem {
    fn new(severity: Severity, what: String, mend: impl Into<String>) -> Self {
        let form = match severity {
            Severity::Error => "Error: ",
            Severity::Warning => "Warning: ",
            Severity::Notice => "",
        };
        let original = format!("{form}{what}.");
        Self {
            severity,
            what,
            mend: mend.into(),
            original,
            original_names_line: true,
            original_follow_up: None,
        }
    }

    pub(crate) fn error(what: String, mend: impl Into<String>) -> Self {
        Self::new(Severity::Error, what, mend)
    }

    pub(crate) fn warning(what: String, mend: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what, mend)
    }

    pub(crate) fn notice(what: String, mend: impl Into<String>) -> Self {
        Self::new(Severity::Notice, what, mend)
    }

    /// Mosquitto's own text for it.
    fn originally(self, original: impl Into<String>) -> Self {
        Self { original: original.into(), ..self }
    }

    /// Mosquitto says this on a line behind, instead of the line at fault.
    fn followed_by(self, follow_up: String) -> Self {
        Self { original_names_line: false, original_follow_up: Some(follow_up), ..self }
    }

    /// Mosquitto finds this after it read everything, and names no line.
    fn without_line(self) -> Self {
        Self { original_names_line: false, ..self }
    }
}

/// A value as it can be shown in a message: on one line, and not longer than a line.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = value.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    // Quotes stand in many topics and are harmless here.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if value.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

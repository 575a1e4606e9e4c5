//! What is wrong with a configuration, where, and how to mend it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::problem::Problem;

/// A line of a file.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// How much a diagnostic matters. Only errors keep the broker from starting.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// Something in it has no effect or another one than was asked for.
    Warning,
    /// It works, but there is a better way to say it.
    Notice,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        })
    }
}

/// A problem and where it is. Displayed as `error: broker.conf:12: what is wrong; how to mend it`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// What is wrong and how to mend it.
    pub problem: Problem,
    /// The line at fault; `None` if no line is (a file that cannot be read).
    pub at: Option<Position>,
    /// The `include_dir` line that led to the file.
    pub included_at: Option<Position>,
}

impl Diagnostic {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.problem.severity
    }

    /// What Mosquitto prints for this, line by line. Where Mosquitto has no such message, ours in its form.
    pub fn original(&self) -> Vec<String> {
        let mut lines = vec![self.problem.original.clone()];
        lines.extend(self.problem.original_follow_up.clone());
        if self.severity() == Severity::Error && self.problem.original_names_line {
            match (&self.at, &self.included_at) {
                (Some(at), Some(included_at)) => {
                    lines.push(format!("Error found at '{at}'."));
                    lines.push(format!("Error found at {included_at}."));
                }
                (Some(at), None) => lines.push(format!("Error found at {at}.")),
                (None, _) => {}
            }
        }
        lines
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity())?;
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        write!(f, "{}; {}", self.problem.what, self.problem.mend)
    }
}

/// All that keeps a configuration from being used, in the order of its lines. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostics {
    pub(crate) errors: Vec<Diagnostic>,
    /// There may be more.
    pub(crate) more: bool,
}

impl Diagnostics {
    /// Errors told; reading stops there, because a file with more of them is no configuration file.
    pub const TOLD_MAX: usize = 100;

    /// Each error, in the order of the lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.errors.iter()
    }

    /// What Mosquitto prints: it stops at the first error.
    pub fn original(&self) -> Vec<String> {
        self.errors.first().map(Diagnostic::original).unwrap_or_default()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.more { f.write_str("\nerror: and perhaps more; mend these first") } else { Ok(()) }
    }
}

impl std::error::Error for Diagnostics {}

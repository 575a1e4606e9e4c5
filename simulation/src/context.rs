//! What all parts of the simulated world share: time, chance, the network, and what is written down.

use std::rc::Rc;
use std::time::Duration;

use crate::facts::Facts;
use crate::network::Link;
use crate::plan::Plan;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::trace::Trace;

/// Broken promises that are kept.
const VIOLATIONS_MAX: usize = 100;

/// Passed to whoever acts.
#[derive(Debug)]
pub(crate) struct Context {
    /// Since the run began.
    pub(crate) now: Duration,
    /// The one source of chance.
    pub(crate) random: Random,
    /// What the seed decided beforehand.
    pub(crate) plan: Rc<Plan>,
    /// What happens next.
    pub(crate) schedule: Schedule,
    /// By number.
    pub(crate) links: Vec<Link>,
    /// What happened, for the checks.
    pub(crate) facts: Facts,
    /// What happened, for people.
    pub(crate) trace: Trace,
    /// What must not have happened.
    pub(crate) violations: Vec<Violation>,
    /// Whether a connection can be opened.
    pub(crate) broker_is_up: bool,
    /// Whether nothing goes wrong and nothing new is published any more.
    pub(crate) calm: bool,
    /// Counts what brings the run nearer to its end.
    pub(crate) progress: u64,
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// When it was noticed.
    pub at: Duration,
    /// Which check.
    pub check: &'static str,
    /// What it saw.
    pub what: String,
}

impl Context {
    pub(crate) fn new(plan: Plan, trace: Trace) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random::seeded(plan.seed ^ 0x5EED),
            plan: Rc::new(plan),
            schedule: Schedule::default(),
            links: Vec::new(),
            facts: Facts::default(),
            trace,
            violations: Vec::new(),
            broker_is_up: false,
            calm: false,
            progress: 0,
        }
    }

    /// Writes a line of history.
    pub(crate) fn trace(&mut self, line: impl FnOnce() -> String) {
        self.trace.line(self.now, line);
    }

    /// Notes a broken promise. Only the first ones are kept: one cause has many consequences.
    pub(crate) fn violation(&mut self, check: &'static str, what: String) {
        self.trace.line(self.now, || format!("VIOLATION {check}: {what}"));
        if !self.has_failed_badly() {
            self.violations.push(Violation { at: self.now, check, what });
        }
    }

    /// Whether so much is wrong that going on tells nothing new.
    pub(crate) fn has_failed_badly(&self) -> bool {
        self.violations.len() >= VIOLATIONS_MAX
    }

    /// The broker's log tells how connections ended: clients here break no rule, so none may be refused.
    pub(crate) fn broker_log(&mut self, line: &str) {
        const FINE: [&str; 6] = [
            "connection closed by client",
            "bad socket read/write: Connection reset by peer",
            "session taken over",
            "exceeded timeout",
            "server shutting down",
            "disconnect with will message",
        ];
        self.trace(|| format!("broker: {line}"));
        let why = line.strip_suffix('.').and_then(|line| line.split_once(" disconnected: "));
        let refused = why.is_some_and(|(_, why)| !FINE.contains(&why));
        if refused || line.starts_with("Error") {
            self.violation("protocol", format!("the broker says: {line}"));
        }
    }
}

//! Wills.

use std::time::{Duration, Instant};

use super::{Finding, Kind};
use crate::history::{Ended, History, Will};

/// What a Will must do by now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// It must have come, since then.
    Come(Instant),
    /// It must not come.
    Stay,
    /// Either is right: its session was taken up again about when it was due, or it may be due soon.
    Free,
}

/// How far the clocks of harness and broker may be apart in what they call the end of a connection.
const SLACK: Duration = Duration::from_millis(700);

impl Will {
    /// What it must do [MQTT-3.1.2-8] [MQTT-3.1.3-9].
    pub fn duty(&self, now: Instant) -> Duty {
        let lost = match self.ended {
            Ended::Open | Ended::InPeace => return Duty::Stay,
            Ended::Unsure => return Duty::Free,
            Ended::Lost(lost) => lost,
        };
        // Without a delay it is due with the loss, whoever comes after.
        if self.delay.is_zero() {
            return Duty::Come(lost);
        }
        if self.attempted && self.resumed.is_none() {
            return Duty::Free;
        }
        let back = self.resumed.unwrap_or(now);
        let since = self.restarted.map_or(lost, |restarted| restarted.max(lost));
        if back.saturating_duration_since(lost) + SLACK < self.delay {
            Duty::Stay
        } else if self.resumed.is_none() && back.saturating_duration_since(since) > self.delay {
            Duty::Come(since + self.delay)
        } else {
            Duty::Free
        }
    }
}

pub(super) fn check(history: &History) -> Vec<Finding> {
    let now = Instant::now();
    let fault = |will: &Will, why: &str| {
        let Will { name, payload, delay, ended, received, .. } = will;
        let what = format!(
            "{name}'s {payload:?} with a delay of {} s, whose connection ended as {ended:?}, came {} times: {why}",
            delay.as_secs(),
            received.len()
        );
        Finding { kind: Kind::Will, what }
    };
    history
        .wills
        .iter()
        .filter_map(|will| match will.duty(now) {
            Duty::Come(since) if will.received.is_empty() => {
                (now > since + SLACK).then(|| fault(will, "it was due"))
            }
            Duty::Stay if !will.received.is_empty() => Some(fault(will, "it was not due")),
            Duty::Come(_) | Duty::Stay | Duty::Free => {
                let lost = match will.ended {
                    Ended::Lost(lost) => lost,
                    Ended::Open | Ended::InPeace | Ended::Unsure => return None,
                };
                let is_early = will.received.iter().any(|at| *at + SLACK < lost + will.delay);
                is_early.then(|| fault(will, "it came too early"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_will_must_do() {
        let now = Instant::now();
        let ago = |millis| now - Duration::from_millis(millis);
        let will = |delay, ended, resumed, attempted| Will {
            name: String::new(),
            payload: String::new(),
            delay: Duration::from_secs(delay),
            ended,
            restarted: None,
            attempted,
            resumed,
            received: Vec::new(),
        };
        let lost = Ended::Lost(ago(5000));
        for (expected, will) in [
            (Duty::Stay, will(0, Ended::Open, None, false)),
            (Duty::Stay, will(0, Ended::InPeace, Some(now), true)),
            (Duty::Free, will(0, Ended::Unsure, None, false)),
            // Due with the loss, though the client is back.
            (Duty::Come(ago(5000)), will(0, lost, Some(ago(4900)), true)),
            (Duty::Come(ago(2000)), will(3, lost, None, false)),
            (Duty::Free, will(3, lost, None, true)),
            (Duty::Stay, will(3, lost, Some(ago(4000)), true)), // [MQTT-3.1.3-9]
            (Duty::Free, will(3, lost, Some(ago(2000)), true)),
            (Duty::Stay, will(30, lost, None, false)),
        ] {
            assert_eq!(will.duty(now), expected, "{will:?}");
        }
        let restarted = Will { restarted: Some(ago(1000)), ..will(3, lost, None, false) };
        assert_eq!(restarted.duty(now), Duty::Free, "the broker may have begun to count at its restart");
    }
}

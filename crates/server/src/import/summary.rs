//! What was taken, and what was not.

use std::fmt;

use noctule_mosquitto_db::LeftOut;

/// What an import took, in numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Sessions.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Copies of messages that wait to be sent.
    pub queued: u64,
    /// Exchanges with QoS 2 that go on where they were, in either direction.
    pub in_flight: u64,
    /// Retained messages.
    pub retained: u64,
    /// Wills.
    pub wills: u64,
    /// What was not taken, with the reason.
    pub left_out: LeftOut,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, subscriptions, queued, in_flight, retained, wills, left_out } = self;
        write!(f, "{sessions} sessions, {subscriptions} subscriptions, {queued} queued messages, ")?;
        write!(f, "{in_flight} unfinished QoS 2 exchanges, {retained} retained messages, {wills} Wills")?;
        if left_out.total() > 0 {
            let reasons: Vec<String> =
                left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            write!(f, "; not taken: {}", reasons.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_told_with_its_reason() {
        let mut summary = Summary { sessions: 2, queued: 3, ..Summary::default() };
        let nothing = "2 sessions, 0 subscriptions, 3 queued messages, 0 unfinished QoS 2 exchanges, \
                       0 retained messages, 0 Wills";
        assert_eq!(summary.to_string(), nothing);
        summary.left_out.count("messages that have expired");
        summary.left_out.count("messages that have expired");
        assert_eq!(summary.to_string(), format!("{nothing}; not taken: 2 messages that have expired"));
    }
}

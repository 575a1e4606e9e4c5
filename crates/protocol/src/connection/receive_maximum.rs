//! Receive Maximum from the receiver's side (section 4.9). The sender's side is the window of
//! [`Outgoing`](crate::delivery::Outgoing).

use crate::{DecodeError, ReasonCode};

/// Counts the QoS 1 and 2 messages of a peer that it has no PUBACK, PUBCOMP or refusing PUBREC for yet.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveQuota {
    maximum: u16,
    used: u16,
}

impl ReceiveQuota {
    /// What this end has announced.
    pub const fn new(maximum: u16) -> Self {
        Self { maximum, used: 0 }
    }

    /// A PUBLISH has arrived. The peer must not send more than it may (section 3.3.4).
    pub const fn take(&mut self) -> Result<(), DecodeError> {
        if self.used >= self.maximum {
            return Err(DecodeError {
                reason: ReasonCode::ReceiveMaximumExceeded,
                what: "more messages in flight than the receive maximum",
            });
        }
        self.used += 1;
        Ok(())
    }

    /// The exchange has ended.
    pub const fn give_back(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    /// Messages in flight.
    pub const fn used(&self) -> u16 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_maximum() {
        let mut quota = ReceiveQuota::new(2);
        quota.give_back();
        assert_eq!((quota.take(), quota.take()), (Ok(()), Ok(())));
        assert_eq!(quota.take().map_err(|error| error.reason), Err(ReasonCode::ReceiveMaximumExceeded));
        quota.give_back();
        assert_eq!(quota.take(), Ok(()));
        assert_eq!(quota.used(), 2);
    }
}

//! A client that publishes one numbered stream, or several.

use anyhow::Result;
use noctule_client::protocol::QoS;
use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::property::Properties;
use std::time::Duration;

use super::hub::{ClientIndex, Happening, Hub};
use super::tally::{Mark, shortfall};

/// Above so many messages without an acknowledgement it waits, so that a slow broker is not buried.
const UNACKNOWLEDGED_MAX: u64 = 1000;
/// What it sends at once when it is late.
const BURST_MAX: u64 = 100;

/// Publishes at a steady rate.
pub(crate) struct Publisher {
    pub(crate) client: ClientIndex,
    qos: QoS,
    per_second: u64,
    /// Messages that were due, sent or not.
    due: u64,
    /// What was due before it began.
    skipped: Option<u64>,
    sent: u64,
    done: u64,
    refused: u64,
}

impl Publisher {
    pub(crate) fn new(client: ClientIndex, qos: QoS, per_second: u64) -> Self {
        Self { client, qos, per_second, due: 0, skipped: None, sent: 0, done: 0, refused: 0 }
    }

    /// How many messages to publish now.
    pub(crate) fn due(&mut self, now: Duration) -> u64 {
        let due = (now.as_secs_f64() * self.per_second as f64) as u64;
        self.skipped.get_or_insert(due);
        let count = due.saturating_sub(self.due).min(BURST_MAX);
        self.due = due;
        count.min(UNACKNOWLEDGED_MAX.saturating_sub(self.sent - self.done))
    }

    pub(crate) fn publish(
        &mut self,
        hub: &mut Hub,
        topic: &str,
        mark: Mark,
        bytes: usize,
        retain: bool,
    ) -> Result<noctule_client::protocol::connection::client::Token> {
        let payload = mark.payload(bytes);
        let connection = hub.connection(self.client);
        let token = connection.publish(topic, &payload, self.qos, retain, Properties::EMPTY)?;
        self.sent += 1;
        Ok(token)
    }

    /// Takes what concerns its messages.
    pub(crate) fn handle(&mut self, happening: &Happening) {
        match happening {
            Happening::Event(ClientEvent::PublishDone { reason, .. }) => {
                self.done += 1;
                self.refused += u64::from(reason.is_error());
            }
            Happening::Event(ClientEvent::PublishLost { .. }) => {
                self.done += 1;
                self.refused += 1;
            }
            Happening::Event(_) | Happening::Ended(_) => {}
        }
    }

    /// Whether every message is acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.done >= self.sent
    }

    pub(crate) fn faults(&self, who: &str) -> Vec<String> {
        let open = self.sent - self.done;
        let lost = (open + self.refused > 0).then(|| {
            format!(
                "{who}: of {} messages {open} are not acknowledged and {} refused",
                self.sent, self.refused
            )
        });
        let late = shortfall(who, self.sent, self.due - self.skipped.unwrap_or(0));
        lost.into_iter().chain(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use noctule_client::protocol::ProtocolVersion;
    use noctule_client::protocol::connection::ConnectOptions;

    use super::*;

    /// Of a publisher that is asked every 5 ms from the second second to the twentieth, and for so long gets answers.
    fn faults(answered_for: Duration) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut hub = Hub::new(listener.local_addr().unwrap()).unwrap();
        let client = hub.open(ConnectOptions::new(ProtocolVersion::V5, "p".to_owned())).unwrap();
        let mut publisher = Publisher::new(client, QoS::AtLeastOnce, 200);
        for tick in 200..=4000 {
            let now = Duration::from_millis(5 * tick);
            publisher.sent += publisher.due(now);
            if now < answered_for {
                publisher.done = publisher.sent;
            }
        }
        publisher.done = publisher.sent;
        publisher.faults("p")
    }

    #[test]
    fn whoever_has_to_wait_too_long_publishes_too_little() {
        let none: [&str; 0] = [];
        assert_eq!(faults(Duration::from_secs(20)), none);
        assert_eq!(faults(Duration::from_secs(8)), none, "more than half");
        assert_eq!(faults(Duration::from_secs(4)), ["p: only 1699 of 3800 that were due, and half must be"]);
    }
}

//! The books: what publishers were promised, and what receivers got. They are kept by the harness, which is never killed,
//! so memory is enough; what foreign clients do is in files that they write line by line.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A place in the order of all that the harness saw.
pub type Moment = u64;

/// All books of one world: a broker's data directory and its clients.
#[derive(Clone, Debug, Default)]
pub struct History {
    now: Moment,
    /// By number.
    pub publishers: Vec<Publisher>,
    /// By number.
    pub receivers: Vec<Receiver>,
    /// Each Will that a broker was told and said so.
    pub wills: Vec<Will>,
    /// What was read of the retained messages, anew after each round: the value of each topic.
    pub retained: Option<BTreeMap<String, Value>>,
    /// What no book is needed for: a session that was forgotten, a payload that was mangled.
    pub incidents: Vec<(Incident, String)>,
    /// How many messages the broker says it dropped; `None` where nothing may be dropped.
    pub counted_drops: Option<u64>,
}

/// What is wrong when it happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Incident {
    /// A session that was acknowledged is not there any more.
    Session,
    /// A payload or topic is not what was published.
    Mangled,
    /// A Packet Identifier was used for another message before its exchange was over.
    Identifier,
    /// The broker refused something, or sent what is no packet.
    Refused,
    /// Nothing went on.
    Stuck,
    /// The broker ended, or did not start.
    Broker,
}

/// What a retained message holds: publisher and number.
pub type Value = (usize, usize);

/// Who publishes.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Its Client Identifier.
    pub name: String,
    /// Whether it repeats what was not acknowledged in its order.
    pub keeps_order: bool,
    /// By number, from 0.
    pub messages: Vec<Message>,
}

/// One message, from the first attempt to send it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its topic.
    pub topic: Rc<str>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// It has no payload: it deletes what is retained, and nobody notes it down.
    pub is_clear: bool,
    /// When it was first sent, at the latest.
    pub begun: Moment,
    /// Whether PUBACK or PUBCOMP came for it.
    pub acknowledged: bool,
}

/// Who subscribes.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its Client Identifier.
    pub name: String,
    /// Whether its session outlives its connections, so that it must get all.
    pub lasting: bool,
    /// The name of the shared subscription that it is a member of, with all its subscriptions.
    pub group: Option<Rc<str>>,
    /// Whether it has been given the time to receive all.
    pub drained: bool,
    /// What was granted to it. No two of its filters match one topic.
    pub subscriptions: Vec<Subscription>,
    /// In their order, each new exchange once.
    pub receipts: Vec<Receipt>,
    /// Of one whose session ends with its connections: each SUBACK of a later session, and how many receipts came before it.
    pub returns: Vec<(usize, Moment)>,
}

/// A subscription that was acknowledged.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Without the share name.
    pub filter: Rc<str>,
    /// The maximum that was asked for.
    pub qos: u8,
    /// When its SUBACK came.
    pub since: Moment,
}

/// A message that came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// Whose.
    pub publisher: usize,
    /// Its number.
    pub sequence: usize,
    /// With which it came.
    pub qos: u8,
}

/// A Will, from its CONNACK on.
#[derive(Clone, Debug)]
pub struct Will {
    /// Whose.
    pub name: String,
    /// Its payload tells it from those before.
    pub payload: String,
    /// The Will Delay Interval.
    pub delay: Duration,
    /// How its connection ended.
    pub ended: Ended,
    /// When the broker was last started since: it may not know how long the connection was lost before.
    pub restarted: Option<Instant>,
    /// Whether its client began to connect again: the broker may have seen that, though its answer was lost.
    pub attempted: bool,
    /// When the session was taken up again.
    pub resumed: Option<Instant>,
    /// When it came, each time.
    pub received: Vec<Instant>,
}

/// How the connection of a Will ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Not at all.
    Open,
    /// It was lost.
    Lost(Instant),
    /// By DISCONNECT; the broker saw it, for it lived on to take up the session again.
    InPeace,
    /// By a DISCONNECT that it may not have seen.
    Unsure,
}

impl History {
    /// The next moment.
    pub fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    /// A new publisher's number.
    pub fn publisher(&mut self, name: &str) -> usize {
        self.publishers.push(Publisher { name: name.to_owned(), keeps_order: true, messages: Vec::new() });
        self.publishers.len() - 1
    }

    /// A new receiver's number.
    pub fn receiver(&mut self, name: &str, lasting: bool, group: Option<&str>) -> usize {
        self.receivers.push(Receiver {
            name: name.to_owned(),
            lasting,
            group: group.map(Rc::from),
            drained: false,
            subscriptions: Vec::new(),
            receipts: Vec::new(),
            returns: Vec::new(),
        });
        self.receivers.len() - 1
    }

    /// A publisher is about to send a new message; its number.
    pub fn begin(
        &mut self,
        publisher: usize,
        topic: &Rc<str>,
        qos: u8,
        retain: bool,
        is_clear: bool,
    ) -> usize {
        let begun = self.tick();
        let messages = &mut self.publishers[publisher].messages;
        messages.push(Message { topic: Rc::clone(topic), qos, retain, is_clear, begun, acknowledged: false });
        messages.len() - 1
    }

    /// A publisher that keeps its own book began this message; its number.
    pub fn began(&mut self, publisher: usize, message: Message) -> usize {
        let messages = &mut self.publishers[publisher].messages;
        messages.push(message);
        messages.len() - 1
    }

    /// PUBACK or PUBCOMP came.
    pub fn acknowledged(&mut self, publisher: usize, sequence: usize) {
        self.tick();
        if let Some(message) = self.publishers[publisher].messages.get_mut(sequence) {
            message.acknowledged = true;
        }
    }

    /// SUBACK came.
    pub fn subscribed(&mut self, receiver: usize, filter: &Rc<str>, qos: u8) {
        let since = self.tick();
        self.receivers[receiver].subscriptions.push(Subscription { filter: Rc::clone(filter), qos, since });
    }

    /// SUBACK came in another session, where there was none of that filter.
    pub fn subscribed_anew(&mut self, receiver: usize) {
        let since = self.tick();
        let receiver = &mut self.receivers[receiver];
        receiver.returns.push((receiver.receipts.len(), since));
    }

    /// A message came as a new exchange.
    pub fn received(&mut self, receiver: usize, receipt: Receipt) {
        self.tick();
        self.receivers[receiver].receipts.push(receipt);
    }

    /// Something is wrong.
    pub fn incident(&mut self, incident: Incident, what: impl Into<String>) {
        self.incidents.push((incident, what.into()));
    }

    /// How many messages were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        let messages = self.publishers.iter().flat_map(|publisher| &publisher.messages);
        messages.filter(|message| message.acknowledged).count()
    }

    /// How many messages came.
    pub fn receipt_count(&self) -> usize {
        self.receivers.iter().map(|receiver| receiver.receipts.len()).sum()
    }
}

impl Receiver {
    /// Its subscription that matches the topic.
    pub fn subscription(&self, topic: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| matches(&subscription.filter, topic))
    }
}

/// Whether a Topic Filter matches a Topic Name.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_match_levels() {
        for (filter, topic, expected) in [
            ("l/#", "l/1/2", true),
            ("l/+/1", "l/3/1", true),
            ("l/+/1", "l/3/2", false),
            ("l/+", "l/3/2", false),
            ("l/3/2", "l/3", false),
            ("l/#", "l", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }
}

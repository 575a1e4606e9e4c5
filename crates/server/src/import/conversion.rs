//! From Mosquitto's terms to ours.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use noctule_broker::record::{self, List, Operation, Recipient, SessionRecord};
use noctule_broker::{
    Identifiers, ListenerIndex, Message, MessageView, Publisher, RetainedMessage, Sequence, SessionNumber,
    Will,
};
use noctule_mosquitto_db::{Client, Contents, Copy, CopyState, Direction, Format, LeftOut, StoredMessage};
use noctule_protocol::packet::{RetainHandling, SubscriptionOptions};
use noctule_protocol::property::{Properties, PropertyPlace};
use noctule_protocol::{ClientId, PacketId, QoS, SubscriptionFilter, TopicName};

use super::Summary;
use super::order::{Place, places};

/// A Session Expiry Interval that never ends.
const NEVER: u32 = u32::MAX;
/// The longest Topic Filter that can be stored: a key holds a session's number besides.
const FILTER_BYTES_MAX: usize = 65_535 - 8;
/// Where all messages seem to come from: each start of a broker takes higher ones.
const SOURCE: u32 = 1;

/// One conversion. Takes `contents` apart in the order in which rows refer to each other.
pub(crate) struct Conversion<'a> {
    contents: &'a Contents,
    wall: Duration,
    sessions: HashMap<&'a str, SessionNumber>,
    messages: HashMap<u64, &'a StoredMessage>,
    wills: HashMap<&'a str, &'a noctule_mosquitto_db::Will>,
    /// Packet Identifiers in use: of whom, which way, and which.
    taken: HashSet<(SessionNumber, bool, PacketId)>,
    counter: u64,
    summary: Summary,
}

impl<'a> Conversion<'a> {
    /// `wall` is the time since the Unix epoch.
    pub(crate) fn new(contents: &'a Contents, wall: Duration) -> Self {
        Self {
            contents,
            wall,
            sessions: HashMap::new(),
            messages: HashMap::new(),
            wills: contents.wills.iter().map(|will| (&*will.client, will)).collect(),
            taken: HashSet::new(),
            counter: 0,
            summary: Summary { left_out: contents.left_out.clone(), ..Summary::default() },
        }
    }

    /// Gives every operation to `store`, until that fails.
    pub(crate) fn run<E>(mut self, mut store: impl FnMut(&Operation) -> Result<(), E>) -> Result<Summary, E> {
        let contents = self.contents;
        self.choose_messages();
        for (number, client) in (1..).zip(&contents.clients) {
            if let Some(record) = self.session(SessionNumber(number), client) {
                store(&Operation::PutSession(record))?;
            }
        }
        self.wills_of_nobody(&mut store)?;
        for subscription in &contents.subscriptions {
            if let Some(operation) = self.subscription(subscription) {
                store(&operation)?;
            }
        }
        for id in &contents.retained {
            if let Some(operation) = self.retained(*id) {
                store(&operation)?;
            }
        }
        let mut queues: HashMap<&str, Vec<&'a Copy>> = HashMap::new();
        for copy in &contents.copies {
            match self.exchange(copy) {
                Exchange::Waits => queues.entry(&copy.client).or_default().push(copy),
                Exchange::Goes(operation) => {
                    self.summary.in_flight += 1;
                    store(&operation)?;
                }
                Exchange::LeftOut(reason) => self.left_out().count(reason),
            }
        }
        // In the order of the file, so that the same file always becomes the same rows.
        let queues = contents.clients.iter().filter_map(|client| queues.remove(&*client.id));
        for place in places(queues) {
            self.place(&place).iter().try_for_each(&mut store)?;
        }
        Ok(self.summary)
    }

    fn left_out(&mut self) -> &mut LeftOut {
        &mut self.summary.left_out
    }

    fn choose_messages(&mut self) {
        for message in &self.contents.messages {
            let expired = message.expiry_time.is_some_and(|at| Duration::from_secs(at) <= self.wall);
            if expired {
                self.left_out().count("messages that have expired");
            } else if TopicName::parse(&message.topic).is_err() || QoS::from_level(message.qos).is_none() {
                self.left_out().count("messages whose topic or QoS is none");
            } else if self.messages.insert(message.id, message).is_some() {
                self.left_out().count("messages with the number of another");
            }
        }
    }

    fn session(&mut self, number: SessionNumber, client: &'a Client) -> Option<SessionRecord> {
        let is_first_mqtt_5 = self.contents.format == Format::Snapshot(5);
        let expiry = match client.expiry_interval {
            None => NEVER,
            // What 1.6 wrote for a client of MQTT 3.1.1, whose session has no end.
            Some(0) if is_first_mqtt_5 => NEVER,
            Some(0) => {
                self.left_out().count("sessions that end with their connection");
                return None;
            }
            Some(interval) => interval,
        };
        if ClientId::parse(&client.id).is_err()
            || client.user_name.as_ref().is_some_and(|name| name.len() > 65_535)
        {
            self.left_out().count("sessions whose names MQTT does not allow");
            return None;
        }
        let ended = client.expiry_time.filter(|_| expiry != NEVER);
        if ended.is_some_and(|at| Duration::from_secs(at) <= self.wall) {
            self.left_out().count("sessions that have expired");
            return None;
        }
        if self.sessions.contains_key(&*client.id) {
            self.left_out().count("sessions with the Client Identifier of another");
            return None;
        }
        let delay_ends =
            client.will_delay_time.map(|at| at.saturating_sub(client.will_delay_interval.into()));
        // While it is connected nothing tells when its connection ended: it ends now.
        let disconnected = ended
            .map(|at| at.saturating_sub(expiry.into()))
            .or(client.disconnected)
            .or(delay_ends)
            .map(Duration::from_secs);
        let will = self.wills.get(&*client.id).copied();
        let will = will.and_then(|will| self.will(will, client.will_delay_interval));
        self.sessions.insert(&client.id, number);
        self.summary.sessions += 1;
        Some(SessionRecord {
            number,
            client_id: client.id.as_str().into(),
            user_name: client.user_name.as_deref().map(Into::into),
            expiry,
            disconnected_at: disconnected.map(|at| at.min(self.wall)),
            will,
        })
    }

    fn will(&mut self, will: &noctule_mosquitto_db::Will, delay: u32) -> Option<Will> {
        let Some(qos) = QoS::from_level(will.qos).filter(|_| TopicName::parse(&will.topic).is_ok()) else {
            self.left_out().count("Wills whose topic or QoS is none");
            return None;
        };
        let properties = self.properties(&will.properties, PropertyPlace::Will);
        self.summary.wills += 1;
        Some(Will {
            topic: will.topic.as_str().into(),
            payload: will.payload.as_slice().into(),
            properties: properties.into(),
            qos,
            retain: will.retain,
            delay: Duration::from_secs(delay.into()),
            expiry: None,
        })
    }

    /// Clients whose sessions do not outlive their connection, and whose connection ended with the broker: their Wills are
    /// due. A session that is over already says so.
    fn wills_of_nobody<E>(&mut self, store: &mut impl FnMut(&Operation) -> Result<(), E>) -> Result<(), E> {
        let contents = self.contents;
        let mut number = contents.clients.len() as u64;
        for will in &contents.wills {
            if self.sessions.contains_key(&*will.client) || ClientId::parse(&will.client).is_err() {
                continue;
            }
            let Some(will_of_session) = self.will(will, 0) else { continue };
            number += 1;
            store(&Operation::PutSession(SessionRecord {
                number: SessionNumber(number),
                client_id: will.client.as_str().into(),
                user_name: None,
                expiry: 0,
                disconnected_at: None,
                will: Some(will_of_session),
            }))?;
        }
        Ok(())
    }

    fn subscription(&mut self, found: &noctule_mosquitto_db::Subscription) -> Option<Operation> {
        let Some(&session) = self.sessions.get(&*found.client) else {
            self.left_out().count("subscriptions without a session");
            return None;
        };
        let filter = SubscriptionFilter::parse(&found.filter);
        let filter = filter.ok().filter(|_| found.filter.len() <= FILTER_BYTES_MAX);
        let (Some(filter), Some(qos)) = (filter, QoS::from_level(found.qos)) else {
            self.left_out().count("subscriptions whose Topic Filter or QoS is none");
            return None;
        };
        self.summary.subscriptions += 1;
        let options = SubscriptionOptions {
            qos,
            // [MQTT-3.8.3-4]
            no_local: found.no_local && filter.share.is_none(),
            retain_as_published: found.retain_as_published,
            retain_handling: RetainHandling::SendAtSubscribe,
        };
        let filter = found.filter.as_str().into();
        Some(Operation::PutSubscription {
            session,
            filter,
            options,
            identifier: identifier(found.identifier),
        })
    }

    fn retained(&mut self, id: u64) -> Option<Operation> {
        let Some(&found) = self.messages.get(&id) else {
            self.left_out().count("retained messages that are not there");
            return None;
        };
        if found.payload.is_empty() {
            // [MQTT-3.3.1-6]
            self.left_out().count("retained messages without a payload");
            return None;
        }
        self.summary.retained += 1;
        let publisher = Publisher {
            client_id: found.publisher.as_str().into(),
            user_name: found.publisher_user_name.as_deref().map(Into::into),
            listener: ListenerIndex::default(),
        };
        let message = self.message(found, true);
        Some(Operation::PutRetained(RetainedMessage { message, publisher: Arc::new(publisher) }))
    }

    fn exchange(&mut self, copy: &Copy) -> Exchange {
        let Some(&session) = self.sessions.get(&*copy.client) else {
            return Exchange::LeftOut("messages for clients without a session");
        };
        let message = self.messages.get(&copy.message).copied();
        let packet_id = PacketId::new(copy.packet_id);
        let exactly_once = QoS::from_level(copy.qos) == Some(QoS::ExactlyOnce);
        let has_qos = matches!(QoS::from_level(copy.qos), Some(QoS::AtLeastOnce | QoS::ExactlyOnce));
        let is_outgoing = copy.direction == Direction::Outgoing;
        let mut is_free = |id| self.taken.insert((session, is_outgoing, id));
        match (copy.direction, copy.state) {
            (Direction::Outgoing, CopyState::Received | CopyState::Released) if exactly_once => {
                match packet_id {
                    Some(packet_id) if is_free(packet_id) => {
                        let exchange = record::Exchange::Released;
                        Exchange::Goes(Operation::PutOutgoing { session, packet_id, exchange })
                    }
                    _ => Exchange::LeftOut("exchanges without a Packet Identifier of their own"),
                }
            }
            (Direction::Outgoing, _) => match message {
                None => Exchange::LeftOut("queued messages that are not there or have expired"),
                Some(_) if has_qos => Exchange::Waits,
                Some(_) => Exchange::LeftOut("queued messages with QoS 0"),
            },
            (Direction::Incoming, CopyState::Released) => Exchange::LeftOut("exchanges that were over"),
            (Direction::Incoming, CopyState::Queued | CopyState::Sent | CopyState::Received) => {
                match (message, packet_id) {
                    (Some(message), Some(packet_id)) if exactly_once && is_free(packet_id) => {
                        let message = self.message(message, message.retain);
                        Exchange::Goes(Operation::PutIncoming { session, packet_id, message })
                    }
                    (None, _) => Exchange::LeftOut("incoming messages that are not there or have expired"),
                    _ => Exchange::LeftOut("exchanges without a Packet Identifier of their own"),
                }
            }
        }
    }

    /// A message with its recipients, and what has been sent of it.
    fn place(&mut self, place: &Place<'_>) -> Vec<Operation> {
        let Some(&found) = self.messages.get(&place.message) else { return Vec::new() };
        let message = self.message(found, found.retain);
        let sequence = message.sequence();
        let mut recipients = Vec::new();
        let mut sent = Vec::new();
        for copy in &place.copies {
            let session = self.sessions.get(&*copy.client).copied();
            let (Some(session), Some(qos)) = (session, QoS::from_level(copy.qos)) else { continue };
            let number = recipients.len() as u32;
            recipients.push(Recipient {
                copy: number,
                session,
                qos,
                retain: copy.retain,
                identifiers: Identifiers::from_wire(identifier(copy.identifier)),
                group: None,
            });
            let is_sent = copy.state == CopyState::Sent && qos == QoS::ExactlyOnce;
            match PacketId::new(copy.packet_id).filter(|_| is_sent) {
                Some(packet_id) if self.taken.insert((session, true, packet_id)) => {
                    let exchange = record::Exchange::Sent { sequence, copy: number };
                    sent.push(Operation::PutOutgoing { session, packet_id, exchange });
                    self.summary.in_flight += 1;
                }
                Some(_) | None => self.summary.queued += 1,
            }
        }
        let list = (recipients.len() > 1).then_some(List::Prompt);
        let mut operations = vec![Operation::PutMessage { message, recipients, list }];
        operations.append(&mut sent);
        operations
    }

    /// With a number of its own.
    fn message(&mut self, found: &StoredMessage, retain: bool) -> Message {
        self.counter += 1;
        let properties = self.properties(&found.properties, PropertyPlace::Publish);
        let publisher = self.sessions.get(&*found.publisher).copied().unwrap_or_default();
        let view = MessageView {
            topic: &found.topic,
            payload: &found.payload,
            properties: &properties,
            qos: QoS::from_level(found.qos).unwrap_or(QoS::AtMostOnce),
            retain,
            expires: found.expiry_time.map(Duration::from_secs),
            publisher,
        };
        view.to_message(Sequence { source: SOURCE, counter: self.counter })
    }

    /// Those that are passed on.
    fn properties(&mut self, bytes: &[u8], place: PropertyPlace) -> Vec<u8> {
        match Properties::decode(bytes, place) {
            Ok(properties) => properties.forwardable().as_bytes().to_vec(),
            Err(_) => {
                self.left_out().count("lists of properties that are none");
                Vec::new()
            }
        }
    }
}

/// Where a client's copy of a message goes.
enum Exchange {
    /// To its queue, or it has been sent from there.
    Waits,
    /// On, where it was.
    Goes(Operation),
    /// Nowhere, for this reason.
    LeftOut(&'static str),
}

/// A Subscription Identifier that can be written; 0 is none.
fn identifier(found: u32) -> u32 {
    if found <= 268_435_455 { found } else { 0 }
}

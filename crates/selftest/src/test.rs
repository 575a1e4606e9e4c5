//! What a case works with: clients, and names that are its own.

use crate::client::Client;
use crate::exchange::{Event, Exchange, described};
use crate::leftovers::Leftovers;
use crate::limits::Limits;
use crate::offer::Offer;
use crate::property::Properties;
use crate::received::Packet;
use crate::target::Target;
use crate::verdict::{Step, deviates, not_applicable};
use crate::version::Version;
use crate::written::{Connect, Publication};

/// One run of one case.
#[derive(Debug)]
pub(crate) struct Test<'a> {
    pub(crate) version: Version,
    pub(crate) offer: &'a Offer,
    target: &'a Target,
    /// No other run of any case has it. Letters and digits.
    own: String,
    exchange: Exchange,
    leftovers: Leftovers,
    limits: Limits,
}

/// What CONNACK says.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) session_present: bool,
    pub(crate) properties: Properties,
}

impl<'a> Test<'a> {
    pub(crate) fn new(
        target: &'a Target,
        offer: &'a Offer,
        version: Version,
        own: String,
        is_slow: bool,
    ) -> Self {
        let limits = Limits::new(target, is_slow, offer.maximum_packet_size);
        let (exchange, leftovers) = (Exchange::default(), Leftovers::default());
        Self { version, offer, target, own, exchange, leftovers, limits }
    }

    /// A topic of this case alone.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("noctule-selftest/{}/{name}", self.own)
    }

    /// A client identifier of this case alone: at most 23 letters and digits if `name` has at most ten, which every
    /// server accepts [MQTT-3.1.3-5] [MQTT311-3.1.3-5].
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}{name}", self.own)
    }

    /// What no other run has: letters and digits.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// Does the test speak 5.0?
    pub(crate) fn is_v5(&self) -> bool {
        self.version == Version::V5
    }

    /// A network connection on which nothing was sent.
    pub(crate) fn open(&self, name: &'static str) -> Step<Client> {
        match self.target.dial() {
            Ok(stream) => {
                let (exchange, leftovers) = (self.exchange.clone(), self.leftovers.clone());
                let limits = self.limits.clone();
                Ok(Client::new(name, self.version, stream, self.target, exchange, leftovers, limits))
            }
            Err(error) => deviates("a network connection is accepted", error.to_string()),
        }
    }

    /// CONNECT as the client of this name: a clean session, a minute of Keep Alive.
    pub(crate) fn connect(&self, name: &'static str) -> Connect {
        Connect {
            name,
            version: self.version,
            id: self.id(name),
            clean: true,
            keep_alive: 60,
            properties: Vec::new(),
            will: None,
            user_name: self.target.user_name.clone(),
            password: self.target.password.clone(),
        }
    }

    /// A client that is connected.
    pub(crate) fn client(&self, name: &'static str) -> Step<Client> {
        self.accepted(&self.connect(name)).map(|(client, _)| client)
    }

    /// A client with this CONNECT, accepted.
    pub(crate) fn client_with(&self, connect: &Connect) -> Step<Client> {
        self.accepted(connect).map(|(client, _)| client)
    }

    /// The same, with what CONNACK says.
    pub(crate) fn accepted(&self, connect: &Connect) -> Step<(Client, Accepted)> {
        let mut client = self.sent(connect)?;
        let accepted = self.connack(&mut client)?;
        Ok((client, accepted))
    }

    /// A connection on which this CONNECT was sent.
    pub(crate) fn sent(&self, connect: &Connect) -> Step<Client> {
        let mut client = self.open(connect.name)?;
        if !connect.clean || !connect.properties.is_empty() {
            self.leftovers.session(&connect.id);
        }
        if let Some(will) = connect.will.as_ref().filter(|will| will.retain) {
            self.leftovers.retained(&will.topic);
        }
        client.send(connect.bytes());
        Ok(client)
    }

    /// The answer to CONNECT is a CONNACK that accepts.
    pub(crate) fn connack(&self, client: &mut Client) -> Step<Accepted> {
        let received = client.packet("CONNACK with 0x00")?;
        match received.packet {
            Packet::Connack { session_present, code: 0, properties } => {
                Ok(Accepted { session_present, properties })
            }
            // Quota exceeded, server busy, connection rate exceeded: no word about what the case asks.
            Packet::Connack { code: code @ (0x97 | 0x89 | 0x9f | 0x88), .. } if self.is_v5() => {
                not_applicable(format!("the server has no room: CONNACK {code:#04x}"))
            }
            _ => deviates("CONNACK with 0x00", described(&received.bytes)),
        }
    }

    /// The answer to CONNECT without a Client Identifier is a CONNACK that accepts. A server need not accept it
    /// [MQTT-3.1.3-6] [MQTT311-3.1.3-6].
    pub(crate) fn named(&self, client: &mut Client) -> Step<Accepted> {
        let received = client.packet("CONNACK")?;
        match received.packet {
            Packet::Connack { session_present, code: 0, properties } => {
                Ok(Accepted { session_present, properties })
            }
            Packet::Connack { .. } => not_applicable("the server wants a Client Identifier"),
            _ => deviates("CONNACK", described(&received.bytes)),
        }
    }

    /// PUBLISH of QoS 0 on a topic of this case.
    pub(crate) fn publication(&self, topic: &str, payload: impl AsRef<[u8]>) -> Publication {
        Publication::new(self.version, topic, payload)
    }

    /// Nothing comes to `subscriber` of what `publisher` has published up to now: a marker that it publishes next is the
    /// next message.
    pub(crate) fn nothing_arrives(&self, publisher: &mut Client, subscriber: &mut Client) -> Step {
        self.next_is_marker(publisher, subscriber, "no message but the marker that was published behind it")
    }

    /// [`Test::nothing_arrives`] with other words for what is expected.
    pub(crate) fn next_is_marker(
        &self,
        publisher: &mut Client,
        subscriber: &mut Client,
        expected: &str,
    ) -> Step {
        let qos = self.offer.maximum_qos.min(1);
        let id = publisher.fresh_id();
        let topic = self.topic(&format!("marker{id}"));
        subscriber.subscribe(&topic, qos)?;
        publisher.publish(self.publication(&topic, "marker").qos(qos, id))?;
        let message = subscriber.message_of(expected)?;
        message.check(message.topic == topic, expected)?;
        subscriber.acknowledge(&message)
    }

    /// Lets time pass, where the case is about time. Cases that do so are [slow](crate::case::Case::slow).
    pub(crate) fn wait(&self, milliseconds: u64) -> Step {
        self.offer.allows_silence_of(self.version, milliseconds)?;
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        Ok(())
    }

    /// What happened, for who wants to know why the case failed.
    pub(crate) fn take_exchange(&self) -> Vec<Event> {
        self.exchange.take()
    }

    /// The case sent nothing that is larger than the server takes.
    pub(crate) fn fits_the_server(&self) -> Step {
        self.limits.were_kept()
    }

    /// Takes away what the case left with the server: sessions and retained messages.
    pub(crate) fn clean_up(mut self) {
        // Its time does not depend on what the case took.
        self.limits = Limits::new(self.target, false, None);
        let left = self.leftovers.take();
        for id in left.client_ids {
            // Best effort: a server that fails here has failed the case, or will fail another one.
            let _ = self.client_with(&self.connect("cleaner").id(id));
        }
        if left.retained.is_empty() {
            return;
        }
        if let Ok(mut cleaner) = self.client("cleaner") {
            for topic in left.retained {
                cleaner.send(Publication::new(self.version, topic, "").retain());
            }
            let _ = cleaner.ping();
        }
    }
}

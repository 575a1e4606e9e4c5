//! Subscriptions that are made and dropped beside the traffic.

use std::time::Instant;

use noctule_client::protocol::packet::{Unsubscribe, UnsubscribeFilters};
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{PacketId, ProtocolVersion, QoS, SubscriptionFilter};

use super::fault::Fault;
use super::fleet::Fleet;
use super::opening::{Crew, append_subscribe, check_suback, unasked};
use super::pace::Pace;
use super::run::Names;
use super::topic_pattern::{Number, Part, TopicPattern};

/// Connections that do nothing else.
pub(super) const CONNECTIONS: usize = 10;
/// A broker that answers more slowly than it is asked gets no more than this ahead, on each connection.
const UNANSWERED_MAX: u64 = 1000;

/// Makes a subscription and drops it with the next packet, at an even pace, in turn on each connection.
#[derive(Debug)]
pub(super) struct Churn {
    crew: Crew,
    names: Names,
    version: ProtocolVersion,
    pace: Pace,
    filters: TopicPattern,
    /// Pairs of SUBSCRIBE and UNSUBSCRIBE that were sent.
    made: u64,
    /// Of UNSUBACK.
    dropped: u64,
}

impl Churn {
    pub(super) fn new(
        crew: Crew,
        names: Names,
        version: ProtocolVersion,
        per_second: u64,
        prefix: &str,
    ) -> Self {
        let number = |divisor, modulus, width| Part::Number(Number { divisor, modulus, width });
        let filters = TopicPattern::new(&[
            Part::Text(prefix),
            Part::Text("/churn/"),
            number(1, 1000, 3),
            Part::Text("/+/"),
            number(1000, 1000, 3),
        ]);
        Self {
            crew,
            names,
            version,
            pace: Pace::new(per_second, Instant::now()),
            filters,
            made: 0,
            dropped: 0,
        }
    }

    /// When the next subscription is due.
    pub(super) fn next(&self) -> Instant {
        self.pace.moment(self.made)
    }

    /// Sends what is due.
    pub(super) fn step(&mut self, fleet: &mut Fleet, now: Instant) -> Result<(), Fault> {
        let due = self.pace.due(now);
        while self.made < due && self.made - self.dropped < UNANSWERED_MAX * CONNECTIONS as u64 {
            let connection = self.crew.first + (self.made % CONNECTIONS as u64) as usize;
            let filter = self.filters.text(self.made);
            let out = fleet.out(connection);
            append_subscribe(self.version, PacketId::FIRST, &[&filter], QoS::AtMostOnce, out)?;
            let parsed =
                SubscriptionFilter::parse(&filter).map_err(|error| Fault::Usage(error.to_string()))?;
            if let Some(filters) = UnsubscribeFilters::from_filters([parsed]) {
                let packet_id = PacketId::FIRST.next();
                Unsubscribe { packet_id, properties: Properties::EMPTY, filters }
                    .encode(self.version, out)?;
            }
            self.made += 1;
        }
        Ok(())
    }

    /// Reads answers.
    pub(super) fn read(&mut self, fleet: &mut Fleet, connection: usize) -> Result<(), Fault> {
        let Some(place) = self.crew.place(connection) else { return fleet.read_unasked(connection) };
        let Self { names, version, made, dropped, .. } = self;
        let client = || names.other(place);
        fleet.read(connection, |_, frame| match frame.first_byte >> 4 {
            9 => check_suback(*version, &client(), |_| "…/churn/…".to_owned(), QoS::AtMostOnce, frame)
                .map(drop),
            11 if *dropped < *made => {
                *dropped += 1;
                Ok(())
            }
            11 => Err(Fault::Unexpected { client: client(), what: "an UNSUBACK too many".to_owned() }),
            _ => unasked(client, frame),
        })
    }

    /// Subscriptions that were made and dropped again.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

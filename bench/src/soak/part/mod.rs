//! The parts of the mixed load, each with clients of its own and an account of every message.

mod churn;
mod fan_out;
mod retained;
mod shared;
mod slow;
mod steady;
mod storm;
mod wills;

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::connection::{ClientEvent, ConnectOptions};
use noctule_client::protocol::packet::SubscriptionOptions;
use noctule_client::protocol::property::{Properties, Property};
use noctule_client::protocol::{ProtocolVersion, QoS, SubscriptionFilter};

use super::hub::{ClientIndex, Happening, Hub};

/// One kind of load.
pub(crate) trait Part {
    fn name(&self) -> &'static str;

    /// Does what is due while the load runs.
    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()>;

    /// Takes what happened to one of its clients.
    fn handle(&mut self, hub: &mut Hub, client: ClientIndex, happening: Happening) -> Result<()>;

    /// Called again and again when the load is over: brings everybody back, and says whether all has arrived.
    fn finish(&mut self, hub: &mut Hub, now: Duration) -> Result<bool>;

    /// What was done, and what was wrong.
    fn verdict(&self) -> Verdict;
}

/// The account of a part.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Messages that were received and accounted for.
    pub(crate) received: u64,
    /// Figures, for people.
    pub(crate) about: String,
    pub(crate) faults: Vec<String>,
}

/// All parts, in the order of the report.
pub(crate) fn all(hub: &mut Hub) -> Result<Vec<Box<dyn Part>>> {
    let mut parts: Vec<Box<dyn Part>> = Vec::new();
    hub.set_owner(0);
    parts.push(Box::new(steady::Steady::new(hub)?));
    hub.set_owner(1);
    parts.push(Box::new(fan_out::FanOut::new(hub)?));
    hub.set_owner(2);
    parts.push(Box::new(shared::Shared::new(hub)?));
    hub.set_owner(3);
    parts.push(Box::new(retained::Retained::new(hub)?));
    hub.set_owner(4);
    parts.push(Box::new(storm::Storm::new(hub)?));
    hub.set_owner(5);
    parts.push(Box::new(churn::Churn::new(hub)?));
    hub.set_owner(6);
    parts.push(Box::new(slow::Slow::new(hub)?));
    hub.set_owner(7);
    parts.push(Box::new(wills::Wills::new(hub)?));
    Ok(parts)
}

/// Both versions take turns.
fn version(number: usize) -> ProtocolVersion {
    if number.is_multiple_of(2) { ProtocolVersion::V311 } else { ProtocolVersion::V5 }
}

fn qos(number: usize) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3]
}

/// A client whose session ends with its connection.
fn clean(client_id: String, version: ProtocolVersion) -> ConnectOptions {
    let mut options = ConnectOptions::new(version, client_id);
    options.keep_alive = 20;
    options.window = 100;
    options
}

/// A client whose session stays.
fn lasting(client_id: String, version: ProtocolVersion) -> ConnectOptions {
    let mut options = clean(client_id, version);
    options.clean_start = false;
    if version == ProtocolVersion::V5 {
        options.properties = Properties::new([Property::SessionExpiryInterval(3600)]);
    }
    options
}

/// Opens a client that subscribes as soon as it is connected.
fn open_subscriber(hub: &mut Hub, options: ConnectOptions, filter: &str, qos: QoS) -> Result<ClientIndex> {
    let client = hub.open(options)?;
    subscribe(hub, client, filter, qos)?;
    Ok(client)
}

fn subscribe(hub: &mut Hub, client: ClientIndex, filter: &str, qos: QoS) -> Result<()> {
    let filter = SubscriptionFilter::parse(filter)?;
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    hub.connection(client).subscribe([(filter, options)], Properties::EMPTY)?;
    Ok(())
}

/// Waits until so many subscriptions stand, so that nothing published is missed for want of one.
#[derive(Debug)]
struct Readiness {
    missing: usize,
}

impl Readiness {
    fn of(subscriptions: usize) -> Self {
        Self { missing: subscriptions }
    }

    fn is_reached(&self) -> bool {
        self.missing == 0
    }

    /// Counts SUBACKs; a refusal is a fault.
    fn handle(&mut self, happening: &Happening, faults: &mut Vec<String>) {
        if let Happening::Event(ClientEvent::Subscribed { codes, .. }) = happening {
            self.missing = self.missing.saturating_sub(1);
            if codes.iter().any(|&code| code >= 0x80) {
                faults.push(format!("a subscription was refused: {codes:02x?}"));
            }
        }
    }
}

/// Notes what must not happen to a client that nobody cut off.
fn note_end(who: &str, happening: &Happening, faults: &mut Vec<String>) {
    const FAULTS_MAX: usize = 20;
    let why = match happening {
        Happening::Ended(why) => why.clone(),
        Happening::Event(ClientEvent::Refused { code, .. }) => format!("refused: {code:?}"),
        Happening::Event(ClientEvent::Disconnected { reason, .. }) => format!("told to go: {reason:?}"),
        Happening::Event(_) => return,
    };
    if faults.len() < FAULTS_MAX {
        faults.push(format!("{who}: its connection ended: {why}"));
    }
}

//! Subscriptions that come and go all the time, on topics that others use too.

use std::time::Duration;

use anyhow::Result;
use noctule_client::protocol::connection::ClientEvent;
use noctule_client::protocol::property::Properties;
use noctule_client::protocol::{QoS, SubscriptionFilter};

use super::{Part, Verdict, clean, note_end, subscribe, version};
use crate::soak::hub::{ClientIndex, Happening, Hub};
use crate::soak::tally::shortfall;

const CLIENTS: usize = 4;
/// Subscriptions made, and as many dropped, by all of them.
const PER_SECOND: f64 = 200.0;
/// How many of one client stand at a time.
const STANDING: u64 = 20;
/// Requests without an answer, above which it waits.
const UNANSWERED_MAX: u64 = 500;

pub(crate) struct Churn {
    clients: Vec<ClientIndex>,
    /// Subscriptions that were due, made or not.
    due: u64,
    made: u64,
    asked: u64,
    answered: u64,
    received: u64,
    faults: Vec<String>,
}

impl Churn {
    pub(crate) fn new(hub: &mut Hub) -> Result<Self> {
        let clients = (0..CLIENTS)
            .map(|number| hub.open(clean(format!("soak-churn-{number}"), version(number))))
            .collect::<Result<_>>()?;
        Ok(Self { clients, due: 0, made: 0, asked: 0, answered: 0, received: 0, faults: Vec::new() })
    }
}

/// Exact ones and wildcards, some of which match what the other parts publish.
fn filter(number: u64) -> String {
    let place = number / 5;
    match number % 5 {
        0 => format!("soak/steady/{}", place % 30),
        1 => format!("soak/+/{}", place % 1000),
        2 => format!("soak/retained/{}/#", place % 200),
        3 => format!("+/nothing/{place}/#"),
        _ => format!("soak/nothing/{place}"),
    }
}

impl Part for Churn {
    fn name(&self) -> &'static str {
        "subscription churn"
    }

    fn tick(&mut self, hub: &mut Hub, now: Duration) -> Result<()> {
        self.due = (now.as_secs_f64() * PER_SECOND) as u64;
        while self.made < self.due && self.asked - self.answered < UNANSWERED_MAX {
            let client = self.clients[self.made as usize % CLIENTS];
            subscribe(hub, client, &filter(self.made), QoS::AtMostOnce)?;
            self.asked += 1;
            if let Some(old) = self.made.checked_sub(STANDING * CLIENTS as u64) {
                let old = filter(old);
                let old = SubscriptionFilter::parse(&old)?;
                hub.connection(client).unsubscribe([old], Properties::EMPTY)?;
                self.asked += 1;
            }
            self.made += 1;
        }
        Ok(())
    }

    fn handle(&mut self, _: &mut Hub, _: ClientIndex, happening: Happening) -> Result<()> {
        note_end("a client of the churn", &happening, &mut self.faults);
        match happening {
            Happening::Event(
                ClientEvent::Subscribed { codes, .. } | ClientEvent::Unsubscribed { codes, .. },
            ) => {
                self.answered += 1;
                if codes.iter().any(|&code| code >= 0x80) {
                    self.faults.push(format!("refused: {codes:02x?}"));
                }
            }
            Happening::Event(ClientEvent::Message { payload, .. }) => {
                self.received += u64::from(!payload.is_empty());
            }
            Happening::Event(_) | Happening::Ended(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Hub, _: Duration) -> Result<bool> {
        Ok(self.answered == self.asked)
    }

    fn verdict(&self) -> Verdict {
        let mut faults = self.faults.clone();
        let open = self.asked - self.answered;
        if open > 0 {
            faults.push(format!("{open} of {} requests have no answer", self.asked));
        }
        faults.extend(shortfall("subscriptions", self.made, self.due));
        let about = format!("{} subscriptions made and dropped", self.made);
        Verdict { received: self.received, about, faults }
    }
}

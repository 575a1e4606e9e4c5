//! A world whose broker drops what its default limits say: what is missing at the end is as much as it counted.

use std::time::Duration;

use anyhow::Result;

use crate::check::Finding;
use crate::client::{Habit, Part};
use crate::history::Incident;
use crate::round::{drain, probe};
use crate::world::{Strike, World};

/// Below the default of `max_queued_messages` at each receiver, so that strikes meet growing queues and repeated
/// messages, and nothing is dropped yet: counts do not outlive the broker.
const BEFORE: usize = 350;
/// Above it.
const AFTER: usize = 700;

/// Queues grow under strikes, then overflow; the counts are read; the broker is struck once more; and what is left is
/// received.
///
/// # Errors
/// If the machine fails us.
pub fn run(world: &mut World, strike: Option<Strike>) -> Result<Vec<Finding>> {
    // Subscriptions first.
    world.run_until("subscribing", |world| all_receivers(world, |part| part.is_subscribed()), |_| 0)?;
    world.want(|habit| habit == Habit::Steady);
    publish(world, BEFORE);
    for _ in 0..3 {
        let load = world.random.millis(20..=150);
        world.run_for(load)?;
        if let Some(strike) = strike {
            world.strike(strike)?;
        }
    }
    flush(world)?;
    publish(world, AFTER);
    flush(world)?;
    world.history.counted_drops = Some(dropped(world)?);
    if let Some(strike) = strike {
        world.strike(strike)?;
    }
    world.want(|_| true);
    let missing = world.history.counted_drops.unwrap_or(0) as usize;
    drain(world, missing)?;
    Ok(world.judge())
}

fn all_receivers(world: &World, is_so: impl Fn(&crate::client::Receiver) -> bool) -> bool {
    world.clients.iter().all(|client| match &client.part {
        Part::Receiver(part) => is_so(part),
        Part::Publisher(_) | Part::Willed(_) | Part::Probe(_) => true,
    })
}

fn publish(world: &mut World, messages: usize) {
    for client in &mut world.clients {
        if let Part::Publisher(part) = &mut client.part {
            part.budget = messages;
        }
    }
}

fn flush(world: &mut World) -> Result<bool> {
    world.run_until("publishing", |world| world.is_flushed(), |world| world.history.acknowledged_count())
}

/// What `$SYS` says when it has said the same for longer than it takes to publish it anew.
fn dropped(world: &mut World) -> Result<u64> {
    const TOPIC: &str = "$SYS/broker/publish/messages/dropped";
    let found = probe(world, TOPIC, Duration::from_millis(2500), |probe| probe.found.contains_key(TOPIC))?;
    let said = found.get(TOPIC).and_then(|payloads| payloads.last());
    let number = said.and_then(|payload| std::str::from_utf8(payload).ok()?.parse().ok());
    if number.is_none() {
        world.history.incident(Incident::Mangled, format!("{TOPIC} is {said:?}, which is no number"));
    }
    Ok(number.unwrap_or(0))
}

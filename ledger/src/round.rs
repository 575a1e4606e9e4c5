//! One round: load, strikes, quiet, and everything is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::check::{Due, Duty, Finding, expected_retained};
use crate::client::{Client, Habit, Part, Probe, Wish};
use crate::history::Incident;
use crate::payload;
use crate::wire::Version;
use crate::world::{Strike, World};

/// What happens to the broker and its connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Faults {
    /// How the broker is struck, if it is.
    pub strike: Option<Strike>,
    /// How often connections are cut: between so and so many milliseconds.
    pub cuts: Option<(u64, u64)>,
}

/// When a strike comes.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after what was before.
    After(Duration),
    /// So long after the start of the process, which may still be reading what it had kept.
    Starting(Duration),
    /// So long after the first client was let in again.
    Reconnecting(Duration),
}

/// A round of a world. The last one wakes those who sleep.
///
/// # Errors
/// If the machine fails us; what the broker does wrong is a finding.
pub fn round(world: &mut World, faults: Faults, messages: usize, is_last: bool) -> Result<Vec<Finding>> {
    world.want(|habit| matches!(habit, Habit::Steady | Habit::Flapping));
    load(world, messages)?;
    world.cuts = faults.cuts;
    let before = world.random.millis(0..=100);
    world.run_for(before)?;
    widen(world);
    match faults.strike {
        None => world.run_for(Duration::from_millis(500))?,
        Some(strike) => {
            for when in plan(world) {
                wait(world, when)?;
                world.strike(strike)?;
            }
            let rest = world.random.millis(50..=250);
            world.run_for(rest)?;
        }
    }
    hurry(world);
    world.run_until("publishing", |world| world.is_flushed(), |world| world.history.acknowledged_count())?;
    world.cuts = None;
    // What was acknowledged, and nothing after it that would cover up what is missing.
    if let Some(strike) = faults.strike
        && world.random.percent(60)
    {
        world.strike(strike)?;
    }
    world.want(|habit| is_last || habit != Habit::Asleep);
    drain(world, 0)?;
    look(world)?;
    wills(world)?;
    let findings = world.judge();
    world.leave("will-311");
    Ok(findings)
}

/// Gives publishers something to do.
fn load(world: &mut World, messages: usize) -> Result<()> {
    let is_flat_out = world.random.percent(30);
    let mut publishers: Vec<_> = world
        .clients
        .iter_mut()
        .filter_map(|client| match &mut client.part {
            Part::Publisher(part) => Some(part),
            Part::Receiver(_) | Part::Willed(_) | Part::Probe(_) => None,
        })
        .collect();
    let share = messages / publishers.len().max(1);
    for part in &mut publishers {
        part.budget = share;
        let most = if is_flat_out { 0 } else { 6 };
        part.interval = world.random.millis(0..=most);
    }
    match &mut world.paho {
        Some(paho) => paho.publish(share / 2, &mut world.history),
        None => Ok(()),
    }
}

/// Lets publishers end quickly.
fn hurry(world: &mut World) {
    for client in &mut world.clients {
        if let Part::Publisher(part) = &mut client.part {
            part.interval = Duration::ZERO;
        }
    }
}

/// Some subscribe to more while there is load.
fn widen(world: &mut World) {
    for (name, filter, qos) in [("late-5", "l/+/1", 1), ("late-311", "l/+/1", 2)] {
        let late = world.clients.iter_mut().find(|client| client.name == name);
        if let Some(Client { part: Part::Receiver(part), .. }) = late
            && world.random.percent(40)
            && !world.history.receivers[part.number]
                .subscriptions
                .iter()
                .any(|known| &*known.filter == filter)
        {
            part.wish(Wish::new(filter, qos));
        }
    }
}

fn plan(world: &mut World) -> Vec<When> {
    let random = &mut world.random;
    let mut plan = vec![When::After(random.millis(20..=450))];
    for _ in 0..random.pick([0, 0, 1, 1, 2]) {
        plan.push(match random.pick([0, 1, 2]) {
            0 => When::Starting(random.millis(0..=60)),
            1 => When::Reconnecting(random.millis(0..=60)),
            _ => When::After(random.millis(50..=300)),
        });
    }
    plan
}

fn wait(world: &mut World, when: When) -> Result<()> {
    match when {
        When::After(time) | When::Starting(time) => world.run_for(time),
        When::Reconnecting(time) => {
            world.run_until("restart", |world| !world.is_starting(), |_| 0)?;
            world.run_for(time)
        }
    }
}

/// Everybody who is awake receives what is there for him, until no more than so much is missing.
pub(crate) fn drain(world: &mut World, dropped: usize) -> Result<()> {
    let mut due = Due::all(&world.history);
    let mut looked = Instant::now();
    let mut missing = usize::MAX;
    let is_complete = |world: &mut World| {
        let now = Instant::now();
        // Counting takes longer than a turn.
        if missing == usize::MAX || looked + Duration::from_millis(20) < now {
            looked = now;
            missing = world.missing(&mut due);
        }
        missing <= dropped && is_idle(world)
    };
    world.run_until("draining", is_complete, |world| world.history.receipt_count())?;
    // What comes once more comes soon.
    world.run_for(Duration::from_millis(80))
}

/// Whether nothing is open at those who are awake.
fn is_idle(world: &World) -> bool {
    let is_foreign_subscribed = world.paho.as_ref().is_none_or(|paho| paho.is_subscribed(&world.history));
    let awake = world.clients.iter().filter(|client| client.wanted && client.habit != Habit::Flapping);
    is_foreign_subscribed
        && awake.into_iter().all(|client| {
            client.is_open()
                && match &client.part {
                    Part::Receiver(part) => part.is_idle() && part.is_subscribed(),
                    Part::Publisher(_) | Part::Willed(_) | Part::Probe(_) => true,
                }
        })
}

/// Reads with a new client all that matches, until so long nothing came or it is what was waited for.
pub(crate) fn probe(
    world: &mut World,
    filter: &'static str,
    quiet: Duration,
    mut is_enough: impl FnMut(&Probe) -> bool,
) -> Result<BTreeMap<String, Vec<Vec<u8>>>> {
    let name = format!("probe-{}", world.history.tick());
    let number = world.add(|token| {
        Client::new(token, &name, Version::V5, false, Habit::Steady, Part::Probe(Probe::new(filter)))
    });
    let is_done = |world: &mut World| match &world.clients[number].part {
        Part::Probe(part) => part.is_quiet(Instant::now(), quiet) && is_enough(part),
        Part::Publisher(_) | Part::Receiver(_) | Part::Willed(_) => true,
    };
    world.run_until("reading with a probe", is_done, |_| 0)?;
    world.leave(&name);
    match world.remove_last() {
        Some(Client { part: Part::Probe(part), .. }) => Ok(part.found),
        _ => Ok(BTreeMap::new()),
    }
}

/// Reads what is retained.
fn look(world: &mut World) -> Result<()> {
    let possible = expected_retained(&world.history);
    let certain = possible.values().filter(|values| !values.contains(&None)).count();
    let deadline = Instant::now() + Duration::from_secs(4);
    let found = probe(world, "kept/#", Duration::from_millis(50), |probe| {
        probe.found.len() >= certain || Instant::now() > deadline
    })?;
    let mut read = BTreeMap::new();
    for (topic, payloads) in found {
        let number = payloads.last().and_then(|payload| payload::read(payload));
        match number {
            Some(number) if payloads.len() == 1 => {
                read.insert(topic, number);
            }
            _ => {
                let what = format!("what is retained of {topic} came {} times: {number:?}", payloads.len());
                world.history.incident(Incident::Mangled, what);
            }
        }
    }
    world.history.retained = Some(read);
    Ok(())
}

/// Waits for Wills that are due.
fn wills(world: &mut World) -> Result<()> {
    const LATE: Duration = Duration::from_secs(3);
    let is_done = |world: &mut World| {
        let now = Instant::now();
        !world.history.wills.iter().any(|will| {
            will.received.is_empty() && matches!(will.duty(now), Duty::Come(since) if now < since + LATE)
        })
    };
    world.run_until("waiting for Wills", is_done, |_| 0)?;
    Ok(())
}
